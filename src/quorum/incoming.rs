//! A snapshot of another member, for a node that lags too far or knows nothing: pulled part by part, checked, synced,
//! and only then shown to raft.
//!
//! ```text
//! Pulling <-> Writing -> Syncing -> raft takes it -> quorum-state names it, the log is void
//!     -> the log begins anew -> quorum-state says so -> the state machine is restored -> on with the log
//! ```
//!
//! Invariants: the file that is received is never the current one; a crash at any place leaves the old state or the new
//! one; nothing is delivered while the state machine is restored. Memory: one part, and one slice of the snapshot.

use bytes::Bytes;
use raft::eraftpb::Snapshot;

use super::message::{Part, PeerMessage};
use super::opening::Restoring;
use super::raft_message::{RaftMessage, SnapshotOffer};
use super::snapshot_file::{self, Piece, SnapshotReader};
use super::state_file::SnapshotMark;
use super::{Quorum, QuorumEvent, Stage};
use crate::effect::{DiskError, Effects};
use crate::types::{Instant, NodeId, Now, Offset};

/// A part that does not come is asked for again; so often.
const TRIES_MAX: u32 = 20;

/// The largest snapshot: more than any tree that fits into a budget.
const SNAPSHOT_BYTES_MAX: u64 = 2 << 30;

/// One that is on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    message: RaftMessage,
    offer: SnapshotOffer,
    from: NodeId,
    mark: SnapshotMark,
    check: SnapshotReader,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pulling {
        asked: Instant,
        tries: u32,
    },
    Writing {
        bytes: u64,
        is_last: bool,
    },
    Syncing,
    /// In raft's hands.
    Offered,
}

/// One that raft has taken.
#[derive(Debug)]
pub(super) enum Install {
    /// `quorum-state`, in this version, names the snapshot and says that the log is void.
    Marking { version: u64, mark: SnapshotMark },
    /// The log is emptied.
    Emptying { mark: SnapshotMark },
    /// `quorum-state`, in this version, says that it is empty.
    Clearing { version: u64, mark: SnapshotMark },
    /// The state machine takes the slices.
    Restoring(Box<Restoring>),
}

impl Quorum {
    /// A leader has a snapshot for this node.
    pub(super) fn offered(&mut self, now: Now, from: NodeId, message: RaftMessage) {
        let Some(offer) = message.snapshot.clone() else { return };
        let Stage::Running(raw) = &self.stage else { return };
        let is_ours = offer.membership.contains(self.state.me);
        let is_new = offer.index > raw.raft.raft_log.committed && message.term() >= raw.raft.term;
        let is_under_way = self.incoming.as_ref().is_some_and(|incoming| incoming.offer.index >= offer.index);
        if !is_ours || !is_new || is_under_way && self.incoming_is_alive(now) {
            return;
        }
        let is_busy = self.install.is_some() || self.snapshots.is_under_way();
        if is_busy || offer.bytes == 0 || offer.bytes > SNAPSHOT_BYTES_MAX {
            return; // it is offered again
        }
        let slot = self.state.snapshot.map_or(0, |current| 1 - current.slot.min(1));
        let mark = SnapshotMark { index: offer.index, term: offer.term, slot, bytes: 0 };
        let check = SnapshotReader::new(mark);
        let step = Step::Pulling { asked: now.mono, tries: 0 };
        self.incoming = Some(Incoming { message, offer, from, mark, check, step });
        self.pull(now);
    }

    fn incoming_is_alive(&self, now: Now) -> bool {
        let limit = self.silence_ms();
        self.incoming.as_ref().is_some_and(|incoming| match incoming.step {
            Step::Pulling { asked, .. } => now.mono < asked.plus_millis(limit),
            Step::Writing { .. } | Step::Syncing => true,
            Step::Offered => false,
        })
    }

    fn pull(&mut self, now: Now) {
        let Some(incoming) = &mut self.incoming else { return };
        let Step::Pulling { tries, .. } = incoming.step else { return };
        incoming.step = Step::Pulling { asked: now.mono, tries: tries + 1 };
        let part = Part { index: incoming.mark.index, term: incoming.mark.term, position: incoming.mark.bytes };
        self.messages.push_back((incoming.from, PeerMessage::Pull(part)));
    }

    /// Asks again for what did not come.
    pub(super) fn pull_again(&mut self, now: Now) {
        let pause = 4 * self.config.tick_ms;
        let Some(Step::Pulling { asked, tries }) = self.incoming.as_ref().map(|incoming| incoming.step) else { return };
        if now.mono < asked.plus_millis(pause) {
            return;
        }
        if tries >= TRIES_MAX {
            self.incoming = None;
            return;
        }
        self.pull(now);
    }

    /// A part has come.
    pub(super) fn take_chunk(&mut self, _now: Now, from: NodeId, part: Part, bytes: Vec<u8>, fx: &mut Effects) {
        let Some(incoming) = &mut self.incoming else { return };
        let expected = (incoming.mark.index, incoming.mark.term, incoming.mark.bytes);
        if from != incoming.from
            || (part.index, part.term, part.position) != expected
            || !matches!(incoming.step, Step::Pulling { .. })
        {
            return;
        }
        match incoming.check_part(&bytes) {
            Ok(is_last) => {
                incoming.step = Step::Writing { bytes: bytes.len() as u64, is_last };
                let name = snapshot_file::name(incoming.mark.slot);
                self.write_incoming(name, part.position, bytes.into(), fx);
            }
            Err(sentence) => self.give_up(format!("the snapshot of server {from} is not taken: {sentence}")),
        }
    }

