//! The log's jobs for a disk lane, and what they answer: whole decisions, made by `log` and carried out by `log::job`.
//!
//! Invariants: a job names everything it touches and keeps nothing between two runs; a job that writes is alone on the
//! files it writes, because `log` sends no other until it is answered. Callers: `log` fills and reads these, lanes only
//! carry them.

use std::sync::Arc;

use bytes::Bytes;

use super::{Compaction, DiskError, LogDir, Root, SliceEnd, SwapJob, Swapped};
use crate::memory::Grant;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// One job of a log.
#[derive(Debug)]
pub enum LogJob {
    /// What must happen before any log of the root is opened.
    Start(StartJob),
    /// Opens one log: creates it, or recovers it.
    Open(OpenJob),
    /// One write round.
    Write(WriteRound),
    /// Reads whole batches.
    Read(ReadJob),
    /// Looks for the first record at or after a time.
    FindTimestamp(FindTimestampJob),
    /// Syncs segments, then says in the checkpoint files that they are synced.
    Checkpoint(CheckpointJob),
    /// Cuts a log's end, or starts it anew elsewhere.
    Truncate(TruncateJob),
    /// Moves a log's start and removes the segments below it.
    Trim(TrimJob),
    /// Removes a log, or what an interrupted removal left.
    Delete(DeleteJob),
    /// Releases the reserve, or looks whether there is room to set it aside again.
    Space(SpaceJob),
    /// One slice of a compaction.
    Compact(Box<Compaction>),
    /// Swaps in what a compaction copied.
    Swap(SwapJob),
}

/// What a job of the log answered.
#[derive(Debug)]
pub enum LogDone {
    /// To `Start`.
    Started(Box<Started>),
    /// To `Open`.
    Opened(Box<OpenedLog>),
    /// To `Write`: the round itself, each part with its result.
    Written(Box<WriteRound>),
    /// To `Read`.
    Read(ReadOutcome),
    /// To `FindTimestamp`.
    Found(Option<(Timestamp, Offset)>),
    /// To `Checkpoint`, `Trim`, `Delete`.
    Done,
    /// To `Truncate`: the log as it is now.
    Truncated(Box<OpenedLog>),
    /// To `Space`.
    Space { free_bytes: u64, reserve_held: bool },
    /// To `Compact`: the run itself, and how its slice ended.
    Compacted(Box<Compaction>, SliceEnd),
    /// To `Swap`.
    Swapped(Swapped),
}

/// Places and sizes of the files that belong to a root rather than to one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFiles {
    /// Which tree.
    pub root: Root,
    /// Where the checkpoint files lie: `None` is the root itself.
    pub checkpoint_dir: Option<Arc<str>>,
    /// Half of the journal in bytes, a multiple of its block; 0: no journal.
    pub journal_half_bytes: u64,
    /// Bytes set aside for a full disk; 0: none.
    pub reserve_bytes: u64,
}

/// Reads the checkpoints, replays the journal, sets the reserve aside.
#[derive(Clone, Debug)]
pub struct StartJob {
    pub files: RootFiles,
}

/// A log's line in the checkpoint files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMarks {
    /// Everything below is synced in the segments.
    pub recovery_point: Offset,
    /// Nothing below is served.
    pub log_start: Offset,
    /// Compaction went so far: below it every key stands once.
    pub compacted: Offset,
}

