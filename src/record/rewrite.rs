//! A batch without some of its records: what compaction leaves of it.
//!
//! Offsets, sequence numbers, leader epoch and producer stay as they are; the header keeps the last offset even when the
//! last record goes. A batch that keeps tombstones gets a delete horizon (KIP-534): bit 6 of the attributes says that
//! the base timestamp is the time at which its tombstones may go; the records' own deltas follow that.

use crate::types::{Reader, Timestamp, Writer};

use super::batch::NewHeader;
use super::compress::{compress, writable};
use super::records::Records;
use super::{BatchView, Codec, HEADER_BYTES, Record, RecordError, decompress};

/// Bit 6: the base timestamp is the delete horizon.
const DELETE_HORIZON: i16 = 0x40;
const CODEC_MASK: i16 = 0x07;
const NO_TIMESTAMP: Timestamp = Timestamp(-1);

/// What is left of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// All of it, unchanged.
    Whole,
    /// Some records: the batch was written.
    Some,
    /// No record.
    Empty,
}

/// Buffers of a rewrite, kept from batch to batch.
#[derive(Debug, Default)]
pub struct RewriteBuffers {
    opened: Vec<u8>,
    kept: Vec<u8>,
    verdicts: Vec<bool>,
}

impl RewriteBuffers {
    /// Bytes allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.opened.capacity() + self.kept.capacity() + self.verdicts.capacity()
    }

    /// Frees what is above `bytes` in all.
    pub fn shrink(&mut self, bytes: usize) {
        if self.allocated_bytes() > bytes {
            *self = RewriteBuffers::default();
        }
    }

    /// The records of `batch`, opened here: at most `max_bytes`, else `TooLarge`.
    pub fn open<'a>(&'a mut self, batch: &BatchView<'a>, max_bytes: usize) -> Result<Records<'a>, RecordError> {
        super::open(batch, &mut self.opened, max_bytes)
    }
}

/// The time from which the tombstones of `batch` may go, if it was given one.
pub fn delete_horizon(batch: &BatchView<'_>) -> Option<Timestamp> {
    (batch.attributes() & DELETE_HORIZON != 0).then(|| batch.base_timestamp())
}

/// Writes over `out` what is left of `batch` when only records stay of which `retain` says so; a batch that keeps
/// tombstones and has no delete horizon gets `horizon`. Nothing is written when all or nothing stays. Records that are
/// opened take at most `max_bytes`, else `TooLarge`; an error leaves `out` unspecified.
pub fn rewrite(
    batch: &BatchView<'_>,
    horizon: Option<Timestamp>,
    max_bytes: usize,
    buffers: &mut RewriteBuffers,
    mut retain: impl FnMut(&Record<'_>) -> bool,
    out: &mut Vec<u8>,
) -> Result<Rewritten, RecordError> {
    let RewriteBuffers { opened, kept, verdicts } = buffers;
    let codec = batch.codec()?;
    let body = match codec {
        Codec::None => batch.body(),
        codec => {
            decompress(codec, batch.body(), max_bytes, opened)?;
            opened
        }
    };
    verdicts.clear();
    let (mut count, mut highest, mut keeps_tombstones) = (0, NO_TIMESTAMP, false);
    for record in Records::new(batch, body) {
        let record = record?;
        let stays = retain(&record);
        verdicts.push(stays);
        if stays {
            count += 1;
            highest = highest.max(record.timestamp);
            keeps_tombstones |= record.value.is_none();
        }
    }
    let horizon = horizon.filter(|_| keeps_tombstones && delete_horizon(batch).is_none());
    if count == 0 {
        return Ok(Rewritten::Empty);
    }
    if count == verdicts.len() && horizon.is_none() {
        return Ok(Rewritten::Whole);
    }
    out.clear();
    out.resize(HEADER_BYTES, 0);
    let base_timestamp = horizon.unwrap_or(batch.base_timestamp());
    let to = writable(codec);
    if to == Codec::None {
        copy_records(batch, body, verdicts, base_timestamp, out)?;
    } else {
        kept.clear();
        copy_records(batch, body, verdicts, base_timestamp, kept)?;
        compress(to, kept, out);
    }
    let mut attributes = batch.attributes() & !CODEC_MASK | to as i16;
    if horizon.is_some() {
        attributes |= DELETE_HORIZON;
    }
    let max_timestamp = if batch.is_log_append_time() { batch.max_timestamp() } else { highest };
    head(batch, attributes, base_timestamp, max_timestamp, count as i32).write(out); // at most the batch's own count
    Ok(Rewritten::Some)
}

/// Writes over `out` the header of `batch` without its records: what keeps a producer's sequence or the last offset of a
/// segment when every record went.
pub fn write_empty(batch: &BatchView<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER_BYTES, 0);
    let attributes = batch.attributes() & !(CODEC_MASK | DELETE_HORIZON);
    head(batch, attributes, NO_TIMESTAMP, batch.max_timestamp(), 0).write(out);
}

