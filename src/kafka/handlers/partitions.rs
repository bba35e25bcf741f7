//! From the names on the wire to a partition, and from the engine's refusals to the protocol's codes.

use std::sync::Arc;

use crate::engine::{AppendError, BatchFault, Engine, PartitionKey, ReadError, TopicError};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, TopicId};

/// A topic as a request names it: by name in older versions, by id in newer ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By identity (KIP-516).
    Id(TopicId),
}

impl TopicKey {
    /// A name that a request brought; shared with the cluster view when the topic exists.
    pub fn named(engine: &Engine, name: &str) -> TopicKey {
        TopicKey::Name(match engine.view().topic(name) {
            Some(topic) => topic.name.clone(),
            None => Arc::from(name),
        })
    }

    /// The name for the wire; empty for an id.
    pub fn name(&self) -> &str {
        match self {
            TopicKey::Name(name) => name,
            TopicKey::Id(_) => "",
        }
    }

    /// The id for the wire; zero for a name.
    pub fn id(&self) -> TopicId {
        match self {
            TopicKey::Name(_) => TopicId::ZERO,
            TopicKey::Id(id) => *id,
        }
    }

    /// The partition that this node leads, or why there is none.
    pub fn locate(&self, engine: &Engine, index: PartitionIndex) -> Result<PartitionKey, ErrorCode> {
        match self {
            TopicKey::Name(name) => locate(engine, name, index),
            TopicKey::Id(id) => match engine.partition_by_id(*id, index) {
                Some(key) => Ok(key),
                None => Err(match engine.view().topic_by_id(*id) {
                    Some(topic) => elsewhere(engine, &topic.name, index),
                    None => ErrorCode::UNKNOWN_TOPIC_ID,
                }),
            },
        }
    }
}

/// The partition `index` of the topic of that name, or why this node has none.
pub fn locate(engine: &Engine, name: &str, index: PartitionIndex) -> Result<PartitionKey, ErrorCode> {
    engine.partition(name, index).ok_or_else(|| elsewhere(engine, name, index))
}

fn elsewhere(engine: &Engine, name: &str, index: PartitionIndex) -> ErrorCode {
    match engine.view().partition(name, index) {
        Some(_) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}

/// What a refused append is called on the wire.
pub fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::BadBatch(BatchFault::Corrupt) => ErrorCode::CORRUPT_MESSAGE,
        AppendError::BadBatch(BatchFault::OldFormat | BatchFault::Forbidden | BatchFault::NoKey) => {
            ErrorCode::INVALID_RECORD
        }
        AppendError::BadBatch(BatchFault::UnknownCodec) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        AppendError::BadBatch(BatchFault::TimestampOutOfBounds) => ErrorCode::INVALID_TIMESTAMP,
        AppendError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        AppendError::OutOfOrderSequence => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        AppendError::InvalidProducerEpoch => ErrorCode::INVALID_PRODUCER_EPOCH,
        AppendError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        AppendError::NotLeader | AppendError::Stopping => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        AppendError::NotEnoughReplicas => ErrorCode::NOT_ENOUGH_REPLICAS,
        AppendError::NotEnoughReplicasAfterAppend => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        // Every client takes this for "try again".
        AppendError::Busy => ErrorCode::REQUEST_TIMED_OUT,
        AppendError::DiskFull | AppendError::Storage(_) => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// What a refused read or search is called on the wire.
pub fn read_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::OffsetNotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
        ReadError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ReadError::NotLeader => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ReadError::FencedLeaderEpoch => ErrorCode::FENCED_LEADER_EPOCH,
        ReadError::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
        ReadError::NotDeletable => ErrorCode::POLICY_VIOLATION,
        ReadError::Busy => ErrorCode::REQUEST_TIMED_OUT,
        ReadError::Damaged(_) => ErrorCode::CORRUPT_MESSAGE,
        ReadError::Storage(_) => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// What a refused command on a topic is called on the wire.
pub fn topic_code(error: &TopicError) -> ErrorCode {
    match error {
        TopicError::InvalidName(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        TopicError::AlreadyExists => ErrorCode::TOPIC_ALREADY_EXISTS,
        TopicError::UnknownTopic => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        TopicError::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
        TopicError::InvalidPartitions(_) => ErrorCode::INVALID_PARTITIONS,
        TopicError::InvalidReplicationFactor(_) => ErrorCode::INVALID_REPLICATION_FACTOR,
        TopicError::InvalidAssignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        TopicError::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
        TopicError::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        TopicError::DeletionDisabled => ErrorCode::TOPIC_DELETION_DISABLED,
        TopicError::TooMany(_) => ErrorCode::POLICY_VIOLATION,
        TopicError::Unavailable(_) => ErrorCode::REQUEST_TIMED_OUT,
    }
}
