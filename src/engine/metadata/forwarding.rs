//! Transactions on their way to the leader, and those of others on this leader's table.
//!
//! A follower sends a transaction to the leader of the term that it knows, with this life of the node and a number. The
//! leader proposes it with both, so that the follower recognises it when it applies it, and takes its result from there.
//!
//! Invariants: a transaction is sent once; the leader takes a number of a life once, and only in the term it was meant
//! for; so it is applied at most once. When the leader changes, or the connection to it ends, everything that is under
//! way is answered with `Unavailable`: it may yet be applied. Memory: at most `PROPOSALS_MAX` tokens here, one number for
//! each member there.

use std::collections::BTreeMap;

use crate::types::{Instant, NodeId, Now, Term};

/// How long a result may take; the leader has long changed by then.
const RESULT_MS_MAX: u64 = 30_000;

/// What this node has sent, and what it has taken.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// This life of the node.
    pub life: u64,
    sequence: u64,
    /// Tokens by number, with the time of giving up.
    sent: BTreeMap<u64, (u64, Instant)>,
    /// To whom they were sent, in which term.
    to: Option<(NodeId, Term)>,
    /// The last number taken from each member, and of which life of it.
    taken: BTreeMap<NodeId, (u64, u64)>,
}

impl Forwarding {
    /// Nothing was sent. No two lives may have the same number.
    pub fn new(life: u64) -> Forwarding {
        Forwarding { life, sequence: 0, sent: BTreeMap::new(), to: None, taken: BTreeMap::new() }
    }

    /// The number for a transaction that is sent to this leader now. Call `follow` first.
    pub fn send(&mut self, now: Now, token: u64) -> u64 {
        self.sequence += 1;
        self.sent.insert(self.sequence, (token, now.mono.plus_millis(RESULT_MS_MAX)));
        self.sequence
    }

    /// Whom writes go to; tokens of everything that was sent to somebody else are given up.
    pub fn follow(&mut self, leader: Option<(NodeId, Term)>) -> Vec<u64> {
        if self.to == leader {
            return Vec::new();
        }
        self.to = leader;
        self.give_up()
    }

    /// The connection to a member is gone: tokens of what was sent to it.
    pub fn disconnected(&mut self, node: NodeId) -> Vec<u64> {
        if self.to.is_some_and(|(leader, _)| leader == node) { self.give_up() } else { Vec::new() }
    }

    /// Tokens whose results have not come for too long.
    pub fn overdue(&mut self, now: Now) -> Vec<u64> {
        // Numbers rise with time, so the first is the oldest.
        let mut tokens = Vec::new();
        while let Some(entry) = self.sent.first_entry().filter(|entry| entry.get().1 <= now.mono) {
            tokens.push(entry.remove().0);
        }
        tokens
    }

    /// When the next one is.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sent.values().next().map(|(_, at)| *at)
    }

    /// The result of a number of this life is there.
    pub fn settle(&mut self, sequence: u64) -> Option<u64> {
        self.sent.remove(&sequence).map(|(token, _)| token)
    }

    /// A member's number arrives: true when it is new.
    pub fn take(&mut self, from: NodeId, life: u64, sequence: u64) -> bool {
        let last = self.taken.entry(from).or_insert((life, 0));
        if last.0 == life && sequence <= last.1 {
            return false;
        }
        *last = (life, sequence);
        true
    }

    fn give_up(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.sent).into_values().map(|(token, _)| token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Option<(NodeId, Term)> = Some((NodeId(2), Term(5)));

    /// A number is taken once for each life, in whatever order copies arrive.
    #[test]
    fn once() {
        let mut leader = Forwarding::new(1);
        assert!(leader.take(NodeId(1), 77, 1) && leader.take(NodeId(1), 77, 3));
        assert!(!leader.take(NodeId(1), 77, 3) && !leader.take(NodeId(1), 77, 1));
        assert!(leader.take(NodeId(3), 5, 1) && leader.take(NodeId(1), 78, 1));
    }

    /// What is under way is given up when the leader or its term changes, when its connection ends, and after a while;
    /// a result that comes later finds nobody.
    #[test]
    fn given_up() {
        let now = Now::default();
        let mut follower = Forwarding::new(1);
        assert!(follower.follow(LEADER).is_empty());
        let first = follower.send(now, 10);
        let second = follower.send(now, 11);
        assert_eq!(follower.settle(second), Some(11));
        assert!(follower.follow(LEADER).is_empty() && follower.disconnected(NodeId(3)).is_empty());
        assert_eq!(follower.follow(Some((NodeId(2), Term(6)))), [10]);
        assert_eq!(follower.settle(first), None);
        follower.send(now, 12);
        assert_eq!(follower.disconnected(NodeId(2)), [12]);
        follower.send(now, 13);
        let later = Now { mono: follower.next_deadline().unwrap(), ..now };
        assert!(follower.overdue(now).is_empty());
        assert_eq!(follower.overdue(later), [13]);
    }
}
