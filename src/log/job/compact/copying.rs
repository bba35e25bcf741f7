//! The second stage: group after group of segments becomes one, without the records that newer ones supersede.
//!
//! What goes: a record whose key stands at a higher offset in the map, a record without a key, a tombstone whose batch
//! has passed its delete horizon. What stays beside the rest: the header of the last batch of each producer, so that its
//! next sequence number is known, and the header of the last batch of a group, so that segments follow one another
//! without a gap and recovery can tell a torn log from a compacted one.

use super::output::Output;
use super::{Found, Limits, Opening, batch_at};
use crate::effect::{Compaction, DiskError, SegmentMeta, SliceEnd};
use crate::log::SEGMENT_BYTES_MAX;
use crate::log::job::window::Window;
use crate::log::segment::INDEX_BYTES_MAX;
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{BatchHeader, BatchView, Record, RewriteBuffers, Rewritten, delete_horizon, rewrite, write_empty};
use crate::types::Timestamp;

/// Large batches are copied in pieces of that size.
const PIECE_BYTES: usize = 64 * 1024;

/// Room that a copy leaves to others: it must not be what fills the disk.
const ROOM_BYTES: u64 = 16 << 20;

/// What becomes of a batch.
enum Fate {
    /// It stays as it is.
    Stays,
    /// What was written of it stays.
    Shrinks,
    /// It goes; its header is remembered in case the group ends here.
    Goes,
    /// The slice ends before it.
    Waits(SliceEnd),
}

/// Goes on with the copy of a group.
pub(super) fn copy<S: Storage>(run: &mut Compaction, storage: &mut S) -> Result<SliceEnd, DiskError> {
    let Some(current) = run.segments.get(run.segment).copied() else { return Ok(SliceEnd::Copied) };
    if run.output.is_none() {
        run.group_end = group_end(run);
        let group = run.segments.get(run.segment..run.group_end).unwrap_or_default();
        let wanted = group.iter().map(|segment| segment.bytes).sum::<u64>() + ROOM_BYTES;
        if storage.free_bytes(run.dir.root)? < wanted {
            return Ok(SliceEnd::NoRoom);
        }
        run.tail.clear();
        run.output_end = current.base;
    }
    let first = run.output.unwrap_or(current);
    let mut output = Output::begin(run, &first, storage)?;
    run.output = Some(output.segment());
    let end = copy_slice(run, &mut output, storage)?;
    if end == SliceEnd::Copied {
        if !run.tail.is_empty() {
            let tail = std::mem::take(&mut run.tail);
            append(run, &mut output, &tail, storage)?;
        }
        let last = run.group_end.checked_sub(1).and_then(|last| run.segments.get(last)).copied().unwrap_or(current);
        output.finish(&last, storage)?;
    } else {
        output.pause(storage)?;
    }
    run.output = Some(output.segment());
    run.bytes_written += output.written;
    run.slice_cost += output.written;
    Ok(end)
}

/// The first segment that no longer fits with those from `run.segment` on.
fn group_end(run: &Compaction) -> usize {
    let base = run.segments.get(run.segment).map(|first| first.base).unwrap_or_default();
    let (mut bytes, mut index_bytes) = (0, 0u64);
    let mut end = run.segment;
    while let Some(segment) = run.segments.get(end).filter(|segment| segment.base < run.below) {
        let after = run.segments.get(end + 1).map_or(run.segments_end, |next| next.base);
        bytes += segment.bytes;
        index_bytes += segment.index_bytes as u64;
        let fits = bytes <= run.group_bytes
            && index_bytes <= INDEX_BYTES_MAX as u64 / 2
            && after.0.saturating_sub(base.0) <= i32::MAX as i64;
        if !fits && end > run.segment {
            break;
        }
        end += 1;
    }
    end.max(run.segment + 1)
}

fn copy_slice<S: Storage>(run: &mut Compaction, output: &mut Output, storage: &mut S) -> Result<SliceEnd, DiskError> {
    let mut buffers = RewriteBuffers::default();
    let mut out = Vec::new();
    let dir = run.dir.clone();
    while run.segment < run.group_end {
        let Some(segment) = run.segments.get(run.segment).copied() else { break };
        let file = FilePath::in_log(&dir, FileName::Log(segment.base));
        let mut window = Window::new(storage, file, segment.bytes);
        while run.position < segment.bytes {
            if run.slice_cost >= run.slice_bytes {
                return Ok(SliceEnd::More);
            }
            if let Some(end) = copy_batch(run, output, &segment, &mut window, &mut buffers, &mut out)? {
                return Ok(end);
            }
            if output.segment().bytes > SEGMENT_BYTES_MAX as u64 {
                let sentence = "what is left of a segment exceeds two GiB: the log is not compacted".into();
                return Ok(SliceEnd::Unfit { from: None, sentence });
            }
        }
        run.segment += 1;
        run.position = 0;
    }
    Ok(SliceEnd::Copied)
}

