//! `Logs`, its jobs and a simulated disk, driven at random: one step is one thing that the owner of the logs, a disk lane
//! or fate does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tern::effect::{DiskDone, DiskError, DiskOp, Effect, Effects, Lane, LogDir, LogJob, Root, WritePart};
use tern::log::{AppendError, LogConfig, LogEvent, LogKey, LogReadError, Logs, LogsConfig, Marks, Opened, job};
use tern::memory::Grant;
use tern::record::{BatchBuilder, NewRecord, Producer};
use tern::types::{Instant, LeaderEpoch, Now, Offset, ProducerEpoch, ProducerId, Rng, Ticket, Timestamp};

use crate::check;
use crate::disk::SimDisk;
use crate::model::{Cut, ModelBatch, ModelLog};

/// What kind of world it is.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    logs: usize,
    is_quorum: bool,
    refuses: bool,
    by_interval: bool,
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
struct Topic {
    dir: LogDir,
    config: LogConfig,
    key: Option<LogKey>,
    is_open: bool,
    model: ModelLog,
    epoch: i32,
    sequence: i32,
}

struct PendingRead {
    topic: usize,
    from: Offset,
    below: Offset,
    max_bytes: usize,
    durable: Offset,
}

struct PendingFind {
    topic: usize,
    at: Option<Timestamp>,
    below: Offset,
    start: Offset,
}

