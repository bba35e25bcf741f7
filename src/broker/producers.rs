//! What each idempotent producer has written to each partition (KIP-98): its incarnation and its last five batches.
//!
//! A client sends at most five batches ahead of their acknowledgements, so that five tell a repetition from news. A
//! producer that is not remembered may begin with any sequence, as in Kafka since KIP-360: forgetting costs the detection
//! of duplicates, never a record.
//!
//! Invariants: at most `capacity` producers in the whole node, the least recently used goes first; the batches of a
//! producer are consecutive in sequence and ascending in offset; what `roll_back` forgets is exactly what the log lost.
//! Callers: `produce` and the partitions' life cycle. Memory account: "producers".

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AppendError, PartitionKey};
use crate::limits::PRODUCER_STATE_BYTES;
use crate::types::{Instant, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Batches remembered of each producer: what a client may have in flight.
pub const BATCHES_PER_PRODUCER: usize = 5;

/// One remembered producer with its share of the index.
const _: () = assert!(size_of::<Entry>() + 2 * size_of::<((PartitionKey, ProducerId), u32)>() <= PRODUCER_STATE_BYTES);

const NIL: u32 = u32::MAX;

/// The fields of a batch that idempotence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Who.
    pub producer: ProducerId,
    /// Which incarnation.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record, not negative.
    pub base_sequence: i32,
    /// Records after the first, not negative.
    pub last_offset_delta: i32,
}

/// A batch that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenBatch {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Records after the first.
    pub last_offset_delta: i32,
    /// The highest timestamp, or the time of the append.
    pub timestamp: Timestamp,
}

impl WrittenBatch {
    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta as i64 + 1)
    }

    /// Sequence of the last record.
    pub fn last_sequence(&self) -> i32 {
        sequence_plus(self.base_sequence, self.last_offset_delta)
    }

    /// The batch whose last record has this sequence and offset.
    pub fn ending(sequence: i32, offset: Offset, last_offset_delta: i32, timestamp: Timestamp) -> WrittenBatch {
        WrittenBatch {
            base_offset: Offset(offset.0.saturating_sub(last_offset_delta as i64)),
            base_sequence: sequence_plus(sequence, -last_offset_delta),
            last_offset_delta,
            timestamp,
        }
    }
}

/// A producer as a partition remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Who.
    pub id: ProducerId,
    /// Which incarnation.
    pub epoch: ProducerEpoch,
    /// Sequence of the last record; `None` when no batch of this incarnation is remembered.
    pub last_sequence: Option<i32>,
    /// The last batch's highest timestamp, or the time of its append.
    pub last_timestamp: Option<Timestamp>,
}

/// What to do with a batch that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    Append,
    /// It was written before, there.
    Duplicate(WrittenBatch),
}

/// A sequence number `count` further: they go round from 2^31-1 to 0.
pub(super) fn sequence_plus(sequence: i32, count: i32) -> i32 {
    (sequence as i64 + count as i64).rem_euclid(1 << 31) as i32
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: (PartitionKey, ProducerId),
    epoch: ProducerEpoch,
    /// How many of `batches` are used, oldest first.
    used: u8,
    batches: [WrittenBatch; BATCHES_PER_PRODUCER],
    /// Last sequence and offset of the batch before `batches`; offset -1 when there was none in this epoch.
    before: (i32, Offset),
    last_used: Instant,
    older: u32,
    newer: u32,
}

impl Entry {
    fn batches(&self) -> &[WrittenBatch] {
        self.batches.get(..self.used as usize).unwrap_or_default()
    }

    /// The sequence that follows; 0 in a fresh epoch.
    fn next_sequence(&self) -> i32 {
        match self.batches().last() {
            Some(batch) => sequence_plus(batch.last_sequence(), 1),
            None if self.before.1.0 >= 0 => sequence_plus(self.before.0, 1),
            None => 0,
        }
    }

    fn push(&mut self, batch: WrittenBatch) {
        if self.used as usize == BATCHES_PER_PRODUCER {
            self.before = (self.batches[0].last_sequence(), self.batches[0].base_offset);
            self.batches.rotate_left(1);
            self.used -= 1;
        }
        self.batches[self.used as usize] = batch; // below BATCHES_PER_PRODUCER by the branch above
        self.used += 1;
    }

