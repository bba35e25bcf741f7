//! What may be asked of a disk, and what it may answer.
//!
//! Operations are whole jobs, not system calls: a lane runs `log::job` on a `Storage`, so that the page faults, CRCs
//! and searches of cold data stay off the runtime's thread, and the simulator runs the very same code on its own
//! storage, crashing between any two calls.
//!
//! Invariants: an operation touches only the log or file it names; an error of a sync is `DiskError::SyncFailed`, after
//! which the process ends; bytes are handed over with the grants that account for them.

use std::sync::Arc;

use bytes::Bytes;

use super::{LogDone, LogJob};

/// Threads of their own, so that one stalled sync delays no other lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The quorum's log, vote and snapshots.
    Quorum,
    /// Records of topics.
    Append,
    /// Cold and warm reads, index look-ups, recovery.
    Read,
    /// Deletion, retention, checkpoints, compaction.
    Janitor,
}

/// The two directory trees of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// `dataDir`: the coordinator's files.
    Coordinator,
    /// `log.dirs`: the topics' files.
    Topics,
}

/// The directory of one log, `TOPIC-PARTITION` below its root. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogDir {
    /// Which tree.
    pub root: Root,
    /// One path component, checked by whoever made it.
    pub name: Arc<str>,
}

/// Why a disk operation failed. Everything but `SyncFailed` leaves the node running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No space left. What was half written is cut again before anything follows it.
    Full,
    /// The file system refuses writes.
    ReadOnly,
    /// The file or directory does not exist.
    NotFound,
    /// Bytes on the disk fail their checksum or their structure; the sentence says what and where.
    Corrupt(String),
    /// A sync failed: what is on the disk is unknown. Fatal.
    SyncFailed(String),
    /// Anything else the operating system said.
    Io(String),
}

impl std::fmt::Display for DiskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DiskError::Full => f.write_str("the disk is full"),
            DiskError::ReadOnly => f.write_str("the file system is read-only"),
            DiskError::NotFound => f.write_str("the file does not exist"),
            DiskError::Corrupt(what) => write!(f, "damaged data: {what}"),
            DiskError::SyncFailed(what) => write!(f, "a sync failed: {what}"),
            DiskError::Io(what) => write!(f, "input/output error: {what}"),
        }
    }
}

impl std::error::Error for DiskError {}

/// One job for a lane.
#[derive(Debug)]
pub enum DiskOp {
    /// Replace a small file atomically: temporary file, sync, rename, sync of the directory.
    WriteFile { root: Root, name: Arc<str>, bytes: Bytes },
    /// Read a whole small file of at most `max_bytes`; a larger one is `Corrupt`.
    ReadFile { root: Root, name: Arc<str>, max_bytes: usize },
    /// Delete a small file; one that is not there is no error.
    DeleteFile { root: Root, name: Arc<str> },
    /// Write a part of a large file that nobody reads yet; position 0 begins it anew. Durable only after `SyncFile`.
    WritePart { root: Root, name: Arc<str>, position: u64, bytes: Bytes },
    /// Make what `WritePart` wrote durable, and the file's name.
    SyncFile { root: Root, name: Arc<str> },
    /// Read at most `max_bytes` of a file from `position` on; fewer only at its end.
    ReadPart { root: Root, name: Arc<str>, position: u64, max_bytes: usize },
    /// Ask how large the disk below a root is, and how much of it is free.
    Space { root: Root },
    /// A job of the log.
    Log(Box<LogJob>),
}

/// How much a disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// The file system's size.
    pub total_bytes: u64,
    /// What this process could still write.
    pub usable_bytes: u64,
}

/// What a job answered.
#[derive(Debug)]
pub enum DiskDone {
    /// Nothing to say beyond success.
    Done,
    /// The content of `ReadFile` or `ReadPart`.
    File(Bytes),
    /// The answer to `Space`.
    Space(DiskSpace),
    /// The answer to `DiskOp::Log`.
    Log(LogDone),
}
