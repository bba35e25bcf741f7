//! The copy that compaction makes of a group of segments: three files under names that nobody reads.

use crate::effect::{Compaction, DiskError, LogDir, SegmentMeta};
use crate::log::job::files::remove_if_there;
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::BatchHeader;
use crate::types::Offset;

/// Bytes are gathered up to here before they are written.
const RUN_BYTES: usize = 64 * 1024;

/// The names of a copy, while it is made and while it is swapped in; Kafka's.
pub(in crate::log::job) struct Cleaned {
    /// Batches, offset index, time index.
    pub cleaned: [String; 3],
    /// The same when the swap has begun.
    pub swap: [String; 3],
}

impl Cleaned {
    /// Of the copy that will be the segment `base`.
    pub fn new(base: Offset) -> Cleaned {
        let names = [FileName::Log(base), FileName::OffsetIndex(base), FileName::TimeIndex(base)];
        Cleaned { cleaned: names.map(|name| format!("{name}.cleaned")), swap: names.map(|name| format!("{name}.swap")) }
    }

    /// Removes whatever there is of the copy; what cannot be removed goes when the log is opened next.
    pub fn remove<S: Storage>(&self, dir: &LogDir, storage: &mut S) {
        for name in self.cleaned.iter().chain(&self.swap) {
            let _ = remove_if_there(storage, FilePath::in_log(dir, FileName::Other(name)));
        }
    }
}

/// A copy that is being written.
pub(super) struct Output {
    dir: LogDir,
    names: [String; 3],
    segment: SegmentMeta,
    interval_bytes: u32,
    log: Vec<u8>,
    index: Vec<u8>,
    time_index: Vec<u8>,
    /// Bytes written since this was made.
    pub written: u64,
}

impl Output {
    /// Goes on with the copy of `run`, or begins it: the first segment of the group gives it its name and age.
    pub fn begin<S: Storage>(run: &Compaction, first: &SegmentMeta, storage: &mut S) -> Result<Output, DiskError> {
        let is_new = run.output.is_none();
        let empty = SegmentMeta { created_at: first.created_at, ..SegmentMeta::empty(first.base, first.appended_at) };
        let output = Output {
            dir: run.dir.clone(),
            names: Cleaned::new(first.base).cleaned,
            segment: run.output.unwrap_or(empty),
            interval_bytes: run.index_interval_bytes,
            log: Vec::new(),
            index: Vec::new(),
            time_index: Vec::new(),
            written: 0,
        };
        if is_new {
            for name in &output.names {
                storage.create(FilePath::in_log(&output.dir, FileName::Other(name)))?;
            }
        }
        Ok(output)
    }

    /// The copy so far.
    pub fn segment(&self) -> SegmentMeta {
        self.segment
    }

    /// Counts a batch at the end of the copy; its bytes follow by `extend`.
    pub fn push(&mut self, batch: &BatchHeader<'_>) {
        self.segment.push(batch, self.interval_bytes, &mut self.index, &mut self.time_index);
        self.segment.bytes -= batch.total_bytes() as u64; // `extend` counts them
    }

    /// Bytes of the batch that was pushed last.
    pub fn extend<S: Storage>(&mut self, bytes: &[u8], storage: &mut S) -> Result<(), DiskError> {
        self.log.extend_from_slice(bytes);
        self.segment.bytes += bytes.len() as u64;
        if self.log.len() >= RUN_BYTES { self.flush(storage) } else { Ok(()) }
    }

    /// Writes what is gathered and syncs the batches.
    pub fn pause<S: Storage>(&mut self, storage: &mut S) -> Result<(), DiskError> {
        self.flush(storage)?;
        storage.sync(self.file(0))
    }

    /// Completes the copy and syncs all of it; the names are not durable yet.
    pub fn finish<S: Storage>(&mut self, last: &SegmentMeta, storage: &mut S) -> Result<(), DiskError> {
        self.segment.appended_at = last.appended_at;
        self.segment.push_time(&mut self.time_index);
        self.flush(storage)?;
        (0..self.names.len()).try_for_each(|number| storage.sync(self.file(number)))
    }

    fn flush<S: Storage>(&mut self, storage: &mut S) -> Result<(), DiskError> {
        let ends = [self.segment.bytes, self.segment.index_bytes as u64, self.segment.time_index_bytes as u64];
        let runs = [&self.log, &self.index, &self.time_index];
        for (number, (run, end)) in runs.into_iter().zip(ends).enumerate() {
            if !run.is_empty() {
                storage.write_at(self.file(number), end - run.len() as u64, &[run])?;
                self.written += run.len() as u64;
            }
        }
        self.log.clear();
        self.index.clear();
        self.time_index.clear();
        Ok(())
    }

    fn file(&self, number: usize) -> FilePath<'_> {
        let name = self.names.get(number).map_or("", String::as_str); // numbers are 0 to 2
        FilePath::in_log(&self.dir, FileName::Other(name))
    }
}
