//! Checkpoints, trimming, deletion, and the reserve: everything that the janitor does.
//!
//! Invariant: what a checkpoint file says was made true, durably, before the file says it; what will not be true any more
//! is taken back, durably, before it stops being true.

use super::files::{remove_if_there, replace};
use super::open::remove_segments;
use super::start::{checkpoint_path, hold_reserve, reserve_path, stamp};
use crate::effect::{CheckpointJob, DeleteJob, DirtySegment, DiskError, LogDone, SpaceJob, TrimJob};
use crate::log::storage::{FileName, FilePath, Storage};

/// Syncs, notes, empties halves of the journal.
pub(super) fn checkpoint<S: Storage>(job: &CheckpointJob, storage: &mut S) -> Result<(), DiskError> {
    for segment in &job.segments {
        sync_segment(segment, storage)?;
    }
    for (dir, name, bytes) in &job.log_files {
        // the log may have been deleted since this was decided
        match replace(storage, FilePath::in_log(dir, FileName::Other(name)), bytes) {
            Err(DiskError::NotFound) => continue,
            other => other?,
        }
        storage.sync_dir(dir.root, Some(&dir.name))?;
    }
    for (name, bytes) in &job.root_files {
        replace(storage, checkpoint_path(&job.files, name), bytes)?;
    }
    if !job.root_files.is_empty() {
        storage.sync_dir(job.files.root, job.files.checkpoint_dir.as_deref())?;
    }
    for &(half, generation, sequence) in &job.journal {
        stamp(&job.files, half, generation, sequence, storage)?;
    }
    Ok(())
}

fn sync_segment<S: Storage>(segment: &DirtySegment, storage: &mut S) -> Result<(), DiskError> {
    let names = [
        (segment.batches, FileName::Log(segment.base)),
        (segment.indexes, FileName::OffsetIndex(segment.base)),
        (segment.indexes, FileName::TimeIndex(segment.base)),
    ];
    for (wanted, name) in names {
        if wanted {
            match storage.sync(FilePath::in_log(&segment.dir, name)) {
                Err(DiskError::NotFound) => {} // retention removed it
                other => other?,
            }
        }
    }
    Ok(())
}

/// Removes segments below the log start.
pub(super) fn trim<S: Storage>(job: &TrimJob, storage: &mut S) -> Result<(), DiskError> {
    checkpoint(&job.before, storage)?;
    remove_segments(storage, &job.dir, &job.remove)
}

/// Removes directories of logs.
pub(super) fn delete<S: Storage>(job: &DeleteJob, storage: &mut S) -> Result<(), DiskError> {
    if let Some((from, to)) = &job.rename {
        match storage.rename_dir(job.root, from, to) {
            Err(DiskError::NotFound) => {} // done before an error that made this be tried again
            other => other?,
        }
        storage.sync_dir(job.root, None)?;
    }
    if let Some(forget) = &job.forget {
        checkpoint(forget, storage)?;
    }
    for dir in &job.remove {
        let entries = match storage.list(job.root, Some(dir)) {
            Err(DiskError::NotFound) => continue,
            other => other?,
        };
        for entry in entries {
            remove_if_there(storage, FilePath { root: job.root, dir: Some(dir), name: FileName::Other(&entry.name) })?;
        }
        storage.remove_dir(job.root, dir)?;
    }
    Ok(())
}

/// Gives the reserve up, or sets it aside again when there is room for it and more.
pub(super) fn space<S: Storage>(job: &SpaceJob, storage: &mut S) -> Result<LogDone, DiskError> {
    let files = &job.files;
    if job.release {
        if files.reserve_bytes > 0 {
            let _ = storage.set_len(reserve_path(files.root), 0); // without a reserve there is nothing to give up
        }
        return Ok(LogDone::Space { free_bytes: storage.free_bytes(files.root)?, reserve_held: false });
    }
    let free_bytes = storage.free_bytes(files.root)?;
    let reserve_held = free_bytes >= job.wanted_bytes && hold_reserve(files, storage)?;
    Ok(LogDone::Space { free_bytes, reserve_held })
}
