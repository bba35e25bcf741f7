//! Compaction, decided: which log is next, slice after slice, and the swap of each group of segments.
//!
//! One run at a time over all logs. A slice reads and writes about a mebibyte on the janitor's lane, then the lane's other
//! jobs have their turn, and a pause as long as half the slice, or as the configured rate asks, keeps it from taking the
//! disk and the processor from those who wait for an acknowledgement. Between two slices the run is looked at again:
//! when its log is to be cut, removed, or lost a segment, it is abandoned, which loses nothing but the work.
//!
//! Invariants: a run's segments are complete and nobody writes to them; readers of segments that are being swapped wait
//! for the swap, and what was read meanwhile is read again; `first_dirty` moves when the last group is swapped in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::checkpoint::CLEANER_OFFSETS;
use super::cleaning::{Swap, Worth};
use super::config::CleanerConfig;
use super::log_file::{LOG_FILE, LogFile};
use super::logs::{Due, Job};
use super::lookup::Held;
use super::state::{Log, Phase};
use super::{LogEvent, LogKey, Logs};
use crate::effect::{
    Compaction, CompactionStage, DiskError, Effects, LogDone, LogJob, SegmentMeta, SliceEnd, SwapJob, Swapped,
};
use crate::memory::{Account, Grant};
use crate::metrics::METRICS;
use crate::record::COMPRESSION_BYTES;
use crate::types::{Instant, KeyMap, Now, Offset, Timestamp};

/// Bytes that one slice reads.
const SLICE_BYTES: u64 = 1 << 20;

/// Batches up to here are opened in the janitor's scratch.
const BATCH_BYTES: usize = 32 * 1024;

/// What a batch takes while it is rewritten: read, opened, copied, written, and the verdicts on its records.
const BATCH_BUFFERS: usize = 5;

/// Less is not worth asking others for.
const MAP_STEP_BYTES: usize = 64 * 1024;

/// How long a log rests whose copy found no room on the disk.
const NO_ROOM_MS: u64 = 60_000;

/// How long until memory for a large batch is asked for again.
const MEMORY_RETRY_MS: u64 = 1000;

/// Compaction of all logs of a root.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    config: Option<(CleanerConfig, Account, Account)>,
    /// Logs that something happened to.
    due: BTreeSet<LogKey>,
    running: Option<Running>,
}

/// The run under way.
#[derive(Debug)]
struct Running {
    log: LogKey,
    /// Here between two slices, else on its way.
    run: Option<Box<Compaction>>,
    state: State,
    /// When the slice was sent.
    sent: Instant,
}

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer of the lane.
    Slice,
    /// The time of its next slice.
    Pause,
    /// Its log to be at rest, for the swap.
    SwapDue,
    /// The answer to the swap.
    Swap,
    /// The checkpoint that says how far it came.
    Note,
}

impl Cleaner {
    /// Something happened to the log that may make it worth a run.
    pub fn look_at(&mut self, log: LogKey) {
        if self.config.is_some() {
            self.due.insert(log);
        }
    }
}

impl Logs {
    /// Lets logs be compacted whose configuration says so: `memory` is for the map of keys, `buffers` for batches that
    /// are too large for a lane's scratch.
    pub fn compact_with(&mut self, config: CleanerConfig, memory: Account, buffers: Account) {
        self.cleaner.config = Some((config, memory, buffers));
    }

    /// Goes on with the run, or begins one.
    pub(super) fn maybe_compact(&mut self, now: Now, fx: &mut Effects) {
        if self.is_stopping || self.janitor.is_resting {
            return;
        }
        match &self.cleaner.running {
            None => self.begin_best(now, fx),
            Some(running) if running.state == State::SwapDue => self.send_swap(now, fx),
            Some(_) => {}
        }
    }

