//! What `Logs` tells its owner, and how it says no.

use std::sync::Arc;

use bytes::Bytes;

use super::LogKey;
use crate::effect::{DiskError, ProducerBatch};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// Where a log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Log start offset: nothing below is served.
    pub start: Offset,
    /// Everything below is acknowledged: synced, or written when the log is synced by interval.
    pub durable: Offset,
    /// Log end offset: what the next record gets. Between `durable` and here nothing is promised.
    pub end: Offset,
}

/// What `append` decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the batch's first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Broker time of the append.
    pub append_time: Timestamp,
}

/// A log that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where it stands.
    pub marks: Marks,
    /// The last leader epoch that appended; `LeaderEpoch::NONE` when nothing ever did.
    pub last_epoch: LeaderEpoch,
    /// What the owner last gave to `set_producer_snapshot`, and the offset up to which that holds.
    pub producer_snapshot: Option<(Offset, Bytes)>,
    /// The last batches of idempotent producers at or above that offset, ascending.
    pub producer_batches: Vec<ProducerBatch>,
    /// What recovery repaired, for the operator; sentences name files of the log's directory.
    pub warnings: Vec<String>,
}

/// Something happened. Collected from `disk_done`, `on_time` and `turn_end`.
#[derive(Debug)]
pub enum LogEvent {
    /// `start` is done: directories that are logs, opened or not. Logs asked for earlier follow.
    Started { dirs: Vec<Arc<str>>, warnings: Vec<String> },
    /// The answer to `open`. After an error the key is gone.
    Opened { log: LogKey, result: Result<Opened, DiskError> },
    /// Everything below `end` is acknowledged now. `batches` only while the tail is on.
    Durable { log: LogKey, end: Offset, batches: Vec<Bytes> },
    /// Everything at or above `from` is gone; the log end offset fell back there.
    AppendFailed { log: LogKey, from: Offset, error: DiskError },
    /// The answer to `read`: whole batches.
    ReadDone { token: u64, result: Result<Bytes, LogReadError> },
    /// The answer to `find_timestamp`: the record's timestamp and offset.
    TimestampFound { token: u64, result: Result<Option<(Timestamp, Offset)>, LogReadError> },
    /// Retention or `delete_records` moved the log start offset, durably.
    StartMoved { log: LogKey, start: Offset },
    /// The answer to `truncate` and `restart_at`; `end` is the log end offset now.
    Truncated { log: LogKey, end: Offset },
    /// The answer to `delete`; the key is gone.
    Deleted { log: LogKey },
    /// Damage was found and left as it is; the sentence names a file of the log's directory. What is surely whole ends at
    /// `from`; none: nothing is lost, but the log is not fit to be compacted.
    Damaged { log: LogKey, from: Option<Offset>, sentence: String },
    /// Please call `set_producer_snapshot`: a recovery from the last one would read too much.
    SnapshotWanted { log: LogKey },
    /// The file system is read-only: appends are refused, reads go on. Told once a minute while it lasts.
    ReadOnly,
    /// The disk is full: appends are refused until `SpaceBack`.
    SpaceLow,
    /// There is room again.
    SpaceBack,
    /// `stop` is complete.
    Stopped,
    /// The node must end: what is on the disk is unknown.
    Fatal { sentence: String },
}

/// Why `append` took nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The log is being opened, truncated or deleted, or does not exist.
    NotOpen,
    /// Not one whole batch of format 2, or one larger than a segment can be.
    BadBatch,
    /// The log has run out of offsets.
    OffsetsExhausted,
    /// The disk refuses: full, read-only, or a failed append could not be undone yet.
    Disk(DiskError),
}

/// Why a read gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogReadError {
    /// The log does not exist, or is not ready.
    NotOpen,
    /// Below the log start offset, or above the log end offset.
    OutOfRange(Marks),
    /// The batch with this offset is damaged on the disk. `whole`: where what is whole before it ends; `resume`: the next
    /// offset that can be read.
    Damaged { sentence: String, whole: Offset, resume: Option<Offset> },
    /// The disk failed.
    Disk(DiskError),
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AppendError::NotOpen => f.write_str("the log is not open"),
            AppendError::BadBatch => f.write_str("the batch is malformed or larger than a segment"),
            AppendError::OffsetsExhausted => f.write_str("the log has run out of offsets"),
            AppendError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}

impl std::fmt::Display for LogReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogReadError::NotOpen => f.write_str("the log is not open"),
            LogReadError::OutOfRange(marks) => {
                write!(f, "the offset is outside of {} to {}", marks.start, marks.end)
            }
            LogReadError::Damaged { sentence, .. } => f.write_str(sentence),
            LogReadError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LogReadError {}
