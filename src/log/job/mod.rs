//! Carries out jobs on a `Storage`: the only code of the log that runs on disk lanes.
//!
//! A job holds at most a window of 256 KiB, or the batches that were asked for; it keeps nothing between two runs.

mod compact;
mod files;
mod find;
mod index;
mod maintain;
mod open;
mod parts;
mod producers;
mod read;
mod replay;
mod scan;
mod start;
mod swap;
mod truncate;
mod window;
mod write;

use bytes::Bytes;

use super::storage::{FilePath, Storage};
use crate::effect::{DiskDone, DiskError, DiskOp, LogDone, LogJob};

pub(super) use start::DELETED_SUFFIX;

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
        DiskOp::WriteFile { root, name, bytes } => {
            let file = FilePath::in_root(root, &name);
            let written = files::replace(storage, file, &bytes);
            if let (Err(DiskError::NotFound), Some(dir)) = (&written, file.dir) {
                storage.create_dir(root, dir)?;
                storage.sync_dir(root, None)?;
                files::replace(storage, file, &bytes)?;
            } else {
                written?;
            }
            storage.sync_dir(root, file.dir)?;
            Ok(DiskDone::Done)
        }
        DiskOp::ReadFile { root, name, max_bytes } => {
            let content = files::read_small(storage, FilePath::in_root(root, &name), max_bytes)?;
            content.map(|content| DiskDone::File(Bytes::from(content))).ok_or(DiskError::NotFound)
        }
        DiskOp::DeleteFile { root, name } => {
            let file = FilePath::in_root(root, &name);
            files::remove_if_there(storage, file)?;
            storage.sync_dir(root, file.dir)?;
            Ok(DiskDone::Done)
        }
        DiskOp::Space { root } => storage.space(root).map(DiskDone::Space),
        DiskOp::Log(job) => run_log(*job, storage).map(DiskDone::Log),
    }
}

fn run_log(job: LogJob, storage: &mut impl Storage) -> Result<LogDone, DiskError> {
    match job {
        LogJob::Start(job) => start::start(&job, storage).map(|started| LogDone::Started(Box::new(started))),
        LogJob::Open(job) => open::open(&job, storage).map(|log| LogDone::Opened(Box::new(log))),
        LogJob::Write(mut round) => {
            write::write_round(&mut round, storage)?;
            Ok(LogDone::Written(Box::new(round)))
        }
        LogJob::Read(job) => read::read(&job, storage).map(LogDone::Read),
        LogJob::FindTimestamp(job) => find::find_timestamp(&job, storage).map(LogDone::Found),
        LogJob::Checkpoint(job) => maintain::checkpoint(&job, storage).map(|()| LogDone::Done),
        LogJob::Truncate(job) => truncate::truncate(&job, storage).map(|log| LogDone::Truncated(Box::new(log))),
        LogJob::Trim(job) => maintain::trim(&job, storage).map(|()| LogDone::Done),
        LogJob::Delete(job) => maintain::delete(&job, storage).map(|()| LogDone::Done),
        LogJob::Space(job) => maintain::space(&job, storage),
        LogJob::Compact(mut run) => {
            let end = compact::slice(&mut run, storage)?;
            Ok(LogDone::Compacted(run, end))
        }
        LogJob::Swap(job) => swap::swap(&job, storage).map(LogDone::Swapped),
    }
}
