//! `Logs`, its jobs and a simulated disk, driven at random: one step is one thing that the owner of the logs, a disk lane
//! or fate does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tern::effect::{DiskDone, DiskError, DiskOp, Effect, Effects, Lane, LogDir, LogJob, Root, WritePart};
use tern::log::{LogConfig, LogEvent, LogKey, Logs, LogsConfig, job};
use tern::types::{Instant, Now, Offset, Rng, Ticket, Timestamp};

use crate::disk::SimDisk;
use crate::model::ModelLog;

/// What kind of world it is.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub logs: usize,
    pub is_quorum: bool,
    pub refuses: bool,
    pub by_interval: bool,
}

impl Setup {
    pub fn topics() -> Setup {
        Setup { logs: 4, is_quorum: false, refuses: false, by_interval: false }
    }

    pub fn quorum() -> Setup {
        Setup { logs: 1, is_quorum: true, ..Setup::topics() }
    }

    pub fn refusing() -> Setup {
        Setup { refuses: true, ..Setup::topics() }
    }

    pub fn interval() -> Setup {
        Setup { by_interval: true, ..Setup::topics() }
    }
}

/// One log with what should be in it.
pub struct Topic {
    pub dir: LogDir,
    pub config: LogConfig,
    pub key: Option<LogKey>,
    pub is_open: bool,
    pub model: ModelLog,
    pub epoch: i32,
    pub sequence: i32,
}

pub struct PendingRead {
    pub topic: usize,
    pub from: Offset,
    pub below: Offset,
    pub max_bytes: usize,
    pub durable: Offset,
}

pub struct PendingFind {
    pub topic: usize,
    pub at: Option<Timestamp>,
    pub below: Offset,
    pub start: Offset,
}

pub struct World {
    pub disk: SimDisk,
    pub rng: Rng,
    pub setup: Setup,
    pub logs: Logs,
    logs_config: LogsConfig,
    pub now: Now,
    pub fx: Effects,
    pub events: Vec<LogEvent>,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    pub topics: Vec<Topic>,
    pub reads: BTreeMap<u64, PendingRead>,
    pub finds: BTreeMap<u64, PendingFind>,
    pub tokens: u64,
    pub dirs: Option<Vec<Arc<str>>>,
    pub is_fatal: bool,
    pub is_stopped: bool,
    /// Tells every job and its answer.
    pub is_loud: bool,
    /// Recovery just began on what a crash left; the kind of crash.
    pub after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Nothing,
    Kill,
    PowerCut,
    Stop,
}

impl World {
    pub fn new(seed: u64, setup: Setup) -> World {
        let mut rng = Rng::new(seed);
        let floor = Timestamp(1_000_000);
        let shared = LogsConfig {
            journal_half_bytes: 4096 * (2 + rng.below(5)),
            reserve_bytes: 8192,
            scan_bytes: 2048 << rng.below(4),
            scan_total_bytes: 8192 << rng.below(4),
            ..LogsConfig::topics(floor)
        };
        let quorum = LogsConfig { scan_bytes: 4096, ..LogsConfig::quorum("quorum-0".into(), floor) };
        let logs_config = if setup.is_quorum { quorum } else { shared };
        let disk = SimDisk::new(rng.next());
        let topic = |number| Topic::new(number, setup, logs_config.root, &mut rng);
        let topics = (0..setup.logs).map(topic).collect();
        let now = Now { mono: Instant(1), wall: Timestamp(2_000_000) };
        World {
            disk,
            setup,
            logs: Logs::new(logs_config.clone()),
            logs_config,
            now,
            fx: Effects::default(),
            events: Vec::new(),
            lanes: BTreeMap::new(),
            topics,
            reads: BTreeMap::new(),
            finds: BTreeMap::new(),
            tokens: 0,
            dirs: None,
            is_fatal: false,
            is_stopped: false,
            is_loud: std::env::var("TERN_SEED").is_ok(),
            after: After::Nothing,
            rng,
        }
    }

    /// `lives` processes one after the other, each of up to `steps` steps and an end of its own kind.
    pub fn run(&mut self, lives: usize, steps: u64) {
        for _ in 0..lives {
            self.start();
            if self.rng.one_in(2) {
                self.disk.calls_until_power_cut = Some(self.rng.below(40 * steps / 10));
            }
            for _ in 0..self.rng.below(steps) {
                self.step();
                if self.disk.is_off || self.is_fatal {
                    break;
                }
            }
            self.end();
        }
        self.disk.calls_until_power_cut = None;
        self.start();
        self.settle();
        self.read_everything();
    }

