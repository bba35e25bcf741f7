//! Compacted `Logs`, their jobs and a simulated disk, driven at random.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use tern::effect::{DiskError, DiskOp, Effect, Effects, Lane, LogDir, LogDone, LogJob, Root};
use tern::log::{
    AppendError, CleanerConfig, CompactionConfig, LogConfig, LogEvent, LogKey, LogReadError, Logs, LogsConfig, job,
};
use tern::memory::{Account, Grant};
use tern::record::{BatchBuilder, BatchView, NewRecord, Producer};
use tern::types::{Instant, LeaderEpoch, Now, Offset, ProducerEpoch, ProducerId, Rng, Ticket, Timestamp};

use crate::disk::SimDisk;
use crate::keyed::{KeyedLog, Seen};

const LOGS: usize = 2;
const TOMBSTONES_MS: u64 = 600;

/// What kind of world it is.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub map_bytes: usize,
    pub refuses: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { map_bytes: 4096, refuses: false }
    }
}

/// What happened, so that a test can tell that something did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub removed: u64,
    pub tombstones_removed: u64,
    pub empty_batches: u64,
    /// Power cuts while a swap was on its way.
    pub swaps_cut: u64,
    /// Reads that were answered while a swap was on its way.
    pub rereads: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.removed += other.removed;
        self.tombstones_removed += other.tombstones_removed;
        self.empty_batches += other.empty_batches;
        self.swaps_cut += other.swaps_cut;
        self.rereads += other.rereads;
    }
}

struct Topic {
    dir: LogDir,
    config: LogConfig,
    key: Option<LogKey>,
    is_open: bool,
    model: KeyedLog,
    sequences: [i32; 3],
}

struct PendingRead {
    topic: usize,
    from: Offset,
    durable: Offset,
    below: Offset,
    max_bytes: usize,
}

pub struct World {
    disk: SimDisk,
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
    tokens: u64,
    is_fatal: bool,
    is_stopped: bool,
    is_swapping: bool,
    tally: Tally,
}

impl World {
    pub fn new(seed: u64, setup: Setup) -> World {
        let mut rng = Rng::new(seed);
        let logs_config = LogsConfig {
            journal_half_bytes: 4096 * (2 + rng.below(5)),
            reserve_bytes: 8192,
            scan_bytes: 2048 << rng.below(4),
            scan_total_bytes: 8192 << rng.below(4),
            ..LogsConfig::topics(Timestamp(1_000_000))
        };
        let topics = (0..LOGS).map(|number| Topic::new(number, &mut rng)).collect();
        World {
            disk: SimDisk::new(rng.next()),
            setup,
            logs: Logs::new(logs_config.clone()),
            logs_config,
            now: Now { mono: Instant(1), wall: Timestamp(2_000_000) },
            fx: Effects::default(),
            events: Vec::new(),
            lanes: BTreeMap::new(),
            topics,
            reads: BTreeMap::new(),
            tokens: 0,
            is_fatal: false,
            is_stopped: false,
            is_swapping: false,
            tally: Tally::default(),
            rng,
        }
    }

    /// `lives` processes one after the other, each with an end of its own kind; then everything is read.
    pub fn run(mut self, lives: usize, steps: u64) -> Tally {
        for _ in 0..lives {
            self.start();
            if self.rng.one_in(2) {
                self.disk.calls_until_power_cut = Some(self.rng.below(20 * steps));
            }
            for _ in 0..self.rng.below(steps) {
                self.step();
                if self.disk.is_off || self.is_fatal {
                    break;
                }
            }
            self.end();
        }
        self.start();
        self.settle();
        (0..LOGS).for_each(|topic| self.read_everything(topic));
        self.tally
    }

    fn heal(&mut self) {
        self.disk.capacity_bytes = None;
        self.disk.is_read_only = false;
        self.disk.syncs_until_error = None;
    }

    fn start(&mut self) {
        self.heal();
        self.disk.calls_until_power_cut = None;
        self.logs = Logs::new(self.logs_config.clone());
        let cleaner =
            CleanerConfig { bytes_per_second: None, map_bytes: self.setup.map_bytes, backoff_ms: self.rng.below(500) };
        let buffers = Account::new(4 << 20);
        self.logs.compact_with(cleaner, Account::new(1 << 20), buffers);
        self.fx = Effects::default();
        self.lanes.clear();
        self.reads.clear();
        (self.is_fatal, self.is_stopped, self.is_swapping) = (false, false, false);
        self.logs.start(self.now, &mut self.fx);
        self.settle();
        for topic in &mut self.topics {
            topic.is_open = false;
            topic.key = Some(self.logs.open(self.now, topic.dir.clone(), topic.config.clone(), &mut self.fx));
        }
        self.settle();
        assert!(self.topics.iter().all(|topic| topic.is_open), "every log opens");
        (0..LOGS).for_each(|topic| self.read_everything(topic));
    }

