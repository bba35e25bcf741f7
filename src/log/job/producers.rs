//! What a recovery scan remembers of idempotent producers: the last batches of each, within a bound.

use std::collections::{BTreeMap, VecDeque};

use super::scan::producer_batch;
use crate::effect::ProducerBatch;
use crate::record::BatchHeader;
use crate::types::{Offset, ProducerId};

/// A client has at most five requests in flight.
const BATCHES_PER_PRODUCER: usize = 5;

/// Producers of one log that a scan remembers; the one that wrote least recently goes first.
const PRODUCERS_MAX: usize = 1024;

/// The last batches at or above an offset.
pub(super) struct ProducerTail {
    from: Offset,
    batches: BTreeMap<ProducerId, VecDeque<ProducerBatch>>,
}

impl ProducerTail {
    /// Batches below `from` say nothing.
    pub fn new(from: Offset) -> ProducerTail {
        ProducerTail { from, batches: BTreeMap::new() }
    }

    /// Remembers a batch that a producer wrote.
    pub fn push(&mut self, batch: &BatchHeader<'_>) {
        if !batch.has_producer() || batch.base_offset() < self.from || batch.is_control() {
            return;
        }
        let known = self.batches.entry(batch.producer_id()).or_default();
        if known.len() == BATCHES_PER_PRODUCER {
            known.pop_front();
        }
        known.push_back(producer_batch(batch));
        if self.batches.len() > PRODUCERS_MAX {
            let last = |batches: &VecDeque<ProducerBatch>| batches.back().map(|batch| batch.base_offset);
            let oldest = self.batches.iter().min_by_key(|(_, batches)| last(batches)).map(|(&id, _)| id);
            oldest.and_then(|id| self.batches.remove(&id));
        }
    }

    /// All of them, ascending by offset.
    pub fn into_batches(self) -> Vec<ProducerBatch> {
        let mut batches: Vec<ProducerBatch> = self.batches.into_values().flatten().collect();
        batches.sort_by_key(|batch| batch.base_offset);
        batches
    }
}