    /// Begins the run that is worth most, if any is.
    fn begin_best(&mut self, now: Now, fx: &mut Effects) {
        if self.cleaner.due.is_empty() || self.space.refusal().is_some() {
            return;
        }
        let time = self.believed_time(now);
        let mut best: Option<(f64, LogKey)> = None;
        for key in std::mem::take(&mut self.cleaner.due) {
            let Some(log) = self.log(key) else { continue };
            let rests_until = log.cleaning.rests_until;
            match log.worth(time) {
                Worth::Now(_) if rests_until > now.mono => self.timers.set(Due::Compaction(key), rests_until),
                Worth::Now(share) => {
                    let previous = best.filter(|(known, _)| *known >= share);
                    let loser = if previous.is_some() { Some(key) } else { best.map(|(_, key)| key) };
                    self.cleaner.due.extend(loser);
                    best = previous.or(Some((share, key)));
                }
                Worth::At(at) => {
                    let wait_ms = at.0.saturating_sub(self.clock.at(now.wall).0).max(0) as u64 + 1;
                    self.timers.set(Due::Compaction(key), now.mono.plus_millis(wait_ms.min(CHECK_MS_MAX)));
                }
                Worth::No => {}
            }
        }
        if let Some((_, key)) = best {
            self.begin(now, key, time, fx);
        }
    }

    fn begin(&mut self, now: Now, key: LogKey, time: Option<Timestamp>, fx: &mut Effects) {
        let seed = (now.wall.0 as u64) ^ now.mono.0.rotate_left(32) ^ self.tickets.rotate_left(48);
        let Some(log) = self.log_mut(key) else { return };
        let Some(config) = log.config.compaction.clone() else { return };
        let reach = log.reach(time);
        let segments: Vec<SegmentMeta> = log.written_segments().take(reach.count).collect();
        let Some(first) = segments.first() else { return };
        let from = log.cleaning.first_dirty.max(first.base).min(reach.end);
        let keys = (reach.end.0 - from.0) as u64;
        let Some((map_bytes, grants)) = self.map_memory(keys) else { return };
        let Some(log) = self.log_mut(key) else { return };
        let after = |time: Timestamp, ms: u64| Timestamp(time.0.saturating_add(ms.min(i64::MAX as u64) as i64));
        let run = Compaction {
            dir: log.dir.clone(),
            stage: CompactionStage::Mapping,
            segments,
            segments_end: reach.end,
            from,
            below: reach.end,
            map: KeyMap::new(from, keys, map_bytes, seed),
            producers: BTreeMap::new(),
            producers_since: time
                .map(|time| Timestamp(time.0.saturating_sub(config.producers_ms.min(i64::MAX as u64) as i64))),
            now: time,
            horizon: time.map(|time| after(time, config.tombstones_ms)),
            latest_horizon: None,
            keeps_tombstones: false,
            segment: 0,
            position: 0,
            group_end: 0,
            group_bytes: log.config.segment_bytes as u64,
            output: None,
            output_end: from,
            tail: Vec::new(),
            index_interval_bytes: log.config.index_interval_bytes,
            slice_bytes: SLICE_BYTES,
            batch_bytes_max: BATCH_BYTES,
            skips_large: false,
            slice_cost: 0,
            bytes_read: 0,
            bytes_written: 0,
            records_removed: 0,
            grants,
        };
        log.cleaning.is_busy = true;
        self.cleaner.running =
            Some(Running { log: key, run: Some(Box::new(run)), state: State::Pause, sent: now.mono });
        self.next_slice(now, fx);
    }

    /// Memory for a map of `keys` keys: the own account's, and when that is too little, of what others have left.
    fn map_memory(&self, keys: u64) -> Option<(usize, Vec<Grant>)> {
        let (config, memory, buffers) = self.cleaner.config.as_ref()?;
        let limit_bytes = memory.limit_bytes();
        let mut map_bytes = limit_bytes - COMPRESSION_BYTES.min(limit_bytes / 2);
        let mut grants = vec![memory.take(limit_bytes)?]; // one run at a time: it is there
        let wanted = KeyMap::bytes_for(keys).min(config.map_bytes).saturating_sub(map_bytes);
        let mut more = wanted.min(buffers.limit_bytes() / 4);
        while more >= MAP_STEP_BYTES {
            if let Some(grant) = buffers.take(more) {
                grants.push(grant);
                map_bytes += more;
                break;
            }
            more /= 2;
        }
        Some((map_bytes.min(config.map_bytes), grants))
    }

