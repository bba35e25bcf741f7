//! What appending does to a segment's numbers, and the index entries that it asks for. Used by appends and by recovery,
//! so that both write the same indexes.
//!
//! ```text
//! offset index entry   last offset of a batch - base  u32, position of that batch  u32
//! time index entry     highest timestamp so far       i64, last offset of the batch that has it - base  u32
//! ```
//!
//! Invariants: entries of both indexes ascend strictly in both fields; the first batch of a segment has no entry; every
//! entry says the truth about the segment alone, whichever of its later bytes are lost.

use crate::effect::SegmentMeta;
use crate::record::BatchHeader;
use crate::types::{Offset, Timestamp};

/// Bytes of one entry of the offset index.
pub(super) const INDEX_ENTRY_BYTES: u32 = 8;

/// Bytes of one entry of the time index.
pub(super) const TIME_INDEX_ENTRY_BYTES: u32 = 12;

/// Kafka's `segment.index.bytes`: an index that is full ends its segment.
pub(super) const INDEX_BYTES_MAX: u32 = 10 << 20;

const NO_TIMESTAMP: Timestamp = Timestamp(-1);

impl SegmentMeta {
    /// An empty segment that starts at `base`.
    pub(super) fn empty(base: Offset, now: Timestamp) -> SegmentMeta {
        SegmentMeta {
            base,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset: base,
            indexed_timestamp: NO_TIMESTAMP,
            created_at: now,
            appended_at: now,
            ..SegmentMeta::default()
        }
    }

    /// No offset of the segment is as high: relative ones have 31 bits.
    pub(super) fn limit(&self) -> Offset {
        Offset(self.base.0.saturating_add(i32::MAX as i64 + 1))
    }

    /// True when a batch of `bytes` that ends at `last_offset` must go to a new segment.
    pub(super) fn is_full(&self, bytes: usize, last_offset: Offset, segment_bytes: u32) -> bool {
        last_offset.0 - self.base.0 > i32::MAX as i64
            || self.index_bytes >= INDEX_BYTES_MAX
            || (self.bytes > 0 && self.bytes + bytes as u64 > segment_bytes as u64)
    }

    /// A batch is appended at the end: counts it, and pushes the index entries that are due.
    pub(super) fn push(
        &mut self,
        batch: &BatchHeader<'_>,
        interval_bytes: u32,
        index: &mut Vec<u8>,
        time_index: &mut Vec<u8>,
    ) {
        let bytes = batch.total_bytes();
        let last_offset = batch.last_offset();
        if batch.max_timestamp() > self.max_timestamp {
            self.max_timestamp = batch.max_timestamp();
            self.max_timestamp_offset = last_offset;
        }
        if self.unindexed_bytes > interval_bytes {
            // both fit: segments are rolled before an offset or a position outgrows 31 bits
            index.extend_from_slice(&self.relative(last_offset).to_be_bytes());
            index.extend_from_slice(&(self.bytes as u32).to_be_bytes());
            self.index_bytes += INDEX_ENTRY_BYTES;
            self.unindexed_bytes = 0;
            self.push_time(time_index);
        }
        self.bytes += bytes as u64;
        self.unindexed_bytes = self.unindexed_bytes.saturating_add(bytes as u32);
    }

    /// Pushes the highest timestamp when the time index does not have it: every so often, and when a segment is
    /// complete.
    pub(super) fn push_time(&mut self, time_index: &mut Vec<u8>) {
        if self.max_timestamp > self.indexed_timestamp {
            time_index.extend_from_slice(&self.max_timestamp.0.to_be_bytes());
            time_index.extend_from_slice(&self.relative(self.max_timestamp_offset).to_be_bytes());
            self.time_index_bytes += TIME_INDEX_ENTRY_BYTES;
            self.indexed_timestamp = self.max_timestamp;
        }
    }

    fn relative(&self, offset: Offset) -> u32 {
        (offset.0 - self.base.0) as u32
    }
}

/// An entry of the offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub relative_offset: u32,
    pub position: u32,
}

impl IndexEntry {
    /// From eight bytes.
    pub fn parse(bytes: &[u8]) -> Option<IndexEntry> {
        let (offset, rest) = bytes.split_first_chunk::<4>()?;
        let position = rest.first_chunk::<4>()?;
        Some(IndexEntry { relative_offset: u32::from_be_bytes(*offset), position: u32::from_be_bytes(*position) })
    }
}

/// An entry of the time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeIndexEntry {
    pub timestamp: Timestamp,
    pub relative_offset: u32,
}

impl TimeIndexEntry {
    /// From twelve bytes.
    pub fn parse(bytes: &[u8]) -> Option<TimeIndexEntry> {
        let (timestamp, rest) = bytes.split_first_chunk::<8>()?;
        let offset = rest.first_chunk::<4>()?;
        Some(TimeIndexEntry {
            timestamp: Timestamp(i64::from_be_bytes(*timestamp)),
            relative_offset: u32::from_be_bytes(*offset),
        })
    }
}
