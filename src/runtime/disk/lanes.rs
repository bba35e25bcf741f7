//! The four threads. Each takes operations from its own queue and runs them on the device.
//!
//! Invariants: in order, one at a time, one answer each; a queue never grows beyond `QUEUE_MAX`.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::effect::{DiskDone, DiskError, DiskOp, Lane, Root};
use crate::log::job;
use crate::log::storage::Storage;
use crate::metrics::METRICS;
use crate::types::Ticket;

use super::Device;

/// More than a node ever asks at once: an operation for each partition at start, and some.
const QUEUE_MAX: usize = 16 * 1024;

/// Jobs recurse nowhere and keep their buffers on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// In the order of their discriminants.
const LANES: [(Lane, &str); 4] =
    [(Lane::Quorum, "quorum"), (Lane::Append, "append"), (Lane::Read, "read"), (Lane::Janitor, "janitor")];
const _: () = assert!(
    Lane::Quorum as usize == 0 && Lane::Append as usize == 1 && Lane::Read as usize == 2 && Lane::Janitor as usize == 3
);

/// The lane that looks how much room is left, for the metrics: nobody waits for it.
const MEASURING_LANE: &str = "janitor";

/// How old that number may be while the lane has work.
const BETWEEN_MEASUREMENTS: Duration = Duration::from_secs(10);

type Answer = Box<dyn Fn(Ticket, Result<DiskDone, DiskError>) + Send>;

/// The running threads; dropping them waits for what is queued.
pub struct Lanes {
    queues: [Arc<Queue>; 4],
    threads: Vec<JoinHandle<()>>,
    answer: Answer,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Ticket, DiskOp)>,
    closed: bool,
}

impl Lanes {
    /// Starts a thread a lane, each with its own clone of `device` and of `answer`.
    pub fn start(
        device: &Device,
        answer: impl Fn(Ticket, Result<DiskDone, DiskError>) + Send + Clone + 'static,
    ) -> Result<Lanes, String> {
        let queues = LANES.map(|_| Arc::new(Queue::default()));
        let mut lanes = Lanes { queues, threads: Vec::new(), answer: Box::new(answer.clone()) };
        for ((_, name), queue) in LANES.into_iter().zip(lanes.queues.clone()) {
            let (device, answer) = (device.clone(), answer.clone());
            let thread = std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES);
            let spawned = thread.spawn(move || run(name, &queue, device, answer));
            lanes.threads.push(spawned.map_err(|error| format!("cannot start the {name} disk thread: {error}"))?);
        }
        Ok(lanes)
    }

    /// Queues; a full queue answers at once.
    pub fn submit(&self, lane: Lane, ticket: Ticket, op: DiskOp) {
        if !self.queues[lane as usize].push(ticket, op) {
            (self.answer)(ticket, Err(DiskError::Io("too many disk operations are waiting".into())));
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.queues.iter().for_each(|queue| queue.close());
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a lane that panicked has ended the process
        }
    }
}

impl Queue {
    fn push(&self, ticket: Ticket, op: DiskOp) -> bool {
        let mut state = self.lock();
        if state.waiting.len() >= QUEUE_MAX {
            return false;
        }
        state.waiting.push_back((ticket, op));
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Waits for an operation; `None` when the queue is closed and empty.
    fn pop(&self) -> Option<(Ticket, DiskOp)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.waiting.pop_front() {
                return Some(next);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(name: &'static str, queue: &Queue, mut device: Device, answer: impl Fn(Ticket, Result<DiskDone, DiskError>)) {
    let _guard = EndOfProcess { name };
    let mut measured = None;
    while let Some((ticket, op)) = queue.pop() {
        let start = Instant::now();
        let result = job::run(op, &mut device);
        METRICS.disk.job_micros.observe_duration(start.elapsed());
        answer(ticket, result);
        if name == MEASURING_LANE && measured.is_none_or(|at: Instant| at.elapsed() >= BETWEEN_MEASUREMENTS) {
            measured = Some(Instant::now());
            let _ = device.free_bytes(Root::Topics); // only for the metrics, which it sets
        }
    }
}

/// Ends the process when its lane panics. Where panics abort, which is how releases are built, the abort comes first.
struct EndOfProcess {
    name: &'static str,
}

impl Drop for EndOfProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("tern: the {} disk thread failed; what it was doing may be half done", self.name);
            std::process::exit(1);
        }
    }
}
