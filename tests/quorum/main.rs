//! Quorums of one and of three in one thread, from one seed: disks lose power between any two calls, messages are lost,
//! doubled and reordered. What was acknowledged is never lost, everybody delivers the same in the same order, and after
//! the faults everything converges. The same seed gives the same run.

#[path = "../sim/disk.rs"]
#[allow(dead_code)] // each test binary uses its part
mod disk;

mod world;

use tern::effect::{DiskOp, Lane, Root};
use tern::log::storage::{FileName, FilePath, Storage};
use tern::quorum::{ENTRY_BYTES_MAX, ProposeError};
use tern::types::{Instant, Offset};
use world::World;

fn run(seed: u64, members: i32, log_bytes_max: u64, steps: usize) -> World {
    println!("seed {seed}"); // shown when it fails
    let mut world = World::new(seed, members, log_bytes_max);
    for _ in 0..steps {
        world.step(true);
        assert_eq!(world.fatal, None);
    }
    let before = world.acknowledged.len();
    world.settle();
    world.check();
    assert!(world.acknowledged.len() > before, "seed {seed}: nothing goes on after the faults");
    world
}

/// The first twenty, or so many (`TERN_SEEDS=1000`), or one (`TERN_SEED=77`).
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("TERN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TERN_SEEDS").unwrap_or(20),
    }
}

/// A single voter keeps what it acknowledged, through snapshots and power cuts.
#[test]
fn alone() {
    let mut totals = (0, 0);
    for seed in seeds() {
        let world = run(seed, 1, 3000, 4000);
        totals = (totals.0 + world.snapshots, totals.1 + world.restored);
    }
    assert!(seeds().count() < 20 || totals.0 > 100 && totals.1 > 20, "{totals:?}");
}

/// Three voters agree: under lost, doubled and late messages, links cut in one direction or both, clocks that jump, disks
/// that are full for a while, power cuts between any two calls of the disk and right after a vote. No term has two leaders,
/// no voter two votes, and whatever a full disk refused, what it took is a directory that a member starts on.
#[test]
fn three() {
    let (mut elections, mut full) = (0, 0);
    for seed in seeds() {
        let world = run(seed, 3, u64::MAX, 12_000);
        (elections, full) = (elections + world.leaders.len(), full + world.full);
    }
    assert!(seeds().count() < 20 || elections > 120 && full > 50, "{elections} elections, {full} full disks");
}

/// The same with a log that is cut behind snapshots, and disks that are lost: who lags too far or knows nothing takes a
/// snapshot over from another member, and a disk that is gone never votes again.
#[test]
fn three_with_snapshots_and_lost_disks() {
    let (mut received, mut wipes) = (0, 0);
    for seed in seeds() {
        let world = run(seed, 3, 1000, 12_000);
        (received, wipes) = (received + world.received, wipes + world.wipes);
    }
    assert!(seeds().count() < 20 || received > 20 && wipes > 10, "{received} snapshots received, {wipes} disks lost");
}

/// The same seed gives the same disk operations, byte for byte.
#[test]
fn same_seed_same_run() {
    for members in [1, 3] {
        let traces: Vec<u32> = (0..2).map(|_| run(7, members, u64::MAX, 3000).trace).collect();
        assert_eq!(traces[0], traces[1]);
    }
}

/// An empty node leads after four syncs, and is idle afterwards: nothing on its lane, no deadline within a
/// minute.
#[test]
fn first_start_is_short_and_idle_is_idle() {
    let mut world = World::new(1, 1, 1 << 20);
    world.start(0);
    let mut operations = 0;
    while !world.members[0].quorum.as_ref().unwrap().is_leader() {
        world.turn_end(0);
        world.disk_step(0);
        operations += 1;
        assert!(operations < 20);
    }
    assert_eq!(world.now, 0);
    for _ in 0..10 {
        world.turn_end(0);
        world.disk_step(0);
    }
    assert!(world.members[0].is_disk_idle());
    let deadline = world.members[0].quorum.as_ref().unwrap().next_deadline();
    assert!(deadline.is_none_or(|at| at >= Instant(60_000_000)), "{deadline:?}");
}

/// A world of one that has led, with so many values acknowledged.
fn world_with(values: usize, log_bytes_max: u64) -> World {
    let mut world = World::new(5, 1, log_bytes_max);
    world.start(0);
    while world.acknowledged.len() < values {
        world.propose(0);
        world.turn_end(0);
        world.disk_step(0);
    }
    while !world.members[0].is_disk_idle() {
        world.disk_step(0);
        world.turn_end(0);
    }
    world
}

/// Starts member 0 again; the sentence with which it refuses, or `None` when it leads.
fn restart(world: &mut World) -> Option<String> {
    world.members[0].quorum = None;
    world.members[0].lanes.clear();
    world.fatal = None;
    world.start(0);
    for _ in 0..200 {
        world.turn_end(0);
        world.disk_step(0);
    }
    assert_eq!(world.members[0].quorum.as_ref().unwrap().is_leader(), world.fatal.is_none());
    world.fatal.take()
}

