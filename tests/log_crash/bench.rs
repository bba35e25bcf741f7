//! One `Logs` over one simulated disk, run without delay: what tests of single stories need.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use tern::effect::{DiskOp, Effect, Effects, Lane, LogDir, Root};
use tern::log::{AppendError, Appended, LogConfig, LogEvent, LogKey, LogReadError, Logs, LogsConfig, Opened, job};
use tern::memory::Grant;
use tern::record::{BatchBuilder, NewRecord};
use tern::types::{Instant, LeaderEpoch, Now, Offset, Ticket, Timestamp};

use crate::disk::SimDisk;

pub const START: Timestamp = Timestamp(1_700_000_000_000);

pub struct Bench {
    pub disk: SimDisk,
    pub logs: Logs,
    pub now: Now,
    pub events: Vec<LogEvent>,
    fx: Effects,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, Box<DiskOp>)>>,
}

impl Bench {
    /// A process on what `disk` holds, started.
    pub fn new(disk: SimDisk, wall: Timestamp) -> Bench {
        Bench::with(disk, wall, Bench::small())
    }

    /// With little set aside.
    pub fn small() -> LogsConfig {
        LogsConfig { reserve_bytes: 64 * 1024, journal_half_bytes: 64 * 1024, ..Bench::config() }
    }

    /// As a node has it.
    pub fn config() -> LogsConfig {
        LogsConfig::topics(Timestamp(START.0 - 1_000_000))
    }

    pub fn with(disk: SimDisk, wall: Timestamp, config: LogsConfig) -> Bench {
        let mut bench = Bench::before_start(disk, wall, config);
        bench.start();
        bench
    }

    /// A process that has not looked at its disk yet.
    pub fn before_start(disk: SimDisk, wall: Timestamp, config: LogsConfig) -> Bench {
        let now = Now { mono: Instant(1), wall };
        let (fx, events, lanes) = Default::default();
        Bench { disk, logs: Logs::new(config), now, events, fx, lanes }
    }

    pub fn start(&mut self) {
        self.logs.start(self.now, &mut self.fx);
        self.settle();
    }

    /// Somebody else has found the disk full.
    pub fn release_reserve(&mut self) {
        self.logs.release_reserve(self.now, &mut self.fx, &mut self.events);
        self.settle();
    }

    /// Opens a log, which must succeed.
    pub fn open(&mut self, name: &str, config: LogConfig) -> (LogKey, Opened) {
        let key = self.logs.open(self.now, dir(name), config, &mut self.fx);
        self.settle();
        let opened = self.events.iter().position(|event| matches!(event, LogEvent::Opened { log, .. } if *log == key));
        match self.events.remove(opened.expect("an answer")) {
            LogEvent::Opened { result: Ok(opened), .. } => (key, opened),
            other => panic!("{other:?}"),
        }
    }

    pub fn append(&mut self, log: LogKey, batch: BytesMut) -> Result<Appended, AppendError> {
        self.logs.append(self.now, log, batch, LeaderEpoch(0), Grant::none())
    }

    /// Runs everything that does not wait for time.
    pub fn settle(&mut self) {
        loop {
            self.logs.turn_end(self.now, &mut self.fx);
            for effect in self.fx.take() {
                let Effect::Disk { lane, ticket, op } = effect else { panic!("logs ask disks alone") };
                self.lanes.entry(lane).or_default().push_back((ticket, Box::new(op)));
            }
            let Some((ticket, op)) = self.lanes.values_mut().find_map(VecDeque::pop_front) else { return };
            let result = job::run(*op, &mut self.disk);
            assert!(self.logs.disk_done(self.now, ticket, result, &mut self.fx, &mut self.events));
        }
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.mono = self.now.mono.plus_millis(millis);
        self.now.wall.0 += millis as i64;
        self.logs.on_time(self.now, &mut self.fx);
        self.settle();
    }

    pub fn read(&mut self, log: LogKey, from: Offset) -> Result<Bytes, LogReadError> {
        self.logs.read(log, from, Offset(i64::MAX), 1, 7, &mut self.fx)?;
        self.settle();
        let done = self.events.iter().position(|event| matches!(event, LogEvent::ReadDone { .. }));
        match self.events.remove(done.expect("an answer")) {
            LogEvent::ReadDone { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    pub fn stop(mut self) -> SimDisk {
        self.logs.stop(self.now, &mut self.fx);
        self.settle();
        assert!(self.events.iter().any(|event| matches!(event, LogEvent::Stopped)));
        self.disk
    }
}

pub fn dir(name: &str) -> LogDir {
    LogDir { root: Root::Topics, name: name.into() }
}

/// A batch of one record with `bytes` of value that no sector of zeros hides in.
pub fn batch(bytes: usize, timestamp: Timestamp) -> BytesMut {
    let mut builder = BatchBuilder::new(16 << 20);
    let value: Vec<u8> = (0..bytes).map(|index| index as u8 | 1).collect();
    builder.push(&NewRecord { timestamp, key: None, value: Some(&value), headers: &[] }).unwrap();
    builder.seal(Offset(0), LeaderEpoch(0))
}
