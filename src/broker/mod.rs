//! Partitions of topics: who leads them, what is appended, acknowledged, read and forgotten.
//!
//! The broker puts the log under the rules of the Kafka protocol (sequences of idempotent producers, timestamps, sizes,
//! high watermark) and knows nothing of the bytes of any protocol's requests. `engine` is its only caller: it hands in
//! commands, the tree's changes and the disk's answers, and drains `next_answer`.
//!
//! Invariants: a waiter is answered once; a successful answer to an append means that its records are durable on every
//! replica that its acks ask for; nothing is written before `turn_end`; waiters, watches, lookups, producers and open
//! batches are bounded by `BrokerLimits`, whose sums stand in the memory table.

mod acknowledgements;
mod changes;
mod errors;
mod events;
mod fetch;
mod forward;
mod high_watermark;
mod identity;
mod key;
mod open_batch;
mod opening;
mod partition;
mod produce;
mod producer_snapshot;
mod settings;
mod waiter;
mod watches;
pub mod groups;
pub mod replication;
pub mod producers;
pub mod topic_keys;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use errors::{AppendError, BatchFault, ReadError};
pub use fetch::OffsetSpec;
pub use key::PartitionKey;
pub use partition::PartitionView;
pub use producers::ProducerState;
pub use settings::TopicSettings;
pub use waiter::{Acks, Answer, AppendedAt, Door, FoundOffset, ReadData, Waiter};

use crate::config::{MemoryConfig, Shares, TopicDefaults};
use crate::coordinator::cluster::ConfigMap;
use crate::effect::Effects;
use crate::limits;
use crate::log::{LogEvent, LogKey, Logs};
use crate::memory::Account;
use crate::types::{Instant, NodeId, Now, Offset, PartitionIndex, Ticket, Timers, Timestamp, TopicId};
use changes::LocalTopics;
use fetch::Lookup;
use forward::Forwarding;
use key::KeyTable;
use opening::FileTask;
use partition::{LogState, Partition};
use producers::{Producers, WrittenBatch};
use replication::{Replication, ReplicationConfig};
use watches::Watches;

/// How much of everything there may be; the memory table multiplies these out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLimits {
    /// The largest batch that any topic may allow.
    pub message_bytes_max: usize,
    /// Waiters for acknowledgements.
    pub acknowledgements_max: usize,
    /// Watches of partitions.
    pub watches_max: usize,
    /// Reads and searches under way.
    pub reads_max: usize,
    /// Idempotent producers remembered.
    pub producers_max: usize,
    /// Partitions that records are published to for clients that know no leaders.
    pub lanes_max: usize,
}

impl BrokerLimits {
    /// What the memory table has room for.
    pub fn new(memory: &MemoryConfig) -> BrokerLimits {
        // Between members a batch travels in one message, behind others that wait for the link.
        let carried = if memory.peers > 0 { limits::PEER_DATA_MESSAGE_BYTES_MAX / 2 } else { usize::MAX };
        BrokerLimits {
            message_bytes_max: Shares::new(memory).message_bytes_max().min(carried),
            acknowledgements_max: memory.connections_max * limits::ACKNOWLEDGEMENTS_PER_CONNECTION,
            watches_max: memory.connections_max * limits::WATCHES_PER_CONNECTION,
            reads_max: limits::READS_MAX,
            producers_max: memory.producers_max,
            lanes_max: memory.partitions_max,
        }
    }
}

