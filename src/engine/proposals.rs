//! Who proposed what: from the token of a proposal back to whoever waits for its result.
//!
//! Invariant: at most `PROPOSALS_MAX` of doors and commands are under way; the node's own duties are not counted,
//! because each of them has at most one (of expiries, a few).

use std::collections::BTreeMap;

use super::topic_commands::Place;
use super::{PartitionKey, Waiter};
use crate::types::SessionId;

/// Proposals that may be under way at once.
pub(super) const PROPOSALS_MAX: usize = 4096;

/// For whom a transaction was proposed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// A door's own transaction.
    Door(Waiter),
    /// One topic of a command.
    Topic(Place),
    /// A block of producer ids.
    ProducerIds,
    /// One of the node's duties.
    Duty,
    /// What the leader of a partition wishes its state to be, of that version before.
    State(PartitionKey, i32),
    /// The end of a session that was silent for too long.
    Expiry(SessionId),
    /// The end of the session of a broker that was silent for too long.
    BrokerExpiry(SessionId),
    /// The end of this broker's own session, at a clean stop.
    Farewell,
    /// The end of a znode that the sweep found.
    Sweep,
}

/// Proposals under way.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    by_token: BTreeMap<u64, Purpose>,
    last_token: u64,
}

impl Proposals {
    /// A token for a new proposal; `None` when too many are under way.
    pub fn begin(&mut self, purpose: Purpose) -> Option<u64> {
        let is_own = !matches!(purpose, Purpose::Door(_) | Purpose::Topic(_));
        if self.by_token.len() >= PROPOSALS_MAX && !is_own {
            return None;
        }
        self.last_token += 1;
        self.by_token.insert(self.last_token, purpose);
        Some(self.last_token)
    }

    /// The proposal has its result.
    pub fn end(&mut self, token: u64) -> Option<Purpose> {
        self.by_token.remove(&token)
    }
}
