//! The house loses its power while everybody writes, again and again: what was acknowledged is on the disks.

use crate::board::Settings;
use crate::run::{formed, populate, settle};

const SECOND: u64 = 1_000_000;

/// Five power cuts of all boards at once, each in the middle of something.
#[test]
fn power_fails_everywhere() {
    for seed in 0..5 {
        println!("seed {seed}");
        let mut world = formed(seed, Settings { boards: 3, replication: 3, min_insync: 2 });
        populate(&mut world);
        for _ in 0..5 {
            let micros = 2 * SECOND + world.rng.below(2 * SECOND);
            world.run_until(world.now + micros);
            (0..3).for_each(|board| world.fail_power(board));
        }
        settle(&mut world);
    }
}
