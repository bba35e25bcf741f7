//! Appends, and the write rounds that they form.
//!
//! An append gives a batch its place in the log and queues it; the end of a turn sends what is queued as one round, when
//! none is in flight and the pace allows; the answer moves the durable end, or takes everything back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::dirty::{UNCOVERED, journaled};
use super::journal;
use super::logs::{Due, Job};
use super::round::{PartCost, decide};
use super::state::{Log, Phase, Wish};
use super::{AppendError, Appended, LogEvent, LogKey, Logs, SEGMENT_BYTES_MAX};
use crate::effect::{DiskError, Effects, JournalPlace, LogJob, PartSync, SegmentMeta, WritePart, WriteRound};
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::record::{self, BatchHeader};
use crate::types::{LeaderEpoch, Now, Offset, Timestamp};

/// Emptied parts that are kept for later rounds.
const SPARE_PARTS_MAX: usize = 64;

impl Logs {
    /// Appends one whole v2 batch whose CRC was checked: sets its base offset and leader epoch and queues it. Nothing
    /// is written before `turn_end`. `grant` accounts for its bytes until they are written.
    pub fn append(
        &mut self,
        now: Now,
        key: LogKey,
        mut batch: BytesMut,
        epoch: LeaderEpoch,
        grant: Grant,
    ) -> Result<Appended, AppendError> {
        let append_time = self.begin_append(now, key)?;
        let Some(log) = self.log_mut(key) else { return Err(AppendError::NotOpen) };
        let header = BatchHeader::parse(&batch).map_err(|_| AppendError::BadBatch)?;
        if header.total_bytes() != batch.len() || batch.len() > SEGMENT_BYTES_MAX as usize {
            return Err(AppendError::BadBatch);
        }
        let base_offset = log.end;
        let records = header.last_offset_delta() as i64 + 1;
        let end = base_offset.0.checked_add(records).map(Offset).ok_or(AppendError::OffsetsExhausted)?;
        record::set_base_offset(&mut batch, base_offset);
        record::set_leader_epoch(&mut batch, epoch);
        self.queue_append(now, key, epoch, base_offset, end, batch.freeze(), grant, append_time);
        Ok(Appended { base_offset, last_offset: Offset(end.0 - 1), append_time })
    }

    /// Whether the disk and the log take an append now, and its broker time.
    pub(super) fn begin_append(&mut self, now: Now, key: LogKey) -> Result<Timestamp, AppendError> {
        if let Some(error) = self.space.refusal() {
            return Err(AppendError::Disk(error));
        }
        let append_time = self.clock.advance(now.wall);
        match self.log(key) {
            Some(log) if log.phase == Phase::Open && log.wish.is_none() => Ok(append_time),
            _ => Err(AppendError::NotOpen),
        }
    }

    /// Queues a batch that has its place: from `base_offset` to before `end`.
    #[allow(clippy::too_many_arguments)] // one batch and everything that is known of it
    pub(super) fn queue_append(
        &mut self,
        now: Now,
        key: LogKey,
        epoch: LeaderEpoch,
        base_offset: Offset,
        end: Offset,
        batch: Bytes,
        grant: Grant,
        append_time: Timestamp,
    ) {
        let Some(Some(log)) = self.logs.get_mut(key.0 as usize) else { return };
        // where a leader's log is compacted, the end lies below the batch: segments follow one another all the same
        log.roll_if_full(batch.len(), base_offset, Offset(end.0 - 1), append_time);
        log.end = base_offset;
        self.queued_bytes += batch.len() as u64;
        self.queued_batches += 1;
        if log.is_followed {
            log.fresh.push_back((base_offset, batch.clone()));
        }
        log.queue_batch(batch, grant, append_time, &mut self.spare);
        if log.epochs.note(epoch, base_offset) {
            log.epochs_changes.add();
        }
        log.end = end;
        if !std::mem::replace(&mut log.is_listed, true) {
            self.listed.push(key);
        }
        self.arm_clock(now);
    }

