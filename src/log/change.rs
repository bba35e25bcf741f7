//! What shortens a log: truncation, restart elsewhere, retention, `delete_records`, deletion, and the repair of a failed
//! append.
//!
//! Invariants: a log that is cut has nothing under way meanwhile and takes nothing; what is deleted moves to another name
//! first, so that a namesake can follow; segments go only after their going was noted.

use std::sync::Arc;

use super::checkpoint::{self, CLEANER_OFFSETS, LOG_STARTS, RECOVERY_POINTS};
use super::janitor::epochs_file;
use super::job::DELETED_SUFFIX;
use super::log_file::{LOG_FILE, LogFile};
use super::logs::{Due, Job};
use super::retention;
use super::state::{Log, Phase, Wish};
use super::{LogEvent, LogKey, LogReadError, Logs};
use crate::effect::{DeleteJob, DirtySegment, DiskError, Effects, LogDone, LogJob, LogMarks, TrimJob, TruncateJob};
use crate::types::{Now, Offset};

/// While the wall clock cannot be believed, it is looked at that often.
const INSANE_CLOCK_MS: u64 = 60_000;

/// A wall clock that is set forward is noticed within that.
const RETENTION_CHECK_MS_MAX: u64 = 3_600_000;

/// A move of a log's start under way.
#[derive(Debug)]
pub(super) struct Trim {
    log: LogKey,
    removed: Vec<Offset>,
    start: Offset,
}

/// A cut of a log's end under way.
#[derive(Debug)]
pub(super) struct Truncation {
    log: LogKey,
    wish: Wish,
    /// As the job notes it, unless the cut is lower.
    recovery_point: Offset,
}

impl Logs {
    /// Cuts everything at or above `to`, whole batches; `Truncated` follows, until which the log takes no appends and
    /// answers no reads.
    pub fn truncate(&mut self, now: Now, log: LogKey, to: Offset, fx: &mut Effects) {
        self.wish(log, Wish::Truncate(to));
        self.grant_wishes(now, fx);
    }

    /// Empties the log and lets it start at `at`, above or below its present end; `Truncated` follows as for `truncate`.
    pub fn restart_at(&mut self, now: Now, log: LogKey, at: Offset, fx: &mut Effects) {
        self.wish(log, Wish::Restart(at));
        self.grant_wishes(now, fx);
    }

    /// Removes the log and its files; `Deleted` follows. What is queued is dropped without a word.
    pub fn delete(&mut self, log: LogKey, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        let Some(known) = self.log_mut(log) else { return };
        let batches: usize = known.queue.iter().map(|part| part.batches.len()).sum();
        let bytes: u64 = known.queue.iter().map(super::append::part_bytes).sum();
        known.queue.clear();
        self.queued_batches -= batches;
        self.queued_bytes -= bytes;
        self.wish(log, Wish::Delete);
        if self.log(log).is_some_and(|log| log.phase == Phase::Waiting) {
            self.forget(log);
            events.push(LogEvent::Deleted { log });
        } else if self.log(log).is_some_and(Log::is_at_rest) {
            self.waiting.retain(|&waiting| waiting != log);
            self.send_delete(log, fx);
        }
    }

    /// Moves the log start offset up to `before`, at most to the durable end; `StartMoved` follows.
    pub fn delete_records(&mut self, log: LogKey, before: Offset, fx: &mut Effects) -> Result<(), LogReadError> {
        let known = self.log_mut(log).filter(|log| log.phase == Phase::Open && log.wish.is_none());
        let known = known.ok_or(LogReadError::NotOpen)?;
        if before < known.start || before > known.durable {
            return Err(LogReadError::OutOfRange(known.marks()));
        }
        let below = known.segments.partition_point(|segment| segment.base <= before).saturating_sub(1);
        let count = below.min(known.written.count.saturating_sub(1));
        let count = if known.cleaning.is_swapping() { 0 } else { count };
        self.trim(log, count, before, fx);
        Ok(())
    }

