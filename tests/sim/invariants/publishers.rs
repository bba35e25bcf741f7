//! MQTT order per publisher: what one connection published lies in its partition once and in that order, whatever became of
//! leaders; over connections the first copies are in order; what was acknowledged is there. Listeners see the same order, and
//! nothing that is not there; when everything has healed, whoever listens hears everything that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::records::open_batches;

/// A client and the number of its connection.
type Connection = (usize, u32);

/// What sensors were told, and what listeners have heard.
#[derive(Default)]
pub struct Publishers {
    acknowledged: BTreeSet<(usize, u64)>,
    /// By listener's connection, publisher and its connection: the number heard last.
    heard: BTreeMap<(Connection, Connection), u64>,
    pub delivered: u64,
    told: BTreeSet<(usize, u64)>,
    /// Of each listener's connection that is subscribed: what was published since and was not heard yet.
    owed: BTreeMap<Connection, BTreeSet<(usize, u64)>>,
    /// Everything has healed: what is published from now on must be heard.
    pub is_whole: bool,
}

fn parse(payload: &[u8]) -> ((usize, u32), u64) {
    let text = std::str::from_utf8(payload).expect("a sensor's text");
    let mut parts = text.split(' ').map(|part| part.parse::<u64>().expect("a number"));
    let mut next = || parts.next().expect("three numbers");
    ((next() as usize, next() as u32), next())
}

impl Publishers {
    pub fn acknowledged(&mut self, publisher: usize, number: u64) {
        self.acknowledged.insert((publisher, number));
    }

    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// A sensor has published a message, for the first time.
    pub fn sent(&mut self, publisher: usize, number: u64) {
        if self.is_whole {
            for owed in self.owed.values_mut() {
                owed.insert((publisher, number));
            }
        }
    }

    /// A listener was told that it hears everything, or is gone.
    pub fn subscribed(&mut self, listener: Connection) {
        self.owed.insert(listener, BTreeSet::new());
    }

    pub fn gone(&mut self, listener: Connection) {
        self.owed.remove(&listener);
    }

    /// A listener has heard a message.
    pub fn delivered(&mut self, listener: Connection, payload: &[u8]) {
        let (publisher, number) = parse(payload);
        self.delivered += 1;
        self.told.insert((publisher.0, number));
        if let Some(owed) = self.owed.get_mut(&listener) {
            owed.remove(&(publisher.0, number));
        }
        let last = self.heard.insert((listener, publisher), number).unwrap_or(0);
        assert!(last < number, "listener {listener:?} hears {number} of {publisher:?} after {last}");
    }

    /// All partitions of the topic as they lie on a disk when everything has healed.
    pub fn check(&self, partitions: &[Vec<u8>]) {
        let mut last: BTreeMap<(usize, u32), u64> = BTreeMap::new();
        let mut first_copies: BTreeMap<usize, u64> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for (offset, payload) in partitions.iter().flat_map(|content| open_batches(content)) {
            let (publisher, number) = parse(&payload);
            let before = last.insert(publisher, number).unwrap_or(0);
            assert!(before < number, "offset {offset}: {number} of {publisher:?} lies behind {before}");
            if found.insert((publisher.0, number)) {
                let before = first_copies.insert(publisher.0, number).unwrap_or(0);
                assert!(before < number, "offset {offset}: {number} of {publisher:?} comes first after {before}");
            }
        }
        for (publisher, number) in &self.acknowledged {
            assert!(found.contains(&(*publisher, *number)), "{number} of sensor {publisher} is acknowledged and lost");
        }
        for (publisher, number) in &self.told {
            assert!(found.contains(&(*publisher, *number)), "{number} of sensor {publisher} is heard and lost");
        }
        for (listener, owed) in &self.owed {
            let missed = owed.iter().find(|message| self.acknowledged.contains(message));
            assert_eq!(missed, None, "listener {listener:?} never hears that message of a sensor");
        }
    }
}