    /// The pause is over.
    pub(super) fn next_slice(&mut self, now: Now, fx: &mut Effects) {
        let Some(running) = self.cleaner.running.as_mut().filter(|running| running.state == State::Pause) else {
            return;
        };
        let Some(mut run) = running.run.take() else { return };
        let key = running.log;
        (running.state, running.sent) = (State::Slice, now.mono);
        if !self.is_usable(key, &run) {
            run.stage = CompactionStage::Abandoning;
        }
        self.send(self.config.lanes.janitor, Job::Compact, LogJob::Compact(run), fx);
    }

    /// Whether the run still fits its log.
    fn is_usable(&self, key: LogKey, run: &Compaction) -> bool {
        let Some(log) = self.log(key).filter(|log| log.phase == Phase::Open && log.wish.is_none()) else {
            return false;
        };
        let rest = run.segments.get(run.segment..).unwrap_or_default();
        let is_there = |segment: &SegmentMeta| log.number_of(segment.base).is_some();
        let in_group = run.output.and_then(|output| run.segments.iter().position(|source| source.base == output.base));
        let group = in_group.and_then(|start| run.segments.get(start..run.segment)).unwrap_or_default();
        log.config.compaction.is_some() && !self.is_stopping && rest.iter().chain(group).all(is_there)
    }

    pub(super) fn slice_done(
        &mut self,
        now: Now,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(running) = self.cleaner.running.as_mut() else { return };
        let key = running.log;
        let (run, end) = match result {
            Ok(LogDone::Compacted(run, end)) => (run, end),
            Err(DiskError::Full) => return self.end_run(now, key, NO_ROOM_MS),
            other => {
                let error = other.err().unwrap_or(DiskError::Io("an answer of the wrong kind".into()));
                self.end_run(now, key, 0);
                return self.rest(now, error, fx, events);
            }
        };
        let took = now.mono.since(running.sent);
        let cost = run.slice_cost;
        running.run = Some(run);
        match end {
            SliceEnd::More | SliceEnd::Mapped => self.pause(now, took, cost),
            SliceEnd::Copied => {
                running.state = State::SwapDue;
                self.send_swap(now, fx);
            }
            SliceEnd::Abandoned => self.end_run(now, key, 0),
            SliceEnd::NoRoom => self.end_run(now, key, NO_ROOM_MS),
            SliceEnd::NeedsMemory(bytes) => self.get_memory(now, bytes),
            SliceEnd::Unfit { from, sentence } => {
                if let Some(log) = self.log_mut(key) {
                    log.cleaning.is_unfit = true;
                }
                events.push(LogEvent::Damaged { log: key, from, sentence });
                self.abandon(now, fx);
            }
        }
    }

    /// The next slice comes after a pause.
    fn pause(&mut self, now: Now, took: Duration, cost: u64) {
        let Some(running) = &mut self.cleaner.running else { return };
        running.state = State::Pause;
        let rate = self.cleaner.config.as_ref().and_then(|(config, ..)| config.bytes_per_second);
        let by_rate = rate.map_or(0, |rate| cost.saturating_mul(1_000_000) / rate.max(1));
        let wait = Duration::from_micros(by_rate).saturating_sub(took).max(took / 2);
        self.timers.set(Due::Slice, now.after(wait));
    }

    /// Room for a large batch, or the decision to leave those alone.
    fn get_memory(&mut self, now: Now, bytes: usize) {
        let Some((_, _, buffers)) = &self.cleaner.config else { return };
        let Some(run) = self.cleaner.running.as_mut().and_then(|running| running.run.as_mut()) else { return };
        let more = bytes.saturating_sub(run.batch_bytes_max).saturating_mul(BATCH_BUFFERS);
        let have = run.batch_bytes_max.saturating_sub(BATCH_BYTES).saturating_mul(BATCH_BUFFERS);
        let mut wait = Duration::ZERO;
        if have.saturating_add(more) > buffers.limit_bytes() / 2 {
            run.skips_large = true;
        } else if let Some(grant) = buffers.take(more) {
            run.grants.push(grant);
            run.batch_bytes_max = bytes;
        } else {
            wait = Duration::from_millis(MEMORY_RETRY_MS);
        }
        self.pause(now, 2 * wait, 0);
    }