    /// Sends the next write round, if none is in flight and there is something to write.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        if self.is_round_in_flight || self.listed.is_empty() {
            return;
        }
        let start = self.pace.start(now, self.queued_batches, self.queued_bytes);
        if start > now.mono && !self.is_stopping {
            self.timers.set(Due::Round, start);
            return;
        }
        self.timers.cancel(Due::Round);
        self.timers.next(); // forgets it
        let mut parts = Vec::new();
        let mut logs = Vec::new();
        for key in std::mem::take(&mut self.listed) {
            let Some(log) = self.log_mut(key) else { continue };
            log.is_listed = false;
            if !log.queue.is_empty() {
                log.sent = Some(log.tip());
                logs.resize(logs.len() + log.queue.len(), key);
                parts.append(&mut log.queue);
            }
        }
        let batches = std::mem::take(&mut self.queued_batches);
        let bytes = std::mem::take(&mut self.queued_bytes);
        if parts.is_empty() {
            return;
        }
        let journal = self.plan(&mut parts, &logs);
        METRICS.disk.round_batches.observe(batches as u64);
        METRICS.disk.round_bytes.observe(bytes);
        METRICS.disk.rounds_journalled.add(journal.is_some().into());
        let round = WriteRound { files: Arc::clone(&self.files), parts, journal, journal_broken: false };
        self.is_round_in_flight = true;
        let job = Job::Round { logs, sent: now.mono, batches, journal };
        self.send(self.config.lanes.append, job, LogJob::Write(round), fx);
    }

    /// Says for each part how it becomes durable.
    fn plan(&mut self, parts: &mut [WritePart], logs: &[LogKey]) -> Option<JournalPlace> {
        let cost = |(part, &key): (&WritePart, &LogKey)| PartCost {
            bytes: part_bytes(part),
            later: self.log(key).is_some_and(|log| syncs_later(log, part)),
            uncovered: self.dirty.is_uncovered(key, part.base),
        };
        let costs: Vec<PartCost> = parts.iter().zip(logs).map(cost).collect();
        let mut syncs = decide(&costs, self.config.journal_half_bytes);
        let journaled = || parts.iter().zip(&costs).zip(&syncs).filter(|(_, sync)| **sync == PartSync::Journal);
        let records = journaled().count();
        let mut place = None;
        if records > 0 {
            let sizes = journaled().map(|((part, cost), _)| (part.dir.name.len(), cost.bytes as usize));
            place = self.journal.reserve(journal::round_bytes(sizes), records);
        }
        for (part, sync) in parts.iter_mut().zip(&mut syncs) {
            part.sync = if *sync == PartSync::Journal && place.is_none() { PartSync::Direct } else { *sync };
        }
        place
    }

    pub(super) fn journal_written(&mut self, place: JournalPlace, round: &WriteRound) {
        let any = round.parts.iter().any(|part| part.sync == PartSync::Journal && part.result.is_ok());
        self.journal.written(place, any, round.journal_broken);
    }

    /// The round is answered; `keys` are the logs of its parts.
    pub(super) fn round_written(
        &mut self,
        now: Now,
        keys: &[LogKey],
        mut round: WriteRound,
        journal: Option<JournalPlace>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let half = journal.map_or(0, |place| place.half);
        let mut done = 0;
        for parts in round.parts.chunk_by_mut(|one, other| one.dir == other.dir) {
            let Some(&key) = keys.get(done) else { break };
            done += parts.len();
            let failed = parts.iter().find_map(|part| part.result.clone().err());
            match failed {
                None => self.log_written(now, key, parts, half, events),
                Some(error) => {
                    self.log_failed(key, error.clone(), parts.iter().any(|part| part.uncut), events);
                    self.disk_refused(now, error, fx, events);
                }
            }
        }
        for mut part in round.parts.drain(..) {
            if self.spare.len() < SPARE_PARTS_MAX {
                empty_part(&mut part);
                self.spare.push(part);
            }
        }
    }

    fn log_written(&mut self, now: Now, key: LogKey, parts: &mut [WritePart], half: usize, events: &mut Vec<LogEvent>) {
        for part in parts.iter() {
            match part.sync {
                PartSync::Journal => self.dirty.add(key, part.base, journaled(half)),
                PartSync::Later if !part.batches.is_empty() => self.dirty.add(key, part.base, UNCOVERED),
                PartSync::Later => {}
                PartSync::Direct => self.dirty.synced(key, part.base),
            }
        }
        let scan_bytes = self.config.scan_bytes;
        let Some(log) = self.log_mut(key) else { return };
        let rolled = log.sent.is_some_and(|sent| sent.count > log.written.count);
        log.written = log.sent.take().unwrap_or(log.written);
        log.durable = log.written.end;
        log.forget_fresh_below(log.durable);
        if rolled {
            log.file_changes.add();
        }
        let bytes: u64 = parts.iter().map(part_bytes).sum();
        log.written_bytes += bytes;
        let is_due = log.unscanned_bytes() >= scan_bytes;
        let later: u64 =
            parts.iter().filter(|part| part.sync == PartSync::Later).map(|part| part.batches.len() as u64).sum();
        let first_later = later > 0 && log.unsynced_batches == 0;
        log.unsynced_batches = if later > 0 { log.unsynced_batches + later } else { 0 };
        let flush_ms = log.config.flush_ms.filter(|_| first_later);
        let end = log.durable;
        let tail = log.tail;
        let wants_snapshot = log.wants_snapshot(scan_bytes);
        let batches =
            if tail { parts.iter_mut().flat_map(|part| part.batches.drain(..)).collect() } else { Vec::new() };
        events.push(LogEvent::Durable { log: key, end, batches });
        if wants_snapshot {
            events.push(LogEvent::SnapshotWanted { log: key });
        }
        if let Some(flush_ms) = flush_ms {
            self.timers.set(Due::Flush(key), now.mono.plus_millis(flush_ms));
        }
        self.janitor.unscanned_bytes += bytes;
        self.janitor.some_log_is_due |= is_due;
        if rolled {
            self.janitor.rolled.push(key);
        }
    }

    fn log_failed(&mut self, key: LogKey, error: DiskError, uncut: bool, events: &mut Vec<LogEvent>) {
        let Some(log) = self.log_mut(key) else { return };
        log.sent = None;
        let queued = (log.queue.iter().map(|part| part.batches.len()).sum::<usize>(), queue_bytes(log));
        log.roll_back();
        let from = log.end;
        let needs_repair = uncut && log.wish.is_none();
        if needs_repair {
            log.wish = Some(Wish::Repair);
            self.wait(key);
        }
        self.queued_batches -= queued.0;
        self.queued_bytes -= queued.1;
        events.push(LogEvent::AppendFailed { log: key, from, error });
    }
}

