//! One board: its node, its disk and the lanes in front of it, and its two clocks, which are never quite right.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use tern::config::{Config, Facts, Layers, resolve};
use tern::effect::{DiskOp, Lane};
use tern::memory::{Accounts, Table};
use tern::node::{Listener, Node};
use tern::types::{ConnId, Instant, NodeId, Now, Ticket, Timestamp};

use crate::disk::SimDisk;

/// Wall time when a simulation begins.
pub const WALL_MS: i64 = 1_800_000_000_000;

/// tickTime: short, so that a run sees many elections.
pub const TICK_MS: u64 = 400;

/// What all boards of a world are told alike.
#[derive(Clone, Debug)]
pub struct Settings {
    pub boards: usize,
    pub replication: usize,
    pub min_insync: usize,
}

/// One of them.
pub struct Board {
    pub id: NodeId,
    pub config: Config,
    /// None while the board is off.
    pub node: Option<Node>,
    pub accounts: Accounts,
    pub disk: SimDisk,
    pub lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    /// Counts the node's lives.
    pub life: u32,
    pub clock: Clock,
    pub wake_at: Option<Instant>,
    pub is_turn_open: bool,
    /// The process stands still until then.
    pub paused_until: u64,
    /// The disk answers nothing until then.
    pub stalled_until: u64,
    /// What an operation of the disk takes, about.
    pub disk_micros: u64,
    /// The doors are open.
    pub is_ready: bool,
    /// Boards that the node wants to be connected to.
    pub wanted: Vec<usize>,
    pub conns: BTreeMap<ConnId, usize>,
    pub free: Vec<u32>,
    pub next_generation: u32,
    /// A failed sync was ordered: the node must end itself.
    pub may_end: bool,
    /// It shall not be started yet.
    pub is_held: bool,
    /// Sockets with words to be sent at the turn's end.
    pub dirty: Vec<usize>,
}

/// Monotonic time that runs a little fast or slow, and wall time that jumps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    started: u64,
    /// Parts per million by which it is fast.
    pub drift: i64,
    /// Milliseconds by which the wall clock is wrong.
    pub wrong_ms: i64,
}

impl Clock {
    pub fn start(&mut self, at: u64) {
        self.started = at;
    }

    /// Both clocks at a true moment.
    pub fn now(&self, at: u64) -> Now {
        let passed = (at - self.started) as i64;
        let mono = passed + passed / 1_000_000 * self.drift + passed % 1_000_000 * self.drift / 1_000_000;
        Now { mono: Instant(mono as u64), wall: Timestamp(WALL_MS + at as i64 / 1000 + self.wrong_ms) }
    }

    /// The true moment at which the monotonic clock has reached `instant`.
    pub fn when(&self, instant: Instant) -> u64 {
        let instant = Instant(instant.0.min(1 << 50));
        let passed = (instant.0 as i128 * 1_000_000 / (1_000_000 + self.drift as i128)) as u64;
        let mut at = self.started + passed.saturating_sub(2);
        while self.now(at).mono < instant {
            at += 1;
        }
        at
    }
}

impl Board {
    pub fn new(number: usize, settings: &Settings, seed: u64) -> Board {
        let config = configure(number, settings);
        let (_, accounts) = Table::new(&config).expect("the memory table fits");
        Board {
            id: NodeId(number as i32 + 1),
            config,
            node: None,
            accounts,
            disk: SimDisk::new(seed),
            lanes: BTreeMap::new(),
            life: 0,
            clock: Clock::default(),
            wake_at: None,
            is_turn_open: false,
            paused_until: 0,
            stalled_until: 0,
            disk_micros: 150,
            is_ready: false,
            wanted: Vec::new(),
            conns: BTreeMap::new(),
            free: Vec::new(),
            next_generation: 0,
            may_end: false,
            is_held: false,
            dirty: Vec::new(),
        }
    }

    /// A new life; its first input is still to come.
    pub fn begin(&mut self, at: u64, seed: u64) {
        let (table, accounts) = Table::new(&self.config).expect("the memory table fits");
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let bound = [
            (Listener::Kafka(0), address(9092)),
            (Listener::ZooKeeper, address(2181)),
            (Listener::Mqtt(0), address(1883)),
        ];
        let node = Node::new(self.config.clone(), table, &accounts, &bound, seed).expect("the configuration is right");
        self.node = Some(node);
        self.accounts = accounts;
        self.clock.start(at);
        self.clock.drift = (seed % 20_001) as i64 - 10_000;
        self.wake_at = None;
        self.is_turn_open = false;
        self.is_ready = false;
        self.may_end = false;
        self.free = (0..self.config.memory.connections_max as u32).rev().collect();
    }

    /// The process is gone, whatever the reason.
    pub fn end(&mut self) {
        self.node = None;
        self.life += 1;
        self.lanes.clear();
        self.conns.clear();
        self.dirty.clear();
        self.wanted.clear();
        self.is_ready = false;
        self.paused_until = 0;
    }
}

fn configure(number: usize, settings: &Settings) -> Config {
    let mut text = String::new();
    for board in 1..=settings.boards {
        text.push_str(&format!("server.{board}=board{board}:2888:3888\n"));
    }
    let Settings { replication, min_insync, .. } = settings;
    text.push_str(&format!(
        "broker.id={}\ntickTime={TICK_MS}\nmemory.budget=32MiB\nmax.connections=64\nmemory.partitions.max=64\n\
         memory.producers.max=256\nnum.partitions=2\ndefault.replication.factor={replication}\n\
         min.insync.replicas={min_insync}\noffsets.topic.num.partitions=1\noffsets.topic.replication.factor={replication}\n\
         replica.lag.time.max.ms=1500\nlog.cleaner.enable=false\n\
         log.retention.ms=-1\noffsets.retention.minutes=500000\nhttp.listener=\ntern.peer.secret.file=/secret\n",
        number + 1
    ));
    let mut layers = Layers::default();
    layers.add_file("simulated.properties", &text);
    let outcome = resolve(&layers, &Facts { hostname: format!("board{}", number + 1), myid: None });
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    outcome.config.expect("there are no errors")
}
