//! Topics of one and of two copies on three boards: whoever listens, at whatever board, hears all sensors, also when the board
//! that leads what they publish to loses its power.

use tern::types::PartitionIndex;

use crate::board::Settings;
use crate::run::{formed, populate, settle};
use crate::world::World;

const SECOND: u64 = 1_000_000;

fn leader(world: &World, partition: i32) -> Option<usize> {
    let engine = world.boards.iter().find_map(|board| board.node.as_ref())?.engine();
    Some(engine.view().partition("mqtt", PartitionIndex(partition))?.leader?.0 as usize - 1)
}

fn story(seed: u64) {
    println!("seed {seed}");
    let mut world = formed(seed, Settings { boards: 3, replication: 1 + seed as usize % 2, min_insync: 1 });
    populate(&mut world);
    world.run_until(world.now + 4 * SECOND);
    let before = world.history.publishers.delivered;
    for partition in 0..2 {
        let board = leader(&world, partition).expect("somebody leads");
        world.fail_power(board);
        world.run_until(world.now + 4 * SECOND);
    }
    settle(&mut world);
    assert!(before > 50 && world.history.publishers.delivered > 2 * before, "listeners hear too little");
}

/// Six stories, or as many as `TERN_SEEDS` says.
#[test]
fn every_board_hears_all_sensors() {
    let seeds = crate::number("TERN_SEEDS").unwrap_or(6).min(100);
    (0..seeds).for_each(story);
}
