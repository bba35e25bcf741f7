//! `tern bench produce`: connections that keep a window of produce requests full, acks=all.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;
use super::histogram::Histogram;
use crate::cli::moment;
use crate::kafka::codec::{Array, Message, PartitionProduceData, ProduceRequest, TopicProduceData, write_request};
use crate::record::{BatchBuilder, NewRecord};
use crate::types::{LeaderEpoch, Offset, PartitionIndex};

/// The version sent: the newest without compact lengths, which every broker has.
const PRODUCE_VERSION: i16 = 7;

/// Where the correlation id stands in a request, its length included.
pub const CORRELATION_AT: usize = 8;

/// What to send.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port` of the broker.
    pub address: String,
    /// The topic, which exists.
    pub topic: String,
    /// Requests go to partitions 0 to this in turn.
    pub partitions: i32,
    /// Connections.
    pub connections: usize,
    /// Requests a connection keeps in flight.
    pub in_flight: usize,
    /// Records in each request's batch.
    pub records: usize,
    /// Bytes of each record's value.
    pub record_bytes: usize,
    /// How long.
    pub duration: Duration,
    /// False for a peer that answers with a correlation id and nothing else.
    pub check_errors: bool,
}

/// Runs the load to its end.
pub async fn run(load: Load) -> io::Result<Outcome> {
    let started = Instant::now();
    let deadline = started + load.duration;
    let senders = (0..load.connections).map(|number| tokio::task::spawn_local(send(load.clone(), number, deadline)));
    let senders: Vec<_> = senders.collect();
    let mut outcome = Outcome::default();
    for sender in senders {
        let (requests, latency) = sender.await.map_err(io::Error::other)??;
        outcome.acknowledged += requests * load.records as u64;
        outcome.bytes += requests * (load.records * load.record_bytes) as u64;
        outcome.latency.merge(&latency);
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

async fn send(load: Load, number: usize, deadline: Instant) -> io::Result<(u64, Histogram)> {
    let mut stream = TcpStream::connect(&load.address).await?;
    stream.set_nodelay(true)?;
    let (mut input, mut output) = stream.split();
    let value = vec![b'x'; load.record_bytes];
    let mut requests: Vec<_> =
        (0..load.partitions).map(|partition| request(&load.topic, partition, load.records, &value)).collect();
    let mut next = number % requests.len();
    let (mut sent, mut latency) = (VecDeque::<Instant>::new(), Histogram::default());
    let (mut first, mut done, mut frame) = (0_i32, 0, vec![0; 4096]);
    loop {
        while sent.len() < load.in_flight && Instant::now() < deadline {
            let correlation = first.wrapping_add(sent.len() as i32);
            let bytes = &mut requests[next];
            next = (next + 1) % load.partitions as usize;
            bytes[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
            output.write_all(bytes).await?;
            sent.push_back(Instant::now());
        }
        let Some(&at) = sent.front() else { return Ok((done, latency)) };
        let mut length = [0; 4];
        input.read_exact(&mut length).await?;
        let length = u32::from_be_bytes(length) as usize;
        let Some(answer) = frame.get_mut(..length) else { return Err(io::Error::other("an answer too large")) };
        input.read_exact(answer).await?;
        check(answer, first, load.check_errors, load.topic.len())?;
        sent.pop_front();
        first = first.wrapping_add(1);
        latency.add(at.elapsed());
        done += 1;
    }
}

/// Correlation id, then one topic with its name, one partition with index and error code.
pub fn check(answer: &[u8], correlation: i32, errors: bool, topic_bytes: usize) -> io::Result<()> {
    if answer.get(..4) != Some(&correlation.to_be_bytes()) {
        return Err(io::Error::other("answers out of order"));
    }
    let code_at = 4 + 4 + 2 + topic_bytes + 4 + 4;
    if errors && answer.get(code_at..code_at + 2) != Some(&[0, 0]) {
        return Err(io::Error::other(format!("the broker refused a batch: {answer:02x?}")));
    }
    Ok(())
}

/// A request with one batch of so many equal records, of now: brokers that delete by the records' time keep them.
pub fn request(topic: &str, partition: i32, records: usize, value: &[u8]) -> Vec<u8> {
    let record = NewRecord { timestamp: moment::now(), key: None, value: Some(value), headers: &[] };
    let mut builder = BatchBuilder::new(records * (value.len() + 32) + 128);
    for _ in 0..records {
        builder.push(&record).expect("the builder has room for exactly these");
    }
    let batch = builder.seal(Offset(0), LeaderEpoch(-1));
    let partitions = [PartitionProduceData { index: PartitionIndex(partition), records: Some(&batch) }];
    let topics = [TopicProduceData { name: topic, partition_data: Array::of(&partitions), ..Default::default() }];
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: Array::of(&topics), ..Default::default() };
    let mut bytes = Vec::with_capacity(request.size(PRODUCE_VERSION) + 64);
    write_request(&mut bytes, PRODUCE_VERSION, 0, Some("tern-bench"), &request).expect("the buffer was measured");
    bytes
}
