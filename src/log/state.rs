//! One log, as decisions: its marks, its segments, what is queued, and what is known to be on the disk.
//!
//! ```text
//! Waiting --start done, namesake gone--> Opening --Opened--> Open <--> Busy (truncate, restart, repair) <--> Stuck
//!                                                              \--> Deleting --Deleted--> gone
//! ```
//!
//! Invariants: `start <= durable <= written.end <= end`; `segments` holds everything appended, queued or not, and
//! `written` remembers how it looked after the last round that succeeded, so that a failed one is undone exactly. Bounded
//! by the number of segments and by the grants of what is queued.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::cleaning::Cleaning;
use super::leader_epochs::LeaderEpochs;
use super::log_file::LogFile;
use super::{LogConfig, Marks};
use crate::effect::{LogDir, OpenedLog, ProducerBatch, SegmentMeta, WritePart};
use crate::types::{LeaderEpoch, Offset};

/// Readers whose next spot is remembered.
const HINTS: usize = 4;

/// What a log is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the start job, or for a log of the same name to be gone.
    Waiting,
    /// Being created or recovered.
    Opening,
    /// Taking appends.
    Open,
    /// Being cut; takes nothing.
    Busy,
    /// The cut failed, half way perhaps, and is to be tried again; takes nothing.
    Stuck,
    /// Going.
    Deleting,
}

/// What a log was asked to become, as soon as nothing of it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Lose everything at or above.
    Truncate(Offset),
    /// Be empty and start there.
    Restart(Offset),
    /// Lose what a failed round may have left behind.
    Repair,
    /// Be gone.
    Delete,
}

/// How the end of a log looked at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    pub end: Offset,
    /// Segments up to and with the last one.
    pub count: usize,
    pub last: SegmentMeta,
    /// The last segment has no file yet.
    pub unborn: bool,
}

/// Changes of what a small file should say, counted, and how many of them it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    made: u64,
    noted: u64,
}

impl Changes {
    /// One more.
    pub fn add(&mut self) {
        self.made += 1;
    }

    /// The count to hand to `noted` when the file says it.
    pub fn unnoted(self) -> Option<u64> {
        (self.made > self.noted).then_some(self.made)
    }

    /// The file says the first `count`.
    pub fn noted(&mut self, count: u64) {
        self.noted = self.noted.max(count);
    }
}

/// What the owner says of producers, with everything below an offset.
#[derive(Clone, Debug)]
pub(super) struct NewSnapshot {
    pub at: Offset,
    pub bytes: Bytes,
    /// `Log::appended_bytes` at that offset.
    pub appended_bytes: u64,
}

/// Where a recovery point may move to.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextPoint {
    pub at: Offset,
    /// `Log::written_bytes` at that offset.
    pub bytes: u64,
    /// The new snapshot must be noted first.
    pub with_snapshot: bool,
}

/// Where a reader will probably go on.
#[derive(Clone, Copy, Debug)]
struct Hint {
    next: Offset,
    base: Offset,
    position: u64,
}

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    pub dir: LogDir,
    pub config: LogConfig,
    pub phase: Phase,
    pub wish: Option<Wish>,
    /// Calls of `truncate` and `restart_at` that are to be answered, by the job under way and by a later one.
    pub truncations_sent: usize,
    pub truncations_asked: usize,
    pub start: Offset,
    pub durable: Offset,
    pub end: Offset,
    /// Ascending; not empty once open.
    pub segments: Vec<SegmentMeta>,
    pub unborn: bool,
    /// As of the last round that succeeded.
    pub written: Tip,
    /// As of the round in flight, if this log has a part in it.
    pub sent: Option<Tip>,
    pub epochs: LeaderEpochs,
    /// For the next round.
    pub queue: Vec<WritePart>,
    /// The log stands in the list of those with a queue.
    pub is_listed: bool,
    /// `Durable` brings the batches along.
    pub tail: bool,
    /// Followers are shown what is appended before it is durable.
    pub is_followed: bool,
    /// What they are shown, by base offset.
    pub fresh: VecDeque<(Offset, Bytes)>,
    /// Jobs under way that read.
    pub reads: usize,
    hints: [Option<Hint>; HINTS],
    next_hint: usize,
    /// As the checkpoint file says.
    pub recovery_point: Offset,
    /// Bytes ever appended and ever written in this life, and as of `recovery_point` and the newest snapshot.
    pub appended_bytes: u64,
    pub written_bytes: u64,
    pub checkpointed_bytes: u64,
    pub snapshot_bytes: u64,
    /// What is known of producers, on the disk.
    pub snapshot: Option<(Offset, Bytes)>,
    /// What is to replace it with the next checkpoint.
    pub new_snapshot: Option<NewSnapshot>,
    pub snapshot_asked: bool,
    /// Offset after the last batch of an idempotent producer.
    pub produced_end: Offset,
    pub journal_floor: u64,
    pub noted_end: Offset,
    /// Counts changes that the file of leader epochs, and the log's own, must follow.
    pub epochs_changes: Changes,
    pub file_changes: Changes,
    /// Batches that were acknowledged without a sync.
    pub unsynced_batches: u64,
    /// Segments below the start whose files may still be there.
    pub removed: Vec<Offset>,
    pub is_trimming: bool,
    /// Where the directory goes before it is removed.
    pub deleted_name: Option<Arc<str>>,
    pub cleaning: Cleaning,
}

