//! The reader of the demonstration: follows every partition of the topic through the Kafka door.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::TOPIC;
use super::ledger::Ledger;
use crate::cli::kafka::{Cluster, Position, Reader};
use crate::types::{Offset, PartitionIndex};

/// How long a fetch waits for something new.
const WAIT: Duration = Duration::from_millis(200);

/// How long a node may be silent before the reader looks for another one.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Reads until told to stop, over as many connections as it takes.
pub fn spawn(mut addresses: Vec<String>, ledger: Arc<Ledger>, stopping: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut positions = Vec::new();
        while !stopping.load(Ordering::Relaxed) {
            if follow(&addresses.join(","), &ledger, &stopping, &mut positions).is_err() {
                addresses.rotate_left(1); // the first accepts, perhaps, and does not answer
                thread::sleep(Duration::from_millis(50));
            }
        }
    })
}

fn follow(
    address: &str,
    ledger: &Ledger,
    stopping: &AtomicBool,
    positions: &mut Vec<(PartitionIndex, Offset)>,
) -> io::Result<()> {
    let mut cluster = Cluster::connect_within(address, Some(PATIENCE))?;
    for partition in cluster.topic(TOPIC, true)?.partitions {
        if !positions.iter().any(|(known, _)| *known == partition.index) {
            positions.push((partition.index, Offset(0)));
        }
    }
    let from = positions.iter().map(|&(partition, next)| Position { partition, next, end: None });
    let mut reader = Reader::new(cluster, TOPIC, from.collect());
    while !stopping.load(Ordering::Relaxed) {
        let result = reader.poll(WAIT, &mut |_, record| {
            if let Some((sensor, number)) = record.value.and_then(reading) {
                ledger.saw(sensor, number);
            }
            Ok(true)
        });
        *positions = reader.positions().iter().map(|position| (position.partition, position.next)).collect();
        result?;
    }
    Ok(())
}

fn reading(payload: &[u8]) -> Option<(usize, u64)> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some((value.get("sensor")?.as_u64()? as usize, value.get("reading")?.as_u64()?))
}
