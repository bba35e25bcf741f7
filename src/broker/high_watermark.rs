//! The high watermark: the lowest durable end over the replicas in sync. Nothing at or above it is acknowledged or read.
//!
//! Invariants: it never goes back while this node leads; a replica of which nothing is known holds it where it is.

use crate::coordinator::cluster::Replicas;
use crate::limits::REPLICAS_MAX;
use crate::types::{NodeId, Offset};

/// The high watermark of a partition that this node leads, and what the others have told.
#[derive(Clone, Debug, Default)]
pub struct HighWatermark {
    value: Offset,
    followers: heapless::Vec<(NodeId, Offset), REPLICAS_MAX>,
}

impl HighWatermark {
    /// Everything below is acknowledged.
    pub fn get(&self) -> Offset {
        self.value
    }

    /// Where a new leadership begins: what the former one is known to have acknowledged.
    pub fn restart_at(&mut self, value: Offset) {
        self.value = value;
        self.followers.clear();
    }

    /// A follower has told that everything below `durable` is on its disk.
    pub fn follower_at(&mut self, follower: NodeId, durable: Offset) {
        match self.followers.iter_mut().find(|(node, _)| *node == follower) {
            Some((_, known)) => *known = durable,
            None => {
                // A full table is one of followers that are not replicas any more: the first gives way.
                if self.followers.is_full() {
                    self.followers.swap_remove(0);
                }
                let _ = self.followers.push((follower, durable));
            }
        }
    }

    /// Moves it as far as `isr` allows, with this node (`own`) durable up to `durable`. True when it moved.
    pub fn advance(&mut self, own: NodeId, durable: Offset, isr: &Replicas) -> bool {
        let end_of = |node: &NodeId| match *node == own {
            true => durable,
            false => self.followers.iter().find(|(known, _)| known == node).map_or(Offset(0), |&(_, end)| end),
        };
        let lowest = isr.iter().map(end_of).min().unwrap_or(self.value);
        let moved = lowest > self.value;
        self.value = self.value.max(lowest);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isr(nodes: &[i32]) -> Replicas {
        nodes.iter().map(|&node| NodeId(node)).collect()
    }

    /// Alone, the leader's disk decides; with followers the slowest in sync does; it never goes back.
    #[test]
    fn slowest_in_sync() {
        let mut mark = HighWatermark::default();
        assert!(mark.advance(NodeId(1), Offset(10), &isr(&[1])));
        assert!(!mark.advance(NodeId(1), Offset(20), &isr(&[1, 2])), "nothing known of 2");
        mark.follower_at(NodeId(2), Offset(15));
        assert!(mark.advance(NodeId(1), Offset(20), &isr(&[1, 2])));
        assert_eq!(mark.get(), Offset(15));
        mark.follower_at(NodeId(2), Offset(12));
        assert!(!mark.advance(NodeId(1), Offset(20), &isr(&[2, 1])));
        assert_eq!(mark.get(), Offset(15));
        assert!(mark.advance(NodeId(1), Offset(20), &isr(&[1])), "a shrink lets it move");
        assert!(!mark.advance(NodeId(1), Offset(30), &isr(&[])));
        assert_eq!(mark.get(), Offset(20));
    }
}
