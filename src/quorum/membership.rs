//! Bringing the quorum's membership to what the tree wants, one change at a time; the leader's work.
//!
//! A member whose disk was lost, or that is new, is added as a learner; when it has copied everything, its former self
//! goes, and then it votes. Nobody is counted twice: an incarnation has an id of its own.

use std::collections::BTreeMap;

use raft::eraftpb::{ConfChange, ConfChangeType};

use super::{Quorum, Stage, node_of};
use crate::types::{NodeId, Now};

/// Entries that a learner may lack and still be let vote.
const LAG_MAX: u64 = 64;

impl Quorum {
    /// Who shall belong to the quorum, with true for those that shall vote. Nothing changes before the first call.
    pub fn set_members(&mut self, wanted: BTreeMap<NodeId, bool>) {
        self.wanted = Some(wanted);
    }

    /// Proposes the next change, when this node leads and none is under way.
    pub(super) fn drive_membership(&mut self, now: Now) {
        if !self.is_leading {
            return;
        }
        let is_free = match &self.stage {
            Stage::Running(raw) => !raw.raft.has_pending_conf() && raw.raft.lead_transferee.is_none(),
            _ => false,
        };
        let change = if is_free { self.next_change(now) } else { None };
        if let (Some((kind, id)), Stage::Running(raw)) = (change, &mut self.stage) {
            if id == self.state.me {
                self.transfer(now);
                return;
            }
            let mut change = ConfChange::default();
            change.set_change_type(kind);
            change.node_id = id;
            // Refused only when too much is uncommitted: the next tick tries again.
            let _ = raw.propose_conf_change(Vec::new(), change);
        }
    }

    fn next_change(&self, now: Now) -> Option<(ConfChangeType, u64)> {
        use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
        let (members, wanted) = (&self.state.membership, self.wanted.as_ref()?);
        if !wanted.values().any(|votes| *votes) {
            return None;
        }
        let votes_now = |id: u64| members.voters.contains(&id);
        for (&node, &votes) in wanted {
            let Some(id) = self.present(now, node) else { continue };
            let former =
                |votes: bool| members.ids().find(|&old| old != id && node_of(old) == node && votes_now(old) == votes);
            if !members.contains(id) {
                return Some((AddLearnerNode, id));
            }
            if votes && !votes_now(id) && self.has_caught_up(id) {
                return Some(former(true).map_or((AddNode, id), |old| (RemoveNode, old)));
            }
            if !votes && votes_now(id) && members.voters.len() > 1 {
                return Some((AddLearnerNode, id));
            }
            if let Some(old) =
                former(false).or(former(true).filter(|_| votes_now(id) == votes && members.voters.len() > 1))
            {
                return Some((RemoveNode, old));
            }
        }
        let is_unwanted = |id: &u64| !wanted.contains_key(&node_of(*id));
        members
            .ids()
            .find(|id| is_unwanted(id) && !(votes_now(*id) && members.voters.len() == 1))
            .map(|id| (RemoveNode, id))
    }

    /// True while the members are on their way to what was wanted last, and get nearer.
    pub fn is_changing(&self, now: Now) -> bool {
        match &self.stage {
            Stage::Running(raw) => raw.raft.has_pending_conf() || self.next_change(now).is_some(),
            _ => false,
        }
    }

    /// Whether a majority of these is there and in step with this leader.
    pub fn has_majority_of(&self, now: Now, voters: &[NodeId]) -> bool {
        let is_in_step =
            |node: &&NodeId| self.present(now, **node).is_some_and(|id| id == self.state.me || self.has_caught_up(id));
        voters.iter().filter(is_in_step).count() > voters.len() / 2
    }

    fn has_caught_up(&self, id: u64) -> bool {
        let Stage::Running(raw) = &self.stage else { return false };
        let progress = raw.raft.prs().get(id);
        progress
            .is_some_and(|progress| progress.matched + LAG_MAX >= raw.raft.raft_log.committed && progress.matched > 0)
    }

    /// Hands leadership to the member that has most of the log; `Following` comes if it works. False when nobody can.
    pub fn transfer(&mut self, now: Now) -> bool {
        let me = self.state.me;
        let present: Vec<u64> = self.state.membership.voters.iter().copied().filter(|&id| id != me).collect();
        let present: Vec<u64> = present.into_iter().filter(|&id| self.present(now, node_of(id)) == Some(id)).collect();
        let Stage::Running(raw) = &mut self.stage else { return false };
        if raw.raft.state != raft::StateRole::Leader {
            return false;
        }
        let matched = |id: &u64| raw.raft.prs().get(*id).map_or(0, |progress| progress.matched);
        let Some(best) = present.into_iter().max_by_key(|id| (matched(id), *id)) else { return false };
        raw.transfer_leader(best);
        true
    }
}