impl Log {
    /// Not open yet.
    pub fn new(dir: LogDir, config: LogConfig) -> Log {
        Log {
            dir,
            config,
            phase: Phase::Waiting,
            wish: None,
            truncations_sent: 0,
            truncations_asked: 0,
            start: Offset(0),
            durable: Offset(0),
            end: Offset(0),
            segments: Vec::new(),
            unborn: false,
            written: Tip::default(),
            sent: None,
            epochs: LeaderEpochs::default(),
            queue: Vec::new(),
            is_listed: false,
            tail: false,
            is_followed: false,
            fresh: VecDeque::new(),
            reads: 0,
            hints: [None; HINTS],
            next_hint: 0,
            recovery_point: Offset(0),
            appended_bytes: 0,
            written_bytes: 0,
            checkpointed_bytes: 0,
            snapshot_bytes: 0,
            snapshot: None,
            new_snapshot: None,
            snapshot_asked: false,
            produced_end: Offset(0),
            journal_floor: 0,
            noted_end: Offset(-1),
            epochs_changes: Changes::default(),
            file_changes: Changes::default(),
            unsynced_batches: 0,
            removed: Vec::new(),
            is_trimming: false,
            deleted_name: None,
            cleaning: Cleaning::default(),
        }
    }

    /// Takes over what recovery found; `marked` is the recovery point that the checkpoint file has.
    pub fn opened(&mut self, found: &OpenedLog, marked: Offset) {
        self.phase = Phase::Open;
        self.start = found.log_start;
        self.end = found.end;
        self.durable = found.end;
        self.segments.clone_from(&found.segments);
        self.unborn = false;
        self.epochs = LeaderEpochs::from_entries(found.epochs.iter().copied());
        self.epochs_changes.add();
        self.recovery_point = marked;
        self.journal_floor = found.journal_floor;
        self.snapshot = found.producer_snapshot.clone();
        self.new_snapshot = None;
        self.snapshot_asked = false;
        let produced = |batch: &ProducerBatch| batch.base_offset.plus(batch.last_offset_delta as i64 + 1);
        self.produced_end = found.producer_batches.iter().map(produced).max().unwrap_or_default();
        self.forget_hints();
        self.removed.clear();
        self.cleaning.opened(found.journal_base, found.end);
        // what was scanned now would be scanned again
        self.written_bytes = found.scanned_bytes;
        self.appended_bytes = found.scanned_bytes;
        self.checkpointed_bytes = 0;
        self.snapshot_bytes = 0;
        self.written = self.tip();
    }

    /// How the end looks with everything that is queued.
    pub fn tip(&self) -> Tip {
        let last = self.segments.last().copied().unwrap_or_default();
        Tip { end: self.end, count: self.segments.len(), last, unborn: self.unborn }
    }

    /// Takes back everything that was appended after the last round that succeeded.
    pub fn roll_back(&mut self) {
        let written = self.written;
        self.segments.truncate(written.count);
        if let Some(last) = self.segments.last_mut() {
            *last = written.last;
        }
        self.unborn = written.unborn;
        self.end = written.end;
        if self.epochs.truncate_end(written.end.max(self.start.plus(1))) {
            self.epochs_changes.add();
        }
        self.new_snapshot.take_if(|snapshot| snapshot.at > written.end);
        self.queue.clear();
        self.fresh.clear();
    }

    /// Marks for the owner.
    pub fn marks(&self) -> Marks {
        Marks { start: self.start, durable: self.durable, end: self.end }
    }

    /// True when batches may be acknowledged before they are synced.
    pub fn syncs_later(&self) -> bool {
        self.config.flush_messages > 1
    }

    /// The segment that holds `offset` as far as it is written, and its number.
    pub fn written_segment(&self, offset: Offset) -> Option<(usize, SegmentMeta)> {
        let segments = self.segments.get(..self.written.count)?;
        let number = segments.partition_point(|segment| segment.base <= offset).checked_sub(1)?;
        self.written_at(number)
    }

    /// The segment with this number, as far as it is written.
    pub fn written_at(&self, number: usize) -> Option<(usize, SegmentMeta)> {
        let is_last = number + 1 == self.written.count;
        let segment =
            if is_last { self.written.last } else { *self.segments.get(..self.written.count)?.get(number)? };
        Some((number, segment))
    }

    /// Where the segment begins that holds `offset`, or would; `offset` itself below all segments.
    pub fn base_of(&self, offset: Offset) -> Offset {
        let holds = self.segments.iter().rev().find(|segment| segment.base <= offset);
        holds.map_or(offset, |segment| segment.base)
    }

