//! Look-ups in the indexes of one segment, through maps of bounded size.
//!
//! The entries that a look-up may meet ascend, with one exception: writes to the end of an index that were lost in a
//! power cut read as zeros until recovery has cut them. Zeros count as lying after everything.

use crate::effect::{DiskError, LogDir, SegmentMeta};
use crate::log::segment::{INDEX_ENTRY_BYTES, IndexEntry, TIME_INDEX_ENTRY_BYTES, TimeIndexEntry};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::types::{Offset, Timestamp};

/// A search ends in a map of that size.
const MAP_BYTES: u64 = 16 * 1024;

/// The last entry of the offset index, with its number, that lies below `offset`, or at it when `or_at`.
pub(super) fn last_below<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    offset: Offset,
    or_at: bool,
) -> Result<Option<(u64, IndexEntry)>, DiskError> {
    let file = FilePath::in_log(dir, FileName::OffsetIndex(segment.base));
    let relative = offset.0.saturating_sub(segment.base.0);
    let found = search(storage, file, INDEX_ENTRY_BYTES as u64, segment.index_bytes as u64, |_, bytes| {
        IndexEntry::parse(bytes).is_none_or(|entry| {
            let lies_after = entry.relative_offset as i64 >= relative + or_at as i64;
            lies_after || entry.position == 0
        })
    })?;
    Ok(found.and_then(|(number, bytes)| Some((number, IndexEntry::parse(&bytes)?))))
}

/// A position at or before the batch that holds `offset`.
pub(super) fn position_before<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    offset: Offset,
) -> Result<u64, DiskError> {
    let entry = last_below(storage, dir, segment, offset, true)?;
    Ok(entry.map_or(0, |(_, entry)| entry.position as u64))
}

/// The last entry of the time index that lies at or below `offset`, and its number.
pub(super) fn last_time_at<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    offset: Offset,
) -> Result<Option<(u64, TimeIndexEntry)>, DiskError> {
    let relative = offset.0.saturating_sub(segment.base.0);
    search_time(storage, dir, segment, |entry| entry.relative_offset as i64 > relative)
}

/// The last entry of the time index that is not later than `at`.
pub(super) fn last_time_before<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    at: Timestamp,
) -> Result<Option<TimeIndexEntry>, DiskError> {
    Ok(search_time(storage, dir, segment, |entry| entry.timestamp > at)?.map(|(_, entry)| entry))
}

fn search_time<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    lies_after: impl Fn(TimeIndexEntry) -> bool,
) -> Result<Option<(u64, TimeIndexEntry)>, DiskError> {
    let file = FilePath::in_log(dir, FileName::TimeIndex(segment.base));
    let found =
        search(storage, file, TIME_INDEX_ENTRY_BYTES as u64, segment.time_index_bytes as u64, |number, bytes| {
            TimeIndexEntry::parse(bytes)
                .is_none_or(|entry| lies_after(entry) || (number > 0 && entry.relative_offset == 0))
        })?;
    Ok(found.and_then(|(number, bytes)| Some((number, TimeIndexEntry::parse(&bytes)?))))
}

/// The last entry before the first one that lies after what is looked for, and its number.
fn search<S: Storage>(
    storage: &mut S,
    file: FilePath<'_>,
    entry_bytes: u64,
    index_bytes: u64,
    lies_after: impl Fn(u64, &[u8]) -> bool,
) -> Result<Option<(u64, Vec<u8>)>, DiskError> {
    // entries below `low` do not lie after, those from `high` on do
    let (mut low, mut high) = (0, index_bytes / entry_bytes);
    while (high - low) * entry_bytes > MAP_BYTES {
        let middle = low + (high - low) / 2;
        let after = map(storage, file, middle * entry_bytes, entry_bytes, |bytes| lies_after(middle, bytes))?;
        if after { high = middle } else { low = middle + 1 }
    }
    let first = low.saturating_sub(1);
    map(storage, file, first * entry_bytes, (high - first) * entry_bytes, |bytes| {
        let entries = bytes.chunks_exact(entry_bytes as usize);
        let before = (first..).zip(entries).take_while(|&(number, entry)| !lies_after(number, entry));
        before.last().map(|(number, entry)| (number, entry.to_vec()))
    })
}

/// A map of bytes that may not be there: an index that is missing or short has fewer entries.
fn map<S: Storage, R>(
    storage: &mut S,
    file: FilePath<'_>,
    position: u64,
    bytes: u64,
    look: impl Fn(&[u8]) -> R,
) -> Result<R, DiskError> {
    match storage.map_read(file, position, bytes as usize, &look) {
        Err(DiskError::NotFound) => Ok(look(&[])),
        other => other,
    }
}
