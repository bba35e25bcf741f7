//! `tern bench latency`: from a producer to a consumer, one record a request, at a fixed rate.
//!
//! Three threads: one sends on time whatever the answers do, one reads the answers, one follows every partition. A
//! record carries the time at which it was due, so that a sender that was held up does not hide it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Outcome;
use super::histogram::Histogram;
use super::produce::{self, CORRELATION_AT};
use crate::cli::kafka::{Client, LATEST};
use crate::record::{Batches, open};
use crate::types::{Offset, PartitionIndex};

/// How long a fetch waits for something new.
const WAIT: Duration = Duration::from_millis(500);

/// How long the consumer waits for the last records.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to send.
pub struct Load {
    /// `host:port` of the broker.
    pub address: String,
    /// The topic, which exists.
    pub topic: String,
    /// Its partitions; records go to them in turn.
    pub partitions: Vec<PartitionIndex>,
    /// Records a second.
    pub rate: u32,
    /// Bytes of each record's value, at least 8.
    pub record_bytes: usize,
    /// How long.
    pub duration: Duration,
}

/// Runs the load to its end; `acknowledged` counts what the consumer got, `latency` is from due to consumed,
/// `acknowledgement` from due to the answer.
pub fn run(load: &Load) -> io::Result<Outcome> {
    let mut client = Client::connect(&load.address)?;
    let positions = client.offsets_at(&load.topic, &load.partitions, LATEST)?;
    let output = TcpStream::connect(&load.address)?;
    output.set_nodelay(true)?;
    let input = output.try_clone()?;
    input.set_read_timeout(Some(PATIENCE))?;
    let count = load.duration.as_millis() as u64 * u64::from(load.rate) / 1000;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let partitions = positions.len() as i32;
        let sender = scope.spawn(move || send(load, output, partitions, count, started));
        let answers = scope.spawn(move || read_answers(load, input, count, started));
        let outcome = follow(load, client, positions, count, started);
        sender.join().map_err(|_| io::Error::other("the sender ended"))??;
        let acknowledgement = answers.join().map_err(|_| io::Error::other("the reader of answers ended"))??;
        outcome.map(|outcome| Outcome { acknowledgement: Some(acknowledgement), ..outcome })
    })
}

/// When record `number` is due.
fn due(load: &Load, number: u64) -> Duration {
    Duration::from_nanos(number * 1_000_000_000 / u64::from(load.rate))
}

fn send(load: &Load, mut output: TcpStream, partitions: i32, count: u64, started: Instant) -> io::Result<()> {
    for number in 0..count {
        let due = due(load, number);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let mut value = vec![b'x'; load.record_bytes.max(8)];
        value[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        let partition = (number % partitions as u64) as i32;
        let mut request = produce::request(&load.topic, partition, 1, &value);
        request[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&(number as u32).to_be_bytes());
        output.write_all(&request)?;
    }
    Ok(())
}

fn read_answers(load: &Load, mut input: TcpStream, count: u64, started: Instant) -> io::Result<Histogram> {
    let (mut frame, mut latency) = (vec![0; 4096], Histogram::default());
    for number in 0..count {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let Some(bytes) = frame.get_mut(..u32::from_be_bytes(length) as usize) else {
            return Err(io::Error::other("an answer too large"));
        };
        input.read_exact(bytes)?;
        produce::check(bytes, number as i32, true, load.topic.len())?;
        latency.add(started.elapsed().saturating_sub(due(load, number)));
    }
    Ok(latency)
}

/// Follows every partition until all has come or nothing comes any more.
fn follow(
    load: &Load,
    mut client: Client,
    mut positions: Vec<(PartitionIndex, Offset)>,
    count: u64,
    started: Instant,
) -> io::Result<Outcome> {
    let (mut outcome, mut scratch) = (Outcome::default(), Vec::new());
    let mut latency = Histogram::default();
    while outcome.acknowledged < count && started.elapsed() < load.duration + PATIENCE {
        let from = positions.clone();
        for (partition, fetched) in client.fetch(&load.topic, &from, WAIT)? {
            let fetched = fetched.map_err(|code| io::Error::other(code.to_string()))?;
            let Some(position) = positions.iter_mut().find(|position| position.0 == partition) else { continue };
            for batch in Batches::new(fetched.records).flatten() {
                for record in open(&batch, &mut scratch, usize::MAX).map_err(io::Error::other)?.flatten() {
                    let stamp = record.value.and_then(|value| value.get(..8)?.try_into().ok());
                    let due = Duration::from_nanos(stamp.map_or(0, u64::from_be_bytes));
                    latency.add(started.elapsed().saturating_sub(due));
                    outcome.acknowledged += 1;
                    outcome.bytes += record.value.map_or(0, |value| value.len() as u64);
                }
                position.1 = position.1.max(batch.next_offset());
            }
        }
    }
    outcome.elapsed = started.elapsed();
    outcome.latency = latency;
    Ok(outcome)
}
