//! The coordinator's log: which partitions of `__consumer_offsets` this node leads, and reading them to their end.
//!
//! ```text
//! Elsewhere --> Opening --> Loading --> Loaded
//!     ^            |           |  \-> Failed
//!     +------------+-----------+-- another leadership: its groups are forgotten
//! ```

use bytes::Bytes;

use super::{OFFSETS_TOPIC, Part, own};
use crate::broker::groups::replay::ReplayError;
use crate::broker::{PartitionKey, ReadData, ReadError};
use crate::effect::Effects;
use crate::engine::Engine;
use crate::limits::GROUPS_LOAD_BYTES;
use crate::record::{BatchView, Batches, open};
use crate::types::{Now, Offset, PartitionIndex};

/// How long a read waits that found no memory.
const READ_RETRY_MS: u64 = 50;

/// What a compressed batch of another broker's log may grow to.
const OPENED_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Engine {
    /// Compares what is loaded with what this node leads.
    pub(super) fn look_at_parts(&mut self, now: Now) {
        self.coordination.is_changed = false;
        let count = self.view().topic(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions.len());
        for index in count..self.coordination.parts.len() {
            self.coordination.groups.unload(PartitionIndex(index as i32));
        }
        self.coordination.parts.resize(count, Part::Elsewhere);
        for index in 0..count {
            let place = PartitionIndex(index as i32);
            let part = self.look_at(now, place);
            let Some(known) = self.coordination.parts.get_mut(index) else { continue };
            let is_same = part.leadership().is_some() && part.leadership() == known.leadership();
            if !is_same && part != *known {
                *known = part;
                self.coordination.groups.unload(place);
            }
        }
    }

    fn look_at(&mut self, now: Now, place: PartitionIndex) -> Part {
        let leads =
            self.view().partition(OFFSETS_TOPIC, place).is_some_and(|state| state.leader == Some(self.node_id()));
        let Some(key) = self.broker.partition(OFFSETS_TOPIC, place).filter(|_| leads) else { return Part::Elsewhere };
        // What this turn has appended lies below the end too, or it would be in the log and not in the groups.
        self.broker.seal(now, key);
        match self.broker.view(key) {
            Some(view) if view.is_served => {
                let (next, end) = (view.log_start_offset, view.log_end_offset);
                Part::Loading { key, epoch: view.leader_epoch, next, end }
            }
            _ => Part::Opening,
        }
    }

    /// Reads the next piece of the first partition that is not loaded.
    pub(super) fn load(&mut self, now: Now, fx: &mut Effects) {
        while self.coordination.reading.is_none() {
            let parts = self.coordination.parts.iter_mut().enumerate();
            let mut loading = parts.filter_map(|(index, part)| match *part {
                Part::Loading { key, epoch, next, end } => Some((index, part, key, epoch, next, end)),
                _ => None,
            });
            let Some((index, part, key, epoch, next, end)) = loading.next() else { return };
            if next >= end {
                *part = Part::Loaded { key, epoch };
                self.coordination.groups.loaded(now, PartitionIndex(index as i32));
                continue;
            }
            let bytes = self.config.topics.message_bytes_max.max(GROUPS_LOAD_BYTES);
            let Some(grant) = self.coordination.reads.take(bytes.min(self.coordination.reads.limit_bytes() / 4)) else {
                self.coordination.retry_at = Some(now.mono.plus_millis(READ_RETRY_MS));
                return;
            };
            self.coordination.retry_at = None;
            match self.broker.read(key, next, GROUPS_LOAD_BYTES, own(0), fx) {
                Ok(()) => self.coordination.reading = Some((Part::Loading { key, epoch, next, end }, grant)),
                Err(ReadError::Busy) => {
                    self.coordination.retry_at = Some(now.mono.plus_millis(READ_RETRY_MS));
                    return;
                }
                Err(error) => self.read_failed(key, &error),
            }
        }
    }

    /// A piece was read. When another leadership has begun meanwhile, perhaps this node's own again, it is of no use: that
    /// one reads from the beginning, and what this piece follows upon is forgotten.
    pub(super) fn piece_read(&mut self, now: Now, result: &Result<ReadData, ReadError>) {
        let Some((asked, _)) = self.coordination.reading.take() else { return };
        let Some(index) = self.coordination.parts.iter().position(|part| *part == asked) else { return };
        let Part::Loading { key, epoch, next, end } = asked else { return };
        let data = match result {
            Ok(data) => data,
            Err(error) => return self.read_failed(key, error),
        };
        let replayed = self.replay(now, PartitionIndex(index as i32), next, &data.bytes);
        let part = match replayed {
            Ok(None) if data.high_watermark >= end => Part::Loading { key, epoch, next: end, end },
            Ok(None) => {
                // Followers have not confirmed the rest yet.
                self.coordination.retry_at = Some(now.mono.plus_millis(READ_RETRY_MS));
                return;
            }
            Ok(Some(next)) => Part::Loading { key, epoch, next, end },
            Err(sentence) => {
                tracing::error!("{OFFSETS_TOPIC}-{index} cannot be loaded: {sentence}");
                Part::Failed { key, epoch }
            }
        };
        if let Some(known) = self.coordination.parts.get_mut(index) {
            *known = part;
        }
    }

    fn read_failed(&mut self, key: PartitionKey, error: &ReadError) {
        tracing::error!("{OFFSETS_TOPIC} cannot be read: {error}");
        for part in &mut self.coordination.parts {
            if let Part::Loading { key: at, epoch, .. } = *part
                && at == key
            {
                *part = Part::Failed { key, epoch };
            }
        }
    }

    /// Replays batches from `from` on; the offset after them, or `None` when there are none.
    fn replay(
        &mut self,
        now: Now,
        place: PartitionIndex,
        from: Offset,
        bytes: &Bytes,
    ) -> Result<Option<Offset>, String> {
        let mut next = None;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            next = Some(batch.next_offset());
            if !batch.is_control() {
                self.replay_batch(now, place, from, &batch)?;
            }
        }
        Ok(next)
    }

    fn replay_batch(
        &mut self,
        now: Now,
        place: PartitionIndex,
        from: Offset,
        batch: &BatchView<'_>,
    ) -> Result<(), String> {
        let mut scratch = Vec::new();
        let records = open(batch, &mut scratch, OPENED_BYTES_MAX).map_err(|error| error.to_string())?;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let Some(key) = record.key.filter(|_| record.offset >= from) else { continue };
            match self.coordination.groups.replay(now, place, key, record.value) {
                Ok(()) => {}
                Err(ReplayError::Malformed(error)) => {
                    tracing::warn!("{OFFSETS_TOPIC}-{place}: the record at {} is skipped: {error}", record.offset);
                }
                Err(ReplayError::NoMemory) => return Err("its groups do not fit memory.budget".into()),
            }
        }
        Ok(())
    }
}
