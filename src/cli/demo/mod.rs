//! `tern demo`: nodes on this machine, simulated sensors on their MQTT doors, a reader on their Kafka doors, and nodes that
//! are killed, paused and cut off meanwhile. Exit code 0 only if nothing that was acknowledged is missing at the end, and
//! nothing came out doubled or out of order.

mod ensemble;
mod ledger;
mod links;
mod monitor;
mod node;
mod plan;
mod reader;
mod sensor;
mod table;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::interrupt;
use ensemble::Ensemble;
use ledger::Ledger;
use monitor::{Monitor, Whole};
use plan::{Act, Fault, Victim, plan};
use sensor::{Readings, Sensor};
use table::Table;

/// How many sensors publish.
const SENSORS: usize = 20;

/// Time between two readings of one sensor.
const RHYTHM: Duration = Duration::from_millis(20);

/// The topic that the mapping rule fills.
const TOPIC: &str = "sensors";

/// How long nodes may take to be in sync again, and the reader to catch up once the sensors have stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at how things stand.
const GLANCE: Duration = Duration::from_millis(20);

/// What `tern demo` was asked.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Nodes to start: 1, 3 or 5
    #[arg(long, default_value_t = 3, value_parser = number_of_nodes)]
    pub nodes: usize,
    /// How long the sensors publish, in seconds [default: 30; 20 with one node]
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Keep the nodes' files in this directory instead of removing them
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

fn number_of_nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" | "3" | "5" => text.parse().map_err(|_| "it is no number".to_owned()),
        _ => Err("allowed: 1, 3, 5; an even number survives no more losses than one less".to_owned()),
    }
}

/// Runs the demonstration; `Ok(true)` when nothing was lost.
pub fn run(options: &Options) -> io::Result<bool> {
    let seconds = options.seconds.unwrap_or(if options.nodes == 1 { 20 } else { 30 });
    let (directory, is_temporary) = match &options.keep {
        Some(directory) => (directory.clone(), false),
        None => (std::env::temp_dir().join(format!("tern-demo-{}", std::process::id())), true),
    };
    std::fs::create_dir_all(&directory)?;
    interrupt::catch();
    let outcome = demonstrate(options.nodes, &directory, Duration::from_secs(seconds));
    if is_temporary {
        std::fs::remove_dir_all(&directory)?;
    } else {
        println!("the nodes' files are in {}", directory.display());
    }
    outcome
}

fn demonstrate(nodes: usize, directory: &Path, duration: Duration) -> io::Result<bool> {
    let ensemble = Ensemble::start(nodes, directory)?;
    introduce(&ensemble);
    let monitor = Monitor::new(&ensemble.nodes);
    let sensing = Arc::new(AtomicBool::new(true));
    let (ledger, sensors) = sense(&ensemble, &sensing);
    let reader_stopping = Arc::new(AtomicBool::new(false));
    let reader = reader::spawn(ensemble.doors(|doors| &doors.kafka), ledger.clone(), reader_stopping.clone());

    let mut stage = Stage { ensemble, monitor, ledger, table: Table::new(), started: Instant::now() };
    for act in plan(nodes, duration) {
        let started = stage.started;
        stage.until(PATIENCE + duration, |_| started.elapsed() >= act.at)?;
        stage.play(act)?;
    }
    let rest = duration.saturating_sub(stage.started.elapsed());
    stage.until(rest, |_| false)?;
    sensing.store(false, Ordering::Relaxed);
    for sensor in sensors {
        let _ = sensor.join(); // a sensor that panicked has acknowledged nothing more
    }
    let ledger = stage.ledger.clone();
    stage.until(PATIENCE, |_| ledger.on_the_way() == 0)?;
    reader_stopping.store(true, Ordering::Relaxed);
    let _ = reader.join();
    stage.finish()
}

fn introduce(ensemble: &Ensemble) {
    for node in &ensemble.nodes {
        let doors = &node.doors;
        println!(
            "node {} is ready: MQTT {}  Kafka {}  ZooKeeper {}  http://{}/status",
            node.number, doors.mqtt, doors.kafka, doors.zookeeper, doors.http
        );
    }
    println!("{SENSORS} sensors publish at QoS 1 on all of them, one reader follows by Kafka's protocol\n");
}

/// Starts the sensors, spread over the nodes.
fn sense(ensemble: &Ensemble, sensing: &Arc<AtomicBool>) -> (Arc<Ledger>, Vec<JoinHandle<()>>) {
    let addresses: Arc<[String]> = ensemble.doors(|doors| &doors.mqtt).into();
    let silence_max = if addresses.len() > 1 { Duration::from_secs(2) } else { Duration::from_secs(5) };
    let readings: Vec<Arc<Readings>> = (0..SENSORS).map(|_| Arc::default()).collect();
    let start = |(number, readings): (usize, &Arc<Readings>)| {
        let sensor = Sensor {
            number,
            addresses: addresses.clone(),
            home: number,
            silence_max,
            rhythm: RHYTHM,
            sensing: sensing.clone(),
            readings: readings.clone(),
        };
        std::thread::spawn(move || sensor.run())
    };
    let sensors = readings.iter().enumerate().map(start).collect();
    (Arc::new(Ledger::new(readings)), sensors)
}

