//! Taking snapshots: the state machine gives slices, the disk takes one at a time, and when all are durable and
//! `quorum-state` names them, the log before them goes.

use super::snapshot_file::{self, SnapshotWriter};
use super::state_file::SnapshotMark;
use super::{Quorum, SnapshotProgress, Stage};
use crate::effect::{DiskError, Effects};
use crate::types::Offset;

/// A snapshot is synced every so many bytes: one large sync would stall the disk for the log as well.
const SYNC_BYTES: u64 = 1024 * 1024;

/// What is known about the log's growth, and the snapshot under way.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// Bytes of entries since the last snapshot.
    log_bytes: u64,
    /// At which size a snapshot is wanted next, when that was put off.
    put_off_bytes: u64,
    is_asked: bool,
    writer: Option<SnapshotWriter>,
    is_writing: bool,
    is_ending: bool,
    synced_bytes: u64,
    /// The version of the state that names the new snapshot.
    marking: Option<(u64, SnapshotMark)>,
    last_bytes: u64,
}

impl Snapshots {
    /// One is being written, or about to be named.
    pub fn is_under_way(&self) -> bool {
        self.writer.is_some() || self.marking.is_some()
    }

    pub fn log_grew(&mut self, bytes: u64) {
        self.log_bytes += bytes;
    }

    /// True once, when the log has grown by `bytes_max` or by the size of the last snapshot.
    pub fn is_wanted(&mut self, bytes_max: u64) -> bool {
        let is_wanted = !self.is_asked && self.log_bytes >= bytes_max.max(self.last_bytes).max(self.put_off_bytes);
        self.is_asked |= is_wanted;
        is_wanted
    }
}

impl Quorum {
    /// Begins a snapshot of everything that has been delivered; False when it is not the time: one is under
    /// way, or nothing happened since the last.
    pub fn begin_snapshot(&mut self, fx: &mut Effects) -> bool {
        let Stage::Running(raw) = &self.stage else { return false };
        let is_receiving = self.incoming.is_some() || self.install.is_some();
        let is_under_way = self.snapshots.is_under_way() || is_receiving;
        self.snapshots.is_asked = is_under_way && !is_receiving;
        let previous = self.state.snapshot;
        let Some(term) = raw.store().term_of(self.applied) else { return false };
        if is_under_way || self.applied == 0 || previous.is_some_and(|previous| previous.index >= self.applied) {
            return false;
        }
        let files = self.config.snapshots_kept.clamp(1, u8::MAX - 1) + 1;
        let slot = previous.map_or(0, |previous| previous.slot.wrapping_add(1) % files);
        let (writer, header) = SnapshotWriter::begin(self.applied, term, slot);
        let snapshots = &mut self.snapshots;
        (snapshots.writer, snapshots.is_writing, snapshots.is_ending) = (Some(writer), true, false);
        (snapshots.is_asked, snapshots.log_bytes, snapshots.synced_bytes) = (true, 0, 0);
        self.write_part(snapshot_file::name(slot), 0, header, fx);
        true
    }

    /// The next slice, when `snapshot_progress` wants one.
    pub fn snapshot_slice(&mut self, slice: &[u8], fx: &mut Effects) {
        if let Some(writer) = &mut self.snapshots.writer {
            let (position, bytes) = writer.slice(slice);
            let name = snapshot_file::name(writer.mark.slot);
            self.snapshots.is_writing = true;
            self.write_part(name, position, bytes, fx);
        }
    }

    /// There are no more slices, when `snapshot_progress` wants one.
    pub fn finish_snapshot(&mut self, fx: &mut Effects) {
        if let Some(writer) = &mut self.snapshots.writer {
            let (position, bytes) = writer.end();
            let name = snapshot_file::name(writer.mark.slot);
            self.snapshots.is_ending = true;
            self.snapshots.is_writing = true;
            self.write_part(name, position, bytes, fx);
        }
    }

    /// Whether a snapshot is under way, and whose turn it is.
    pub fn snapshot_progress(&self) -> SnapshotProgress {
        match (&self.snapshots.writer, self.snapshots.marking) {
            (Some(_), _) if !self.snapshots.is_writing => SnapshotProgress::WantsSlice,
            (None, None) => SnapshotProgress::None,
            _ => SnapshotProgress::Writing,
        }
    }

    pub(super) fn snapshot_written(&mut self, result: Result<(), DiskError>, fx: &mut Effects) {
        let Some(writer) = &self.snapshots.writer else { return };
        match result {
            Ok(()) if self.snapshots.is_ending || writer.mark.bytes - self.snapshots.synced_bytes >= SYNC_BYTES => {
                self.snapshots.synced_bytes = writer.mark.bytes;
                self.sync_file(snapshot_file::name(writer.mark.slot), fx);
            }
            Ok(()) => self.snapshots.is_writing = false,
            Err(error) => self.snapshot_failed(error),
        }
    }

    pub(super) fn snapshot_synced(&mut self, result: Result<(), DiskError>, fx: &mut Effects) {
        if let Err(error) = result {
            return self.snapshot_failed(error);
        }
        self.snapshots.is_writing = false;
        if !self.snapshots.is_ending {
            return;
        }
        let Some(writer) = self.snapshots.writer.take() else { return };
        self.state.snapshot = Some(writer.mark);
        self.snapshots.marking = Some((self.state_version + 1, writer.mark));
        self.change_state(fx);
    }

    /// `quorum-state` names the new snapshot durably: the entries in it may go.
    pub(super) fn snapshot_marked(&mut self, fx: &mut Effects) {
        let Some((_, mark)) = self.snapshots.marking.take_if(|(version, _)| *version <= self.state_durable) else {
            return;
        };
        self.snapshots.is_asked = false;
        self.snapshots.put_off_bytes = 0;
        self.snapshots.last_bytes = mark.bytes;
        if let Stage::Running(raw) = &mut self.stage {
            raw.mut_store().compact(mark.index, mark.term);
        }
        if let Some(log) = self.log
            && let Err(error) = self.logs.delete_records(log, Offset(mark.index as i64 + 1), fx)
        {
            self.warn(format!("entries before a snapshot cannot be deleted: {error}"));
        }
    }

    fn snapshot_failed(&mut self, error: DiskError) {
        self.warn(format!("a snapshot cannot be written, trying again later: {error}"));
        self.snapshots.writer = None;
        self.snapshots.is_asked = false;
        self.snapshots.put_off_bytes = self.snapshots.log_bytes + self.config.log_bytes_max / 4;
    }
}