    /// The number of the written segment that starts at `base`.
    pub fn number_of(&self, base: Offset) -> Option<usize> {
        self.segments.binary_search_by_key(&base, |segment| segment.base).ok()
    }

    /// All segments as far as they are written.
    pub fn written_segments(&self) -> impl Iterator<Item = SegmentMeta> {
        (0..self.written.count).filter_map(|number| self.written_at(number).map(|(_, segment)| segment))
    }

    /// Bytes that a recovery would scan again.
    pub fn unscanned_bytes(&self) -> u64 {
        self.written_bytes.saturating_sub(self.checkpointed_bytes)
    }

    /// Where in the segment a reader of `from` goes on, if it was here before.
    pub fn hint(&self, from: Offset, base: Offset) -> Option<u64> {
        let known = self.hints.iter().flatten().find(|hint| hint.next == from && hint.base == base);
        known.map(|hint| hint.position)
    }

    /// Batches lie elsewhere than before.
    pub fn forget_hints(&mut self) {
        self.hints = [None; HINTS];
    }

    /// A reader got everything up to `next`.
    pub fn remember(&mut self, from: Offset, next: Offset, base: Offset, position: u64) {
        let hint = Some(Hint { next, base, position });
        if let Some(known) = self.hints.iter_mut().find(|known| known.is_some_and(|known| known.next == from)) {
            *known = hint;
            return;
        }
        if let Some(oldest) = self.hints.get_mut(self.next_hint) {
            *oldest = hint;
        }
        self.next_hint = (self.next_hint + 1) % HINTS;
    }

    /// Drops the first `count` segments; when those are all, an empty one that has no file yet follows them.
    pub fn drop_segments(&mut self, count: usize) {
        let dropped = self.segments.drain(..count.min(self.segments.len()));
        self.removed.extend(dropped.map(|segment| segment.base));
        self.file_changes.add();
        if self.segments.is_empty() {
            self.segments.push(SegmentMeta::empty(self.end, self.written.last.appended_at));
            self.unborn = true;
            self.written = self.tip();
            return;
        }
        self.written.count -= count;
        if let Some(sent) = &mut self.sent {
            sent.count -= count;
        }
    }

    /// What the log's own file should say now; `floor` is the journal floor.
    pub fn file(&self, floor: u64) -> LogFile {
        let known = self.snapshot.as_ref().map(|(at, bytes)| (*at, bytes));
        let snapshot = self.usable_snapshot().map(|snapshot| (snapshot.at, &snapshot.bytes)).or(known);
        LogFile {
            journal_floor: floor,
            producer_snapshot: snapshot.map(|(at, bytes)| (at, bytes.to_vec())),
            restart_at: None,
            noted_end: self.written.end,
            segments: self
                .written_segments()
                .map(|segment| (segment.base, segment.created_at, segment.appended_at))
                .collect(),
            journal_base: self.cleaning.journal_base,
        }
    }

    /// The new snapshot, when everything it speaks of is written.
    pub fn usable_snapshot(&self) -> Option<&NewSnapshot> {
        self.new_snapshot.as_ref().filter(|snapshot| snapshot.at <= self.written.end)
    }

    /// Whether a snapshot that holds up to `at` tells all that the log's batches say of producers.
    fn is_covered(&self, at: Offset) -> bool {
        !self.config.producers || self.produced_end <= at
    }

    /// How far the recovery point may move, and what it takes: batches of producers must not fall below it before a
    /// snapshot tells of them.
    pub fn next_recovery_point(&self) -> Option<NextPoint> {
        let all = NextPoint { at: self.written.end, bytes: self.written_bytes, with_snapshot: false };
        if self.snapshot.as_ref().map_or(!self.config.producers, |(at, _)| self.is_covered(*at)) {
            return Some(all);
        }
        let new = self.usable_snapshot()?;
        let up_to_new =
            NextPoint { at: new.at, bytes: new.appended_bytes.min(self.written_bytes), with_snapshot: true };
        Some(if self.is_covered(new.at) { NextPoint { with_snapshot: true, ..all } } else { up_to_new })
    }

    /// Whether the next checkpoint could not move the recovery point far without a newer snapshot; asked once.
    pub fn wants_snapshot(&mut self, scan_bytes: u64) -> bool {
        let is_old = self.appended_bytes.saturating_sub(self.snapshot_bytes) >= scan_bytes / 4;
        let newest = self.new_snapshot.as_ref().map(|snapshot| snapshot.at);
        let newest = newest.or(self.snapshot.as_ref().map(|(at, _)| *at));
        let is_missing = newest.map_or(self.config.producers, |at| !self.is_covered(at));
        let wants = is_old && is_missing && !self.snapshot_asked;
        self.snapshot_asked |= wants;
        wants
    }

    /// The last epoch that appended.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last()
    }
}
