//! Who gets memory for a request, who waits for it, and whose turn it is.
//!
//! Two accounts, five purposes. Frames and batches draw on the request account, state and data on the response account.
//! Frames and data, which one client can make large, never take the last quarter, so that small requests pass while
//! large ones wait. Frames of connections that have not been answered anything yet take half at most: whoever opens
//! many and sends half a request on each holds up his like, not the clients that are at work.
//!
//! Invariants: for each purpose memory is given in the order in which it was asked for, so nobody starves; a connection
//! waits for one purpose at a time and stands in one queue at most once.
//! Called by the door and its handlers; queues are bounded by the number of connections.

use std::collections::{BTreeMap, VecDeque};

use crate::memory::{Account, Grant};
use crate::metrics::METRICS;
use crate::types::ConnId;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request frame larger than the input buffer, from a connection that has not been answered anything.
    FirstFrame,
    /// Such a frame from any other.
    Frame,
    /// Copies of batches that came in small frames.
    Batches,
    /// What a request needs until it is answered, its reply included.
    State,
    /// Records on their way from a log to a consumer.
    Data,
}

impl Purpose {
    /// All of them, in the order in which waiting connections are served.
    pub const ALL: [Purpose; 5] =
        [Purpose::State, Purpose::Batches, Purpose::Data, Purpose::Frame, Purpose::FirstFrame];
}

/// The accounts and their queues.
#[derive(Debug)]
pub struct Admission {
    requests: Account,
    responses: Account,
    queues: [VecDeque<ConnId>; Purpose::ALL.len()],
    waiting: BTreeMap<ConnId, Purpose>,
    turn: Option<ConnId>,
}

impl Admission {
    /// Draws on these two accounts.
    pub fn new(requests: Account, responses: Account) -> Admission {
        Admission { requests, responses, queues: Default::default(), waiting: BTreeMap::new(), turn: None }
    }

    /// The most that can ever be had for `purpose` at once.
    pub fn limit_bytes(&self, purpose: Purpose) -> usize {
        let limit_bytes = self.account(purpose).limit_bytes();
        match purpose {
            Purpose::FirstFrame => limit_bytes / 2,
            Purpose::Frame | Purpose::Data => limit_bytes / 4 * 3,
            Purpose::Batches | Purpose::State => limit_bytes,
        }
    }

    /// What is left for `purpose` now.
    pub fn free_bytes(&self, purpose: Purpose) -> usize {
        self.limit_bytes(purpose).saturating_sub(self.account(purpose).used_bytes())
    }

    /// A grant of `bytes`; or `None`, and the connection stands in the queue of `purpose` until its turn comes.
    pub fn take(&mut self, conn: ConnId, purpose: Purpose, bytes: usize) -> Option<Grant> {
        let is_first = self.turn == Some(conn) || self.queues[purpose as usize].is_empty();
        if is_first
            && bytes <= self.free_bytes(purpose)
            && let Some(grant) = self.account(purpose).take(bytes)
        {
            return Some(grant);
        }
        self.wait(conn, purpose);
        None
    }

    /// A grant outside of every queue, for bytes that exist already.
    pub fn take_now(&self, purpose: Purpose, bytes: usize) -> Option<Grant> {
        self.account(purpose).take(bytes)
    }

    /// True while the connection stands in a queue.
    pub fn waits(&self, conn: ConnId) -> bool {
        self.waiting.contains_key(&conn)
    }

    /// True while anyone stands in a queue.
    pub fn anyone_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the first connection out of the queue of `purpose`: it may ask again, before all others, until
    /// `end_turn`.
    pub fn begin_turn(&mut self, purpose: Purpose) -> Option<ConnId> {
        let conn = self.queues[purpose as usize].pop_front()?;
        self.waiting.remove(&conn);
        self.turn = Some(conn);
        Some(conn)
    }

