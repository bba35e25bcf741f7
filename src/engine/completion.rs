//! What the engine answers later, and to whom.
//!
//! A command that cannot answer at once takes a `Waiter`; exactly one `Completion` comes back for it, unless its
//! connection is dropped first. Watches are one-shot; tails repeat until they are switched off.

use std::sync::Arc;

use bytes::Bytes;

use super::{AppendError, PartitionKey, ProducerIdError, ProposeError, ReadError, TopicError, TxnResult};
use crate::types::{ConnId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Slot, Timestamp, TopicId};

/// Which room of the four a completion goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// The Kafka protocol.
    Kafka,
    /// The ZooKeeper protocol.
    ZooKeeper,
    /// MQTT.
    Mqtt,
    /// Status and metrics.
    Http,
}

/// Where an answer goes: a request of a connection. A door without connections of its own in mind (a tail) uses
/// `Waiter::door`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The room that asked.
    pub door: Door,
    /// On behalf of which socket.
    pub conn: ConnId,
    /// Which of that socket's requests; the door's own numbering.
    pub slot: Slot,
}

impl Waiter {
    /// The door itself, no connection: never forgotten by `drop_connection`.
    pub const fn door(door: Door) -> Waiter {
        Waiter { door, conn: ConnId { index: u32::MAX, generation: u32::MAX }, slot: Slot(0) }
    }
}

/// Where a batch or a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedAt {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// The broker's time when `message.timestamp.type` is LogAppendTime, else -1.
    pub log_append_time: Timestamp,
    /// First offset the log still holds.
    pub log_start_offset: Offset,
}

/// Whole batches from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadData {
    /// v2 batches as they lie on the disk, CRC checked; the first may begin before the offset asked for. Empty when
    /// nothing lies below the high watermark yet.
    pub bytes: Bytes,
    /// Everything below is acknowledged.
    pub high_watermark: Offset,
    /// First offset the log still holds.
    pub log_start_offset: Offset,
    /// Everything below belongs to no open transaction. The high watermark, until there are transactions.
    pub last_stable_offset: Offset,
}

/// An offset that was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// Its record's time; -1 for earliest and latest.
    pub timestamp: Timestamp,
    /// The epoch of the batch, or of the leader for latest; `NONE` when unknown.
    pub leader_epoch: LeaderEpoch,
}

/// A topic that was created, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDone {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has (had).
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i16,
}

/// A partition as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// Of the current leadership.
    pub leader_epoch: LeaderEpoch,
    /// First offset the log still holds.
    pub log_start_offset: Offset,
    /// Everything below is acknowledged and may be read.
    pub high_watermark: Offset,
    /// The next record's offset.
    pub log_end_offset: Offset,
    /// Bytes of its segments.
    pub size_bytes: u64,
    /// False while the log opens or after the disk refused it: appends and reads answer with an error.
    pub is_open: bool,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// `propose`: applied, successfully or not; or never known.
    Proposed(Result<TxnResult, ProposeError>),
    /// `append`, `append_record`: acknowledged by every replica in sync, on disk.
    Appended(Result<AppendedAt, AppendError>),
    /// `read`.
    Read { partition: PartitionKey, result: Result<ReadData, ReadError> },
    /// `find_offset`; `None` when no record is that young.
    Offset { partition: PartitionKey, result: Result<Option<FoundOffset>, ReadError> },
    /// `watch`: the high watermark has moved, or the partition is gone.
    DataArrived { partition: PartitionKey },
    /// `set_tail`: batches that were just acknowledged, in order. Goes to `Waiter::door(Door::Mqtt)`.
    Tail { partition: PartitionKey, batches: Vec<Bytes> },
    /// `create_topics`, `auto_create_topic`, `create_partitions`, `delete_topics`: one result for each topic asked for,
    /// in that order. Partitions of this node are open by now.
    Topics(Vec<(Arc<str>, Result<TopicDone, TopicError>)>),
    /// `init_producer_id`.
    ProducerId(Result<(ProducerId, ProducerEpoch), ProducerIdError>),
    /// `delete_records`: the new log start offset.
    RecordsDeleted { partition: PartitionKey, result: Result<Offset, ReadError> },
}