    fn restart(&mut self, epoch: ProducerEpoch) {
        self.epoch = epoch;
        self.used = 0;
        self.before = (-1, Offset(-1));
    }
}

/// The producers of all partitions of this node.
#[derive(Debug)]
pub struct Producers {
    capacity: usize,
    expiry: Duration,
    index: BTreeMap<(PartitionKey, ProducerId), u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

impl Producers {
    /// Remembers at most `capacity` producers, each for `expiry` after its last batch (`producer.id.expiration.ms`).
    pub fn new(capacity: usize, expiry: Duration) -> Producers {
        Producers {
            capacity: capacity.clamp(1, NIL as usize - 1),
            expiry,
            index: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            oldest: NIL,
            newest: NIL,
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when none is remembered.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Judges a batch before it is appended; changes nothing.
    pub fn check(&self, key: PartitionKey, batch: &ProducedBatch) -> Result<Verdict, AppendError> {
        let Some(entry) = self.index.get(&(key, batch.producer)).and_then(|&at| self.entries.get(at as usize)) else {
            return Ok(Verdict::Append);
        };
        if batch.epoch < entry.epoch {
            return Err(AppendError::InvalidProducerEpoch);
        }
        if batch.epoch > entry.epoch {
            return if batch.base_sequence == 0 { Ok(Verdict::Append) } else { Err(AppendError::OutOfOrderSequence) };
        }
        let same = |written: &&WrittenBatch| {
            written.base_sequence == batch.base_sequence && written.last_offset_delta == batch.last_offset_delta
        };
        if let Some(written) = entry.batches().iter().find(same) {
            return Ok(Verdict::Duplicate(*written));
        }
        if batch.base_sequence == entry.next_sequence() {
            Ok(Verdict::Append)
        } else {
            Err(AppendError::OutOfOrderSequence)
        }
    }

    /// Remembers a batch that is being written. Batches of a partition come in the order of their offsets.
    pub fn record(
        &mut self,
        now: Instant,
        key: PartitionKey,
        epoch: ProducerEpoch,
        id: ProducerId,
        batch: WrittenBatch,
    ) {
        let at = self.entry((key, id), epoch);
        self.unlink(at);
        self.link_newest(at);
        let Some(entry) = self.entries.get_mut(at as usize) else { return };
        entry.last_used = now;
        if entry.epoch != epoch {
            entry.restart(epoch);
        }
        entry.push(batch);
    }

    /// Forgets the batches at or above `from`, which the log has lost.
    pub fn roll_back(&mut self, key: PartitionKey, from: Offset) {
        for at in self.of_partition(key) {
            let Some(entry) = self.entries.get_mut(at as usize) else { continue };
            let mut lost = None;
            while let Some(batch) = entry.batches().last().filter(|batch| batch.base_offset >= from) {
                lost = Some(batch.base_sequence);
                entry.used -= 1;
            }
            let nothing_before = entry.before.1.0 < 0 && lost.is_some_and(|sequence| sequence != 0);
            if entry.used == 0 && (entry.before.1 >= from || nothing_before) {
                self.remove(at); // what precedes the lost batches is not remembered: the next may begin anywhere
            }
        }
    }

    /// Forgets everything about a partition.
    pub fn forget_partition(&mut self, key: PartitionKey) {
        for at in self.of_partition(key) {
            self.remove(at);
        }
    }

    /// Forgets who has been silent for too long.
    pub fn expire(&mut self, now: Instant) {
        while let Some(entry) = self.entries.get(self.oldest as usize) {
            if now.since(entry.last_used) < self.expiry {
                return;
            }
            self.remove(self.oldest);
        }
    }

    /// When `expire` next has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.entries.get(self.oldest as usize).map(|entry| entry.last_used.plus(self.expiry))
    }

    /// Everything remembered of a partition: producers ascending, the batches of each oldest first.
    pub fn iter(
        &self,
        key: PartitionKey,
    ) -> impl Iterator<Item = (ProducerId, ProducerEpoch, &[WrittenBatch])> + use<'_> {
        self.index
            .range((key, ProducerId(i64::MIN))..=(key, ProducerId(i64::MAX)))
            .filter_map(|(&(_, id), &at)| self.entries.get(at as usize).map(|entry| (id, entry.epoch, entry.batches())))
    }

