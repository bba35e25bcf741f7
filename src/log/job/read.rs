//! Reads whole batches: index look-up, a short walk to the wanted one, one buffer, every checksum compared.
//!
//! Memory: one buffer of at most `max_bytes`, or of the first batch when that is larger; a batch that is larger than
//! asked for is compared with its checksum before a buffer of its length is taken.

use bytes::Bytes;

use super::index;
use super::window::Window;
use crate::effect::{DiskError, ReadJob, ReadOutcome};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::{BatchHeader, BatchView};
use crate::types::Offset;

/// Small requests read as much at least: the wanted batch usually lies within it.
const READ_BYTES_MIN: usize = 16 * 1024;

/// Where a walk over headers arrived.
enum Walk {
    /// The batch that holds the wanted offset, or the first after it.
    At(u64),
    /// There is none.
    End,
    /// Damage that may have held it.
    Damage(u64),
}

/// Carries the job out.
pub(super) fn read<S: Storage>(job: &ReadJob, storage: &mut S) -> Result<ReadOutcome, DiskError> {
    if job.segment.bytes == 0 {
        return Ok(nothing(job, 0));
    }
    let mut position = match job.hint {
        Some(hint) => hint,
        None => index::position_before(storage, &job.dir, &job.segment, job.from)?,
    };
    let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
    let mut buffer = Vec::new();
    loop {
        fill(storage, file, &mut buffer, position, job.segment.bytes, job.max_bytes.max(READ_BYTES_MIN))?;
        let (walk, walked) = walk(&buffer, position, job);
        let start = match walk {
            Walk::End if walked > position && walked < job.segment.bytes => {
                position = walked;
                continue;
            }
            Walk::End => return Ok(nothing(job, walked)),
            Walk::Damage(at) => return damaged(job, storage, at),
            Walk::At(start) => start,
        };
        let batches = buffer.split_off((start - position) as usize); // the walk stayed in the buffer
        return take(job, storage, start, batches);
    }
}

/// Goes from header to header up to the batch that is wanted, as far as the buffer reaches; also says how far.
fn walk(buffer: &[u8], start: u64, job: &ReadJob) -> (Walk, u64) {
    let mut position = start;
    let mut lowest = job.segment.base;
    loop {
        let rest = buffer.get(usize::try_from(position - start).unwrap_or(usize::MAX)..).unwrap_or_default();
        match BatchHeader::parse(rest) {
            Ok(batch) if batch.base_offset() < lowest || position + batch.total_bytes() as u64 > job.segment.bytes => {
                return (Walk::Damage(position), position);
            }
            Ok(batch) if batch.last_offset() >= job.from => return (Walk::At(position), position),
            Ok(batch) => {
                lowest = batch.next_offset();
                position += batch.total_bytes() as u64;
            }
            // the rest of this header is outside of the buffer
            Err(crate::record::RecordError::Truncated) => return (Walk::End, position),
            Err(_) => return (Walk::Damage(position), position),
        }
    }
}

/// The batches from `start` on, which is where `buffer` begins.
fn take<S: Storage>(job: &ReadJob, storage: &mut S, start: u64, mut buffer: Vec<u8>) -> Result<ReadOutcome, DiskError> {
    if let Ok(first) = BatchHeader::parse(&buffer) {
        if first.next_offset() > job.below {
            return Ok(nothing(job, start));
        }
        if first.total_bytes() > buffer.len() {
            let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
            let bytes = first.total_bytes();
            if bytes > job.max_bytes && !Window::new(storage, file, job.segment.bytes).is_intact(start, &first)? {
                return damaged(job, storage, start);
            }
            fill(storage, file, &mut buffer, start, job.segment.bytes, bytes)?;
        }
    }
    let (bytes, next) = intact_batches(&buffer, job);
    if bytes == 0 {
        return damaged(job, storage, start);
    }
    buffer.truncate(bytes);
    Ok(ReadOutcome::Batches { bytes: Bytes::from(buffer), next, next_position: start + bytes as u64 })
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

/// Says what is damaged at `position`, and where reading can go on.
fn damaged<S: Storage>(job: &ReadJob, storage: &mut S, position: u64) -> Result<ReadOutcome, DiskError> {
    let file = FilePath::in_log(&job.dir, FileName::Log(job.segment.base));
    let mut window = Window::new(storage, file, job.segment.bytes);
    let lowest = Offset(job.from.0.saturating_add(1));
    let resume = match window.next_intact(position + 1, lowest, Offset(i64::MAX))? {
        Some(at) => window.header(at)?.and_then(|head| BatchHeader::parse(&head).ok().map(|batch| batch.base_offset())),
        None => None,
    };
    let sentence = match resume {
        Some(resume) => {
            format!("{file} is damaged at position {position}: offsets {} to {} cannot be read", job.from, resume.0 - 1)
        }
        None => format!("{file} is damaged at position {position}: offset {} cannot be read", job.from),
    };
    Ok(ReadOutcome::Damaged { sentence, resume })
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
    buffer.clear();
    buffer.resize(wanted.min(left), 0);
    let read = storage.read_at(file, position, buffer)?;
    buffer.truncate(read);
    Ok(())
}
