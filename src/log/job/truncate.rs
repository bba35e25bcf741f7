//! Cuts a log's end, or empties it; then opens it as after a restart.
//!
//! The spot is found first, because what is noted before the cut must hold after it: a recovery point within a batch
//! that goes would promise what is not there.

use super::index;
use super::maintain::checkpoint;
use super::open::{list_segments, open, remove_segments};
use super::window::Window;
use crate::effect::{CheckpointJob, DiskError, LogMarks, OpenJob, OpenedLog, SegmentMeta, TruncateJob};
use crate::log::checkpoint::{RECOVERY_POINTS, render_offsets};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::BatchHeader;
use crate::types::Offset;

/// Where a log is cut: in this segment, at this position; offsets from there on go.
struct Spot {
    base: Offset,
    position: u64,
    end: Offset,
}

/// Carries the job out.
pub(super) fn truncate<S: Storage>(job: &TruncateJob, storage: &mut S) -> Result<OpenedLog, DiskError> {
    let dir = &job.open.dir;
    if job.restart {
        note(job, job.to, storage)?;
        return open(&job.open, storage);
    }
    let known = |base: Offset| job.segments.iter().find(|segment| segment.base == base);
    // a segment that a failed round created is not known
    let (keep, remove): (Vec<Offset>, Vec<Offset>) = list_segments(storage, dir)?
        .into_iter()
        .partition(|&base| base < job.to || (base == job.to && known(base).is_some()));
    let spot = match keep.last().and_then(|&base| known(base)) {
        Some(segment) => Some(find(job, segment, storage)?),
        None => None,
    };
    let end = spot.as_ref().map_or(job.to, |spot| spot.end);
    note(job, end, storage)?;
    for &base in remove.iter().rev() {
        remove_segments(storage, dir, &[base])?;
    }
    if let Some(spot) = spot {
        let log = FilePath::in_log(dir, FileName::Log(spot.base));
        if spot.position < storage.len(log)? {
            storage.set_len(log, spot.position)?;
        }
        storage.sync(log)?;
    }
    storage.sync_dir(dir.root, Some(&dir.name))?;
    let marks = job.open.marks.unwrap_or_default();
    let marks = LogMarks { recovery_point: marks.recovery_point.min(end), ..marks };
    open(&OpenJob { marks: Some(marks), ..job.open.clone() }, storage)
}

/// Syncs what stays, and writes down what will hold when the log ends at `end`. The log's own file comes last: a restart
/// that it announces is finished by whoever opens the log, and the other files must not speak of the old one then.
fn note<S: Storage>(job: &TruncateJob, end: Offset, storage: &mut S) -> Result<(), DiskError> {
    let is_ours = |dir: &str| *dir == *job.open.dir.name;
    let lines = job.recovery_points.iter().map(|(dir, at)| (&**dir, if is_ours(dir) { end.min(*at) } else { *at }));
    let mut root_files = job.before.root_files.clone();
    root_files.push((RECOVERY_POINTS, render_offsets(lines)));
    let before = CheckpointJob { root_files, log_files: Vec::new(), ..job.before.clone() };
    checkpoint(&before, storage)?;
    let log_files = job.before.log_files.clone();
    checkpoint(&CheckpointJob { segments: Vec::new(), root_files: Vec::new(), log_files, ..before }, storage)
}

/// The first batch of `segment` that reaches beyond `job.to`.
fn find<S: Storage>(job: &TruncateJob, segment: &SegmentMeta, storage: &mut S) -> Result<Spot, DiskError> {
    // what ends below the cut: its end is where the log will end, also when offsets are missing behind it
    let mut position = index::position_before(storage, &job.open.dir, segment, Offset(job.to.0.saturating_sub(1)))?;
    let mut window = Window::new(storage, FilePath::in_log(&job.open.dir, FileName::Log(segment.base)), segment.bytes);
    let (mut end, mut kept) = (job.to, Some(segment.base));
    while position < window.end() {
        let Some(head) = window.header(position)? else {
            let intact = window.next_intact(position + 1, segment.base, segment.limit())?;
            position = intact.unwrap_or(window.end());
            kept = None; // damage tells nothing
            continue;
        };
        match BatchHeader::parse(&head) {
            Ok(batch) if batch.next_offset() <= job.to => {
                position += batch.total_bytes() as u64;
                kept = kept.map(|_| batch.next_offset());
            }
            Ok(batch) => {
                end = batch.base_offset().min(job.to);
                break;
            }
            Err(_) => break, // the window gives no such header
        }
    }
    Ok(Spot { base: segment.base, position, end: kept.unwrap_or(end).min(end) })
}
