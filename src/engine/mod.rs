//! The narrow waist: everything a door may ask, in five verbs (`append`, `read`, `propose`, `view`, `wait`) and a few
//! typed commands beside them.
//!
//! A command answers at once with an error that needs no waiting, or later with the one `Completion` of its `Waiter`;
//! waiting is `next_completion`, which the node drains after each step. Nothing is written before `turn_end`, so that
//! all the appends of a turn share their syncs.
//!
//! Invariants: `Completion::Appended(Ok)` leaves only when the records are durable on every replica in sync; a waiter is
//! answered at most once; waiters, watchers and open batches are bounded, and who exceeds a bound
//! gets `Busy`.

mod completion;
#[allow(dead_code)] // until the engine owns one
mod metadata;
mod protocol;
mod configs;
mod topics;

use bytes::BytesMut;

pub use crate::broker::{
    Acks, AppendError, AppendedAt, BatchFault, Door, FoundOffset, OffsetSpec, PartitionKey, PartitionView, ReadData,
    ReadError, Waiter,
};
pub use crate::coordinator::cluster;
pub use crate::coordinator::{Cluster, PartitionState, Topic, Txn, TxnResult};
pub use crate::record::NewRecord;
pub use completion::{Completion, TopicDone};
pub use configs::{ConfigEntry, ConfigSource, ConfigType};
pub use protocol::Protocol;
pub use topics::{NewPartitions, NewTopic, ProducerIdError, ProposeError, TopicError, TopicRef};

use crate::effect::Effects;
use crate::memory::Grant;
use crate::types::{ConnId, LeaderEpoch, NodeId, Now, Offset, PartitionIndex, Slot, TopicId};

/// Quorum, coordinator and broker of this node behind one face.
#[derive(Debug)]
pub struct Engine {
    node_id: NodeId,
    cluster: Cluster,
}

impl Engine {
    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The cluster's identity, 22 characters; empty until the quorum has one.
    pub fn cluster_id(&self) -> &str {
        self.cluster.cluster_id.as_deref().unwrap_or_default()
    }

    /// What the tree says about brokers and topics, as this node has applied it.
    pub fn view(&self) -> &Cluster {
        &self.cluster
    }

    /// Proposes a transaction on the tree; always answers with `Completion::Proposed`, after it was applied here.
    pub fn propose(&mut self, _now: Now, _txn: Txn, _waiter: Waiter, _fx: &mut Effects) {}

    /// True when the tree is recovered and the logs of this node's partitions are open (or given up, with a warning).
    pub fn is_ready(&self) -> bool {
        false
    }

    /// The handle of a partition whose replica this node has. Cheap, yet meant to be kept.
    pub fn partition(&self, _topic: &str, _index: PartitionIndex) -> Option<PartitionKey> {
        None
    }

    /// The same by topic id.
    pub fn partition_by_id(&self, _topic: TopicId, _index: PartitionIndex) -> Option<PartitionKey> {
        None
    }

    /// Marks and size of a partition; `None` when it was deleted.
    pub fn partition_view(&self, _key: PartitionKey) -> Option<PartitionView> {
        None
    }

    /// KIP-320: compares a client's leader epoch with the partition's. `NONE` is never compared.
    pub fn check_leader_epoch(&self, _key: PartitionKey, _current: LeaderEpoch) -> Result<(), ReadError> {
        Err(ReadError::UnknownPartition)
    }