impl Log {
    /// Starts a new segment when the batch does not fit the last one, or that one is too old.
    fn roll_if_full(&mut self, bytes: usize, base_offset: Offset, last_offset: Offset, now: Timestamp) {
        let Some(last) = self.segments.last() else { return };
        let age_ms = now.0.saturating_sub(last.created_at.0);
        let max_lag_ms = self.config.compaction.as_ref().and_then(|compaction| compaction.max_lag_ms);
        let segment_ms = self.config.segment_ms.min(max_lag_ms.unwrap_or(u64::MAX)).min(i64::MAX as u64);
        let is_old = last.bytes > 0 && age_ms >= segment_ms as i64;
        if !is_old && !last.is_full(bytes, last_offset, self.config.segment_bytes) {
            return;
        }
        if self.unborn {
            self.segments.pop();
        } else {
            self.close_last();
        }
        let is_near = last_offset.0 - self.end.0 <= i32::MAX as i64;
        let base = if is_near { self.end } else { base_offset };
        self.segments.push(SegmentMeta::empty(base, now));
        self.unborn = true;
    }

    /// The time index of a complete segment ends with its highest timestamp, as Kafka's does.
    fn close_last(&mut self) {
        let Some(mut last) = self.segments.pop() else { return };
        if last.max_timestamp > last.indexed_timestamp {
            if self.queue.last().is_none_or(|part| part.base != last.base) {
                self.queue.push(new_part(self, &last, None));
            }
            if let Some(part) = self.queue.last_mut() {
                last.push_time(&mut part.time_index.1);
            }
        }
        self.segments.push(last);
    }

    fn queue_batch(&mut self, batch: Bytes, grant: Grant, now: Timestamp, spare: &mut Vec<WritePart>) {
        let Some(&last) = self.segments.last() else { return };
        if self.queue.last().is_none_or(|part| part.base != last.base) {
            let part = new_part(self, &last, spare.pop());
            self.unborn = false;
            self.queue.push(part);
        }
        let (Some(segment), Some(part)) = (self.segments.last_mut(), self.queue.last_mut()) else { return };
        if segment.bytes == 0 {
            segment.created_at = now;
        }
        segment.appended_at = now;
        if let Ok(header) = BatchHeader::parse(&batch) {
            segment.push(&header, self.config.index_interval_bytes, &mut part.index.1, &mut part.time_index.1);
            if header.has_producer() {
                self.produced_end = header.next_offset();
            }
        }
        self.appended_bytes += batch.len() as u64;
        part.batches.push(batch);
        part.grants.push(grant);
    }
}

/// A part for the end of `segment`, in what an earlier one left.
fn new_part(log: &Log, segment: &SegmentMeta, spare: Option<WritePart>) -> WritePart {
    let mut part = spare.unwrap_or_else(|| WritePart {
        dir: log.dir.clone(),
        base: segment.base,
        create: false,
        position: 0,
        batches: Vec::new(),
        grants: Vec::new(),
        index: (0, Vec::new()),
        time_index: (0, Vec::new()),
        sync: PartSync::Direct,
        result: Ok(()),
        uncut: false,
    });
    part.dir = log.dir.clone();
    part.base = segment.base;
    part.create = log.unborn;
    part.position = segment.bytes;
    part.index.0 = segment.index_bytes;
    part.time_index.0 = segment.time_index_bytes;
    part
}

fn empty_part(part: &mut WritePart) {
    part.batches.clear();
    part.grants.clear();
    part.index.1.clear();
    part.time_index.1.clear();
    part.sync = PartSync::Direct;
    part.result = Ok(());
    part.uncut = false;
}

pub(super) fn part_bytes(part: &WritePart) -> u64 {
    part.batches.iter().map(|batch| batch.len() as u64).sum()
}

fn queue_bytes(log: &Log) -> u64 {
    log.queue.iter().map(part_bytes).sum()
}

/// Whether the part is acknowledged before it is synced.
fn syncs_later(log: &Log, part: &WritePart) -> bool {
    let batches = log.unsynced_batches + part.batches.len() as u64;
    part.batches.is_empty() || (log.syncs_later() && batches < log.config.flush_messages)
}
