//! Checkpoints: when segments are synced that rounds did not sync, and recovery points moved.
//!
//! A checkpoint is due when a half of the journal is full, when a recovery would have to scan too much, when batches were
//! acknowledged without a sync for long enough, once an hour of appends for the broker's time, and at a clean stop. An
//! idle node has none.
//!
//! Invariant: a recovery point is moved only with everything that recovery believes below it: batches, both indexes,
//! leader epochs. One checkpoint at a time; what failed is tried again after a rest.

use std::sync::Arc;

use bytes::Bytes;

use super::checkpoint::{self, BROKER_TIME, LEADER_EPOCHS, RECOVERY_POINTS};
use super::dirty::{UNCOVERED, journaled};
use super::log_file::LOG_FILE;
use super::logs::{Due, Job};
use super::state::{Log, Phase};
use super::{LogEvent, LogKey, Logs};
use crate::effect::{CheckpointJob, DirtySegment, DiskError, Effects, LogDir, LogJob};
use crate::types::{Now, Offset};

/// Broker time is noted that often while something is appended.
const CLOCK_MS: u64 = 3_600_000;

/// When the next checkpoint is due.
#[derive(Debug, Default)]
pub(super) struct Janitor {
    /// Over all logs, since their recovery points moved.
    pub unscanned_bytes: u64,
    pub some_log_is_due: bool,
    /// Logs whose unsynced batches are due.
    pub flush: Vec<LogKey>,
    /// Logs that got a new segment: retention looks at them.
    pub rolled: Vec<LogKey>,
    pub clock_is_due: bool,
    clock_is_armed: bool,
    /// Logs whose start moved and whose files could not be removed yet.
    pub trims: Vec<LogKey>,
    pub is_busy: bool,
    /// After a failure, until the next retry.
    pub is_resting: bool,
    is_stopped: bool,
}

/// A checkpoint under way.
#[derive(Debug)]
pub(super) struct Checkpoint {
    moved: Vec<Moved>,
    halves: Vec<usize>,
    is_last: bool,
}

/// A recovery point that moves.
#[derive(Debug)]
struct Moved {
    log: LogKey,
    dir: Arc<str>,
    to: Offset,
    /// `Log::written_bytes` there.
    bytes: u64,
    /// The log's own file is written.
    file: Option<FileNote>,
    /// Leader epochs are written: changes.
    epochs: Option<u64>,
}

/// What the log's own file says then.
#[derive(Debug)]
struct FileNote {
    changes: u64,
    log_end: Offset,
    snapshot: Option<(Offset, Bytes)>,
}

impl Logs {
    /// Sends a checkpoint when one is due.
    pub(super) fn maybe_checkpoint(&mut self, now: Now, fx: &mut Effects) {
        self.check_trims(now, fx);
        let is_last = self.is_stopping && self.is_quiet();
        let rests = self.janitor.is_resting && !is_last;
        if self.janitor.is_busy || self.janitor.is_stopped || rests {
            return;
        }
        let total_is_due = self.janitor.unscanned_bytes >= self.config.scan_total_bytes;
        let scan_is_due = self.janitor.some_log_is_due || total_is_due;
        let half = self.journal.full();
        let clock_is_due = std::mem::take(&mut self.janitor.clock_is_due);
        let flush = std::mem::take(&mut self.janitor.flush);
        if !(is_last || scan_is_due || half.is_some() || clock_is_due || !flush.is_empty()) {
            return;
        }
        let least = match () {
            () if is_last || clock_is_due => Some(0),
            () if total_is_due => Some(1),
            () if self.janitor.some_log_is_due => Some(self.config.scan_bytes / 4),
            () => None,
        };
        let halves = if is_last { self.journal.used() } else { half.into_iter().collect() };
        self.send_checkpoint(least, halves, flush, is_last, fx);
    }

