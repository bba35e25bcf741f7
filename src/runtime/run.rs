//! `tern serve`: opens the disks, recovers, opens the doors, prints the ready line, and goes on until told to stop.
//!
//! Order: lock and prepare directories, bind every port, recover, accept, say ready. Whatever fails before "ready" is
//! one sentence and an exit code; nothing was accepted yet and nothing can be lost.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::clock::Clock;
use super::disk::{Disk, DiskConfig};
use super::listen::{self, Admission, Bound};
use super::names::LOOKUPS_MAX;
use super::peers::{self, Peers};
use super::reload::{Read, Reload};
use super::shell::{End, Shell};
use super::signals::Signals;
use super::{power, systemd};
use crate::config::Config;
use crate::effect::{DiskDone, DiskError};
use crate::limits::KERNEL_SOCKET_BYTES_MAX;
use crate::memory::{Table, allocator};
use crate::node::{Input, Listener, Node};
use crate::types::Ticket;

/// Answers of the disk threads. Unbounded in type only: an answer exists for an operation, and the node bounds those.
type Answers = UnboundedReceiver<(Ticket, Result<DiskDone, DiskError>)>;

/// Why a node ended other than by request. Exit code 1; the sentence is for people.
#[derive(Debug)]
pub struct Fault(pub String);

/// Threads that look up names, and one each that reads the configuration again and small files of the system, which wait
/// for no name; and the stack of each.
const BLOCKING_THREADS_MAX: usize = LOOKUPS_MAX + 2;
const BLOCKING_STACK_BYTES: usize = 256 * 1024;

/// A member that finds no majority in this time is up for the service manager all the same: boards are switched on one
/// by one.
const WITHOUT_QUORUM: Duration = Duration::from_secs(10);