/// The nodes, those who watch them, and the clock.
struct Stage {
    ensemble: Ensemble,
    monitor: Monitor,
    ledger: Arc<Ledger>,
    table: Table,
    started: Instant,
}

impl Stage {
    /// Shows how things stand until `is_so` or for so long; how long that took, if it came to be.
    fn until(&mut self, at_most: Duration, mut is_so: impl FnMut(&Whole) -> bool) -> io::Result<Option<Duration>> {
        let since = Instant::now();
        loop {
            interrupt::check()?;
            let whole = self.monitor.whole(&self.ensemble.nodes);
            self.table.refresh(&self.ensemble.nodes, &whole, &self.ledger);
            if is_so(&whole) {
                return Ok(Some(since.elapsed()));
            }
            if since.elapsed() >= at_most {
                return Ok(None);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// One act: something happens to a node, the others go on, it comes back and is in sync again.
    fn play(&mut self, act: Act) -> io::Result<()> {
        let victim = self.choose(act.victim);
        self.table.event(&self.breaks(act.fault, victim));
        match act.fault {
            Fault::Kill => self.ensemble.node(victim)?.kill()?,
            Fault::Pause => self.ensemble.node(victim)?.pause(true),
            Fault::CutOff => self.ensemble.cut(victim, true)?,
        }
        let since = Instant::now();
        if self.ensemble.nodes.len() > 1 {
            match self.until(act.lasts.max(PATIENCE), |whole| whole.goes_on_without(victim))? {
                Some(after) => self.table.event(&self.goes_on(after)),
                None => self.table.event("the others do not go on without it"),
            }
        }
        self.until(act.lasts.saturating_sub(since.elapsed()), |_| false)?;
        self.mend(act.fault, victim)
    }

    fn mend(&mut self, fault: Fault, victim: usize) -> io::Result<()> {
        let since = Instant::now();
        match fault {
            Fault::Kill => {
                self.ensemble.node(victim)?.restart()?;
                self.ensemble.node(victim)?.ready()?;
            }
            Fault::Pause => self.ensemble.node(victim)?.pause(false),
            Fault::CutOff => self.ensemble.cut(victim, false)?,
        }
        let count = self.ensemble.nodes.len();
        let ready = since.elapsed();
        match self.until(PATIENCE, |whole| whole.is_whole(count))? {
            _ if count == 1 => {
                self.table.event(&format!("the node was started again and was ready after {} ms", ready.as_millis()));
            }
            Some(_) => {
                let back = ["started again", "goes on", "reaches the others again"][fault as usize];
                let after = since.elapsed().as_secs_f64();
                self.table.event(&format!("node {victim} {back}: every copy is in sync after {after:.1} s"));
            }
            None => self.table.event(&format!("node {victim} is back, but not every copy is in sync")),
        }
        Ok(())
    }

    /// The number of the node that an act means.
    fn choose(&self, victim: Victim) -> usize {
        let whole = self.monitor.whole(&self.ensemble.nodes);
        let controller = usize::try_from(whole.controller).unwrap_or(1).max(1);
        match victim {
            Victim::Controller => controller,
            Victim::Leader => {
                let others = self.ensemble.nodes.iter().map(|node| node.number).filter(|&number| number != controller);
                others.max_by_key(|&number| whole.led_by(number)).unwrap_or(controller)
            }
        }
    }

    fn breaks(&self, fault: Fault, victim: usize) -> String {
        let whole = self.monitor.whole(&self.ensemble.nodes);
        let is_controller = whole.controller == victim as i32;
        let what = match (self.ensemble.nodes.len(), is_controller) {
            (1, _) => "the node".to_owned(),
            (_, true) => format!("node {victim}, the controller,"),
            (_, false) => {
                format!("node {victim}, which leads {} of {} partitions,", whole.led_by(victim), whole.partitions.len())
            }
        };
        match fault {
            Fault::Kill => format!("{what} is killed (kill -9)"),
            Fault::Pause => format!("{what} is paused (SIGSTOP)"),
            Fault::CutOff => format!("{what} is cut off from the others"),
        }
    }

    fn goes_on(&self, after: Duration) -> String {
        let whole = self.monitor.whole(&self.ensemble.nodes);
        format!(
            "node {} is the controller, every partition is led: {:.1} s later",
            whole.controller,
            after.as_secs_f64()
        )
    }

    /// Ends everything; true when all is as it must be.
    fn finish(mut self) -> io::Result<bool> {
        let count = self.ensemble.nodes.len();
        let healed = self.until(PATIENCE, |whole| whole.is_whole(count))?.is_some();
        let whole = self.monitor.whole(&self.ensemble.nodes);
        self.table.finish(&self.ensemble.nodes, &whole, &self.ledger);
        drop(self.monitor);
        let stopped = self.ensemble.stop()?;
        if !healed {
            println!("\nnot every copy came in sync again");
        }
        if !stopped {
            println!("\na node did not stop cleanly");
        }
        println!("\n{}", self.ledger.verdict());
        Ok(self.ledger.is_good() && healed && stopped)
    }
}