    /// Syncs and moves the logs that have at least `least` bytes to scan; syncs only those that `halves` and `flush` name.
    fn send_checkpoint(
        &mut self,
        least: Option<u64>,
        halves: Vec<usize>,
        flush: Vec<LogKey>,
        is_last: bool,
        fx: &mut Effects,
    ) {
        let mut job = self.empty_checkpoint();
        let bits = halves.iter().fold(0, |bits, &half| bits | journaled(half));
        let mut to_sync = self.dirty.logs(bits);
        to_sync.extend(flush.into_iter().filter(|&log| self.dirty.has(log, UNCOVERED)));
        let moves = |log: &Log| log.can_move() && least.is_some_and(|least| log.unscanned_bytes() >= least);
        let to_move: Vec<LogKey> = self.all().filter(|(_, log)| moves(log)).map(|(key, _)| key).collect();
        to_sync.retain(|log| !to_move.contains(log));
        let mut moved = Vec::with_capacity(to_move.len());
        for log in to_sync {
            self.sync_log(log, &mut job);
        }
        for log in to_move {
            self.sync_log(log, &mut job);
            moved.extend(self.move_log(log, is_last, &mut job));
        }
        if least.is_some() {
            job.root_files.push((BROKER_TIME, checkpoint::render_time(self.clock.high())));
        }
        if !moved.is_empty() {
            let to = |dir: &Arc<str>, at| moved.iter().find(|moved| moved.dir == *dir).map_or(at, |moved| moved.to);
            let lines = self.recovery_points().map(|(dir, at)| (&**dir, to(dir, at)));
            job.root_files.push((RECOVERY_POINTS, checkpoint::render_offsets(lines)));
        }
        let sequence = self.journal.sequence();
        job.journal = halves.iter().map(|&half| (half, self.journal.empty(half), sequence)).collect();
        self.janitor.is_busy = true;
        self.send(
            self.config.lanes.janitor,
            Job::Checkpoint(Checkpoint { moved, halves, is_last }),
            LogJob::Checkpoint(job),
            fx,
        );
    }

    pub(super) fn checkpoint_done(
        &mut self,
        now: Now,
        checkpoint: Checkpoint,
        result: Result<(), DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        self.janitor.is_busy = false;
        self.dirty.end(result.is_ok());
        for &half in &checkpoint.halves {
            self.journal.emptied(half, result.is_ok());
        }
        if checkpoint.is_last {
            self.janitor.is_stopped = true;
            events.push(LogEvent::Stopped);
        }
        match result {
            Ok(()) => checkpoint.moved.into_iter().for_each(|moved| self.moved(moved)),
            Err(error) => self.rest(now, error, fx, events),
        }
        let scan_bytes = self.config.scan_bytes;
        let unscanned: Vec<u64> = self.all().map(|(_, log)| log.unscanned_bytes()).collect();
        self.janitor.unscanned_bytes = unscanned.iter().sum();
        self.janitor.some_log_is_due = unscanned.iter().any(|&bytes| bytes >= scan_bytes);
    }

    /// The janitor failed: it rests until the next retry.
    pub(super) fn rest(&mut self, now: Now, error: DiskError, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        self.janitor.is_resting = true;
        self.arm_retry(now);
        self.disk_refused(now, error, fx, events);
    }

    /// Something was appended: broker time is to be noted within an hour.
    pub(super) fn arm_clock(&mut self, now: Now) {
        if !std::mem::replace(&mut self.janitor.clock_is_armed, true) {
            self.timers.set(Due::Clock, now.mono.plus_millis(CLOCK_MS));
        }
    }

    pub(super) fn clock_is_due(&mut self) {
        self.janitor.clock_is_due = true;
        self.janitor.clock_is_armed = false;
    }

