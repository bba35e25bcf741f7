//! Reads that must see everything committed before them: the leader names the last entry, and confirms by a round of
//! heartbeats that it still leads; when that entry is delivered here, the reader may go on. Nothing is written for it.

use std::collections::BTreeMap;

use raft::ReadState;

use super::{Out, Quorum, QuorumEvent, Stage};
use crate::effect::Effects;
use crate::types::Now;

/// One `read_index`, unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Readers at once; more are refused.
const READS_MAX: usize = 1024;

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The entry to wait for, once the leader has named it.
    waiting: BTreeMap<ReadId, Option<u64>>,
    next: u64,
}

impl Quorum {
    /// `CaughtUp` follows when everything that is committed now is delivered here; it takes as long as there is no leader.
    /// `None`: too many wait already, or nothing works yet.
    pub fn read_index(&mut self, now: Now, fx: &mut Effects) -> Option<ReadId> {
        let Stage::Running(raw) = &mut self.stage else { return None };
        if self.reads.waiting.len() >= READS_MAX {
            return None;
        }
        let id = ReadId(self.reads.next);
        self.reads.next += 1;
        self.reads.waiting.insert(id, None);
        raw.read_index(id.0.to_be_bytes().to_vec());
        self.pump(now, fx);
        Some(id)
    }

    /// Nobody waits for it any more.
    pub fn forget_read(&mut self, id: ReadId) {
        self.reads.waiting.remove(&id);
    }

    /// Questions get lost with leaders and connections.
    pub(super) fn ask_reads_again(&mut self) {
        let Stage::Running(raw) = &mut self.stage else { return };
        for (id, _) in self.reads.waiting.iter().filter(|(_, index)| index.is_none()) {
            raw.read_index(id.0.to_be_bytes().to_vec());
        }
    }

    pub(super) fn take_read_states(&mut self, states: Vec<ReadState>) {
        for state in states {
            let Ok(context) = <[u8; 8]>::try_from(&state.request_ctx[..]) else { continue };
            if let Some(index) = self.reads.waiting.get_mut(&ReadId(u64::from_be_bytes(context))) {
                index.get_or_insert(state.index);
            }
        }
        self.tell_readers();
    }

    /// Readers whose entry is delivered go on.
    pub(super) fn tell_readers(&mut self) {
        let applied = self.applied;
        let out = &mut self.out;
        self.reads.waiting.retain(|&id, index| {
            let is_done = index.is_some_and(|index| index <= applied);
            if is_done {
                out.push_back(Out::Event(QuorumEvent::CaughtUp(id)));
            }
            !is_done
        });
    }
}