    /// True when any producer of the partition is remembered.
    pub fn any(&self, key: PartitionKey) -> bool {
        self.iter(key).next().is_some()
    }

    fn of_partition(&self, key: PartitionKey) -> Vec<u32> {
        self.index.range((key, ProducerId(i64::MIN))..=(key, ProducerId(i64::MAX))).map(|(_, &at)| at).collect()
    }

    /// The place of a producer, made when there is none, at the cost of the least recently used.
    fn entry(&mut self, key: (PartitionKey, ProducerId), epoch: ProducerEpoch) -> u32 {
        if let Some(&at) = self.index.get(&key) {
            return at;
        }
        if self.index.len() >= self.capacity {
            self.remove(self.oldest);
        }
        let fresh = Entry {
            key,
            epoch,
            used: 0,
            batches: [WrittenBatch::default(); BATCHES_PER_PRODUCER],
            before: (-1, Offset(-1)),
            last_used: Instant::default(),
            older: NIL,
            newer: NIL,
        };
        let at = self.free.pop().unwrap_or(self.entries.len() as u32);
        match self.entries.get_mut(at as usize) {
            Some(place) => *place = fresh,
            None => self.entries.push(fresh),
        }
        self.index.insert(key, at);
        self.link_newest(at);
        at
    }

    fn remove(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        if self.index.remove(&entry.key).is_some() {
            self.unlink(at);
            self.free.push(at);
        }
    }

