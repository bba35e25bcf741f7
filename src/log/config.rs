//! What one log, and all logs of a root, are told by the configuration.

use std::sync::Arc;

use super::journal::BLOCK_BYTES;
use crate::effect::{Lane, Root};
use crate::types::Timestamp;

/// Positions in a half of the journal are 32 bits.
const JOURNAL_HALF_BYTES_MAX: u64 = 1 << 30;

/// Segment positions are 31 bits in Kafka's index.
pub const SEGMENT_BYTES_MAX: u32 = i32::MAX as u32;

/// The topic configuration that a log acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is not filled beyond this, unless by its first batch (`segment.bytes`).
    pub segment_bytes: u32,
    /// A segment that old gets no further batch (`segment.ms`).
    pub segment_ms: u64,
    /// Bytes between two entries of the offset index (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// The oldest segments go while the others hold that much (`retention.bytes`).
    pub retention_bytes: Option<u64>,
    /// A segment goes when nothing was appended to it for so long (`retention.ms`).
    pub retention_ms: Option<u64>,
    /// Batches that may be acknowledged before they are synced; 1: none (`flush.messages`).
    pub flush_messages: u64,
    /// How long they may stay so (`flush.ms`).
    pub flush_ms: Option<u64>,
    /// Whether the owner wants to know after a restart what idempotent producers wrote.
    pub producers: bool,
    /// How much a compressed batch may grow to when a time look-up must open it.
    pub decompressed_bytes_max: usize,
    /// The log keeps the last record of each key alone; none: every record.
    pub compaction: Option<CompactionConfig>,
}

/// How a log is compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// A segment is left alone until nothing was appended to it for so long (`min.compaction.lag.ms`).
    pub min_lag_ms: u64,
    /// A segment that old is compacted whatever its share; segments are complete at that age
    /// (`max.compaction.lag.ms`).
    pub max_lag_ms: Option<u64>,
    /// Which share of the bytes must be new (`min.cleanable.dirty.ratio`), in millionths.
    pub dirty_parts_per_million: u32,
    /// How long tombstones stay after they were met (`delete.retention.ms`).
    pub tombstones_ms: u64,
    /// How long the last sequence number of a silent producer stays (`producer.id.expiration.ms`).
    pub producers_ms: u64,
}

/// How compaction goes about it, for all logs of a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanerConfig {
    /// Bytes read and written a second (`log.cleaner.io.max.bytes.per.second`); none: as many as half of the lane's time
    /// allows.
    pub bytes_per_second: Option<u64>,
    /// For the keys of one run, within the account (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// A log rests for so long between two runs (`log.cleaner.backoff.ms`).
    pub backoff_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            index_interval_bytes: 4096,
            retention_bytes: None,
            retention_ms: None,
            flush_messages: 1,
            flush_ms: None,
            producers: false,
            decompressed_bytes_max: 8 << 20,
            compaction: None,
        }
    }
}

/// Which disk threads serve these logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Write rounds, one at a time.
    pub append: Lane,
    /// Reads, look-ups and recovery.
    pub read: Lane,
    /// Checkpoints, truncation, retention, deletion.
    pub janitor: Lane,
}

/// What all logs of one `Logs` share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsConfig {
    /// The top byte of every ticket, so that answers find their owner.
    pub ticket_owner: u8,
    /// The tree that the logs lie in.
    pub root: Root,
    /// Which threads.
    pub lanes: Lanes,
    /// Where the checkpoint files lie; `None`: in the root, as Kafka does.
    pub checkpoint_dir: Option<Arc<str>>,
    /// Half of the shared journal, a multiple of 4096; 0: no journal, every round is synced file by file.
    pub journal_half_bytes: u64,
    /// Bytes set aside for a full disk; 0: none.
    pub reserve_bytes: u64,
    /// Written bytes of one log that a recovery may have to scan before its recovery point is moved.
    pub scan_bytes: u64,
    /// The same for all logs together.
    pub scan_total_bytes: u64,
    /// Wait a fraction of a slow sync for those who were just acknowledged before the next round starts.
    pub linger: bool,
    /// No true time is earlier: when this program was made.
    pub clock_floor: Timestamp,
}

impl LogsConfig {
    /// With a journal that has whole blocks, and room for a round, or none.
    pub(super) fn checked(mut self) -> LogsConfig {
        let half_bytes = self.journal_half_bytes.min(JOURNAL_HALF_BYTES_MAX) / BLOCK_BYTES * BLOCK_BYTES;
        self.journal_half_bytes = if half_bytes < 2 * BLOCK_BYTES { 0 } else { half_bytes };
        self
    }

    /// For the records of topics.
    pub fn topics(clock_floor: Timestamp) -> LogsConfig {
        LogsConfig {
            ticket_owner: 1,
            root: Root::Topics,
            lanes: Lanes { append: Lane::Append, read: Lane::Read, janitor: Lane::Janitor },
            checkpoint_dir: None,
            journal_half_bytes: 8 << 20,
            reserve_bytes: 4 << 20,
            // Three seconds of a card's reading; moved more often, its half a dozen syncs would be felt by one write in a
            // hundred.
            scan_bytes: 64 << 20,
            scan_total_bytes: 256 << 20,
            linger: true,
            clock_floor,
        }
    }

    /// For the quorum's log: one log whose checkpoints lie in `dir`, synced by itself, all on the quorum's lane.
    pub fn quorum(dir: Arc<str>, clock_floor: Timestamp) -> LogsConfig {
        LogsConfig {
            ticket_owner: 2,
            root: Root::Coordinator,
            lanes: Lanes { append: Lane::Quorum, read: Lane::Quorum, janitor: Lane::Quorum },
            checkpoint_dir: Some(dir),
            journal_half_bytes: 0,
            reserve_bytes: 0,
            scan_bytes: 4 << 20,
            linger: false,
            ..LogsConfig::topics(clock_floor)
        }
    }
}