    /// Swaps the copied group in, as soon as its log lets it.
    fn send_swap(&mut self, now: Now, fx: &mut Effects) {
        let Some(Running { log: key, run: Some(run), .. }) = &self.cleaner.running else { return };
        let key = *key;
        let is_retry = self.log(key).is_some_and(|log| log.cleaning.is_swapping());
        if !is_retry && !self.is_usable(key, run) {
            return self.abandon(now, fx);
        }
        let (Some(output), Some(sources)) = (run.output, sources_of(run)) else { return self.abandon(now, fx) };
        let group_end = run.segments.get(run.group_end).map_or(run.segments_end, |next| next.base);
        let mut before = self.empty_checkpoint();
        let is_noting = self.janitor.is_busy; // what it notes of the log must not be noted over
        let Some(log) = self.log_mut(key) else { return };
        if !is_retry && (is_noting || log.is_trimming || !log.removed.is_empty()) {
            return; // the next answer comes back here
        }
        if !is_retry {
            log.begin_swap(Swap { sources: sources.clone(), output, is_stuck: false }, group_end);
        }
        before.log_files.push((log.dir.clone(), LOG_FILE, log.file_for_swap().render()));
        let job = SwapJob { before, dir: log.dir.clone(), sources, is_committed: is_retry };
        if let Some(running) = &mut self.cleaner.running {
            running.state = State::Swap;
        }
        self.send(self.config.lanes.janitor, Job::Swap, LogJob::Swap(job), fx);
    }

    pub(super) fn swap_done(
        &mut self,
        now: Now,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(running) = self.cleaner.running.as_mut() else { return };
        let key = running.log;
        let swapped = match result {
            Ok(LogDone::Swapped(swapped)) => swapped,
            Ok(_) => Swapped::Stuck(DiskError::Io("an answer of the wrong kind".into())),
            Err(error) => Swapped::Stuck(error),
        };
        match swapped {
            Swapped::Done => {
                let sources = self.log_mut(key).map(Log::swapped).unwrap_or_default();
                sources.into_iter().for_each(|base| self.dirty.synced(key, base));
                self.release_held(key, fx, events);
                self.trim_after_swap(key, fx);
                self.janitor.rolled.push(key);
                self.next_group(now, fx);
            }
            Swapped::Undone(error) => {
                if let Some(log) = self.log_mut(key) {
                    log.cleaning.swap = None;
                }
                self.release_held(key, fx, events);
                self.trim_after_swap(key, fx);
                self.end_run(now, key, 0);
                self.rest(now, error, fx, events);
            }
            Swapped::Stuck(error) => {
                running.state = State::SwapDue;
                if let Some(swap) = self.log_mut(key).and_then(|log| log.cleaning.swap.as_mut()) {
                    swap.is_stuck = true;
                }
                self.release_held(key, fx, events);
                self.rest(now, error, fx, events);
            }
        }
    }

    /// Asks again for what was held, or says why it cannot be read.
    fn release_held(&mut self, key: LogKey, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        let held = self.log_mut(key).map(|log| std::mem::take(&mut log.cleaning.held)).unwrap_or_default();
        for held in held {
            match held {
                Held::Read(read) => self.read_again(read, fx, events),
                Held::Find(find) => self.find_again(find, fx, events),
            }
        }
    }

    /// A group is done: the next one, or the end.
    fn next_group(&mut self, now: Now, fx: &mut Effects) {
        let Some(Running { log: key, run: Some(run), .. }) = &mut self.cleaner.running else { return };
        let key = *key;
        run.output = None;
        (run.segment, run.position) = (run.group_end, 0);
        if run.segments.get(run.segment).is_some_and(|segment| segment.base < run.below) {
            return self.pause(now, Duration::ZERO, 0);
        }
        let below = run.below;
        let (horizon, removed) = (run.latest_horizon, run.records_removed);
        METRICS.disk.compacted_bytes_read.add(run.bytes_read);
        METRICS.disk.compacted_bytes_written.add(run.bytes_written);
        METRICS.disk.compacted_records_removed.add(removed);
        let Some(log) = self.log_mut(key) else { return };
        log.cleaning.first_dirty = below.max(log.cleaning.first_dirty);
        log.cleaning.latest_horizon = horizon;
        let mut job = self.empty_checkpoint();
        job.root_files.push((CLEANER_OFFSETS, self.render_cleaner_offsets()));
        if let Some(running) = &mut self.cleaner.running {
            running.state = State::Note;
        }
        self.send(self.config.lanes.janitor, Job::CompactionNote, LogJob::Checkpoint(job), fx);
    }

