//! Acknowledgements that one connection owes, in the order in which its messages came (MQTT 5, section 4.6).
//!
//! A message takes a place when it is appended; its place is settled when the record is durable or refused; places leave
//! from the front. Invariant: nothing leaves before everything that came earlier has left. Bound: the connection's
//! window, which its owner checks before `push`.

use std::collections::VecDeque;

use super::codec::Ack;
use super::errors::Reason;
use crate::types::Slot;

/// Slots of acknowledgements are below this; the door uses the others for questions of its own.
pub const SLOTS: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Place {
    packet_id: u16,
    ack: Ack,
    /// `None` while the record is on its way to the disk.
    settled: Option<Reason>,
}

/// The acknowledgements that wait.
#[derive(Debug, Default)]
pub struct Acks {
    places: VecDeque<Place>,
    /// The slot of the front place.
    front: u32,
    pubacks: usize,
}

impl Acks {
    /// Places taken.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// PUBACKs among them.
    pub fn pubacks(&self) -> usize {
        self.pubacks
    }

    /// The slot that the next `push` takes.
    pub fn next_slot(&self) -> Slot {
        Slot(self.front.wrapping_add(self.places.len() as u32) % SLOTS)
    }

    /// Takes the next place; `settled` when there is nothing to wait for.
    pub fn push(&mut self, packet_id: u16, ack: Ack, settled: Option<Reason>) {
        self.pubacks += (ack == Ack::PubAck) as usize;
        self.places.push_back(Place { packet_id, ack, settled });
    }

    /// Settles the place with that slot: its packet id and kind, or `None` when it has left already.
    pub fn settle(&mut self, slot: Slot, reason: Reason) -> Option<(u16, Ack)> {
        let index = slot.0.wrapping_sub(self.front) % SLOTS;
        let place = self.places.get_mut(index as usize)?;
        place.settled = Some(reason);
        Some((place.packet_id, place.ack))
    }

    /// The front place, if it is settled.
    pub fn ready(&self) -> Option<(Ack, u16, Reason)> {
        let place = self.places.front()?;
        place.settled.map(|reason| (place.ack, place.packet_id, reason))
    }

    /// Lets the front place leave.
    pub fn pop(&mut self) {
        if let Some(place) = self.places.pop_front() {
            self.front = (self.front + 1) % SLOTS;
            self.pubacks -= (place.ack == Ack::PubAck) as usize;
        }
    }

    /// The slots and packet ids of PUBRECs that are not settled.
    pub fn unsettled_pubrecs(&self) -> impl Iterator<Item = (Slot, u16)> {
        let front = self.front;
        self.places.iter().enumerate().filter_map(move |(index, place)| {
            let waits = place.ack == Ack::PubRec && place.settled.is_none();
            waits.then_some((Slot(front.wrapping_add(index as u32) % SLOTS), place.packet_id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    /// Whatever order records become durable in, acknowledgements leave in the order of the messages, over the
    /// wrap-around of slots too.
    #[test]
    fn order() {
        let mut rng = Rng::new(5);
        let mut acks = Acks { front: SLOTS - 50, ..Acks::default() };
        let (mut pushed, mut popped, mut open) = (0u16, 0u16, Vec::new());
        while popped < 1000 {
            if pushed < 1000 && acks.len() < 16 && rng.one_in(2) {
                open.push(acks.next_slot());
                pushed += 1;
                acks.push(pushed, Ack::PubAck, None);
            } else if !open.is_empty() {
                let slot = open.swap_remove(rng.below(open.len() as u64) as usize);
                assert!(acks.settle(slot, Reason::Success).is_some());
            }
            while let Some((_, packet_id, _)) = acks.ready() {
                acks.pop();
                popped += 1;
                assert_eq!(packet_id, popped);
            }
        }
        assert_eq!((acks.len(), acks.pubacks()), (0, 0));
        assert_eq!(acks.settle(Slot(3), Reason::Success), None);
    }
}
