//! A bit rots on the leader's disk below the high watermark: the batch is fetched again from a replica, and never served.

use tern::effect::Root;
use tern::log::storage::{FileName, FilePath};
use tern::types::{Offset, PartitionIndex};

use crate::board::Settings;
use crate::clients::consumer::Consumer;
use crate::invariants::replicas;
use crate::run::{formed, populate, settle};
use crate::world::World;

const SECOND: u64 = 1_000_000;
const DIR: &str = "records-0";

fn leader(world: &World) -> Option<usize> {
    world.boards.iter().position(|board| {
        let engine = board.node.as_ref().map(|node| node.engine());
        engine.is_some_and(|engine| {
            let key = engine.partition("records", PartitionIndex(0));
            key.and_then(|key| engine.partition_view(key)).is_some_and(|view| view.is_served)
        })
    })
}

/// One flipped bit in each of twenty runs, anywhere in what lies there; everybody reads everything.
#[test]
fn a_rotten_batch_is_repaired() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = formed(seed, Settings { boards: 3, replication: 3, min_insync: 2 });
        populate(&mut world);
        world.run_until(world.now + 4 * SECOND);
        let board = leader(&world).expect("somebody leads");
        let length = replicas::content(&world.boards[board], "records", 0).len() as u64;
        let file = FilePath { root: Root::Topics, dir: Some(DIR), name: FileName::Log(Offset(0)) };
        let position = world.rng.below(length / 2);
        world.boards[board].disk.rot(file, position);
        world.add_client(Box::new(Consumer::new("records", 0)));
        world.run_until(world.now + 3 * SECOND);
        settle(&mut world);
    }
}
