//! What the owner of the logs does: appends, reads, looks up, cuts, deletes, and hands over snapshots.

use bytes::Bytes;
use tern::log::{AppendError, LogKey, LogReadError, Marks};
use tern::memory::Grant;
use tern::record::{BatchBuilder, BatchView, NewRecord, Producer};
use tern::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::model::{Cut, ModelBatch};
use crate::world::{PendingFind, PendingRead, World};

impl World {
    pub fn append(&mut self, index: usize) {
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

    pub fn read(&mut self, index: usize) {
        let topic = &self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let span = (marks.end.0 - marks.start.0 + 1) as u64;
        let from = marks.start.plus(self.rng.below(span) as i64);
        let max_bytes = 1 << self.rng.below(14);
        let below = if self.rng.one_in(2) { marks.durable } else { marks.end };
        self.ask(index, key, from, below, max_bytes, marks);
    }

    pub fn ask(&mut self, topic: usize, key: LogKey, from: Offset, below: Offset, max_bytes: usize, marks: Marks) {
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

    pub fn read_done(&mut self, token: u64, result: Result<Bytes, LogReadError>) {
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

    pub fn find(&mut self, index: usize) {
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

    pub fn found(&mut self, token: u64, result: Result<Option<(Timestamp, Offset)>, LogReadError>) {
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
                let view = BatchView::parse(&batch.bytes).unwrap();
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

    pub fn truncate(&mut self, index: usize) {
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

    pub fn restart_at(&mut self, index: usize) {
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

    pub fn delete(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open && !self.setup.is_quorum) else { return };
        if self.rng.one_in(2) {
            topic.model.is_deleting = true;
            topic.is_open = false;
            self.logs.delete(key, &mut self.fx, &mut self.events);
            self.carry_out();
        }
    }

    pub fn delete_records(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(key) = topic.key.filter(|_| topic.is_open) else { return };
        let marks = self.logs.marks(key);
        let before = marks.start.plus(self.rng.below((marks.durable.0 - marks.start.0 + 1) as u64) as i64);
        if self.logs.delete_records(key, before, &mut self.fx).is_ok() {
            topic.model.start_max = topic.model.start_max.max(before);
        }
        self.carry_out();
    }

    pub fn configure(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        topic.config.retention_bytes = self.rng.one_in(3).then(|| self.rng.below(20_000));
        topic.config.retention_ms = self.rng.one_in(3).then(|| self.rng.below(100_000));
        if let Some(key) = topic.key {
            self.logs.set_config(key, topic.config.clone());
        }
        self.pass(1000);
    }

    pub fn snapshot(&mut self, index: usize) {
        let topic = &self.topics[index];
        if let Some(key) = topic.key.filter(|_| topic.is_open) {
            let written = |batch: &ModelBatch| {
                let view = BatchView::parse(&batch.bytes).unwrap();
                view.has_producer().then(|| view.base_sequence() + view.last_offset_delta() + 1)
            };
            let last = topic.model.batches.iter().filter_map(written).next_back().unwrap_or(topic.sequence);
            self.logs.set_producer_snapshot(key, Bytes::copy_from_slice(&last.to_be_bytes()));
        }
    }

    pub fn refuse(&mut self) {
        self.heal();
        match self.rng.below(6) {
            0..=2 => self.disk.capacity_bytes = Some(self.disk.used_bytes() + self.rng.below(4000)),
            3 => self.disk.is_read_only = true,
            4 => self.disk.syncs_until_error = Some(self.rng.below(20)),
            _ => {}
        }
    }
}
