//! Looks for a record by its timestamp: time index, offset index, a short walk, then one batch is opened.

use super::index;
use super::window::Window;
use crate::effect::{DiskError, FindTimestampJob};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{self, BatchHeader, BatchView};
use crate::types::{Offset, Timestamp};

/// Carries the job out.
pub(super) fn find_timestamp<S: Storage>(
    job: &FindTimestampJob,
    storage: &mut S,
) -> Result<Option<(Timestamp, Offset)>, DiskError> {
    if job.segment.bytes == 0 {
        return Ok(None);
    }
    let entry = match job.at {
        Some(at) => index::last_time_before(storage, &job.dir, &job.segment, at)?,
        None => index::last_time_at(storage, &job.dir, &job.segment, job.below)?.map(|(_, entry)| entry),
    };
    let from = entry.map_or(job.segment.base, |entry| job.segment.base.plus(entry.relative_offset as i64));
    let start = index::position_before(storage, &job.dir, &job.segment, from)?;
    let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
    let mut window = Window::new(storage, file, job.segment.bytes);
    let mut position = start;
    loop {
        let found = match job.at {
            Some(at) => first_at_least(&mut window, position, job, at)?,
            None => highest(&mut window, position, job)?,
        };
        let Some((found_at, at)) = found else { return Ok(None) };
        let bytes = batch_bytes(&mut window, found_at)?;
        let record = bytes.as_deref().and_then(|bytes| open(bytes, job, at));
        if record.is_some() || job.at.is_none() {
            return Ok(record);
        }
        // damaged, or of a batch across the log start only older records are left
        position = found_at + bytes.map_or(1, |bytes| bytes.len() as u64);
    }
}

/// The first batch with a timestamp of at least `at`.
fn first_at_least<S: Storage>(
    window: &mut Window<'_, '_, S>,
    start: u64,
    job: &FindTimestampJob,
    at: Timestamp,
) -> Result<Option<(u64, Timestamp)>, DiskError> {
    walk(window, start, job, |position, batch| {
        (batch.max_timestamp() >= at && batch.last_offset() >= job.from).then_some((position, at))
    })
}

/// The first batch with the highest timestamp.
fn highest<S: Storage>(
    window: &mut Window<'_, '_, S>,
    start: u64,
    job: &FindTimestampJob,
) -> Result<Option<(u64, Timestamp)>, DiskError> {
    let mut best: Option<(u64, Timestamp)> = None;
    walk(window, start, job, |position, batch| {
        if batch.last_offset() >= job.from && best.is_none_or(|(_, highest)| batch.max_timestamp() > highest) {
            best = Some((position, batch.max_timestamp()));
        }
        None::<()>
    })?;
    Ok(best)
}

/// Calls `look` with each batch from `start` on that lies below `job.below`, until it says something.
fn walk<S: Storage, R>(
    window: &mut Window<'_, '_, S>,
    start: u64,
    job: &FindTimestampJob,
    mut look: impl FnMut(u64, &BatchHeader<'_>) -> Option<R>,
) -> Result<Option<R>, DiskError> {
    let mut position = start;
    while position < window.end() {
        let Some(head) = window.header(position)? else {
            let Some(intact) = window.next_intact(position + 1, job.segment.base, job.below)? else { break };
            position = intact;
            continue;
        };
        let Ok(batch) = BatchHeader::parse(&head) else { break };
        if batch.next_offset() > job.below {
            break;
        }
        if let Some(found) = look(position, &batch) {
            return Ok(Some(found));
        }
        position += batch.total_bytes() as u64;
    }
    Ok(None)
}

/// One whole batch; `None` when it is damaged.
fn batch_bytes<S: Storage>(window: &mut Window<'_, '_, S>, position: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let Some(head) = window.header(position)? else { return Ok(None) };
    let Ok(batch) = BatchHeader::parse(&head) else { return Ok(None) };
    if !window.is_intact(position, &batch)? {
        return Ok(None);
    }
    let bytes = window.bytes(position, batch.total_bytes())?;
    Ok(bytes.get(..batch.total_bytes()).map(<[u8]>::to_vec))
}

/// The first record of the batch that is new enough; of the batch as a whole when its records cannot be opened.
fn open(bytes: &[u8], job: &FindTimestampJob, at: Timestamp) -> Option<(Timestamp, Offset)> {
    let batch = BatchView::parse(bytes).ok()?;
    let whole = (batch.max_timestamp(), batch.base_offset().max(job.from));
    if batch.is_log_append_time() {
        return Some(whole);
    }
    let mut scratch = Vec::new();
    let Ok(records) = record::open(&batch, &mut scratch, job.decompressed_bytes_max) else { return Some(whole) };
    records
        .map_while(Result::ok)
        .find(|record| record.timestamp >= at && record.offset >= job.from)
        .map(|record| (record.timestamp, record.offset))
}
