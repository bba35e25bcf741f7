//! Carries out jobs on a `Storage`: the only code of the log that runs on disk lanes.

use super::storage::Storage;
use crate::effect::{DiskDone, DiskError, DiskOp};

/// Does what `op` says. Blocks as long as the disk does.
pub fn run(op: DiskOp, storage: &mut impl Storage) -> Result<DiskDone, DiskError> {
    let _ = (op, storage);
    Err(DiskError::Io("not carried out".into()))
}
