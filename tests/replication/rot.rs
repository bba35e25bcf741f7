//! Bits that flip where everybody has the record: on one board of each world, so that another can always replace it.

use tern::effect::Root;
use tern::log::storage::{FileName, FilePath};
use tern::record::Batches;
use tern::types::Offset;

use super::controller::TOPIC;
use super::world::{NODES, PARTITIONS, World, key};

/// What no checksum covers stands before this: offset, length, epoch, and the format.
const UNCHECKED_BYTES: usize = 17;

impl World {
    /// Flips a bit in a batch that all three boards have on their disks, and that is not the last.
    pub fn rot(&mut self) {
        let which = self.rots_at;
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let state = &self.controller.now.topics[TOPIC].partitions[partition];
        if state.isr.len() < NODES.len() || self.nodes[which].disk.is_off {
            return;
        }
        let views = self.nodes.iter().map(|node| {
            let broker = node.broker.as_ref()?;
            broker.view(key(broker, partition)?)
        });
        let Some(views) = views.collect::<Option<Vec<_>>>() else { return };
        let below = views.iter().map(|view| view.high_watermark).min().unwrap();
        let dir = format!("{TOPIC}-{partition}");
        let disk = &mut self.nodes[which].disk;
        let mut places = Vec::new();
        for name in disk.names(Root::Topics, &dir).iter().filter(|name| name.ends_with(".log")) {
            let base = Offset(name.trim_end_matches(".log").parse().unwrap());
            let path = FilePath { root: Root::Topics, dir: Some(&dir), name: FileName::Log(base) };
            let mut position = 0;
            for batch in Batches::new(&disk.content(path).unwrap()).map_while(Result::ok) {
                let bytes = batch.bytes().len();
                let is_followed = batch.next_offset() < below;
                if is_followed && batch.check_crc().is_ok() {
                    places.push((base, position, bytes));
                }
                position += bytes;
            }
        }
        if places.is_empty() {
            return;
        }
        let (base, position, bytes) = places[self.rng.below(places.len() as u64) as usize];
        let at = UNCHECKED_BYTES + self.rng.below((bytes - UNCHECKED_BYTES) as u64) as usize;
        let path = FilePath { root: Root::Topics, dir: Some(&dir), name: FileName::Log(base) };
        disk.rot(path, (position + at) as u64);
        self.rots += 1;
    }

    /// Reads every partition where it is led, from its beginning, so that all damage is found. `turn` shifts who leads.
    pub fn sweep(&mut self, turn: Option<usize>) {
        for partition in 0..PARTITIONS {
            if let Some(turn) = turn {
                self.sweeps.clear();
                self.controller.prefer(partition, NODES[(partition + turn) % NODES.len()]);
            }
            for which in 0..NODES.len() {
                let from = self.sweeps.get(&(which, partition)).copied().unwrap_or(Offset(0));
                let slot = self.next_slot;
                self.next_slot += 1;
                let asked = self.with(which, |broker, _, fx| {
                    let key = key(broker, partition)?;
                    let from = from.max(broker.view(key)?.log_start_offset);
                    broker.read(key, from, 16384, super::world::waiter(slot), fx).ok()?;
                    Some(from)
                });
                if let Some(Some(from)) = asked {
                    self.nodes[which].reads.insert(slot, (partition, from));
                }
            }
        }
    }
}
