//! What the logs tell, and what it means for those who wait.

use bytes::Bytes;

use super::{Answer, Broker, Door, PartitionKey, Waiter, producer_snapshot};
use crate::effect::{DiskDone, DiskError, Effect, Effects};
use crate::log::LogEvent;
use crate::types::{Now, Offset, Ticket};

impl Broker {
    /// Takes an answer of a disk lane; false when the ticket is none of ours.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) -> bool {
        self.replication.at(now);
        if self.file_done(now, ticket, &result, fx) {
            self.take_events(now, fx);
            return true;
        }
        let mut events = std::mem::take(&mut self.events);
        let is_ours = self.logs.disk_done(now, ticket, result, fx, &mut events);
        self.events = events;
        self.take_events(now, fx);
        self.replicate(fx);
        is_ours
    }

    /// Somebody else on this disk found it full: what was set aside is given up.
    pub fn release_reserve(&mut self, now: Now, fx: &mut Effects) {
        let mut events = std::mem::take(&mut self.events);
        self.logs.release_reserve(now, fx, &mut events);
        self.events = events;
        self.take_events(now, fx);
    }

    /// Acts on every event, and on those that follow from it.
    pub(super) fn take_events(&mut self, now: Now, fx: &mut Effects) {
        while !self.events.is_empty() {
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                self.take_event(now, event, fx);
            }
            if self.events.is_empty() {
                self.events = events; // keeps its memory
            }
        }
    }

    fn take_event(&mut self, now: Now, event: LogEvent, fx: &mut Effects) {
        let key_of = |log| self.by_log.get(log).copied();
        match event {
            LogEvent::Durable { ref log, end, batches } => {
                if let Some(key) = key_of(log) {
                    self.durable(key, end, batches);
                }
            }
            LogEvent::AppendFailed { ref log, from, error } => {
                if let Some(key) = key_of(log) {
                    self.append_failed(now, key, from, error);
                }
            }
            LogEvent::StartMoved { ref log, start } => {
                if let Some(key) = key_of(log) {
                    self.start_moved(key, start);
                }
            }
            LogEvent::Truncated { ref log, end } => {
                if let Some(key) = key_of(log) {
                    self.replica_cut(key, end);
                }
            }
            LogEvent::SnapshotWanted { ref log } => {
                if let Some(key) = key_of(log) {
                    self.snapshot_producers(key);
                }
            }
            LogEvent::Started { dirs, warnings } => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                self.logs_started(now, dirs, fx);
            }
            LogEvent::Opened { log, result } => self.log_opened(now, log, result, fx),
            LogEvent::Deleted { log } => self.log_deleted(now, log, fx),
            LogEvent::ReadDone { token, result } => self.read_done(token, result),
            LogEvent::TimestampFound { token, result } => self.timestamp_found(token, result),
            LogEvent::Damaged { ref log, from, sentence } => {
                let dir = self.logs.dir(*log).map_or_else(Default::default, |dir| dir.name.clone());
                tracing::error!("{dir}: {sentence}");
                if let Some((key, from)) = key_of(log).zip(from) {
                    self.damage_found(key, from);
                }
            }
            LogEvent::ReadOnly => tracing::warn!(
                "the file system of the topics' files is read-only: records are refused, reads go on; look what the kernel says \
                 of the disk, and mount it for writing or replace it"
            ),
            LogEvent::SpaceLow => {
                self.is_full = true;
                tracing::error!("the disk is full: produce requests are refused until there is room");
            }
            LogEvent::SpaceBack => {
                self.is_full = false;
                tracing::info!("there is room on the disk again");
            }
            LogEvent::Stopped => self.is_stopped = true,
            LogEvent::Fatal { sentence } => fx.push(Effect::Fatal { sentence }),
        }
    }

    /// The log is durable up to `end`.
    fn durable(&mut self, key: PartitionKey, end: Offset, batches: Vec<Bytes>) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.durable = end;
        if partition.replicated.is_some() && !partition.is_leader {
            return self.follower_durable(key);
        }
        let has_moved = self.advance(key);
        self.grew(key); // for followers that are behind, and read from the disk
        let told = self.partitions.get(key).filter(|partition| partition.has_tail && has_moved && !batches.is_empty());
        if let Some(partition) = told {
            let answer = Answer::Tail { topic: partition.topic.clone(), partition: partition.index, batches };
            self.answers.push_back((Waiter::door(Door::Mqtt), answer));
        }
    }

    /// Moves the high watermark as far as it goes; those who waited become ready. True when it moved.
    pub(super) fn advance(&mut self, key: PartitionKey) -> bool {
        let Some(partition) = self.partitions.get_mut(key) else { return false };
        let may = partition.is_leader
            && (partition.replicated.is_none()
                || (partition.has_enough_in_sync() && self.replication.may_acknowledge()));
        let has_moved = may && partition.high_watermark.advance(partition.lowest_durable(self.node));
        if partition.waiting() > 0 && !partition.is_queued {
            partition.is_queued = true;
            self.ready.push_back(key);
        }
        if has_moved {
            self.wake_watches(key);
            self.acknowledged(key);
            self.tell_tails(key);
        }
        has_moved
    }

    /// Everything at or above `from` is gone from the log: nobody is told otherwise.
    fn append_failed(&mut self, now: Now, key: PartitionKey, from: Offset, error: DiskError) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.open_batch = None; // its offsets lie above `from`
        }
        self.fail_waiters(key, from, &error.into());
        let knew_producers = self.producers.any(key);
        self.producers.roll_back(key, from);
        if knew_producers {
            self.snapshot_producers(key); // replaces one that may know what is lost
        }
        self.replica_append_failed(now, key);
    }

    /// Gives the log what is known of a partition's producers.
    pub(super) fn snapshot_producers(&mut self, key: PartitionKey) {
        if let Some(log) = self.partitions.get(key).and_then(|partition| partition.log) {
            self.logs.set_producer_snapshot(log, producer_snapshot::encode(&self.producers, key));
        }
    }
}