    /// Appends one v2 batch as received: validates it, assigns its offsets. The result says where it will lie; it is not
    /// durable, as `acks` says, before `Completion::Appended` reaches `waiter`. A duplicate of an idempotent producer answers with the
    /// place of the original, and its completion waits for the original. `grant` covers `batch` until it is written.
    pub fn append(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _batch: BytesMut,
        _grant: Grant,
        _acks: Acks,
        _waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<AppendedAt, AppendError> {
        Err(AppendError::UnknownPartition)
    }

    /// Appends one record to the partition's open batch, which is sealed at `turn_end`. The offset is known at once; the
    /// rest is as for `append` with `Acks::All`. `Busy`: stop reading, offer the same record again at the next turn's end.
    pub fn append_record(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _record: NewRecord<'_>,
        _waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        Err(AppendError::UnknownPartition)
    }

    /// Reads whole batches from `from` on, below the high watermark: about `max_bytes`, at least one batch even if it
    /// is larger (up to `max.message.bytes`), nothing when `from` is the high watermark. The caller holds a grant.
    pub fn read(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _from: Offset,
        _max_bytes: usize,
        _waiter: Waiter,
        _fx: &mut Effects,
    ) -> Result<(), ReadError> {
        Err(ReadError::UnknownPartition)
    }

    /// Answers once with `DataArrived` when the high watermark next moves. False: too many watch; poll instead.
    pub fn watch(&mut self, _key: PartitionKey, _waiter: Waiter) -> bool {
        false
    }

    /// Forgets the watches of one request.
    pub fn unwatch(&mut self, _conn: ConnId, _slot: Slot) {}

    /// Switches `Completion::Tail` of a partition for the MQTT door on or off.
    pub fn set_tail(&mut self, _key: PartitionKey, _on: bool) {}

    /// Searches an offset; answers with `Completion::Offset`.
    pub fn find_offset(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _spec: OffsetSpec,
        _waiter: Waiter,
        _fx: &mut Effects,
    ) -> Result<(), ReadError> {
        Err(ReadError::UnknownPartition)
    }

    /// Moves the log start offset up to `before` (the high watermark when -1); answers with `RecordsDeleted`.
    pub fn delete_records(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _before: Offset,
        _waiter: Waiter,
        _fx: &mut Effects,
    ) -> Result<(), ReadError> {
        Err(ReadError::UnknownPartition)
    }

    /// Creates topics; always answers with `Completion::Topics`, after their local partitions are open.
    pub fn create_topics(
        &mut self,
        _now: Now,
        _topics: Vec<NewTopic>,
        _validate_only: bool,
        _waiter: Waiter,
        _fx: &mut Effects,
    ) {
    }

    /// Creates `name` with the defaults, within the cap for topics nobody asked for by an admin call. `Ok(true)`: a
    /// `Completion::Topics` follows; `Ok(false)`: it exists and is open. Several waiters of one topic share the creation.
    pub fn auto_create_topic(
        &mut self,
        _now: Now,
        _name: &str,
        _waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<bool, TopicError> {
        Err(TopicError::UnknownTopic)
    }

    /// Adds partitions; always answers with `Completion::Topics`.
    pub fn create_partitions(
        &mut self,
        _now: Now,
        _topics: Vec<NewPartitions>,
        _validate_only: bool,
        _waiter: Waiter,
        _fx: &mut Effects,
    ) {
    }

    /// Deletes topics; always answers with `Completion::Topics`. Their files go in the background.
    pub fn delete_topics(&mut self, _now: Now, _topics: Vec<TopicRef>, _waiter: Waiter, _fx: &mut Effects) {}

    /// A producer id nobody has had; always answers with `Completion::ProducerId`.
    pub fn init_producer_id(&mut self, _now: Now, _waiter: Waiter, _fx: &mut Effects) {}

    /// The effective configuration of a topic, in the order of names; `None` when it does not exist.
    pub fn describe_topic(&self, _topic: &str) -> Option<Vec<ConfigEntry>> {
        None
    }

    /// The effective configuration of a broker: of this node, all of it; of another, nothing is known here.
    pub fn describe_broker(&self, _node: NodeId) -> Option<Vec<ConfigEntry>> {
        None
    }

    /// Forgets the watches of a connection that is gone. Acknowledgements of appends that are on their way to the disk
    /// may still come: a door ignores a `ConnId` it does not know.
    pub fn drop_connection(&mut self, _conn: ConnId) {}

    /// The next answer, in the order of events; `None` when there is none left.
    pub fn next_completion(&mut self) -> Option<(Waiter, Completion)> {
        None
    }
}
