//! From a name in the tree to an open log, and back: whose directory it is, recovery, deletion.
//!
//! A topic can be deleted and created again under the same name while a node is away, or lose its power between the two.
//! Each directory therefore carries its topic's id in Kafka's own `partition.metadata`; one that carries another topic's
//! id is emptied before it is used.
//!
//! ```text
//!              found at the start                another topic's
//! begin_open ---------------------> ReadFile -----------------------> open to purge -> delete -> begin_open
//!      |  new                          | ours, or nobody says so
//!      +------------------------> open <-+
//! ```
//!
//! Nothing is opened before the directories are known to be this cluster's (`identity`).
//!
//! Invariants: a directory has at most one of: an open log, a deletion under way. Files without a topic id are taken as
//! the partition's own: a directory of an older program is adopted, never emptied.

use std::sync::Arc;

use bytes::Bytes;

use super::partition::{LogState, Partition};
use super::producer_snapshot;
use super::{Answer, Broker, PartitionKey, Waiter};
use crate::coordinator::Cluster;
use crate::effect::{DiskDone, DiskError, DiskOp, Effects, Lane, LogDir, ProducerBatch, Root};
use crate::log::{LogKey, Opened};
use crate::types::{Now, Offset, ProducerEpoch, ProducerId, Ticket, TopicId};

use super::producers::WrittenBatch;

/// The top byte of this room's tickets.
pub(super) const TICKET_OWNER: u8 = 3;

const METADATA_BYTES_MAX: usize = 4096;

/// What the disk refused to open is tried again after so long.
const RETRY_MS: u64 = 10_000;

/// A small file that is being read or written.
#[derive(Clone, Debug)]
pub(super) enum FileTask {
    /// `partition.metadata` of a directory that a partition is to be opened in.
    Identify(PartitionKey, Arc<str>),
    /// `partition.metadata` of a directory that no partition claims.
    IdentifyStray(Arc<str>),
    /// A file that says whose something is was written.
    Name(Arc<str>),
    /// `meta.properties`, for this cluster; directories without an identity get this one.
    Identity { cluster_id: Arc<str>, fresh: Arc<str> },
    /// It says now who the directories are.
    Identified(Arc<str>),
    /// How much room there is, which somebody wants to know.
    Space(Waiter),
}

impl Broker {
    /// Takes the first step towards an open log, or none while the directory is not free.
    pub(super) fn begin_open(&mut self, now: Now, key: PartitionKey, fx: &mut Effects) {
        let Some(partition) = self.partitions.get(key) else { return };
        let dir = partition.dir.clone();
        if !self.is_started
            || !self.is_identified
            || self.is_stopping
            || self.busy_dirs.contains(&dir)
            || partition.log.is_some()
        {
            return; // whoever holds the directory calls again
        }
        if self.found_dirs.contains(&dir) {
            self.busy_dirs.insert(dir.clone());
            self.read_metadata(&dir, FileTask::Identify(key, dir.clone()), fx);
        } else {
            self.open(now, key, fx);
        }
    }

    /// The logs have started: these directories are on the disk.
    pub(super) fn logs_started(&mut self, now: Now, dirs: Vec<Arc<str>>, fx: &mut Effects) {
        self.is_started = true;
        self.found_dirs = dirs.into_iter().collect();
        self.open_all(now, fx);
    }

