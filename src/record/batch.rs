//! One batch as bytes: a checked view of its header, the fields that the log sets in place, and a walk over many.

use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};

use super::{Codec, RecordError};

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;

/// Bytes that the header's own length does not count: base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;

/// The only message format that is accepted.
pub const MAGIC: i8 = 2;

const BASE_OFFSET: usize = 0;
const LENGTH: usize = 8;
const LEADER_EPOCH: usize = 12;
const MAGIC_AT: usize = 16;
const CRC: usize = 17;
const CRC_START: usize = 21;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const BASE_SEQUENCE: usize = 53;
const RECORD_COUNT: usize = 57;
const _: () = assert!(RECORD_COUNT + 4 == HEADER_BYTES && LENGTH + 4 == LENGTH_PREFIX_BYTES);

const CODEC_MASK: i16 = 0x07;
pub(super) const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The first 61 bytes of a batch, checked for consistency in themselves: the length covers the header, magic is 2,
/// counts are not negative, and no offset of the batch overflows. Says nothing about the CRC or the records.
#[derive(Clone, Copy, Debug)]
pub struct BatchHeader<'a> {
    head: &'a [u8; HEADER_BYTES],
}

macro_rules! field {
    ($(#[$doc:meta])* $name:ident, $at:expr, $raw:ty, $type:expr, $out:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(&self) -> $out {
            let mut raw = [0; size_of::<$raw>()];
            raw.copy_from_slice(&self.head[$at..$at + size_of::<$raw>()]); // constants below HEADER_BYTES
            $type(<$raw>::from_be_bytes(raw))
        }
    };
}

impl<'a> BatchHeader<'a> {
    /// Checks the header at the front of `bytes`; the records need not be there. `Truncated` below 61 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<BatchHeader<'a>, RecordError> {
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(RecordError::Truncated)?;
        let header = BatchHeader { head };
        if header.magic() != MAGIC {
            return Err(RecordError::BadMagic(header.magic()));
        }
        let length = header.length();
        let delta = header.last_offset_delta();
        let count = header.raw_record_count();
        if length < (HEADER_BYTES - LENGTH_PREFIX_BYTES) as i32
            || delta < 0
            || count < 0
            || count as i64 > delta as i64 + 1
            || header.base_offset().0.checked_add(delta as i64 + 1).is_none()
        {
            return Err(RecordError::BadHeader);
        }
        Ok(header)
    }

    field!(
        /// The offset of the first record. A producer's is meaningless; the log sets it.
        base_offset, BASE_OFFSET, i64, Offset, Offset
    );
    field!(length, LENGTH, i32, std::convert::identity, i32);
    field!(
        /// The epoch of the leader that appended the batch.
        partition_leader_epoch, LEADER_EPOCH, i32, LeaderEpoch, LeaderEpoch
    );
    field!(
        /// Always 2.
        magic, MAGIC_AT, i8, std::convert::identity, i8
    );
    field!(
        /// The stored CRC-32C.
        crc, CRC, u32, std::convert::identity, u32
    );
    field!(
        /// The raw attribute bits.
        attributes, ATTRIBUTES, i16, std::convert::identity, i16
    );
    field!(
        /// Offset of the last record, relative to the first; never negative.
        last_offset_delta, LAST_OFFSET_DELTA, i32, std::convert::identity, i32
    );
    field!(
        /// What the records' timestamp deltas are relative to.
        base_timestamp, BASE_TIMESTAMP, i64, Timestamp, Timestamp
    );
    field!(
        /// The highest timestamp of the batch, or its append time.
        max_timestamp, MAX_TIMESTAMP, i64, Timestamp, Timestamp
    );
    field!(
        /// The idempotent producer, or `ProducerId::NONE`.
        producer_id, PRODUCER_ID, i64, ProducerId, ProducerId
    );
    field!(
        /// The producer's incarnation, -1 without one.
        producer_epoch, PRODUCER_EPOCH, i16, ProducerEpoch, ProducerEpoch
    );
    field!(
        /// Sequence number of the first record, -1 without a producer id.
        base_sequence, BASE_SEQUENCE, i32, std::convert::identity, i32
    );
    field!(raw_record_count, RECORD_COUNT, i32, std::convert::identity, i32);

    /// Records in the batch; at most `last_offset_delta + 1`, fewer after compaction.
    pub fn record_count(&self) -> u32 {
        self.raw_record_count() as u32 // not negative since `parse`
    }

    /// Bytes of the whole batch, header included: where the next one starts.
    pub fn total_bytes(&self) -> usize {
        self.length() as usize + LENGTH_PREFIX_BYTES // not negative since `parse`
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset().plus(self.last_offset_delta() as i64) // no overflow since `parse`
    }

    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.base_offset().plus(self.last_offset_delta() as i64 + 1) // no overflow since `parse`
    }

    /// How the records are compressed; `UnknownCodec` for numbers without a meaning.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        Codec::from_bits(self.attributes() & CODEC_MASK)
    }

    /// True when `max_timestamp` is the time of the append and stands for every record.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes() & LOG_APPEND_TIME != 0
    }

    /// True for a batch of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// True for a marker that consumers are not shown.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// True when an idempotent producer wrote it.
    pub fn has_producer(&self) -> bool {
        self.producer_id().0 >= 0
    }
}

