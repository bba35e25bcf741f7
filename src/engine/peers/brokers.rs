//! Sessions of brokers: kept alive by messages to the quorum leader, who alone lets them expire, by its own clock.
//!
//! A leader's own session needs no message: it notes the moments at which it asked a majority whether it still leads,
//! and was told so. A new leader gives everybody a whole timeout, from a moment after the last such question. A broker
//! that has not been noted for its whole timeout must assume that it is taken for gone: `lease_until` says from when.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::Sessions;
use crate::types::{Instant, NodeId, Now, SessionId, Term};

/// A part of the timeout by which a broker's own clock may run slower than the leader's.
const DRIFT_PARTS: u64 = 16;

/// How soon an end is proposed again that could not be: at once, a node whose log takes nothing would do nothing else.
const RETRY_MS: u64 = 100;

/// Both sides of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct BrokerSessions {
    /// The leader's view: when each expires. Empty on others.
    deadlines: BTreeMap<SessionId, Instant>,
    /// Ends that are proposed.
    ending: BTreeSet<SessionId>,
    leading: Option<Term>,
    /// When this broker sent the last message that the leader has taken note of, or asked whether it still leads itself.
    noted: Option<Instant>,
    next_touch: Option<Instant>,
}

impl BrokerSessions {
    /// Follows the tree and the leadership; `leading` is the term in which this node leads.
    pub fn follow(&mut self, now: Now, me: NodeId, leading: Option<Term>, sessions: &Sessions) {
        let is_new = self.leading != leading;
        self.leading = leading;
        if leading.is_none() {
            self.deadlines.clear();
            self.ending.clear();
            return;
        }
        if is_new {
            self.deadlines.clear();
            self.ending.clear();
            self.touch_soon();
        }
        self.deadlines.retain(|id, _| sessions.get(*id).is_some_and(|session| session.broker.is_some()));
        for (id, session) in sessions.iter() {
            if session.broker.is_some_and(|broker| broker != me) {
                self.deadlines.entry(id).or_insert_with(|| now.mono.plus_millis(session.timeout_ms.into()));
            }
        }
    }

    /// A broker's message has come.
    pub fn touched(&mut self, now: Now, from: NodeId, id: SessionId, sessions: &Sessions) -> bool {
        let session = sessions.get(id).filter(|session| session.broker == Some(from));
        let (Some(session), Some(_)) = (session, self.leading) else { return false };
        self.deadlines.insert(id, now.mono.plus_millis(session.timeout_ms.into()));
        true
    }

    /// A session that is to be ended; call until `None`.
    pub fn next_expired(&mut self, now: Now) -> Option<SessionId> {
        let expired = self.deadlines.iter().find(|(id, at)| **at <= now.mono && !self.ending.contains(id));
        let id = *expired?.0;
        self.ending.insert(id);
        Some(id)
    }

    /// The proposal to end it has its result. Who lives on is due again after a pause.
    pub fn ended(&mut self, now: Now, id: SessionId) {
        self.ending.remove(&id);
        if let Some(at) = self.deadlines.get_mut(&id) {
            *at = (*at).max(now.mono.plus_millis(RETRY_MS));
        }
    }

    /// True when a message to the leader is due, every `interval_ms`.
    pub fn wants_touch(&mut self, now: Now, interval_ms: u64) -> bool {
        let is_due = self.next_touch.is_none_or(|at| at <= now.mono);
        if is_due {
            self.next_touch = Some(now.mono.plus_millis(interval_ms));
        }
        is_due
    }

    /// The next message does not wait for its time.
    pub fn touch_soon(&mut self) {
        self.next_touch = Some(Instant(0));
    }

    /// The leader has noted what this broker sent then; or this broker, asking then, was the leader.
    pub fn noted(&mut self, sent: Instant) {
        self.noted = self.noted.max(Some(sent));
    }

    /// Until when this broker's session surely lives: nobody else can have been elected in its place before.
    pub fn lease_until(&self, timeout_ms: u64) -> Option<Instant> {
        self.noted.map(|sent| sent.plus_millis(timeout_ms - timeout_ms / DRIFT_PARTS))
    }

    /// When something is to be done.
    pub fn next_deadline(&self) -> Option<Instant> {
        let expiry = self.deadlines.iter().filter(|(id, _)| !self.ending.contains(id)).map(|(_, at)| *at).min();
        expiry.into_iter().chain(self.next_touch).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{Body, By, Changes, Coordinator, TreeLimits, Txn, builders};
    use crate::types::{SessionId, Timestamp};

    const TIMEOUT_MS: u64 = 4000;
    const LIMITS: TreeLimits = TreeLimits { bytes: 4 << 20, sessions: 10 };

    fn at_ms(ms: u64) -> Now {
        Now { mono: Instant(ms * 1000), wall: Timestamp(0) }
    }

    /// A tree in which brokers 1 and 2 have the sessions 1 and 2.
    fn registered() -> Coordinator {
        let mut coordinator = Coordinator::new(LIMITS, 1);
        let format = builders::format_cluster(coordinator.tree(), "AAAAAAAAAAAAAAAAAAAAAA");
        let mut apply = |txn: Txn| {
            let zxid = coordinator.next_zxid(Term(1)).unwrap();
            coordinator.apply(zxid, Timestamp(0), &txn.encode(), &mut Changes::default())
        };
        assert!(apply(format).outcome.is_ok());
        for id in [1, 2] {
            let body = Body::RegisterBroker {
                broker: NodeId(id),
                session: SessionId(id.into()),
                timeout_ms: TIMEOUT_MS as u32,
                registration: b"{}".to_vec(),
            };
            assert!(apply(Txn { by: By::NODE, body }).outcome.is_ok());
        }
        coordinator
    }

    /// A leader that is cut off stops before a new one, elected right after the last answered question, may end its
    /// session, also when the leader's own clock is a little slow.
    #[test]
    fn the_lease_of_a_leader_ends_first() {
        let tree = registered();
        let (mut old, mut new) = (BrokerSessions::default(), BrokerSessions::default());
        old.follow(at_ms(0), NodeId(1), Some(Term(1)), tree.sessions());
        assert!(old.wants_touch(at_ms(0), 500) && old.next_deadline() == Some(Instant(500_000)));
        assert_eq!(old.lease_until(TIMEOUT_MS), None);
        old.noted(at_ms(1000).mono);
        let ends = old.lease_until(TIMEOUT_MS).unwrap();
        new.follow(at_ms(1000), NodeId(2), Some(Term(2)), tree.sessions());
        assert!(new.wants_touch(at_ms(1000), 60_000));
        let expires = new.next_deadline().unwrap();
        assert!(ends < expires && ends.0 + 30_000 < expires.0, "{ends:?} {expires:?}");
        let before = Now { mono: Instant(expires.0 - 1), ..at_ms(0) };
        assert_eq!(new.next_expired(before), None);
        assert_eq!(new.next_expired(Now { mono: expires, ..at_ms(0) }), Some(SessionId(1)));
    }
}
