//! The ZooKeeper door of a whole node, over disks that lose power: order, sessions, ephemerals, watches, bad input.
//!
//! Everything runs from seeds: a failing test prints its seed. `TERN_SEEDS` sets how many schedules are searched.

#[path = "../sim/disk.rs"]
#[allow(dead_code)] // each test binary uses its part
mod disk;

mod client;
mod frames;
mod hostile;
mod memory;
mod operations;
mod rules;
mod world;

/// How many schedules to search: `TERN_SEEDS`, else `usual`.
pub fn seeds(usual: u64) -> u64 {
    std::env::var("TERN_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}
