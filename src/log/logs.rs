//! `Logs`: all logs of one root, as decisions. What they share is here: tickets, answers, deadlines.
//!
//! Invariants: at most one write round and one checkpoint are in flight; every job that is sent is answered exactly once
//! and leaves nothing behind; nothing happens between two calls. Callers: the broker for topics, the quorum for its log.
//! Memory: per log about 1 KiB, 100 bytes a segment; batches under the grants they came with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::cleaner::Cleaner;
use super::clock::BrokerClock;
use super::dirty::Dirty;
use super::janitor::Janitor;
use super::journal::Journal;
use super::round::Pace;
use super::space::Space;
use super::state::{Log, NewSnapshot, Phase, Wish};
use super::{LogConfig, LogEvent, LogsConfig, Marks, Opened};
use crate::effect::{
    DiskDone, DiskError, DiskOp, Effects, JournalPlace, Lane, LogDir, LogDone, LogJob, LogMarks, OpenJob, OpenedLog,
    RootFiles, StartJob, Started, WritePart,
};
use crate::types::{Instant, LeaderEpoch, Now, Offset, Ticket, Timers, Timestamp};

/// A log of one `Logs`, from `open` until `Deleted`. Not used again while anything of it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey(pub(super) u32);

/// What a ticket was given for.
#[derive(Debug)]
pub(super) enum Job {
    Start,
    Open(LogKey),
    Round {
        logs: Vec<LogKey>,
        sent: Instant,
        batches: usize,
        journal: Option<JournalPlace>,
    },
    Read(super::lookup::Read),
    Find(super::lookup::Find),
    Checkpoint(super::janitor::Checkpoint),
    Truncate(super::change::Truncation),
    Trim(super::change::Trim),
    Delete(LogKey),
    Leftovers,
    Space,
    Compact,
    Swap,
    /// The checkpoint that ends a compaction.
    CompactionNote,
}

/// What may become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The next round has waited for company long enough.
    Round,
    /// Batches of a log are acknowledged but not synced for so long.
    Flush(LogKey),
    /// The oldest segment may have outlived its retention.
    Retention(LogKey),
    /// Broker time should be noted.
    Clock,
    /// The log may be worth a compaction.
    Compaction(LogKey),
    /// The next slice of the compaction under way.
    Slice,
    /// Look for room, or try again what failed.
    Retry,
}

/// The logs of one root.
#[derive(Debug)]
pub struct Logs {
    pub(super) config: LogsConfig,
    pub(super) files: Arc<RootFiles>,
    pub(super) logs: Vec<Option<Box<Log>>>,
    /// Places that can be used again.
    free: Vec<u32>,
    /// Open or becoming so.
    by_dir: BTreeMap<Arc<str>, LogKey>,
    /// Directories that are being removed.
    deleting: BTreeSet<Arc<str>>,
    /// Logs that wait for something before they can be opened, cut or removed.
    pub(super) waiting: Vec<LogKey>,
    pub(super) tickets: u64,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) timers: Timers<Due>,
    is_started: bool,
    pub(super) is_stopping: bool,
    /// Directories that were found and not opened yet, with what the checkpoints say of them.
    pub(super) found: BTreeMap<Arc<str>, Option<LogMarks>>,
    pub(super) clock: BrokerClock,
    pub(super) journal: Journal,
    pub(super) dirty: Dirty,
    pub(super) pace: Pace,
    /// Logs with something queued.
    pub(super) listed: Vec<LogKey>,
    pub(super) queued_batches: usize,
    pub(super) queued_bytes: u64,
    pub(super) is_round_in_flight: bool,
    /// Emptied parts for later rounds.
    pub(super) spare: Vec<WritePart>,
    pub(super) janitor: Janitor,
    pub(super) space: Space,
    pub(super) cleaner: Cleaner,
}

impl Logs {
    /// No log yet, and no effect before `start`.
    pub fn new(config: LogsConfig) -> Logs {
        let config = config.checked();
        let files = RootFiles {
            root: config.root,
            checkpoint_dir: config.checkpoint_dir.clone(),
            journal_half_bytes: config.journal_half_bytes,
            reserve_bytes: config.reserve_bytes,
        };
        Logs {
            files: Arc::new(files),
            logs: Vec::new(),
            free: Vec::new(),
            by_dir: BTreeMap::new(),
            deleting: BTreeSet::new(),
            waiting: Vec::new(),
            tickets: 0,
            jobs: BTreeMap::new(),
            timers: Timers::default(),
            is_started: false,
            is_stopping: false,
            found: BTreeMap::new(),
            clock: BrokerClock::new(config.clock_floor),
            journal: Journal::none(),
            dirty: Dirty::default(),
            pace: Pace::new(config.linger),
            listed: Vec::new(),
            queued_batches: 0,
            queued_bytes: 0,
            is_round_in_flight: false,
            spare: Vec::new(),
            janitor: Janitor::default(),
            space: Space::default(),
            cleaner: Cleaner::default(),
            config,
        }
    }