    /// Removes what lies below the log's start since it moved while a swap was under way.
    pub(super) fn trim_after_swap(&mut self, key: LogKey, fx: &mut Effects) {
        let Some(log) = self.log_mut(key).filter(|log| log.phase == Phase::Open) else { return };
        if std::mem::take(&mut log.cleaning.trim_waits) {
            let (start, below) = (log.start, log.segments.partition_point(|segment| segment.base <= log.start));
            let count = below.saturating_sub(1).min(log.written.count.saturating_sub(1));
            self.trim(key, count, start, fx);
        }
    }

    /// Removes segments that have outlived their retention, and sets the timer for the next.
    pub(super) fn check_retention(&mut self, now: Now, key: LogKey, fx: &mut Effects) {
        let is_sane = self.clock.is_sane(now.wall);
        let time = self.clock.advance(now.wall);
        let Some(log) = self.log(key).filter(|log| log.phase == Phase::Open && log.wish.is_none()) else { return };
        if !log.is_trimming && !log.cleaning.is_swapping() {
            let segments: Vec<_> = log.written_segments().collect();
            let is_idle = log.queue.is_empty() && log.sent.is_none();
            let count = retention::expired(&segments, &log.config, is_sane.then_some(time), is_idle);
            let start = segments.get(count).map_or(log.end, |segment| segment.base);
            if count > 0 {
                self.trim(key, count, start.max(log.start), fx);
            }
        }
        self.set_retention_timer(now, key);
    }

    /// Looks at logs that got a new segment, and sends again what failed.
    pub(super) fn check_trims(&mut self, now: Now, fx: &mut Effects) {
        for log in std::mem::take(&mut self.janitor.rolled) {
            self.check_retention(now, log, fx);
            self.cleaner.look_at(log);
        }
        if !self.janitor.is_resting {
            for log in std::mem::take(&mut self.janitor.trims) {
                self.send_trim(log, fx);
            }
        }
    }

    pub(super) fn set_retention_timer(&mut self, now: Now, key: LogKey) {
        let is_sane = self.clock.is_sane(now.wall);
        let time = self.clock.at(now.wall);
        let Some(log) = self.log(key) else { return };
        let Some(expiry) = retention::next_expiry(&log.segments, &log.config) else {
            self.timers.cancel(Due::Retention(key));
            return;
        };
        // one more, because a segment expires after its last moment, not at it
        let wait_ms = (expiry.0.saturating_sub(time.0).max(0) as u64 + 1).min(RETENTION_CHECK_MS_MAX);
        let wait_ms = if is_sane { wait_ms } else { wait_ms.max(INSANE_CLOCK_MS) };
        self.timers.set(Due::Retention(key), now.mono.plus_millis(wait_ms));
    }

    /// Drops the first `count` segments and moves the start.
    fn trim(&mut self, key: LogKey, count: usize, start: Offset, fx: &mut Effects) {
        let Some(log) = self.log_mut(key) else { return };
        log.start = start;
        if log.epochs.truncate_start(start) {
            log.epochs_changes.add();
        }
        log.drop_segments(count);
        self.send_trim(key, fx);
    }

    pub(super) fn send_trim(&mut self, key: LogKey, fx: &mut Effects) {
        if let Some(log) = self.log_mut(key).filter(|log| log.cleaning.is_swapping()) {
            log.cleaning.trim_waits = true;
            return;
        }
        let mut before = self.empty_checkpoint();
        before.root_files.push((LOG_STARTS, self.render_log_starts()));
        let Some(log) = self.log_mut(key).filter(|log| log.phase == Phase::Open) else { return };
        log.is_trimming = true;
        if log.epochs_changes.unnoted().is_some() {
            before.log_files.push(epochs_file(log).0);
        }
        let removed = std::mem::take(&mut log.removed);
        let start = log.start;
        let job = TrimJob { before, dir: log.dir.clone(), remove: removed.clone() };
        self.send(self.config.lanes.janitor, Job::Trim(Trim { log: key, removed, start }), LogJob::Trim(job), fx);
    }

    pub(super) fn trim_done(
        &mut self,
        now: Now,
        trim: Trim,
        result: Result<(), DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(log) = self.log_mut(trim.log) else { return };
        log.is_trimming = false;
        match result {
            Ok(()) => events.push(LogEvent::StartMoved { log: trim.log, start: trim.start }),
            Err(error) => {
                log.removed.extend(trim.removed);
                self.janitor.trims.push(trim.log);
                self.rest(now, error, fx, events);
            }
        }
    }

