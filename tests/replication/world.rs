//! Brokers, their disks and the links between them, driven one small step at a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tern::broker::replication::{ReplicationConfig, WishAnswer};
use tern::broker::{Broker, BrokerLimits, Door, PartitionKey, Waiter};
use tern::config::{Config, MemoryConfig};
use tern::coordinator::{PartitionState, features};
use tern::effect::{DiskOp, Effect, Effects, Lane};
use tern::log::{Logs, LogsConfig, job};
use tern::memory::{Account, Grant};
use tern::types::{
    ConnId, Instant, NodeId, Now, Offset, PartitionIndex, ProducerEpoch, ProducerId, Rng, Slot, Ticket, Timestamp,
    TopicId, crc32c,
};

use super::controller::{Controller, TOPIC, home};
use super::disk::SimDisk;
use super::subscribers::{Subscribers, speaks_of_tails};

pub const PARTITIONS: usize = 3;
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const SESSION_US: u64 = 2_000_000;
/// A lease ends before the session, by more than clocks drift in its time.
const LEASE_US: u64 = 1_500_000;

/// What is on its way over a link, oldest first.
type Link = VecDeque<(Vec<u8>, Grant)>;

/// What was appended in a slot: the partition, and the record's value.
type Produced = (usize, Vec<u8>);

pub struct Node {
    pub id: NodeId,
    pub broker: Option<Broker>,
    pub disk: SimDisk,
    /// Which disk it is; another one when it was replaced.
    disk_number: u64,
    /// What the controller's log must have been seen up to, so that the node knows that this life is registered; `None`:
    /// it is not.
    registered_at: Option<usize>,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    /// Changes of the tree that it has seen.
    pub seen: usize,
    /// Reaches the controller.
    is_connected: bool,
    pub produced: BTreeMap<u32, Produced>,
    pub reads: BTreeMap<u32, (usize, Offset)>,
    /// What was published by this node's clients and is not answered.
    pub published: BTreeMap<u32, Produced>,
    /// A publisher for each partition; a new one in each life.
    pub publishers: [u64; PARTITIONS],
    pub subscribers: Subscribers,
}

pub struct World {
    pub rng: Rng,
    now: u64,
    pub controller: Controller,
    pub nodes: Vec<Node>,
    /// One way each; `None`: broken.
    links: BTreeMap<(NodeId, NodeId), Option<Link>>,
    /// By partition and offset: what a producer was told to be durable.
    pub acknowledged: BTreeMap<(usize, Offset), Vec<u8>>,
    /// What a consumer has seen.
    pub seen: BTreeMap<(usize, Offset), Vec<u8>>,
    pub next_slot: u32,
    next_publisher: u64,
    /// Publishers were told that these are durable.
    pub publications: Vec<Produced>,
    pub trace: u32,
    pub crashes: u32,
    pub spoils: u32,
    /// The board whose disk rots, how often it has, and how often that was met.
    pub rots_at: usize,
    pub rots: u32,
    pub damages: u32,
    /// How far each board was read of each partition, to find what has rotten.
    pub sweeps: BTreeMap<(usize, usize), Offset>,
    pub wipes: u32,
    /// Records that live subscribers were told, and those of partitions without a replica on their board.
    pub told: u32,
    pub told_from_afar: u32,
    /// Of each partition, when nothing moves.
    pub copies: usize,
    /// No board is told what became of its wishes.
    pub loses_answers: bool,
}

impl World {
    pub fn new(seed: u64) -> World {
        World::with_copies(seed, NODES.len())
    }

