//! Transactions on their way into the quorum: proposed here by the leader, handed to it by everybody else.
//!
//! Invariants: every token is answered once; what was handed on is answered with `Unavailable` when the leader changes.

use super::{Metadata, VERSION, VERSION_FORWARDED};
use crate::coordinator::members::{Wish, changed, members_of};
use crate::coordinator::{Body, Txn, TxnResult, Verdict};
use crate::engine::ProposeError;
use crate::engine::peers::{EngineMessage, Refusal};
use crate::metrics::METRICS;
use crate::quorum;
use crate::types::{NodeId, Now, Term};

/// What stands before a transaction.
const HEADER_BYTES: usize = 25;

impl Metadata {
    /// Proposes a transaction; `next_result` answers with `token`, in any case.
    pub fn propose(&mut self, now: Now, txn: &Txn, token: u64) {
        if let Err(error) = self.try_propose(now, txn, token) {
            self.results.push_back((token, Err(error)));
        }
    }

    /// The same, but `next_result` answers only what was taken.
    pub fn try_propose(&mut self, now: Now, txn: &Txn, token: u64) -> Result<(), ProposeError> {
        if !self.quorum.is_leader() && self.is_ensemble {
            return self.forward(now, txn, token);
        }
        let judged = matches!(txn.body, Body::Reconfig { .. }).then(|| self.judged(now, txn));
        let proposed = self.quorum.propose(judged.as_ref().unwrap_or(txn).encode_onto(header(VERSION, now)));
        let proposal = proposed.map_err(|error| match error {
            quorum::ProposeError::NotLeader => ProposeError::Unavailable,
            quorum::ProposeError::Busy => ProposeError::Busy,
            quorum::ProposeError::TooLarge => ProposeError::TooLarge,
        })?;
        self.waiting.insert(proposal, token);
        self.unsent.get_or_insert(now.mono);
        Ok(())
    }

    /// What became of a proposal; its changes are in `take_changes` by then.
    pub fn next_result(&mut self) -> Option<(u64, Result<TxnResult, ProposeError>)> {
        self.results.pop_front()
    }

    /// Hands a transaction to the leader, when there is one to be reached.
    fn forward(&mut self, now: Now, txn: &Txn, token: u64) -> Result<(), ProposeError> {
        let term = self.quorum.term();
        let leader = self.reachable_leader().filter(|leader| *leader != self.node).ok_or(ProposeError::Unavailable)?;
        let is_judged = matches!(txn.body, Body::Reconfig { .. });
        let txn = txn.encode();
        if txn.len() + HEADER_BYTES > quorum::ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge);
        }
        let lost = self.forwarding.follow(Some((leader, term)));
        self.give_up(lost);
        let sequence = self.forwarding.send(now, token);
        METRICS.peers.forwarded.inc();
        let (term, life) = (term.0, self.forwarding.life);
        self.say(
            leader,
            match is_judged {
                true => EngineMessage::Judge { term, life, sequence, txn },
                false => EngineMessage::Forward { term, life, sequence, txn },
            },
        );
        Ok(())
    }

    /// A member wants something proposed by this node in that term.
    pub fn forwarded(&mut self, now: Now, from: NodeId, term: u64, (life, sequence): (u64, u64), txn: &[u8]) {
        let why = if !self.is_leading() || self.quorum.term() != Term(term) {
            Some(Refusal::NotLeader)
        } else if !self.forwarding.take(from, life, sequence) {
            return; // a copy
        } else {
            let mut bytes = header(VERSION_FORWARDED, now);
            bytes.extend_from_slice(&life.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
            bytes.extend_from_slice(txn);
            self.quorum.propose(bytes).err().map(|error| match error {
                quorum::ProposeError::NotLeader => Refusal::NotLeader,
                quorum::ProposeError::Busy => Refusal::Busy,
                quorum::ProposeError::TooLarge => Refusal::TooLarge,
            })
        };
        if let Some(why) = why {
            self.say(from, EngineMessage::NotForwarded { life, sequence, why });
        }
    }

    /// The leader has not proposed something of this node.
    pub fn not_forwarded(&mut self, life: u64, sequence: u64, why: Refusal) {
        if life == self.forwarding.life
            && let Some(token) = self.forwarding.settle(sequence)
        {
            let error = match why {
                Refusal::NotLeader => ProposeError::Unavailable,
                Refusal::Busy => ProposeError::Busy,
                Refusal::TooLarge => ProposeError::TooLarge,
            };
            self.results.push_back((token, Err(error)));
        }
    }

    /// The transaction with what only a leader can say of it.
    pub fn judged(&self, now: Now, txn: &Txn) -> Txn {
        let mut txn = txn.clone();
        if let Body::Reconfig { joining, leaving, members, verdict, .. } = &mut txn.body {
            let wish = Wish { joining: joining.as_deref(), leaving: leaving.as_deref(), members: members.as_deref() };
            let voters = changed(&members_of(self.coordinator.tree()), wish).map(|after| {
                let voters = after.iter().filter(|member| !member.is_observer);
                voters.map(|member| member.id).collect::<Vec<_>>()
            });
            *verdict = match voters {
                _ if self.quorum.is_changing(now) => Verdict::InProgress,
                Ok(voters) if !self.has_majority_of(now, &voters) => Verdict::NoQuorum,
                Ok(_) | Err(_) => Verdict::Accepted, // what is wrong with the wish, all members find when they apply it
            };
        }
        txn
    }

    /// Whether these would be a quorum now: whose link is gone counts no more, however lately it was heard.
    fn has_majority_of(&self, now: Now, voters: &[NodeId]) -> bool {
        let is_reached = |node: &&NodeId| **node == self.node || self.reachable.contains(node);
        voters.iter().filter(is_reached).count() > voters.len() / 2 && self.quorum.has_majority_of(now, voters)
    }

    pub(super) fn give_up(&mut self, tokens: Vec<u64>) {
        self.results.extend(tokens.into_iter().map(|token| (token, Err(ProposeError::Unavailable))));
    }
}

/// What stands before every transaction.
fn header(version: u8, now: Now) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(version);
    bytes.extend_from_slice(&now.wall.0.to_be_bytes());
    bytes
}