    /// The log waits for something that the next answer may bring.
    pub(super) fn wait(&mut self, key: LogKey) {
        if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
    }

    fn wish(&mut self, key: LogKey, wish: Wish) {
        let Some(log) = self.log_mut(key) else { return };
        log.truncations_asked += matches!(wish, Wish::Truncate(_) | Wish::Restart(_)) as usize;
        log.wish = match (log.wish, wish) {
            (Some(Wish::Truncate(known)), Wish::Truncate(to)) => Some(Wish::Truncate(to.min(known))),
            (Some(Wish::Delete), _) => return,
            _ => Some(wish),
        };
        self.wait(key);
    }

    /// Starts what logs were asked for and nothing stands in the way of any more.
    pub(super) fn grant_wishes(&mut self, now: Now, fx: &mut Effects) {
        if self.janitor.is_resting {
            return;
        }
        for key in std::mem::take(&mut self.waiting) {
            let Some(log) = self.log(key) else { continue };
            match log.wish {
                Some(_) if !log.is_at_rest() => self.waiting.push(key),
                Some(Wish::Delete) => self.send_delete(key, fx),
                Some(wish) => self.send_truncate(now, key, wish, fx),
                None if log.phase == Phase::Waiting => self.waiting.push(key),
                None => {}
            }
        }
    }

    fn send_delete(&mut self, key: LogKey, fx: &mut Effects) {
        let sequence = self.journal.sequence();
        self.tickets += 1;
        let number = self.tickets;
        let Some(log) = self.log_mut(key) else { return };
        let is_first = log.phase != Phase::Deleting;
        log.phase = Phase::Deleting;
        let from = log.dir.name.clone();
        let to = log.deleted_name.get_or_insert_with(|| format!("{from}.{sequence}.{number}{DELETED_SUFFIX}").into());
        let to = Arc::clone(to);
        if is_first {
            self.begin_deleting(key);
        }
        let mut forget = self.empty_checkpoint();
        let recovery_points = self.recovery_points().map(|(dir, at)| (&**dir, at));
        forget.root_files.push((RECOVERY_POINTS, checkpoint::render_offsets(recovery_points)));
        forget.root_files.push((LOG_STARTS, self.render_log_starts()));
        forget.root_files.push((CLEANER_OFFSETS, self.render_cleaner_offsets()));
        let rename = Some((from, to.clone()));
        let job = DeleteJob { root: self.config.root, rename, forget: Some(forget), remove: vec![to] };
        self.send(self.config.lanes.janitor, Job::Delete(key), LogJob::Delete(job), fx);
    }

    pub(super) fn delete_done(
        &mut self,
        now: Now,
        key: LogKey,
        result: Result<(), DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        match result {
            Ok(()) => {
                self.forget(key);
                events.push(LogEvent::Deleted { log: key });
            }
            Err(error) => {
                self.wait(key);
                self.rest(now, error, fx, events);
            }
        }
    }

    /// Directories that an interrupted deletion left.
    pub(super) fn remove_leftovers(&mut self, dirs: Vec<Arc<str>>, fx: &mut Effects) {
        if !dirs.is_empty() {
            let job = DeleteJob { root: self.config.root, rename: None, forget: None, remove: dirs };
            self.send(self.config.lanes.janitor, Job::Leftovers, LogJob::Delete(job), fx);
        }
    }