    /// With fewer copies than boards no bits flip: a bit that has no other copy is lost.
    pub fn with_copies(seed: u64, copies: usize) -> World {
        let node = |id: NodeId| Node {
            id,
            broker: None,
            disk: SimDisk::new(seed ^ id.0 as u64),
            disk_number: 0,
            registered_at: None,
            lanes: BTreeMap::new(),
            seen: 0,
            is_connected: true,
            produced: BTreeMap::new(),
            reads: BTreeMap::new(),
            published: BTreeMap::new(),
            publishers: [0; PARTITIONS],
            subscribers: Subscribers::default(),
        };
        let mut rng = Rng::new(seed);
        let min_insync = 1 + rng.below(2) as usize;
        let rots_at = (seed % 3) as usize;
        let rots = if copies == NODES.len() { NODES[rots_at] } else { NodeId(0) };
        World {
            rng,
            now: 0,
            controller: Controller::new(PARTITIONS, &NODES, copies, min_insync, rots),
            nodes: NODES.map(node).into(),
            links: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            next_slot: 0,
            next_publisher: 0,
            publications: Vec::new(),
            trace: 0,
            crashes: 0,
            spoils: 0,
            rots_at,
            rots: 0,
            damages: 0,
            sweeps: BTreeMap::new(),
            wipes: 0,
            told: 0,
            told_from_afar: 0,
            copies,
            loses_answers: false,
        }
    }

    pub fn at(&self) -> Now {
        Now { mono: Instant(self.now), wall: Timestamp(1_800_000_000_000 + self.now as i64 / 1000) }
    }

    fn start(&mut self, which: usize) {
        let id = self.nodes[which].id;
        if !self.nodes[which].is_connected {
            return;
        }
        let config = Config::default();
        let memory = MemoryConfig::for_budget(32 << 20);
        let logs = Logs::new(LogsConfig::topics(Timestamp(1_700_000_000_000)));
        let replication = ReplicationConfig { lag_max: Duration::from_secs(3) };
        let ingest = Account::new(1 << 20);
        let limits = BrokerLimits::new(&memory);
        let mut broker = Broker::new(id, limits, config.topics.clone(), logs, ingest, replication);
        let mut fx = Effects::default();
        let now = self.at();
        broker.start(now, &mut fx);
        broker.set_lease(now, Some(Instant(0)));
        broker.apply_all(now, &self.controller.now, &mut fx);
        broker.identify("cluster", || TopicId([1; 16]), &mut fx);
        broker.set_tails(true, &self.controller.now);
        let subscribers = Subscribers::since(std::array::from_fn(|partition| self.known_end(which, partition)));
        let node = &mut self.nodes[which];
        node.subscribers = subscribers;
        node.seen = self.controller.log.len();
        node.broker = Some(broker);
        for publisher in &mut node.publishers {
            self.next_publisher += 1;
            *publisher = self.next_publisher;
        }
        for other in NODES.iter().filter(|other| **other != id) {
            self.links.insert((id, *other), None);
        }
        self.follow(which, fx);
    }

    pub fn crash(&mut self, which: usize) {
        self.crashes += 1;
        let node = &mut self.nodes[which];
        node.broker = None;
        node.registered_at = None;
        node.lanes.clear();
        node.produced.clear();
        node.reads.clear();
        node.published.clear();
        node.disk.power_cut(&mut self.rng);
        node.disk.capacity_bytes = None;
        let id = node.id;
        for other in NODES.iter().filter(|other| **other != id) {
            self.links.insert((id, *other), None);
            self.break_link(*other, id);
        }
    }

    pub fn with<R>(&mut self, which: usize, act: impl FnOnce(&mut Broker, Now, &mut Effects) -> R) -> Option<R> {
        let now = self.at();
        let mut fx = Effects::default();
        let result = self.nodes[which].broker.as_mut().map(|broker| act(broker, now, &mut fx));
        self.follow(which, fx);
        result
    }