    fn step(&mut self) {
        let index = self.rng.below(LOGS as u64) as usize;
        match self.rng.below(40) {
            0..=13 => self.append(index),
            14..=19 => self.read(index),
            20..=31 => self.work(),
            32..=35 => self.pass_below(400),
            36 => self.pass_below(5_000),
            37 if self.rng.one_in(4) => self.delete_records(index),
            38 if self.rng.one_in(3) => self.configure(index),
            39 if self.setup.refuses => self.refuse(),
            _ => self.settle(),
        }
    }

    fn end(&mut self) {
        self.heal();
        if !self.disk.is_off && !self.is_fatal && self.rng.one_in(3) {
            self.disk.calls_until_power_cut = None;
            self.logs.stop(self.now, &mut self.fx);
            for _ in 0..5 {
                self.settle();
                self.pass(300);
            }
            assert!(self.is_stopped || self.is_fatal);
        }
        self.tally.swaps_cut += (self.is_swapping && self.disk.is_off) as u64;
        if self.disk.is_off || self.rng.one_in(2) {
            let mut rng = Rng::new(self.rng.next());
            self.disk.power_cut(&mut rng);
        } else {
            self.disk.kill();
        }
        self.rng.next();
    }

    fn append(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let who = self.rng.below(6) as usize;
        let mut builder = BatchBuilder::new(1 << 16);
        if let Some(&base_sequence) = topic.sequences.get(who) {
            let (id, epoch) = (ProducerId(who as i64), ProducerEpoch(0));
            builder.set_producer(Producer { id, epoch, base_sequence });
        }
        let most = if self.rng.one_in(6) { 40 } else { 4 };
        let count = 1 + self.rng.below(most);
        for _ in 0..count {
            let name = self.rng.below(12).to_string();
            let most = if self.rng.one_in(9) { 900 } else { 60 };
            let mut value = vec![0; self.rng.below(most) as usize];
            self.rng.fill(&mut value);
            let value = (!self.rng.one_in(4)).then_some(&value[..]);
            let timestamp = Timestamp(self.now.wall.0 + self.rng.below(50) as i64 - 25);
            builder.push(&NewRecord { timestamp, key: Some(name.as_bytes()), value, headers: &[] }).unwrap();
        }
        let mut batch = builder.seal(Offset(0), LeaderEpoch(0));
        if self.rng.one_in(3) {
            batch = gzip(&batch);
        }
        let at = self.logs.broker_time(self.now);
        match self.logs.append(self.now, key, batch.clone(), LeaderEpoch(0), Grant::none()) {
            Ok(appended) => {
                topic.model.append(appended.base_offset, batch, at);
                if let Some(sequence) = topic.sequences.get_mut(who) {
                    *sequence += count as i32;
                }
            }
            Err(AppendError::NotOpen) => {}
            Err(AppendError::Disk(error)) => assert!(self.setup.refuses, "{error}"),
            Err(error) => panic!("{error}"),
        }
        if self.rng.one_in(2) {
            self.logs.turn_end(self.now, &mut self.fx);
            self.queue();
        }
    }

    fn read(&mut self, index: usize) {
        let topic = &self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let from = marks.start.plus(self.rng.below((marks.end.0 - marks.start.0 + 1) as u64) as i64);
        let max_bytes = 1 << self.rng.below(14);
        self.tokens += 1;
        match self.logs.read(key, from, marks.durable, max_bytes, self.tokens, &mut self.fx) {
            Ok(()) => {
                let read = PendingRead { topic: index, from, durable: marks.durable, below: marks.durable, max_bytes };
                self.reads.insert(self.tokens, read);
            }
            Err(LogReadError::NotOpen) => {}
            Err(error) => assert!(self.setup.refuses, "{error}"),
        }
        self.queue();
    }

    fn delete_records(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let before = marks.start.plus(self.rng.below((marks.durable.0 - marks.start.0) as u64 / 2 + 1) as i64);
        if self.logs.delete_records(key, before, &mut self.fx).is_ok() {
            topic.model.start_max = topic.model.start_max.max(before);
        }
        self.queue();
    }

    fn configure(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        topic.config = config(&mut self.rng);
        if self.rng.one_in(6) {
            topic.config.compaction = None;
        }
        if let Some(key) = topic.key {
            self.logs.set_config(key, topic.config.clone());
        }
        self.pass(1);
    }

    fn refuse(&mut self) {
        self.heal();
        match self.rng.below(6) {
            0..=2 => self.disk.capacity_bytes = Some(self.disk.used_bytes() + self.rng.below(6000) + (16 << 20)),
            3 => self.disk.is_read_only = true,
            4 => self.disk.syncs_until_error = Some(self.rng.below(20)),
            _ => {}
        }
    }

