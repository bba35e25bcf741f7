//! Reading batches, watching for more, and finding offsets.
//!
//! Invariants: nothing at or above the high watermark is served; each read or search that was taken is answered once;
//! those under way are bounded.

use bytes::Bytes;

use super::{Answer, Broker, FoundOffset, PartitionKey, ReadData, ReadError, Waiter, is_internal};
use crate::coordinator::Cluster;
use crate::effect::Effects;
use crate::log::LogReadError;
use crate::types::{ConnId, LeaderEpoch, NodeId, Offset, Slot, Timestamp};

/// Which offset is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The high watermark.
    Latest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record at or after this time.
    AtOrAfter(Timestamp),
}

/// A read or a search that the disk is busy with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub partition: PartitionKey,
    pub whom: For,
}

/// Who gets what the disk is busy with.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// A client of a door, and the high watermark when it asked.
    Waiter(Waiter, Offset),
    /// A follower, in that leadership, from there on.
    Replica(NodeId, LeaderEpoch, Offset),
    /// The MQTT door's live subscribers; what lies below.
    Tail(Offset),
    /// Those of another board, by the number of its question; what lies below.
    RemoteTail(NodeId, u32, Offset),
}

impl Broker {
    /// Reads whole batches below the high watermark. See `Engine::read`.
    pub fn read(
        &mut self,
        key: PartitionKey,
        from: Offset,
        max_bytes: usize,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        let partition = self.partitions.get(key).ok_or(ReadError::UnknownPartition)?;
        let log = partition.readable()?;
        let below = partition.high_watermark.get();
        if from < partition.log_start || from > self.logs.marks(log).end {
            return Err(ReadError::OffsetOutOfRange);
        }
        if from >= below {
            let result = Ok(self.read_data(key, Bytes::new(), below)?);
            self.answers.push_back((waiter, Answer::Read { partition: key, result }));
            return Ok(());
        }
        let token = self.look_up(key, waiter)?;
        let asked = self.logs.read(log, from, below, max_bytes, token, fx);
        self.give_up_on_error(token, asked)
    }

    /// Answers once with `DataArrived` when the high watermark next moves. False: too many watch.
    pub fn watch(&mut self, key: PartitionKey, waiter: Waiter) -> bool {
        self.partitions.get(key).is_some() && self.watches.add(key, waiter)
    }

    /// Forgets the watches of one request.
    pub fn unwatch(&mut self, conn: ConnId, slot: Slot) {
        self.watches.forget_request(conn, slot);
    }

    /// Forgets the watches of a connection.
    pub fn drop_connection(&mut self, conn: ConnId) {
        self.watches.forget_connection(conn);
    }

    /// Whether acknowledged batches are told as `Answer::Tail` from now on: of all topics that `cluster` shows but internal
    /// ones, those that will come into being included.
    pub fn set_tails(&mut self, on: bool, cluster: &Cluster) {
        self.has_tails = on;
        for (name, topic) in &self.topics {
            for key in topic.keys.iter().flatten() {
                let Some(partition) = self.partitions.get_mut(*key) else { continue };
                partition.has_tail = on && !is_internal(name);
                partition.begin_tail();
                if let Some(log) = partition.log {
                    self.logs.set_tail(log, partition.has_tail && !partition.tail.is_read_back);
                }
            }
        }
        self.follow_remote_tails(cluster);
    }

    /// Searches an offset. See `Engine::find_offset`.
    pub fn find_offset(
        &mut self,
        key: PartitionKey,
        spec: OffsetSpec,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        let partition = self.partitions.get(key).ok_or(ReadError::UnknownPartition)?;
        let log = partition.readable()?;
        let below = partition.high_watermark.get();
        let none = Timestamp(-1);
        let known = match spec {
            OffsetSpec::Earliest => {
                FoundOffset { offset: partition.log_start, timestamp: none, leader_epoch: LeaderEpoch::NONE }
            }
            OffsetSpec::Latest if !partition.knows_high_watermark() => return Err(ReadError::OffsetNotAvailable),
            OffsetSpec::Latest => FoundOffset { offset: below, timestamp: none, leader_epoch: partition.leader_epoch },
            OffsetSpec::AtOrAfter(at) => {
                let token = self.look_up(key, waiter)?;
                let asked = self.logs.find_timestamp(log, at, below, token, fx);
                return self.give_up_on_error(token, asked);
            }
            OffsetSpec::MaxTimestamp => {
                let token = self.look_up(key, waiter)?;
                let asked = self.logs.find_max_timestamp(log, below, token, fx);
                return self.give_up_on_error(token, asked);
            }
        };
        self.answers.push_back((waiter, Answer::Offset { partition: key, result: Ok(Some(known)) }));
        Ok(())
    }

    /// Moves the log start offset up to `before`. See `Engine::delete_records`.
    pub fn delete_records(
        &mut self,
        key: PartitionKey,
        before: Offset,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        let partition = self.partitions.get(key).ok_or(ReadError::UnknownPartition)?;
        let log = partition.readable()?;
        if !partition.settings.is_deleted {
            return Err(ReadError::NotDeletable);
        }
        let high_watermark = partition.high_watermark.get();
        let before = if before.0 == -1 { high_watermark } else { before };
        if before.0 < 0 || before > high_watermark {
            return Err(ReadError::OffsetOutOfRange);
        }
        if before <= partition.log_start {
            let result = Ok(partition.log_start);
            self.answers.push_back((waiter, Answer::RecordsDeleted { partition: key, result }));
            return Ok(());
        }
        if self.deletions.len() >= self.limits.reads_max {
            return Err(ReadError::Busy);
        }
        self.logs.delete_records(log, before, fx).map_err(read_error)?;
        self.deletions.push((key, before, waiter));
        Ok(())
    }

