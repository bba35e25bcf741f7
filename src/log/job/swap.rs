//! Puts what compaction copied in the place of the segments it was made from, so that a crash at any moment leaves the
//! old segments or the new one.
//!
//! ```text
//! .cleaned   being written, or left by an interrupted run: of no value
//! .swap      the indexes first, then the batches: with `.log.swap` on the disk the swap is decided
//! (none)     the indexes first, and the old segments gone, durably, before the batches take their final name
//! ```
//!
//! Whoever opens a log finishes a swap that is decided and removes everything else under these names.

use super::compact::Cleaned;
use super::files::{len_or_zero, remove_if_there};
use super::maintain::checkpoint;
use super::open::remove_segments;
use super::window::Window;
use crate::effect::{DiskError, LogDir, SwapJob, Swapped};
use crate::log::segment::{INDEX_ENTRY_BYTES, IndexEntry};
use crate::log::storage::{DirEntry, FileName, FilePath, Storage};
use crate::record::BatchHeader;
use crate::types::Offset;

/// Carries the job out; an error is that of a sync.
pub(super) fn swap<S: Storage>(job: &SwapJob, storage: &mut S) -> Result<Swapped, DiskError> {
    let Some((&base, others)) = job.sources.split_first() else { return Ok(Swapped::Done) };
    if !job.is_committed
        && let Err(error) = prepare(job, base, storage)
    {
        return undone(job, base, error, storage);
    }
    let names = Cleaned::new(base);
    let decided = match rename_if_there(&job.dir, &names.cleaned[0], FileName::Other(&names.swap[0]), storage) {
        Err(error) if !job.is_committed => return undone(job, base, error, storage),
        other => other,
    };
    match decided.and_then(|()| complete(&job.dir, base, others, storage)) {
        Ok(()) => Ok(Swapped::Done),
        Err(DiskError::SyncFailed(what)) => Err(DiskError::SyncFailed(what)),
        Err(error) => Ok(Swapped::Stuck(error)),
    }
}

fn undone<S: Storage>(job: &SwapJob, base: Offset, error: DiskError, storage: &mut S) -> Result<Swapped, DiskError> {
    if let DiskError::SyncFailed(_) = error {
        return Err(error);
    }
    Cleaned::new(base).remove(&job.dir, storage);
    Ok(Swapped::Undone(error))
}

/// Everything that must be durable before the batches are renamed, from when on the swap can only be finished.
fn prepare<S: Storage>(job: &SwapJob, base: Offset, storage: &mut S) -> Result<(), DiskError> {
    let dir = &job.dir;
    for &source in &job.sources {
        // what the journal alone made durable must not depend on it any more
        storage.sync(FilePath::in_log(dir, FileName::Log(source)))?;
    }
    checkpoint(&job.before, storage)?;
    let names = Cleaned::new(base);
    for (from, to) in names.cleaned.iter().zip(&names.swap).skip(1) {
        storage.rename(FilePath::in_log(dir, FileName::Other(from)), FileName::Other(to))?;
    }
    storage.sync_dir(dir.root, Some(&dir.name))
}

/// From there to the end; may be repeated.
fn complete<S: Storage>(dir: &LogDir, base: Offset, others: &[Offset], storage: &mut S) -> Result<(), DiskError> {
    let names = Cleaned::new(base);
    let finals = [FileName::Log(base), FileName::OffsetIndex(base), FileName::TimeIndex(base)];
    storage.sync_dir(dir.root, Some(&dir.name))?;
    for (from, to) in names.swap.iter().zip(finals).skip(1) {
        rename_if_there(dir, from, to, storage)?;
    }
    remove_segments(storage, dir, others)?;
    storage.sync_dir(dir.root, Some(&dir.name))?;
    rename_if_there(dir, &names.swap[0], finals[0], storage)?;
    storage.sync_dir(dir.root, Some(&dir.name))
}

fn rename_if_there<S: Storage>(dir: &LogDir, from: &str, to: FileName<'_>, storage: &mut S) -> Result<(), DiskError> {
    match storage.rename(FilePath::in_log(dir, FileName::Other(from)), to) {
        Err(DiskError::NotFound) => Ok(()), // done before
        other => other,
    }
}

/// Finishes the swaps that are decided and removes what other runs left, of a log that nobody uses. True when the
/// directory changed. `entries` is what it holds.
pub(super) fn recover<S: Storage>(dir: &LogDir, entries: &[DirEntry], storage: &mut S) -> Result<bool, DiskError> {
    let base_of = |name: &str, suffix: &str| name.strip_suffix(suffix).and_then(super::open::base_offset);
    let decided: Vec<Offset> = entries.iter().filter_map(|entry| base_of(&entry.name, ".log.swap")).collect();
    for &base in &decided {
        let end = end_of_copy(dir, base, storage)?;
        let others: Vec<Offset> = entries
            .iter()
            .filter_map(|entry| base_of(&entry.name, ".log"))
            .filter(|&other| other > base && other < end)
            .collect();
        complete(dir, base, &others, storage)?;
    }
    let mut changed = !decided.is_empty();
    for entry in entries.iter().filter(|entry| entry.name.ends_with(".cleaned") || entry.name.ends_with(".swap")) {
        let is_decided = |base: &Offset| entry.name.starts_with(&format!("{:020}.", base.0));
        if entry.name.ends_with(".cleaned") || !decided.iter().any(is_decided) {
            remove_if_there(storage, FilePath::in_log(dir, FileName::Other(&entry.name)))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Offset after the last batch of `.log.swap`, which was synced as a whole.
fn end_of_copy<S: Storage>(dir: &LogDir, base: Offset, storage: &mut S) -> Result<Offset, DiskError> {
    let names = Cleaned::new(base);
    let file = FilePath::in_log(dir, FileName::Other(&names.swap[0]));
    let bytes = storage.len(file)?;
    let mut position = last_indexed(dir, base, &names, storage)?.filter(|&position| position < bytes).unwrap_or(0);
    let mut window = Window::new(storage, file, bytes);
    let mut end = base;
    while let Some(head) = window.header(position)? {
        let Ok(batch) = BatchHeader::parse(&head) else { break };
        end = batch.next_offset().max(end);
        position += batch.total_bytes() as u64;
    }
    Ok(end)
}

/// The position that the last entry of the copy's offset index has; the index may bear its final name already.
fn last_indexed<S: Storage>(
    dir: &LogDir,
    base: Offset,
    names: &Cleaned,
    storage: &mut S,
) -> Result<Option<u64>, DiskError> {
    let swap = FilePath::in_log(dir, FileName::Other(&names.swap[1]));
    let file = if len_or_zero(storage, swap)? > 0 { swap } else { FilePath::in_log(dir, FileName::OffsetIndex(base)) };
    let bytes = len_or_zero(storage, file)?;
    let Some(at) = (bytes - bytes % INDEX_ENTRY_BYTES as u64).checked_sub(INDEX_ENTRY_BYTES as u64) else {
        return Ok(None);
    };
    let mut entry = [0; INDEX_ENTRY_BYTES as usize];
    storage.read_at(file, at, &mut entry)?;
    Ok(IndexEntry::parse(&entry).map(|entry| entry.position as u64))
}
