//! Copies the journal's records to their places after a power cut.
//!
//! Each record is either already where it belongs, then nothing is written, or it was acknowledged and never reached its
//! segment. Every segment that a record names is synced at the end, whether bytes had to be copied or not: after a mere
//! kill they lie in the page cache and look the same.

use std::collections::{BTreeMap, BTreeSet};

use super::files::read_small;
use super::start::journal_path;
use super::window::Window;
use crate::effect::{DiskError, Root};
use crate::log::checkpoint::CHECKPOINT_BYTES_MAX;
use crate::log::journal::{BLOCK_BYTES, HALF_HEAD_BYTES, RECORD_HEAD_BYTES, RecordHead, parse_half_head};
use crate::log::log_file::{LOG_FILE, LogFile};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::types::{Offset, crc32c};

/// Bytes copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// How far behind a damaged record a later round is looked for; an empty half costs that much reading.
const SEARCH_BYTES: u64 = 256 * 1024;

/// No directory has a longer name.
const NAME_BYTES_MAX: usize = 255;

/// What the journal held.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// As its headers say.
    pub half_bytes: Option<u64>,
    pub generations: [u64; 2],
    pub empty: [bool; 2],
    pub highest_sequence: u64,
}

/// One record on its way.
struct Record {
    dir: String,
    base: Offset,
    sequence: u64,
    /// In the segment.
    to: u64,
    /// In the journal.
    from: u64,
    bytes: u64,
    crc: u32,
    /// Both from the start of the half.
    next_position: u64,
    round_position: u64,
}

/// What is known of the logs that records name.
#[derive(Default)]
struct Targets {
    floors: BTreeMap<String, Option<(u64, Offset)>>,
    touched: BTreeSet<(String, Offset)>,
}

/// Replays the journal of `root`, which is `file_bytes` long.
pub(super) fn replay<S: Storage>(
    root: Root,
    file_bytes: u64,
    storage: &mut S,
    warnings: &mut Vec<String>,
) -> Result<Replay, DiskError> {
    let mut result = Replay::default();
    let mut targets = Targets::default();
    let half_bytes = file_bytes / 2;
    let mut halves = Vec::new();
    for half in 0..2 {
        let mut head = [0; HALF_HEAD_BYTES];
        storage.read_at(journal_path(root), half as u64 * half_bytes, &mut head)?;
        match parse_half_head(&head) {
            Some(head) if head.half_bytes == half_bytes => {
                result.half_bytes = Some(half_bytes);
                result.generations[half] = head.generation;
                result.highest_sequence = result.highest_sequence.max(head.sequence.saturating_sub(1));
                halves.push((head.generation, half));
            }
            // its header was torn while it was emptied: every segment that it named is synced
            _ => continue,
        }
    }
    halves.sort();
    for (generation, half) in halves {
        result.empty[half] = true;
        let mut window = Window::new(storage, journal_path(root), (half as u64 + 1) * half_bytes);
        let mut position = BLOCK_BYTES;
        while let Some(record) = next_record(&mut window, half as u64 * half_bytes, position, generation, warnings)? {
            result.empty[half] = false;
            result.highest_sequence = result.highest_sequence.max(record.sequence);
            position = record.next_position;
            apply(root, &record, &mut window, &mut targets)?;
        }
    }
    for (dir, base) in &targets.touched {
        storage.sync(FilePath { root, dir: Some(dir), name: FileName::Log(*base) })?;
    }
    Ok(result)
}

/// The record at `position` of the half, or, where that one is damaged, the first of a later round.
fn next_record<S: Storage>(
    window: &mut Window<'_, '_, S>,
    half_start: u64,
    position: u64,
    generation: u64,
    warnings: &mut Vec<String>,
) -> Result<Option<Record>, DiskError> {
    if let Some(record) = record_at(window, half_start, position, generation)? {
        return Ok(Some(record));
    }
    let rest = window.bytes(half_start + position, RECORD_HEAD_BYTES)?;
    if position == BLOCK_BYTES && rest.iter().take(RECORD_HEAD_BYTES).all(|&byte| byte == 0) {
        return Ok(None);
    }
    // the last round may be torn anywhere; a round that another one follows was synced
    let mut at = position.next_multiple_of(BLOCK_BYTES);
    let end = (at + SEARCH_BYTES).min(window.end() - half_start);
    while at < end {
        if let Some(record) = record_at(window, half_start, at, generation)?
            && record.round_position > position
        {
            warnings.push(format!(
                "the journal is damaged between {position} and {at}: what was written then may be missing from its segments"
            ));
            return Ok(Some(record));
        }
        at += BLOCK_BYTES;
    }
    Ok(None)
}

