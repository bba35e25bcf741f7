//! What lagging members need: entries that memory no longer holds, and the snapshot's file.
//!
//! Invariants: one page of old entries is in memory at a time, one read of the file is under way for each member; a member
//! that stops pulling is reported to raft, which then tries something else.

use bytes::Bytes;
use raft::eraftpb::Entry;
use raft::prelude::SnapshotStatus;

use super::entry::{self, ENTRY_OVERHEAD_BYTES};
use super::message::{Part, PeerMessage};
use super::raft_message::RaftMessage;
use super::state_file::SnapshotMark;
use super::{ENTRY_BYTES_MAX, Quorum, Stage, node_of, snapshot_file};
use crate::effect::{DiskError, Effects};
use crate::log::LogReadError;
use crate::record::Batches;
use crate::types::{Instant, NodeId, Now, Offset};

/// One page of old entries.
const PAGE_BYTES: usize = 64 * 1024;

/// A member that was offered a snapshot.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// When it last asked for a part.
    asked: Instant,
    is_reading: bool,
}

impl Quorum {
    /// Completes raft's word about a snapshot with what its receiver must know.
    pub(super) fn complete_offer(&mut self, now: Now, message: &mut RaftMessage) {
        let Some(offer) = &mut message.snapshot else { return };
        let current = self.state.snapshot.filter(|mark| (mark.index, mark.term) == (offer.index, offer.term));
        offer.bytes = current.map_or(0, |mark| mark.bytes);
        offer.membership = self.state.membership.clone();
        offer.membership_index = self.state.membership_index;
        self.outgoing.insert(message.to, Outgoing { asked: now.mono, is_reading: false });
    }

    /// A member wants a part of a snapshot.
    pub(super) fn serve_part(&mut self, now: Now, from: NodeId, part: Part, fx: &mut Effects) {
        let Some(id) = self.present(now, from) else { return };
        let mark = self.mark_of(part);
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            // Another leader offered it, or this one before it lost count: its receiver shall wait for the next offer.
            return self.messages.push_back((from, PeerMessage::Chunk(part, Vec::new())));
        };
        outgoing.asked = now.mono;
        match mark {
            Some(mark) if part.position < mark.bytes => {
                if !std::mem::replace(&mut outgoing.is_reading, true) {
                    self.read_outgoing(snapshot_file::name(mark.slot), from, part, fx);
                }
            }
            _ => self.messages.push_back((from, PeerMessage::Chunk(part, Vec::new()))),
        }
    }

    /// The file that holds a part, as long as it is not overwritten.
    fn mark_of(&self, part: Part) -> Option<SnapshotMark> {
        self.state.snapshot.filter(|mark| (mark.index, mark.term) == (part.index, part.term))
    }

    pub(super) fn outgoing_read(&mut self, now: Now, to: NodeId, part: Part, result: Result<Bytes, DiskError>) {
        let Some(id) = self.present(now, to) else { return };
        if let Some(outgoing) = self.outgoing.get_mut(&id) {
            outgoing.is_reading = false;
        }
        // What was read while the file was replaced fails its checksums at the receiver.
        let bytes = result.unwrap_or_default();
        self.messages.push_back((to, PeerMessage::Chunk(part, bytes.to_vec())));
    }

    /// Members that took what they were offered, or that gave up.
    pub(super) fn check_outgoing(&mut self, now: Now) {
        let limit = self.silence_ms();
        let Stage::Running(raw) = &mut self.stage else { return };
        let mut failed = Vec::new();
        self.outgoing.retain(|&id, outgoing| {
            let progress = raw.raft.prs().get(id);
            let waits = progress.is_some_and(|progress| progress.state == raft::ProgressState::Snapshot);
            let is_silent = now.mono >= outgoing.asked.plus_millis(limit);
            if waits && is_silent {
                failed.push(id);
            }
            waits && !is_silent
        });
        for &id in &failed {
            raw.report_snapshot(id, SnapshotStatus::Failure);
        }
        for id in failed {
            let node = node_of(id);
            self.warn(format!("server {node} has not taken the snapshot that it needs; it is offered again"));
        }
    }

    /// Reads the entries that raft found missing in memory, the first that it asked for.
    pub(super) fn fetch_entries(&mut self, fx: &mut Effects) {
        let (Stage::Running(raw), Some(log), false) = (&mut self.stage, self.log, self.is_fetching) else { return };
        let Some((low, high)) = raw.store().wanted() else { return };
        self.is_fetching = true;
        let (from, below) = (Offset(low as i64), Offset(high as i64));
        if self.logs.read(log, from, below, PAGE_BYTES, 0, fx).is_err() {
            self.entries_fetched(Vec::new()); // the log was just cut: raft asks again, or sends the snapshot
        }
    }

    pub(super) fn fetched(&mut self, result: Result<Bytes, LogReadError>) {
        let entries = match result {
            Ok(bytes) => read_entries(&bytes),
            Err(error) => Err(error.to_string()),
        };
        match entries {
            Ok(entries) => self.entries_fetched(entries),
            Err(sentence) => {
                self.entries_fetched(Vec::new());
                self.warn(format!("the quorum's log cannot be read for a member that lags: {sentence}"));
            }
        }
    }

    fn entries_fetched(&mut self, entries: Vec<Entry>) {
        self.is_fetching = false;
        let Stage::Running(raw) = &mut self.stage else { return };
        if let Some(context) = raw.mut_store().fetched(entries) {
            raw.on_entries_fetched(context);
        }
    }
}

fn read_entries(page: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for batch in Batches::new(page) {
        let batch = batch.map_err(|error| error.to_string())?;
        entries.extend(entry::unseal(&batch, ENTRY_BYTES_MAX + ENTRY_OVERHEAD_BYTES)?.map(|stored| stored.entry));
    }
    Ok(entries)
}