fn head(
    batch: &BatchView<'_>,
    attributes: i16,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    record_count: i32,
) -> NewHeader {
    NewHeader {
        base_offset: batch.base_offset(),
        leader_epoch: batch.partition_leader_epoch(),
        attributes,
        last_offset_delta: batch.last_offset_delta(),
        base_timestamp,
        max_timestamp,
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        record_count,
    }
}

/// Appends the records that stay, their deltas relative to `base_timestamp`.
fn copy_records(
    batch: &BatchView<'_>,
    body: &[u8],
    verdicts: &[bool],
    base_timestamp: Timestamp,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let shift = batch.base_timestamp().0.wrapping_sub(base_timestamp.0);
    let mut reader = Reader::new(body);
    for &stays in verdicts {
        let start = reader.rest();
        let length = reader.varint().map_err(|_| RecordError::BadRecord)?;
        let record = usize::try_from(length).ok().and_then(|length| reader.take(length).ok());
        let record = record.ok_or(RecordError::BadRecord)?;
        if !stays {
            continue;
        }
        if shift == 0 {
            out.extend_from_slice(start.get(..start.len() - reader.rest().len()).unwrap_or_default());
        } else {
            copy_shifted(record, shift, out).ok_or(RecordError::BadRecord)?;
        }
    }
    Ok(())
}

