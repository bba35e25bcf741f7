//! Sessions of brokers: kept alive by messages to the quorum leader, who alone lets them expire, by its own clock.
//!
//! The leader's own session needs no message. A new leader gives everybody a whole timeout. A broker that has not heard
//! for its whole timeout that the leader took note must assume that it is taken for gone: `lease_until` says from when.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::Sessions;
use crate::types::{Instant, NodeId, Now, SessionId, Term};

/// A part of the timeout by which a broker's own clock may run slower than the leader's.
const DRIFT_PARTS: u64 = 16;

/// Both sides of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct BrokerSessions {
    /// The leader's view: when each expires. Empty on others.
    deadlines: BTreeMap<SessionId, Instant>,
    /// Ends that are proposed.
    ending: BTreeSet<SessionId>,
    leading: Option<Term>,
    /// When this broker sent the last message that the leader has taken note of.
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

    /// What became of the proposal to end it.
    pub fn ended(&mut self, id: SessionId) {
        self.ending.remove(&id);
    }

    /// True when a message to the leader is due, every `interval_ms`.
    pub fn wants_touch(&mut self, now: Now, interval_ms: u64) -> bool {
        let is_due = self.next_touch.is_none_or(|at| at <= now.mono);
        if is_due {
            self.next_touch = Some(now.mono.plus_millis(interval_ms));
        }
        is_due
    }

    /// The leader has noted what this broker sent then.
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
        if self.leading.is_some() { expiry } else { self.next_touch }
    }
}
