//! Records of publishers whose protocol has no batches, gathered into one batch per partition and turn.
//!
//! Invariants: its memory is granted before it grows; a record's offset is known when it is taken, because nothing else
//! is appended to the log before the batch is sealed.

use bytes::BytesMut;

use crate::limits::OPEN_BATCH_BYTES_MAX;
use crate::memory::{Account, Grant};
use crate::record::{BatchBuilder, HEADER_BYTES, NewRecord, Producer};
use crate::types::{LeaderEpoch, Offset};

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Seal this batch first.
    Full,
    /// The record alone is larger than the topic takes.
    TooLarge,
    /// The account has nothing left until something is written.
    NoMemory,
}

/// A batch that still grows.
#[derive(Debug)]
pub(super) struct OpenBatch {
    builder: BatchBuilder,
    grant: Grant,
    base_offset: Offset,
}

impl OpenBatch {
    /// An empty batch whose first record gets `base_offset`; never larger than `message_bytes_max`.
    pub fn new(base_offset: Offset, message_bytes_max: usize) -> OpenBatch {
        OpenBatch { builder: BatchBuilder::new(message_bytes_max), grant: Grant::none(), base_offset }
    }

    /// The offset of its first record.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Takes a record and says its offset, or changes nothing. `left` bytes of the account stay for others.
    #[inline]
    pub fn push(&mut self, record: &NewRecord<'_>, account: &Account, left: usize) -> Result<Offset, NotTaken> {
        let bytes = self.builder.encoded_bytes().max(HEADER_BYTES) + BatchBuilder::record_bytes_max(record);
        if bytes > OPEN_BATCH_BYTES_MAX && !self.is_empty() {
            return Err(NotTaken::Full);
        }
        if bytes > self.grant.bytes() {
            // The builder grows by doubling what it holds, at least to what it needs.
            let wanted = bytes.max(2 * self.builder.allocated_bytes()).max(FIRST_GRANT_BYTES);
            let more = account.take_leaving(wanted - self.grant.bytes(), left).ok_or(NotTaken::NoMemory)?;
            self.grant.join(more);
        }
        match self.builder.push(record) {
            Ok(index) => Ok(self.base_offset.plus(index as i64)),
            Err(_) if self.is_empty() => {
                self.grant = Grant::none();
                Err(NotTaken::TooLarge)
            }
            Err(_) => Err(NotTaken::Full),
        }
    }

    /// What it is granted.
    pub fn held_bytes(&self) -> usize {
        self.grant.bytes()
    }

    /// How many it has taken.
    pub fn record_count(&self) -> u32 {
        self.builder.record_count()
    }

    /// Closes it under a producer's name; whoever appends it sets offset and epoch.
    pub fn seal_as(mut self, producer: Producer) -> (BytesMut, Grant) {
        self.builder.set_producer(producer);
        self.seal(LeaderEpoch::NONE)
    }

    /// Closes it: the batch with its CRC, and what accounts for it.
    pub fn seal(mut self, epoch: LeaderEpoch) -> (BytesMut, Grant) {
        (self.builder.seal(self.base_offset, epoch), self.grant)
    }
}

const FIRST_GRANT_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchView;
    use crate::types::Timestamp;

    fn record(value: &[u8]) -> NewRecord<'_> {
        NewRecord { timestamp: Timestamp(5), key: Some(b"k"), value: Some(value), headers: &[] }
    }

    /// Offsets are consecutive, the batch ends at its bound, and its memory was granted before it was allocated.
    #[test]
    fn fills_up() {
        let account = Account::new(1 << 20);
        let mut batch = OpenBatch::new(Offset(100), 1 << 20);
        let mut expected = 100;
        while let Ok(offset) = batch.push(&record(&[7; 1000]), &account, 0) {
            assert_eq!(offset, Offset(expected));
            assert!(batch.builder.allocated_bytes() <= account.used_bytes());
            expected += 1;
        }
        assert_eq!(batch.push(&record(&[7; 1000]), &account, 0), Err(NotTaken::Full));
        let (bytes, grant) = batch.seal(LeaderEpoch(3));
        assert!(bytes.len() <= OPEN_BATCH_BYTES_MAX && bytes.len() > OPEN_BATCH_BYTES_MAX - 2000);
        let view = BatchView::parse(&bytes).unwrap();
        assert_eq!((view.base_offset(), view.record_count() as i64), (Offset(100), expected - 100));
        drop(grant);
        assert_eq!(account.used_bytes(), 0);
    }

    /// One large record passes alone; one beyond the topic's limit never; without memory nothing does.
    #[test]
    fn large_records() {
        let account = Account::new(1 << 20);
        let mut batch = OpenBatch::new(Offset(0), 600_000);
        assert_eq!(batch.push(&record(&vec![1; 700_000]), &account, 0), Err(NotTaken::TooLarge));
        let mut batch = OpenBatch::new(Offset(0), 600_000);
        assert_eq!(batch.push(&record(&vec![1; 500_000]), &account, 0), Ok(Offset(0)));
        assert_eq!(batch.push(&record(&[1; 1]), &account, 0), Err(NotTaken::Full));
        let poor = Account::new(100);
        assert_eq!(OpenBatch::new(Offset(0), 600_000).push(&record(&[1; 1]), &poor, 0), Err(NotTaken::NoMemory));
    }
}
