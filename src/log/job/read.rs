//! Reads whole batches: index look-up, a short walk to the wanted one, one buffer, every checksum compared.
//!
//! Memory: one buffer of at most `max_bytes`, or of the first batch when that is larger; a batch that is larger than
//! asked for is compared with its checksum before a buffer of its length is taken.
//!
//! Copied, not spliced: a pipe that holds a range's pages between the check and the socket was built and measured, at 1.4 to
//! 1.8 times the CPU a record of one copy in and one copy out (64 KiB a send, a reference a page), and was dropped.

use bytes::Bytes;

use super::index;
use super::window::Window;
use crate::effect::{DiskError, ReadJob, ReadOutcome};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{BatchHeader, BatchView, RecordError};
use crate::types::Offset;

/// Small requests read as much at least: the wanted batch usually lies within it.
const READ_BYTES_MIN: usize = 16 * 1024;

/// Where a walk over headers arrived.
enum Walk {
    /// The batch that holds the wanted offset, or the first after it; offsets below the second are whole.
    At(u64, Offset),
    /// The end of the buffer or of the segment: so far there is none.
    End(u64, Offset),
    /// A batch that cannot be; likewise.
    Damage(Offset),
}

/// Carries the job out.
pub(super) fn read<S: Storage>(job: &ReadJob, storage: &mut S) -> Result<ReadOutcome, DiskError> {
    if job.segment.bytes == 0 {
        return Ok(nothing(job, 0));
    }
    let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
    let mut position = match job.hint {
        Some(hint) => hint,
        None => index::position_before(storage, &job.dir, &job.segment, job.from)?,
    };
    let mut buffer = Vec::new();
    // A hint is where the offset itself lies; an index entry tells less.
    let mut whole = if job.hint.is_some() { job.from.max(job.segment.base) } else { job.segment.base };
    loop {
        fill(storage, file, &mut buffer, position, job.segment.bytes, job.max_bytes.max(READ_BYTES_MIN))?;
        let start = match walk(&buffer, position, whole, job) {
            Walk::At(start, below) => {
                whole = below;
                start
            }
            Walk::End(end, below) if end > position && end < job.segment.bytes => {
                (position, whole) = (end, below);
                continue;
            }
            Walk::End(end, _) => return Ok(nothing(job, end)),
            Walk::Damage(below) => match behind_damage(job, storage, position)? {
                Behind::Wanted(start) => {
                    position = start;
                    fill(storage, file, &mut buffer, start, job.segment.bytes, job.max_bytes.max(READ_BYTES_MIN))?;
                    whole = below;
                    start
                }
                Behind::Later(resume) => return Ok(damaged(job, position, below, resume)),
            },
        };
        let skip = (start - position) as usize; // the walk stayed in the buffer
        return take(job, storage, start, whole, buffer, skip);
    }
}

/// Goes from header to header up to the batch that is wanted, as far as the buffer reaches.
fn walk(buffer: &[u8], start: u64, mut lowest: Offset, job: &ReadJob) -> Walk {
    let mut position = start;
    loop {
        let rest = buffer.get(usize::try_from(position - start).unwrap_or(usize::MAX)..).unwrap_or_default();
        match BatchHeader::parse(rest) {
            Ok(batch) if !is_possible(&batch, rest, position, lowest, job) => return Walk::Damage(lowest),
            Ok(batch) if batch.last_offset() >= job.from => return Walk::At(position, lowest),
            Ok(batch) => {
                lowest = batch.next_offset();
                position += batch.total_bytes() as u64;
            }
            // the rest of this header is outside of the buffer
            Err(RecordError::Truncated) => return Walk::End(position, lowest),
            Err(_) => return Walk::Damage(lowest),
        }
    }
}

/// Whether a batch can have this length and these offsets, which no checksum covers; `rest` begins with it.
fn is_possible(batch: &BatchHeader<'_>, rest: &[u8], position: u64, lowest: Offset, job: &ReadJob) -> bool {
    let base = batch.base_offset();
    let fits = position + batch.total_bytes() as u64 <= job.segment.bytes
        && base >= lowest
        && batch.next_offset() <= job.segment.limit();
    let after = rest.get(batch.total_bytes()..).and_then(|after| BatchHeader::parse(after).ok());
    fits && after.is_none_or(|after| after.base_offset() >= batch.next_offset())
}

/// What lies behind damage.
enum Behind {
    /// The batch that holds the wanted offset.
    Wanted(u64),
    /// One that begins after it, or none.
    Later(Option<Offset>),
}