    /// Reads the checkpoints and replays the journal; `Started` follows. Once, before anything else.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.clock.advance(now.wall);
        let job = StartJob { files: RootFiles::clone(&self.files) };
        self.send(self.config.lanes.read, Job::Start, LogJob::Start(job), fx);
    }

    /// Opens the log of `dir`, or creates it; `Opened` follows. The key is valid at once, for `set_tail` and the like. One
    /// directory has one log at a time.
    pub fn open(&mut self, now: Now, dir: LogDir, config: LogConfig, fx: &mut Effects) -> LogKey {
        let log = Log::new(dir, config);
        let key = match self.free.pop() {
            Some(index) => LogKey(index),
            None => {
                self.logs.push(None);
                LogKey(self.logs.len() as u32 - 1)
            }
        };
        if let Some(place) = self.logs.get_mut(key.0 as usize) {
            *place = Some(Box::new(log));
        }
        self.waiting.push(key);
        self.open_waiting(now, fx);
        key
    }

    /// Where the log stands; all zero when it is not open.
    pub fn marks(&self, log: LogKey) -> Marks {
        self.log(log).map(Log::marks).unwrap_or_default()
    }

    /// The directory of a log.
    pub fn dir(&self, log: LogKey) -> Option<&LogDir> {
        self.log(log).map(|log| &log.dir)
    }

    /// The highest epoch that is at most `epoch`, and the offset after its last record (KIP-101): what followers ask
    /// before they truncate. `(LeaderEpoch::NONE, -1)` when the log knows none.
    pub fn epoch_end(&self, log: LogKey, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::NONE, Offset(-1));
        self.log(log).map_or(unknown, |log| log.epochs.end_of(epoch, log.end))
    }

    /// The last leader epoch that appended; `LeaderEpoch::NONE` when nothing ever did.
    pub fn last_epoch(&self, log: LogKey) -> LeaderEpoch {
        self.log(log).map_or(LeaderEpoch::NONE, Log::last_epoch)
    }

    /// Bytes of batches in the log.
    pub fn size_bytes(&self, log: LogKey) -> u64 {
        self.log(log).map_or(0, |log| log.segments.iter().map(|segment| segment.bytes).sum())
    }

    /// Broker time: wall time that never runs backwards, not even over a restart.
    pub fn broker_time(&self, now: Now) -> Timestamp {
        self.clock.at(now.wall)
    }

    /// Whether `Durable` brings the batches along.
    pub fn set_tail(&mut self, log: LogKey, on: bool) {
        if let Some(log) = self.log_mut(log) {
            log.tail = on;
        }
    }

    /// Replaces the configuration; segments that exist keep their sizes.
    pub fn set_config(&mut self, log: LogKey, config: LogConfig) {
        if let Some(known) = self.log_mut(log)
            && known.config != config
        {
            known.config = config;
            known.cleaning.is_unfit = false;
            self.timers.set(Due::Retention(log), Instant(0));
            self.timers.set(Due::Compaction(log), Instant(0));
        }
    }

    /// Hands over, opaque, what is known of producers with everything appended so far. To be called after
    /// `SnapshotWanted`, and for every log before `stop`.
    pub fn set_producer_snapshot(&mut self, log: LogKey, bytes: Bytes) {
        if let Some(log) = self.log_mut(log)
            && log.phase == Phase::Open
        {
            log.new_snapshot = Some(NewSnapshot { at: log.end, bytes, appended_bytes: log.appended_bytes });
            log.snapshot_bytes = log.appended_bytes;
            log.snapshot_asked = false;
        }
    }

    /// Says that nothing below `stable` will ever be cut, of a log that could be cut below its durable end.
    pub fn set_stable(&mut self, log: LogKey, stable: Offset) {
        let Some(known) = self.log_mut(log) else { return };
        let before = known.cleaning.stable.replace(stable).unwrap_or_default();
        let segments = known.segments.partition_point(|segment| segment.base <= before);
        if known.config.compaction.is_some() && known.segments.get(segments).is_some_and(|next| next.base <= stable) {
            self.cleaner.look_at(log);
        }
    }

    /// Names of log directories found at the start that nobody opened.
    pub fn unopened_dirs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.found.keys()
    }

    /// Takes an answer of a disk lane; false when the ticket is none of ours.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let Some(job) = self.jobs.remove(&ticket.0) else { return false };
        let result = match result {
            Ok(DiskDone::Log(done)) => Ok(done),
            Ok(_) => Err(DiskError::Io("an answer of the wrong kind".into())),
            Err(error) => Err(error),
        };
        if let Err(DiskError::SyncFailed(_)) = &result {
            let sentence = result.err().map(|error| error.to_string()).unwrap_or_default();
            events.push(LogEvent::Fatal { sentence });
            return true;
        }
        self.answered(now, job, result, fx, events);
        self.progress(now, fx);
        true
    }

    fn answered(
        &mut self,
        now: Now,
        job: Job,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        match (job, result) {
            (Job::Start, Ok(LogDone::Started(started))) => self.started(now, *started, fx, events),
            (Job::Open(key), Ok(LogDone::Opened(found))) => self.opened(now, key, &found, events),
            (Job::Open(log), Err(error)) => {
                let was_unwanted = self.log(log).is_some_and(|log| log.wish == Some(Wish::Delete));
                self.forget(log);
                self.disk_refused(now, error.clone(), fx, events);
                events.push(LogEvent::Opened { log, result: Err(error) });
                if was_unwanted {
                    events.push(LogEvent::Deleted { log });
                }
            }
            (Job::Round { logs, sent, batches, journal }, Ok(LogDone::Written(round))) => {
                self.is_round_in_flight = false;
                self.pace.answered(now, sent, batches);
                if let Some(place) = journal {
                    self.journal_written(place, &round);
                }
                self.round_written(now, &logs, *round, journal, fx, events);
            }
            (Job::Read(read), result) => self.read_done(read, result, fx, events),
            (Job::Find(find), result) => self.find_done(find, result, fx, events),
            (Job::Checkpoint(checkpoint), result) => {
                self.checkpoint_done(now, checkpoint, result.map(|_| ()), fx, events)
            }
            (Job::Truncate(truncation), result) => self.truncate_done(now, truncation, result, fx, events),
            (Job::Trim(trim), result) => self.trim_done(now, trim, result.map(|_| ()), fx, events),
            (Job::Delete(log), result) => self.delete_done(now, log, result.map(|_| ()), fx, events),
            (Job::Leftovers, _) => {} // the next start tries again
            (Job::Space, result) => self.space_done(now, result, events),
            (Job::Compact, result) => self.slice_done(now, result, fx, events),
            (Job::Swap, result) => self.swap_done(now, result, fx, events),
            (Job::CompactionNote, result) => self.compaction_noted(now, result.map(|_| ()), fx, events),
            (Job::Start | Job::Round { .. } | Job::Open(_), result) => {
                let error = result.err().unwrap_or(DiskError::Io("an answer of the wrong kind".into()));
                events.push(LogEvent::Fatal { sentence: format!("the logs cannot be used: {error}") });
            }
        }
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        while let Some(due) = self.timers.expired(now.mono) {
            match due {
                Due::Round => {} // progress sends it
                Due::Flush(log) => self.janitor.flush.push(log),
                Due::Retention(log) => self.check_retention(now, log, fx),
                Due::Clock => self.clock_is_due(),
                Due::Compaction(log) => self.cleaner.look_at(log),
                Due::Slice => self.next_slice(now, fx),
                Due::Retry => self.retry(now, fx),
            }
        }
        self.progress(now, fx);
        self.turn_end(now, fx);
    }

    /// When `on_time` should be called; `None` when nothing waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Writes what is queued, syncs and notes everything, so that the next start scans nothing; `Stopped` follows.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        self.is_stopping = true;
        self.turn_end(now, fx);
        self.progress(now, fx);
    }

    /// Starts whatever has waited and can go on now.
    pub(super) fn progress(&mut self, now: Now, fx: &mut Effects) {
        if !self.waiting.is_empty() {
            self.open_waiting(now, fx);
            self.grant_wishes(now, fx);
        }
        self.maybe_checkpoint(now, fx);
        self.maybe_compact(now, fx);
        self.timers.next(); // forgets those that were cancelled
    }

    fn started(&mut self, now: Now, started: Started, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        self.is_started = true;
        self.clock.learn(started.clock);
        self.clock.advance(now.wall);
        self.journal.learn_sequence(started.journal_sequence);
        if started.journal_generations != [0; 2] {
            let sequence = self.journal.sequence();
            self.journal.ready(self.config.journal_half_bytes, started.journal_generations, sequence);
        }
        let dirs = started.logs.iter().map(|(dir, _)| dir.clone()).collect();
        self.found.extend(started.logs);
        events.push(LogEvent::Started { dirs, warnings: started.warnings });
        if !started.reserve_held {
            self.found_full(now, fx, events);
        }
        self.remove_leftovers(started.deleted_dirs, fx);
    }

    fn open_waiting(&mut self, now: Now, fx: &mut Effects) {
        if !self.is_started {
            return;
        }
        let mut index = 0;
        while let Some(&key) = self.waiting.get(index) {
            let Some(log) = self.log(key).filter(|log| log.phase == Phase::Waiting) else {
                index += 1;
                continue;
            };
            let name = log.dir.name.clone();
            if self.deleting.contains(&name) || self.by_dir.contains_key(&name) {
                index += 1;
                continue;
            }
            self.waiting.remove(index);
            let marks = self.found.remove(&name).flatten();
            self.by_dir.insert(name, key);
            if let Some(job) = self.open_job(now, key, marks) {
                self.send(self.config.lanes.read, Job::Open(key), LogJob::Open(job), fx);
            }
        }
    }

    /// How to open the log, given what the checkpoint files say of it.
    pub(super) fn open_job(&mut self, now: Now, key: LogKey, marks: Option<LogMarks>) -> Option<OpenJob> {
        let journal_sequence = self.journal.sequence();
        let now = self.clock.advance(now.wall);
        let log = self.log_mut(key)?;
        if log.phase == Phase::Waiting {
            log.phase = Phase::Opening;
        }
        log.recovery_point = marks.map_or(Offset(0), |marks| marks.recovery_point);
        log.start = marks.map_or(Offset(0), |marks| marks.log_start);
        log.cleaning.first_dirty = marks.map_or(Offset(0), |marks| marks.compacted);
        Some(OpenJob {
            dir: log.dir.clone(),
            marks,
            journal_sequence,
            start: Offset(0),
            index_interval_bytes: log.config.index_interval_bytes,
            producers: log.config.producers,
            now,
        })
    }

    fn opened(&mut self, now: Now, log: LogKey, found: &OpenedLog, events: &mut Vec<LogEvent>) {
        let Some(opened) = self.take_over(now, log, found, events) else { return };
        events.push(LogEvent::Opened { log, result: Ok(opened) });
        let scan_bytes = self.config.scan_bytes;
        if self.log_mut(log).is_some_and(|log| log.wants_snapshot(scan_bytes)) {
            events.push(LogEvent::SnapshotWanted { log });
        }
    }

    /// The log is as recovery found it.
    pub(super) fn take_over(
        &mut self,
        now: Now,
        key: LogKey,
        found: &OpenedLog,
        events: &mut Vec<LogEvent>,
    ) -> Option<Opened> {
        self.journal.learn_sequence(found.journal_floor);
        let log = self.log_mut(key)?;
        let marked = log.recovery_point.min(found.end);
        log.opened(found, marked);
        let opened = Opened {
            marks: log.marks(),
            last_epoch: log.last_epoch(),
            producer_snapshot: log.snapshot.clone(),
            producer_batches: found.producer_batches.clone(),
            warnings: found.warnings.clone(),
        };
        let damages = found.damages.iter().cloned();
        events.extend(damages.map(|(from, sentence)| LogEvent::Damaged { log: key, from: Some(from), sentence }));
        self.janitor.unscanned_bytes += found.scanned_bytes;
        self.janitor.some_log_is_due |= found.scanned_bytes >= self.config.scan_bytes;
        self.janitor.rolled.push(key);
        self.set_retention_timer(now, key);
        Some(opened)
    }

    /// Sends a job to a lane.
    pub(super) fn send(&mut self, lane: Lane, job: Job, op: LogJob, fx: &mut Effects) {
        self.tickets += 1;
        let ticket = (self.config.ticket_owner as u64) << 56 | self.tickets;
        self.jobs.insert(ticket, job);
        fx.disk(lane, Ticket(ticket), DiskOp::Log(Box::new(op)));
    }

    pub(super) fn log(&self, key: LogKey) -> Option<&Log> {
        self.logs.get(key.0 as usize)?.as_deref()
    }

    pub(super) fn log_mut(&mut self, key: LogKey) -> Option<&mut Log> {
        self.logs.get_mut(key.0 as usize)?.as_deref_mut()
    }

    /// Every log, with its key.
    pub(super) fn all(&self) -> impl Iterator<Item = (LogKey, &Log)> {
        let logs = (0..).zip(&self.logs);
        logs.filter_map(|(index, log)| Some((LogKey(index), log.as_deref()?)))
    }

    /// The directory is being removed: a log of the same name waits for that.
    pub(super) fn begin_deleting(&mut self, key: LogKey) {
        let Some(name) = self.log(key).map(|log| log.dir.name.clone()) else { return };
        self.by_dir.remove(&name);
        self.deleting.insert(name);
        self.dirty.forget(key);
        self.timers.cancel(Due::Flush(key));
        self.timers.cancel(Due::Retention(key));
        self.timers.cancel(Due::Compaction(key));
    }

    /// The log is gone, and its key can be used again.
    pub(super) fn forget(&mut self, key: LogKey) {
        let Some(log) = self.logs.get_mut(key.0 as usize).and_then(Option::take) else { return };
        self.deleting.remove(&log.dir.name);
        if self.by_dir.get(&log.dir.name) == Some(&key) {
            self.by_dir.remove(&log.dir.name);
        }
        self.free.push(key.0);
    }
}