/// A missing, damaged or foreign file stops the node with a sentence that names it; raft never sees it.
#[test]
fn damaged_files_are_refused() {
    let file = |name: &'static str| FilePath::in_root(Root::Coordinator, name);
    let mut world = world_with(30, 1000);
    let slot = (0..2).find(|slot| {
        let state = world.members[0].disk.content(file("quorum-state")).unwrap().to_vec();
        tern::quorum::decode_state(&state).unwrap().snapshot.unwrap().slot == *slot
    });
    let snapshot = if slot == Some(0) { "quorum-snapshot-0" } else { "quorum-snapshot-1" };
    assert_eq!(restart(&mut world), None);
    for (name, position) in [("quorum-state", 0), ("quorum-state", 12), (snapshot, 3), (snapshot, 20), (snapshot, 40)] {
        let undamaged = world.members[0].disk.clone();
        world.members[0].disk.rot(file(name), position);
        let sentence = restart(&mut world).expect("it is refused");
        assert!(sentence.contains(name), "{sentence}");
        world.members[0].disk = undamaged;
    }
    let undamaged = world.members[0].disk.clone();
    world.members[0].disk.remove(file("quorum-state")).unwrap();
    assert!(restart(&mut world).unwrap().contains("quorum-state is missing"));
    world.members[0].disk = undamaged;
    assert_eq!(restart(&mut world), None);
}

/// Rot in an entry that others knew to be durable stops the node, unless nothing is lost by it: it is never taken for a
/// torn write.
#[test]
fn rot_in_the_log_is_no_torn_tail() {
    let mut world = world_with(30, u64::MAX);
    let log = FilePath { root: Root::Coordinator, dir: Some("__quorum-0"), name: FileName::Log(Offset(0)) };
    let length = world.members[0].disk.content(log).unwrap().len() as u64;
    let before = world.members[0].machine.index;
    for part in 1..120 {
        let undamaged = world.members[0].disk.clone();
        world.members[0].disk.rot(log, length * part / 150);
        match restart(&mut world) {
            Some(sentence) => assert!(sentence.contains("quorum's log"), "{sentence}"),
            None => assert!(world.members[0].machine.index >= before, "cut at {}", length * part / 150),
        }
        world.members[0].disk = undamaged;
    }
    assert_eq!(restart(&mut world), None);
}

/// A full disk refuses proposals, loses nothing, and when there is room again everything goes on.
#[test]
fn a_full_disk() {
    let mut world = world_with(10, u64::MAX);
    world.members[0].disk.capacity_bytes = Some(world.members[0].disk.used_bytes());
    for _ in 0..40 {
        world.propose(0);
        world.turn_end(0);
        world.disk_step(0);
    }
    let before = world.acknowledged.len();
    assert!(before < 20 && !world.members[0].proposed.is_empty());
    let refused = world.members[0].quorum.as_mut().unwrap().propose(vec![1]);
    assert_eq!(refused, Err(ProposeError::Busy));
    world.members[0].disk.capacity_bytes = None;
    for _ in 0..400 {
        world.now += 10;
        world.pass_time(0);
        world.turn_end(0);
        world.disk_step(0);
    }
    assert!(world.members[0].proposed.is_empty() && world.acknowledged.len() > before);
    world.propose(0);
    assert_eq!(world.members[0].proposed.len(), 1);
}

/// A term for which quorum-state found no room stands nowhere else: its entries wait, so that a node whose power fails then
/// starts on what its disk has taken.
#[test]
fn a_term_is_noted_before_its_entries() {
    let mut world = world_with(10, u64::MAX);
    world.members[0].quorum = None;
    world.start(0);
    let mut refused = 0;
    for _ in 0..100 {
        world.turn_end(0);
        let next = world.members[0].lanes.get(&Lane::Quorum).and_then(|lane| lane.front());
        let is_state = next.is_some_and(|(_, op)| matches!(op, DiskOp::WriteFile { .. }));
        refused += is_state as u32;
        world.members[0].disk.capacity_bytes = is_state.then_some(0);
        world.disk_step(0);
    }
    assert!(refused > 0 && !world.members[0].quorum.as_ref().unwrap().is_leader());
    world.members[0].disk.capacity_bytes = None;
    assert_eq!(restart(&mut world), None);
}

/// Proposals are bounded by bytes and by size, and their memory comes back.
#[test]
fn proposals_are_bounded() {
    let mut world = world_with(1, u64::MAX);
    let quorum = world.members[0].quorum.as_mut().unwrap();
    assert_eq!(quorum.propose(vec![0; ENTRY_BYTES_MAX + 1]), Err(ProposeError::TooLarge));
    assert_eq!(quorum.propose(Vec::new()), Err(ProposeError::TooLarge));
    let mut ids = Vec::new();
    let refused = loop {
        match quorum.propose(vec![7; 100_000]) {
            Ok(id) => ids.push(id),
            Err(error) => break error,
        }
    };
    assert!(refused == ProposeError::Busy && (5..=20).contains(&ids.len()), "{}", ids.len());
    world.members[0].proposed.extend(ids.into_iter().map(|id| (id, vec![7; 100_000])));
    for _ in 0..50 {
        world.turn_end(0);
        world.disk_step(0);
    }
    assert!(world.members[0].proposed.is_empty());
    assert_eq!(world.account.used_bytes(), 0);
}

/// A sync that fails ends the node: what is on the disk is unknown.
#[test]
fn a_failed_sync_is_the_end() {
    let mut world = world_with(3, u64::MAX);
    world.members[0].disk.syncs_until_error = Some(0);
    for _ in 0..10 {
        world.propose(0);
        world.turn_end(0);
        world.disk_step(0);
    }
    assert!(world.fatal.unwrap().contains("sync"));
    assert!(!world.members[0].quorum.as_ref().unwrap().is_leader());
}
