//! What a compacted log should hold: every record ever appended, and which of them may be missing.

use std::collections::BTreeMap;

use bytes::BytesMut;
use tern::record::{BatchView, Batches, open};
use tern::types::{Offset, ProducerId, Timestamp};

/// One record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub timestamp: Timestamp,
    /// Broker time of the append.
    pub at: Timestamp,
}

/// One log.
#[derive(Clone, Debug, Default)]
pub struct KeyedLog {
    pub records: BTreeMap<Offset, KeyedRecord>,
    /// Base and next offset of every batch, with its producer and first sequence number.
    pub batches: BTreeMap<Offset, (Offset, Option<(ProducerId, i32)>)>,
    pub end: Offset,
    pub durable: Offset,
    /// The log's start may lie anywhere up to here.
    pub start_max: Offset,
}

/// What was read of a log.
#[derive(Debug, Default)]
pub struct Seen {
    pub records: BTreeMap<Offset, KeyedRecord>,
    pub batches: BTreeMap<Offset, (Offset, Option<(ProducerId, i32)>)>,
    pub empty_batches: u64,
}

impl KeyedLog {
    /// A batch was appended at `base`.
    pub fn append(&mut self, base: Offset, mut batch: BytesMut, at: Timestamp) {
        tern::record::set_base_offset(&mut batch, base);
        let mut seen = Seen::default();
        seen.take(&batch, at);
        self.end = seen.batches.last_key_value().unwrap().1.0;
        self.records.append(&mut seen.records);
        self.batches.append(&mut seen.batches);
    }

    /// Everything from `end` on is gone.
    pub fn cut(&mut self, end: Offset) {
        self.records.split_off(&end);
        self.batches.retain(|_, (next, _)| *next <= end);
        self.end = end;
        self.durable = self.durable.min(end);
    }

    /// Compares what was read from `start` to the end with what should be there.
    pub fn check(&self, seen: &Seen, start: Offset, now: Timestamp, tombstones_ms: i64) -> (u64, u64) {
        self.check_part(seen);
        let mut keys: BTreeMap<&[u8], Vec<(Offset, bool)>> = BTreeMap::new();
        for (&offset, record) in self.records.range(start..) {
            keys.entry(&record.key).or_default().push((offset, seen.records.contains_key(&offset)));
        }
        let (mut removed, mut tombstones_removed) = (0, 0);
        for (key, list) in keys {
            let first = list.iter().position(|(_, is_there)| *is_there).unwrap_or(list.len());
            let is_suffix = list[first..].iter().all(|(_, is_there)| *is_there);
            assert!(is_suffix, "an older record of {key:?} is there without a newer one: {list:?}");
            removed += first as u64;
            if first == list.len() {
                let last = &self.records[&list[first - 1].0];
                assert!(last.value.is_none(), "the newest value of {key:?} at {} is missing", list[first - 1].0);
                assert!(now.0 >= last.at.0 + tombstones_ms, "the tombstone of {key:?} went too early");
                tombstones_removed += 1;
            }
        }
        let mut last_of: BTreeMap<ProducerId, Offset> = BTreeMap::new();
        for (&base, (_, producer)) in self.batches.range(start..) {
            last_of.extend(producer.map(|(id, _)| (id, base)));
        }
        for (id, base) in last_of {
            assert!(seen.batches.contains_key(&base), "the last batch of producer {id:?} at {base} is missing");
        }
        (removed, tombstones_removed)
    }

    /// Whatever was read was appended like that.
    pub fn check_part(&self, seen: &Seen) {
        for (offset, record) in &seen.records {
            let known = self.records.get(offset).unwrap_or_else(|| panic!("nothing was appended at {offset}"));
            let same = (&known.key, &known.value, known.timestamp) == (&record.key, &record.value, record.timestamp);
            assert!(same, "the record at {offset} changed: {known:?} became {record:?}");
        }
        for (base, batch) in &seen.batches {
            assert_eq!(self.batches.get(base), Some(batch), "the batch at {base}");
        }
    }
}

impl Seen {
    /// Adds batches; returns the offset after the last.
    pub fn take(&mut self, bytes: &[u8], at: Timestamp) -> Option<Offset> {
        let mut next = None;
        for batch in Batches::new(bytes) {
            let batch = batch.expect("whole batches");
            assert!(next.is_none_or(|next| batch.base_offset() >= next), "offsets ascend");
            next = Some(batch.next_offset());
            self.take_batch(&batch, at);
        }
        next
    }

    fn take_batch(&mut self, batch: &BatchView<'_>, at: Timestamp) {
        batch.check_crc().unwrap();
        let producer = batch.has_producer().then(|| (batch.producer_id(), batch.base_sequence()));
        self.batches.insert(batch.base_offset(), (batch.next_offset(), producer));
        self.empty_batches += (batch.record_count() == 0) as u64;
        let mut scratch = Vec::new();
        for record in open(batch, &mut scratch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let key = record.key.expect("a key").to_vec();
            let value = record.value.map(<[u8]>::to_vec);
            self.records.insert(record.offset, KeyedRecord { key, value, timestamp: record.timestamp, at });
        }
    }
}