    /// The checkpoint is written, or will be by a later run.
    pub(super) fn compaction_noted(
        &mut self,
        now: Now,
        result: Result<(), DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        if let Some(Running { log, run: Some(run), .. }) = &self.cleaner.running {
            let (log, is_whole) = (*log, run.below >= run.segments_end);
            self.end_run(now, log, 0);
            if let Some(log) = self.log_mut(log).filter(|_| !is_whole) {
                log.cleaning.rests_until = now.mono; // the map was full: the rest follows at once
            }
        }
        if let Err(error) = result {
            self.rest(now, error, fx, events);
        }
    }

    /// Has the files of the copy removed; the run ends then.
    fn abandon(&mut self, now: Now, fx: &mut Effects) {
        let running = self.cleaner.running.as_mut();
        let Some(mut run) = running.and_then(|running| running.run.take()) else { return };
        run.stage = CompactionStage::Abandoning;
        if let Some(running) = &mut self.cleaner.running {
            (running.state, running.sent) = (State::Slice, now.mono);
        }
        self.send(self.config.lanes.janitor, Job::Compact, LogJob::Compact(run), fx);
    }

    /// The run is over, one way or the other; the log rests for `rest_ms` at least.
    fn end_run(&mut self, now: Now, key: LogKey, rest_ms: u64) {
        self.cleaner.running = None;
        self.timers.cancel(Due::Slice);
        let backoff_ms = self.cleaner.config.as_ref().map_or(0, |(config, ..)| config.backoff_ms);
        if let Some(log) = self.log_mut(key) {
            log.cleaning.is_busy = false;
            log.cleaning.rests_until = now.mono.plus_millis(backoff_ms.max(rest_ms));
            self.cleaner.look_at(key);
        }
    }

    /// Broker time, while it can be believed.
    fn believed_time(&mut self, now: Now) -> Option<Timestamp> {
        let is_sane = self.clock.is_sane(now.wall);
        let time = self.clock.advance(now.wall);
        is_sane.then_some(time)
    }
}

/// A wall clock that is set forward is noticed within that.
const CHECK_MS_MAX: u64 = 3_600_000;

/// Bases of the segments that the copy was made from.
fn sources_of(run: &Compaction) -> Option<Vec<Offset>> {
    let base = run.output?.base;
    let start = run.segments.iter().position(|segment| segment.base == base)?;
    Some(run.segments.get(start..run.group_end)?.iter().map(|segment| segment.base).collect())
}

impl Log {
    /// From now on nobody reads the swapped segments, and the journal has nothing for segments below `group_end`.
    fn begin_swap(&mut self, swap: Swap, group_end: Offset) {
        if let Some(number) = self.number_of(swap.output.base)
            && let Some(first) = self.segments.get_mut(number)
        {
            first.appended_at = first.appended_at.max(swap.output.appended_at); // the name is noted with its new age
        }
        self.cleaning.swaps += 1;
        self.cleaning.swap = Some(swap);
        self.cleaning.journal_base = self.cleaning.journal_base.max(group_end);
    }

    /// What the log's own file says while the swap is under way: what it said before, but for the journal.
    fn file_for_swap(&self) -> LogFile {
        let file = self.file(self.journal_floor);
        let producer_snapshot = self.snapshot.as_ref().map(|(at, bytes)| (*at, bytes.to_vec()));
        LogFile { producer_snapshot, noted_end: self.noted_end, ..file }
    }

    /// The copy stands in the place of its sources, which are returned.
    fn swapped(&mut self) -> Vec<Offset> {
        let Some(swap) = self.cleaning.swap.take() else { return Vec::new() };
        let (Some(&first), Some(&last)) = (swap.sources.first(), swap.sources.last()) else { return Vec::new() };
        let (Some(start), Some(end)) = (self.number_of(first), self.number_of(last)) else { return swap.sources };
        self.segments.splice(start..=end, [swap.output]);
        self.written.count -= end - start;
        if let Some(sent) = &mut self.sent {
            sent.count -= end - start;
        }
        self.forget_hints();
        self.file_changes.add();
        swap.sources
    }
}