    /// Takes what a broker asks for, answers and sends.
    fn follow(&mut self, which: usize, mut fx: Effects) {
        let mut answers = Vec::new();
        let node = &mut self.nodes[which];
        let Some(broker) = &mut node.broker else { return };
        while let Some(answer) = broker.next_answer() {
            answers.push(answer);
        }
        while let Some((to, bytes, grant)) = broker.next_peer_bytes() {
            assert!(self.controller.now.feature_level >= features::TAILS || !speaks_of_tails(&bytes[1..]));
            if let Some(Some(queue)) = self.links.get_mut(&(node.id, to)) {
                queue.push_back((bytes, grant));
            }
        }
        if broker.wants_producer_id() {
            // Every life has its own, as the coordinator gives them out.
            self.next_publisher += 1;
            broker.published_as(Some((ProducerId(self.next_publisher as i64), ProducerEpoch(0))));
        }
        while let Some(wish) = broker.next_wish() {
            let partition = broker.view(wish.partition).unwrap().index.0 as usize;
            self.spoils += wish.raises_epoch as u32;
            let is_heard = node.is_connected && !self.rng.one_in(5);
            let is_granted = is_heard && self.controller.grant(partition, &wish);
            let answer = match (is_granted, self.loses_answers || self.rng.one_in(3)) {
                (_, true) => WishAnswer::Unknown, // the answer is lost, or nobody ever decided
                (true, false) => WishAnswer::Granted,
                (false, false) => WishAnswer::Refused,
            };
            broker.wish_answered(wish.partition, wish.version, answer);
        }
        for effect in fx.take() {
            match effect {
                Effect::Disk { lane, ticket, op } => {
                    self.trace = crc32c::append(self.trace, format!("{which} {ticket:?} {op:?}").as_bytes());
                    self.nodes[which].lanes.entry(lane).or_default().push_back((ticket, op));
                }
                // A broker that starts on a disk without any room cannot take up its logs, and says so.
                Effect::Fatal { sentence } if sentence.contains("the disk is full") => return self.crash(which),
                Effect::Fatal { sentence } => panic!("broker {}: {sentence}", which + 1),
                _ => {}
            }
        }
        for (waiter, answer) in answers {
            self.answered(which, waiter.slot.0, answer);
        }
    }

    pub fn disk_step(&mut self, which: usize) {
        let node = &mut self.nodes[which];
        let busy: Vec<Lane> = node.lanes.iter().filter(|(_, ops)| !ops.is_empty()).map(|(lane, _)| *lane).collect();
        if busy.is_empty() {
            return;
        }
        let lane = busy[self.rng.below(busy.len() as u64) as usize];
        let (ticket, op) = node.lanes.get_mut(&lane).unwrap().pop_front().unwrap();
        let result = job::run(op, &mut node.disk);
        if node.disk.is_off {
            return self.crash(which);
        }
        self.with(which, |broker, now, fx| broker.disk_done(now, ticket, result, fx));
    }

    pub fn see_change(&mut self, which: usize) {
        let node = &self.nodes[which];
        if !node.is_connected || node.broker.is_none() || node.seen >= self.controller.log.len() {
            return;
        }
        let (change, cluster) = self.controller.log[node.seen].clone();
        self.nodes[which].seen += 1;
        self.with(which, |broker, now, fx| {
            broker.apply(now, &cluster, &change, fx);
            broker.follow_feature_level(&cluster);
        });
        let node = &self.nodes[which];
        if node.registered_at == Some(node.seen) {
            self.with(which, |broker, now, fx| broker.registered(now, &cluster, fx));
        }
    }

    /// The disk is replaced by an empty one, as long as nobody was the last to have something.
    fn wipe(&mut self, which: usize) {
        let id = self.nodes[which].id;
        let rotten = NODES[self.rots_at];
        let is_spare = |state: &PartitionState| state.isr.iter().any(|node| *node != id && *node != rotten);
        let is_known = |node: &Node| self.controller.disks.get(&node.id).is_none_or(|disk| *disk == node.disk_number);
        let is_first = self.nodes.iter().all(is_known);
        if !is_first || !self.controller.now.topics[TOPIC].partitions.iter().all(is_spare) {
            return;
        }
        self.crash(which);
        self.wipes += 1;
        self.controller.wiped = Some(id);
        let node = &mut self.nodes[which];
        node.disk = SimDisk::new(self.rng.next());
        node.disk_number += 1;
        self.start(which);
    }

