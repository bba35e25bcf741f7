//! What the engine answers later, and to whom.
//!
//! A command that cannot answer at once takes a `Waiter`; exactly one `Completion` comes back for it, unless its
//! connection is dropped first. Watches are one-shot; tails repeat until they are switched off.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    AppendError, AppendedAt, ConsumerStanding, DiskSpace, FoundOffset, GroupError, JoinRefusal, Joined, PartitionKey,
    ProducerIdError, ProposeError, ReadData, ReadError, Synced, TopicError, TxnResult, Waiter,
};
use crate::types::{Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

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
    /// `set_tails`: batches that were just acknowledged, in order. Goes to `Waiter::door(Door::Mqtt)`.
    Tail { topic: Arc<str>, partition: PartitionIndex, batches: Vec<Bytes> },
    /// `create_topics`, `auto_create_topic`, `create_partitions`, `delete_topics`: one result for each topic asked for,
    /// in that order. Partitions of this node are open by now.
    Topics(Vec<(Arc<str>, Result<TopicDone, TopicError>)>),
    /// `init_producer_id`.
    ProducerId(Result<(ProducerId, ProducerEpoch), ProducerIdError>),
    /// `join_group`: the generation that the member is in.
    Joined(Result<Joined, JoinRefusal>),
    /// `sync_group`: what the member reads.
    Synced(Result<Synced, GroupError>),
    /// `consumer_heartbeat`: where the member stands.
    Reported(Result<ConsumerStanding, GroupError>),
    /// `commit_offsets`, `delete_offsets`, `delete_group`: durable, or not.
    Stored(Result<(), GroupError>),
    /// `set_znode_events`: there are events to be taken. Goes to `Waiter::door(Door::ZooKeeper)`.
    ZnodesChanged,
    /// The tree is another one, and nobody knows what changed: close the connections of clients that watch or have a
    /// session. Goes to `Waiter::door(Door::ZooKeeper)`.
    ZnodesReplaced,
    /// `sync_znodes`.
    ZnodesSynced(Result<(), ProposeError>),
    /// `ask_monitor`. Goes to `Waiter::door(Door::ZooKeeper)`, which answers `asker` by `answer_monitor`.
    MonitorAsked { command: Box<str>, asker: Waiter },
    /// `ask_monitor`: the page; none while memory is short.
    MonitorAnswered(Option<Bytes>),
    /// `delete_records`: the new log start offset.
    RecordsDeleted { partition: PartitionKey, result: Result<Offset, ReadError> },
    /// `ask_disk_space`; `None` when the disk does not say.
    DiskSpace(Option<DiskSpace>),
}
