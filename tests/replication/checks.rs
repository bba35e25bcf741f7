//! What must hold: of an acknowledgement at its moment, and of everything once the faults are over.

use std::collections::{BTreeMap, BTreeSet};

use tern::effect::Root;
use tern::log::storage::{FileName, FilePath};
use tern::record::{Batches, open};
use tern::types::Offset;

use super::controller::TOPIC;
use super::world::{Node, PARTITIONS, World, key};

impl World {
    /// What is acknowledged now is on every board that the tree, whoever knows of that already, has in sync.
    pub fn check_copies(&self, (partition, offset): (usize, Offset)) {
        let state = &self.controller.now.topics[TOPIC].partitions[partition];
        let is_sound = |node: &&Node| node.id != self.controller.rots && Some(node.id) != self.controller.wiped;
        for node in self.nodes.iter().filter(|node| state.isr.contains(&node.id)).filter(is_sound) {
            let Some(broker) = node.broker.as_ref().filter(|broker| broker.is_ready()) else { continue };
            let end = key(broker, partition).and_then(|key| broker.view(key)).map(|view| view.log_end_offset);
            assert!(end.is_none_or(|end| end > offset), "board {} lacks {offset} of {partition}: {state:?}", node.id);
        }
    }

    /// All replicas are in sync and the same, and everything that was acknowledged is there.
    pub fn check(&mut self) {
        for partition in 0..PARTITIONS {
            let state = self.controller.now.topics[TOPIC].partitions[partition].clone();
            assert_eq!(state.isr.len(), self.copies, "partition {partition}: {state:?}");
            let holders: Vec<usize> = state.isr.iter().map(|node| node.0 as usize - 1).collect();
            let leader = state.leader.expect("somebody leads");
            let views: Vec<_> = holders
                .iter()
                .map(|&which| {
                    let broker = self.nodes[which].broker.as_ref().unwrap();
                    broker.view(key(broker, partition).unwrap()).unwrap()
                })
                .collect();
            let led = &views[state.isr.iter().position(|node| *node == leader).unwrap()];
            assert_eq!(led.high_watermark, led.log_end_offset, "partition {partition} is not acknowledged to its end");
            for view in &views {
                assert_eq!(view.log_end_offset, led.log_end_offset, "partition {partition}");
                assert_eq!(view.high_watermark, led.high_watermark, "partition {partition}");
            }
            for node in &self.nodes {
                let told = node.subscribers.from[partition];
                assert_eq!(told, led.high_watermark, "subscribers of {} are not told all", node.id);
            }
            let contents: Vec<Vec<u8>> = holders.iter().map(|&which| self.content(which, partition)).collect();
            assert!(contents.iter().all(|content| *content == contents[0]), "replicas of {partition} differ");
            let records: BTreeMap<Offset, Vec<u8>> = records(&contents[0]).into_iter().collect();
            self.check_publishers(partition, records.values());
            for ((_, offset), value) in self.seen.iter().filter(|((of, _), _)| *of == partition) {
                assert_eq!(records.get(offset), Some(value), "partition {partition} offset {offset} is lost");
            }
        }
    }

    /// What was published is there once, and in the order of each publisher.
    fn check_publishers<'a>(&self, partition: usize, values: impl Iterator<Item = &'a Vec<u8>>) {
        let mut last: BTreeMap<u64, u32> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for value in values {
            let text = std::str::from_utf8(value).unwrap();
            let Some((publisher, number)) = text.strip_prefix("published ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            let before = last.insert(publisher.parse().unwrap(), number.parse().unwrap());
            assert!(before.is_none_or(|before| before < number.parse().unwrap()), "partition {partition}: {text}");
            found.insert(value.clone());
        }
        for (_, value) in self.publications.iter().filter(|(of, _)| *of == partition) {
            assert!(found.contains(value), "partition {partition}: {:?} is lost", String::from_utf8_lossy(value));
        }
        for node in &self.nodes {
            assert!(node.published.is_empty(), "partition {partition}: a publisher still waits");
        }
    }

    /// The batches of a partition as they lie on a disk.
    pub fn content(&self, which: usize, partition: usize) -> Vec<u8> {
        let dir = format!("{TOPIC}-{partition}");
        let disk = &self.nodes[which].disk;
        let mut segments: Vec<String> = disk.names(Root::Topics, &dir);
        segments.retain(|name| name.ends_with(".log"));
        segments.sort();
        let mut content = Vec::new();
        for name in &segments {
            let base = Offset(name.trim_end_matches(".log").parse().unwrap());
            let path = FilePath { root: Root::Topics, dir: Some(&dir), name: FileName::Log(base) };
            content.extend(disk.content(path).unwrap());
        }
        content
    }
}

/// Offsets and values of all records in whole batches.
pub fn records(bytes: &[u8]) -> Vec<(Offset, Vec<u8>)> {
    let mut all = Vec::new();
    let mut scratch = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch.expect("whole batches");
        for record in open(&batch, &mut scratch, 1 << 20).unwrap() {
            let record = record.unwrap();
            all.push((record.offset, record.value.unwrap_or_default().to_vec()));
        }
    }
    all
}