/// One whole batch: a header and all the bytes it promises. Every accessor of `BatchHeader` is one of the view.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader<'a>,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`; more may follow it. `Truncated` when its end is missing.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, RecordError> {
        let header = BatchHeader::parse(bytes)?;
        let bytes = bytes.get(..header.total_bytes()).ok_or(RecordError::Truncated)?;
        Ok(BatchView { header, bytes })
    }

    /// The batch and nothing else.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records, compressed or not.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..] // at least the header since `parse`
    }

    /// Compares the stored CRC-32C with the bytes: `BadCrc`. Reads the whole batch, so cold data is not for here.
    #[inline]
    pub fn check_crc(&self) -> Result<(), RecordError> {
        if crc32c::crc32c(&self.bytes[CRC_START..]) == self.crc() { Ok(()) } else { Err(RecordError::BadCrc) }
    }
}

impl<'a> std::ops::Deref for BatchView<'a> {
    type Target = BatchHeader<'a>;

    fn deref(&self) -> &BatchHeader<'a> {
        &self.header
    }
}

/// The batches of a byte run, front to back. Ends at the end of the run; a batch that is cut off or damaged is one
/// `Err` and the last item.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Batches<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { bytes, position: 0 }
    }

    /// Bytes of the whole batches yielded so far: after an `Err`, where the damage begins.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..).filter(|rest| !rest.is_empty())?;
        let parsed = BatchView::parse(rest);
        match &parsed {
            Ok(batch) => self.position += batch.total_bytes(),
            Err(_) => self.bytes = &[],
        }
        Some(parsed)
    }
}

/// Sets the base offset of the batch at the front of `batch`: outside the CRC. Nothing on fewer than 61 bytes.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    put(batch, BASE_OFFSET, &offset.0.to_be_bytes());
}

/// Sets the partition leader epoch: outside the CRC. Nothing on fewer than 61 bytes.
pub fn set_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    put(batch, LEADER_EPOCH, &epoch.0.to_be_bytes());
}

/// Sets the highest timestamp and what it means, as a leader does for topics with `message.timestamp.type` of
/// LogAppendTime, and computes the CRC anew: `batch` is exactly one batch. Nothing on fewer than 61 bytes.
pub fn set_max_timestamp(batch: &mut [u8], at: Timestamp, log_append_time: bool) {
    if batch.len() < HEADER_BYTES {
        return;
    }
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]);
    let attributes = if log_append_time { attributes | LOG_APPEND_TIME } else { attributes & !LOG_APPEND_TIME };
    put(batch, ATTRIBUTES, &attributes.to_be_bytes());
    put(batch, MAX_TIMESTAMP, &at.0.to_be_bytes());
    set_crc(batch);
}

pub(super) fn set_crc(batch: &mut [u8]) {
    let crc = batch.get(CRC_START..).map_or(0, crc32c::crc32c);
    put(batch, CRC, &crc.to_be_bytes());
}

fn put(batch: &mut [u8], at: usize, field: &[u8]) {
    if batch.len() >= HEADER_BYTES {
        batch[at..at + field.len()].copy_from_slice(field); // `at` names a field of the header
    }
}