    fn pass_below(&mut self, millis: u64) {
        let millis = self.rng.below(millis);
        self.pass(millis);
    }

    fn pass(&mut self, millis: u64) {
        self.now.mono = self.now.mono.plus_millis(millis);
        self.now.wall.0 += millis as i64;
        self.logs.on_time(self.now, &mut self.fx);
        self.queue();
    }

    /// Takes what the logs asked for to the lanes, and what they told to the model.
    fn queue(&mut self) {
        for effect in self.fx.take() {
            let Effect::Disk { lane, ticket, op } = effect else { panic!("logs ask disks alone") };
            self.is_swapping |= matches!(&op, DiskOp::Log(job) if matches!(**job, LogJob::Swap(_)));
            self.lanes.entry(lane).or_default().push_back((ticket, op));
        }
        for event in std::mem::take(&mut self.events) {
            self.take_event(event);
        }
    }

    /// One job of some lane.
    fn work(&mut self) {
        let busy: Vec<Lane> = self.lanes.iter().filter(|(_, jobs)| !jobs.is_empty()).map(|(&lane, _)| lane).collect();
        if busy.is_empty() || self.disk.is_off || self.is_fatal {
            return;
        }
        let lane = busy[self.rng.below(busy.len() as u64) as usize];
        let Some((ticket, op)) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else { return };
        self.tally.rereads += (self.is_swapping && lane == Lane::Read) as u64;
        let result = job::run(op, &mut self.disk);
        if self.disk.is_off {
            return; // nobody is told
        }
        if let Ok(tern::effect::DiskDone::Log(LogDone::Swapped(_))) = &result {
            self.is_swapping = false;
        }
        self.now.mono = self.now.mono.plus_millis(self.rng.below(2));
        assert!(self.logs.disk_done(self.now, ticket, result, &mut self.fx, &mut self.events));
        self.queue();
    }

    /// Runs everything that does not wait for time.
    fn settle(&mut self) {
        loop {
            self.now.mono = self.now.mono.plus_millis(self.rng.below(2));
            self.logs.turn_end(self.now, &mut self.fx);
            self.logs.on_time(self.now, &mut self.fx);
            self.queue();
            if self.lanes.values().all(VecDeque::is_empty) || self.disk.is_off || self.is_fatal {
                return;
            }
            self.work();
        }
    }

    fn take_event(&mut self, event: LogEvent) {
        let find = |topics: &[Topic], log| topics.iter().position(|topic| topic.key == Some(log));
        match event {
            LogEvent::Opened { log, result } => {
                let opened = result.expect("logs open");
                let index = find(&self.topics, log).unwrap();
                let topic = &mut self.topics[index];
                topic.is_open = true;
                let (end, durable) = (opened.marks.end, topic.model.durable);
                assert!(end >= durable, "{}: {durable} was durable, {end} is left", topic.dir.name);
                assert!(opened.marks.start <= topic.model.start_max);
                topic.model.cut(end);
                topic.model.durable = end;
                assert_eq!(topic.model.end, end);
                for (who, sequence) in topic.sequences.iter_mut().enumerate() {
                    let of = |batch: &(Offset, Option<(ProducerId, i32)>)| batch.1.map(|(id, first)| (id.0, first));
                    let last = topic
                        .model
                        .batches
                        .iter()
                        .rev()
                        .find(|(_, batch)| of(batch).is_some_and(|(id, _)| id == who as i64));
                    *sequence =
                        last.map_or(0, |(base, (next, producer))| producer.unwrap().1 + (next.0 - base.0) as i32);
                }
            }
            LogEvent::Durable { log, end, .. } => {
                let index = find(&self.topics, log).unwrap();
                self.topics[index].model.durable = end;
            }
            LogEvent::AppendFailed { log, from, .. } => {
                let index = find(&self.topics, log).unwrap();
                let topic = &mut self.topics[index];
                assert!(from >= topic.model.durable);
                topic.model.cut(from);
                topic.sequences = topic.sequences.map(|sequence| sequence + 1000); // as a client after an epoch bump
            }
            LogEvent::ReadDone { token, result } => self.read_done(token, result),
            LogEvent::SnapshotWanted { log } => self.logs.set_producer_snapshot(log, Bytes::from_static(b"known")),
            LogEvent::Damaged { sentence, .. } => panic!("{sentence}"),
            LogEvent::Fatal { sentence } => {
                assert!(self.setup.refuses, "{sentence}");
                self.is_fatal = true;
            }
            LogEvent::Stopped => self.is_stopped = true,
            _ => {}
        }
    }

