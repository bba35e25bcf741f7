//! Large files in parts, for whoever streams one: the quorum's snapshots.

use crate::effect::{DiskDone, DiskError};
use crate::log::storage::{FilePath, Storage};

/// Writes `bytes` at `position`; 0 begins the file anew.
pub(super) fn write<S: Storage>(
    storage: &mut S,
    file: FilePath<'_>,
    position: u64,
    bytes: &[u8],
) -> Result<DiskDone, DiskError> {
    if position == 0 {
        storage.create(file)?;
    }
    storage.write_at(file, position, &[bytes])?;
    Ok(DiskDone::Done)
}

/// Makes the file durable, content and name.
pub(super) fn sync<S: Storage>(storage: &mut S, file: FilePath<'_>) -> Result<DiskDone, DiskError> {
    storage.sync(file)?;
    storage.sync_dir(file.root, file.dir)?;
    Ok(DiskDone::Done)
}

/// At most `max_bytes` from `position` on; nothing at the end of the file.
pub(super) fn read<S: Storage>(
    storage: &mut S,
    file: FilePath<'_>,
    position: u64,
    max_bytes: usize,
) -> Result<DiskDone, DiskError> {
    let left = storage.len(file)?.saturating_sub(position);
    let mut part = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(max_bytes)];
    let read = storage.read_at(file, position, &mut part)?;
    part.truncate(read);
    Ok(DiskDone::File(part.into()))
}
