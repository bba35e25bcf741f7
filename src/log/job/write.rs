//! A write round: batches to their segments, then durability in the way that was decided for each part.
//!
//! Invariants: parts of a log succeed or fail together, and a part that failed leaves nothing behind unless it says so;
//! the journal is written after the segments, so that a record of it never speaks of a part that failed.

use crate::effect::{DiskError, JournalPlace, PartSync, WritePart, WriteRound};
use crate::log::journal::{BLOCK_BYTES, RecordHead};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::types::crc32c;

use super::start::journal_path;

const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// Carries the round out; an error is that of a sync, all others are told by each part.
pub(super) fn write_round<S: Storage>(round: &mut WriteRound, storage: &mut S) -> Result<(), DiskError> {
    for parts in round.parts.chunk_by_mut(|one, other| one.dir == other.dir) {
        write_log(parts, storage)?;
    }
    for part in round.parts.iter().filter(|part| part.sync == PartSync::Direct && part.result.is_ok()) {
        storage.sync(FilePath::in_log(&part.dir, FileName::Log(part.base)))?;
    }
    if let Some(place) = round.journal {
        write_journal(round, place, storage)?;
    }
    Ok(())
}

/// The parts of one log.
fn write_log<S: Storage>(parts: &mut [WritePart], storage: &mut S) -> Result<(), DiskError> {
    let mut result = Ok(());
    for part in parts.iter() {
        result = write_part(part, storage);
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() && parts.iter().any(|part| part.create) {
        result = parts.first().map_or(Ok(()), |part| storage.sync_dir(part.dir.root, Some(&part.dir.name)));
    }
    match result {
        Err(DiskError::SyncFailed(what)) => Err(DiskError::SyncFailed(what)),
        Err(error) => fail(parts, error, storage),
        Ok(()) => Ok(()),
    }
}

fn write_part<S: Storage>(part: &WritePart, storage: &mut S) -> Result<(), DiskError> {
    let [log, index, time_index] = files(part);
    if part.create {
        for file in [log, index, time_index] {
            storage.create(file)?;
        }
    }
    if !part.batches.is_empty() {
        let batches: Vec<&[u8]> = part.batches.iter().map(|batch| &batch[..]).collect();
        storage.write_at(log, part.position, &batches)?;
    }
    for (file, (position, entries)) in [(index, &part.index), (time_index, &part.time_index)] {
        if !entries.is_empty() {
            storage.write_at(file, *position as u64, &[entries])?;
        }
    }
    Ok(())
}

/// Takes back what the parts of one log wrote; an error is that of a sync.
fn fail<S: Storage>(parts: &mut [WritePart], error: DiskError, storage: &mut S) -> Result<(), DiskError> {
    let mut cut = Ok(());
    for part in parts.iter().rev() {
        match undo(part, storage) {
            Err(DiskError::SyncFailed(what)) => return Err(DiskError::SyncFailed(what)),
            undone => cut = cut.and(undone),
        }
    }
    if let Some(created) = parts.iter().find(|part| part.create) {
        // else the file could be back after a power cut, and look like what follows
        storage.sync_dir(created.dir.root, Some(&created.dir.name))?;
    }
    let uncut = cut.is_err();
    for part in parts {
        part.result = Err(error.clone());
        part.uncut = uncut;
    }
    Ok(())
}

fn undo<S: Storage>(part: &WritePart, storage: &mut S) -> Result<(), DiskError> {
    let mut result = Ok(());
    let lengths = [part.position, part.index.0 as u64, part.time_index.0 as u64];
    for (file, bytes) in files(part).into_iter().zip(lengths) {
        let undone = if part.create { storage.remove(file) } else { storage.set_len(file, bytes) };
        result = result.and(match undone {
            Err(DiskError::NotFound) if part.create => Ok(()),
            other => other,
        });
    }
    if !part.create {
        // else a power cut could bring the tail back below the segments that follow it
        result = result.and(storage.sync(FilePath::in_log(&part.dir, FileName::Log(part.base))));
    }
    result
}

fn files(part: &WritePart) -> [FilePath<'_>; 3] {
    [FileName::Log(part.base), FileName::OffsetIndex(part.base), FileName::TimeIndex(part.base)]
        .map(|name| FilePath::in_log(&part.dir, name))
}

/// One record for each part that is to be synced by the journal, one write, one sync.
fn write_journal<S: Storage>(round: &mut WriteRound, place: JournalPlace, storage: &mut S) -> Result<(), DiskError> {
    let parts: Vec<&WritePart> =
        round.parts.iter().filter(|part| part.sync == PartSync::Journal && part.result.is_ok()).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let (heads, used) = render_heads(&parts, place);
    let mut slices: Vec<&[u8]> = Vec::with_capacity(parts.iter().map(|part| part.batches.len() + 1).sum::<usize>() + 1);
    for (part, head) in parts.iter().zip(&heads) {
        slices.push(head);
        slices.extend(part.batches.iter().map(|batch| &batch[..]));
    }
    slices.push(ZEROS.get(..(used.next_multiple_of(BLOCK_BYTES) - used) as usize).unwrap_or_default());
    let file = journal_path(round.files.root);
    match storage.write_at(file, place.half as u64 * place.half_bytes + place.position, &slices) {
        Ok(()) => storage.sync(file),
        Err(error) => fail_journaled(round, error, storage),
    }
}

/// The heads of all records, and the bytes of all records from the place's start.
fn render_heads(parts: &[&WritePart], place: JournalPlace) -> (Vec<Vec<u8>>, u64) {
    let mut heads = Vec::with_capacity(parts.len());
    let mut position = place.position;
    for (number, part) in parts.iter().enumerate() {
        let payload_bytes: usize = part.batches.iter().map(|batch| batch.len()).sum();
        let mut head = RecordHead {
            generation: place.generation,
            sequence: place.sequence + number as u64,
            name: &part.dir.name,
            base: part.base,
            position: part.position,
            payload_bytes: payload_bytes as u32, // the place was found for it, and a half is below 4 GiB
            payload_crc: part.batches.iter().fold(0, |crc, batch| crc32c::append(crc, batch)),
            next_position: 0,
            round_position: place.position as u32,
        };
        position += (head.bytes() + payload_bytes) as u64;
        let is_last = number + 1 == parts.len();
        head.next_position = if is_last { place.position + place.bytes } else { position } as u32;
        let mut bytes = Vec::with_capacity(head.bytes());
        head.render(&mut bytes);
        heads.push(bytes);
    }
    (heads, position - place.position)
}

/// The journal may hold these parts or not: they fail, and the log must not use their place before it is repaired.
fn fail_journaled<S: Storage>(round: &mut WriteRound, error: DiskError, storage: &mut S) -> Result<(), DiskError> {
    round.journal_broken = true;
    for parts in round.parts.chunk_by_mut(|one, other| one.dir == other.dir) {
        if parts.iter().any(|part| part.sync == PartSync::Journal && part.result.is_ok()) {
            fail(parts, error.clone(), storage)?;
            parts.iter_mut().for_each(|part| part.uncut = true);
        }
    }
    Ok(())
}
