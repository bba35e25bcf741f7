//! Recovery of one segment: from a spot that is known to be good to the end of the file, every checksum compared, the
//! indexes written anew, the torn tail told from damage.
//!
//! A write that was not synced may be lost in parts: the file ends within a batch, or sectors read as zeros, and intact
//! batches of the same write may follow. Such a tail was never acknowledged and is cut. Bytes that changed are something
//! else: they were durable once, what follows them still is, and nothing is cut; readers are told where it hurts.

use crate::effect::{DiskError, LogDir, ProducerBatch, SegmentMeta};
use crate::log::leader_epochs::LeaderEpochs;
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{BatchHeader, HEADER_BYTES, RecordError};
use crate::types::Offset;

use super::producers::ProducerTail;
use super::window::Window;

/// Index entries are written in runs of that size.
const INDEX_RUN_BYTES: usize = 32 * 1024;

/// What a scan collects over all segments of a log.
pub(super) struct Findings {
    pub interval_bytes: u32,
    /// Below it everything was synced: damage there is never a torn tail.
    pub recovery_point: Offset,
    /// Segments up to this base may follow a gap: they were compacted.
    pub journal_base: Offset,
    /// Where the log ended when its own file was written: at a clean stop, or before a cut.
    pub noted_end: Offset,
    pub epochs: LeaderEpochs,
    pub producers: Option<ProducerTail>,
    pub scanned_bytes: u64,
    pub damages: Vec<(Offset, String)>,
    pub warnings: Vec<String>,
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanEnd {
    /// Offset after the last intact batch.
    pub next: Offset,
    /// Bytes that stay.
    pub bytes: u64,
    /// Something behind them was lost before it was synced.
    pub torn: bool,
}

/// Scans `segment` from `segment.bytes` to `file_bytes`; its counters stand as they were before the batch there.
/// `followed_by`: the base of the next segment, when that begins with an intact batch.
pub(super) fn scan<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &mut SegmentMeta,
    file_bytes: u64,
    followed_by: Option<Offset>,
    findings: &mut Findings,
) -> Result<ScanEnd, DiskError> {
    let file = FilePath::in_log(dir, FileName::Log(segment.base));
    let mut runs = IndexRuns::new(dir, segment);
    let mut window = Window::new(storage, file, file_bytes);
    let mut end = ScanEnd { next: segment.base, bytes: file_bytes, torn: false };
    findings.scanned_bytes += file_bytes.saturating_sub(segment.bytes);
    while segment.bytes < file_bytes {
        if intact_run(&mut window, segment, &mut end.next, &mut runs, findings)? {
            runs.flush(window.storage())?;
            continue;
        }
        match judge(&mut window, segment, end.next, followed_by, findings)? {
            Verdict::Resume(position) => segment.bytes = position,
            Verdict::Keep(next) => {
                segment.bytes = file_bytes;
                end.next = next;
            }
            Verdict::Cut => {
                end.bytes = segment.bytes;
                end.torn = true;
                break;
            }
        }
    }
    runs.flush(window.storage())?;
    Ok(end)
}

/// Takes intact batches from the segment's end on, until the file's end or until an index run is full; false when it
/// met one that is not intact.
fn intact_run<S: Storage>(
    window: &mut Window<'_, '_, S>,
    segment: &mut SegmentMeta,
    next: &mut Offset,
    runs: &mut IndexRuns,
    findings: &mut Findings,
) -> Result<bool, DiskError> {
    while segment.bytes < window.end() && !runs.is_full() {
        let position = segment.bytes;
        let Some(head) = window.header(position)? else { return Ok(false) };
        let Ok(batch) = BatchHeader::parse(&head) else { return Ok(false) };
        if !is_in_order(window, segment, &batch, *next)? || !window.is_intact(position, &batch)? {
            return Ok(false);
        }
        segment.push(&batch, findings.interval_bytes, &mut runs.index, &mut runs.time_index);
        findings.epochs.note(batch.partition_leader_epoch(), batch.base_offset());
        if let Some(producers) = &mut findings.producers {
            producers.push(&batch);
        }
        *next = batch.next_offset();
    }
    Ok(true)
}