    /// Registers this life of the broker, or keeps its session alive.
    fn renew(&mut self, which: usize) {
        let node = &mut self.nodes[which];
        if !node.is_connected || node.broker.is_none() {
            return;
        }
        if node.registered_at.is_none() {
            self.controller.register(node.id, node.disk_number, Instant(self.now), SESSION_US);
            node.registered_at = Some(self.controller.log.len());
        }
        if !self.controller.sessions.contains_key(&node.id) {
            return;
        }
        self.controller.sessions.insert(node.id, Instant(self.now + SESSION_US));
        let lease = Instant(self.now + LEASE_US);
        self.with(which, |broker, now, _| broker.set_lease(now, Some(lease)));
    }

    pub fn break_link(&mut self, from: NodeId, to: NodeId) {
        if self.links.insert((from, to), None).is_some_and(|was| was.is_some()) {
            self.with(from.0 as usize - 1, |broker, now, _| broker.link_down(now, to));
        }
    }

    fn mend_link(&mut self, from: NodeId, to: NodeId) {
        let is_alive = |node: NodeId| self.nodes[node.0 as usize - 1].broker.is_some();
        if is_alive(from) && is_alive(to) && self.links.get(&(from, to)).is_none_or(Option::is_none) {
            self.links.insert((from, to), Some(VecDeque::new()));
            self.with(from.0 as usize - 1, |broker, now, _| broker.link_up(now, to));
        }
    }

    /// Takes what is on its way over a link.
    pub fn intercept(&mut self, from: NodeId, to: NodeId) -> Vec<u8> {
        let queue = self.links.get_mut(&(from, to)).and_then(Option::as_mut);
        queue.into_iter().flat_map(|queue| queue.drain(..)).flat_map(|(bytes, _)| bytes.into_iter().skip(1)).collect()
    }

    pub fn receive(&mut self, from: NodeId, to: NodeId) {
        let Some(Some(queue)) = self.links.get_mut(&(from, to)) else { return };
        let Some((bytes, grant)) = queue.pop_front() else { return };
        drop(grant);
        let bytes = Bytes::from(bytes).slice(1..); // behind the room's name
        self.with(to.0 as usize - 1, |broker, now, fx| broker.peer_messages(now, from, &bytes, Grant::none(), fx));
    }

    pub fn pass_time(&mut self, micros: u64) {
        self.now += micros;
        self.controller.complete_moves();
        self.controller.expire(Instant(self.now));
        for which in 0..self.nodes.len() {
            self.with(which, |broker, now, fx| {
                if broker.next_deadline().is_some_and(|at| at <= now.mono) {
                    broker.on_time(now, fx);
                }
            });
            // A process whose session is gone starts a new life, as soon as it hears of that.
            let node = &self.nodes[which];
            let has_ended = node.registered_at.is_some() && !self.controller.sessions.contains_key(&node.id);
            if node.broker.is_some() && node.is_connected && has_ended {
                self.crash(which);
            }
        }
    }

    fn pair(&mut self) -> (NodeId, NodeId) {
        let from = self.rng.below(3) as usize;
        let to = (from + 1 + self.rng.below(2) as usize) % 3;
        (NODES[from], NODES[to])
    }

    pub fn step(&mut self, faults: bool) {
        let which = self.rng.below(self.nodes.len() as u64) as usize;
        if self.nodes[which].broker.is_none() {
            if !faults || self.rng.one_in(30) {
                self.start(which);
            }
            return self.pass_time(1000);
        }
        let (from, to) = self.pair();
        match self.rng.below(40) {
            0..=1 => {
                let micros = self.rng.below(20_000);
                self.pass_time(micros);
            }
            2..=3 => self.produce(which),
            4..=5 => self.publish(which),
            6 => self.consume(which),
            7..=13 => {
                self.with(which, |broker, now, fx| broker.turn_end(now, fx));
            }
            14..=22 => self.disk_step(which),
            23..=30 => self.receive(from, to),
            31..=32 => self.see_change(which),
            33..=34 => self.renew(which),
            35..=36 => self.mend_link(from, to),
            _ if faults => self.fault(which, from, to),
            _ => {}
        }
    }

