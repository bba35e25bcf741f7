//! One run of a seed: form, work, break, heal, converge, fall silent, compare.

use tern::types::Rng;

use crate::board::Settings;
use crate::clients::Phase;
use crate::clients::committer::Committer;
use crate::clients::consumer::Consumer;
use crate::clients::mqtt_publisher::Publisher;
use crate::clients::mqtt_subscriber::Subscriber;
use crate::clients::producer::Producer;
use crate::clients::zookeeper::ZooKeeper;
use crate::invariants::{convergence, memory, replicas};
use crate::world::World;

const SECOND: u64 = 1_000_000;

/// Each run has at least so many operations of clients that succeeded, and so many faults.
const OPERATIONS_MIN: u64 = 1000;
const FAULTS_MIN: u32 = 20;

/// What happened in a run, or in many.
#[derive(Debug, Default)]
pub struct Totals {
    pub runs: u64,
    pub operations: u64,
    pub acknowledged: u64,
    pub read: u64,
    pub commits: u64,
    pub published: u64,
    pub delivered: u64,
    pub writes: u64,
    pub expired: u64,
    pub looked: u64,
    pub terms: u64,
    pub epochs: u64,
    pub faults: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub stops: u64,
    pub ends: u64,
    pub lives: u64,
    pub steps: u64,
    pub simulated_seconds: u64,
    pub trace: u32,
}

impl Totals {
    fn of(world: &World) -> Totals {
        let (history, counts) = (&world.history, &world.faults.counts);
        Totals {
            runs: 1,
            operations: history.operations,
            acknowledged: history.records.acknowledged,
            read: history.records.read,
            commits: history.commits.count,
            published: history.publishers.acknowledged_count() as u64,
            delivered: history.publishers.delivered,
            writes: history.zxids.count() as u64,
            expired: history.ephemerals.expired,
            looked: history.ephemerals.looked,
            terms: history.leaders.terms() as u64,
            epochs: history.leaders.epochs() as u64,
            faults: counts.faults.into(),
            power_cuts: counts.power_cuts.into(),
            kills: counts.kills.into(),
            stops: counts.stopped.into(),
            ends: counts.ended.into(),
            lives: world.lives.into(),
            steps: world.steps,
            simulated_seconds: world.now / SECOND,
            trace: world.trace,
        }
    }

    pub fn add(&mut self, other: &Totals) {
        let all = [
            (&mut self.runs, other.runs),
            (&mut self.operations, other.operations),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.read, other.read),
            (&mut self.commits, other.commits),
            (&mut self.published, other.published),
            (&mut self.delivered, other.delivered),
            (&mut self.writes, other.writes),
            (&mut self.expired, other.expired),
            (&mut self.looked, other.looked),
            (&mut self.terms, other.terms),
            (&mut self.epochs, other.epochs),
            (&mut self.faults, other.faults),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.kills, other.kills),
            (&mut self.stops, other.stops),
            (&mut self.ends, other.ends),
            (&mut self.lives, other.lives),
            (&mut self.steps, other.steps),
            (&mut self.simulated_seconds, other.simulated_seconds),
        ];
        all.into_iter().for_each(|(own, other)| *own += other);
        self.trace ^= other.trace;
    }

    /// Over ten runs or more everything must have happened; that a session expires is rarer.
    pub fn is_enough(&self, seeds: u64) {
        let counts = [self.acknowledged, self.read, self.commits, self.published, self.delivered, self.writes];
        let events = [self.looked, self.power_cuts, self.kills, self.stops];
        assert!(seeds < 10 || counts.iter().all(|count| *count >= 50 * seeds), "too little is done");
        assert!(seeds < 10 || events.iter().all(|count| *count > 0), "something never happens");
        assert!(seeds < 200 || self.expired > 0, "no session expires");
    }
}

/// Three boards mostly, and five; three copies mostly, and one, two, or as many as there are boards.
fn settings(rng: &mut Rng) -> Settings {
    let boards = if rng.one_in(4) { 5 } else { 3 };
    let replication = match rng.below(8) {
        0 => 1,
        1..=2 => 2,
        3 => boards,
        _ => 3,
    };
    Settings { boards, replication, min_insync: replication.min(2) }
}

/// A world whose boards are all ready.
pub fn formed(seed: u64, settings: Settings) -> World {
    let mut world = World::new(seed, settings);
    world.switch_on();
    until(&mut world, 30, "form", |world| match world.boards.iter().find(|board| !board.is_ready) {
        Some(board) => Err(format!("board {} is not ready", board.id)),
        None => Ok(()),
    });
    world
}

/// Clients of all kinds.
pub fn populate(world: &mut World) {
    for partition in 0..2 {
        world.add_client(Box::new(Producer::new("records", partition)));
        world.add_client(Box::new(Consumer::new("records", partition)));
    }
    for number in 0..2 {
        world.add_client(Box::new(Committer::new(number)));
        world.add_client(Box::new(Publisher::default()));
        world.add_client(Box::new(Subscriber::default()));
    }
    for _ in 0..3 {
        world.add_client(Box::new(ZooKeeper::new()));
    }
}

/// Goes on until something holds, for so many seconds at most.
pub fn until(world: &mut World, seconds: u64, what: &str, holds: impl Fn(&World) -> Result<(), String>) {
    let end = world.now + seconds * SECOND;
    while let Err(sentence) = holds(world) {
        if world.now >= end {
            for node in world.boards.iter().filter_map(|board| board.node.as_ref()) {
                tracing::debug!("{:?}", node.engine());
            }
            let clients: Vec<String> = world.clients.iter().map(|client| client.describe()).collect();
            panic!("after {seconds} s the boards do not {what}: {sentence}\n{}", clients.join("\n"));
        }
        world.run_until(world.now + SECOND / 10);
    }
}

/// Everything heals, clients go on, then fall silent and leave; what must hold at the end is checked.
pub fn settle(world: &mut World) {
    world.heal();
    until(world, 40, "converge", |world| convergence::missing(world).map_or(Ok(()), Err));
    let done: Vec<u64> = world.clients.iter().map(|client| client.done()).collect();
    until(world, 20, "serve everybody", |world| {
        let mut clients = world.clients.iter().zip(&done);
        let stuck = clients.find(|(client, before)| client.done() < **before + 3);
        stuck.map_or(Ok(()), |(client, _)| Err(client.describe()))
    });
    world.history.publishers.is_whole = true;
    // As long as sessions live that nobody speaks for.
    world.run_until(world.now + 8 * SECOND);
    world.set_phase(Phase::Silent);
    world.run_until(world.now + 2 * SECOND);
    until(world, 20, "become level", convergence::is_level);
    until(world, 20, "stay in sync", |world| convergence::missing(world).map_or(Ok(()), Err));
    world.hang_up();
    world.run_until(world.now + SECOND);
    convergence::check(world);
}

/// One run. Panics when something does not hold.
pub fn run(seed: u64) -> Totals {
    let settings = settings(&mut Rng::new(seed));
    let mut world = formed(seed, settings);
    populate(&mut world);
    world.run_until(world.now + 2 * SECOND);
    world.begin_faults(1200);
    for _ in 0..6 {
        world.run_until(world.now + 4 * SECOND);
        for (topic, partition) in convergence::partitions(&world) {
            replicas::agree(&world, &topic, partition);
        }
        memory::within_bounds(&world);
    }
    settle(&mut world);
    let totals = Totals::of(&world);
    assert!(totals.operations >= OPERATIONS_MIN, "only {} operations", totals.operations);
    assert!(totals.faults >= FAULTS_MIN.into(), "only {} faults", totals.faults);
    totals
}
