//! `Logs`: all logs of one root, as decisions.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{AppendError, Appended, LogConfig, LogEvent, LogReadError, LogsConfig, Marks};
use crate::effect::{DiskDone, DiskError, Effects, LogDir};
use crate::memory::Grant;
use crate::types::{Instant, LeaderEpoch, Now, Offset, Ticket, Timestamp};

/// A log of one `Logs`, from `open` until `Deleted`. Not used again while anything of it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey(pub(super) u32);

/// The logs of one root.
#[derive(Debug)]
pub struct Logs {
    config: LogsConfig,
}

#[allow(unused_variables)]
impl Logs {
    /// No log yet, and no effect before `start`.
    pub fn new(config: LogsConfig) -> Logs {
        Logs { config }
    }

    /// Reads the checkpoints and replays the journal; `Started` follows. Once, before anything else.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {}

    /// Opens the log of `dir`, or creates it; `Opened` follows. The key is valid at once, for `set_tail` and the like.
    pub fn open(&mut self, now: Now, dir: LogDir, config: LogConfig, fx: &mut Effects) -> LogKey {
        LogKey(0)
    }

    /// Appends one whole v2 batch whose CRC was checked: sets its base offset and leader epoch and queues it. Nothing
    /// is written before `turn_end`. `grant` accounts for its bytes until they are written.
    pub fn append(
        &mut self,
        now: Now,
        log: LogKey,
        batch: BytesMut,
        epoch: LeaderEpoch,
        grant: Grant,
    ) -> Result<Appended, AppendError> {
        Err(AppendError::NotOpen)
    }

    /// Asks for whole batches from the one that holds `from`, none that reaches `below`, at most `max_bytes` but at
    /// least one; `ReadDone` with `token` follows. Only what is written can be read, `marks().end` may be ahead of it.
    pub fn read(
        &mut self,
        log: LogKey,
        from: Offset,
        below: Offset,
        max_bytes: usize,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        Err(LogReadError::NotOpen)
    }

    /// Asks for the first record below `below` whose timestamp is at least `at`; `TimestampFound` follows.
    pub fn find_timestamp(
        &mut self,
        log: LogKey,
        at: Timestamp,
        below: Offset,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        Err(LogReadError::NotOpen)
    }

    /// Asks for the record with the highest timestamp below `below`; `TimestampFound` follows.
    pub fn find_max_timestamp(
        &mut self,
        log: LogKey,
        below: Offset,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        Err(LogReadError::NotOpen)
    }

    /// Where the log stands; all zero when it is not open.
    pub fn marks(&self, log: LogKey) -> Marks {
        Marks::default()
    }

    /// The directory of a log.
    pub fn dir(&self, log: LogKey) -> Option<&LogDir> {
        None
    }

    /// The highest epoch that is at most `epoch`, and the offset after its last record (KIP-101): what followers ask
    /// before they truncate. `(LeaderEpoch::NONE, -1)` when the log knows none.
    pub fn epoch_end(&self, log: LogKey, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        (LeaderEpoch::NONE, Offset(-1))
    }

    /// The last leader epoch that appended; `LeaderEpoch::NONE` when nothing ever did.
    pub fn last_epoch(&self, log: LogKey) -> LeaderEpoch {
        LeaderEpoch::NONE
    }

    /// Bytes of batches in the log.
    pub fn size_bytes(&self, log: LogKey) -> u64 {
        0
    }

    /// Broker time: wall time that never runs backwards, not even over a restart.
    pub fn broker_time(&self, now: Now) -> Timestamp {
        now.wall
    }

    /// Whether `Durable` brings the batches along.
    pub fn set_tail(&mut self, log: LogKey, on: bool) {}

    /// Replaces the configuration; segments that exist keep their sizes.
    pub fn set_config(&mut self, log: LogKey, config: LogConfig) {}

    /// Hands over, opaque, what is known of producers with everything appended so far.
    pub fn set_producer_snapshot(&mut self, log: LogKey, bytes: Bytes) {}

    /// Removes the log and its files; `Deleted` follows. What is queued fails.
    pub fn delete(&mut self, log: LogKey, fx: &mut Effects, events: &mut Vec<LogEvent>) {}

    /// Cuts everything at or above `to`; `Truncated` follows, until which the log takes no appends.
    pub fn truncate(&mut self, now: Now, log: LogKey, to: Offset, fx: &mut Effects) {}

    /// Empties the log and lets it start at `at`, above or below its present end; `Truncated` follows.
    pub fn restart_at(&mut self, now: Now, log: LogKey, at: Offset, fx: &mut Effects) {}

    /// Moves the log start offset up to `before`, at most to the durable end; `StartMoved` follows.
    pub fn delete_records(&mut self, log: LogKey, before: Offset, fx: &mut Effects) -> Result<(), LogReadError> {
        Err(LogReadError::NotOpen)
    }

    /// Gives the reserve up, because somebody else on this disk found it full.
    pub fn release_reserve(&mut self, now: Now, fx: &mut Effects, events: &mut Vec<LogEvent>) {}

    /// Emits the next write round, if the append lane is idle and there is something to write.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {}

    /// Takes an answer of a disk lane; false when the ticket is none of ours.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        ticket.0 >> 56 == self.config.ticket_owner as u64
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects, events: &mut Vec<LogEvent>) {}

    /// When `on_time` should be called; `None` when nothing waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Writes what is queued, syncs and notes everything, so that the next start scans nothing; `Stopped` follows.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {}

    /// Names of log directories found at the start, opened or not.
    pub fn found_dirs(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
}
