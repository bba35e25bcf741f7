//! `tern bench consume`: one connection that fetches partitions from their beginning, as fast as they come.

use std::io;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::cli::kafka::{Client, EARLIEST};
use crate::record::Batches;
use crate::types::{Offset, PartitionIndex};

/// Fetches until the end of every partition or the duration, whichever is first; `acknowledged` counts records.
pub fn run(address: &str, topic: &str, partitions: &[PartitionIndex], duration: Duration) -> io::Result<Outcome> {
    let mut client = Client::connect(address)?;
    let mut positions = client.offsets_at(topic, partitions, EARLIEST)?;
    let (started, mut outcome) = (Instant::now(), Outcome::default());
    while started.elapsed() < duration {
        let asked = Instant::now();
        let mut moved = false;
        let from = positions.clone();
        for (partition, fetched) in client.fetch(topic, &from, Duration::ZERO)? {
            let fetched = fetched.map_err(|code| io::Error::other(code.to_string()))?;
            let Some(at) = positions.iter().position(|&(index, _)| index == partition) else { continue };
            let position = positions[at].1;
            let next = after(fetched.records, position);
            if next > position {
                outcome.acknowledged += (next.0 - position.0) as u64;
                outcome.bytes += fetched.records.len() as u64;
                // A broker that fills its answer in the order asked must not be asked for the same ones first again.
                positions.remove(at);
                positions.push((partition, next));
                moved = true;
            }
        }
        if !moved {
            break;
        }
        outcome.latency.add(asked.elapsed());
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

/// The offset after the last whole batch.
fn after(bytes: &[u8], from: Offset) -> Offset {
    Batches::new(bytes).flatten().last().map_or(from, |batch| from.max(batch.next_offset()))
}
