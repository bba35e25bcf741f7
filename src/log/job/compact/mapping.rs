//! The first stage: the last offset of each key, of the records that no earlier run has seen.

use super::{Found, Limits, Opening, batch_at};
use crate::effect::{Compaction, CompactionStage, DiskError, SegmentMeta, SliceEnd};
use crate::log::job::window::Window;
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{BatchHeader, BatchView, RewriteBuffers};
use crate::types::Offset;

/// Producers whose last batch is remembered; of others each batch counts as the last.
const PRODUCERS_MAX: usize = 1024;

/// Goes on with the map.
pub(super) fn map<S: Storage>(run: &mut Compaction, storage: &mut S) -> Result<SliceEnd, DiskError> {
    let mut buffers = RewriteBuffers::default();
    while let Some(segment) = run.segments.get(run.segment).copied() {
        if segment.base >= run.below {
            break;
        }
        let end = run.segments.get(run.segment + 1).map_or(run.segments_end, |next| next.base);
        if end > run.from
            && let Some(end) = map_segment(run, &segment, &mut buffers, storage)?
        {
            if end == SliceEnd::Mapped {
                break;
            }
            return Ok(end);
        }
        run.segment += 1;
        run.position = 0;
    }
    if run.below == run.from && run.map.is_empty() && run.from < run.segments_end {
        let sentence = "there is no memory for a single key: the log is not compacted".into();
        return Ok(SliceEnd::Unfit { from: None, sentence });
    }
    run.stage = CompactionStage::Copying;
    (run.segment, run.position) = (0, 0);
    Ok(SliceEnd::Mapped)
}

/// Goes on with one segment; `None` at its end.
fn map_segment<S: Storage>(
    run: &mut Compaction,
    segment: &SegmentMeta,
    buffers: &mut RewriteBuffers,
    storage: &mut S,
) -> Result<Option<SliceEnd>, DiskError> {
    let limits = Limits::of(run);
    let dir = run.dir.clone();
    let file = FilePath::in_log(&dir, FileName::Log(segment.base));
    let mut window = Window::new(storage, file, segment.bytes);
    while run.position < segment.bytes {
        if run.slice_cost >= run.slice_bytes {
            return Ok(Some(SliceEnd::More));
        }
        let position = run.position;
        if let Some(head) = window.header(position)?
            && let Ok(header) = BatchHeader::parse(&head)
            && header.next_offset() <= run.from
        {
            run.position += header.total_bytes() as u64;
            run.slice_cost += header.total_bytes() as u64;
            continue;
        }
        let bytes = match batch_at(&mut window, segment, position, &limits)? {
            Found::End(end) => return Ok(Some(end)),
            Found::Large(bytes) => bytes,
            Found::Batch(batch) => {
                if let Some(end) = map_batch(run, &batch, &limits, buffers) {
                    return Ok(Some(end));
                }
                batch.total_bytes() as u64
            }
        };
        run.position += bytes;
        run.slice_cost += bytes;
        run.bytes_read += bytes;
    }
    Ok(None)
}

/// Notes the keys of one batch, and its producer.
fn map_batch(
    run: &mut Compaction,
    batch: &BatchView<'_>,
    limits: &Limits,
    buffers: &mut RewriteBuffers,
) -> Option<SliceEnd> {
    if batch.has_producer() && (run.producers.len() < PRODUCERS_MAX || run.producers.contains_key(&batch.producer_id()))
    {
        run.producers.insert(batch.producer_id(), batch.base_offset());
    }
    if batch.is_control() {
        return None;
    }
    let records = match buffers.open(batch, limits.batch_bytes_max) {
        Ok(records) => records,
        Err(error) => {
            return match limits.too_large(error) {
                Some(Opening::Needs(end)) => Some(end),
                Some(Opening::Never) | None => None,
            };
        }
    };
    let is_new = |offset: Offset| offset >= run.from && offset < run.below;
    for record in records.map_while(Result::ok).filter(|record| is_new(record.offset)) {
        if let Some(key) = record.key
            && run.map.put(key, record.offset).is_err()
        {
            run.below = record.offset;
            return Some(SliceEnd::Mapped);
        }
    }
    None
}
