//! A board loses its disk while everything is in order, and comes back with an empty one: it copies, votes only when the
//! quorum has let it in again, and nothing that was promised is lost, also when another board goes a moment later.

use tern::types::Rng;

use crate::board::Settings;
use crate::invariants::convergence;
use crate::run::{formed, populate, settle, until};

const SECOND: u64 = 1_000_000;

fn story(seed: u64) {
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let boards = if rng.one_in(3) { 5 } else { 3 };
    let mut world = formed(seed, Settings { boards, replication: 3, min_insync: 2 });
    populate(&mut world);
    world.run_until(world.now + 3 * SECOND);
    for _ in 0..2 {
        until(&mut world, 40, "be in order", |world| convergence::missing(world).map_or(Ok(()), Err));
        let board = rng.below(boards as u64) as usize;
        world.lose_disk(board);
        world.run_until(world.now + 3 * SECOND);
    }
    settle(&mut world);
}

/// Twelve disks are lost, or as many as `TERN_SEEDS` says, and nothing with them.
#[test]
fn a_lost_disk_loses_nothing() {
    let seeds = crate::number("TERN_SEEDS").unwrap_or(6).min(100);
    (0..seeds).for_each(story);
}
