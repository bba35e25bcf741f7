//! Gathers records into one batch: what the MQTT door's messages become.
//!
//! Cheap on purpose, about a hundred nanoseconds a record beside the copy: one size computation, one write, no
//! compression. Invariants: the buffer never exceeds `max_bytes`, neither its content nor its capacity; what `seal`
//! returns passes `validate_produced`.

use bytes::BytesMut;

use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::HEADER_BYTES;
use super::batch::NewHeader;

const FIRST_CAPACITY_BYTES: usize = 512;
/// A record without key, value and headers: lengths, attributes, deltas and counts in their largest forms.
const RECORD_OVERHEAD_BYTES_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/// The batch has no room for this record: seal it and start another. On an empty builder: the record fits in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Its time.
    pub timestamp: Timestamp,
    /// `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
    /// Names and values, in order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// The fields of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Who.
    pub id: ProducerId,
    /// Which incarnation.
    pub epoch: ProducerEpoch,
    /// The sequence number of the batch's first record.
    pub base_sequence: i32,
}

/// An open batch. Holds no memory until the first record.
#[derive(Debug)]
pub struct BatchBuilder {
    buffer: BytesMut,
    max_bytes: usize,
    record_count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer: Option<Producer>,
}

impl BatchBuilder {
    /// An empty batch that will be at most `max_bytes` long, header included, and below 2 GiB.
    pub fn new(max_bytes: usize) -> BatchBuilder {
        BatchBuilder {
            buffer: BytesMut::new(),
            max_bytes: max_bytes.min(i32::MAX as usize),
            record_count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            producer: None,
        }
    }

    /// Stamps the batch that is open with a producer's id, epoch and sequence. `seal` forgets them.
    pub fn set_producer(&mut self, producer: Producer) {
        self.producer = Some(producer);
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.record_count as u32
    }

    /// Bytes of the batch so far, header included; 0 without records.
    pub fn encoded_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes allocated, for the memory table.
    pub fn allocated_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// An upper bound of what `record` adds to a batch.
    pub fn record_bytes_max(record: &NewRecord<'_>) -> usize {
        let headers: usize = record.headers.iter().map(|(key, value)| 10 + key.len() + value.len()).sum();
        RECORD_OVERHEAD_BYTES_MAX + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
    }

    /// Appends a record and returns its offset within the batch, or changes nothing.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<u32, Full> {
        let base_timestamp = if self.is_empty() { record.timestamp.0 } else { self.base_timestamp };
        let timestamp_delta = record.timestamp.0.wrapping_sub(base_timestamp);
        let body = body_bytes(record, timestamp_delta, self.record_count).ok_or(Full)?;
        let length = i32::try_from(body).map_err(|_| Full)?;
        let before = self.buffer.len().max(HEADER_BYTES);
        let after = before.checked_add(varint_bytes(length as i64) + body).filter(|&after| after <= self.max_bytes);
        let after = after.ok_or(Full)?;
        self.reserve(after);
        self.buffer.resize(after, 0);
        let mut cursor = Cursor { out: &mut self.buffer, position: before };
        cursor.record(record, length, timestamp_delta, self.record_count);
        debug_assert_eq!(cursor.position, after);
        self.base_timestamp = base_timestamp;
        self.max_timestamp = self.max_timestamp.max(record.timestamp.0);
        self.record_count += 1;
        Ok(self.record_count as u32 - 1)
    }

    /// Closes the batch and returns it, valid with its CRC; the builder is empty again and holds no memory.
    /// An empty builder gives an empty buffer.
    pub fn seal(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BytesMut {
        let mut batch = std::mem::take(&mut self.buffer);
        if self.record_count > 0 {
            let none = Producer { id: ProducerId::NONE, epoch: ProducerEpoch(-1), base_sequence: -1 };
            let producer = self.producer.unwrap_or(none);
            let header = NewHeader {
                base_offset,
                leader_epoch,
                attributes: 0,
                last_offset_delta: self.record_count - 1,
                base_timestamp: Timestamp(self.base_timestamp),
                max_timestamp: Timestamp(self.max_timestamp),
                producer_id: producer.id,
                producer_epoch: producer.epoch,
                base_sequence: producer.base_sequence,
                record_count: self.record_count,
            };
            header.write(&mut batch);
        }
        *self = BatchBuilder::new(self.max_bytes);
        batch
    }

    /// Grows by doubling, but never beyond the bound, which the buffer's own growth would do.
    fn reserve(&mut self, bytes: usize) {
        if bytes <= self.buffer.capacity() {
            return;
        }
        let doubled = (self.buffer.capacity() * 2).max(FIRST_CAPACITY_BYTES).min(self.max_bytes);
        let mut larger = BytesMut::with_capacity(doubled.max(bytes));
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
    }
}

/// Writes over bytes whose number was computed before.
struct Cursor<'a> {
    out: &'a mut [u8],
    position: usize,
}

impl Cursor<'_> {
    fn record(&mut self, record: &NewRecord<'_>, length: i32, timestamp_delta: i64, offset_delta: i32) {
        self.varint(length as i64);
        self.position += 1; // attributes stay 0
        self.varint(timestamp_delta);
        self.varint(offset_delta as i64);
        self.run(record.key);
        self.run(record.value);
        self.varint(record.headers.len() as i64);
        for (key, value) in record.headers {
            self.run(Some(key));
            self.run(Some(value));
        }
    }

    #[inline]
    fn run(&mut self, run: Option<&[u8]>) {
        self.varint(length_or_null(run));
        let bytes = run.unwrap_or_default();
        self.out[self.position..self.position + bytes.len()].copy_from_slice(bytes); // `body_bytes` counted them
        self.position += bytes.len();
    }

    #[inline]
    fn varint(&mut self, value: i64) {
        let mut bits = zigzag(value);
        while bits >= 0x80 {
            self.out[self.position] = bits as u8 | 0x80; // `varint_bytes` counted them
            bits >>= 7;
            self.position += 1;
        }
        self.out[self.position] = bits as u8;
        self.position += 1;
    }
}