/// Runs a node until it is asked to stop; `read` reads its configuration again.
pub fn run(config: Config, read: Read) -> Result<(), Fault> {
    allocator::keep_large_blocks();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(BLOCKING_STACK_BYTES)
        .build()
        .map_err(|error| Fault(format!("cannot start the runtime: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, serve(config, read));
    runtime.shutdown_background(); // a name that is being looked up holds nobody up
    result
}

async fn serve(config: Config, read: Read) -> Result<(), Fault> {
    let reload = Reload::new(&config, read);
    let mut signals =
        Signals::new(move || reload.start()).map_err(|error| Fault(format!("cannot listen to signals: {error}")))?;
    let (sender, answers) = unbounded_channel();
    let disk = Disk::start(disk_config(&config), move |ticket, result| {
        let _ = sender.send((ticket, result)); // the receiver is gone only when the process ends
    })
    .map_err(Fault)?;
    let bound = bind_all(&config).map_err(Fault)?;
    let ports = peers::bind(&config).map_err(Fault)?;
    let secret = peers::read_secret(&config).map_err(Fault)?;
    let (table, accounts) = Table::new(&config).map_err(Fault)?;
    let addresses: Vec<_> = bound.iter().map(|bound| (bound.listener, bound.address)).collect();
    let ready = ready_line(&config, &bound);
    let admission = Admission { accounts: accounts.clone(), buffers_wanted_bytes: socket_buffers_wanted(&config) };
    let connections_max = config.memory.connections_max;
    let peers = (config.memory.peers > 0).then(|| Peers::new(config.node_id, secret, accounts.peers.clone()));
    let node = Node::new(config, table, &accounts, &addresses, seed().map_err(Fault)?).map_err(Fault)?;
    let shell = Rc::new(RefCell::new(Shell::new(node, disk, peers, Clock::new(), connections_max)));
    spawn_local(pump_answers(shell.clone(), answers));
    spawn_local(close_turns(shell.clone()));
    spawn_local(keep_time(shell.clone()));
    spawn_local(systemd::feed_watchdog());
    spawn_local(power::watch());
    shell.borrow_mut().step(Input::Start);
    let is_member = !ports.is_empty();
    peers::start(&shell, ports);
    // Whoever asks why the other doors are shut gets an answer.
    let (status, doors): (Vec<_>, Vec<_>) = bound.into_iter().partition(|bound| bound.listener == Listener::Http);
    for bound in status {
        spawn_local(listen::accept(shell.clone(), bound, admission.clone()));
    }
    if is_member {
        spawn_local(ready_without_quorum(shell.clone()));
    }

    tokio::select! {
        _ = until(&shell, Shell::is_ready) => {
            println!("{ready}");
            systemd::notify(systemd::READY);
            for bound in doors {
                spawn_local(listen::accept(shell.clone(), bound, admission.clone()));
            }
        }
        () = signals.stop_requested() => {
            systemd::notify(systemd::STOPPING);
            shell.borrow_mut().step(Input::Stop);
        }
        _ = until(&shell, |shell| shell.end().is_some()) => {}
    }
    tokio::select! {
        () = signals.stop_requested() => {
            tracing::info!("stopping");
            systemd::notify(systemd::STOPPING);
            shell.borrow_mut().step(Input::Stop);
        }
        _ = until(&shell, |shell| shell.end().is_some()) => {}
    }
    tokio::select! {
        () = signals.stop_requested() => tracing::warn!("told twice: stopping at once"),
        _ = until(&shell, |shell| shell.end().is_some()) => {}
    }
    let end = shell.borrow().end();
    match end {
        Some(End::Fatal(sentence)) => Err(Fault(sentence)),
        Some(End::Stopped) | None => Ok(()),
    }
}

/// Tells the service manager that a member without a majority is up.
async fn ready_without_quorum(shell: Rc<RefCell<Shell>>) {
    tokio::time::sleep(WITHOUT_QUORUM).await;
    if !shell.borrow().is_ready() {
        tracing::warn!(
            "no majority of the members answers yet; the doors open when one does: if the others run, compare the server \
             lines in the files of all"
        );
        systemd::notify(systemd::READY_WITHOUT_QUORUM);
    }
}

/// Waits until `condition` holds.
async fn until(shell: &Rc<RefCell<Shell>>, condition: impl Fn(&Shell) -> bool) {
    let changed = shell.borrow().state_changed.clone();
    loop {
        let notified = changed.notified();
        if condition(&shell.borrow()) {
            return;
        }
        notified.await;
    }
}

async fn pump_answers(shell: Rc<RefCell<Shell>>, mut answers: Answers) {
    while let Some((ticket, result)) = answers.recv().await {
        shell.borrow_mut().step(Input::Disk { ticket, result });
    }
}

async fn close_turns(shell: Rc<RefCell<Shell>>) {
    let bell = shell.borrow().turn_bell.clone();
    loop {
        poll_fn(|context| bell.poll(context)).await;
        shell.borrow_mut().end_turn();
    }
}

async fn keep_time(shell: Rc<RefCell<Shell>>) {
    let bell = shell.borrow().timer_bell.clone();
    loop {
        let wake_at = shell.borrow().wake_at();
        let rung = poll_fn(|context| bell.poll(context));
        match wake_at {
            Some(at) => tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(at) => shell.borrow_mut().time(),
            },
            None => rung.await,
        }
    }
}

fn disk_config(config: &Config) -> DiskConfig {
    DiskConfig {
        coordinator_dir: config.directories.coordinator.clone(),
        topics_dir: config.directories.topics.clone(),
        emulate: config.test_disk,
    }
}

fn socket_buffers_wanted(config: &Config) -> usize {
    let (receive, send) = (config.kafka.socket_receive_bytes, config.kafka.socket_send_bytes);
    receive.unwrap_or(KERNEL_SOCKET_BYTES_MAX / 2).saturating_add(send.unwrap_or(KERNEL_SOCKET_BYTES_MAX / 2))
}

fn bind_all(config: &Config) -> Result<Vec<Bound>, String> {
    let kafka = config.kafka.listeners.iter().enumerate();
    let kafka = kafka.map(|(index, listener)| (Listener::Kafka(index as u8), &listener.bind));
    let zookeeper = [(Listener::ZooKeeper, &config.zookeeper.bind)];
    let mqtt = config.mqtt.listeners.iter().enumerate();
    let mqtt = mqtt.map(|(index, endpoint)| (Listener::Mqtt(index as u8), endpoint));
    let http = config.http.iter().map(|endpoint| (Listener::Http, endpoint));
    kafka
        .chain(zookeeper)
        .chain(mqtt)
        .chain(http)
        .map(|(listener, endpoint)| listen::bind(listener, endpoint))
        .collect()
}

fn ready_line(config: &Config, bound: &[Bound]) -> String {
    let addresses = |matches: fn(Listener) -> bool| {
        let all = bound.iter().filter(|bound| matches(bound.listener)).map(|bound| bound.address.to_string());
        all.collect::<Vec<_>>().join(",")
    };
    format!(
        "ready id={} kafka={} zookeeper={} mqtt={} http={} memory_budget={}",
        config.node_id,
        addresses(|listener| matches!(listener, Listener::Kafka(_))),
        addresses(|listener| matches!(listener, Listener::ZooKeeper)),
        addresses(|listener| matches!(listener, Listener::Mqtt(_))),
        addresses(|listener| matches!(listener, Listener::Http)),
        config.memory.budget_bytes,
    )
}

/// Chance for the node, from the kernel.
fn seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    // SAFETY: the pointer and the length are those of `bytes`.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == bytes.len() as isize {
        Ok(u64::from_ne_bytes(bytes))
    } else {
        Err("the kernel gave no random bytes".to_owned())
    }
}