    pub(super) fn empty_checkpoint(&self) -> CheckpointJob {
        CheckpointJob {
            files: self.files.clone(),
            segments: Vec::new(),
            log_files: Vec::new(),
            root_files: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// Has the log's dirty segments synced.
    pub(super) fn sync_log(&mut self, key: LogKey, job: &mut CheckpointJob) {
        let bases = self.dirty.begin(key);
        let Some(log) = self.log_mut(key) else { return };
        log.unsynced_batches = 0;
        for base in bases {
            job.segments.push(DirtySegment { dir: log.dir.clone(), base, batches: true, indexes: false });
        }
    }

    /// Has everything else noted that a higher recovery point needs.
    fn move_log(&mut self, key: LogKey, is_last: bool, job: &mut CheckpointJob) -> Option<Moved> {
        let log = self.log_mut(key)?;
        let Some(next) = log.next_recovery_point() else {
            log.checkpointed_bytes = log.written_bytes; // no use in trying again before more is written
            return None;
        };
        let end = log.written.end;
        let file_changes = log.file_changes.unnoted();
        let needs_file = file_changes.is_some() || next.with_snapshot || (is_last && log.noted_end != end);
        if next.at == log.recovery_point && !needs_file {
            log.checkpointed_bytes = log.written_bytes;
            return None;
        }
        for segment in log.written_segments().skip(log.first_unscanned()) {
            let dirty = job.segments.iter_mut().find(|dirty| dirty.base == segment.base && dirty.dir == log.dir);
            match dirty {
                Some(dirty) => dirty.indexes = true,
                None => job.segments.push(DirtySegment {
                    dir: log.dir.clone(),
                    base: segment.base,
                    batches: false,
                    indexes: true,
                }),
            }
        }
        let mut epochs = log.epochs_changes.unnoted();
        if epochs.is_some() {
            let (file, is_whole) = epochs_file(log);
            job.log_files.push(file);
            epochs = epochs.filter(|_| is_whole);
        }
        if needs_file {
            job.log_files.push((log.dir.clone(), LOG_FILE, log.file(log.journal_floor).render()));
        }
        let snapshot = log.usable_snapshot().map(|snapshot| (snapshot.at, snapshot.bytes.clone()));
        let file = needs_file.then_some(FileNote { changes: file_changes.unwrap_or(0), log_end: end, snapshot });
        Some(Moved { log: key, dir: log.dir.name.clone(), to: next.at, bytes: next.bytes, file, epochs })
    }

    fn moved(&mut self, moved: Moved) {
        let Some(log) = self.log_mut(moved.log).filter(|log| log.phase == Phase::Open) else { return };
        log.recovery_point = moved.to.min(log.written.end);
        log.checkpointed_bytes = moved.bytes;
        log.epochs_changes.noted(moved.epochs.unwrap_or(0));
        let Some(file) = moved.file else { return };
        log.noted_end = file.log_end;
        log.file_changes.noted(file.changes);
        if let Some((at, bytes)) = file.snapshot {
            log.snapshot = Some((at, bytes));
            log.new_snapshot.take_if(|new| new.at == at);
        }
    }

    /// Recovery points as the file has them, by directory.
    pub(super) fn recovery_points(&self) -> impl Iterator<Item = (&Arc<str>, Offset)> {
        let found = self.found.iter().filter_map(|(dir, marks)| Some((dir, (*marks)?.recovery_point)));
        let known = self.all().filter(|(_, log)| !matches!(log.phase, Phase::Deleting | Phase::Waiting));
        found.chain(known.map(|(_, log)| (&log.dir.name, log.recovery_point)))
    }

    /// As the file should be now.
    pub(super) fn render_log_starts(&self) -> Bytes {
        let found = self.found.iter().filter_map(|(dir, marks)| Some((&**dir, (*marks)?.log_start)));
        let known = self
            .all()
            .filter(|(_, log)| !matches!(log.phase, Phase::Deleting | Phase::Waiting))
            .map(|(_, log)| (&*log.dir.name, log.start));
        checkpoint::render_offsets(found.chain(known).filter(|(_, start)| *start > Offset(0)))
    }

    /// As the file should be now.
    pub(super) fn render_cleaner_offsets(&self) -> Bytes {
        let found = self.found.iter().filter_map(|(dir, marks)| Some((&**dir, (*marks)?.compacted)));
        let known = self
            .all()
            .filter(|(_, log)| !matches!(log.phase, Phase::Deleting | Phase::Waiting))
            .map(|(_, log)| (&*log.dir.name, log.cleaning.first_dirty));
        checkpoint::render_offsets(found.chain(known).filter(|(_, at)| *at > Offset(0)))
    }

    /// Nothing is queued or under way that the last checkpoint would miss.
    fn is_quiet(&self) -> bool {
        let reads = |job: &Job| matches!(job, Job::Read(_) | Job::Find(_) | Job::Space);
        self.queued_batches == 0 && self.jobs.values().all(reads)
    }
}

impl Log {
    /// Whether the recovery point may move. Not while segments are being removed: they could still come back, and nobody
    /// would have synced their indexes.
    fn can_move(&self) -> bool {
        self.phase == Phase::Open && !self.is_trimming && self.removed.is_empty() && !self.cleaning.is_swapping()
    }

    /// The number of the first segment that reaches the recovery point: one that ended there may have been closed since.
    fn first_unscanned(&self) -> usize {
        self.segments.partition_point(|segment| segment.base < self.recovery_point).saturating_sub(1)
    }
}

/// The leader epochs of what is written, and whether that is all of them; an empty log remembers the last one it had.
pub(super) fn epochs_file(log: &Log) -> ((LogDir, &'static str, Bytes), bool) {
    let mut epochs = log.epochs.clone();
    let is_cut = epochs.truncate_end(log.written.end.max(log.start.plus(1)));
    ((log.dir.clone(), LEADER_EPOCHS, checkpoint::render_epochs(epochs.entries())), !is_cut)
}
