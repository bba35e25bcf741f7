//! Carries out jobs on a `Storage`: the only code of the log that runs on disk lanes.

mod parts;

use super::storage::{FilePath, Storage};
use crate::effect::{DiskDone, DiskError, DiskOp};

/// Does what `op` says. Blocks as long as the disk does.
pub fn run(op: DiskOp, storage: &mut impl Storage) -> Result<DiskDone, DiskError> {
    match op {
        DiskOp::WritePart { root, name, position, bytes } => {
            parts::write(storage, FilePath::in_root(root, &name), position, &bytes)
        }
        DiskOp::SyncFile { root, name } => parts::sync(storage, FilePath::in_root(root, &name)),
        DiskOp::ReadPart { root, name, position, max_bytes } => {
            parts::read(storage, FilePath::in_root(root, &name), position, max_bytes)
        }
        _ => Err(DiskError::Io("not carried out".into())),
    }
}
