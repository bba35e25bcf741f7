//! Logs on a disk whose power fails between any two calls: nothing that was reported durable is lost or changed, reads
//! return what was appended, indexes agree with their segments, and the same seed gives the same bytes.
//!
//! `TERN_SEEDS=COUNT` tries more seeds, `TERN_SEED=N` exactly one.

#[path = "../sim/disk.rs"]
mod disk;
mod bench;
mod check;
mod damage;
mod events;
mod model;
mod owner;
mod world;

use world::{Setup, World};

/// Seeds of every test in an ordinary run: some twenty seconds on two cores, without optimisation.
const SEEDS: u64 = 1000;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("TERN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TERN_SEEDS").unwrap_or(SEEDS),
    }
}

/// Runs `test` for every seed; a failure names the seed and how to run it again.
fn for_each_seed(test: &str, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds() {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("seed {seed} failed; again with: TERN_SEED={seed} cargo test --test log_crash {test}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Everything that logs of topics do, under power cuts, kills and clean stops.
#[test]
fn power_cuts() {
    for_each_seed("power_cuts", |seed| World::new(seed, Setup::topics()).run(4, 120));
}

/// The quorum's way: one log, no journal, everything on one lane.
#[test]
fn quorum_log() {
    for_each_seed("quorum_log", |seed| World::new(seed, Setup::quorum()).run(4, 60));
}

/// The same with a disk that is full, read-only or failing from time to time.
#[test]
fn refusing_disk() {
    for_each_seed("refusing_disk", |seed| World::new(seed, Setup::refusing()).run(3, 120));
}

/// Batches that are acknowledged before they are synced may be lost, in order, but nothing else may be.
#[test]
fn flush_by_interval() {
    for_each_seed("flush_by_interval", |seed| World::new(seed, Setup::interval()).run(3, 80));
}

/// The same seed gives the same disk, byte for byte.
#[test]
fn same_seed_same_bytes() {
    for seed in seeds().take(50) {
        let image = || {
            let mut world = World::new(seed, Setup::topics());
            world.run(3, 80);
            world.disk.image()
        };
        assert_eq!(image(), image(), "seed {seed}");
    }
}