    fn read_done(&mut self, token: u64, result: Result<Bytes, LogReadError>) {
        let Some(read) = self.reads.remove(&token) else { return };
        let topic = &self.topics[read.topic];
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(LogReadError::OutOfRange(marks)) => return assert!(read.from < marks.start),
            Err(LogReadError::NotOpen) => return,
            Err(LogReadError::Disk(error)) if self.setup.refuses => {
                return assert!(matches!(error, DiskError::Io(_)), "{error}");
            }
            Err(error) => panic!("{}: reading {} failed: {error}", topic.dir.name, read.from),
        };
        let mut seen = Seen::default();
        let next = seen.take(&bytes, Timestamp(0));
        topic.model.check_part(&seen);
        assert!(seen.batches.len() <= 1 || bytes.len() <= read.max_bytes);
        if let Some((&base, &(first_next, _))) = seen.batches.first_key_value() {
            assert!(first_next > read.from, "{base} ends below {}", read.from);
            assert!(next.is_some_and(|next| next <= read.below));
        } else {
            // segments end where the next begins: behind every offset there is a batch, which by now may reach further
            let moved = topic.key.is_some_and(|key| self.logs.marks(key).durable > read.durable);
            let name = &topic.dir.name;
            assert!(read.from >= read.durable || moved, "{name}: nothing at {} of {}", read.from, read.durable);
        }
    }

    /// Reads a log from its start to its durable end, and compares.
    fn read_everything(&mut self, index: usize) {
        let Some(key) = self.topics[index].key else { return };
        self.settle();
        if self.disk.is_off || self.is_fatal {
            return;
        }
        let marks = self.logs.marks(key);
        let mut seen = Seen::default();
        let mut from = marks.start;
        while from < marks.durable {
            self.tokens += 1;
            let token = self.tokens;
            self.logs.read(key, from, marks.durable, 2000, token, &mut self.fx).unwrap();
            let bytes = self.answer(token);
            from = seen.take(&bytes, Timestamp(0)).unwrap_or_else(|| panic!("nothing at {from}"));
        }
        let time = self.logs.broker_time(self.now);
        let model = &self.topics[index].model;
        let (removed, tombstones) = model.check(&seen, marks.start, time, TOMBSTONES_MS as i64);
        self.tally.removed += removed;
        self.tally.tombstones_removed += tombstones;
        self.tally.empty_batches += seen.empty_batches;
    }

    /// Works until the read is answered.
    fn answer(&mut self, token: u64) -> Bytes {
        loop {
            for effect in self.fx.take() {
                let Effect::Disk { lane, ticket, op } = effect else { panic!("logs ask disks alone") };
                self.lanes.entry(lane).or_default().push_back((ticket, op));
            }
            let is_ours = |event: &LogEvent| matches!(event, LogEvent::ReadDone { token: of, .. } if *of == token);
            if let Some(index) = self.events.iter().position(is_ours) {
                let LogEvent::ReadDone { result, .. } = self.events.remove(index) else { unreachable!() };
                return result.unwrap();
            }
            let (ticket, op) = self.lanes.values_mut().find_map(VecDeque::pop_front).expect("something to do");
            let result = job::run(op, &mut self.disk);
            assert!(self.logs.disk_done(self.now, ticket, result, &mut self.fx, &mut self.events));
        }
    }
}

impl Topic {
    fn new(number: usize, rng: &mut Rng) -> Topic {
        Topic {
            dir: LogDir { root: Root::Topics, name: format!("t-{number}").into() },
            config: config(rng),
            key: None,
            is_open: false,
            model: KeyedLog::default(),
            sequences: [0; 3],
        }
    }
}

fn config(rng: &mut Rng) -> LogConfig {
    LogConfig {
        segment_bytes: 400 << rng.below(4),
        index_interval_bytes: 64 << rng.below(4),
        producers: rng.one_in(2),
        compaction: Some(CompactionConfig {
            min_lag_ms: if rng.one_in(3) { rng.below(2_000) } else { 0 },
            max_lag_ms: rng.one_in(3).then(|| rng.below(3_000)),
            dirty_parts_per_million: rng.below(3) as u32 * 250_000,
            tombstones_ms: TOMBSTONES_MS,
            producers_ms: 1 << 40,
        }),
        ..LogConfig::default()
    }
}

/// The same batch, compressed.
pub fn gzip(batch: &[u8]) -> BytesMut {
    use std::io::Write;
    let view = BatchView::parse(batch).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(view.body()).unwrap();
    let body = encoder.finish().unwrap();
    let mut bytes = BytesMut::from(&batch[..tern::record::HEADER_BYTES]);
    bytes.extend_from_slice(&body);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= 1;
    let crc = tern::types::crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}
