//! Looks at the files themselves: every batch intact, every index entry true, and the indexes exactly those that
//! appending the batches one by one gives.

use tern::effect::LogDir;
use tern::log::storage::{FileName, FilePath};
use tern::record::BatchView;
use tern::types::Offset;

use crate::disk::SimDisk;

/// The batches of a log's files, from `start` up to `end`, as one run of bytes.
pub fn log_bytes(disk: &SimDisk, dir: &LogDir, interval_bytes: u32) -> Vec<(Offset, Offset, Vec<u8>)> {
    let mut bases = segments(disk, dir);
    bases.sort();
    let mut batches = Vec::new();
    for (number, &base) in bases.iter().enumerate() {
        let is_last = number + 1 == bases.len();
        batches.extend(check_segment(disk, dir, base, interval_bytes, is_last));
    }
    batches
}

/// Base offsets of the segments.
pub fn segments(disk: &SimDisk, dir: &LogDir) -> Vec<Offset> {
    let names = disk.names(dir.root, &dir.name);
    let digits = names.iter().filter_map(|name| name.strip_suffix(".log"));
    digits.map(|digits| Offset(digits.parse().unwrap())).collect()
}

fn check_segment(
    disk: &SimDisk,
    dir: &LogDir,
    base: Offset,
    interval_bytes: u32,
    is_last: bool,
) -> Vec<(Offset, Offset, Vec<u8>)> {
    let content = |name| disk.content(FilePath::in_log(dir, name)).unwrap_or_default().to_vec();
    let log = content(FileName::Log(base));
    let (mut index, mut time_index) = (Vec::new(), Vec::new());
    let (mut unindexed, mut highest, mut indexed_time) = (0, (i64::MIN, 0), -1);
    let mut position = 0;
    let mut next = base;
    let mut batches = Vec::new();
    let push_time = |time_index: &mut Vec<u8>, highest: (i64, i64), indexed: &mut i64| {
        if highest.0 > *indexed {
            time_index.extend_from_slice(&highest.0.to_be_bytes());
            time_index.extend_from_slice(&((highest.1 - base.0) as u32).to_be_bytes());
            *indexed = highest.0;
        }
    };
    while position < log.len() {
        let batch = BatchView::parse(&log[position..]).expect("a whole batch");
        batch.check_crc().expect("an intact batch");
        assert_eq!(batch.base_offset(), next, "{} at {position}", FilePath::in_log(dir, FileName::Log(base)));
        if batch.max_timestamp().0 > highest.0 {
            highest = (batch.max_timestamp().0, batch.last_offset().0);
        }
        if unindexed > interval_bytes as usize {
            index.extend_from_slice(&((batch.last_offset().0 - base.0) as u32).to_be_bytes());
            index.extend_from_slice(&(position as u32).to_be_bytes());
            unindexed = 0;
            push_time(&mut time_index, highest, &mut indexed_time);
        }
        unindexed += batch.total_bytes();
        next = batch.next_offset();
        batches.push((batch.base_offset(), next, batch.bytes().to_vec()));
        position += batch.total_bytes();
    }
    if !is_last {
        push_time(&mut time_index, highest, &mut indexed_time);
    }
    let name = FilePath::in_log(dir, FileName::Log(base));
    assert_eq!(content(FileName::OffsetIndex(base)), index, "the offset index of {name}");
    assert_eq!(content(FileName::TimeIndex(base)), time_index, "the time index of {name}");
    batches
}
