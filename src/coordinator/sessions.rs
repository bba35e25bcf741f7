//! The sessions alive. When one expires is the quorum leader's decision, which arrives as `CloseSession`; nothing here
//! knows a clock.
//!
//! Memory: `SESSION_BYTES` each, at most `TreeLimits::sessions`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ErrorCode;
use super::tree::{CONTAINER, TTL};
use crate::types::{NodeId, SessionId};

/// What the tree knows about a session besides its ephemerals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// As negotiated, in ms.
    pub timeout_ms: u32,
    /// The broker whose registration it carries; `None` for ZooKeeper clients.
    pub broker: Option<NodeId>,
}

/// All sessions, by id.
#[derive(Debug)]
pub struct Sessions {
    alive: BTreeMap<SessionId, Session>,
    count_max: usize,
}

impl Sessions {
    pub(super) fn new(count_max: usize) -> Sessions {
        Sessions { alive: BTreeMap::new(), count_max }
    }

    /// The session, if it is alive.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.alive.get(&id)
    }

    /// All of them, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.alive.iter().map(|(&id, session)| (id, session))
    }

    /// How many are alive.
    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// True when none is alive.
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub(super) fn set_count_max(&mut self, count_max: usize) {
        self.count_max = count_max;
    }

    /// Refused: ids that the tree stores with another meaning, and one too many. Brokers always fit.
    pub(super) fn open(&mut self, id: SessionId, session: Session) -> Result<(), ErrorCode> {
        if id.0 == 0 || id.0 == CONTAINER || id.0 & TTL == TTL {
            return Err(ErrorCode::BadArguments);
        }
        if self.alive.len() >= self.count_max && session.broker.is_none() && !self.alive.contains_key(&id) {
            return Err(ErrorCode::TreeFull);
        }
        self.alive.insert(id, session);
        Ok(())
    }

    pub(super) fn close(&mut self, id: SessionId) -> Option<Session> {
        self.alive.remove(&id)
    }
}
