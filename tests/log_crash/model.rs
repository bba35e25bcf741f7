//! What the logs should hold: every batch that was appended, and what was promised about it.

use std::collections::VecDeque;

use bytes::Bytes;
use tern::record::{BatchView, open};
use tern::types::{Offset, Timestamp};

/// One batch as it should lie on the disk.
#[derive(Clone, Debug)]
pub struct ModelBatch {
    pub base: Offset,
    pub next: Offset,
    pub bytes: Bytes,
}

/// One log.
#[derive(Clone, Debug, Default)]
pub struct ModelLog {
    /// Appended, ascending, without gaps.
    pub batches: VecDeque<ModelBatch>,
    /// Reported durable up to here.
    pub durable: Offset,
    /// The log start offset, as reported, and as it may be by now.
    pub start: Offset,
    pub start_max: Offset,
    /// Where the next batch goes.
    pub end: Offset,
    /// Batches that were taken back or cut: a power cut may bring them back.
    pub ghosts: Vec<ModelBatch>,
    /// Being cut: what lies at or above may be gone or not.
    pub cutting: Vec<Cut>,
    pub is_deleting: bool,
    /// Acknowledged before it is synced: `durable` promises nothing.
    pub by_interval: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Cut {
    To(Offset),
    Restart(Offset),
}

impl ModelLog {
    pub fn append(&mut self, base: Offset, bytes: Bytes) {
        assert_eq!(base, self.end, "the log gives the offset that is next");
        let next = BatchView::parse(&bytes).unwrap().next_offset();
        self.batches.push_back(ModelBatch { base, next, bytes });
        self.end = next;
    }

    /// Everything at or above was taken back; it may come back after a power cut.
    pub fn take_back(&mut self, from: Offset) {
        while self.batches.back().is_some_and(|batch| batch.next > from) {
            self.ghosts.extend(self.batches.pop_back());
        }
        self.end = from;
    }

    /// Everything from `end` on was cut, for good.
    pub fn truncated(&mut self, end: Offset) {
        while self.batches.back().is_some_and(|batch| batch.next > end) {
            self.batches.pop_back();
        }
        (self.end, self.durable) = (end, end);
        self.ghosts.clear();
    }

    pub fn restarted(&mut self, at: Offset) {
        self.batches.clear();
        self.ghosts.clear();
        (self.end, self.durable, self.start, self.start_max) = (at, at, at, at);
    }

    pub fn moved(&mut self, start: Offset) {
        self.start = self.start.max(start);
        self.start_max = self.start_max.max(start);
    }

    /// The batches from the one that holds `from` on, none that reaches `below`.
    pub fn from(&self, from: Offset, below: Offset) -> impl Iterator<Item = &ModelBatch> {
        self.batches.iter().filter(move |batch| batch.next > from && batch.next <= below)
    }

    /// The first record from the log start on, below `below`, that `is_wanted`.
    pub fn first_record(
        &self,
        start: Offset,
        below: Offset,
        is_wanted: impl Fn(Timestamp) -> bool,
    ) -> Option<(Timestamp, Offset)> {
        for batch in self.from(start, below) {
            let view = BatchView::parse(&batch.bytes).unwrap();
            let mut scratch = Vec::new();
            for record in open(&view, &mut scratch, 1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= start && is_wanted(record.timestamp) {
                    return Some((record.timestamp, record.offset));
                }
            }
        }
        None
    }
}