/// Appends one record whose timestamp delta grows by `shift`.
fn copy_shifted(record: &[u8], shift: i64, out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader::new(record);
    let attributes = reader.i8().ok()?;
    let delta = reader.varlong().ok()?.wrapping_add(shift);
    let rest = reader.rest();
    let mut bytes = Vec::with_capacity(10);
    Writer::new(&mut bytes).varlong(delta);
    let mut writer = Writer::new(out);
    writer.varlong((1 + bytes.len() + rest.len()) as i64);
    writer.i8(attributes);
    writer.raw(&bytes);
    writer.raw(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, NewRecord, Producer};
    use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    /// Ten records; the value of the sixth is null. Recompressed with `codec`.
    fn batch(codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1 << 20);
        builder.set_producer(Producer { id: ProducerId(4), epoch: ProducerEpoch(2), base_sequence: 70 });
        for number in 0..10u8 {
            let value = [number; 30];
            let (key, headers) = ([number], [(&b"h"[..], &b"x"[..])]);
            let value = (number != 5).then_some(&value[..]);
            let timestamp = Timestamp(1000 + 10 * (number as i64 % 4));
            builder.push(&NewRecord { timestamp, key: Some(&key), value, headers: &headers }).unwrap();
        }
        let plain = builder.seal(Offset(500), LeaderEpoch(3)).to_vec();
        let view = BatchView::parse(&plain).unwrap();
        let mut out = vec![0; HEADER_BYTES];
        compress(codec, view.body(), &mut out);
        let attributes = view.attributes() | codec as i16;
        head(&view, attributes, view.base_timestamp(), view.max_timestamp(), 10).write(&mut out);
        out
    }

    fn records(bytes: &[u8]) -> Vec<(i64, i64, u8, Option<Vec<u8>>)> {
        let view = BatchView::parse(bytes).unwrap();
        view.check_crc().unwrap();
        let mut scratch = Vec::new();
        let records = crate::record::open(&view, &mut scratch, 1 << 20).unwrap();
        let record = |record: Record<'_>| {
            assert_eq!(record.headers.get(b"h"), Some(Some(&b"x"[..])));
            (record.offset.0, record.timestamp.0, record.key.unwrap()[0], record.value.map(<[u8]>::to_vec))
        };
        records.map(|read| record(read.unwrap())).collect()
    }

    /// What stays is as it was, record for record, and so is every field that others rely on; of any codec.
    #[test]
    fn some_stay() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let bytes = batch(codec);
            let view = BatchView::parse(&bytes).unwrap();
            let (mut buffers, mut out) = (RewriteBuffers::default(), Vec::new());
            let stays = |record: &Record<'_>| [1, 2, 4].contains(&record.key.unwrap()[0]);
            let result = rewrite(&view, Some(Timestamp(9)), 1 << 20, &mut buffers, stays, &mut out);
            assert_eq!(result, Ok(Rewritten::Some));
            let all = records(&bytes);
            assert_eq!(records(&out), [all[1].clone(), all[2].clone(), all[4].clone()]);
            let new = BatchView::parse(&out).unwrap();
            assert_eq!((new.base_offset(), new.last_offset(), new.record_count()), (Offset(500), Offset(509), 3));
            assert_eq!(
                (new.producer_id(), new.producer_epoch(), new.base_sequence()),
                (ProducerId(4), ProducerEpoch(2), 70)
            );
            assert_eq!((new.partition_leader_epoch(), new.codec()), (LeaderEpoch(3), Ok(codec)));
            assert_eq!((new.max_timestamp(), delete_horizon(&new)), (Timestamp(1020), None));
        }
    }

    /// The first time that a tombstone stays, its batch is told when that may end; the records' own times stay.
    #[test]
    fn horizon() {
        let bytes = batch(Codec::Gzip);
        let view = BatchView::parse(&bytes).unwrap();
        let (mut buffers, mut out, mut again) = (RewriteBuffers::default(), Vec::new(), Vec::new());
        let horizon = Some(Timestamp(1 << 41));
        assert_eq!(rewrite(&view, horizon, 1 << 20, &mut buffers, |_| true, &mut out), Ok(Rewritten::Some));
        let new = BatchView::parse(&out).unwrap();
        assert_eq!((delete_horizon(&new), new.max_timestamp()), (horizon, Timestamp(1030)));
        assert_eq!(records(&out), records(&bytes));
        let later = Some(Timestamp(1 << 42));
        assert_eq!(rewrite(&new, later, 1 << 20, &mut buffers, |_| true, &mut again), Ok(Rewritten::Whole));
        let without = |record: &Record<'_>| record.value.is_some();
        assert_eq!(rewrite(&new, later, 1 << 20, &mut buffers, without, &mut again), Ok(Rewritten::Some));
        assert_eq!(delete_horizon(&BatchView::parse(&again).unwrap()), horizon);
        assert_eq!(records(&again).len(), 9);
    }

    /// All or nothing writes nothing; the bound holds; an empty batch is its header.
    #[test]
    fn all_or_nothing() {
        let bytes = batch(Codec::Lz4);
        let view = BatchView::parse(&bytes).unwrap();
        let (mut buffers, mut out) = (RewriteBuffers::default(), Vec::new());
        let with_value = |record: &Record<'_>| record.value.is_some();
        assert_eq!(rewrite(&view, None, 1 << 20, &mut buffers, |_| true, &mut out), Ok(Rewritten::Whole));
        assert_eq!(rewrite(&view, None, 1 << 20, &mut buffers, |_| false, &mut out), Ok(Rewritten::Empty));
        assert!(out.is_empty());
        assert_eq!(rewrite(&view, None, 100, &mut buffers, with_value, &mut out), Err(RecordError::TooLarge));
        write_empty(&view, &mut out);
        let empty = BatchView::parse(&out).unwrap();
        empty.check_crc().unwrap();
        assert_eq!((out.len(), empty.record_count(), empty.last_offset()), (HEADER_BYTES, 0, Offset(509)));
        assert_eq!((empty.producer_id(), empty.max_timestamp()), (ProducerId(4), Timestamp(1030)));
        assert!(records(&out).is_empty());
    }
}
