//! Compacted logs on a disk whose power fails between any two calls: the newest value of every key survives, no older one
//! comes back after it, tombstones stay as long as they must, producers' sequences are kept, offsets never change, and
//! readers that are at it while segments are swapped see what they should.
//!
//! `TERN_SEEDS=COUNT` tries more seeds, `TERN_SEED=N` exactly one.

#[allow(dead_code, reason = "another test uses the rest of it")]
#[path = "../sim/disk.rs"]
mod disk;
mod keyed;
mod stories;
mod world;

use world::{Setup, World};

/// Seeds of every test in an ordinary run: some ten seconds on two cores, without optimisation.
const SEEDS: u64 = 100;

fn for_each_seed(test: &str, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("TERN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TERN_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("seed {seed} failed; again with: TERN_SEED={seed} cargo test --test compaction {test}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Keyed appends, compaction, deletion of records and reads, under power cuts, kills and clean stops.
#[test]
fn power_cuts() {
    for_each_seed("power_cuts", |seed| _ = World::new(seed, Setup::default()).run(4, 250));
}

/// A map of keys that holds a few of them at a time: many runs instead of one.
#[test]
fn small_map() {
    for_each_seed("small_map", |seed| _ = World::new(seed, Setup { map_bytes: 300, ..Setup::default() }).run(2, 250));
}

/// A disk that is full, read-only or failing from time to time.
#[test]
fn refusing_disk() {
    for_each_seed("refusing_disk", |seed| {
        _ = World::new(seed, Setup { refuses: true, ..Setup::default() }).run(3, 200)
    });
}

/// What the worlds above do is not nothing: records are removed, tombstones too, and segments are merged.
#[test]
fn something_happens() {
    let mut all = world::Tally::default();
    for seed in 0..40 {
        all.add(World::new(seed, Setup::default()).run(3, 250));
    }
    assert!(all.removed > 1000 && all.tombstones_removed > 10 && all.empty_batches > 20, "{all:?}");
    assert!(all.swaps_cut > 0 && all.rereads > 0, "{all:?}");
}