    fn send_truncate(&mut self, now: Now, key: LogKey, wish: Wish, fx: &mut Effects) {
        let mut before = self.empty_checkpoint();
        let dirty = self.dirty.of_log(key);
        let floor = self.journal.sequence();
        let Some(log) = self.log_mut(key) else { return };
        log.phase = Phase::Busy;
        log.truncations_sent = std::mem::take(&mut log.truncations_asked);
        let segment = |base| DirtySegment { dir: log.dir.clone(), base, batches: true, indexes: false };
        before.segments = dirty.into_iter().map(segment).collect();
        let to = match wish {
            Wish::Truncate(to) => to.max(log.start).min(log.end),
            Wish::Restart(at) => at,
            Wish::Repair | Wish::Delete => log.end,
        };
        log.cut_knowledge(to, wish);
        let is_restart = matches!(wish, Wish::Restart(_));
        let file = LogFile { restart_at: is_restart.then_some(to), ..log.file(floor) };
        before.log_files.push((log.dir.clone(), LOG_FILE, file.render()));
        before.log_files.push(epochs_file(log).0);
        let segments = log.written_segments().collect();
        let compacted = log.cleaning.first_dirty;
        let marks = LogMarks { recovery_point: log.recovery_point, log_start: log.start, compacted };
        before.root_files.push((LOG_STARTS, self.render_log_starts()));
        before.root_files.push((CLEANER_OFFSETS, self.render_cleaner_offsets()));
        let recovery_points = self.recovery_points().map(|(dir, at)| (dir.clone(), at)).collect();
        let Some(open) = self.open_job(now, key, Some(marks)) else { return };
        let truncation = Truncation { log: key, wish, recovery_point: marks.recovery_point };
        if let Some(log) = self.log_mut(key) {
            // what other checkpoints say meanwhile must hold wherever in the segment the cut turns out to be
            log.recovery_point = log.recovery_point.min(log.base_of(to));
        }
        let job = TruncateJob { before, recovery_points, to, restart: is_restart, segments, open };
        self.send(self.config.lanes.janitor, Job::Truncate(truncation), LogJob::Truncate(job), fx);
    }

    pub(super) fn truncate_done(
        &mut self,
        now: Now,
        truncation: Truncation,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let Truncation { log: key, wish, recovery_point } = truncation;
        let Some(log) = self.log_mut(key) else { return };
        match result {
            Ok(LogDone::Truncated(found)) => {
                log.recovery_point = recovery_point;
                log.wish.take_if(|wished| *wished == wish);
                let is_wished = log.wish.is_some();
                let mut answers = std::mem::take(&mut log.truncations_sent);
                if !is_wished {
                    answers += std::mem::take(&mut log.truncations_asked); // for the same offset, meanwhile
                }
                self.dirty.forget(key);
                self.take_over(now, key, &found, events);
                let truncated = || LogEvent::Truncated { log: key, end: found.end };
                events.extend(std::iter::repeat_with(truncated).take(answers));
                if answers > 0 {
                    events.push(LogEvent::SnapshotWanted { log: key });
                }
                if is_wished {
                    self.wait(key);
                }
            }
            other => {
                let error = other.err().unwrap_or(DiskError::Io("an answer of the wrong kind".into()));
                log.phase = Phase::Stuck;
                log.truncations_asked += std::mem::take(&mut log.truncations_sent);
                self.wait(key);
                self.rest(now, error, fx, events);
            }
        }
    }
}

impl Log {
    /// Nothing of the log is under way that a change would disturb.
    fn is_at_rest(&self) -> bool {
        let writes = !self.queue.is_empty() || self.sent.is_some() || self.is_trimming || self.cleaning.is_busy;
        let reads = self.reads > 0 && self.wish != Some(Wish::Repair);
        let can = matches!(self.phase, Phase::Open | Phase::Stuck) || self.is_deletion_again();
        can && !writes && !reads
    }

    fn is_deletion_again(&self) -> bool {
        self.phase == Phase::Deleting && self.wish == Some(Wish::Delete)
    }

    /// Forgets what will not be true after the change.
    fn cut_knowledge(&mut self, to: Offset, wish: Wish) {
        self.recovery_point = self.recovery_point.min(to);
        self.cleaning.cut(to, self.base_of(to));
        self.epochs.truncate_end(to);
        self.snapshot.take_if(|(at, _)| *at > to);
        self.new_snapshot.take_if(|snapshot| snapshot.at > to);
        if let Wish::Restart(at) = wish {
            (self.start, self.durable, self.end) = (at, at, at);
            self.epochs = Default::default();
            self.snapshot = None;
            self.new_snapshot = None;
        }
    }
}
