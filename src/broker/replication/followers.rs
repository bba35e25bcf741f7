//! What a leader knows of its followers: how far their disks are, whether they keep up, and what they have asked for.
//!
//! Invariants: of a follower whose link is down or that has not fetched in this leadership nothing counts as known, so
//! that it holds the high watermark where it is; at most one fetch of each is unanswered.

use std::time::Duration;

use crate::coordinator::cluster::Replicas;
use crate::limits::REPLICAS_MAX;
use crate::types::{Instant, LeaderEpoch, NodeId, Offset};

/// A fetch that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Asked {
    /// The follower's own number for it.
    pub number: u32,
    pub from: Offset,
    pub last_epoch: LeaderEpoch,
}

/// What became of a follower's last fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) enum Fetching {
    /// It was answered.
    #[default]
    Answered,
    /// There was nothing to answer with yet, or no room.
    Parked(Asked),
    /// The disk is reading for it.
    Reading(Asked),
}

/// One follower.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Follower {
    pub node: NodeId,
    /// How far its disk is, as it told over the link that is up.
    pub durable: Option<Offset>,
    pub fetching: Fetching,
    /// The last moment at which it is known to have had everything.
    caught_up_at: Instant,
    /// The log's end at some moment: a follower that is durable up to it has caught up with that moment.
    goal: (Offset, Instant),
}

/// The followers of one partition, none of which is this node.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct Followers {
    all: heapless::Vec<Follower, REPLICAS_MAX>,
}

impl Followers {
    /// A leadership begins: every replica but `own` gets the time of a whole lag to show up.
    pub fn begin(&mut self, now: Instant, own: NodeId, replicas: &Replicas, end: Offset) {
        self.all.clear();
        self.keep(now, own, replicas, end);
    }

    /// The assignment has changed; those that stay keep what is known of them.
    pub fn keep(&mut self, now: Instant, own: NodeId, replicas: &Replicas, end: Offset) {
        self.all.retain(|follower| replicas.contains(&follower.node));
        for &node in replicas.iter().filter(|&&node| node != own) {
            if self.get(node).is_none() {
                let fresh =
                    Follower { node, durable: None, fetching: Fetching::Answered, caught_up_at: now, goal: (end, now) };
                let _ = self.all.push(fresh); // replicas are as many as there is room for
            }
        }
    }

    /// No longer leading.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Follower> {
        self.all.iter()
    }

    /// One of them.
    pub fn get(&self, node: NodeId) -> Option<&Follower> {
        self.all.iter().find(|follower| follower.node == node)
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, node: NodeId) -> Option<&mut Follower> {
        self.all.iter_mut().find(|follower| follower.node == node)
    }

    /// Its link ended: what it told may not be true of its next life.
    pub fn lost(&mut self, node: NodeId) {
        if let Some(follower) = self.get_mut(node) {
            follower.durable = None;
            follower.fetching = Fetching::Answered;
        }
    }

    /// How far a node's disk is known to be.
    pub fn durable(&self, node: NodeId) -> Option<Offset> {
        self.get(node)?.durable
    }
}

impl Follower {
    /// It told how far its disk is, while the leader's log ends at `end`.
    pub fn told(&mut self, now: Instant, durable: Offset, end: Offset) {
        self.durable = Some(durable);
        self.look(now, end);
    }

    /// Notes how far it is behind.
    pub fn look(&mut self, now: Instant, end: Offset) {
        let Some(durable) = self.durable else { return };
        if durable >= end {
            self.caught_up_at = now;
            self.goal = (end, now);
        } else if durable >= self.goal.0 {
            self.caught_up_at = self.caught_up_at.max(self.goal.1);
            self.goal = (end, now);
        }
    }

    /// It has not had everything for longer than `most`.
    pub fn lags(&self, now: Instant, most: Duration) -> bool {
        now.since(self.caught_up_at) > most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(nodes: &[i32]) -> Replicas {
        nodes.iter().map(|&node| NodeId(node)).collect()
    }

    /// A follower that has what there was some time ago keeps up, one that never gets there lags.
    #[test]
    fn lag() {
        let mut followers = Followers::default();
        followers.begin(Instant(0), NodeId(1), &replicas(&[1, 2, 3]), Offset(100));
        assert!(followers.get(NodeId(1)).is_none());
        let most = Duration::from_micros(10);
        for time in 1..40 {
            let end = Offset(100 + 10 * time as i64);
            let follower = followers.get_mut(NodeId(2)).unwrap();
            follower.told(Instant(time), Offset(end.0 - 50), end); // five moments behind
            assert!(!follower.lags(Instant(time), most), "at {time}");
            let silent = followers.get_mut(NodeId(3)).unwrap();
            silent.look(Instant(time), end);
            assert_eq!(silent.lags(Instant(time), most), time > 10, "at {time}");
        }
        assert_eq!(followers.durable(NodeId(2)), Some(Offset(440)));
        followers.lost(NodeId(2));
        assert_eq!(followers.durable(NodeId(2)), None);
    }

    /// A replica that leaves is forgotten, one that stays is not.
    #[test]
    fn assignment() {
        let mut followers = Followers::default();
        followers.begin(Instant(0), NodeId(1), &replicas(&[1, 2]), Offset(0));
        followers.get_mut(NodeId(2)).unwrap().told(Instant(1), Offset(7), Offset(7));
        followers.keep(Instant(2), NodeId(1), &replicas(&[1, 2, 3]), Offset(7));
        assert_eq!(followers.durable(NodeId(2)), Some(Offset(7)));
        assert_eq!(followers.durable(NodeId(3)), None);
        followers.keep(Instant(3), NodeId(1), &replicas(&[1, 3]), Offset(7));
        assert!(followers.get(NodeId(2)).is_none());
    }
}
