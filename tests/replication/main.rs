//! Three brokers in one thread, from one seed: power cuts between any two calls of a disk, full disks, links that break one
//! way, views of the tree that are late, sessions that expire, disks that are lost, replicas that move, bits that rot. What
//! was acknowledged is never lost or changed, what was read stays, and after the faults all replicas are the same. The same
//! seed gives the same run.

#[path = "../sim/disk.rs"]
#[allow(dead_code)] // each test binary uses its part
mod disk;

mod checks;
mod clients;
mod controller;
mod cut;
mod directed;
mod doubt;
mod full;
mod late_read;
mod moves;
mod remote;
mod rot;
mod subscribers;
mod world;

use world::World;

/// The first twenty, or so many (`TERN_SEEDS=1000`), or one (`TERN_SEED=77`).
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("TERN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TERN_SEEDS").unwrap_or(20),
    }
}

fn run(seed: u64, steps: usize) -> World {
    println!("seed {seed}: TERN_SEED={seed} cargo test --test replication"); // shown when it fails
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step(true);
    }
    world.settle(6000);
    // What rots now is met while other things go wrong.
    for number in 0..steps / 2 {
        if number % 200 == 0 {
            (0..3).for_each(|_| world.rot());
            world.sweep(Some(number / 200));
        } else if number % 10 == 0 {
            world.sweep(None);
        }
        world.step(true);
    }
    world.settle(6000);
    world.check();
    world
}

/// Whatever breaks, nothing acknowledged is lost; whatever heals, converges.
#[test]
fn nothing_acknowledged_is_lost() {
    let mut totals = [0; 13];
    for seed in seeds() {
        let world = run(seed, 6000);
        let counts = [
            world.acknowledged.len() as u32,
            world.publications.len() as u32,
            world.controller.elections,
            world.controller.shrinks,
            world.controller.expansions,
            world.crashes,
            world.spoils,
            world.wipes,
            world.controller.moves_begun,
            world.controller.moves_done,
            world.rots,
            world.damages,
            world.told,
        ];
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    println!(
        "acknowledged, published, elections, shrinks, expansions, crashes, failed rounds, lost disks, moves begun, moves \
         done, bits rotten, damage met, told to live subscribers: {totals:?}"
    );
    let enough = seeds().count() as u32;
    assert!(enough < 20 || totals.iter().all(|total| *total >= enough / 2), "the faults do not happen: {totals:?}");
}

/// The same seed gives the same disk operations, byte for byte.
#[test]
fn same_seed_same_run() {
    assert_eq!(run(5, 2000).trace, run(5, 2000).trace);
}
