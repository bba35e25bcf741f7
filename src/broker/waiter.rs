//! To whom an answer goes, and what the broker answers.
//!
//! The broker only carries waiters from a command to its answer; what a connection or a slot is, the doors know.

use std::sync::Arc;

use bytes::Bytes;

use super::{AppendError, PartitionKey, ReadError};
use crate::effect::DiskSpace;
use crate::types::{ConnId, LeaderEpoch, Offset, PartitionIndex, Slot, Timestamp};

/// Which room of the four an answer goes to.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Whose disk a batch must be on before its waiter is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// The leader's (acks=1). A batch that nobody waits for (acks=0) is one of these without a waiter.
    Leader,
    /// Every replica's in sync, of which there must be `min.insync.replicas` (acks=all).
    All,
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

/// One answer of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To an append: durable on every replica in sync.
    Appended(Result<AppendedAt, AppendError>),
    /// To a read.
    Read { partition: PartitionKey, result: Result<ReadData, ReadError> },
    /// To a search; `None` when no record is that young.
    Offset { partition: PartitionKey, result: Result<Option<FoundOffset>, ReadError> },
    /// To a watch: the high watermark has moved, or the partition is gone.
    DataArrived { partition: PartitionKey },
    /// Batches that were just acknowledged, in order.
    Tail { topic: Arc<str>, partition: PartitionIndex, batches: Vec<Bytes> },
    /// To a deletion of records: the new log start offset.
    RecordsDeleted { partition: PartitionKey, result: Result<Offset, ReadError> },
    /// To a question for room on the disk; `None` when the disk does not say.
    DiskSpace(Option<DiskSpace>),
}
