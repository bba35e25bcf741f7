//! `tern bench consume`: one connection that fetches a partition from its beginning, as fast as it comes.

use std::io;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::cli::kafka::{Client, EARLIEST};
use crate::record::Batches;
use crate::types::{Offset, PartitionIndex};

/// Fetches until the end of the partition or the duration, whichever is first; `acknowledged` counts records.
pub fn run(address: &str, topic: &str, partition: PartitionIndex, duration: Duration) -> io::Result<Outcome> {
    let mut client = Client::connect(address)?;
    let begin = client.offsets_at(topic, &[partition], EARLIEST)?;
    let mut position = begin.first().map_or(Offset(0), |&(_, offset)| offset);
    let (started, mut outcome) = (Instant::now(), Outcome::default());
    while started.elapsed() < duration {
        let asked = Instant::now();
        let mut fetched = client.fetch(topic, &[(partition, position)], Duration::ZERO)?;
        let Some((_, fetched)) = fetched.pop() else { break };
        let fetched = fetched.map_err(|code| io::Error::other(code.to_string()))?;
        outcome.latency.add(asked.elapsed());
        let next = after(fetched.records, position);
        if next == position {
            break;
        }
        outcome.acknowledged += (next.0 - position.0) as u64;
        outcome.bytes += fetched.records.len() as u64;
        position = next;
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

/// The offset after the last whole batch.
fn after(bytes: &[u8], from: Offset) -> Offset {
    Batches::new(bytes).flatten().last().map_or(from, |batch| from.max(batch.next_offset()))
}