/// Takes the batch at the run's position.
fn copy_batch<S: Storage>(
    run: &mut Compaction,
    output: &mut Output,
    segment: &SegmentMeta,
    window: &mut Window<'_, '_, S>,
    buffers: &mut RewriteBuffers,
    out: &mut Vec<u8>,
) -> Result<Option<SliceEnd>, DiskError> {
    let limits = Limits::of(run);
    let bytes = match batch_at(window, segment, run.position, &limits)? {
        Found::End(end) => return Ok(Some(end)),
        Found::Large(bytes) => {
            run.keeps_tombstones = true;
            copy_large(run, output, bytes, window)?;
            bytes
        }
        Found::Batch(batch) => {
            let bytes = batch.total_bytes();
            match judge(run, &batch, &limits, buffers, out) {
                Fate::Stays => {
                    out.clear();
                    out.extend_from_slice(batch.bytes());
                    append(run, output, out, window.storage())?;
                }
                Fate::Shrinks => append(run, output, out, window.storage())?,
                Fate::Goes => write_empty(&batch, &mut run.tail),
                Fate::Waits(end) => return Ok(Some(end)),
            }
            bytes as u64
        }
    };
    run.position += bytes;
    run.slice_cost += bytes;
    run.bytes_read += bytes;
    Ok(None)
}

/// Appends one whole batch to the copy.
fn append<S: Storage>(
    run: &mut Compaction,
    output: &mut Output,
    bytes: &[u8],
    storage: &mut S,
) -> Result<(), DiskError> {
    let Ok(header) = BatchHeader::parse(bytes) else { return Ok(()) }; // it was read as one, or written as one
    output.push(&header);
    run.output_end = header.next_offset();
    run.tail.clear();
    output.extend(bytes, storage)
}

/// Copies an intact batch of `bytes` bytes, unopened, in pieces.
fn copy_large<S: Storage>(
    run: &mut Compaction,
    output: &mut Output,
    bytes: u64,
    window: &mut Window<'_, '_, S>,
) -> Result<(), DiskError> {
    let Some(head) = window.header(run.position)? else { return Ok(()) }; // it was there
    let Ok(header) = BatchHeader::parse(&head) else { return Ok(()) };
    output.push(&header);
    run.output_end = header.next_offset();
    run.tail.clear();
    let mut done = 0;
    while done < bytes {
        let count = usize::try_from(bytes - done).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let piece = window.bytes(run.position + done, count)?;
        let piece = piece.get(..count.min(piece.len())).unwrap_or_default().to_vec();
        if piece.is_empty() {
            return Err(DiskError::Corrupt("a segment became shorter".into()));
        }
        output.extend(&piece, window.storage())?;
        done += piece.len() as u64;
    }
    Ok(())
}

/// Decides about a batch; `Shrinks` leaves its new form in `out`.
fn judge(
    run: &mut Compaction,
    batch: &BatchView<'_>,
    limits: &Limits,
    buffers: &mut RewriteBuffers,
    out: &mut Vec<u8>,
) -> Fate {
    if batch.base_offset() >= run.below || batch.is_control() {
        return Fate::Stays;
    }
    let known_horizon = delete_horizon(batch);
    let is_past = |horizon: Timestamp| run.now.is_some_and(|now| now >= horizon) && !run.keeps_tombstones;
    let drops_tombstones = known_horizon.is_some_and(is_past);
    let mut removed = 0;
    let retain = |record: &Record<'_>| {
        let is_superseded = |key: &[u8]| run.map.get(key).is_some_and(|at| at > record.offset);
        let stays = record.offset >= run.below
            || record.key.is_some_and(|key| !is_superseded(key)) && !(drops_tombstones && record.value.is_none());
        removed += !stays as u64;
        stays
    };
    let rewritten = rewrite(batch, run.horizon, limits.batch_bytes_max, buffers, retain, out);
    let fate = match rewritten {
        Ok(Rewritten::Whole) => Fate::Stays,
        Ok(Rewritten::Some) => Fate::Shrinks,
        Ok(Rewritten::Empty) if is_last_of_producer(run, batch) => {
            write_empty(batch, out);
            Fate::Shrinks
        }
        Ok(Rewritten::Empty) => Fate::Goes,
        Err(error) => match limits.too_large(error) {
            Some(Opening::Needs(end)) => return Fate::Waits(end),
            Some(Opening::Never) => {
                run.keeps_tombstones = true;
                return Fate::Stays;
            }
            None => return Fate::Stays,
        },
    };
    run.records_removed += removed;
    let written = if matches!(fate, Fate::Shrinks) { BatchView::parse(out).ok() } else { Some(*batch) };
    let horizon = written.as_ref().filter(|_| !matches!(fate, Fate::Goes)).and_then(delete_horizon);
    run.latest_horizon = run.latest_horizon.max(horizon.filter(|_| !drops_tombstones));
    fate
}

/// Whether the header of the batch tells what its producer wrote last, as far as is known.
fn is_last_of_producer(run: &Compaction, batch: &BatchView<'_>) -> bool {
    batch.has_producer()
        && run.producers_since.is_none_or(|since| batch.max_timestamp() >= since)
        && run.producers.get(&batch.producer_id()).is_none_or(|&last| last <= batch.base_offset())
}
