//! What is known of a partition's producers, as bytes that survive a restart: Kafka's own `.snapshot` format.
//!
//! ```text
//! version  i16  1
//! crc      u32  CRC-32C of everything after it
//! count    i32
//! count times: producer id i64, producer epoch i16, last sequence i32, last offset i64, offset delta i32,
//!              timestamp i64, coordinator epoch i32 (-1), first offset of the open transaction i64 (-1)
//! ```
//!
//! Kafka writes the last batch of each producer; here each of the remembered batches is an entry of its own, oldest
//! first, so that Kafka's reader, which keeps the last, sees what it expects, and a producer that had five batches in
//! flight when the power went is still answered for each. A snapshot that cannot be read counts as none.

use bytes::Bytes;

use super::PartitionKey;
use super::producers::{BATCHES_PER_PRODUCER, Producers, WrittenBatch};
use crate::types::{Offset, ProducerEpoch, ProducerId, Reader, Timestamp, Writer, crc32c};

const VERSION: i16 = 1;
const HEADER_BYTES: usize = 6;
const ENTRY_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// The snapshot of a partition; no bytes when no producer is remembered.
pub(super) fn encode(producers: &Producers, key: PartitionKey) -> Bytes {
    let count: usize = producers.iter(key).map(|(.., batches)| batches.len()).sum();
    if count == 0 {
        return Bytes::new();
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + 4 + count * ENTRY_BYTES);
    let mut writer = Writer::new(&mut out);
    writer.i16(VERSION);
    writer.u32(0);
    writer.i32(count as i32);
    for (id, epoch, batches) in producers.iter(key) {
        for batch in batches {
            writer.i64(id.0);
            writer.i16(epoch.0);
            writer.i32(batch.last_sequence());
            writer.i64(batch.next_offset().0 - 1);
            writer.i32(batch.last_offset_delta);
            writer.i64(batch.timestamp.0);
            writer.i32(-1);
            writer.i64(-1);
        }
    }
    let crc = out.get(HEADER_BYTES..).map_or(0, crc32c::crc32c);
    Writer::new(&mut out).patch_i32(2, crc as i32);
    out.into()
}

/// One entry of a snapshot.
pub(super) type Entry = (ProducerId, ProducerEpoch, WrittenBatch);

/// The entries of a snapshot, at most `producers_max` producers' worth; `None` when it is damaged.
pub(super) fn decode(bytes: &[u8], producers_max: usize) -> Option<Vec<Entry>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let (version, crc) = (reader.i16().ok()?, reader.u32().ok()?);
    if version != VERSION || crc != crc32c::crc32c(reader.rest()) {
        return None;
    }
    let count = usize::try_from(reader.i32().ok()?).ok()?;
    if count.checked_mul(ENTRY_BYTES)? != reader.remaining() {
        return None;
    }
    let entries: Option<Vec<Entry>> =
        (0..count.min(producers_max.saturating_mul(BATCHES_PER_PRODUCER))).map(|_| entry(&mut reader)).collect();
    entries
}

fn entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let (id, epoch) = (reader.i64().ok()?, reader.i16().ok()?);
    let (last_sequence, last_offset, delta) = (reader.i32().ok()?, reader.i64().ok()?, reader.i32().ok()?);
    let timestamp = reader.i64().ok()?;
    reader.take(12).ok()?;
    if delta < 0 || last_sequence < 0 || last_offset < delta as i64 {
        return None;
    }
    let batch = WrittenBatch::ending(last_sequence, Offset(last_offset), delta, Timestamp(timestamp));
    Some((ProducerId(id), ProducerEpoch(epoch), batch))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::Instant;

    const KEY: PartitionKey = PartitionKey(1);

    fn table() -> Producers {
        let mut table = Producers::new(100, Duration::from_secs(9));
        for id in 0..3 {
            for i in 0..4 {
                let batch = WrittenBatch {
                    base_offset: Offset(id * 100 + i as i64 * 10),
                    base_sequence: (i32::MAX - 15).wrapping_add(i * 10) & i32::MAX,
                    last_offset_delta: 9,
                    timestamp: Timestamp(id),
                };
                table.record(Instant(0), KEY, ProducerEpoch(2), ProducerId(id), batch);
            }
        }
        table
    }

    /// What is written is read back, sequences that went round included.
    #[test]
    fn round_trip() {
        let table = table();
        let bytes = encode(&table, KEY);
        let mut copy = Producers::new(100, Duration::from_secs(9));
        for (id, epoch, batch) in decode(&bytes, 100).unwrap() {
            copy.record(Instant(0), KEY, epoch, id, batch);
        }
        assert!(table.iter(KEY).eq(copy.iter(KEY)));
        assert_eq!(bytes.len(), 10 + 12 * 46);
        assert!(encode(&table, PartitionKey(2)).is_empty() && decode(&[], 1).unwrap().is_empty());
    }

    /// No damage passes: cut anywhere or with any bit turned, a snapshot counts as none.
    #[test]
    fn damage() {
        let bytes = encode(&table(), KEY);
        for end in 1..bytes.len() {
            assert!(decode(&bytes[..end], 100).is_none());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            assert!(decode(&damaged, 100).is_none());
        }
    }
}