    /// Ends the turn; true when the connection did not get enough for `purpose` and is first in that line again.
    pub fn end_turn(&mut self, purpose: Purpose) -> bool {
        self.turn.take().is_some_and(|conn| self.waiting.get(&conn) == Some(&purpose))
    }

    /// Takes a connection that is gone, or no longer interested, out of its queue.
    pub fn forget(&mut self, conn: ConnId) {
        if let Some(purpose) = self.waiting.remove(&conn) {
            self.queues[purpose as usize].retain(|&waiting| waiting != conn);
        }
    }

    fn account(&self, purpose: Purpose) -> &Account {
        match purpose {
            Purpose::FirstFrame | Purpose::Frame | Purpose::Batches => &self.requests,
            Purpose::State | Purpose::Data => &self.responses,
        }
    }

    fn wait(&mut self, conn: ConnId, purpose: Purpose) {
        if self.waiting.contains_key(&conn) {
            return;
        }
        METRICS.kafka.pauses.inc();
        self.waiting.insert(conn, purpose);
        let queue = &mut self.queues[purpose as usize]; // an array of one queue a purpose
        match self.turn {
            Some(turn) if turn == conn => queue.push_front(conn),
            _ => queue.push_back(conn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    fn admission(limit: usize) -> Admission {
        Admission::new(Account::new(limit), Account::new(limit))
    }

    /// A large wish at the front is not overtaken by small ones, and gets its memory once there is enough.
    #[test]
    fn first_come_first_served() {
        let mut admission = admission(100);
        let held = admission.take(conn(0), Purpose::State, 80).unwrap();
        assert!(admission.take(conn(1), Purpose::State, 50).is_none());
        assert!(admission.take(conn(2), Purpose::State, 10).is_none(), "others are before it");
        assert_eq!(admission.begin_turn(Purpose::State), Some(conn(1)));
        assert!(admission.take(conn(1), Purpose::State, 50).is_none());
        assert!(admission.end_turn(Purpose::State), "still first");
        drop(held);
        assert_eq!(admission.begin_turn(Purpose::State), Some(conn(1)));
        let first = admission.take(conn(1), Purpose::State, 50).unwrap();
        assert!(!admission.end_turn(Purpose::State));
        assert_eq!(admission.begin_turn(Purpose::State), Some(conn(2)));
        assert!(admission.take(conn(2), Purpose::State, 10).is_some());
        assert!(!admission.end_turn(Purpose::State) && !admission.anyone_waits());
        drop(first);
    }

    /// Frames leave the last quarter of the account to small requests, first frames leave half of it.
    #[test]
    fn a_quarter_for_the_small() {
        let mut admission = admission(100);
        let first = admission.take(conn(0), Purpose::FirstFrame, 50).unwrap();
        assert!(admission.take(conn(3), Purpose::FirstFrame, 1).is_none());
        assert!(admission.take(conn(1), Purpose::Frame, 25).is_some());
        admission.forget(conn(3));
        drop(first);
        let frame = admission.take(conn(0), Purpose::Frame, 75).unwrap();
        assert!(admission.take(conn(1), Purpose::Frame, 1).is_none());
        assert!(admission.take(conn(2), Purpose::Batches, 25).is_some());
        drop(frame);
        assert_eq!(admission.begin_turn(Purpose::Frame), Some(conn(1)));
    }

    /// Who is gone holds up nobody.
    #[test]
    fn forget() {
        let mut admission = admission(10);
        let held = admission.take(conn(0), Purpose::State, 10);
        assert!(admission.take(conn(1), Purpose::State, 1).is_none());
        assert!(admission.take(conn(2), Purpose::State, 1).is_none());
        admission.forget(conn(1));
        admission.forget(conn(7));
        drop(held);
        assert_eq!(admission.begin_turn(Purpose::State), Some(conn(2)));
        assert!(!admission.end_turn(Purpose::State) && !admission.anyone_waits());
    }
}
