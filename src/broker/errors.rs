//! Why an append or a read is refused, split by blame: the client's bytes, the client's view of the cluster, or us.
//!
//! Doors translate these into the codes of their protocol; nothing here is one.

use crate::effect::DiskError;

/// What is wrong with a batch that a client sent. Sending the same bytes again cannot succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// The bytes end early, disagree with their own lengths or fail their CRC.
    Corrupt,
    /// A message format before version 2.
    OldFormat,
    /// Well formed, but not allowed from a client: not exactly one batch, no records, a control batch, a record count
    /// that disagrees with the last offset delta.
    Forbidden,
    /// A record without a key, in a topic that keeps the last record of each key.
    NoKey,
    /// A codec that nobody knows, or one the request's version may not carry.
    UnknownCodec,
    /// A timestamp further from the broker's clock than the topic allows.
    TimestampOutOfBounds,
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Client: the bytes themselves.
    BadBatch(BatchFault),
    /// Client: larger than the topic's `max.message.bytes`.
    TooLarge {
        /// The limit in force, in bytes.
        limit_bytes: usize,
    },
    /// Client: this producer skipped a sequence number, or repeats a batch older than the five remembered.
    OutOfOrderSequence,
    /// Client: a newer incarnation of this producer id has written here.
    InvalidProducerEpoch,
    /// View: this partition does not exist (any more).
    UnknownPartition,
    /// View: another node leads it, or its log is still opening. Metadata tells; retry.
    NotLeader,
    /// Us: fewer replicas in sync than `min.insync.replicas`. Nothing was appended; retry.
    NotEnoughReplicas,
    /// Us: the replicas in sync became fewer than `min.insync.replicas` before the records were on all of them. They are
    /// in the log and may yet be acknowledged to others; retry.
    NotEnoughReplicasAfterAppend,
    /// Us: memory for appends or waiters is exhausted. Stop reading the client, retry at the next turn's end.
    Busy,
    /// Us: no space left on the disk, the reserve apart. Retry later.
    DiskFull,
    /// Us: the disk refuses; the sentence goes to the diagnostics, not to the client.
    Storage(String),
    /// Us: the node is stopping.
    Stopping,
}

impl From<BatchFault> for AppendError {
    fn from(fault: BatchFault) -> AppendError {
        AppendError::BadBatch(fault)
    }
}

impl From<DiskError> for AppendError {
    fn from(error: DiskError) -> AppendError {
        match error {
            DiskError::Full => AppendError::DiskFull,
            other => AppendError::Storage(other.to_string()),
        }
    }
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AppendError::BadBatch(BatchFault::Corrupt) => f.write_str("the record batch is damaged"),
            AppendError::BadBatch(BatchFault::OldFormat) => {
                f.write_str("message formats before version 2 are not taken")
            }
            AppendError::BadBatch(BatchFault::Forbidden) => {
                f.write_str("the record batch is not one a client may send")
            }
            AppendError::BadBatch(BatchFault::NoKey) => f.write_str("a compacted topic takes no record without a key"),
            AppendError::BadBatch(BatchFault::UnknownCodec) => f.write_str("the compression codec is not allowed here"),
            AppendError::BadBatch(BatchFault::TimestampOutOfBounds) => {
                f.write_str("a timestamp lies too far from the broker's clock")
            }
            AppendError::TooLarge { limit_bytes } => {
                write!(f, "the record batch is larger than max.message.bytes ({limit_bytes})")
            }
            AppendError::OutOfOrderSequence => f.write_str("the producer skipped a sequence number"),
            AppendError::InvalidProducerEpoch => f.write_str("a newer producer with this id has written here"),
            AppendError::UnknownPartition => f.write_str("the partition does not exist"),
            AppendError::NotLeader => f.write_str("this node does not lead the partition"),
            AppendError::NotEnoughReplicas => f.write_str("too few replicas are in sync"),
            AppendError::NotEnoughReplicasAfterAppend => {
                f.write_str("too few replicas were in sync to acknowledge the records")
            }
            AppendError::Busy => f.write_str("memory for appends is exhausted"),
            AppendError::DiskFull => f.write_str("the disk is full"),
            AppendError::Storage(sentence) => write!(f, "the disk refuses: {sentence}"),
            AppendError::Stopping => f.write_str("the node is stopping"),
        }
    }
}

impl std::error::Error for AppendError {}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Client: before the log start offset or beyond the log end.
    OffsetOutOfRange,
    /// Us: this leader is so new that it does not know yet how much was acknowledged (KIP-207). Retry.
    OffsetNotAvailable,
    /// View: this partition does not exist (any more).
    UnknownPartition,
    /// View: another node leads it, or its log is still opening. Metadata tells; retry.
    NotLeader,
    /// View: the client's leader epoch is older than ours; it refreshes its metadata.
    FencedLeaderEpoch,
    /// View: the client's leader epoch is newer than ours; it retries.
    UnknownLeaderEpoch,
    /// Client: the topic keeps its records by key, none of them is deleted for its age.
    NotDeletable,
    /// Us: too many reads wait. Retry at the next turn's end.
    Busy,
    /// Us: a batch at or above this offset fails its CRC; it is never served.
    Damaged(String),
    /// Us: the disk refuses; the sentence goes to the diagnostics, not to the client.
    Storage(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::OffsetOutOfRange => f.write_str("the offset is not in the log"),
            ReadError::OffsetNotAvailable => f.write_str("the high watermark is not known yet"),
            ReadError::UnknownPartition => f.write_str("the partition does not exist"),
            ReadError::NotLeader => f.write_str("this node does not lead the partition"),
            ReadError::FencedLeaderEpoch => f.write_str("the leader epoch is older than the partition's"),
            ReadError::UnknownLeaderEpoch => f.write_str("the leader epoch is newer than the partition's"),
            ReadError::NotDeletable => f.write_str("the topic's cleanup.policy does not include delete"),
            ReadError::Busy => f.write_str("too many reads wait"),
            ReadError::Damaged(sentence) => write!(f, "the log is damaged: {sentence}"),
            ReadError::Storage(sentence) => write!(f, "the disk refuses: {sentence}"),
        }
    }
}

impl std::error::Error for ReadError {}
