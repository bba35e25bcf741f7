//! What the logs tell, and what is found in the files, compared with the model.

use bytes::Bytes;
use tern::effect::DiskError;
use tern::log::{LogEvent, LogKey, Opened};
use tern::record::BatchView;
use tern::types::Offset;

use crate::check;
use crate::model::{Cut, ModelBatch, ModelLog};
use crate::world::{After, World};

impl World {
    pub fn happened(&mut self, event: LogEvent) {
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
            LogEvent::SpaceLow | LogEvent::SpaceBack | LogEvent::ReadOnly => assert!(self.setup.refuses),
            LogEvent::Stopped => self.is_stopped = true,
            LogEvent::Fatal { sentence } => {
                assert!(self.setup.refuses, "{sentence}");
                self.is_fatal = true;
            }
        }
    }

    pub fn topic_of(&self, key: LogKey) -> usize {
        self.topics.iter().position(|topic| topic.key == Some(key)).expect("a key of ours")
    }

    pub fn open(&mut self, topic: usize) {
        let (dir, config) = (self.topics[topic].dir.clone(), self.topics[topic].config.clone());
        let key = self.logs.open(self.now, dir, config, &mut self.fx);
        self.topics[topic].key = Some(key);
        self.logs.set_tail(key, self.rng.one_in(2));
        self.carry_out();
    }

    pub fn opened(&mut self, key: LogKey, result: Result<Opened, DiskError>) {
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
    pub fn check_files(&mut self, index: usize, opened: &Opened) {
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
        let restart = |cut: &Cut| if let Cut::Restart(at) = cut { Some(*at) } else { None };
        let restarts: Vec<Offset> = model.cutting.iter().filter_map(restart).collect();
        let lowest = restarts.iter().copied().chain([model.start]).min().unwrap_or_default();
        let highest = restarts.iter().copied().chain([model.start_max]).max().unwrap_or_default();
        let starts = lowest..=highest;
        assert!(
            starts.contains(&marks.start) || model.is_deleting,
            "{name}: start {} is not in {starts:?}",
            marks.start
        );
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
    pub fn check_producers(&mut self, index: usize, opened: &Opened) {
        let topic = &mut self.topics[index];
        let written = |batch: &ModelBatch| {
            let view = BatchView::parse(&batch.bytes).unwrap();
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
}