    /// A new process on what there is.
    pub fn start(&mut self) {
        self.heal();
        self.logs = Logs::new(self.logs_config.clone());
        self.fx = Effects::default();
        self.lanes.clear();
        self.reads.clear();
        self.finds.clear();
        (self.is_fatal, self.is_stopped, self.dirs) = (false, false, None);
        if self.rng.one_in(4) {
            self.now.wall = Timestamp(5); // no battery
        }
        self.logs.start(self.now, &mut self.fx);
        for index in 0..self.topics.len() {
            self.topics[index].key = None;
            self.topics[index].is_open = false;
        }
        self.settle();
        let dirs = self.dirs.clone().expect("the logs start");
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[index];
            if topic.model.is_deleting && !dirs.contains(&topic.dir.name) {
                topic.model = ModelLog { by_interval: topic.model.by_interval, ..ModelLog::default() };
            }
            self.open(index);
        }
        // the logs may be opened while the power fails again
        let crash = self.rng.one_in(3).then(|| self.rng.below(60));
        self.disk.calls_until_power_cut = crash;
        self.settle();
        if self.disk.is_off {
            self.lose_power();
            return self.start();
        }
        self.disk.calls_until_power_cut = None;
        assert!(self.topics.iter().all(|topic| topic.is_open), "every log opens");
        self.after = After::Nothing;
    }

    /// How a process ends.
    pub fn end(&mut self) {
        if self.disk.is_off {
            return self.lose_power();
        }
        if self.is_fatal {
            self.disk.kill();
            return if self.rng.one_in(2) { self.lose_power() } else { self.after = After::Kill };
        }
        match self.rng.below(4) {
            0 => {
                self.heal();
                self.logs.stop(self.now, &mut self.fx);
                self.settle();
                for _ in 0..10 {
                    if !self.is_stopped {
                        self.pass(300_000);
                        self.settle();
                    }
                }
                if self.disk.is_off {
                    return self.lose_power();
                }
                assert!(self.is_stopped, "the logs stop");
                self.lose_power();
                self.after = After::Stop;
            }
            1 => {
                self.disk.kill();
                self.after = After::Kill;
            }
            _ => self.lose_power(),
        }
    }

    pub fn lose_power(&mut self) {
        self.disk.power_cut(&mut self.rng);
        self.after = After::PowerCut;
    }

    pub fn heal(&mut self) {
        self.disk.capacity_bytes = None;
        self.disk.is_read_only = false;
        self.disk.syncs_until_error = None;
    }

    pub fn step(&mut self) {
        let topic = self.rng.below(self.topics.len() as u64) as usize;
        match self.rng.below(100) {
            0..=39 => self.append(topic),
            40..=54 => {
                self.logs.turn_end(self.now, &mut self.fx);
                self.carry_out();
            }
            55..=77 => self.run_one(),
            78..=85 => self.read(topic),
            86..=88 => self.find(topic),
            89..=90 => {
                let millis = self.rng.below(2_000);
                self.pass(millis * 1000);
            }
            91 => self.truncate(topic),
            92 => self.delete_records(topic),
            93 => self.delete(topic),
            94 => self.restart_at(topic),
            95 => self.settle(),
            96 => self.configure(topic),
            97..=98 if self.setup.refuses => self.refuse(),
            _ => self.snapshot(topic),
        }
        self.take_events();
    }

    /// Runs whatever is under way to its end, without letting time pass.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            self.logs.turn_end(self.now, &mut self.fx);
            self.carry_out();
            self.take_events();
            if self.disk.is_off || self.is_fatal {
                return;
            }
            if self.lanes.values().all(VecDeque::is_empty) {
                match self.logs.next_deadline() {
                    Some(at) if at <= self.now.mono.plus_millis(5) => self.pass(5_000),
                    _ => return,
                }
            } else {
                self.run_one();
            }
        }
        panic!("the logs never come to rest");
    }

    pub fn pass(&mut self, micros: u64) {
        self.now.mono.0 += micros;
        self.now.wall.0 += (micros / 1000) as i64;
        match self.rng.below(60) {
            0 => self.now.wall.0 += 3_000_000,
            1 => self.now.wall.0 = self.now.wall.0.max(3_000_000),
            2 => self.now.wall.0 -= 1_000_000,
            _ => {}
        }
        self.logs.on_time(self.now, &mut self.fx);
        self.carry_out();
    }

    /// Hands effects to their lanes.
    pub fn carry_out(&mut self) {
        for effect in self.fx.take() {
            let Effect::Disk { lane, ticket, op } = effect else { panic!("logs ask disks alone") };
            self.lanes.entry(lane).or_default().push_back((ticket, op));
        }
    }

    /// One lane does its next job.
    pub fn run_one(&mut self) {
        self.carry_out();
        let busy: Vec<Lane> = self.lanes.iter().filter(|(_, jobs)| !jobs.is_empty()).map(|(&lane, _)| lane).collect();
        if busy.is_empty() {
            return;
        }
        let lane = busy[self.rng.below(busy.len() as u64) as usize];
        let Some((ticket, op)) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else { return };
        for topic in self.topics.iter_mut().filter(|topic| topic.is_open) {
            let start = topic.key.map_or(Offset(0), |key| self.logs.marks(key).start);
            topic.model.start_max = topic.model.start_max.max(start); // retention does not ask
        }
        let text = if self.is_loud { describe(&op) } else { String::new() };
        let result = job::run(op, &mut self.disk);
        if self.is_loud {
            let is_write = text.starts_with("write");
            let answer = if is_write && result.is_ok() { "ok".into() } else { format!("{result:?}") };
            let answer: String = answer.chars().take(1500).collect();
            eprintln!("{lane:?} {text} -> {answer}{}", if self.disk.is_off { " POWER FAILS" } else { "" });
        }
        if self.disk.is_off {
            return;
        }
        self.answer(ticket, result);
    }

    pub fn answer(&mut self, ticket: Ticket, result: Result<DiskDone, DiskError>) {
        assert!(self.logs.disk_done(self.now, ticket, result, &mut self.fx, &mut self.events));
        self.carry_out();
    }

    pub fn take_events(&mut self) {
        for event in std::mem::take(&mut self.events) {
            self.happened(event);
        }
    }

    /// In the end everything can be read, and written.
    pub fn read_everything(&mut self) {
        for index in 0..self.topics.len() {
            let topic = &self.topics[index];
            let Some(key) = topic.key else { continue };
            let marks = self.logs.marks(key);
            let mut from = marks.start;
            while from < marks.end {
                self.ask(index, key, from, marks.end, 4096, marks);
                self.settle();
                let batch = self.topics[index].model.from(from, marks.end).next().expect("a batch at every offset");
                from = batch.next;
            }
            self.append(index);
        }
        self.settle();
        for topic in &self.topics {
            assert_eq!(topic.model.durable, topic.model.end, "{}", topic.dir.name);
        }
    }
}