    /// The epoch that was in force at `epoch` or before, and the offset after its last record (KIP-101).
    pub fn epoch_end(&self, key: PartitionKey, epoch: LeaderEpoch) -> Result<(LeaderEpoch, Offset), ReadError> {
        let partition = self.partitions.get(key).ok_or(ReadError::UnknownPartition)?;
        let log = partition.readable()?;
        if epoch == partition.leader_epoch {
            return Ok((epoch, self.logs.marks(log).end));
        }
        Ok(self.logs.epoch_end(log, epoch))
    }

    /// KIP-320: compares a client's leader epoch with the partition's.
    pub fn check_leader_epoch(&self, key: PartitionKey, current: LeaderEpoch) -> Result<(), ReadError> {
        self.partitions.get(key).ok_or(ReadError::UnknownPartition)?.check_leader_epoch(current)
    }

    /// The log's answer to a read.
    pub(super) fn read_done(&mut self, token: u64, result: Result<Bytes, LogReadError>) {
        let Some(Lookup { partition, whom }) = self.lookups.remove(&token) else { return };
        let (waiter, below) = match whom {
            For::Waiter(waiter, below) => (waiter, below),
            For::Replica(node, epoch, from) => return self.replica_read_done(partition, node, epoch, from, result),
            For::Tail(below) => return self.tail_read_done(partition, below, result),
            For::RemoteTail(node, number, below) => {
                return self.served_tail_read(partition, node, number, below, result);
            }
        };
        if let Err(LogReadError::Damaged { whole, .. }) = &result {
            self.damage_found(partition, *whole);
        }
        let result = result.map_err(read_error).and_then(|bytes| self.read_data(partition, bytes, below));
        self.answers.push_back((waiter, Answer::Read { partition, result }));
    }

    /// The log's answer to a search.
    pub(super) fn timestamp_found(&mut self, token: u64, result: Result<Option<(Timestamp, Offset)>, LogReadError>) {
        let Some(Lookup { partition, whom: For::Waiter(waiter, _) }) = self.lookups.remove(&token) else { return };
        let found = |(timestamp, offset)| FoundOffset { offset, timestamp, leader_epoch: LeaderEpoch::NONE };
        let result = match self.partitions.get(partition) {
            Some(_) => result.map(|pair| pair.map(found)).map_err(read_error),
            None => Err(ReadError::UnknownPartition),
        };
        self.answers.push_back((waiter, Answer::Offset { partition, result }));
    }

    /// The log start offset has moved: whoever waited for that is told.
    pub(super) fn start_moved(&mut self, key: PartitionKey, start: Offset) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.log_start = partition.log_start.max(start);
        }
        let answers = &mut self.answers;
        self.deletions.retain(|&(partition, before, waiter)| {
            let is_done = partition == key && before <= start;
            if is_done {
                answers.push_back((waiter, Answer::RecordsDeleted { partition, result: Ok(start) }));
            }
            !is_done
        });
    }

    /// Answers reads, searches, deletions and watches of a partition that is gone.
    pub(super) fn fail_lookups(&mut self, key: PartitionKey) {
        let answers = &mut self.answers;
        self.deletions.retain(|&(partition, _, waiter)| {
            if partition == key {
                let result = Err(ReadError::UnknownPartition);
                answers.push_back((waiter, Answer::RecordsDeleted { partition, result }));
            }
            partition != key
        });
        self.wake_watches(key); // reads under way are answered by the log
    }

    /// Tells everybody who watches a partition.
    pub(super) fn wake_watches(&mut self, key: PartitionKey) {
        while let Some(waiter) = self.watches.take(key) {
            self.answers.push_back((waiter, Answer::DataArrived { partition: key }));
        }
    }

    /// `below` was the high watermark when the read began. Meanwhile this replica may have ceased to lead and cut its log,
    /// to have it copied again: what was acknowledged stays so.
    fn read_data(&self, key: PartitionKey, bytes: Bytes, below: Offset) -> Result<ReadData, ReadError> {
        let partition = self.partitions.get(key).ok_or(ReadError::UnknownPartition)?;
        let high_watermark = partition.high_watermark.get().max(below);
        Ok(ReadData {
            bytes,
            high_watermark,
            log_start_offset: partition.log_start,
            last_stable_offset: high_watermark,
        })
    }

    fn look_up(&mut self, partition: PartitionKey, waiter: Waiter) -> Result<u64, ReadError> {
        if self.lookups.len() >= self.limits.reads_max {
            return Err(ReadError::Busy);
        }
        let below = self.partitions.get(partition).map_or(Offset(0), |partition| partition.high_watermark.get());
        self.next_token += 1;
        self.lookups.insert(self.next_token, Lookup { partition, whom: For::Waiter(waiter, below) });
        Ok(self.next_token)
    }

    fn give_up_on_error(&mut self, token: u64, asked: Result<(), LogReadError>) -> Result<(), ReadError> {
        asked.map_err(|error| {
            self.lookups.remove(&token);
            read_error(error)
        })
    }
}

/// Why the log reads nothing, in the broker's words.
fn read_error(error: LogReadError) -> ReadError {
    match error {
        LogReadError::NotOpen => ReadError::NotLeader,
        LogReadError::OutOfRange(_) => ReadError::OffsetOutOfRange,
        LogReadError::Damaged { sentence, .. } => ReadError::Damaged(sentence),
        LogReadError::Disk(error) => ReadError::Storage(error.to_string()),
    }
}
