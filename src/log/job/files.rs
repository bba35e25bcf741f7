//! Small files as a whole: read with a bound, replaced atomically.

use crate::effect::DiskError;
use crate::log::storage::{FileName, FilePath, Storage};

/// The file's content; `None` when it does not exist, `Corrupt` when it is larger than `max_bytes`.
pub(super) fn read_small<S: Storage>(
    storage: &mut S,
    file: FilePath<'_>,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, DiskError> {
    let bytes = match storage.len(file) {
        Ok(bytes) => bytes,
        Err(DiskError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes <= max_bytes);
    let Some(bytes) = bytes else {
        return Err(DiskError::Corrupt(format!("{file} is larger than {max_bytes} bytes")));
    };
    let mut content = vec![0; bytes];
    let read = storage.read_at(file, 0, &mut content)?;
    content.truncate(read);
    Ok(Some(content))
}

/// Replaces the file's content or creates it, so that a crash leaves either; durable after `sync_dir` of its directory.
pub(super) fn replace<S: Storage>(storage: &mut S, file: FilePath<'_>, bytes: &[u8]) -> Result<(), DiskError> {
    let temporary = format!("{}.tmp", file.name);
    let temporary = file.beside(FileName::Other(&temporary));
    let written = storage
        .create(temporary)
        .and_then(|()| storage.write_at(temporary, 0, &[bytes]))
        .and_then(|()| storage.sync(temporary))
        .and_then(|()| storage.rename(temporary, file.name));
    if written.is_err() {
        // a leftover takes room and nothing else; the next replacement empties it
        let _ = storage.remove(temporary);
    }
    written
}

/// Removes a file that may be gone already.
pub(super) fn remove_if_there<S: Storage>(storage: &mut S, file: FilePath<'_>) -> Result<(), DiskError> {
    match storage.remove(file) {
        Err(DiskError::NotFound) => Ok(()),
        other => other,
    }
}

/// The file's length, 0 when it does not exist.
pub(super) fn len_or_zero<S: Storage>(storage: &mut S, file: FilePath<'_>) -> Result<u64, DiskError> {
    match storage.len(file) {
        Err(DiskError::NotFound) => Ok(0),
        other => other,
    }
}
