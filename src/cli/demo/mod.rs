//! `tern demo`: a node on this machine, simulated sensors on its MQTT door, a reader on its Kafka door, and a kill in
//! the middle. Exit code 0 only if nothing that was acknowledged is missing at the end.

mod ledger;
mod node;
mod reader;
mod sensor;
mod table;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ledger::Ledger;
use node::Node;
use sensor::{Readings, Sensor};
use table::Table;

/// How many sensors publish.
const SENSORS: usize = 20;

/// Time between two readings of one sensor.
const RHYTHM: Duration = Duration::from_millis(20);

/// How long the reader may take to catch up once the sensors have stopped.
const CATCH_UP: Duration = Duration::from_secs(20);

/// What `tern demo` was asked.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Nodes to start; an ensemble of several is not there yet
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    pub nodes: u8,
    /// How long the sensors publish, in seconds
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Keep the node's files in this directory instead of removing them
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the demonstration; `Ok(true)` when nothing was lost.
pub fn run(options: &Options) -> io::Result<bool> {
    let duration = Duration::from_secs(options.seconds);
    let (directory, temporary) = match &options.keep {
        Some(directory) => (directory.clone(), false),
        None => (std::env::temp_dir().join(format!("tern-demo-{}", std::process::id())), true),
    };
    std::fs::create_dir_all(&directory)?;
    let outcome = demonstrate(&directory, duration);
    if temporary {
        std::fs::remove_dir_all(&directory)?;
    } else {
        println!("the node's files are in {}", directory.display());
    }
    outcome
}

fn demonstrate(directory: &std::path::Path, duration: Duration) -> io::Result<bool> {
    let mut node = Node::start(directory)?;
    println!("a node is ready: Kafka on {}, MQTT on {}, status on http://{}/status", node.kafka, node.mqtt, node.http);
    println!("{SENSORS} sensors publish at QoS 1; the node is killed half-way and started again\n");
    let stopping = Arc::new(AtomicBool::new(false));
    let readings: Vec<Arc<Readings>> = (0..SENSORS).map(|_| Arc::default()).collect();
    let mut sensors = Vec::new();
    for (number, readings) in readings.iter().enumerate() {
        let sensor = Sensor {
            number,
            address: node.mqtt.clone(),
            rhythm: RHYTHM,
            stopping: stopping.clone(),
            readings: readings.clone(),
        };
        sensors.push(std::thread::spawn(move || sensor.run()));
    }
    let ledger = Arc::new(Ledger::new(readings));
    let reader_stopping = Arc::new(AtomicBool::new(false));
    let reader = reader::spawn(node.kafka.clone(), ledger.clone(), reader_stopping.clone());

    let mut table = Table::new();
    let (started, mut killed) = (Instant::now(), false);
    while started.elapsed() < duration {
        std::thread::sleep(Duration::from_millis(250));
        table.show(started.elapsed(), &ledger, node.resident_bytes(), node.memory_budget_bytes, "");
        if !killed && started.elapsed() >= duration / 2 {
            killed = true;
            table.show(started.elapsed(), &ledger, 0, node.memory_budget_bytes, "killed (SIGKILL)");
            let at = Instant::now();
            node.kill_and_restart()?;
            table.note(&format!("the node was killed and was ready again after {} ms", at.elapsed().as_millis()));
        }
    }
    stopping.store(true, Ordering::Relaxed);
    for sensor in sensors {
        let _ = sensor.join(); // a sensor that panicked has acknowledged nothing more
    }
    let waiting = Instant::now();
    while ledger.on_the_way() > 0 && waiting.elapsed() < CATCH_UP {
        std::thread::sleep(Duration::from_millis(20));
    }
    table.show(started.elapsed(), &ledger, node.resident_bytes(), node.memory_budget_bytes, "");
    reader_stopping.store(true, Ordering::Relaxed);
    let _ = reader.join();
    node.stop()?;
    println!("\n{}", ledger.verdict());
    Ok(ledger.on_the_way() == 0 && ledger.acknowledged() > 0)
}
