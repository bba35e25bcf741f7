//! Who votes and how far each member has come, for those who ask.

use super::{Quorum, Stage, node_of};
use crate::types::{NodeId, Term};

/// A quorum as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Who leads, when that is known.
    pub leader: Option<NodeId>,
    /// The latest term this node has heard of.
    pub term: Term,
    /// Everything up to this entry is agreed on.
    pub committed: u64,
    /// The members, ascending.
    pub members: Vec<MemberState>,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Which one.
    pub node: NodeId,
    /// Its id in raft: the number, and the incarnation of its disk.
    pub raft_id: u64,
    /// False for one that only learns.
    pub is_voter: bool,
    /// The last entry that is on its disk; only the leader knows that of others.
    pub last_entry: Option<u64>,
}

impl Quorum {
    /// The quorum as this node sees it.
    pub fn describe(&self) -> Described {
        let membership = &self.state.membership;
        let voters = membership.voters.iter().map(|id| (*id, true));
        let learners = membership.learners.iter().map(|id| (*id, false));
        let mut members: Vec<MemberState> = voters
            .chain(learners)
            .map(|(raft_id, is_voter)| {
                let node = node_of(raft_id);
                let is_own = raft_id == self.state.me;
                let last_entry = if is_own { Some(self.durable) } else { self.matched(raft_id) };
                MemberState { node, raft_id, is_voter, last_entry }
            })
            .collect();
        members.sort_by_key(|member| member.node);
        let committed = match &self.stage {
            Stage::Running(raw) => raw.raft.raft_log.committed,
            _ => self.applied,
        };
        Described { leader: self.leader(), term: self.term(), committed, members }
    }

    fn matched(&self, raft_id: u64) -> Option<u64> {
        match &self.stage {
            Stage::Running(raw) if self.is_leading => raw.raft.prs().get(raft_id).map(|progress| progress.matched),
            _ => None,
        }
    }
}
