//! QoS 2 towards the log: which messages have been received and not released (MQTT 5, section 4.3.3, method B).
//!
//! ```text
//! PUBLISH  -> Appending   the record is on its way to the disk
//! durable  -> Recorded    PUBREC leaves; the same packet id again is answered, not appended
//! PUBREL   -> (gone)      PUBCOMP leaves; the packet id is free
//! ```
//!
//! A connection that ends leaves what it had not released to `Memory`, where a retry on the client's next connection
//! finds it: a PUBLISH with DUP, the same packet id and the same content is answered, not appended. Without session
//! state a client may use a packet id afresh, therefore DUP and content both must agree. The memory is a bounded table:
//! the oldest entry makes room. It does not survive the process: after `kill -9` a retry is a second record, which the
//! headers `mqtt.client_id`, `mqtt.packet_id` and `mqtt.dup` let a consumer recognise.

use std::collections::VecDeque;

use crate::limits::MQTT_REMEMBERED_MAX;
use crate::types::{ConnId, Slot, crc32c};

/// What tells one message's content from another's. Of the payload alone: a retry may name its topic where the first
/// attempt had an alias for it.
pub fn fingerprint(payload: &[u8]) -> u32 {
    crc32c::crc32c(payload)
}

/// A client id, hashed (FNV-1a, 64 bits).
pub fn client_hash(client_id: &str) -> u64 {
    client_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
}

/// Where a received message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// On its way to the disk; no PUBREC yet.
    Appending,
    /// In the log.
    Recorded,
    /// In the log, through an earlier connection of this client.
    Remembered,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    packet_id: u16,
    state: State,
    fingerprint: u32,
}

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A new message.
    New,
    /// A duplicate whose PUBREC will come.
    Appending,
    /// A duplicate of what is in the log: send PUBREC.
    Recorded,
}

/// The messages of one connection that were received and not released. Bound: its owner checks `active` before `add`;
/// remembered entries come from a bounded table.
#[derive(Debug, Default)]
pub struct Received {
    entries: Vec<Entry>,
}

impl Received {
    /// Exchanges that this connection has open.
    pub fn active(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state != State::Remembered).count()
    }

    /// Says what a PUBLISH is. A duplicate of a remembered message becomes this connection's own.
    pub fn judge(&mut self, packet_id: u16, dup: bool, fingerprint: u32) -> Seen {
        let Some(index) = self.position(packet_id) else { return Seen::New };
        let Some(entry) = self.entries.get_mut(index) else { return Seen::New };
        match entry.state {
            State::Appending => Seen::Appending,
            State::Recorded => Seen::Recorded,
            State::Remembered if dup && entry.fingerprint == fingerprint => {
                entry.state = State::Recorded;
                Seen::Recorded
            }
            State::Remembered => {
                self.entries.swap_remove(index);
                Seen::New
            }
        }
    }

    /// A new message is on its way to the disk.
    pub fn add(&mut self, packet_id: u16, fingerprint: u32) {
        self.entries.push(Entry { packet_id, state: State::Appending, fingerprint });
    }

    /// It is in the log.
    pub fn recorded(&mut self, packet_id: u16) {
        if let Some(entry) = self.position(packet_id).and_then(|index| self.entries.get_mut(index)) {
            entry.state = State::Recorded;
        }
    }

    /// It is not and will not be; the packet id is free.
    pub fn failed(&mut self, packet_id: u16) {
        if let Some(index) = self.position(packet_id) {
            self.entries.swap_remove(index);
        }
    }

    /// PUBREL. False: no such exchange.
    pub fn release(&mut self, packet_id: u16) -> bool {
        match self.position(packet_id) {
            Some(index) if self.entries.get(index).is_some_and(|entry| entry.state != State::Appending) => {
                self.entries.swap_remove(index);
                true
            }
            _ => false,
        }
    }

    fn position(&self, packet_id: u16) -> Option<usize> {
        self.entries.iter().position(|entry| entry.packet_id == packet_id)
    }
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    client: u64,
    packet_id: u16,
    fingerprint: u32,
    /// The connection and slot whose acknowledgement is still to come.
    appending: Option<(ConnId, Slot)>,
}

/// What connections that ended had not released. Bound: `MQTT_REMEMBERED_MAX`, the oldest makes room.
#[derive(Debug, Default)]
pub struct Memory {
    entries: VecDeque<Remembered>,
}