/// Bytes of a record after its length; `None` when they overflow.
fn body_bytes(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> Option<usize> {
    let mut sum = 1 + varint_bytes(timestamp_delta) + varint_bytes(offset_delta as i64);
    sum = sum.checked_add(run_bytes(record.key)?)?.checked_add(run_bytes(record.value)?)?;
    sum = sum.checked_add(varint_bytes(record.headers.len() as i64))?;
    for (key, value) in record.headers {
        sum = sum.checked_add(run_bytes(Some(key))?)?.checked_add(run_bytes(Some(value))?)?;
    }
    Some(sum)
}

fn run_bytes(run: Option<&[u8]>) -> Option<usize> {
    let length = run.map_or(0, <[u8]>::len);
    length.checked_add(varint_bytes(length_or_null(run)))
}

fn length_or_null(run: Option<&[u8]>) -> i64 {
    run.map_or(-1, |bytes| bytes.len() as i64)
}

/// Bytes of a zigzag LEB128.
#[inline]
fn varint_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchView, Records, validate_produced};
    use crate::types::Rng;

    fn record<'a>(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> NewRecord<'a> {
        NewRecord { timestamp: Timestamp(timestamp), key, value, headers: &[] }
    }

    /// Whatever is pushed comes out again, record for record, and the batch passes the producer's gate.
    #[test]
    fn round_trip() {
        let mut rng = Rng::new(3);
        for _ in 0..300 {
            let mut builder = BatchBuilder::new(1 << 16);
            let mut bytes = vec![0; 300];
            rng.fill(&mut bytes);
            let mut expected = Vec::new();
            for index in 0..1 + rng.below(100) as u32 {
                let timestamp = (rng.next() >> rng.below(64)) as i64;
                let key = (!rng.one_in(3)).then(|| &bytes[..rng.below(40) as usize]);
                let value = (!rng.one_in(5)).then(|| &bytes[..rng.below(300) as usize]);
                let headers: Vec<(&[u8], &[u8])> =
                    (0..rng.below(4)).map(|n| (&bytes[..n as usize], &bytes[..rng.below(200) as usize])).collect();
                let record = NewRecord { timestamp: Timestamp(timestamp), key, value, headers: &headers };
                assert_eq!(builder.push(&record), Ok(index));
                expected.push((timestamp, key, value, headers));
            }
            let batch = builder.seal(Offset(1000), LeaderEpoch(7));
            assert!(builder.is_empty() && builder.allocated_bytes() == 0);
            let info = validate_produced(&batch, 1 << 16).unwrap();
            assert_eq!(info.record_count as usize, expected.len());
            assert!(!info.max_timestamp_differs);
            let view = BatchView::parse(&batch).unwrap();
            assert_eq!((view.base_offset(), view.partition_leader_epoch()), (Offset(1000), LeaderEpoch(7)));
            assert_eq!(view.next_offset(), Offset(1000 + expected.len() as i64));
            for (index, read) in Records::new(&view, view.body()).enumerate() {
                let read = read.unwrap();
                let headers: Vec<_> = read.headers.map(|h| (h.key, h.value.unwrap())).collect();
                assert_eq!(read.offset, Offset(1000 + index as i64));
                assert_eq!((read.timestamp.0, read.key, read.value, headers), expected[index]);
            }
        }
    }

    /// The bound holds to the byte, for the content and for the allocation; what does not fit changes nothing.
    #[test]
    fn bounded() {
        let value = [7; 100]; // a record of 109 bytes, 110 from the 65th on
        for (max_bytes, fits) in [(0, 0), (60, 0), (61, 0), (169, 0), (170, 1), (278, 1), (279, 2), (5000, 45)] {
            let mut builder = BatchBuilder::new(max_bytes);
            let mut count = 0;
            while builder.push(&record(5, None, Some(&value))).is_ok() {
                count += 1;
                assert!(builder.encoded_bytes() <= max_bytes && builder.allocated_bytes() <= max_bytes);
            }
            assert_eq!((count, builder.record_count()), (fits, fits));
            let batch = builder.seal(Offset(0), LeaderEpoch(0));
            assert_eq!(count > 0, validate_produced(&batch, max_bytes).is_ok());
        }
    }

    /// A producer's fields are stamped once and forgotten by `seal`.
    #[test]
    fn producer_fields() {
        let mut builder = BatchBuilder::new(1000);
        builder.set_producer(Producer { id: ProducerId(5), epoch: ProducerEpoch(2), base_sequence: 77 });
        builder.push(&record(1, Some(b"k"), None)).unwrap();
        let batch = builder.seal(Offset(0), LeaderEpoch(0));
        let info = validate_produced(&batch, 1000).unwrap();
        assert_eq!((info.producer_id, info.producer_epoch, info.base_sequence), (ProducerId(5), ProducerEpoch(2), 77));
        builder.push(&record(1, Some(b"k"), None)).unwrap();
        let batch = builder.seal(Offset(0), LeaderEpoch(0));
        assert_eq!(validate_produced(&batch, 1000).unwrap().producer_id, ProducerId::NONE);
    }
}
