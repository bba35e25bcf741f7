//! Handing out: the one order in which the state machine hears of everything.

use protobuf::Message as _;
use raft::StateRole;
use raft::eraftpb::{ConfChange, ConfChangeV2, Entry, EntryType};

use super::proposals::Fate;
use super::state_file::Membership;
use super::{Committed, Out, Quorum, QuorumEvent, Stage};
use crate::effect::Effects;
use crate::types::{Now, Term};

impl Quorum {
    /// What happened next; call until `None` after everything that takes effects. What is taken counts as applied.
    pub fn next_event(&mut self, now: Now, fx: &mut Effects) -> Option<QuorumEvent> {
        loop {
            if self.out.is_empty() {
                self.proceed(now, fx);
            }
            match self.out.pop_front()? {
                Out::Event(event) => return Some(event),
                Out::Entry(entry) => {
                    if let Some(event) = self.deliver(entry, now, fx) {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, entry: Entry, now: Now, fx: &mut Effects) -> Option<QuorumEvent> {
        let fate = self.proposals.settle(entry.index, entry.term);
        if let Fate::Lost(id) = fate {
            self.out.push_front(Out::Entry(entry));
            return Some(QuorumEvent::Lost(id));
        }
        self.applied = entry.index;
        if let Stage::Running(raw) = &mut self.stage {
            let durable = self.durable;
            raw.mut_store().release(self.applied.min(durable));
            if self.snapshots.is_wanted(self.config.log_bytes_max) {
                self.say(QuorumEvent::SnapshotWanted);
            }
        }
        self.tell_readers();
        match entry.get_entry_type() {
            EntryType::EntryNormal if entry.data.is_empty() => self.begin_leading(entry.term),
            EntryType::EntryNormal => Some(QuorumEvent::Committed(Committed {
                index: entry.index,
                term: Term(entry.term),
                bytes: entry.data,
                proposal: if let Fate::Committed(id) = fate { Some(id) } else { None },
            })),
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                self.change_membership(&entry, now, fx);
                None
            }
        }
    }

    /// The empty entry that begins a term: when it is ours and has come round, everything before it is applied.
    fn begin_leading(&mut self, term: u64) -> Option<QuorumEvent> {
        let Stage::Running(raw) = &self.stage else { return None };
        if raw.raft.state != StateRole::Leader || raw.raft.term != term || self.is_leading {
            return None;
        }
        self.is_leading = true;
        Some(QuorumEvent::Leading(Term(term)))
    }

    fn change_membership(&mut self, entry: &Entry, now: Now, fx: &mut Effects) {
        if entry.index <= self.state.membership_index {
            return; // quorum-state has it already
        }
        let Stage::Running(raw) = &mut self.stage else {
            return self.fail(format!(
                "entry {} changes the membership and {} does not know it",
                entry.index,
                super::state_file::STATE_FILE
            ));
        };
        let applied = if entry.get_entry_type() == EntryType::EntryConfChange {
            ConfChange::parse_from_bytes(&entry.data)
                .map_err(|error| error.to_string())
                .and_then(|change| raw.apply_conf_change(&change).map_err(|error| error.to_string()))
        } else {
            ConfChangeV2::parse_from_bytes(&entry.data)
                .map_err(|error| error.to_string())
                .and_then(|change| raw.apply_conf_change(&change).map_err(|error| error.to_string()))
        };
        match applied {
            Ok(conf_state) => {
                self.state.membership = Membership::of(&conf_state);
                self.state.membership_index = entry.index;
                if let Stage::Running(raw) = &mut self.stage {
                    raw.mut_store().set_membership(&self.state.membership);
                }
                self.change_state(fx);
                self.begin_ticks(now);
                self.say(QuorumEvent::MembershipChanged);
            }
            Err(error) => {
                self.fail(format!("entry {} changes the membership in an impossible way: {error}", entry.index))
            }
        }
    }
}
