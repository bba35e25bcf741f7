//! Live subscribers of a replicated partition, on every board that has a replica: what becomes acknowledged is read back
//! from the log, because by then it has left memory.
//!
//! Invariant: one read for each partition at a time; each batch is told once and in order while tails are on. A subscriber
//! that comes gets what is acknowledged from then on, and what its board, when it had just started, had not heard of.

use bytes::Bytes;

use super::REPLICA_READ_BYTES;
use crate::broker::fetch::{For, Lookup};
use crate::broker::partition::Partition;
use crate::broker::{Answer, Broker, Door, PartitionKey, Waiter};
use crate::effect::Effects;
use crate::log::LogReadError;
use crate::record::Batches;
use crate::types::Offset;

/// A replica that is being added copies history, and tells nothing before it is in sync.
pub(super) const UNTOLD: Offset = Offset(i64::MAX);

impl Broker {
    /// Reads what was acknowledged and not told yet.
    pub(super) fn read_tails(&mut self, fx: &mut Effects) {
        for key in std::mem::take(&mut self.replication.tails) {
            self.read_tail(key, fx);
        }
    }

    fn read_tail(&mut self, key: PartitionKey, fx: &mut Effects) {
        let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.has_tail) else { return };
        let (Some(log), below) = (partition.log, partition.high_watermark.get().min(partition.durable)) else { return };
        let Some(replicated) = &mut partition.replicated else { return };
        if replicated.is_tail_read || replicated.tail_from >= below {
            return;
        }
        let from = replicated.tail_from.max(partition.log_start);
        self.next_token += 1;
        let token = self.next_token;
        if self.logs.read(log, from, below, REPLICA_READ_BYTES, token, fx).is_ok() {
            (replicated.is_tail_read, replicated.has_told) = (true, true);
            self.lookups.insert(token, Lookup { partition: key, whom: For::Tail });
        }
    }

    /// The disk has read for the subscribers; what cannot be read is not told.
    pub(in crate::broker) fn tail_read_done(&mut self, key: PartitionKey, result: Result<Bytes, LogReadError>) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let high_watermark = partition.high_watermark.get();
        let Some(replicated) = &mut partition.replicated else { return };
        replicated.is_tail_read = false;
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(LogReadError::Damaged { whole, resume, .. }) => {
                replicated.tail_from = resume.unwrap_or(high_watermark);
                self.replication.tails.push(key);
                return self.damage_found(key, whole);
            }
            Err(_) => {
                replicated.tail_from = high_watermark;
                return;
            }
        };
        let mut batches = Vec::new();
        let (mut position, mut next) = (0, replicated.tail_from);
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            let end = position + batch.bytes().len();
            if batch.next_offset() > next {
                next = batch.next_offset();
                batches.push(bytes.slice(position..end));
            }
            position = end;
        }
        // Nothing readable below the high watermark (a gap of compaction): go on behind it.
        replicated.tail_from = if batches.is_empty() { high_watermark } else { next };
        if replicated.tail_from < high_watermark {
            self.replication.tails.push(key);
        }
        if !batches.is_empty() {
            self.answers.push_back((Waiter::door(Door::Mqtt), Answer::Tail { partition: key, batches }));
        }
    }
}

impl Partition {
    /// Tails were switched: on means from the next acknowledgement on.
    pub(in crate::broker) fn begin_tail(&mut self) {
        let acknowledged = self.high_watermark.get();
        if let Some(replicated) = &mut self.replicated {
            replicated.tail_from = replicated.tail_from.max(acknowledged).max(replicated.told);
        }
    }
}
