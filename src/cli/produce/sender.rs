//! Batches to the leaders of partitions, as an idempotent producer: a batch whose acknowledgement was lost is sent again
//! and is in the log once.

use std::io;
use std::time::{Duration, Instant};

use super::compress::compress;
use super::input::Line;
use crate::cli::arguments::Compression;
use crate::cli::kafka::{Cluster, Topic, check};
use crate::kafka::codec::{Api, InitProducerIdRequest, InitProducerIdResponse};
use crate::kafka::errors::ErrorCode;
use crate::record::{BatchBuilder, NewRecord, Producer, partition_of};
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex};

/// A batch is sent at this size; the longest line is a little shorter. Kafka's default for a record batch.
const BATCH_BYTES_MAX: usize = 1_048_588;

/// A batch is sent at this size when more lines wait.
const BATCH_BYTES_WANTED: usize = 256 * 1024;

/// How long a batch is tried.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// One partition's batch.
struct Lane {
    partition: PartitionIndex,
    leader: NodeId,
    builder: BatchBuilder,
    sequence: i32,
}

/// Where the records go.
pub(super) struct Sender {
    cluster: Cluster,
    topic: String,
    lanes: Vec<Lane>,
    turn: usize,
    compression: Compression,
    producer: Option<Producer>,
    acknowledged: u64,
}

impl Sender {
    /// Sends to the partitions of `topic`.
    pub fn new(mut cluster: Cluster, topic: Topic, compression: Compression) -> io::Result<Sender> {
        let producer = producer(&mut cluster)?;
        let lanes = topic.partitions.iter().map(|partition| Lane {
            partition: partition.index,
            leader: partition.leader,
            builder: BatchBuilder::new(BATCH_BYTES_MAX),
            sequence: 0,
        });
        let lanes = lanes.collect();
        Ok(Sender { cluster, topic: topic.name, lanes, turn: 0, compression, producer, acknowledged: 0 })
    }

    /// Records that are in the log.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Adds a record, by its key or in turn, and sends a batch that is large enough.
    pub fn push(&mut self, line: &Line, number: u64) -> io::Result<()> {
        let place = match &line.key {
            Some(key) => partition_of(key, self.lanes.len() as u32).0 as usize,
            None => self.turn % self.lanes.len(),
        };
        let headers: Vec<(&[u8], &[u8])> =
            line.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let record = NewRecord {
            timestamp: line.timestamp,
            key: line.key.as_deref(),
            value: line.value.as_deref(),
            headers: &headers,
        };
        if self.lanes[place].builder.push(&record).is_err() {
            self.send(place)?;
            if self.lanes[place].builder.push(&record).is_err() {
                let sentence = format!("line {number} is longer than a batch of {BATCH_BYTES_MAX} bytes");
                return Err(io::Error::other(sentence));
            }
        }
        if self.lanes[place].builder.encoded_bytes() >= BATCH_BYTES_WANTED {
            self.send(place)?;
        }
        Ok(())
    }

    /// Sends what is gathered; the next records without a key go to another partition.
    pub fn flush(&mut self) -> io::Result<()> {
        for place in 0..self.lanes.len() {
            self.send(place)?;
        }
        self.turn += 1;
        Ok(())
    }

    fn send(&mut self, place: usize) -> io::Result<()> {
        let lane = &mut self.lanes[place];
        let count = lane.builder.record_count();
        if count == 0 {
            return Ok(());
        }
        if let Some(producer) = self.producer {
            lane.builder.set_producer(Producer { base_sequence: lane.sequence, ..producer });
        }
        let batch = lane.builder.seal(Offset(0), LeaderEpoch::NONE).to_vec();
        let batch = compress(batch, self.compression)?;
        self.deliver(place, &batch)?;
        let lane = &mut self.lanes[place];
        lane.sequence = (i64::from(lane.sequence) + i64::from(count)).rem_euclid(1 << 31) as i32;
        self.acknowledged += u64::from(count);
        Ok(())
    }

    /// Tries until the batch is acknowledged; without a producer id only what was surely not written is tried again.
    fn deliver(&mut self, place: usize, batch: &[u8]) -> io::Result<()> {
        let started = Instant::now();
        loop {
            let lane = &self.lanes[place];
            let (partition, leader) = (lane.partition, lane.leader);
            let client = self.cluster.broker(leader);
            let error = match client.and_then(|client| client.produce(&self.topic, partition, batch)) {
                Ok(Ok(_) | Err(ErrorCode::DUPLICATE_SEQUENCE_NUMBER)) => return Ok(()),
                Ok(Err(code)) => {
                    let Err(error) = check(code, &format!("{}-{partition}", self.topic)) else { return Ok(()) };
                    if !is_passing(code) {
                        return Err(error);
                    }
                    error
                }
                Err(error) if self.producer.is_none() => return Err(error),
                Err(error) => {
                    self.cluster.reconnect();
                    error
                }
            };
            if started.elapsed() >= PATIENCE {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
            if let Ok(topic) = self.cluster.topic(&self.topic, false) {
                for lane in &mut self.lanes {
                    let found = topic.partitions.iter().find(|found| found.index == lane.partition);
                    lane.leader = found.map_or(lane.leader, |found| found.leader);
                }
            }
        }
    }
}

/// Codes that say "not now".
fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode::THROTTLING_QUOTA_EXCEEDED
    )
}

/// A producer id, when the broker gives one.
fn producer(cluster: &mut Cluster) -> io::Result<Option<Producer>> {
    let client = cluster.any()?;
    if !client.has(Api::InitProducerId, 1)? {
        return Ok(None);
    }
    let started = Instant::now();
    loop {
        let response: InitProducerIdResponse = client.call(1, &InitProducerIdRequest::default())?;
        match response.error_code {
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
                if started.elapsed() < PATIENCE => {}
            code => {
                check(code, "a producer id")?;
                let (id, epoch) = (response.producer_id, response.producer_epoch);
                return Ok(Some(Producer { id, epoch, base_sequence: 0 }));
            }
        }
        std::thread::sleep(PAUSE);
    }
}