pub struct World {
    pub disk: SimDisk,
    rng: Rng,
    setup: Setup,
    logs: Logs,
    logs_config: LogsConfig,
    now: Now,
    fx: Effects,
    events: Vec<LogEvent>,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    topics: Vec<Topic>,
    reads: BTreeMap<u64, PendingRead>,
    finds: BTreeMap<u64, PendingFind>,
    tokens: u64,
    dirs: Option<Vec<Arc<str>>>,
    is_fatal: bool,
    is_stopped: bool,
    /// Tells every job and its answer.
    is_loud: bool,
    /// Recovery just began on what a crash left; the kind of crash.
    after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
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
    fn start(&mut self) {
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
    fn end(&mut self) {
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

    fn lose_power(&mut self) {
        self.disk.power_cut(&mut self.rng);
        self.after = After::PowerCut;
    }

    fn heal(&mut self) {
        self.disk.capacity_bytes = None;
        self.disk.is_read_only = false;
        self.disk.syncs_until_error = None;
    }

    fn step(&mut self) {
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

    fn pass(&mut self, micros: u64) {
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
    fn carry_out(&mut self) {
        for effect in self.fx.take() {
            let Effect::Disk { lane, ticket, op } = effect else { panic!("logs ask disks alone") };
            self.lanes.entry(lane).or_default().push_back((ticket, op));
        }
    }

    /// One lane does its next job.
    fn run_one(&mut self) {
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

    fn answer(&mut self, ticket: Ticket, result: Result<DiskDone, DiskError>) {
        assert!(self.logs.disk_done(self.now, ticket, result, &mut self.fx, &mut self.events));
        self.carry_out();
    }

    fn take_events(&mut self) {
        for event in std::mem::take(&mut self.events) {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: LogEvent) {
        if self.is_loud {
            eprintln!("{}", format!("{event:?}").chars().take(300).collect::<String>());
        }
        match event {
            LogEvent::Started { dirs, .. } => self.dirs = Some(dirs),
            LogEvent::Opened { log, result } => self.opened(log, result),
            LogEvent::Durable { log, end, batches } => {
                let topic = self.topic_of(log);
                let model = &mut self.topics[topic].model;
                assert!(end >= model.durable && end <= model.end, "{end} is durable in {model:?}");
                if !batches.is_empty() {
                    let expected: Vec<&Bytes> = model.from(model.durable, end).map(|batch| &batch.bytes).collect();
                    assert_eq!(batches.iter().collect::<Vec<_>>(), expected, "the tail");
                }
                model.durable = end;
            }
            LogEvent::AppendFailed { log, from, .. } => {
                assert!(self.setup.refuses);
                let topic = self.topic_of(log);
                let model = &mut self.topics[topic].model;
                assert!(from >= model.durable, "what was durable is taken back");
                model.take_back(from);
                assert!(self.logs.marks(log).end == from || !model.cutting.is_empty());
            }
            LogEvent::ReadDone { token, result } => self.read_done(token, result),
            LogEvent::TimestampFound { token, result } => self.found(token, result),
            LogEvent::StartMoved { log, start } => {
                let topic = self.topic_of(log);
                self.topics[topic].model.moved(start);
            }
            LogEvent::Truncated { log, end } => {
                let topic = self.topic_of(log);
                let model = &mut self.topics[topic].model;
                match model.cutting.remove(0) {
                    Cut::To(to) => {
                        assert!(end <= to.min(model.end));
                        model.truncated(end);
                        let last = model.batches.back().map_or(end, |batch| batch.next);
                        assert_eq!(
                            end,
                            last.max(model.start),
                            "whole batches are cut, and no more of them than needed"
                        );
                    }
                    Cut::Restart(at) => {
                        assert_eq!(end, at);
                        model.restarted(at);
                    }
                }
            }
            LogEvent::Deleted { log } => {
                let topic = self.topic_of(log);
                let topic_state = &mut self.topics[topic];
                let by_interval = topic_state.model.by_interval;
                topic_state.model = ModelLog { by_interval, ..ModelLog::default() };
                topic_state.key = None;
                topic_state.is_open = false;
                self.reads.retain(|_, read| read.topic != topic);
                self.finds.retain(|_, find| find.topic != topic);
                self.open(topic);
            }
            LogEvent::Damaged { sentence, .. } => panic!("no byte was harmed: {sentence}"),
            LogEvent::SnapshotWanted { log } => {
                let topic = self.topic_of(log);
                self.snapshot(topic);
            }
            LogEvent::SpaceLow | LogEvent::SpaceBack => assert!(self.setup.refuses),
            LogEvent::Stopped => self.is_stopped = true,
            LogEvent::Fatal { sentence } => {
                assert!(self.setup.refuses, "{sentence}");
                self.is_fatal = true;
            }
        }
    }

    fn topic_of(&self, key: LogKey) -> usize {
        self.topics.iter().position(|topic| topic.key == Some(key)).expect("a key of ours")
    }

    fn open(&mut self, topic: usize) {
        let (dir, config) = (self.topics[topic].dir.clone(), self.topics[topic].config.clone());
        let key = self.logs.open(self.now, dir, config, &mut self.fx);
        self.topics[topic].key = Some(key);
        self.logs.set_tail(key, self.rng.one_in(2));
        self.carry_out();
    }

    fn opened(&mut self, key: LogKey, result: Result<Opened, DiskError>) {
        let index = self.topic_of(key);
        let opened = match result {
            Ok(opened) => opened,
            Err(error) => {
                assert!(self.setup.refuses, "{error}");
                self.is_fatal = true; // the owner would try later; a restart does
                return;
            }
        };
        self.check_files(index, &opened);
        self.topics[index].is_open = true;
    }

    /// What is in the files after a restart, compared with what was promised before it.
    fn check_files(&mut self, index: usize, opened: &Opened) {
        let topic = &mut self.topics[index];
        let marks = opened.marks;
        let found = check::log_bytes(&self.disk, &topic.dir, topic.config.index_interval_bytes);
        let model = &mut topic.model;
        let name = &topic.dir.name;
        assert_eq!(marks.durable, marks.end);
        let restarted = model.cutting.iter().any(|cut| matches!(cut, Cut::Restart(at) if marks.start == *at));
        if restarted && found.is_empty() {
            model.restarted(marks.end);
        }
        let may_be_cut = model.cutting.iter().filter_map(|cut| if let Cut::To(to) = cut { Some(*to) } else { None });
        let sure = may_be_cut.min().unwrap_or(Offset(i64::MAX)).min(model.durable);
        let sure = match self.after {
            _ if model.is_deleting => marks.start, // nobody cares for it any more

            After::PowerCut if model.by_interval => marks.start,
            After::Stop if model.by_interval || !self.setup.refuses => model.durable.min(sure),
            _ => sure,
        };
        let whole = model.batches.iter().filter(|batch| batch.next <= sure).map(|batch| batch.next).max();
        let sure = whole.unwrap_or(Offset(0));
        assert!(marks.end >= sure, "{name}: {sure} was durable, now the log ends at {} ({:?})", marks.end, self.after);
        let restarts = model.cutting.iter().filter_map(|cut| if let Cut::Restart(at) = cut { Some(*at) } else { None });
        let starts = model.start..=restarts.max().unwrap_or(model.start).max(model.start_max);
        assert!(starts.contains(&marks.start), "{name}: start {} is not in {starts:?}", marks.start);
        let mut next = None;
        for (base, after, bytes) in &found {
            assert!(next.is_none_or(|next| next == *base), "{name}: a gap before {base}");
            next = Some(*after);
            let is_same = |batch: &ModelBatch| batch.base == *base && batch.bytes == bytes;
            let is_known = model.batches.iter().any(is_same);
            let is_ghost = model.ghosts.iter().any(is_same);
            assert!(is_known || (is_ghost && *base >= sure), "{name}: batch {base} was never appended, or was cut");
        }
        assert_eq!(next.unwrap_or(marks.end), marks.end, "{name}");
        let first = found.first().map_or(marks.end, |(base, ..)| *base);
        assert!(first <= marks.start, "{name}: {first} is the first, {} the start", marks.start);
        let to_batch = |(base, next, bytes): (Offset, Offset, Vec<u8>)| ModelBatch { base, next, bytes: bytes.into() };
        model.batches = found.into_iter().map(to_batch).collect();
        (model.start, model.start_max, model.end, model.durable) = (marks.start, marks.start, marks.end, marks.end);
        if self.after == After::PowerCut {
            model.ghosts.clear();
        }
        model.cutting.clear();
        model.is_deleting = false;
        self.check_producers(index, opened);
    }

    /// The snapshot and the batches after it tell the last sequence of the topic's producer.
    fn check_producers(&mut self, index: usize, opened: &Opened) {
        let topic = &mut self.topics[index];
        let written = |batch: &ModelBatch| {
            let view = tern::record::BatchView::parse(&batch.bytes).unwrap();
            view.has_producer().then(|| view.base_sequence() + view.last_offset_delta() + 1)
        };
        let last = topic.model.batches.iter().filter_map(written).next_back();
        let told = opened.producer_batches.last().map(|batch| batch.base_sequence + batch.last_offset_delta + 1);
        let noted = opened.producer_snapshot.as_ref().and_then(|(_, bytes)| {
            let bytes: [u8; 4] = bytes[..].try_into().ok()?;
            Some(i32::from_be_bytes(bytes))
        });
        // a log that was cut below its snapshot forgets its producers until the next one
        if let (Some(last), true) = (last, opened.producer_snapshot.is_some()) {
            assert_eq!(told.or(noted), Some(last), "{}: the producer's next sequence, {opened:?}", topic.dir.name);
        }
        topic.sequence = told.or(noted).unwrap_or(0);
    }

    fn append(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let mut builder = BatchBuilder::new(1 << 20);
        let sequence = topic.sequence;
        if self.rng.one_in(2) && !self.setup.is_quorum {
            let producer = Producer { id: ProducerId(7), epoch: ProducerEpoch(0), base_sequence: sequence };
            builder.set_producer(producer);
            topic.sequence += 1;
        }
        let count = 1 + self.rng.below(3);
        for number in 0..count {
            let size = if self.rng.one_in(10) { self.rng.below(3000) } else { self.rng.below(200) };
            let mut value = vec![0; size as usize];
            if !self.rng.one_in(8) {
                self.rng.fill(&mut value);
            }
            let timestamp = Timestamp(self.now.wall.0.max(0) + self.rng.below(50) as i64 - 25 * (number as i64 % 2));
            builder.push(&NewRecord { timestamp, key: None, value: Some(&value), headers: &[] }).unwrap();
        }
        let is_sequenced = topic.sequence != sequence;
        topic.sequence = if is_sequenced { sequence + count as i32 } else { sequence };
        if self.rng.one_in(30) {
            topic.epoch += 1;
        }
        let batch = builder.seal(Offset(0), LeaderEpoch(0));
        let mut expected = batch.clone();
        match self.logs.append(self.now, key, batch, LeaderEpoch(topic.epoch), Grant::none()) {
            Ok(appended) => {
                tern::record::set_base_offset(&mut expected, appended.base_offset);
                tern::record::set_leader_epoch(&mut expected, LeaderEpoch(topic.epoch));
                topic.model.append(appended.base_offset, expected.freeze());
                assert_eq!(appended.last_offset.plus(1), topic.model.end);
            }
            Err(AppendError::NotOpen) => topic.sequence = sequence,
            Err(AppendError::Disk(error)) => {
                assert!(self.setup.refuses, "{error}");
                topic.sequence = sequence;
            }
            Err(error) => panic!("{error}"),
        }
        if self.rng.one_in(4) {
            self.logs.turn_end(self.now, &mut self.fx);
            self.carry_out();
        }
    }

    fn read(&mut self, index: usize) {
        let topic = &self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let span = (marks.end.0 - marks.start.0 + 1) as u64;
        let from = marks.start.plus(self.rng.below(span) as i64);
        let max_bytes = 1 << self.rng.below(14);
        let below = if self.rng.one_in(2) { marks.durable } else { marks.end };
        self.ask(index, key, from, below, max_bytes, marks);
    }

    fn ask(&mut self, topic: usize, key: LogKey, from: Offset, below: Offset, max_bytes: usize, marks: Marks) {
        self.tokens += 1;
        match self.logs.read(key, from, below, max_bytes, self.tokens, &mut self.fx) {
            Ok(()) => {
                let read = PendingRead { topic, from, below, max_bytes, durable: marks.durable };
                self.reads.insert(self.tokens, read);
            }
            Err(LogReadError::NotOpen) => {}
            Err(error) => panic!("{error}"),
        }
        self.carry_out();
    }

    fn read_done(&mut self, token: u64, result: Result<Bytes, LogReadError>) {
        let Some(read) = self.reads.remove(&token) else { return };
        let topic = &self.topics[read.topic];
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(LogReadError::OutOfRange(marks)) => return assert!(read.from < marks.start),
            Err(LogReadError::NotOpen) => return,
            Err(error) => panic!("{}: reading {} failed: {error}", topic.dir.name, read.from),
        };
        let mut rest = &bytes[..];
        let mut expected = topic.model.from(read.from, read.below);
        while !rest.is_empty() {
            let batch = expected.next().expect("no batch beyond the wanted ones");
            assert!(rest.starts_with(&batch.bytes), "{}: batch {} is not as appended", topic.dir.name, batch.base);
            rest = &rest[batch.bytes.len()..];
        }
        let first = topic.model.from(read.from, read.below).next();
        let first_bytes = first.map_or(0, |batch| batch.bytes.len());
        assert!(bytes.len() <= read.max_bytes.max(first_bytes));
        let is_due = first.is_some_and(|batch| batch.next <= read.durable);
        assert!(!is_due || !bytes.is_empty(), "{}: nothing at {} of {:?}", topic.dir.name, read.from, read.below);
    }

    fn find(&mut self, index: usize) {
        let topic = &self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        self.tokens += 1;
        let below = marks.durable;
        let at = (!self.rng.one_in(3)).then(|| Timestamp(self.now.wall.0 - self.rng.below(5_000) as i64));
        let asked = match at {
            Some(at) => self.logs.find_timestamp(key, at, below, self.tokens, &mut self.fx),
            None => self.logs.find_max_timestamp(key, below, self.tokens, &mut self.fx),
        };
        if asked.is_ok() {
            self.finds.insert(self.tokens, PendingFind { topic: index, at, below, start: marks.start });
        }
        self.carry_out();
    }

    fn found(&mut self, token: u64, result: Result<Option<(Timestamp, Offset)>, LogReadError>) {
        let Some(find) = self.finds.remove(&token) else { return };
        let topic = &self.topics[find.topic];
        let Ok(found) = result else { return };
        let start = topic.key.map_or(Offset(0), |key| self.logs.marks(key).start);
        if start != find.start {
            return; // the start moved meanwhile
        }
        let highest = || {
            let records = topic.model.from(start, find.below);
            let mut best = None;
            for batch in records {
                let view = tern::record::BatchView::parse(&batch.bytes).unwrap();
                best = best.max(Some(view.max_timestamp()));
            }
            best
        };
        let at = find.at.or_else(highest);
        let expected = at.and_then(|at| topic.model.first_record(start, find.below, |timestamp| timestamp >= at));
        let is_exact = find.at.is_some() || topic.model.batches.front().is_none_or(|batch| batch.base >= start);
        if is_exact {
            assert_eq!(found, expected, "{}: record at {:?} from {start}", topic.dir.name, find.at);
        }
    }

    fn truncate(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open && !topic.model.is_deleting) else { return };
        if !topic.model.cutting.is_empty() {
            return;
        }
        let marks = self.logs.marks(key);
        let back = (marks.end.0 - marks.start.0).min(10) as u64;
        let to = Offset(marks.end.0 - self.rng.below(back + 1) as i64);
        topic.model.cutting.push(Cut::To(to));
        self.logs.truncate(self.now, key, to, &mut self.fx);
        self.carry_out();
    }

    fn restart_at(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open && !topic.model.is_deleting) else { return };
        if !topic.model.cutting.is_empty() || self.rng.one_in(2) {
            return;
        }
        let at = Offset((self.logs.marks(key).end.0 + self.rng.below(40) as i64 - 20).max(0));
        topic.model.cutting.push(Cut::Restart(at));
        self.logs.restart_at(self.now, key, at, &mut self.fx);
        self.carry_out();
    }

    fn delete(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open && !self.setup.is_quorum) else { return };
        if self.rng.one_in(2) {
            topic.model.is_deleting = true;
            topic.is_open = false;
            self.logs.delete(key, &mut self.fx, &mut self.events);
            self.carry_out();
        }
    }

    fn delete_records(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let before = marks.start.plus(self.rng.below((marks.durable.0 - marks.start.0 + 1) as u64) as i64);
        if self.logs.delete_records(key, before, &mut self.fx).is_ok() {
            topic.model.start_max = topic.model.start_max.max(before);
        }
        self.carry_out();
    }

    fn configure(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        topic.config.retention_bytes = self.rng.one_in(3).then(|| self.rng.below(20_000));
        topic.config.retention_ms = self.rng.one_in(3).then(|| self.rng.below(100_000));
        if let Some(key) = topic.key {
            self.logs.set_config(key, topic.config.clone());
        }
        self.pass(1000);
    }

    fn snapshot(&mut self, index: usize) {
        let topic = &self.topics[index];
        if let Some(key) = topic.key.filter(|_| topic.is_open) {
            let written = |batch: &ModelBatch| {
                let view = tern::record::BatchView::parse(&batch.bytes).unwrap();
                view.has_producer().then(|| view.base_sequence() + view.last_offset_delta() + 1)
            };
            let last = topic.model.batches.iter().filter_map(written).next_back().unwrap_or(topic.sequence);
            self.logs.set_producer_snapshot(key, Bytes::copy_from_slice(&last.to_be_bytes()));
        }
    }

    fn refuse(&mut self) {
        self.heal();
        match self.rng.below(6) {
            0..=2 => self.disk.capacity_bytes = Some(self.disk.used_bytes() + self.rng.below(4000)),
            3 => self.disk.is_read_only = true,
            4 => self.disk.syncs_until_error = Some(self.rng.below(20)),
            _ => {}
        }
    }

    /// In the end everything can be read, and written.
    fn read_everything(&mut self) {
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
    fn new(number: usize, setup: Setup, root: Root, rng: &mut Rng) -> Topic {
        let name = if setup.is_quorum { "quorum-0".into() } else { format!("topic-{number}").into() };
        let by_interval = setup.by_interval && number % 2 == 0;
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