/// Whether the batch at the segment's end has offsets that it can have. No checksum covers them; a batch whose successor
/// begins too early has wrong ones.
fn is_in_order<S: Storage>(
    window: &mut Window<'_, '_, S>,
    segment: &SegmentMeta,
    batch: &BatchHeader<'_>,
    next: Offset,
) -> Result<bool, DiskError> {
    let is_possible = batch.base_offset() >= next && batch.next_offset() <= segment.limit();
    if !is_possible || batch.base_offset() == next {
        return Ok(is_possible);
    }
    let after = window.header(segment.bytes + batch.total_bytes() as u64)?;
    let after = after.as_ref().and_then(|head| BatchHeader::parse(head).ok().map(|after| after.base_offset()));
    Ok(after.is_none_or(|after| after >= batch.next_offset()))
}

/// What becomes of a batch that is not intact.
enum Verdict {
    /// It is damaged, and here is the next one that is not.
    Resume(u64),
    /// It is damaged and so is all that follows in the segment; the next offset.
    Keep(Offset),
    /// It was never synced.
    Cut,
}

/// Judges the batch at the segment's end.
fn judge<S: Storage>(
    window: &mut Window<'_, '_, S>,
    segment: &SegmentMeta,
    next: Offset,
    followed_by: Option<Offset>,
    findings: &mut Findings,
) -> Result<Verdict, DiskError> {
    let position = segment.bytes;
    let was_synced = next < findings.recovery_point;
    let intact = window.next_intact(position + 1, next, segment.limit())?;
    let to = intact.unwrap_or(window.end());
    let is_followed = intact.is_some() || (followed_by.is_some() && !is_cut_off(window, position)?);
    if !was_synced && (!is_followed || window.has_lost_sector(position, to, next)?) {
        return Ok(Verdict::Cut);
    }
    let resume = match intact {
        Some(intact) => window.header(intact)?.and_then(|head| Some(BatchHeader::parse(&head).ok()?.base_offset())),
        None => followed_by,
    };
    let resume = resume.unwrap_or(findings.recovery_point).max(next);
    let sentence = format!(
        "{} is damaged from position {position} to {to}: offsets {next} to {} cannot be read",
        FileName::Log(segment.base),
        resume.0 - 1
    );
    findings.damages.push((next, sentence));
    Ok(intact.map_or(Verdict::Keep(resume), Verdict::Resume))
}

/// Whether the batch at `position` would reach beyond the end of the file.
fn is_cut_off<S: Storage>(window: &mut Window<'_, '_, S>, position: u64) -> Result<bool, DiskError> {
    let room = window.end() - position;
    Ok(match BatchHeader::parse(window.bytes(position, HEADER_BYTES)?) {
        Ok(batch) => batch.total_bytes() as u64 > room,
        Err(error) => error == RecordError::Truncated,
    })
}

/// Index entries on their way to the files.
struct IndexRuns<'d> {
    dir: &'d LogDir,
    base: Offset,
    index_at: u64,
    time_index_at: u64,
    index: Vec<u8>,
    time_index: Vec<u8>,
}

impl<'d> IndexRuns<'d> {
    fn new(dir: &'d LogDir, segment: &SegmentMeta) -> IndexRuns<'d> {
        IndexRuns {
            dir,
            base: segment.base,
            index_at: segment.index_bytes as u64,
            time_index_at: segment.time_index_bytes as u64,
            index: Vec::new(),
            time_index: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.index.len() + self.time_index.len() >= INDEX_RUN_BYTES
    }

    fn flush<S: Storage>(&mut self, storage: &mut S) -> Result<(), DiskError> {
        let index = FilePath::in_log(self.dir, FileName::OffsetIndex(self.base));
        let time_index = FilePath::in_log(self.dir, FileName::TimeIndex(self.base));
        for (file, at, entries) in
            [(index, &mut self.index_at, &mut self.index), (time_index, &mut self.time_index_at, &mut self.time_index)]
        {
            if !entries.is_empty() {
                storage.write_at(file, *at, &[entries])?;
                *at += entries.len() as u64;
                entries.clear();
            }
        }
        Ok(())
    }
}

/// A batch as the owner of the log wants to know it.
pub(super) fn producer_batch(batch: &BatchHeader<'_>) -> ProducerBatch {
    ProducerBatch {
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        base_offset: batch.base_offset(),
        last_offset_delta: batch.last_offset_delta(),
        max_timestamp: batch.max_timestamp(),
    }
}
