//! Commands on topics: their arguments and what can be wrong with them.

use std::sync::Arc;

use crate::types::{NodeId, PartitionIndex, TopicId};

/// A topic to be created. Names and numbers are checked by the engine, not by the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// At most 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
    pub name: Arc<str>,
    /// -1: `num.partitions`.
    pub partitions: i32,
    /// -1: `default.replication.factor`.
    pub replication: i16,
    /// Replicas by partition, preferred leader first; empty: the engine places them.
    pub assignment: Vec<(PartitionIndex, Vec<NodeId>)>,
    /// Topic configuration; `None` means the default.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that shall have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub name: Arc<str>,
    /// How many it shall have in all.
    pub count: i32,
    /// Replicas of each new partition; empty: the engine places them.
    pub assignment: Vec<Vec<NodeId>>,
}

/// A topic by either of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(Arc<str>),
    /// By identity.
    Id(TopicId),
}

pub use crate::coordinator::TopicError;

/// Why no producer id was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProducerIdError {
    /// Us: the quorum gave no block of ids in time. Retry.
    Unavailable,
}

/// Why nobody knows what became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Us: there is no quorum leader, or it changed before the proposal was committed. It may yet be applied.
    Unavailable,
    /// Us: too many proposals wait. Stop reading, offer it again at the next turn's end.
    Busy,
    /// Client: larger than the quorum's account can ever hold.
    TooLarge,
}
