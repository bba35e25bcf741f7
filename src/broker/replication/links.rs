//! What waits to be sent to the other brokers, one buffer for each link that is up.
//!
//! Fetches always go (each partition has one at most); whatever else finds no room waits until what was handed over has
//! left, which its grants tell when they are dropped.
//!
//! Invariant: on the way to one link are at most `LINK_BYTES_MAX`, one message of batches, a fetch for each partition, and
//! what was read for live subscribers there at once (`served_tails`).

use std::collections::BTreeMap;

use super::Message;
use crate::memory::{Account, Grant};
use crate::types::NodeId;

/// The first byte of what is handed over: which room of the other side it is for.
pub const ROOM: u8 = 3;

/// Bytes on their way to one link before answers wait.
pub const LINK_BYTES_MAX: usize = 512 * 1024;

/// Bytes on their way to one link before live subscribers there wait: replication always finds room.
pub const TAIL_LINK_BYTES_MAX: usize = LINK_BYTES_MAX / 4;

/// So much goes at once, whatever is on the way.
const COALESCE_BYTES: usize = 16 * 1024;

#[derive(Debug)]
struct Link {
    out: Vec<u8>,
    /// Handed over and not yet known to have left.
    handed: Account,
}

impl Link {
    /// While something is on the way, little things wait for each other: what is on the way is few messages.
    fn is_due(&self) -> bool {
        !self.out.is_empty() && (self.handed.used_bytes() == 0 || self.out.len() >= COALESCE_BYTES)
    }
}

/// The links that are up.
#[derive(Debug, Default)]
pub(in crate::broker) struct Links {
    up: BTreeMap<NodeId, Link>,
    /// Some link has something to hand over.
    is_waiting: bool,
}

impl Links {
    /// A link has come up; nothing of its former life is left.
    pub fn up(&mut self, node: NodeId) {
        self.up.insert(node, Link { out: Vec::new(), handed: Account::new(usize::MAX) });
        self.send(node, &Message::Hello);
    }

    /// A link is gone.
    pub fn down(&mut self, node: NodeId) {
        self.up.remove(&node);
    }

    /// Whether messages to the node go anywhere.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.up.contains_key(&node)
    }

    /// Whether more than a fetch should be put on the way.
    pub fn has_room(&self, node: NodeId) -> bool {
        self.is_up(node) && self.bytes_on_way(node) < LINK_BYTES_MAX
    }

    /// What waits for the link to the node, or is on its way over it.
    pub fn bytes_on_way(&self, node: NodeId) -> usize {
        self.up.get(&node).map_or(0, |link| link.out.len() + link.handed.used_bytes())
    }

    /// Sends a message, if the link is up.
    pub fn send(&mut self, node: NodeId, message: &Message<'_>) {
        if let Some(link) = self.up.get_mut(&node) {
            if link.out.is_empty() {
                link.out.push(ROOM);
            }
            message.write(&mut link.out);
            self.is_waiting = true;
        }
    }

    /// Something waits to be handed over.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// What to hand over to some link now. The grant is to be dropped when it has left.
    pub fn take(&mut self) -> Option<(NodeId, Vec<u8>, Grant)> {
        if !self.is_waiting {
            return None;
        }
        let next = self.up.iter_mut().find(|(_, link)| link.is_due());
        let Some((&node, link)) = next else {
            self.is_waiting = self.up.values().any(|link| !link.out.is_empty());
            return None;
        };
        let bytes = std::mem::take(&mut link.out);
        let grant = link.handed.take(bytes.len()).unwrap_or_default();
        Some((node, bytes, grant))
    }
}
