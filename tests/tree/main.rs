//! The tree over a real engine whose disks lose power: what a client was told is there afterwards, snapshots and all.

#[path = "../sim/disk.rs"]
#[allow(dead_code)] // each test binary uses its part
mod disk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use disk::SimDisk;
use tern::config::Config;
use tern::coordinator::acl::Acl;
use tern::coordinator::{CreateMode, Op, OpResult, Outcome, Txn};
use tern::effect::{DiskOp, Effect, Effects, Lane, Root};
use tern::engine::{Completion, Door, Engine, Waiter};
use tern::log::job;
use tern::log::storage::FilePath;
use tern::memory::Accounts;
use tern::types::{ConnId, Instant, Now, Rng, Slot, Ticket, Timestamp};

/// Enough for the quorum's log to outgrow its bound every seventy transactions.
const DATA_BYTES: usize = 60_000;
const PATHS: u64 = 20;

struct World {
    rng: Rng,
    now: u64,
    disk: SimDisk,
    engine: Engine,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    /// By slot: which path, and the value.
    waiting: BTreeMap<u32, (u64, u8)>,
    /// The version that a client was told last, by path.
    told: BTreeMap<u64, i32>,
    next_slot: u32,
    count: usize,
}

fn engine(seed: u64) -> Engine {
    let config = Config::default();
    let accounts = Accounts::new(&config.memory);
    Engine::new(Arc::new(config), &accounts, Timestamp(1_700_000_000_000), seed)
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            rng: Rng::new(seed),
            now: 0,
            disk: SimDisk::new(seed),
            engine: engine(seed),
            lanes: BTreeMap::new(),
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            next_slot: 0,
            count: 0,
        };
        world.start();
        world
    }

    fn at(&self) -> Now {
        Now { mono: Instant(self.now * 1000), wall: Timestamp(1_800_000_000_000 + self.now as i64) }
    }

    fn drive(&mut self, act: impl FnOnce(&mut Engine, Now, &mut Effects)) {
        let now = self.at();
        let mut fx = Effects::default();
        act(&mut self.engine, now, &mut fx);
        while let Some((waiter, completion)) = self.engine.next_completion() {
            let Completion::Proposed(result) = completion else { panic!("{completion:?}") };
            let (path, _) = self.waiting.remove(&waiter.slot.0).unwrap();
            let Ok(result) = result else { continue };
            let version = match result.outcome.unwrap() {
                Outcome::One(OpResult::Stat(stat)) => stat.version,
                Outcome::One(OpResult::Created { stat, .. }) => stat.version,
                other => panic!("{other:?}"),
            };
            assert!(self.told.insert(path, version).is_none_or(|before| before < version));
            self.count += 1;
        }
        for effect in fx.take() {
            match effect {
                Effect::Disk { lane, ticket, op } => self.lanes.entry(lane).or_default().push_back((ticket, op)),
                Effect::Fatal { sentence } => panic!("{sentence}"),
                _ => {}
            }
        }
    }

    fn start(&mut self) {
        self.drive(|engine, now, fx| engine.start(now, fx));
    }

    fn crash(&mut self) {
        self.lanes.clear();
        self.waiting.clear();
        self.disk.power_cut(&mut self.rng);
        self.engine = engine(self.rng.next());
        self.start();
    }

    fn disk_step(&mut self) {
        let lanes: Vec<Lane> = self.lanes.iter().filter(|(_, ops)| !ops.is_empty()).map(|(lane, _)| *lane).collect();
        if lanes.is_empty() {
            return;
        }
        let lane = lanes[self.rng.below(lanes.len() as u64) as usize];
        let (ticket, op) = self.lanes.get_mut(&lane).unwrap().pop_front().unwrap();
        let result = job::run(op, &mut self.disk);
        if self.disk.is_off {
            return self.crash();
        }
        self.drive(|engine, now, fx| engine.disk_done(now, ticket, result, fx));
    }

    fn write(&mut self) {
        let path = self.rng.below(PATHS);
        let value = self.rng.next() as u8;
        let name = format!("/n{path}");
        let data = Some(vec![value; self.rng.below(DATA_BYTES as u64) as usize]);
        // A second creation of one path in a turn would fail, and nothing is to fail here.
        let is_new = self.engine.tree().get(&name).is_none();
        if is_new && self.waiting.values().any(|(other, _)| *other == path) {
            return;
        }
        let op = match is_new {
            true => Op::Create { path: name, data, acl: Acl::open(), mode: CreateMode::Persistent },
            false => Op::SetData { path: name, data, version: -1 },
        };
        let slot = self.next_slot;
        self.next_slot += 1;
        self.waiting.insert(slot, (path, value));
        let conn = ConnId { index: 0, generation: 0 };
        let waiter = Waiter { door: Door::ZooKeeper, conn, slot: Slot(slot) };
        self.drive(|engine, now, fx| engine.propose(now, Txn::by_node(op), waiter, fx));
    }

    fn step(&mut self, faults: bool) {
        match self.rng.below(16) {
            0..=2 if self.engine.is_ready() => self.write(),
            0..=5 => self.drive(|engine, now, fx| engine.turn_end(now, fx)),
            6..=14 => self.disk_step(),
            _ => {
                self.now += self.rng.below(20);
                let is_due = self.engine.next_deadline().is_some_and(|at| at <= self.at().mono);
                if is_due {
                    self.drive(|engine, now, fx| engine.on_time(now, fx));
                }
            }
        }
        if faults && self.rng.one_in(400) {
            self.disk.calls_until_power_cut = Some(self.rng.below(100));
        }
    }

    fn check(&self) {
        for (path, told) in &self.told {
            let znode = self.engine.tree().get(&format!("/n{path}"));
            let version = znode.unwrap_or_else(|| panic!("/n{path} is gone")).stat().version;
            assert!(version >= *told, "/n{path}: {version} after {told}");
        }
    }
}

/// Two seeds, or as many as `TERN_SEEDS` says.
#[test]
fn what_was_told_is_there() {
    let seeds = std::env::var("TERN_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(2u64);
    let mut snapshots = 0;
    for seed in 0..seeds {
        println!("seed {seed}"); // shown when it fails
        let mut world = World::new(seed);
        let mut lives = 0;
        for _ in 0..4000 {
            let was_ready = world.engine.is_ready();
            world.step(true);
            if !was_ready && world.engine.is_ready() {
                world.check();
                lives += 1;
            }
        }
        world.disk.calls_until_power_cut = None;
        for _ in 0..1500 {
            world.step(false);
        }
        world.check();
        assert!(world.engine.is_ready() && lives > 2 && world.count > 150, "{lives} lives, {} writes", world.count);
        // The log holds no more than its bound and what came while a snapshot was written.
        let bytes = world.engine.quorum_log_bytes();
        assert!(bytes < 16 << 20, "{bytes}");
        let state = world.disk.content(FilePath::in_root(Root::Coordinator, "quorum-state")).unwrap();
        snapshots += tern::quorum::decode_state(&state).unwrap().snapshot.is_some() as u64;
    }
    assert!(snapshots * 2 >= seeds, "{snapshots}");
}
