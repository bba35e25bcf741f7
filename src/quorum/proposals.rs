//! What this node has proposed and waits for: bounded by count and by the account.

use std::collections::VecDeque;

use super::entry::ENTRY_OVERHEAD_BYTES;
use crate::memory::{Account, Grant};

/// A proposal of this node, unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// Why nothing was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Another member leads, or nobody, or this one has just begun to.
    NotLeader,
    /// Too much is under way, or the disk refuses. Retry.
    Busy,
    /// Larger than `ENTRY_BYTES_MAX`, or than half of the account.
    TooLarge,
}

impl std::fmt::Display for ProposeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ProposeError::NotLeader => "this node does not lead the quorum",
            ProposeError::Busy => "too many proposals are under way",
            ProposeError::TooLarge => "the transaction is too large",
        })
    }
}

impl std::error::Error for ProposeError {}

/// More than that are refused.
const PROPOSALS_MAX: usize = 8192;

/// One that is under way.
#[derive(Debug)]
struct Proposal {
    index: u64,
    term: u64,
    id: ProposalId,
    /// For the entry until it is delivered.
    _entry: Grant,
    /// For its batch until it is written.
    batch: Grant,
}

/// All that are under way, in the order of their entries.
#[derive(Debug)]
pub(super) struct Proposals {
    account: Account,
    waiting: VecDeque<Proposal>,
    next: u64,
}

/// What becomes of proposals when an entry is delivered.
pub(super) enum Fate {
    /// The entry is this proposal.
    Committed(ProposalId),
    /// The entry, or one before it, took this proposal's place.
    Lost(ProposalId),
    /// The entry is nobody's.
    None,
}

impl Proposals {
    pub fn new(account: Account) -> Proposals {
        Proposals { account, waiting: VecDeque::new(), next: 0 }
    }

    /// Memory for an entry of so many bytes and for its batch.
    pub fn reserve(&self, bytes: usize) -> Result<(Grant, Grant), ProposeError> {
        if self.waiting.len() >= PROPOSALS_MAX {
            return Err(ProposeError::Busy);
        }
        let each = bytes + 2 * ENTRY_OVERHEAD_BYTES;
        if 2 * each > self.account.limit_bytes() {
            return Err(ProposeError::TooLarge);
        }
        let mut entry = self.account.take(2 * each).ok_or(ProposeError::Busy)?;
        let batch = entry.split(each);
        Ok((entry, batch))
    }

    /// The entry at `index` is a proposal.
    pub fn push(&mut self, index: u64, term: u64, (entry, batch): (Grant, Grant)) -> ProposalId {
        let id = ProposalId(self.next);
        self.next += 1;
        self.waiting.push_back(Proposal { index, term, id, _entry: entry, batch });
        id
    }

    /// The grant for the batch of an entry; none when the entry is not this node's proposal.
    pub fn batch_grant(&mut self, index: u64) -> Grant {
        let place = self.waiting.partition_point(|proposal| proposal.index < index);
        match self.waiting.get_mut(place).filter(|proposal| proposal.index == index) {
            Some(proposal) => std::mem::take(&mut proposal.batch),
            None => Grant::none(),
        }
    }

    /// Nobody will ever know what became of them: a snapshot has taken the place of their entries.
    pub fn forget(&mut self) -> Vec<ProposalId> {
        self.waiting.drain(..).map(|proposal| proposal.id).collect()
    }

    /// The entry is delivered. Call until it is not `Lost`.
    pub fn settle(&mut self, index: u64, term: u64) -> Fate {
        match self.waiting.front() {
            Some(front) if front.index <= index => {
                let is_it = (front.index, front.term) == (index, term);
                let id = front.id;
                self.waiting.pop_front();
                if is_it { Fate::Committed(id) } else { Fate::Lost(id) }
            }
            _ => Fate::None,
        }
    }
}