/// Answer to `StartJob`.
#[derive(Clone, Debug, Default)]
pub struct Started {
    /// Directories that look like logs, with what the checkpoints say of them.
    pub logs: Vec<(Arc<str>, Option<LogMarks>)>,
    /// Left by an interrupted deletion.
    pub deleted_dirs: Vec<Arc<str>>,
    /// Journal halves that are ready, with their generations; all zero without a journal.
    pub journal_generations: [u64; 2],
    /// Above every sequence number that the journal has ever held.
    pub journal_sequence: u64,
    /// The highest broker time that was noted.
    pub clock: Timestamp,
    /// False when there is no room for the reserve.
    pub reserve_held: bool,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Creates or recovers one log.
#[derive(Clone, Debug)]
pub struct OpenJob {
    pub dir: LogDir,
    /// From the checkpoint files; `None` when they do not name the log.
    pub marks: Option<LogMarks>,
    /// Journal records below this are none of a log created now.
    pub journal_sequence: u64,
    /// Where a log created now starts.
    pub start: Offset,
    /// Bytes between two index entries.
    pub index_interval_bytes: u32,
    /// Whether batches of idempotent producers are reported.
    pub producers: bool,
    /// Broker time, for segments whose append time is unknown.
    pub now: Timestamp,
}

/// One segment as it is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Offset of its first record, which names its files.
    pub base: Offset,
    /// Bytes of whole batches.
    pub bytes: u64,
    /// Bytes of whole entries in its offset index.
    pub index_bytes: u32,
    /// Bytes of whole entries in its time index.
    pub time_index_bytes: u32,
    /// Bytes appended since the last entry of the offset index.
    pub unindexed_bytes: u32,
    /// The highest timestamp of its batches, -1 when empty.
    pub max_timestamp: Timestamp,
    /// Last offset of the batch that has it.
    pub max_timestamp_offset: Offset,
    /// The timestamp of the last entry of the time index, -1 without one.
    pub indexed_timestamp: Timestamp,
    /// Broker time of the first append.
    pub created_at: Timestamp,
    /// Broker time of the last append.
    pub appended_at: Timestamp,
}

/// The fields of a batch that tell what an idempotent producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub base_offset: Offset,
    pub last_offset_delta: i32,
    pub max_timestamp: Timestamp,
}

/// A log as recovery found it.
#[derive(Clone, Debug, Default)]
pub struct OpenedLog {
    pub log_start: Offset,
    /// Offset after the last batch; all of it is synced.
    pub end: Offset,
    /// Ascending, never empty.
    pub segments: Vec<SegmentMeta>,
    /// Leader epochs with their first offsets, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Journal records with a lower sequence number are none of this log.
    pub journal_floor: u64,
    /// Journal records of segments with a lower base are none of this log.
    pub journal_base: Offset,
    /// What the broker last said about producers, and the offset up to which it holds.
    pub producer_snapshot: Option<(Offset, Bytes)>,
    /// The last batches of each producer at or above that offset, ascending.
    pub producer_batches: Vec<ProducerBatch>,
    /// Bytes whose CRC was computed.
    pub scanned_bytes: u64,
    /// What was repaired, for the operator.
    pub warnings: Vec<String>,
    /// What is damaged and was left as it is: where what is whole before it ends, and a sentence.
    pub damages: Vec<(Offset, String)>,
}

/// How a part of a round becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartSync {
    /// Later: it is acknowledged when written.
    Later,
    /// By a sync of its segment.
    Direct,
    /// By the shared journal, which gets its bytes too and is synced once for all.
    Journal,
}

/// Where the next records of the journal go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalPlace {
    /// 0 or 1.
    pub half: usize,
    pub half_bytes: u64,
    pub generation: u64,
    /// From the start of the half; a multiple of the block.
    pub position: u64,
    /// Bytes reserved there, likewise.
    pub bytes: u64,
    /// Of the first record; the others follow.
    pub sequence: u64,
}

/// Appends to several logs that become durable together.
#[derive(Debug)]
pub struct WriteRound {
    pub files: Arc<RootFiles>,
    /// Parts of one log stand together, in the order of their offsets.
    pub parts: Vec<WritePart>,
    /// Where the records of the parts go that are synced by the journal.
    pub journal: Option<JournalPlace>,
    /// Set by the job: what the journal holds at that place is unknown.
    pub journal_broken: bool,
}

/// One log's share of a round: consecutive batches for one segment.
#[derive(Debug)]
pub struct WritePart {
    pub dir: LogDir,
    /// Names the segment.
    pub base: Offset,
    /// The segment does not exist yet.
    pub create: bool,
    /// Where the batches go in the segment.
    pub position: u64,
    /// Whole batches.
    pub batches: Vec<Bytes>,
    /// What accounts for them.
    pub grants: Vec<Grant>,
    /// Entries for the offset index, and where they go.
    pub index: (u32, Vec<u8>),
    /// Entries for the time index, and where they go.
    pub time_index: (u32, Vec<u8>),
    /// How it becomes durable.
    pub sync: PartSync,
    /// Set by the job, the same for all parts of a log. After an error nothing of them is left, unless `uncut`.
    pub result: Result<(), DiskError>,
    /// Set by the job: the half-written tail could not be cut.
    pub uncut: bool,
}