    fn fault(&mut self, which: usize, from: NodeId, to: NodeId) {
        match self.rng.below(40) {
            0..=2 => self.break_link(from, to),
            3 => self.crash(which),
            4 => self.nodes[which].disk.calls_until_power_cut = Some(self.rng.below(60)),
            5..=6 => self.nodes[which].is_connected = false,
            7..=10 => self.nodes[which].is_connected = true,
            11 => {
                let used = self.nodes[which].disk.used_bytes();
                self.nodes[which].disk.capacity_bytes = Some(used + self.rng.below(2000));
            }
            12..=14 => self.nodes[which].disk.capacity_bytes = None,
            16 => self.wipe(which),
            17..=19 if self.copies == NODES.len() => self.rot(),
            20..=22 => self.reassign(),
            23..=26 => self.subscribers_change(which),
            15 => {
                let micros = self.rng.below(4_000_000);
                self.pass_time(micros);
            }
            _ => {}
        }
    }

    /// Somebody wants a partition elsewhere, or no longer.
    fn reassign(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let mut target = NODES.to_vec();
        let turn = self.rng.below(3) as usize;
        target.rotate_left(turn);
        target.truncate(self.copies.min(2) + self.rng.below(2) as usize);
        let is_cancelled = self.rng.one_in(4);
        self.controller.reassign(partition, (!is_cancelled).then_some(&target));
    }

    /// Everything heals, and goes on for so many rounds: with 6000, until nothing changes any more.
    pub fn settle(&mut self, rounds: usize) {
        for node in &mut self.nodes {
            node.disk.calls_until_power_cut = None;
            node.disk.capacity_bytes = None;
            node.is_connected = true;
        }
        for round in 0..rounds {
            if round % 500 == 0 {
                for partition in 0..PARTITIONS {
                    let state = &self.controller.now.topics[TOPIC].partitions[partition];
                    let home = home(partition, &NODES, self.copies);
                    let is_home = home.iter().all(|node| state.replicas.contains(node));
                    if !is_home || state.replicas.len() != home.len() || !state.removing.is_empty() {
                        self.controller.reassign(partition, Some(&home));
                    }
                }
            }
            self.controller.complete_moves();
            let is_swept = self.copies == NODES.len() && (1500..rounds.saturating_sub(1500)).contains(&round);
            if is_swept && round % 10 == 0 {
                self.sweep((round % 200 == 0).then_some(round / 1000));
            }
            for which in 0..self.nodes.len() {
                if self.nodes[which].broker.is_none() {
                    self.start(which);
                }
                if !self.nodes[which].subscribers.are_there {
                    self.switch_tails(which, true);
                }
                self.renew(which);
                self.see_change(which);
                if round < 200 {
                    self.publish(which);
                }
                // The last ones come when everybody is in sync, so that all subscribers are told of them.
                if round < 200 || (rounds.saturating_sub(500)..rounds.saturating_sub(440)).contains(&round) {
                    self.produce(which);
                }
                self.with(which, |broker, now, fx| broker.turn_end(now, fx));
                self.disk_step(which);
                let own = self.nodes[which].id;
                for other in NODES.into_iter().filter(|other| *other != own) {
                    self.mend_link(own, other);
                    self.receive(other, own);
                }
            }
            self.pass_time(5_000);
        }
    }
}

pub fn waiter(slot: u32) -> Waiter {
    Waiter { door: Door::Kafka, conn: ConnId { index: 1, generation: 1 }, slot: Slot(slot) }
}

pub fn key(broker: &Broker, partition: usize) -> Option<PartitionKey> {
    broker.partition(TOPIC, PartitionIndex(partition as i32))
}