impl Memory {
    /// Takes over from a connection that ends. `appending`: the slots and packet ids whose records are still on their
    /// way to the disk.
    pub fn take_over(
        &mut self,
        conn: ConnId,
        client: u64,
        received: &mut Received,
        appending: impl Iterator<Item = (Slot, u16)>,
    ) {
        let slots: Vec<(Slot, u16)> = if received.entries.is_empty() { Vec::new() } else { appending.collect() };
        for entry in received.entries.drain(..) {
            let slot = slots.iter().find(|(_, packet_id)| *packet_id == entry.packet_id);
            let appending = match (entry.state, slot) {
                (State::Appending, Some((slot, _))) => Some((conn, *slot)),
                (State::Appending, None) => continue,
                _ => None,
            };
            if self.entries.len() == MQTT_REMEMBERED_MAX {
                self.entries.pop_front();
            }
            let Entry { packet_id, fingerprint, .. } = entry;
            self.entries.push_back(Remembered { client, packet_id, fingerprint, appending });
        }
    }

    /// Hands what is in the log back to the client's next connection.
    pub fn recall(&mut self, client: u64, received: &mut Received) {
        self.entries.retain(|entry| {
            let Remembered { packet_id, fingerprint, .. } = *entry;
            let take = entry.client == client && entry.appending.is_none();
            if take {
                received.entries.push(Entry { packet_id, state: State::Remembered, fingerprint });
            }
            !take
        });
    }

    /// True when this retry's first attempt is still on its way to the disk: whether it is a duplicate is not known yet.
    pub fn is_appending(&self, client: u64, packet_id: u16, fingerprint: u32) -> bool {
        self.entries.iter().any(|entry| {
            entry.appending.is_some()
                && (entry.client, entry.packet_id, entry.fingerprint) == (client, packet_id, fingerprint)
        })
    }

    /// The acknowledgement of a record whose connection has ended.
    pub fn settle(&mut self, conn: ConnId, slot: Slot, in_log: bool) {
        let index = self.entries.iter().position(|entry| entry.appending == Some((conn, slot)));
        match index {
            Some(index) if in_log => {
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.appending = None;
                }
            }
            Some(index) => _ = self.entries.remove(index),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 1, generation: 1 };

    /// A packet id is one message until it is released.
    #[test]
    fn one_connection() {
        let mut received = Received::default();
        assert_eq!(received.judge(7, false, 1), Seen::New);
        received.add(7, 1);
        assert_eq!(received.judge(7, true, 1), Seen::Appending);
        assert!(!received.release(7));
        received.recorded(7);
        assert_eq!(received.judge(7, true, 1), Seen::Recorded);
        assert!(received.release(7));
        assert!(!received.release(7));
        assert_eq!(received.judge(7, false, 1), Seen::New);
        received.add(8, 1);
        received.failed(8);
        assert_eq!(received.active(), 0);
    }

    /// A retry on the next connection is recognised by DUP, packet id and content; a packet id used afresh is not.
    #[test]
    fn next_connection() {
        let (mut memory, mut received) = (Memory::default(), Received::default());
        for packet_id in [1, 2, 3] {
            received.add(packet_id, 10 + packet_id as u32);
        }
        received.recorded(1);
        received.recorded(2);
        memory.take_over(CONN, 99, &mut received, [(Slot(5), 3)].into_iter());
        let mut next = Received::default();
        memory.recall(99, &mut next);
        assert_eq!(next.active(), 0);
        assert_eq!(next.judge(1, true, 11), Seen::Recorded);
        assert_eq!(next.judge(2, false, 12), Seen::New);
        assert!(memory.is_appending(99, 3, 13));
        memory.settle(CONN, Slot(6), true);
        assert!(memory.is_appending(99, 3, 13));
        memory.settle(CONN, Slot(5), true);
        memory.recall(99, &mut next);
        assert_eq!(next.judge(3, true, 13), Seen::Recorded);
        assert!(memory.entries.is_empty());
    }

    /// The table is bounded, and what failed is forgotten.
    #[test]
    fn bounded() {
        let (mut memory, mut received) = (Memory::default(), Received::default());
        for packet_id in 0..=MQTT_REMEMBERED_MAX as u16 {
            received.add(packet_id, 0);
            received.recorded(packet_id);
            memory.take_over(CONN, 1, &mut received, std::iter::empty());
        }
        assert_eq!(memory.entries.len(), MQTT_REMEMBERED_MAX);
        received.add(9, 0);
        memory.take_over(CONN, 2, &mut received, [(Slot(0), 9)].into_iter());
        memory.settle(CONN, Slot(0), false);
        assert!(!memory.is_appending(2, 9, 0));
    }
}