    fn give_up(&mut self, sentence: String) {
        self.incoming = None;
        self.warn(sentence);
    }

    pub(super) fn incoming_written(&mut self, now: Now, result: Result<(), DiskError>, fx: &mut Effects) {
        let Some(incoming) = &mut self.incoming else { return };
        let Step::Writing { bytes, is_last } = incoming.step else { return };
        if let Err(error) = result {
            return self.give_up(format!("a snapshot cannot be written: {error}"));
        }
        incoming.mark.bytes += bytes;
        if is_last {
            incoming.step = Step::Syncing;
            let name = snapshot_file::name(incoming.mark.slot);
            self.sync_incoming(name, fx);
        } else {
            incoming.step = Step::Pulling { asked: now.mono, tries: 0 };
            self.pull(now);
        }
    }

    /// The whole file is durable: raft may have it.
    pub(super) fn incoming_synced(&mut self, result: Result<(), DiskError>) {
        let (Some(incoming), Stage::Running(raw)) = (&mut self.incoming, &mut self.stage) else { return };
        if let Err(error) = result {
            return self.give_up(format!("a snapshot cannot be made durable: {error}"));
        }
        incoming.step = Step::Offered;
        if incoming.message.term() < raw.raft.term {
            self.incoming = None; // its leader was overthrown; the next one will offer again
        } else if let Some(message) = incoming.message.clone().into_raft() {
            // A refusal needs no answer: the leader offers again.
            let _ = raw.step(message);
        }
    }

    /// Raft has taken the snapshot: it stands for everything up to its index. False when nobody offered it.
    pub(super) fn install(&mut self, snapshot: &Snapshot, fx: &mut Effects) -> bool {
        let metadata = snapshot.get_metadata();
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.mark.index == metadata.index) else {
            return false;
        };
        let Stage::Running(raw) = &mut self.stage else { return false };
        let mark = incoming.mark;
        raw.mut_store().install(mark.index, mark.term, &incoming.offer.membership);
        self.state.snapshot = Some(mark);
        self.state.membership = incoming.offer.membership;
        self.state.membership_index = incoming.offer.membership_index;
        self.state.restarts_log = true;
        self.state.commit = self.state.commit.max(mark.index);
        self.log_next = mark.index + 1;
        self.durable = mark.index;
        self.readies.iter_mut().for_each(|ready| ready.last = ready.last.min(mark.index));
        for id in self.proposals.forget() {
            self.say(QuorumEvent::Lost(id));
        }
        self.change_state(fx);
        self.install = Some(Install::Marking { version: self.state_version, mark });
        true
    }

    /// `quorum-state` is on the disk.
    pub(super) fn install_written(&mut self, now: Now, fx: &mut Effects) {
        match self.install {
            Some(Install::Marking { version, mark }) if version <= self.state_durable => {
                self.install = Some(Install::Emptying { mark });
                if let Some(log) = self.log {
                    self.logs.restart_at(now, log, Offset(mark.index as i64 + 1), fx);
                }
            }
            Some(Install::Clearing { version, mark }) if version <= self.state_durable => {
                let restoring = Restoring::of(SnapshotReader::new(mark));
                self.install = Some(Install::Restoring(Box::new(restoring)));
                self.release_readies_at(now);
                self.begin_ticks(now);
            }
            _ => {}
        }
    }

    /// The log is empty and begins after the snapshot. True when that was wanted for one.
    pub(super) fn install_emptied(&mut self, fx: &mut Effects) -> bool {
        let Some(Install::Emptying { mark }) = self.install else { return false };
        self.state.restarts_log = false;
        self.change_state(fx);
        self.install = Some(Install::Clearing { version: self.state_version, mark });
        true
    }

    /// Hands the snapshot that was installed to the state machine, slice by slice.
    pub(super) fn proceed_install(&mut self, fx: &mut Effects) {
        let Some(Install::Restoring(restoring)) = &mut self.install else { return };
        if restoring.is_reading || !self.out.is_empty() {
            return;
        }
        match restoring.reader.piece() {
            Ok(Piece::Slice(slice)) => self.say(QuorumEvent::SnapshotSlice(slice)),
            Ok(Piece::More) => {
                restoring.is_reading = true;
                let (name, position) = (snapshot_file::name(restoring.reader.mark.slot), restoring.reader.position);
                self.read_part(name, position, snapshot_file::READ_BYTES, fx);
            }
            Ok(Piece::End) => {
                self.applied = restoring.reader.mark.index;
                self.install = None;
                self.say(QuorumEvent::SnapshotRestored);
            }
            Err(sentence) => self.fail(sentence),
        }
    }

    pub(super) fn install_read(&mut self, result: Result<Bytes, DiskError>) {
        let Some(Install::Restoring(restoring)) = &mut self.install else { return };
        restoring.is_reading = false;
        let name = snapshot_file::name(restoring.reader.mark.slot);
        let fed = match result {
            Ok(bytes) => restoring.reader.feed(&bytes),
            Err(error) => Err(format!("{name} cannot be read: {error}")),
        };
        if let Err(sentence) = fed {
            self.fail(sentence);
        }
    }
}

impl Incoming {
    /// True when the part ends the file as it must end.
    fn check_part(&mut self, bytes: &[u8]) -> Result<bool, String> {
        if self.mark.bytes + bytes.len() as u64 > self.offer.bytes {
            return Err("it is longer than was said".to_string());
        }
        self.check.feed(bytes)?;
        loop {
            match self.check.piece()? {
                Piece::Slice(_) => {}
                Piece::More => return Ok(false),
                Piece::End => return Ok(true),
            }
        }
    }
}
