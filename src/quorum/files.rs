//! The quorum's own files: which operation is under way for what, and what its answer means.

use std::sync::Arc;

use bytes::Bytes;

use super::message::Part;
use super::snapshot_file::READ_BYTES;
use super::state_file::{self, STATE_FILE, STATE_FILE_BYTES_MAX};
use super::{Job, Quorum, RETRY_MS, TICKET_OWNER};
use crate::effect::{DiskDone, DiskError, DiskOp, Effects, Lane, Root};
use crate::types::{NodeId, Now, Ticket};

const ROOT: Root = Root::Coordinator;

impl Quorum {
    pub(super) fn read_state(&mut self, fx: &mut Effects) {
        let op = DiskOp::ReadFile { root: ROOT, name: STATE_FILE.into(), max_bytes: STATE_FILE_BYTES_MAX };
        self.ask(Job::ReadState, op, fx);
    }

    /// Another version of `state` is on its way to the disk.
    pub(super) fn change_state(&mut self, fx: &mut Effects) {
        self.state_version += 1;
        self.write_state(fx);
    }

    pub(super) fn write_state(&mut self, fx: &mut Effects) {
        let bytes = Bytes::from(state_file::encode(&self.state));
        let op = DiskOp::WriteFile { root: ROOT, name: STATE_FILE.into(), bytes };
        self.ask(Job::WriteState { version: self.state_version }, op, fx);
    }

    pub(super) fn read_part(&mut self, name: Arc<str>, position: u64, max_bytes: usize, fx: &mut Effects) {
        self.ask(Job::ReadSnapshot, DiskOp::ReadPart { root: ROOT, name, position, max_bytes }, fx);
    }

    pub(super) fn write_part(&mut self, name: Arc<str>, position: u64, bytes: Bytes, fx: &mut Effects) {
        self.ask(Job::WriteSnapshot, DiskOp::WritePart { root: ROOT, name, position, bytes }, fx);
    }

    pub(super) fn sync_file(&mut self, name: Arc<str>, fx: &mut Effects) {
        self.ask(Job::SyncSnapshot, DiskOp::SyncFile { root: ROOT, name }, fx);
    }

    pub(super) fn write_incoming(&mut self, name: Arc<str>, position: u64, bytes: Bytes, fx: &mut Effects) {
        self.ask(Job::WriteIncoming, DiskOp::WritePart { root: ROOT, name, position, bytes }, fx);
    }

    pub(super) fn sync_incoming(&mut self, name: Arc<str>, fx: &mut Effects) {
        self.ask(Job::SyncIncoming, DiskOp::SyncFile { root: ROOT, name }, fx);
    }

    pub(super) fn read_outgoing(&mut self, name: Arc<str>, to: NodeId, part: Part, fx: &mut Effects) {
        let op = DiskOp::ReadPart { root: ROOT, name, position: part.position, max_bytes: READ_BYTES };
        self.ask(Job::ReadOutgoing { to, part }, op, fx);
    }

    fn ask(&mut self, job: Job, op: DiskOp, fx: &mut Effects) {
        let ticket = Ticket(TICKET_OWNER << 56 | self.next_ticket);
        self.next_ticket += 1;
        self.jobs.insert(ticket, job);
        // A large snapshot must not hold up the log: it has time, and nothing else of the quorum waits for it.
        let is_snapshot = matches!(
            job,
            Job::WriteSnapshot | Job::SyncSnapshot | Job::WriteIncoming | Job::SyncIncoming | Job::ReadOutgoing { .. }
        );
        fx.disk(if is_snapshot { Lane::Janitor } else { Lane::Quorum }, ticket, op);
    }

    pub(super) fn job_done(&mut self, now: Now, job: Job, result: Result<DiskDone, DiskError>, fx: &mut Effects) {
        if let Err(DiskError::SyncFailed(why)) = result {
            return self.fail(format!("a sync of the quorum's files failed: {why}"));
        }
        let result = result.map(|done| match done {
            DiskDone::File(bytes) => bytes,
            _ => Bytes::new(),
        });
        match job {
            Job::ReadState => self.state_read(now, result, fx),
            Job::WriteState { version } => self.state_written(now, version, result.map(|_| ()), fx),
            Job::ReadSnapshot if self.install.is_some() => self.install_read(result),
            Job::ReadSnapshot => self.snapshot_read(result),
            Job::WriteIncoming => self.incoming_written(now, result.map(|_| ()), fx),
            Job::SyncIncoming => self.incoming_synced(result.map(|_| ())),
            Job::ReadOutgoing { to, part } => self.outgoing_read(now, to, part, result),
            Job::WriteSnapshot => self.snapshot_written(result.map(|_| ()), fx),
            Job::SyncSnapshot => self.snapshot_synced(result.map(|_| ()), fx),
        }
    }

    fn state_written(&mut self, now: Now, version: u64, result: Result<(), DiskError>, fx: &mut Effects) {
        match result {
            Ok(()) => {
                self.state_durable = self.state_durable.max(version);
                self.is_identity_durable = true;
                self.append_pending(now, fx);
                self.release_readies_at(now);
                self.snapshot_marked(fx);
                self.install_written(now, fx);
                self.formation_written(now, fx);
            }
            Err(error) => {
                self.warn(format!("{STATE_FILE} cannot be written, trying again: {error}"));
                self.state_retry = Some(now.mono.plus_millis(RETRY_MS));
            }
        }
    }
}
