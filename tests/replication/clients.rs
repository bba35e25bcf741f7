//! What clients of a board do, and what they are told: producers, publishers by MQTT, consumers.

use bytes::Bytes;
use tern::broker::{Acks, Answer, ReadError};
use tern::memory::Grant;
use tern::record::{BatchBuilder, NewRecord};
use tern::types::{LeaderEpoch, Offset, PartitionIndex};

use super::checks::records;
use super::controller::TOPIC;
use super::world::{PARTITIONS, World, key, waiter};

impl World {
    pub fn produce(&mut self, which: usize) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let slot = self.next_slot;
        self.next_slot += 1;
        let value = format!("{slot} {}", "x".repeat(self.rng.below(300) as usize)).into_bytes();
        let mut builder = BatchBuilder::new(1 << 20);
        let wall = self.at().wall;
        builder.push(&NewRecord { timestamp: wall, key: None, value: Some(&value), headers: &[] }).unwrap();
        let batch = builder.seal(Offset(0), LeaderEpoch(0));
        let acks = if self.rng.one_in(8) { Acks::Leader } else { Acks::All };
        let waiter = (acks == Acks::All).then_some(waiter(slot));
        let appended = self.with(which, |broker, now, _| {
            let key = key(broker, partition)?;
            broker.append(now, key, batch, Grant::none(), acks, waiter).ok()
        });
        if let (Some(Some(_)), true) = (appended, waiter.is_some()) {
            self.nodes[which].produced.insert(slot, (partition, value));
        }
    }

    /// A client of the board, which knows no leaders, publishes the next number of its series.
    pub fn publish(&mut self, which: usize) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let slot = self.next_slot;
        self.next_slot += 1;
        let value = format!("published {} {slot}", self.nodes[which].publishers[partition]).into_bytes();
        let topic = self.controller.now.topics[TOPIC].clone();
        let wall = self.at().wall;
        let taken = self.with(which, |broker, now, _| {
            let key = broker.publish_key(&topic, PartitionIndex(partition as i32))?;
            let record = NewRecord { timestamp: wall, key: None, value: Some(&value), headers: &[] };
            broker.append_record(now, key, record, Some(waiter(slot))).ok()
        });
        if let Some(Some(_)) = taken {
            self.nodes[which].published.insert(slot, (partition, value));
        }
    }

    pub fn consume(&mut self, which: usize) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let slot = self.next_slot;
        self.next_slot += 1;
        let chance = self.rng.next();
        let asked = self.with(which, |broker, _, fx| {
            let key = key(broker, partition)?;
            let view = broker.view(key)?;
            let span = (view.high_watermark.0 - view.log_start_offset.0).max(0) as u64;
            let from = view.log_start_offset.plus((chance % (span + 1)) as i64);
            broker.read(key, from, 4096, waiter(slot), fx).ok()?;
            Some(from)
        });
        if let Some(Some(from)) = asked {
            self.nodes[which].reads.insert(slot, (partition, from));
        }
    }

    pub fn answered(&mut self, which: usize, slot: u32, answer: Answer) {
        match answer {
            Answer::Appended(result) => {
                if let Some(published) = self.nodes[which].published.remove(&slot) {
                    // Nothing here makes a leader refuse for good: whoever publishes waits, or its board dies.
                    result.expect("a publication is never refused");
                    return self.publications.push(published);
                }
                let Some((partition, value)) = self.nodes[which].produced.remove(&slot) else { return };
                if let Ok(at) = result {
                    let place = (partition, at.base_offset);
                    let before = self.acknowledged.insert(place, value.clone());
                    assert!(before.is_none_or(|before| before == value), "{place:?} was acknowledged twice");
                    self.check_copies(place);
                    self.saw(place, value);
                }
            }
            Answer::Tail { partition, batches, .. } => self.told(which, partition.0 as usize, &batches),
            Answer::Read { result, .. } => {
                let Some((partition, from)) = self.nodes[which].reads.remove(&slot) else { return };
                match result {
                    Ok(data) => {
                        let last = records(&data.bytes).last().map(|(offset, _)| offset.plus(1));
                        if let Some(next) = last {
                            self.sweeps.insert((which, partition), next);
                        }
                        self.read(partition, from, &data.bytes, data.high_watermark);
                    }
                    Err(ReadError::Damaged(sentence)) => {
                        assert!(self.rots > 0 && which == self.rots_at, "{sentence}");
                        self.damages += 1;
                    }
                    Err(_) => {}
                }
            }
            _ => {}
        }
    }

    /// A record that a client knows to lie somewhere lies there for ever.
    fn saw(&mut self, place: (usize, Offset), value: Vec<u8>) {
        let known = self.seen.entry(place).or_insert_with(|| value.clone());
        assert_eq!(*known, value, "{place:?} has changed");
    }

    fn read(&mut self, partition: usize, from: Offset, bytes: &Bytes, high_watermark: Offset) {
        for (offset, value) in records(bytes) {
            assert!(offset < high_watermark);
            if offset >= from {
                self.saw((partition, offset), value);
            }
        }
    }
}
