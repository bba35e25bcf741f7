//! The reader of the demonstration: follows every partition of the topic through the Kafka door.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::ledger::Ledger;
use crate::cli::kafka::Client;
use crate::record::{Batches, open};
use crate::types::{Offset, PartitionIndex};

/// The topic that the demonstration's mapping rule fills.
const TOPIC: &str = "sensors";

/// How long a fetch waits for something new.
const WAIT: Duration = Duration::from_millis(200);

/// Bound of one decompressed batch.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads until told to stop, over as many connections as it takes.
pub fn spawn(address: String, ledger: Arc<Ledger>, stopping: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut positions = Vec::new();
        while !stopping.load(Ordering::Relaxed) {
            if follow(&address, &ledger, &stopping, &mut positions).is_err() {
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
    let mut client = Client::connect(address)?;
    for partition in client.partitions(TOPIC, true)? {
        if !positions.iter().any(|(known, _)| *known == partition) {
            positions.push((partition, Offset(0)));
        }
    }
    while !stopping.load(Ordering::Relaxed) {
        for (partition, fetched) in client.fetch(TOPIC, positions, WAIT)? {
            let fetched = fetched.map_err(|code| io::Error::other(code.to_string()))?;
            if let Some((_, position)) = positions.iter_mut().find(|(known, _)| *known == partition) {
                *position = take(fetched.records, *position, ledger)?;
            }
        }
    }
    Ok(())
}

/// Enters the readings of whole batches; the position after them.
fn take(bytes: &[u8], mut position: Offset, ledger: &Ledger) -> io::Result<Offset> {
    let mut scratch = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break }; // a part of a batch: it comes again, whole
        batch.check_crc().map_err(io::Error::other)?;
        for record in open(&batch, &mut scratch, BATCH_BYTES_MAX).map_err(io::Error::other)? {
            let record = record.map_err(io::Error::other)?;
            if record.offset >= position
                && let Some((sensor, number)) = record.value.and_then(reading)
            {
                ledger.saw(sensor, number);
            }
        }
        position = position.max(batch.next_offset());
    }
    Ok(position)
}

fn reading(payload: &[u8]) -> Option<(usize, u64)> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some((value.get("sensor")?.as_u64()? as usize, value.get("reading")?.as_u64()?))
}
