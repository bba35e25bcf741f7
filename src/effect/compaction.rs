//! What compaction asks of a disk lane, slice by slice: the state of one run over one log travels to the lane and back.
//!
//! A run reads the records whose keys are not known yet (`Mapping`), then copies segment after segment without what a
//! newer record supersedes (`Copying`), a group of segments into one. When a group is complete the log swaps it in by
//! `SwapJob`, alone on the log's old segments. Invariants: a slice reads and writes about `slice_bytes`, syncs what it
//! wrote, and touches no file that anybody else reads; an error loses the state, and with it the run.

use std::collections::BTreeMap;

use super::{CheckpointJob, DiskError, LogDir, SegmentMeta};
use crate::memory::Grant;
use crate::types::{KeyMap, Offset, ProducerId, Timestamp};

/// What a run does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionStage {
    /// Notes the last offset of each key.
    Mapping,
    /// Copies what stays.
    Copying,
    /// Removes the files of a copy that will not be used.
    Abandoning,
}

/// One run over one log.
#[derive(Debug)]
pub struct Compaction {
    /// The log.
    pub dir: LogDir,
    /// What it does at present.
    pub stage: CompactionStage,
    /// Complete segments from the log's first on, ascending; their bytes never change.
    pub segments: Vec<SegmentMeta>,
    /// Offset after the last of them.
    pub segments_end: Offset,
    /// Below this every key stands once: an earlier run was here.
    pub from: Offset,
    /// Records at or above this stay as they are. Mapping lowers it when the map is full.
    pub below: Offset,
    /// Last offsets by key, of the records in `from..below`.
    pub map: KeyMap,
    /// The last batch of each producer in the same range, as far as the table reaches.
    pub producers: BTreeMap<ProducerId, Offset>,
    /// A producer whose last batch is older is forgotten; none: the clock cannot be believed.
    pub producers_since: Option<Timestamp>,
    /// Broker time; none: it cannot be believed, and no tombstone goes.
    pub now: Option<Timestamp>,
    /// When tombstones that are met for the first time may go.
    pub horizon: Option<Timestamp>,
    /// The latest delete horizon that was met or given.
    pub latest_horizon: Option<Timestamp>,
    /// A batch was too large to be opened: a tombstone behind it may delete what is in it, and stays.
    pub keeps_tombstones: bool,
    /// Where the next slice goes on: in this segment, at this position.
    pub segment: usize,
    /// See `segment`.
    pub position: u64,
    /// The first segment after the group that is being copied.
    pub group_end: usize,
    /// Segments are copied into one while they have no more bytes than this together.
    pub group_bytes: u64,
    /// The copy of the group so far; its files end in `.cleaned`.
    pub output: Option<SegmentMeta>,
    /// Offset after the last batch of the copy.
    pub output_end: Offset,
    /// The header of the last batch that was left out, in case the group ends with it.
    pub tail: Vec<u8>,
    /// Bytes between two index entries.
    pub index_interval_bytes: u32,
    /// Bytes that one slice reads.
    pub slice_bytes: u64,
    /// The largest batch that may be opened: read, decompressed and written anew, each at most so large.
    pub batch_bytes_max: usize,
    /// Batches above `batch_bytes_max` are copied unopened: there will never be memory for them.
    pub skips_large: bool,
    /// Bytes that the slice read and wrote.
    pub slice_cost: u64,
    /// Bytes read and written, and records left out, by the whole run.
    pub bytes_read: u64,
    /// See `bytes_read`.
    pub bytes_written: u64,
    /// See `bytes_read`.
    pub records_removed: u64,
    /// What accounts for the map and for large batches.
    pub grants: Vec<Grant>,
}

/// How a slice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceEnd {
    /// There is more to do in this stage.
    More,
    /// All keys are noted, or the map is full.
    Mapped,
    /// The group `segment..group_end` is copied to `output`, and synced.
    Copied,
    /// The copy is removed.
    Abandoned,
    /// The disk has no room for a copy; nothing was done.
    NoRoom,
    /// A batch needs `batch_bytes_max` to be that large; nothing of it was done.
    NeedsMemory(usize),
    /// The log cannot be compacted as it is; the sentence says what and where. `from`: because of damage in the segment
    /// of that base.
    Unfit { from: Option<Offset>, sentence: String },
}

/// Puts a copy in the place of the segments that it was made from.
#[derive(Clone, Debug)]
pub struct SwapJob {
    /// First, unless `is_committed`: notes that the journal has nothing for these segments any more.
    pub before: CheckpointJob,
    /// The log.
    pub dir: LogDir,
    /// Bases of the segments that go; the copy takes the name of the first.
    pub sources: Vec<Offset>,
    /// An earlier try got so far that it can only be finished.
    pub is_committed: bool,
}

/// Answer to `SwapJob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The copy is in place.
    Done,
    /// Nothing changed; the copy is gone.
    Undone(DiskError),
    /// The swap is decided and could not be finished: it must be tried again.
    Stuck(DiskError),
}