    /// Opens what may be opened and is not.
    pub(super) fn open_all(&mut self, now: Now, fx: &mut Effects) {
        let keys: Vec<PartitionKey> = self.partitions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.begin_open(now, key, fx);
        }
    }

    /// Deletes directories that belong to topics which the tree does not know, or not here. Call once, when the tree
    /// is known to be whole and of the same cluster as the directories.
    pub fn delete_strays(&mut self, cluster: &Cluster, fx: &mut Effects) {
        let claimed = |dir: &Arc<str>| self.partitions.iter().any(|(_, partition)| partition.dir == *dir);
        let strays: Vec<Arc<str>> = self.found_dirs.iter().filter(|dir| !claimed(dir)).cloned().collect();
        self.strays_of = cluster.topics.values().map(|topic| topic.id).collect();
        for dir in strays {
            if self.busy_dirs.insert(dir.clone()) {
                self.read_metadata(&dir, FileTask::IdentifyStray(dir.clone()), fx);
            }
        }
    }

    fn read_metadata(&mut self, dir: &str, task: FileTask, fx: &mut Effects) {
        let op = DiskOp::ReadFile { root: Root::Topics, name: metadata_name(dir), max_bytes: METADATA_BYTES_MAX };
        self.file_task(Lane::Read, op, task, fx);
    }

    /// Writes a small file that nobody waits for.
    pub(super) fn write_file(&mut self, name: Arc<str>, bytes: Bytes, fx: &mut Effects) {
        let op = DiskOp::WriteFile { root: Root::Topics, name: name.clone(), bytes };
        self.file_task(Lane::Janitor, op, FileTask::Name(name), fx);
    }

    pub(super) fn file_task(&mut self, lane: Lane, op: DiskOp, task: FileTask, fx: &mut Effects) {
        self.next_ticket += 1;
        let ticket = Ticket(((TICKET_OWNER as u64) << 56) | self.next_ticket);
        self.file_tasks.insert(ticket, task);
        fx.disk(lane, ticket, op);
    }

    /// The disk's answer to one of the tasks here; false when the ticket is none of ours.
    pub(super) fn file_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: &Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) -> bool {
        let Some(task) = self.file_tasks.remove(&ticket) else { return false };
        match task {
            FileTask::Identify(key, dir) => self.identified(now, key, dir, result, fx),
            FileTask::IdentifyStray(dir) => self.stray_identified(now, &dir, result, fx),
            FileTask::Name(name) => {
                if let Err(error) = result {
                    tracing::warn!("{name} cannot be written: {error}");
                }
            }
            FileTask::Identity { cluster_id, fresh } => self.identity_read(now, cluster_id, fresh, result, fx),
            FileTask::Identified(id) => self.identity_written(now, id, result, fx),
            FileTask::Space(waiter) => {
                let space = match result {
                    Ok(DiskDone::Space(space)) => Some(*space),
                    _ => None,
                };
                self.answers.push_back((waiter, Answer::DiskSpace(space)));
            }
        }
        true
    }

    /// Asks how much room there is; false when too many ask. See `Engine::ask_disk_space`.
    pub fn ask_disk_space(&mut self, waiter: Waiter, fx: &mut Effects) -> bool {
        if self.file_tasks.len() >= self.limits.reads_max {
            return false;
        }
        self.file_task(Lane::Read, DiskOp::Space { root: Root::Topics }, FileTask::Space(waiter), fx);
        true
    }

    fn identified(
        &mut self,
        now: Now,
        key: PartitionKey,
        dir: Arc<str>,
        result: &Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) {
        let found = topic_id_in(result);
        self.found_dirs.remove(&dir);
        match self.partitions.get_mut(key) {
            Some(partition) if found.is_none_or(|id| id == partition.topic_id) => {
                partition.is_named = found.is_some();
                self.busy_dirs.remove(&dir);
                self.begin_open(now, key, fx);
            }
            _ => {
                tracing::info!("{dir} belongs to a deleted topic and is emptied");
                self.purge(now, dir, fx);
            }
        }
    }

    fn stray_identified(&mut self, now: Now, dir: &Arc<str>, result: &Result<DiskDone, DiskError>, fx: &mut Effects) {
        match topic_id_in(result) {
            Some(id) if !self.strays_of.contains(&id) => {
                tracing::info!("{dir} belongs to a deleted topic and is deleted");
                self.purge(now, dir.clone(), fx);
            }
            Some(_) => {
                tracing::warn!("{dir} is of a topic that has no replica here any more; it is left as it is");
                self.busy_dirs.remove(dir);
            }
            None => {
                tracing::warn!("{dir} does not say which topic it belongs to, and none has its name; it is left");
                self.busy_dirs.remove(dir);
            }
        }
    }

    /// Opens a directory whose content nobody wants, so that it can be deleted. It stays busy until it is gone.
    fn purge(&mut self, now: Now, dir: Arc<str>, fx: &mut Effects) {
        let place = LogDir { root: Root::Topics, name: dir.clone() };
        let log = self.logs.open(now, place, Default::default(), fx);
        self.purges.insert(log, dir);
    }

    /// Opens, or creates, the log of a partition whose directory is its own or nobody's.
    fn open(&mut self, now: Now, key: PartitionKey, fx: &mut Effects) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let place = LogDir { root: Root::Topics, name: partition.dir.clone() };
        let log = self.logs.open(now, place, partition.settings.log.clone(), fx);
        partition.log = Some(log);
        self.by_log.insert(log, key);
        if partition.has_tail && !partition.tail.is_read_back {
            self.logs.set_tail(log, true);
        }
    }

    /// The log's answer to `open`.
    pub(super) fn log_opened(&mut self, now: Now, log: LogKey, result: Result<Opened, DiskError>, fx: &mut Effects) {
        if let Some(dir) = self.purges.remove(&log) {
            match result {
                Ok(_) => self.delete_log(log, dir, fx),
                Err(error) => {
                    tracing::error!("{dir} cannot be emptied: {error}");
                    self.busy_dirs.remove(&dir);
                    self.found_dirs.insert(dir.clone()); // whose it is must be asked again
                    self.give_up(now, &dir, &error);
                }
            }
            return;
        }
        let Some(&key) = self.by_log.get(&log) else { return };
        match result {
            Ok(opened) => self.partition_opened(now, key, log, opened, fx),
            Err(error) => {
                self.by_log.remove(&log);
                let Some(partition) = self.partitions.get_mut(key) else { return };
                partition.log = None;
                let dir = partition.dir.clone();
                tracing::error!("partition {dir} is not served, its log cannot be opened: {error}");
                self.give_up(now, &dir, &error);
            }
        }
    }

    fn partition_opened(&mut self, now: Now, key: PartitionKey, log: LogKey, opened: Opened, fx: &mut Effects) {
        self.restore_producers(now, key, &opened);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let (dir, topic_id) = (partition.dir.clone(), partition.topic_id);
        for warning in &opened.warnings {
            tracing::warn!("{dir}: {warning}");
        }
        if std::mem::replace(&mut partition.state, LogState::Open) == LogState::Opening {
            self.opening -= 1;
        }
        partition.log_start = opened.marks.start;
        partition.durable = opened.marks.durable;
        self.logs.set_config(log, partition.settings.log.clone());
        if !std::mem::replace(&mut partition.is_named, true) {
            self.write_file(metadata_name(&dir), metadata(topic_id), fx);
        }
        self.replica_opened(key);
        self.advance(key);
    }

    /// The disk refuses the log of a partition for now.
    fn give_up(&mut self, now: Now, dir: &Arc<str>, error: &DiskError) {
        let key = self.partitions.iter().find(|(_, partition)| partition.dir == *dir).map(|(key, _)| key);
        let Some(key) = key else { return };
        if let Some(partition) = self.partitions.get_mut(key)
            && std::mem::replace(&mut partition.state, LogState::Failed(error.clone())) == LogState::Opening
        {
            self.opening -= 1;
        }
        self.retries.set(key, now.mono.plus_millis(RETRY_MS));
        self.fail_waiters(key, Offset(-1), &error.clone().into());
        self.wake_watches(key);
    }

    /// Tries again to open what the disk refused.
    pub(super) fn retry(&mut self, now: Now, fx: &mut Effects) {
        while let Some(key) = self.retries.expired(now.mono) {
            self.begin_open(now, key, fx);
        }
    }

    /// Deletes the files of an open log; its directory is busy until they are gone.
    pub(super) fn delete_log(&mut self, log: LogKey, dir: Arc<str>, fx: &mut Effects) {
        self.busy_dirs.insert(dir.clone());
        self.deleting.insert(log, dir);
        let mut events = std::mem::take(&mut self.events);
        self.logs.delete(log, fx, &mut events);
        self.events.append(&mut events);
    }

    /// Deletes what may lie in the directory of a partition whose log is not open.
    pub(super) fn delete_unopened(&mut self, now: Now, dir: Arc<str>, fx: &mut Effects) {
        // Before the start it becomes a stray; a busy one is being looked at or emptied by somebody who will see to it.
        if self.is_started && self.is_identified && self.busy_dirs.insert(dir.clone()) {
            self.purge(now, dir, fx);
        }
    }

    /// The log's answer to `delete`: the name is free again.
    pub(super) fn log_deleted(&mut self, now: Now, log: LogKey, fx: &mut Effects) {
        if let Some(dir) = self.deleting.remove(&log) {
            self.found_dirs.remove(&dir);
            self.busy_dirs.remove(&dir);
            let waits = |partition: &Partition| partition.dir == dir && partition.log.is_none();
            let waiting = self.partitions.iter().find(|(_, partition)| waits(partition)).map(|(key, _)| key);
            if let Some(key) = waiting {
                self.begin_open(now, key, fx);
            }
        }
    }

    fn restore_producers(&mut self, now: Now, key: PartitionKey, opened: &Opened) {
        self.producers.forget_partition(key);
        if let Some((_, bytes)) = &opened.producer_snapshot {
            match producer_snapshot::decode(bytes, self.limits.producers_max) {
                Some(entries) => {
                    for (id, epoch, batch) in entries {
                        self.producers.record(now.mono, key, epoch, id, batch);
                    }
                }
                None => tracing::warn!("the snapshot of producers is damaged: duplicates may go unnoticed once"),
            }
        }
        for batch in &opened.producer_batches {
            let (epoch, id, written) = written(batch);
            self.producers.record(now.mono, key, epoch, id, written);
        }
    }
}

const METADATA_FILE: &str = "partition.metadata";

fn metadata_name(dir: &str) -> Arc<str> {
    format!("{dir}/{METADATA_FILE}").into()
}

fn metadata(id: TopicId) -> Bytes {
    format!("version: 0\ntopic_id: {id}\n").into()
}

/// The topic id in a `partition.metadata`; `None` when there is no such file, or none in it.
fn topic_id_in(result: &Result<DiskDone, DiskError>) -> Option<TopicId> {
    let Ok(DiskDone::File(bytes)) = result else { return None };
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| TopicId::parse(line.strip_prefix("topic_id:")?.trim()))
}

fn written(batch: &ProducerBatch) -> (ProducerEpoch, ProducerId, WrittenBatch) {
    let written = WrittenBatch {
        base_offset: batch.base_offset,
        base_sequence: batch.base_sequence,
        last_offset_delta: batch.last_offset_delta,
        timestamp: batch.max_timestamp,
    };
    (batch.producer_epoch, batch.producer_id, written)
}