/// All partitions of this node.
#[derive(Debug)]
pub struct Broker {
    node: NodeId,
    limits: BrokerLimits,
    defaults: TopicDefaults,
    /// What the tree says of this broker, by the keys of topics.
    overrides: ConfigMap,
    logs: Logs,
    partitions: KeyTable<Partition>,
    topics: LocalTopics,
    topic_names: BTreeMap<TopicId, Arc<str>>,
    by_log: BTreeMap<LogKey, PartitionKey>,
    producers: Producers,
    watches: Watches,
    /// Accounts for open batches.
    ingest: Account,
    /// Partitions that may have an open batch; some twice.
    open: Vec<PartitionKey>,
    /// Partitions that may have waiters that are due.
    ready: VecDeque<PartitionKey>,
    answers: VecDeque<(Waiter, Answer)>,
    /// Waiters in all partitions.
    waiting: usize,
    lookups: BTreeMap<u64, Lookup>,
    next_token: u64,
    /// Deletions of records under way: up to where, and who waits.
    deletions: Vec<(PartitionKey, Offset, Waiter)>,
    /// Events of the logs that were not looked at yet.
    events: Vec<LogEvent>,
    /// Directories found at the start and not claimed since.
    found_dirs: BTreeSet<Arc<str>>,
    /// Directories that are being identified, emptied or deleted.
    busy_dirs: BTreeSet<Arc<str>>,
    purges: BTreeMap<LogKey, Arc<str>>,
    deleting: BTreeMap<LogKey, Arc<str>>,
    /// Acknowledged batches are told to the MQTT door.
    has_tails: bool,
    replication: Replication,
    forwarding: Forwarding,
    /// Topics of the tree when strays were looked for.
    strays_of: BTreeSet<TopicId>,
    file_tasks: BTreeMap<Ticket, FileTask>,
    next_ticket: u64,
    /// When partitions whose logs the disk refused are tried again.
    retries: Timers<PartitionKey>,
    /// Partitions whose logs are neither open nor given up.
    opening: usize,
    is_started: bool,
    is_identifying: bool,
    is_identified: bool,
    directory_id: Option<Arc<str>>,
    /// The tree knows this life of the node.
    is_registered: bool,
    is_full: bool,
    is_stopping: bool,
    is_stopped: bool,
}

/// True for the topics that brokers keep for themselves.
fn is_internal(topic: &str) -> bool {
    topic.starts_with("__")
}

impl Broker {
    /// A broker without partitions. `ingest` accounts for the open batches of `append_record`.
    pub fn new(
        node: NodeId,
        limits: BrokerLimits,
        defaults: TopicDefaults,
        logs: Logs,
        ingest: Account,
        replication: ReplicationConfig,
    ) -> Broker {
        let expiry = Duration::from_millis(defaults.producer_expiration_ms);
        Broker {
            node,
            defaults,
            overrides: ConfigMap::new(),
            logs,
            partitions: KeyTable::default(),
            topics: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            by_log: BTreeMap::new(),
            producers: Producers::new(limits.producers_max, expiry),
            watches: Watches::new(limits.watches_max),
            ingest,
            open: Vec::new(),
            ready: VecDeque::new(),
            answers: VecDeque::new(),
            waiting: 0,
            lookups: BTreeMap::new(),
            next_token: 0,
            deletions: Vec::new(),
            events: Vec::new(),
            found_dirs: BTreeSet::new(),
            busy_dirs: BTreeSet::new(),
            purges: BTreeMap::new(),
            deleting: BTreeMap::new(),
            strays_of: BTreeSet::new(),
            file_tasks: BTreeMap::new(),
            next_ticket: 0,
            retries: Timers::default(),
            opening: 0,
            is_started: false,
            is_identifying: false,
            is_identified: false,
            directory_id: None,
            is_registered: false,
            has_tails: false,
            replication: Replication::new(replication),
            forwarding: Forwarding::default(),
            is_full: false,
            is_stopping: false,
            is_stopped: false,
            limits,
        }
    }