/// Looks from `position` on for the batch that is wanted, by checksums alone.
fn behind_damage<S: Storage>(job: &ReadJob, storage: &mut S, mut position: u64) -> Result<Behind, DiskError> {
    let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
    let mut window = Window::new(storage, file, job.segment.bytes);
    let mut lowest = job.segment.base;
    while let Some(at) = window.next_intact(position, lowest, job.segment.limit())? {
        let Some(head) = window.header(at)? else { break };
        let Ok(batch) = BatchHeader::parse(&head) else { break };
        let after = window.header(at + batch.total_bytes() as u64)?;
        let after = after.as_ref().and_then(|head| BatchHeader::parse(head).ok().map(|after| after.base_offset()));
        if after.is_some_and(|after| after < batch.next_offset()) {
            position = at + 1; // its offsets, which no checksum covers, contradict those that follow
            continue;
        }
        if batch.base_offset() > job.from {
            return Ok(Behind::Later(Some(batch.base_offset())));
        }
        if batch.last_offset() >= job.from {
            return Ok(Behind::Wanted(at));
        }
        lowest = batch.next_offset();
        position = at + batch.total_bytes() as u64;
    }
    Ok(Behind::Later(None))
}

/// The batches from `start` on, which is where `buffer` is after `skip` bytes. They stay where they were read.
fn take<S: Storage>(
    job: &ReadJob,
    storage: &mut S,
    start: u64,
    whole: Offset,
    mut buffer: Vec<u8>,
    mut skip: usize,
) -> Result<ReadOutcome, DiskError> {
    if let Ok(first) = BatchHeader::parse(buffer.get(skip..).unwrap_or_default()) {
        if first.next_offset() > job.below {
            // what is not wanted yet, unless its last offset is wrong
            let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
            let is_intact = Window::new(storage, file, job.segment.bytes).is_intact(start, &first)?;
            return if is_intact { Ok(nothing(job, start)) } else { damaged_at(job, storage, start, whole) };
        }
        if first.total_bytes() > buffer.len() - skip {
            let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
            let bytes = first.total_bytes();
            if bytes > job.max_bytes && !Window::new(storage, file, job.segment.bytes).is_intact(start, &first)? {
                return damaged_at(job, storage, start, whole);
            }
            fill(storage, file, &mut buffer, start, job.segment.bytes, bytes)?;
            skip = 0;
        }
    }
    let (bytes, next) = intact_batches(buffer.get(skip..).unwrap_or_default(), job);
    if bytes == 0 {
        return damaged_at(job, storage, start, whole);
    }
    let batches = Bytes::from(buffer).slice(skip..skip + bytes);
    Ok(ReadOutcome::Batches { bytes: batches, next, next_position: start + bytes as u64 })
}

/// How many bytes of `buffer` are whole, intact batches that the job wants, and the offset after them.
fn intact_batches(buffer: &[u8], job: &ReadJob) -> (usize, Offset) {
    let mut bytes = 0;
    let mut next = job.segment.base;
    while let Ok(batch) = BatchView::parse(buffer.get(bytes..).unwrap_or_default()) {
        let exceeds = bytes > 0 && bytes + batch.total_bytes() > job.max_bytes;
        if exceeds || batch.next_offset() > job.below || batch.base_offset() < next || batch.check_crc().is_err() {
            break;
        }
        bytes += batch.total_bytes();
        next = batch.next_offset();
    }
    (bytes, next)
}

fn nothing(job: &ReadJob, position: u64) -> ReadOutcome {
    ReadOutcome::Batches { bytes: Bytes::new(), next: job.from, next_position: position }
}

/// The batch at `position` holds the wanted offset and is not intact.
fn damaged_at<S: Storage>(
    job: &ReadJob,
    storage: &mut S,
    position: u64,
    whole: Offset,
) -> Result<ReadOutcome, DiskError> {
    match behind_damage(job, storage, position + 1)? {
        Behind::Later(resume) => Ok(damaged(job, position, whole, resume)),
        Behind::Wanted(_) => Ok(damaged(job, position, whole, None)), // two batches claim it: believe neither
    }
}

/// Says what is damaged, what is whole before it, and where reading can go on.
fn damaged(job: &ReadJob, position: u64, whole: Offset, resume: Option<Offset>) -> ReadOutcome {
    let file = FileName::Log(job.segment.base);
    let last = resume.map_or(job.from, |resume| Offset(resume.0 - 1));
    let sentence =
        format!("{file} is damaged at or after position {position}: offsets {} to {last} cannot be read", job.from);
    ReadOutcome::Damaged { sentence, whole, resume }
}

/// Reads `wanted` bytes from `position` on, fewer at the segment's end.
fn fill<S: Storage>(
    storage: &mut S,
    file: FilePath<'_>,
    buffer: &mut Vec<u8>,
    position: u64,
    end: u64,
    wanted: usize,
) -> Result<(), DiskError> {
    let left = usize::try_from(end.saturating_sub(position)).unwrap_or(wanted);
    storage.read_new(file, position, wanted.min(left), buffer)
}
