//! What must happen before a log is opened: checkpoints are read, the journal is replayed and emptied, the reserve is
//! set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::{len_or_zero, read_small, replace};
use super::replay::{Replay, replay};
use crate::effect::{DiskError, LogMarks, Root, RootFiles, StartJob, Started};
use crate::log::checkpoint::{self, BROKER_TIME, CHECKPOINT_BYTES_MAX, CLEANER_OFFSETS, LOG_STARTS, RECOVERY_POINTS};
use crate::log::journal::{BLOCK_BYTES, HalfHead, render_half_head};
use crate::log::storage::{DirEntry, FileName, FilePath, Storage};
use crate::types::Offset;

/// Our own files beside the logs: the journal and the reserve.
pub(super) const OWN_DIR: &str = ".tern";

/// How the directory of a deleted log ends, as Kafka's do.
pub(in crate::log) const DELETED_SUFFIX: &str = "-delete";

/// The shared journal of a root.
pub(super) fn journal_path(root: Root) -> FilePath<'static> {
    FilePath { root, dir: Some(OWN_DIR), name: FileName::Other("journal") }
}

/// The file whose room is given up when the disk is full.
pub(super) fn reserve_path(root: Root) -> FilePath<'static> {
    FilePath { root, dir: Some(OWN_DIR), name: FileName::Other("reserve") }
}

/// A checkpoint file of a root.
pub(super) fn checkpoint_path<'a>(files: &'a RootFiles, name: &'a str) -> FilePath<'a> {
    FilePath { root: files.root, dir: files.checkpoint_dir.as_deref(), name: FileName::Other(name) }
}

/// Carries the job out. On a full disk the reserve is what the start itself needs.
pub(super) fn start<S: Storage>(job: &StartJob, storage: &mut S) -> Result<Started, DiskError> {
    match try_start(job, storage) {
        Err(DiskError::Full) if job.files.reserve_bytes > 0 => {
            let _ = storage.set_len(reserve_path(job.files.root), 0); // without a reserve there is nothing to give up
            try_start(job, storage)
        }
        other => other,
    }
}

fn try_start<S: Storage>(job: &StartJob, storage: &mut S) -> Result<Started, DiskError> {
    let files = &job.files;
    let entries = storage.list(files.root, None)?;
    let mut started = Started { journal_sequence: 1, reserve_held: true, ..Started::default() };
    read_checkpoints(files, &entries, storage, &mut started)?;
    if files.journal_half_bytes > 0 || files.reserve_bytes > 0 {
        if !entries.iter().any(|entry| entry.name == OWN_DIR) {
            storage.create_dir(files.root, OWN_DIR)?;
            storage.sync_dir(files.root, None)?;
        }
        started.reserve_held = hold_reserve(files, storage)?;
    }
    if files.journal_half_bytes > 0 {
        prepare_journal(files, storage, &mut started)?;
    }
    Ok(started)
}

fn read_checkpoints<S: Storage>(
    files: &RootFiles,
    entries: &[DirEntry],
    storage: &mut S,
    started: &mut Started,
) -> Result<(), DiskError> {
    let mut marks: BTreeMap<String, LogMarks> = BTreeMap::new();
    for (dir, offset) in read_offsets(files, RECOVERY_POINTS, entries, storage, &mut started.warnings)? {
        marks.entry(dir).or_default().recovery_point = offset;
    }
    for (dir, offset) in read_offsets(files, LOG_STARTS, entries, storage, &mut started.warnings)? {
        marks.entry(dir).or_default().log_start = offset;
    }
    for (dir, offset) in read_offsets(files, CLEANER_OFFSETS, entries, storage, &mut started.warnings)? {
        if let Some(marks) = marks.get_mut(&dir) {
            marks.compacted = offset;
        }
    }
    if let Some(text) = read_small(storage, checkpoint_path(files, BROKER_TIME), CHECKPOINT_BYTES_MAX)? {
        started.clock = checkpoint::parse_time(&text).unwrap_or_default();
    }
    for entry in entries.iter().filter(|entry| entry.is_dir && !entry.name.starts_with('.')) {
        let name: Arc<str> = entry.name.as_str().into();
        if name.ends_with(DELETED_SUFFIX) {
            started.deleted_dirs.push(name);
        } else if let Some(&marks) = marks.get(&entry.name) {
            started.logs.push((name, Some(marks)));
        } else if checkpoint::split(&name).is_some() {
            started.logs.push((name, None));
        }
    }
    Ok(())
}

