//! When sessions of ZooKeeper clients expire: the quorum leader's decision, by its own clock.
//!
//! Deadlines are rounded up to a multiple of the tick, as in ZooKeeper, so that a session lives between its timeout and
//! a tick more, and touching it is nearly always no work. Sessions of brokers are not here: they end with the broker.
//! Invariants: at most one decision on a session is under way, at most `DECISIONS_MAX` in all; a decision that came to
//! nothing is tried again after a tick.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::{Session, Sessions};
use crate::types::{Instant, SessionId, Timers};

/// Ends of sessions that are proposed at a time: their ephemerals go in turns, not in one long step.
const DECISIONS_MAX: usize = 32;

/// The timers.
#[derive(Debug)]
pub(super) struct Expiry {
    tick_ms: u64,
    timeouts_ms: BTreeMap<SessionId, u32>,
    deadlines: Timers<SessionId>,
    deciding: BTreeSet<SessionId>,
}

impl Expiry {
    /// No session.
    pub fn new(tick_ms: u64) -> Expiry {
        Expiry {
            tick_ms: tick_ms.max(1),
            timeouts_ms: BTreeMap::new(),
            deadlines: Timers::default(),
            deciding: BTreeSet::new(),
        }
    }

    /// A session began.
    pub fn begin(&mut self, now: Instant, id: SessionId, session: &Session) {
        if session.broker.is_none() {
            self.set_timeout(now, id, session.timeout_ms);
        }
    }

    /// A session ended.
    pub fn end(&mut self, id: SessionId) {
        self.timeouts_ms.remove(&id);
        self.deciding.remove(&id);
        self.deadlines.cancel(id);
    }

    /// Another timeout, counted from now.
    pub fn set_timeout(&mut self, now: Instant, id: SessionId, timeout_ms: u32) {
        self.timeouts_ms.insert(id, timeout_ms);
        self.deadlines.set(id, self.rounded(now, timeout_ms));
    }

    /// Its client was heard of.
    #[inline]
    pub fn touch(&mut self, now: Instant, id: SessionId) {
        if let Some(&timeout_ms) = self.timeouts_ms.get(&id)
            && !self.deciding.contains(&id)
        {
            self.deadlines.set(id, self.rounded(now, timeout_ms));
        }
    }

    /// A leader begins, or a node that has just started: all timers afresh.
    pub fn start_afresh(&mut self, now: Instant, sessions: &Sessions) {
        let negotiated = std::mem::take(&mut self.timeouts_ms);
        *self = Expiry::new(self.tick_ms);
        for (id, session) in sessions.iter() {
            let timeout_ms = negotiated.get(&id).copied().unwrap_or(session.timeout_ms);
            self.begin(now, id, &Session { timeout_ms, ..*session });
        }
    }

    /// A session to be ended; call until `None`.
    pub fn next_expired(&mut self, now: Instant) -> Option<SessionId> {
        if self.deciding.len() >= DECISIONS_MAX {
            return None;
        }
        let id = self.deadlines.expired(now)?;
        self.deciding.insert(id);
        Some(id)
    }

    /// The proposal to end a session has its result.
    pub fn decided(&mut self, now: Instant, id: SessionId, is_alive: bool) {
        self.deciding.remove(&id);
        if is_alive && self.timeouts_ms.contains_key(&id) {
            self.deadlines.set(id, self.rounded(now, 1));
        }
    }

    /// When the next session may expire; when as many as may be are being ended, their results come first.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.deciding.len() >= DECISIONS_MAX { None } else { self.deadlines.next() }
    }

    /// Every session with its deadline, in the order of ids.
    pub fn deadlines(&self) -> impl Iterator<Item = (SessionId, Instant)> + '_ {
        self.deadlines.iter()
    }

    fn rounded(&self, now: Instant, timeout_ms: u32) -> Instant {
        let tick = self.tick_ms * 1000;
        let at = now.plus_millis(u64::from(timeout_ms)).0;
        Instant(at.checked_next_multiple_of(tick).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    const CLIENT: Session = Session { timeout_ms: 4000, broker: None };

    fn at_ms(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    /// Between its timeout and a tick more after the last sign of life, once, and never while a decision is under way.
    #[test]
    fn expires_once() {
        let mut expiry = Expiry::new(2000);
        expiry.begin(at_ms(500), SessionId(1), &CLIENT);
        expiry.begin(at_ms(500), SessionId(2), &Session { broker: Some(NodeId(1)), ..CLIENT });
        expiry.touch(at_ms(2500), SessionId(1));
        assert_eq!(expiry.next_deadline(), Some(at_ms(8000)));
        assert_eq!(expiry.next_expired(at_ms(7999)), None);
        assert_eq!(expiry.next_expired(at_ms(8000)), Some(SessionId(1)));
        expiry.touch(at_ms(8001), SessionId(1));
        assert_eq!((expiry.next_expired(at_ms(90_000)), expiry.next_deadline()), (None, None));
        expiry.decided(at_ms(9000), SessionId(1), true);
        assert_eq!(expiry.next_expired(at_ms(10_000)), Some(SessionId(1)));
        expiry.end(SessionId(1));
        expiry.decided(at_ms(10_000), SessionId(1), false);
        expiry.touch(at_ms(10_000), SessionId(1));
        assert_eq!(expiry.next_deadline(), None);
    }

    /// A bounded number of sessions ends at a time, and all of them in the end.
    #[test]
    fn in_turns() {
        let mut expiry = Expiry::new(1000);
        (1..=100).for_each(|id| expiry.begin(at_ms(0), SessionId(id), &CLIENT));
        let mut ended = 0;
        while ended < 100 {
            let batch: Vec<SessionId> = std::iter::from_fn(|| expiry.next_expired(at_ms(4000))).collect();
            assert!(!batch.is_empty() && batch.len() <= DECISIONS_MAX);
            ended += batch.len();
            batch.into_iter().for_each(|id| expiry.end(id));
        }
    }
}