/// The record at `position`, when it is whole and of this generation.
fn record_at<S: Storage>(
    window: &mut Window<'_, '_, S>,
    half_start: u64,
    position: u64,
    generation: u64,
) -> Result<Option<Record>, DiskError> {
    let at = half_start + position;
    if at >= window.end() {
        return Ok(None);
    }
    let half_bytes = window.end() - half_start;
    let Some(head) = RecordHead::parse(window.bytes(at, RECORD_HEAD_BYTES + NAME_BYTES_MAX)?) else { return Ok(None) };
    let record = Record {
        dir: head.name.to_string(),
        base: head.base,
        sequence: head.sequence,
        to: head.position,
        from: at + head.bytes() as u64,
        bytes: head.payload_bytes as u64,
        crc: head.payload_crc,
        next_position: head.next_position as u64,
        round_position: head.round_position as u64,
    };
    let end = record.from - half_start + record.bytes;
    let fits = end <= record.next_position && record.next_position <= half_bytes && record.next_position > position;
    if head.generation != generation || !fits {
        return Ok(None);
    }
    let mut crc = 0;
    for_each_chunk(window, record.from, record.bytes, |_, _, bytes| {
        crc = crc32c::append(crc, bytes);
        Ok(())
    })?;
    Ok((crc == record.crc).then_some(record))
}

/// Copies the record to its segment, where that lacks it.
fn apply<S: Storage>(
    root: Root,
    record: &Record,
    window: &mut Window<'_, '_, S>,
    targets: &mut Targets,
) -> Result<(), DiskError> {
    let floor = match targets.floors.get(&record.dir) {
        Some(&floor) => floor,
        None => {
            let floor = floor_of(root, &record.dir, window.storage())?;
            targets.floors.insert(record.dir.clone(), floor);
            floor
        }
    };
    let segment = FilePath { root, dir: Some(&record.dir), name: FileName::Log(record.base) };
    let is_ours = floor.is_some_and(|(floor, base)| record.sequence >= floor && record.base >= base);
    let bytes = match window.storage().len(segment) {
        Err(DiskError::NotFound) => return Ok(()), // retention removed it
        other => other?,
    };
    if !is_ours || bytes < record.to {
        return Ok(());
    }
    targets.touched.insert((record.dir.clone(), record.base));
    for_each_chunk(window, record.from, record.bytes, |storage, skip, wanted| {
        let mut there = vec![0; wanted.len()];
        let read = storage.read_at(segment, record.to + skip, &mut there)?;
        if read == wanted.len() && there == wanted {
            Ok(())
        } else {
            storage.write_at(segment, record.to + skip, &[wanted])
        }
    })
}

/// Journal records below this, or of segments with a lower base, are none of the log in `dir`; `None`: no record is.
fn floor_of<S: Storage>(root: Root, dir: &str, storage: &mut S) -> Result<Option<(u64, Offset)>, DiskError> {
    let path = FilePath { root, dir: Some(dir), name: FileName::Other(LOG_FILE) };
    let bytes = read_small(storage, path, CHECKPOINT_BYTES_MAX)?;
    // one that is damaged belonged to a log of ours: better all of its records than none
    Ok(bytes.map(|bytes| {
        LogFile::parse(&bytes).map_or_else(Default::default, |file| (file.journal_floor, file.journal_base))
    }))
}

/// Calls `take` with the storage, how far it is, and the next bytes.
fn for_each_chunk<S: Storage>(
    window: &mut Window<'_, '_, S>,
    from: u64,
    bytes: u64,
    mut take: impl FnMut(&mut S, u64, &[u8]) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let mut done = 0;
    while done < bytes {
        let count = usize::try_from(bytes - done).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let chunk = window.bytes(from + done, count)?;
        let chunk = chunk.get(..count.min(chunk.len())).unwrap_or_default().to_vec();
        if chunk.is_empty() {
            break;
        }
        take(window.storage(), done, &chunk)?;
        done += chunk.len() as u64;
    }
    Ok(())
}