    fn link_newest(&mut self, at: u32) {
        let newest = self.newest;
        if let Some(entry) = self.entries.get_mut(at as usize) {
            (entry.older, entry.newer) = (newest, NIL);
        }
        match self.entries.get_mut(newest as usize) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Some(&Entry { older, newer, .. }) = self.entries.get(at as usize) else { return };
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PartitionKey = PartitionKey(3);

    fn produced(id: i64, epoch: i16, base_sequence: i32, records: i32) -> ProducedBatch {
        ProducedBatch {
            producer: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence,
            last_offset_delta: records - 1,
        }
    }

    fn table() -> Producers {
        Producers::new(100, Duration::from_secs(60))
    }

    /// Checks and records one batch at `offset`.
    fn write(table: &mut Producers, now: u64, batch: ProducedBatch, offset: i64) -> Result<Verdict, AppendError> {
        let verdict = table.check(KEY, &batch)?;
        if verdict == Verdict::Append {
            let written = WrittenBatch {
                base_offset: Offset(offset),
                base_sequence: batch.base_sequence,
                last_offset_delta: batch.last_offset_delta,
                timestamp: Timestamp(7),
            };
            table.record(Instant(now), KEY, batch.epoch, batch.producer, written);
        }
        Ok(verdict)
    }

    fn is_duplicate_at(result: Result<Verdict, AppendError>, offset: i64) -> bool {
        matches!(result, Ok(Verdict::Duplicate(written)) if written.base_offset == Offset(offset))
    }

    /// In order passes, the last five are duplicates with their old place, the sixth and gaps are out of order.
    #[test]
    fn sequences() {
        let mut table = table();
        for i in 0..7 {
            assert_eq!(write(&mut table, 0, produced(1, 0, i * 10, 10), i as i64 * 10), Ok(Verdict::Append));
        }
        for i in 2..7 {
            assert!(is_duplicate_at(write(&mut table, 0, produced(1, 0, i * 10, 10), 99), i as i64 * 10));
        }
        let out_of_order = Err(AppendError::OutOfOrderSequence);
        assert_eq!(write(&mut table, 0, produced(1, 0, 10, 10), 99), out_of_order);
        assert_eq!(write(&mut table, 0, produced(1, 0, 71, 10), 99), out_of_order);
        assert_eq!(write(&mut table, 0, produced(1, 0, 60, 9), 99), out_of_order);
        assert_eq!(write(&mut table, 0, produced(2, 0, 5, 1), 70), Ok(Verdict::Append), "unknown: any sequence");
    }

    /// A newer epoch begins at 0 and fences the older one.
    #[test]
    fn epochs() {
        let mut table = table();
        assert_eq!(write(&mut table, 0, produced(1, 0, 0, 3), 0), Ok(Verdict::Append));
        assert_eq!(write(&mut table, 0, produced(1, 1, 3, 1), 3), Err(AppendError::OutOfOrderSequence));
        assert_eq!(write(&mut table, 0, produced(1, 1, 0, 1), 3), Ok(Verdict::Append));
        assert_eq!(write(&mut table, 0, produced(1, 0, 3, 1), 4), Err(AppendError::InvalidProducerEpoch));
        assert!(is_duplicate_at(write(&mut table, 0, produced(1, 1, 0, 1), 9), 3));
    }

    /// Sequences go round at 2^31-1, within a batch and between batches.
    #[test]
    fn wrap() {
        let mut table = table();
        assert_eq!(write(&mut table, 0, produced(1, 0, i32::MAX - 1, 4), 0), Ok(Verdict::Append));
        assert_eq!(write(&mut table, 0, produced(1, 0, 2, 1), 4), Ok(Verdict::Append));
        assert_eq!(sequence_plus(i32::MAX, 1), 0);
        assert_eq!(sequence_plus(i32::MAX, i32::MAX), i32::MAX - 1);
    }

    /// A failed append forgets exactly its batches: the client may send them again, and only them.
    #[test]
    fn roll_back() {
        let mut table = table();
        for i in 0..8 {
            write(&mut table, 0, produced(1, 0, i, 1), i as i64).unwrap();
        }
        table.roll_back(KEY, Offset(6));
        assert!(is_duplicate_at(write(&mut table, 0, produced(1, 0, 5, 1), 9), 5));
        assert_eq!(write(&mut table, 0, produced(1, 0, 7, 1), 6), Err(AppendError::OutOfOrderSequence));
        table.roll_back(KEY, Offset(3));
        assert_eq!(write(&mut table, 0, produced(1, 0, 4, 1), 3), Err(AppendError::OutOfOrderSequence));
        assert_eq!(write(&mut table, 0, produced(1, 0, 3, 1), 3), Ok(Verdict::Append));
        table.roll_back(KEY, Offset(0));
        assert!(table.is_empty());
    }

    /// A producer that was unknown when it began in the middle, and lost that, may begin in the middle again.
    #[test]
    fn roll_back_unknown() {
        let mut table = table();
        write(&mut table, 0, produced(1, 4, 7, 1), 0).unwrap();
        table.roll_back(KEY, Offset(0));
        assert_eq!(write(&mut table, 0, produced(1, 4, 7, 1), 0), Ok(Verdict::Append));
    }

    /// A producer whose first batch of an epoch was lost begins that epoch again at 0.
    #[test]
    fn roll_back_first() {
        let mut table = table();
        write(&mut table, 0, produced(1, 4, 0, 2), 0).unwrap();
        table.roll_back(KEY, Offset(0));
        assert_eq!(write(&mut table, 0, produced(1, 4, 2, 1), 0), Err(AppendError::OutOfOrderSequence));
        assert_eq!(write(&mut table, 0, produced(1, 4, 0, 2), 0), Ok(Verdict::Append));
    }

    /// The table never exceeds its capacity; the least recently used goes; silence expires; a partition goes whole.
    #[test]
    fn bounds() {
        let mut table = Producers::new(3, Duration::from_secs(1));
        for id in 0..3 {
            write(&mut table, id as u64, produced(id, 0, 0, 1), id).unwrap();
        }
        write(&mut table, 3, produced(0, 0, 1, 1), 3).unwrap();
        write(&mut table, 4, produced(9, 0, 0, 1), 4).unwrap();
        assert_eq!(table.iter(KEY).map(|(id, ..)| id.0).collect::<Vec<_>>(), [0, 2, 9]);
        assert_eq!(table.next_expiry(), Some(Instant(1_000_002)));
        table.expire(Instant(1_000_003));
        assert_eq!(table.iter(KEY).map(|(id, ..)| id.0).collect::<Vec<_>>(), [9]);
        table.forget_partition(PartitionKey(4));
        assert!(table.any(KEY));
        table.forget_partition(KEY);
        assert!(table.is_empty() && table.next_expiry().is_none());
        for id in 0..1000 {
            write(&mut table, 9, produced(id, 0, 0, 1), id).unwrap();
        }
        assert!(table.entries.len() <= 3 && table.len() == 3);
    }
}