/// The fields of a header that a builder writes.
pub(super) struct NewHeader {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl NewHeader {
    /// Writes the header over the first 61 bytes of `batch`, which is exactly one batch below 2 GiB, CRC included.
    pub(super) fn write(&self, batch: &mut [u8]) {
        let length = batch.len().saturating_sub(LENGTH_PREFIX_BYTES) as i32;
        put(batch, BASE_OFFSET, &self.base_offset.0.to_be_bytes());
        put(batch, LENGTH, &length.to_be_bytes());
        put(batch, LEADER_EPOCH, &self.leader_epoch.0.to_be_bytes());
        put(batch, MAGIC_AT, &MAGIC.to_be_bytes());
        put(batch, ATTRIBUTES, &self.attributes.to_be_bytes());
        put(batch, LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(batch, BASE_TIMESTAMP, &self.base_timestamp.0.to_be_bytes());
        put(batch, MAX_TIMESTAMP, &self.max_timestamp.0.to_be_bytes());
        put(batch, PRODUCER_ID, &self.producer_id.0.to_be_bytes());
        put(batch, PRODUCER_EPOCH, &self.producer_epoch.0.to_be_bytes());
        put(batch, BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(batch, RECORD_COUNT, &self.record_count.to_be_bytes());
        set_crc(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, NewRecord};

    fn batch(base_offset: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1000);
        for timestamp in [30, 10, 20] {
            let record = NewRecord { timestamp: Timestamp(timestamp), key: None, value: Some(b"v"), headers: &[] };
            builder.push(&record).unwrap();
        }
        builder.seal(Offset(base_offset), LeaderEpoch(1)).to_vec()
    }

    /// Offset and epoch change without touching the CRC; a new maximum timestamp computes it anew.
    #[test]
    fn patch_in_place() {
        let mut bytes = batch(0);
        set_base_offset(&mut bytes, Offset(1 << 40));
        set_leader_epoch(&mut bytes, LeaderEpoch(9));
        let view = BatchView::parse(&bytes).unwrap();
        view.check_crc().unwrap();
        assert_eq!((view.last_offset(), view.partition_leader_epoch()), (Offset((1 << 40) + 2), LeaderEpoch(9)));
        assert_eq!((view.base_timestamp(), view.max_timestamp()), (Timestamp(30), Timestamp(30)));
        set_max_timestamp(&mut bytes, Timestamp(99), true);
        let view = BatchView::parse(&bytes).unwrap();
        view.check_crc().unwrap();
        assert!(view.is_log_append_time());
        assert!(
            super::super::Records::new(&view, view.body()).all(|record| record.unwrap().timestamp == Timestamp(99))
        );
        set_max_timestamp(&mut bytes, Timestamp(30), false);
        assert!(!BatchView::parse(&bytes).unwrap().is_log_append_time());
        set_max_timestamp(&mut bytes[..60], Timestamp(0), true);
        assert_eq!(BatchView::parse(&bytes).unwrap().max_timestamp(), Timestamp(30));
    }

    /// A run of batches is walked to its end; a torn one is one error at the position where it begins.
    #[test]
    fn walk() {
        let mut run = [batch(0), batch(3), batch(6)].concat();
        let offsets: Vec<_> = Batches::new(&run).map(|batch| batch.unwrap().base_offset().0).collect();
        assert_eq!(offsets, [0, 3, 6]);
        let whole = run.len();
        run.truncate(whole - 1);
        let mut batches = Batches::new(&run);
        assert!(batches.next().unwrap().is_ok() && batches.next().unwrap().is_ok());
        assert_eq!(batches.next().unwrap().unwrap_err(), RecordError::Truncated);
        assert_eq!(batches.position(), whole / 3 * 2);
        assert!(batches.next().is_none());
    }

    /// A header whose numbers are impossible is refused before any of them is used.
    #[test]
    fn impossible_headers() {
        let good = batch(0);
        let cases: [(usize, &[u8]); 6] = [
            (LENGTH, &(-1i32).to_be_bytes()),
            (LENGTH, &48i32.to_be_bytes()),
            (LAST_OFFSET_DELTA, &(-1i32).to_be_bytes()),
            (RECORD_COUNT, &4i32.to_be_bytes()),
            (RECORD_COUNT, &(-1i32).to_be_bytes()),
            (BASE_OFFSET, &i64::MAX.to_be_bytes()),
        ];
        for (at, field) in cases {
            let mut bytes = good.clone();
            put(&mut bytes, at, field);
            assert_eq!(BatchView::parse(&bytes).unwrap_err(), RecordError::BadHeader);
        }
        let mut bytes = good.clone();
        put(&mut bytes, LENGTH, &i32::MAX.to_be_bytes());
        assert_eq!(BatchView::parse(&bytes).unwrap_err(), RecordError::Truncated);
        put(&mut bytes, MAGIC_AT, &[1]);
        assert_eq!(BatchView::parse(&bytes).unwrap_err(), RecordError::BadMagic(1));
    }
}