impl Topic {
    pub fn new(number: usize, setup: Setup, root: Root, rng: &mut Rng) -> Topic {
        let name = if setup.is_quorum { "quorum-0".into() } else { format!("topic-{number}").into() };
        let by_interval = setup.by_interval && number.is_multiple_of(2);
        let config = LogConfig {
            segment_bytes: 500 << rng.below(5),
            segment_ms: if rng.one_in(4) { 2000 } else { u64::MAX },
            index_interval_bytes: 64 << rng.below(5),
            flush_messages: if by_interval { 1 + rng.below(20) } else { 1 },
            flush_ms: by_interval.then(|| rng.below(3000)),
            producers: !setup.is_quorum,
            ..LogConfig::default()
        };
        let model = ModelLog { by_interval, ..ModelLog::default() };
        Topic { dir: LogDir { root, name }, config, key: None, is_open: false, model, epoch: 0, sequence: 0 }
    }
}

/// A job in one line.
fn describe(op: &DiskOp) -> String {
    let round = match op {
        DiskOp::Log(job) => match &**job {
            LogJob::Write(round) => round,
            other => return format!("{other:?}").chars().take(1500).collect(),
        },
        other => return format!("{other:?}"),
    };
    let part = |part: &WritePart| {
        let bytes: usize = part.batches.iter().map(|batch| batch.len()).sum();
        let create = if part.create { " new" } else { "" };
        format!("[{} {}{create} at {}: {bytes} {:?}]", part.dir.name, part.base, part.position, part.sync)
    };
    let parts: String = round.parts.iter().map(part).collect();
    format!("write {parts} {:?}", round.journal)
}
