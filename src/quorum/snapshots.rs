//! Taking snapshots: the state machine gives slices, the disk takes one at a time, and when all are durable and
//! `quorum-state` names them, the log before them goes.

use super::snapshot_file::{self, SnapshotWriter};
use super::state_file::SnapshotMark;
use super::{Quorum, QuorumEvent, Stage};
use crate::effect::{DiskError, Effects};
use crate::types::Offset;

/// What is known about the log's growth, and the snapshot under way.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// Bytes of entries since the last snapshot.
    log_bytes: u64,
    /// At which size a snapshot is wanted next, when that was put off.
    put_off_bytes: u64,
    is_asked: bool,
    writer: Option<SnapshotWriter>,
    is_ending: bool,
    /// The version of the state that names the new snapshot.
    marking: Option<(u64, SnapshotMark)>,
    last_bytes: u64,
}

impl Snapshots {
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
    /// Begins a snapshot of everything that has been delivered; `SliceWanted` follows. False when it is not the time:
    /// one is under way, or nothing happened since the last.
    pub fn begin_snapshot(&mut self, fx: &mut Effects) -> bool {
        let Stage::Running(raw) = &self.stage else { return false };
        let previous = self.state.snapshot;
        let term = raw.store().term_of(self.applied);
        let (Some(term), None, None) = (term, &self.snapshots.writer, &self.snapshots.marking) else { return false };
        if previous.is_some_and(|previous| previous.index >= self.applied) {
            return false;
        }
        let slot = previous.map_or(0, |previous| 1 - previous.slot.min(1));
        let (writer, header) = SnapshotWriter::begin(self.applied, term, slot);
        self.snapshots.writer = Some(writer);
        self.snapshots.is_ending = false;
        self.snapshots.is_asked = true;
        self.snapshots.log_bytes = 0;
        self.write_part(snapshot_file::name(slot), 0, header, fx);
        true
    }

    /// The answer to `SliceWanted`.
    pub fn snapshot_slice(&mut self, slice: &[u8], fx: &mut Effects) {
        if let Some(writer) = &mut self.snapshots.writer {
            let (position, bytes) = writer.slice(slice);
            let name = snapshot_file::name(writer.mark.slot);
            self.write_part(name, position, bytes, fx);
        }
    }

    /// The answer to `SliceWanted` when there are no more; `SnapshotDone` follows.
    pub fn finish_snapshot(&mut self, fx: &mut Effects) {
        if let Some(writer) = &mut self.snapshots.writer {
            let (position, bytes) = writer.end();
            let name = snapshot_file::name(writer.mark.slot);
            self.snapshots.is_ending = true;
            self.write_part(name, position, bytes, fx);
        }
    }

    pub(super) fn snapshot_written(&mut self, result: Result<(), DiskError>, fx: &mut Effects) {
        let Some(writer) = &self.snapshots.writer else { return };
        match result {
            Ok(()) if self.snapshots.is_ending => self.sync_file(snapshot_file::name(writer.mark.slot), fx),
            Ok(()) => self.say(QuorumEvent::SliceWanted),
            Err(error) => self.snapshot_failed(error),
        }
    }

    pub(super) fn snapshot_synced(&mut self, result: Result<(), DiskError>, fx: &mut Effects) {
        let Some(writer) = self.snapshots.writer.take() else { return };
        if let Err(error) = result {
            return self.snapshot_failed(error);
        }
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
        self.say(QuorumEvent::SnapshotDone);
    }

    fn snapshot_failed(&mut self, error: DiskError) {
        self.warn(format!("a snapshot cannot be written, trying again later: {error}"));
        self.snapshots.writer = None;
        self.snapshots.is_asked = false;
        self.snapshots.put_off_bytes = self.snapshots.log_bytes + self.config.log_bytes_max / 4;
        self.say(QuorumEvent::SnapshotFailed);
    }
}
