//! Who wants to know once when a partition has more to read.
//!
//! Invariant: the two sets mirror each other, so that a partition that moves and a request that ends each find theirs
//! without a search; together they never exceed `capacity` watches. Memory account: "connection state".

use std::collections::BTreeSet;

use super::{Door, PartitionKey, Waiter};
use crate::limits::WATCH_BYTES;
use crate::types::{ConnId, Slot};

/// What one watch takes in both sets, whose nodes are at least half full.
const _: () =
    assert!(2 * (size_of::<(PartitionKey, Waiter)>() + size_of::<(ConnId, Slot, Door, PartitionKey)>()) <= WATCH_BYTES);

/// The watches of all partitions.
#[derive(Debug)]
pub struct Watches {
    capacity: usize,
    by_partition: BTreeSet<(PartitionKey, Waiter)>,
    by_request: BTreeSet<(ConnId, Slot, Door, PartitionKey)>,
}

const FIRST_WAITER: Waiter = Waiter { door: Door::Kafka, conn: ConnId { index: 0, generation: 0 }, slot: Slot(0) };

impl Watches {
    /// Holds at most `capacity` watches.
    pub fn new(capacity: usize) -> Watches {
        Watches { capacity, by_partition: BTreeSet::new(), by_request: BTreeSet::new() }
    }

    /// Adds a watch; false when there are too many. One that exists is not added twice.
    pub fn add(&mut self, key: PartitionKey, waiter: Waiter) -> bool {
        if self.by_partition.contains(&(key, waiter)) {
            return true;
        }
        if self.by_partition.len() >= self.capacity {
            return false;
        }
        self.by_partition.insert((key, waiter));
        self.by_request.insert((waiter.conn, waiter.slot, waiter.door, key));
        true
    }

    /// Takes one watch of a partition; call until `None`.
    pub fn take(&mut self, key: PartitionKey) -> Option<Waiter> {
        let &(found, waiter) = self.by_partition.range((key, FIRST_WAITER)..).next()?;
        if found != key {
            return None;
        }
        self.by_partition.remove(&(found, waiter));
        self.by_request.remove(&(waiter.conn, waiter.slot, waiter.door, key));
        Some(waiter)
    }

    /// Forgets the watches of one request.
    pub fn forget_request(&mut self, conn: ConnId, slot: Slot) {
        self.forget_while((conn, slot), |(found, at)| found == conn && at == slot);
    }

    /// Forgets the watches of a connection.
    pub fn forget_connection(&mut self, conn: ConnId) {
        self.forget_while((conn, Slot(0)), |(found, _)| found == conn);
    }

    fn forget_while(&mut self, first: (ConnId, Slot), belongs: impl Fn((ConnId, Slot)) -> bool) {
        let from = (first.0, first.1, FIRST_WAITER.door, PartitionKey::FIRST);
        while let Some(&(conn, slot, door, key)) = self.by_request.range(from..).next()
            && belongs((conn, slot))
        {
            self.by_request.remove(&(conn, slot, door, key));
            self.by_partition.remove(&(key, Waiter { door, conn, slot }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(conn: u32, slot: u32) -> Waiter {
        Waiter { door: Door::Kafka, conn: ConnId { index: conn, generation: 1 }, slot: Slot(slot) }
    }

    fn taken(watches: &mut Watches, key: u32) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| watches.take(PartitionKey(key))).map(|w| (w.conn.index, w.slot.0)).collect()
    }

    /// A partition wakes exactly its watchers, once; ended requests and connections are not woken.
    #[test]
    fn wake_and_forget() {
        let mut watches = Watches::new(100);
        for key in 0..3 {
            for conn in 0..3 {
                for slot in 0..2 {
                    assert!(watches.add(PartitionKey(key), waiter(conn, slot)));
                }
            }
        }
        watches.forget_request(ConnId { index: 1, generation: 1 }, Slot(0));
        watches.forget_connection(ConnId { index: 2, generation: 1 });
        assert_eq!(taken(&mut watches, 1), [(0, 0), (0, 1), (1, 1)]);
        assert_eq!(taken(&mut watches, 1), []);
        assert_eq!(taken(&mut watches, 0), [(0, 0), (0, 1), (1, 1)]);
        watches.forget_connection(ConnId { index: 0, generation: 1 });
        watches.forget_connection(ConnId { index: 1, generation: 1 });
        assert!(watches.by_partition.is_empty() && watches.by_request.is_empty());
    }

    /// The table is bounded, and a watch counts once however often it is set.
    #[test]
    fn bound() {
        let mut watches = Watches::new(2);
        assert!(watches.add(PartitionKey(0), waiter(0, 0)));
        assert!(watches.add(PartitionKey(0), waiter(0, 0)));
        assert!(watches.add(PartitionKey(0), waiter(0, 1)));
        assert!(!watches.add(PartitionKey(1), waiter(0, 0)));
        assert!(watches.add(PartitionKey(0), waiter(0, 0)));
    }
}
