//! The gate for batches that a producer sends: everything that a log relies on, in one pass over the bytes.

use crate::types::{ProducerEpoch, ProducerId, Reader, Timestamp};

use super::records::RawRecord;
use super::{BatchView, Codec, RecordError, decompress};

/// What the broker needs to know of a batch that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Records, at least 1; the offsets it will take.
    pub record_count: u32,
    /// Bytes of the batch.
    pub total_bytes: usize,
    /// How the records are compressed.
    pub codec: Codec,
    /// The highest timestamp: of the records themselves when they are not compressed, else what the header says.
    pub max_timestamp: Timestamp,
    /// True when the header states another maximum; some clients do. `set_max_timestamp` mends it, as Kafka does.
    pub max_timestamp_differs: bool,
    /// `ProducerId::NONE` without idempotence.
    pub producer_id: ProducerId,
    /// -1 without idempotence.
    pub producer_epoch: ProducerEpoch,
    /// Of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
}

/// Checks that `bytes` is exactly one batch of at most `max_bytes` that may be appended: CRC, magic, counts,
/// attributes, producer fields, and of uncompressed batches the structure of every record. Compressed records are not
/// opened: a consumer or a subscriber that opens them checks them.
pub fn validate_produced(bytes: &[u8], max_bytes: usize) -> Result<BatchInfo, RecordError> {
    let batch = BatchView::parse(bytes)?;
    if batch.total_bytes() > max_bytes {
        return Err(RecordError::TooLarge);
    }
    if batch.total_bytes() != bytes.len() {
        return Err(RecordError::MoreThanOne);
    }
    batch.check_crc()?;
    let codec = batch.codec()?;
    if batch.is_control() || batch.is_log_append_time() {
        return Err(RecordError::BadAttributes);
    }
    if batch.record_count() == 0 || batch.record_count() as i64 != batch.last_offset_delta() as i64 + 1 {
        return Err(RecordError::BadCount);
    }
    if batch.has_producer() && (batch.base_sequence() < 0 || batch.producer_epoch().0 < 0)
        || batch.is_transactional() && !batch.has_producer()
    {
        return Err(RecordError::BadSequence);
    }
    let max_timestamp = match codec {
        Codec::None => check_records(&batch)?,
        _ => batch.max_timestamp(),
    };
    Ok(BatchInfo {
        record_count: batch.record_count(),
        total_bytes: batch.total_bytes(),
        codec,
        max_timestamp,
        max_timestamp_differs: max_timestamp != batch.max_timestamp(),
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        transactional: batch.is_transactional(),
    })
}

/// Whether each record of a batch that passed has a key, as far as the first `max_bytes` of its records tell: a larger
/// batch is not opened as a whole. `scratch` is overwritten when it is compressed.
pub fn all_have_keys(bytes: &[u8], scratch: &mut Vec<u8>, max_bytes: usize) -> bool {
    let Ok(batch) = BatchView::parse(bytes) else { return true };
    let body = match batch.codec() {
        Ok(Codec::None) => batch.body(),
        Ok(codec) => {
            // after TooLarge as many records as were opened; of others nobody can tell
            match decompress(codec, batch.body(), max_bytes, scratch) {
                Ok(()) | Err(RecordError::TooLarge) => scratch,
                Err(_) => return true,
            }
        }
        Err(_) => return true,
    };
    let mut reader = Reader::new(body);
    (0..batch.record_count()).map_while(|_| RawRecord::read(&mut reader).ok()).all(|record| record.key.is_some())
}

/// Walks uncompressed records: each well formed, offsets dense from 0, nothing left over. Returns the highest
/// timestamp.
fn check_records(batch: &BatchView<'_>) -> Result<Timestamp, RecordError> {
    let mut reader = Reader::new(batch.body());
    let mut highest = i64::MIN;
    for index in 0..batch.record_count() {
        let record = RawRecord::read(&mut reader)?;
        if record.offset_delta as i64 != index as i64 {
            return Err(RecordError::BadRecord);
        }
        highest = highest.max(batch.base_timestamp().0.wrapping_add(record.timestamp_delta));
    }
    if reader.is_empty() { Ok(Timestamp(highest)) } else { Err(RecordError::BadCount) }
}