/// Reads whole batches from one segment.
#[derive(Clone, Debug)]
pub struct ReadJob {
    pub dir: LogDir,
    pub segment: SegmentMeta,
    /// The first offset that is wanted; batches that end below it are left out.
    pub from: Offset,
    /// Batches that reach this offset are left out.
    pub below: Offset,
    /// Not exceeded, unless by the first batch alone.
    pub max_bytes: usize,
    /// Spot to start at when the caller read just before it: no look-up then.
    pub hint: Option<u64>,
}

/// Answer to `ReadJob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Whole batches, their CRCs checked; the position after them. Empty when none qualifies.
    Batches { bytes: Bytes, next: Offset, next_position: u64 },
    /// The batch that holds the wanted offset is damaged: what is surely whole of the segment ends at `whole`, and the next
    /// whole batch, if there is one in the segment, begins at `resume`.
    Damaged { sentence: String, whole: Offset, resume: Option<Offset> },
}

/// Looks for the first record whose timestamp is at least `at`, or for the highest.
#[derive(Clone, Debug)]
pub struct FindTimestampJob {
    pub dir: LogDir,
    pub segment: SegmentMeta,
    /// `None`: the first of those with the highest timestamp.
    pub at: Option<Timestamp>,
    /// Records below are not served any more.
    pub from: Offset,
    /// Batches that reach this offset are left out.
    pub below: Offset,
    /// How much one batch may decompress to.
    pub decompressed_bytes_max: usize,
}

/// A segment that was written but not synced.
#[derive(Clone, Debug)]
pub struct DirtySegment {
    pub dir: LogDir,
    pub base: Offset,
    /// Its batches.
    pub batches: bool,
    /// Its indexes.
    pub indexes: bool,
}

/// Syncs, then notes.
#[derive(Clone, Debug)]
pub struct CheckpointJob {
    pub files: Arc<RootFiles>,
    pub segments: Vec<DirtySegment>,
    /// Small files of logs, each replaced atomically after the syncs: directory, name, content.
    pub log_files: Vec<(LogDir, &'static str, Bytes)>,
    /// Small files of the root, likewise, after those: name, content.
    pub root_files: Vec<(&'static str, Bytes)>,
    /// Then these halves of the journal are emptied: half, new generation, next sequence number.
    pub journal: Vec<(usize, u64, u64)>,
}

/// Cuts the end of a log, or empties it.
#[derive(Clone, Debug)]
pub struct TruncateJob {
    /// First: sync what stays, note lower marks, raise the journal floor.
    pub before: CheckpointJob,
    /// The recovery points of all logs; this one's becomes the spot of the cut, if that is lower.
    pub recovery_points: Vec<(Arc<str>, Offset)>,
    /// Everything at or above goes.
    pub to: Offset,
    /// The log is emptied, as the file that `before` wrote says, which also says where it starts again.
    pub restart: bool,
    /// The segments as they are.
    pub segments: Vec<SegmentMeta>,
    /// How to open it afterwards.
    pub open: OpenJob,
}

/// Moves the start of a log.
#[derive(Clone, Debug)]
pub struct TrimJob {
    /// First: note the new start.
    pub before: CheckpointJob,
    pub dir: LogDir,
    /// Segments to remove.
    pub remove: Vec<Offset>,
}

/// Removes directories of logs.
#[derive(Clone, Debug)]
pub struct DeleteJob {
    pub root: Root,
    /// First moved to a name that no log has, so that the deletion survives a crash.
    pub rename: Option<(Arc<str>, Arc<str>)>,
    /// Then the checkpoint files forget it, so that they say nothing of a namesake.
    pub forget: Option<CheckpointJob>,
    /// Then emptied and removed.
    pub remove: Vec<Arc<str>>,
}

/// About the reserve for a full disk.
#[derive(Clone, Debug)]
pub struct SpaceJob {
    pub files: Arc<RootFiles>,
    /// Give it up now; otherwise set it aside when `wanted_bytes` are free.
    pub release: bool,
    pub wanted_bytes: u64,
}
