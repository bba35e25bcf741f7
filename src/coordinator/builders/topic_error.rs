//! What can be wrong with a command on a topic.

/// Why a command on a topic did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// Client: the name breaks the rules, or collides with one that differs only in `.` and `_`; the sentence says which.
    InvalidName(String),
    /// Client: it exists already.
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