/// The lines of one file. Those of directories that are gone are removed from it for good: a log that is created under
/// such a name is another one.
fn read_offsets<S: Storage>(
    files: &RootFiles,
    name: &str,
    entries: &[DirEntry],
    storage: &mut S,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, Offset)>, DiskError> {
    let path = checkpoint_path(files, name);
    let Some(text) = read_small(storage, path, CHECKPOINT_BYTES_MAX)? else { return Ok(Vec::new()) };
    let Some(mut offsets) = checkpoint::parse_offsets(&text) else {
        warnings.push(format!("{path} is damaged and was ignored: logs are scanned or compacted from their start"));
        return Ok(Vec::new());
    };
    let count = offsets.len();
    offsets.retain(|(dir, _)| entries.iter().any(|entry| entry.is_dir && entry.name == *dir));
    if offsets.len() < count {
        let lines = offsets.iter().map(|(dir, offset)| (dir.as_str(), *offset));
        replace(storage, path, &checkpoint::render_offsets(lines))?;
        storage.sync_dir(path.root, path.dir)?;
    }
    Ok(offsets)
}

/// Sets the reserve aside; false when there is no room for it.
pub(super) fn hold_reserve<S: Storage>(files: &RootFiles, storage: &mut S) -> Result<bool, DiskError> {
    let path = reserve_path(files.root);
    if files.reserve_bytes == 0 || len_or_zero(storage, path)? >= files.reserve_bytes {
        return Ok(true);
    }
    match storage.create(path).and_then(|()| storage.allocate(path, files.reserve_bytes)) {
        Ok(()) => Ok(true),
        Err(DiskError::Full) => {
            let _ = storage.set_len(path, 0); // half a reserve is room that somebody else may need
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Replays what is there, then leaves two empty halves of the configured size.
fn prepare_journal<S: Storage>(files: &RootFiles, storage: &mut S, started: &mut Started) -> Result<(), DiskError> {
    let path = journal_path(files.root);
    let replayed = match storage.len(path) {
        Err(DiskError::NotFound) => Replay::default(),
        Err(error) => return Err(error),
        Ok(bytes) => replay(files.root, bytes, storage, &mut started.warnings)?,
    };
    started.journal_sequence = replayed.highest_sequence + 1;
    let half_bytes = files.journal_half_bytes;
    let fits = replayed.half_bytes == Some(half_bytes);
    if !fits {
        let created = storage.create(path).and_then(|()| storage.allocate(path, 2 * half_bytes));
        if let Err(DiskError::Full) = created {
            let _ = storage.remove(path); // without a journal every segment is synced by itself: slow and safe
            started.warnings.push(format!("there is no room for {path}: writes to many partitions are slower"));
            return Ok(());
        }
        created?;
    }
    for half in 0..2 {
        if fits && replayed.empty[half] {
            started.journal_generations[half] = replayed.generations[half];
            continue;
        }
        let highest = replayed.generations.iter().chain(&started.journal_generations).max();
        let generation = highest.map_or(1, |highest| highest + 1);
        stamp(files, half, generation, started.journal_sequence, storage)?;
        started.journal_generations[half] = generation;
    }
    if fits { Ok(()) } else { storage.sync_dir(files.root, Some(OWN_DIR)) }
}

/// Empties a half of the journal: its records are of an older generation from now on. Zeros in place of the first record
/// save the next start the search for records behind a damaged one.
pub(super) fn stamp<S: Storage>(
    files: &RootFiles,
    half: usize,
    generation: u64,
    sequence: u64,
    storage: &mut S,
) -> Result<(), DiskError> {
    let path = journal_path(files.root);
    let head = render_half_head(&HalfHead { half_bytes: files.journal_half_bytes, generation, sequence });
    let zeros = vec![0; 2 * BLOCK_BYTES as usize - head.len()];
    storage.write_at(path, half as u64 * files.journal_half_bytes, &[&head, &zeros])?;
    storage.sync(path)
}
