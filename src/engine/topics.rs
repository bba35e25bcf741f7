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

/// Why a command on a topic did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// Client: the name breaks the rules; the sentence says which.
    InvalidName(String),
    /// Client: it exists already, or its name collides with one that differs only in `.` and `_`.
    AlreadyExists,
    /// Client: it does not exist.
    UnknownTopic,
    /// Client: no topic has this id.
    UnknownTopicId,
    /// Client: the number of partitions.
    InvalidPartitions(String),
    /// Client: the number of copies.
    InvalidReplicationFactor(String),
    /// Client: the replicas by partition.
    InvalidAssignment(String),
    /// Client: a topic configuration.
    InvalidConfig(String),
    /// Client: contradicts itself, or names a topic twice.
    InvalidRequest(String),
    /// Client: deletion is switched off (`delete.topic.enable`).
    DeletionDisabled,
    /// Us: the limit of topics or partitions that fit the memory budget is reached.
    TooMany(String),
    /// Us: no quorum took the change in time, or this node is not allowed to ask. Retry.
    Unavailable(String),
}

impl std::fmt::Display for TopicError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TopicError::AlreadyExists => f.write_str("the topic exists already"),
            TopicError::UnknownTopic => f.write_str("the topic does not exist"),
            TopicError::UnknownTopicId => f.write_str("no topic has this id"),
            TopicError::DeletionDisabled => f.write_str("delete.topic.enable is false"),
            TopicError::InvalidName(sentence)
            | TopicError::InvalidPartitions(sentence)
            | TopicError::InvalidReplicationFactor(sentence)
            | TopicError::InvalidAssignment(sentence)
            | TopicError::InvalidConfig(sentence)
            | TopicError::InvalidRequest(sentence)
            | TopicError::TooMany(sentence)
            | TopicError::Unavailable(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for TopicError {}

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
}