    /// Looks at the directories; partitions open afterwards.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.logs.start(now, fx);
    }

    /// True when every partition that the tree has named is open or given up.
    pub fn is_ready(&self) -> bool {
        self.is_started && self.is_identified && self.opening == 0
    }

    /// True when the logs have started and `topic` has no partition here whose log is still opening.
    pub fn is_topic_open(&self, topic: &str) -> bool {
        let is_opening = |key: &PartitionKey| {
            self.partitions.get(*key).is_some_and(|partition| partition.state == LogState::Opening)
        };
        self.is_started && !self.topics.get(topic).is_some_and(|local| local.keys.iter().flatten().any(is_opening))
    }

    /// True when the last clean stop is complete.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Wall time as far as it can be believed; never runs backwards.
    pub fn broker_time(&self, now: Now) -> Timestamp {
        self.logs.broker_time(now)
    }

    /// True while appends are refused because the disk is full.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many partitions have a replica here.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The handle of a partition that has a replica here.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<PartitionKey> {
        self.key_at(topic, usize::try_from(index.0).ok()?)
    }

    /// The same by topic id.
    pub fn partition_by_id(&self, topic: TopicId, index: PartitionIndex) -> Option<PartitionKey> {
        self.partition(self.topic_names.get(&topic)?, index)
    }

    /// Marks and size of a partition.
    pub fn view(&self, key: PartitionKey) -> Option<PartitionView> {
        let partition = self.partitions.get(key)?;
        let log_end = partition.log.map_or(Offset(0), |log| self.logs.marks(log).end);
        Some(PartitionView {
            topic: partition.topic.clone(),
            topic_id: partition.topic_id,
            index: partition.index,
            leader_epoch: partition.leader_epoch,
            log_start_offset: partition.log_start,
            high_watermark: partition.high_watermark.get(),
            log_end_offset: log_end,
            message_bytes_max: partition.settings.message_bytes_max,
            size_bytes: partition.log.map_or(0, |log| self.logs.size_bytes(log)),
            is_served: partition.readable().is_ok(),
        })
    }

    /// The idempotent producers that a partition remembers.
    pub fn producers(&self, key: PartitionKey) -> impl Iterator<Item = ProducerState> {
        self.producers.iter(key).map(|(id, epoch, batches)| ProducerState {
            id,
            epoch,
            last_sequence: batches.last().map(WrittenBatch::last_sequence),
            last_timestamp: batches.last().map(|batch| batch.timestamp),
        })
    }

    /// The next answer; `None` when there is none left.
    #[inline]
    pub fn next_answer(&mut self) -> Option<(Waiter, Answer)> {
        while let Some(&key) = self.ready.front() {
            if let Some(partition) = self.partitions.get_mut(key) {
                if let Some(due) = partition.pop_due() {
                    self.waiting -= 1;
                    let at = AppendedAt {
                        base_offset: due.base_offset,
                        log_append_time: due.log_append_time,
                        log_start_offset: partition.log_start,
                    };
                    if self.append_served(due.waiter, Ok(())) {
                        continue;
                    }
                    return Some((due.waiter, Answer::Appended(Ok(at))));
                }
                partition.is_queued = false;
            }
            self.ready.pop_front();
        }
        loop {
            match self.answers.pop_front()? {
                (waiter, Answer::Appended(result)) => {
                    if !self.append_served(waiter, result.as_ref().map(|_| ())) {
                        return Some((waiter, Answer::Appended(result)));
                    }
                }
                other => return Some(other),
            }
        }
    }

    /// Hands over what gathered in this turn: open batches to the logs, the logs' writes to the disk.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.replication.at(now);
        self.forward(now);
        self.seal_all(now);
        self.logs.turn_end(now, fx);
        self.take_events(now, fx);
        self.replicate(fx);
    }

    /// Does what is due by time.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        self.producers.expire(now.mono);
        self.replication.at(now);
        self.retry(now, fx);
        self.logs.on_time(now, fx);
        self.take_events(now, fx);
        self.fetch_paused(now);
        self.answer_throttled(now, fx);
        self.repeat_repairs(now);
        self.forward_paused(now);
        self.ask_paused_tails(now);
        self.forward(now);
        self.look_at_followers();
        self.replicate(fx);
    }

    /// When `on_time` should be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.logs.next_deadline(),
            self.producers.next_expiry(),
            self.retries.earliest(),
            self.replication.next_deadline(),
            self.forwarding.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes no more appends, writes what there is, notes everything for the next start; `is_stopped` follows.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        self.seal_all(now);
        self.is_stopping = true;
        let open: Vec<PartitionKey> = self.by_log.values().copied().collect();
        for key in open {
            self.snapshot_producers(key);
        }
        self.logs.stop(now, fx);
        self.take_events(now, fx);
    }
}
