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

/// All that are under way, in the order in which they were proposed: the terms never fall, and within one the indexes rise.
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
        // The newest are the last, and those of a leadership that was lost may stand before them with higher indexes.
        let mut newest = self.waiting.iter_mut().rev().take_while(|proposal| proposal.index >= index);
        match newest.find(|proposal| proposal.index == index) {
            Some(proposal) => std::mem::take(&mut proposal.batch),
            None => Grant::none(),
        }
    }

    /// Nobody will ever know what became of them: a snapshot has taken the place of their entries.
    pub fn forget(&mut self) -> Vec<ProposalId> {
        self.waiting.drain(..).map(|proposal| proposal.id).collect()
    }

    /// The entry is delivered. Call until it is not `Lost`. Terms never fall along a log: what was proposed in an earlier one
    /// for a place behind this entry was cut off.
    pub fn settle(&mut self, index: u64, term: u64) -> Fate {
        match self.waiting.front() {
            Some(front) if front.index <= index || front.term < term => {
                let is_it = (front.index, front.term) == (index, term);
                let id = front.id;
                self.waiting.pop_front();
                if is_it { Fate::Committed(id) } else { Fate::Lost(id) }
            }
            _ => Fate::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who was overthrown and leads again knows at once that what it had proposed behind the new entries is lost.
    #[test]
    fn overthrown() {
        let account = Account::new(1 << 20);
        let mut proposals = Proposals::new(account.clone());
        let mut push = |index, term| {
            let grants = proposals.reserve(100).unwrap();
            proposals.push(index, term, grants)
        };
        let (lost, kept) = ([push(100, 3), push(101, 3)], push(50, 5));
        let batch = proposals.batch_grant(50);
        assert!(batch.bytes() > 0);
        for id in lost {
            assert!(matches!(proposals.settle(50, 5), Fate::Lost(of) if of == id));
        }
        assert!(matches!(proposals.settle(50, 5), Fate::Committed(id) if id == kept));
        assert_eq!(account.used_bytes(), batch.bytes());
    }
}
