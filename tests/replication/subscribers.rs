//! Live subscribers of each board: what they are told is checked as it comes.

use bytes::Bytes;
use tern::broker::replication::Message;
use tern::record::{Batches, open};
use tern::types::Offset;

use super::checks::records;
use super::controller::TOPIC;
use super::world::{NODES, PARTITIONS, World, key};

/// Those of one board, in one life of it.
pub struct Subscribers {
    /// There are any.
    pub are_there: bool,
    /// What they are to be told: of each partition what lies above.
    pub from: [Offset; PARTITIONS],
    /// They have been told something of it, and so whatever follows.
    pub is_told: [bool; PARTITIONS],
}

impl Default for Subscribers {
    fn default() -> Subscribers {
        Subscribers::since([Offset(0); PARTITIONS])
    }
}

impl Subscribers {
    /// They come, and are told nothing that lies below.
    pub fn since(from: [Offset; PARTITIONS]) -> Subscribers {
        Subscribers { are_there: true, from, is_told: [false; PARTITIONS] }
    }
}

impl World {
    /// Behind the last record that was acknowledged and lies on the disk of a board, unless bits flip there; behind the last
    /// one of a partition that lies elsewhere.
    pub fn known_end(&self, which: usize, partition: usize) -> Offset {
        if which == self.rots_at && self.copies == NODES.len() {
            return Offset(0);
        }
        let state = &self.controller.now.topics[TOPIC].partitions[partition];
        if !state.replicas.contains(&self.nodes[which].id) {
            let known = self.acknowledged.range((partition, Offset(0))..=(partition, Offset(i64::MAX))).next_back();
            return known.map_or(Offset(0), |((_, last), _)| last.plus(1));
        }
        let content = self.content(which, partition);
        let mut known = Offset(0);
        let mut scratch = Vec::new();
        for batch in Batches::new(&content).map_while(Result::ok) {
            for record in open(&batch, &mut scratch, 1 << 20).unwrap().map_while(Result::ok) {
                let place = (partition, record.offset);
                if self.acknowledged.get(&place).is_some_and(|value| Some(&value[..]) == record.value) {
                    known = record.offset.plus(1);
                }
            }
        }
        known
    }

    /// The last subscriber of a board leaves, and perhaps one comes while what was read for that one is on its way.
    pub fn subscribers_change(&mut self, which: usize) {
        let comes = !self.nodes[which].subscribers.are_there || self.rng.one_in(2);
        self.switch_tails(which, false);
        if comes {
            self.switch_tails(which, true);
        }
    }

    /// The last subscriber of a board leaves, or one comes: it is told nothing that was told before, or that its board knows
    /// to be acknowledged.
    pub fn switch_tails(&mut self, which: usize, on: bool) {
        let Some(last) = self.nodes[which].seen.checked_sub(1) else { return };
        let cluster = self.controller.log[last].1.clone();
        self.with(which, |broker, _, _| broker.set_tails(on, &cluster));
        self.nodes[which].subscribers.are_there = on;
        if on {
            let known = std::array::from_fn(|partition| {
                let before = self.nodes[which].subscribers.from[partition];
                let view = self.nodes[which].broker.as_ref().and_then(|broker| broker.view(key(broker, partition)?));
                before.max(view.map_or_else(|| self.known_end(which, partition), |view| view.high_watermark))
            });
            self.nodes[which].subscribers = Subscribers::since(known);
        }
    }

    /// Live subscribers of a board are told records: each once and in order, and none is left out unless its bits flipped.
    pub fn told(&mut self, which: usize, partition: usize, batches: &[Bytes]) {
        let node = &mut self.nodes[which];
        let is_here = node.broker.as_ref().is_some_and(|broker| key(broker, partition).is_some());
        for (offset, value) in batches.iter().flat_map(|batch| records(batch)) {
            let next = &mut node.subscribers.from[partition];
            assert!(offset >= *next, "subscribers of board {which} are told {offset} again, behind {next}");
            let is_first = !std::mem::replace(&mut node.subscribers.is_told[partition], true);
            assert!(
                offset == *next || is_first || self.rots > 0,
                "subscribers of board {which} are told {offset} of {partition}, behind {next}"
            );
            *next = offset.plus(1);
            self.told += 1;
            self.told_from_afar += !is_here as u32;
            let known = self.seen.entry((partition, offset)).or_insert_with(|| value.clone());
            assert_eq!(*known, value, "subscribers of board {which} are told what is not acknowledged");
        }
    }
}

/// Whether a member of the second level would not understand these messages.
pub fn speaks_of_tails(mut bytes: &[u8]) -> bool {
    while let Some((message, rest)) = Message::read(bytes) {
        if let Message::TailFetch { .. } | Message::TailRecords { .. } | Message::TailNotHere { .. } = message {
            return true;
        }
        bytes = rest;
    }
    false
}
