//! Compaction on a disk lane: one slice of a run.
//!
//! Memory: the key map that the run brings, a window, and for the largest batch its bytes, what it decompresses to and
//! what is written of it, each at most `batch_bytes_max`.

mod copying;
mod mapping;
mod output;

use super::window::Window;
use crate::effect::{Compaction, CompactionStage, DiskError, SegmentMeta, SliceEnd};
use crate::log::storage::{FileName, Storage};
use crate::record::{BatchHeader, BatchView, RecordError};

pub(super) use output::Cleaned;

/// Carries a slice out.
pub(super) fn slice<S: Storage>(run: &mut Compaction, storage: &mut S) -> Result<SliceEnd, DiskError> {
    run.slice_cost = 0;
    match run.stage {
        CompactionStage::Mapping => mapping::map(run, storage),
        CompactionStage::Copying => {
            let end = copying::copy(run, storage);
            if let (Err(error), Some(output)) = (&end, &run.output)
                && !matches!(error, DiskError::SyncFailed(_))
            {
                Cleaned::new(output.base).remove(&run.dir, storage);
            }
            end
        }
        CompactionStage::Abandoning => {
            if let Some(output) = &run.output {
                Cleaned::new(output.base).remove(&run.dir, storage);
            }
            Ok(SliceEnd::Abandoned)
        }
    }
}

/// What stands at a position of a segment.
enum Found<'w> {
    /// An intact batch.
    Batch(BatchView<'w>),
    /// One that is larger than may be opened: its bytes.
    Large(u64),
    /// The slice ends here.
    End(SliceEnd),
}

/// The batch at `position` of `segment`, its checksum compared.
fn batch_at<'w, S: Storage>(
    window: &'w mut Window<'_, '_, S>,
    segment: &SegmentMeta,
    position: u64,
    limits: &Limits,
) -> Result<Found<'w>, DiskError> {
    let unfit = || {
        let file = FileName::Log(segment.base);
        let sentence = format!("{file} is damaged at position {position}: the log is not compacted");
        Found::End(SliceEnd::Unfit { from: Some(segment.base), sentence })
    };
    let Some(head) = window.header(position)? else { return Ok(unfit()) };
    let Ok(header) = BatchHeader::parse(&head) else { return Ok(unfit()) };
    let bytes = header.total_bytes();
    if bytes > limits.batch_bytes_max {
        let is_intact = !limits.skips_large || window.is_intact(position, &header)?;
        return Ok(match (limits.skips_large, is_intact) {
            (false, _) => Found::End(SliceEnd::NeedsMemory(bytes)),
            (true, true) => Found::Large(bytes as u64),
            (true, false) => unfit(),
        });
    }
    let view = BatchView::parse(window.bytes(position, bytes)?);
    Ok(view.ok().filter(|batch| batch.check_crc().is_ok()).map_or_else(unfit, Found::Batch))
}

/// How large a batch a run may open.
struct Limits {
    batch_bytes_max: usize,
    skips_large: bool,
}

impl Limits {
    fn of(run: &Compaction) -> Limits {
        Limits { batch_bytes_max: run.batch_bytes_max, skips_large: run.skips_large }
    }

    /// What a batch comes to that cannot be opened: `None` when nobody can open it, so that its records are none.
    fn too_large(&self, error: RecordError) -> Option<Opening> {
        match (error, self.skips_large) {
            (RecordError::TooLarge, false) => {
                Some(Opening::Needs(SliceEnd::NeedsMemory(self.batch_bytes_max.saturating_mul(2))))
            }
            (RecordError::TooLarge, true) => Some(Opening::Never),
            _ => None,
        }
    }
}

/// Why a batch that others can open was not opened.
enum Opening {
    /// There may be memory for it.
    Needs(SliceEnd),
    /// There is none.
    Never,
}
