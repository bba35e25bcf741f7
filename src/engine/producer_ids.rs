//! Producer ids: handed out from a block of a thousand that a transaction has made this node's own.
//!
//! Invariants: an id is given once in the life of the cluster (what is left of a block is lost with the process); at most
//! `WAITERS_MAX` wait for a block, of which at most one is asked for at a time.

use std::collections::VecDeque;

use super::{ProducerIdError, Waiter};
use crate::coordinator::cluster::ProducerIdBlock;
use crate::types::{ProducerEpoch, ProducerId};

const WAITERS_MAX: usize = 1024;

/// The block in use, and who waits for the next.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    /// Next id and the last one that is ours.
    block: Option<(i64, i64)>,
    waiters: VecDeque<Waiter>,
    /// The block that is asked for.
    asked: Option<ProducerIdBlock>,
}

/// An answer to `init_producer_id`.
pub(super) type Given = Result<(ProducerId, ProducerEpoch), ProducerIdError>;

impl ProducerIds {
    /// An id now; `None`: the waiter waits for the next block.
    pub fn take(&mut self, waiter: Waiter) -> Option<Given> {
        if let Some(id) = self.next_id() {
            return Some(Ok((id, ProducerEpoch(0))));
        }
        if self.waiters.len() >= WAITERS_MAX {
            return Some(Err(ProducerIdError::Unavailable));
        }
        self.waiters.push_back(waiter);
        None
    }

    /// True when a block should be asked for.
    pub fn wants_block(&self) -> bool {
        !self.waiters.is_empty() && self.asked.is_none()
    }

    /// A block is being asked for.
    pub fn asked(&mut self, block: ProducerIdBlock) {
        self.asked = Some(block);
    }

    /// The block that was asked for is ours, or not (somebody was faster: ask again).
    pub fn answered(&mut self, is_ours: bool) {
        if let Some(block) = self.asked.take()
            && is_ours
        {
            self.block = Some((block.start, block.end));
        }
    }

    /// Tells everybody who waits that there is nothing.
    pub fn fail(&mut self) -> Vec<(Waiter, Given)> {
        self.asked = None;
        self.waiters.drain(..).map(|waiter| (waiter, Err(ProducerIdError::Unavailable))).collect()
    }

    /// The next waiter for whom there is an id.
    pub fn next_given(&mut self) -> Option<(Waiter, Given)> {
        let waiter = *self.waiters.front()?;
        let id = self.next_id()?;
        self.waiters.pop_front();
        Some((waiter, Ok((id, ProducerEpoch(0)))))
    }

    fn next_id(&mut self) -> Option<ProducerId> {
        let (next, last) = self.block?;
        self.block = (next < last).then_some((next + 1, last));
        Some(ProducerId(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Door;
    use crate::types::NodeId;

    fn block(start: i64, end: i64) -> ProducerIdBlock {
        ProducerIdBlock { broker: NodeId(1), start, end, version: 1 }
    }

    /// Ids are consecutive and never repeated; who comes after the last one waits for the next block.
    #[test]
    fn blocks() {
        let waiter = Waiter::door(Door::Kafka);
        let mut ids = ProducerIds::default();
        let mut given = Vec::new();
        for start in [0, 3, 6] {
            assert_eq!(ids.take(waiter), None);
            assert_eq!(ids.take(waiter), None);
            assert!(ids.wants_block());
            ids.asked(block(start, start + 2));
            assert!(!ids.wants_block());
            ids.answered(false);
            assert!(ids.wants_block() && ids.next_given().is_none());
            ids.asked(block(start, start + 2));
            ids.answered(true);
            given.extend(std::iter::from_fn(|| ids.next_given()).map(|(_, given)| given.unwrap().0.0));
            given.extend(ids.take(waiter).map(|given| given.unwrap().0.0));
        }
        assert_eq!(given, (0..9).collect::<Vec<i64>>());
    }

    /// Waiters are bounded, and all are told when there is no quorum.
    #[test]
    fn bound() {
        let waiter = Waiter::door(Door::Kafka);
        let mut ids = ProducerIds::default();
        for _ in 0..WAITERS_MAX {
            assert_eq!(ids.take(waiter), None);
        }
        assert_eq!(ids.take(waiter), Some(Err(ProducerIdError::Unavailable)));
        assert_eq!(ids.fail().len(), WAITERS_MAX);
        assert!(!ids.wants_block());
    }
}
