//! What a replicated log needs beside its own appends: taking a leader's batches as they are, and showing followers
//! what is appended here before it is on this disk.
//!
//! A follower that had to wait for its leader's sync would put two syncs into every acknowledgement; so batches of a
//! followed log are kept, without a copy, from their append until their write round is answered. Their grants cover
//! them for exactly that time.
//!
//! Invariant: `fresh` holds whole batches, ascending, all at or above `durable`; empty unless the log is followed.

use bytes::Bytes;

use super::state::{Log, Phase};
use super::{AppendError, Appended, LogKey, Logs, SEGMENT_BYTES_MAX};
use crate::memory::Grant;
use crate::record::BatchHeader;
use crate::types::{Now, Offset};

impl Logs {
    /// Appends one whole v2 batch as the leader has it: its base offset, which may lie above the log's end where the
    /// leader's log is compacted, and its leader epoch stay. The caller has checked its CRC. Otherwise as `append`.
    pub fn append_replica(
        &mut self,
        now: Now,
        key: LogKey,
        batch: Bytes,
        grant: Grant,
    ) -> Result<Appended, AppendError> {
        let append_time = self.begin_append(now, key)?;
        let Some(log) = self.log_mut(key) else { return Err(AppendError::NotOpen) };
        let header = BatchHeader::parse(&batch).map_err(|_| AppendError::BadBatch)?;
        let is_whole = header.total_bytes() == batch.len() && batch.len() <= SEGMENT_BYTES_MAX as usize;
        let (base_offset, end) = (header.base_offset(), header.next_offset());
        if !is_whole
            || base_offset < log.end
            || end <= base_offset
            || header.partition_leader_epoch() < log.last_epoch()
        {
            return Err(AppendError::BadBatch);
        }
        self.queue_append(now, key, header.partition_leader_epoch(), base_offset, end, batch, grant, append_time);
        Ok(Appended { base_offset, last_offset: Offset(end.0 - 1), append_time })
    }

    /// Whether batches are kept for followers until they are durable.
    pub fn set_followed(&mut self, key: LogKey, on: bool) {
        if let Some(log) = self.log_mut(key) {
            log.is_followed = on;
            if !on {
                log.fresh.clear();
            }
        }
    }

    /// The batches from the one that begins at `from` on that are appended and not durable yet; none when `from` is no
    /// such batch's offset.
    pub fn fresh(&self, key: LogKey, from: Offset) -> impl Iterator<Item = &Bytes> {
        let fresh = self.log(key).filter(|log| log.phase == Phase::Open).map(|log| &log.fresh);
        let first = fresh.and_then(|fresh| {
            let at = fresh.partition_point(|(base, _)| *base < from);
            fresh.get(at).filter(|(base, _)| *base == from).map(|_| at)
        });
        let at = first.unwrap_or(usize::MAX);
        fresh.into_iter().flat_map(move |fresh| fresh.iter().skip(at)).map(|(_, batch)| batch)
    }
}

impl Log {
    /// Everything below `end` has left memory.
    pub(super) fn forget_fresh_below(&mut self, end: Offset) {
        while self.fresh.front().is_some_and(|(base, _)| *base < end) {
            self.fresh.pop_front();
        }
        if self.fresh.is_empty() && self.fresh.capacity() > FRESH_KEPT {
            self.fresh = Default::default();
        }
    }
}

/// Places that an empty queue of fresh batches keeps.
const FRESH_KEPT: usize = 64;
