//! Following the tree: which partitions are here, who leads them, under which configuration.
//!
//! Invariants: a partition is in the table exactly while the tree assigns a replica to this node (and the table has
//! room); nothing is opened before the logs have started; a directory that is being deleted is not opened before it is
//! gone; nothing is led before the tree knows this life of the node, because until then the tree may believe in a log
//! that its disk has lost. Callers: the engine, once with the whole tree and then with each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::high_watermark::HighWatermark;
use super::partition::{LogState, Partition};
use super::replication::Tail;
use super::settings::{self, TopicSettings};
use super::{Answer, AppendError, AppendedAt, Broker, PartitionKey, is_internal};
use crate::coordinator::cluster::{ConfigMap, PartitionState, Topic};
use crate::coordinator::{Change, Cluster};
use crate::effect::Effects;
use crate::types::{LeaderEpoch, Now, Offset, PartitionIndex, TopicId};

/// A topic of which this node has partitions.
#[derive(Debug)]
pub(super) struct LocalTopic {
    pub id: TopicId,
    /// By partition index; `None` where this node has no replica.
    pub keys: Vec<Option<PartitionKey>>,
    pub settings: Arc<TopicSettings>,
    /// How many partitions it has had so far, here or elsewhere.
    pub known_partitions: usize,
}

impl Broker {
    /// Takes over a whole tree, at the start or when changes were missed.
    pub fn apply_all(&mut self, now: Now, cluster: &Cluster, fx: &mut Effects) {
        let gone: Vec<Arc<str>> =
            self.topics.keys().filter(|name| !cluster.topics.contains_key(*name)).cloned().collect();
        self.apply_overrides(cluster);
        for name in gone {
            self.follow_lanes(&name, None);
            self.remove_topic(now, &name, fx);
        }
        for topic in cluster.topics.values() {
            self.follow_lanes(&topic.name, Some(topic));
            self.apply_topic(now, topic, fx);
        }
        self.brokers_changed(now, cluster);
    }

    /// The tree, which `cluster` shows, knows this life of the node: it leads what the tree says. True the first time.
    pub fn registered(&mut self, now: Now, cluster: &Cluster, fx: &mut Effects) -> bool {
        let is_first = !std::mem::replace(&mut self.is_registered, true);
        if is_first {
            self.apply_all(now, cluster, fx);
        }
        is_first
    }

    /// Acts on one change that `cluster` shows already.
    pub fn apply(&mut self, now: Now, cluster: &Cluster, change: &Change, fx: &mut Effects) {
        match change {
            Change::TopicCreated { name, .. }
            | Change::PartitionsChanged { name }
            | Change::TopicConfigChanged { name } => {
                self.follow_lanes(name, cluster.topic(name));
                if let Some(topic) = cluster.topic(name) {
                    self.apply_topic(now, topic, fx);
                }
            }
            Change::TopicDeleted { name, id } => {
                self.follow_lanes(name, cluster.topic(name));
                if self.topics.get(name).is_some_and(|topic| topic.id == *id) {
                    self.remove_topic(now, name, fx);
                }
            }
            Change::BrokersChanged => self.brokers_changed(now, cluster),
            Change::BrokerConfigChanged { .. } => self.apply_overrides(cluster),
            Change::ControllerChanged
            | Change::TopicIncoming { .. }
            | Change::DeletionRequested { .. }
            | Change::Invalid { .. } => {}
        }
    }

    /// What topics inherit may have changed.
    fn apply_overrides(&mut self, cluster: &Cluster) {
        self.apply_rates(cluster);
        let overrides = settings::overrides(cluster, self.node);
        if overrides == self.overrides {
            return;
        }
        self.overrides = overrides;
        for topic in cluster.topics.values() {
            if self.topics.get(&topic.name).is_some_and(|known| known.id == topic.id) {
                self.apply_config(&topic.name, topic.id, &topic.config);
            }
        }
    }

    /// Makes the partitions of one topic what the tree says.
    fn apply_topic(&mut self, now: Now, topic: &Topic, fx: &mut Effects) {
        if self.topics.get(&topic.name).is_some_and(|known| known.id != topic.id) {
            self.remove_topic(now, &topic.name, fx);
        }
        self.apply_config(&topic.name, topic.id, &topic.config);
        let count = topic.partitions.len();
        let known = self.topics.get_mut(&topic.name);
        let known = known.map_or(0, |local| std::mem::replace(&mut local.known_partitions, count));
        for (index, state) in topic.partitions.iter().enumerate() {
            let is_here = state.replicas.contains(&self.node);
            let key = self.key_at(&topic.name, index);
            let told = match key.and_then(|key| self.partitions.get(key)) {
                Some(partition) => partition.told_below(),
                None => (index >= known).then_some(Offset(0)),
            };
            match (key, is_here) {
                (Some(key), true) => self.apply_state(now, key, state),
                (Some(key), false) => self.leave_partition(now, key, fx),
                (None, true) => self.add_partition(now, topic, index, state, fx),
                (None, false) => {}
            }
            self.follow_remote_tail(topic, index, state, told);
        }
        self.forget_remote_tails(topic.id, count);
        for index in count..self.topics.get(&topic.name).map_or(0, |known| known.keys.len()) {
            if let Some(key) = self.key_at(&topic.name, index) {
                self.remove_partition(now, key, fx);
            }
        }
    }

    /// The effective configuration of a topic that may have no partition here.
    pub(super) fn settings_of(&self, topic: &Topic) -> Arc<TopicSettings> {
        self.settings(&topic.config)
    }

    fn settings(&self, set: &ConfigMap) -> Arc<TopicSettings> {
        Arc::new(TopicSettings::new(set, &self.overrides, &self.defaults, self.limits.message_bytes_max))
    }

    /// The effective configuration of a topic, for this topic's partitions and for those of its former self.
    fn apply_config(&mut self, name: &Arc<str>, id: TopicId, set: &ConfigMap) {
        let settings = self.settings(set);
        let fresh = LocalTopic { id, keys: Vec::new(), settings: settings.clone(), known_partitions: 0 };
        let topic = self.topics.entry(name.clone()).or_insert(fresh);
        self.topic_names.insert(id, name.clone());
        if topic.settings == settings {
            return;
        }
        topic.settings = settings.clone();
        for key in topic.keys.iter().flatten() {
            let Some(partition) = self.partitions.get_mut(*key) else { continue };
            partition.settings = settings.clone();
            if let Some(log) = partition.log {
                self.logs.set_config(log, settings.log.clone());
            }
        }
    }

    fn add_partition(&mut self, now: Now, topic: &Topic, index: usize, state: &PartitionState, fx: &mut Effects) {
        let Some(local) = self.topics.get_mut(&topic.name) else { return };
        let partition = Partition {
            topic: topic.name.clone(),
            topic_id: topic.id,
            index: PartitionIndex(index as i32), // a topic has fewer than 2^31 partitions: they were counted in i32
            dir: format!("{}-{index}", topic.name).into(),
            log: None,
            state: LogState::Opening,
            is_leader: false,
            leader_epoch: LeaderEpoch::NONE,
            isr: Default::default(),
            replica_count: 0,
            settings: local.settings.clone(),
            log_start: Offset(0),
            durable: Offset(0),
            high_watermark: HighWatermark::default(),
            all: Default::default(),
            leader: Default::default(),
            open_batch: None,
            has_tail: self.has_tails && !is_internal(&topic.name),
            tail: Tail::new(!self.is_registered),
            replicated: None,
            is_named: false,
            is_queued: false,
        };
        let Some(key) = self.partitions.insert(partition) else {
            tracing::error!("partition {}-{index} is not served: this node has no room for more", topic.name);
            return;
        };
        if local.keys.len() <= index {
            local.keys.resize(index + 1, None);
        }
        if let Some(place) = local.keys.get_mut(index) {
            *place = Some(key);
        }
        self.opening += 1;
        self.apply_state(now, key, state);
        self.begin_open(now, key, fx);
    }

    /// Leader, epoch and ISR as the tree has them.
    fn apply_state(&mut self, now: Now, key: PartitionKey, state: &PartitionState) {
        let node = self.node;
        let is_leader = state.leader == Some(node) && self.is_registered;
        let was_leader = match self.partitions.get(key) {
            Some(partition) => partition.is_leader,
            None => return,
        };
        if was_leader && !is_leader {
            self.resign(now, key);
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if (partition.is_leader, partition.leader_epoch) != (is_leader, state.leader_epoch) {
            self.replication.served_tails.forget_partition(key);
        }
        partition.leader_epoch = state.leader_epoch;
        partition.isr = state.isr.clone();
        partition.replica_count = state.copies();
        partition.is_leader = is_leader;
        self.apply_replication(now, key, state);
        self.advance(key);
    }

    /// Another leads now: nobody who waits here will be answered by the high watermark.
    fn resign(&mut self, now: Now, key: PartitionKey) {
        self.seal(now, key);
        let acknowledged = self.partitions.get(key).map_or(Offset(0), |partition| partition.high_watermark.get());
        self.fail_waiters(key, acknowledged, &AppendError::NotLeader);
        self.wake_watches(key);
    }

    fn remove_topic(&mut self, now: Now, name: &Arc<str>, fx: &mut Effects) {
        let Some(topic) = self.topics.get(name) else { return };
        let (id, keys): (TopicId, Vec<PartitionKey>) = (topic.id, topic.keys.iter().flatten().copied().collect());
        for key in keys {
            self.remove_partition(now, key, fx);
        }
        self.topics.remove(name);
        self.topic_names.remove(&id);
        self.forget_remote_tails(id, 0);
    }

    /// Others have the partition now.
    fn leave_partition(&mut self, now: Now, key: PartitionKey, fx: &mut Effects) {
        if self.partitions.get(key).is_some_and(|partition| partition.is_leader) {
            self.resign(now, key); // clients look for the next leader, rather than for the topic
        }
        while let Some(due) = self.partitions.get_mut(key).and_then(Partition::pop_due) {
            let log_start_offset = self.partitions.get(key).map_or(Offset(0), |partition| partition.log_start);
            let (base_offset, log_append_time) = (due.base_offset, due.log_append_time);
            let at = AppendedAt { base_offset, log_append_time, log_start_offset };
            self.waiting -= 1;
            self.answers.push_back((due.waiter, Answer::Appended(Ok(at))));
        }
        self.remove_partition(now, key, fx);
    }

    /// Forgets a partition and deletes its files.
    fn remove_partition(&mut self, now: Now, key: PartitionKey, fx: &mut Effects) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.open_batch = None; // its records are above everything that is acknowledged
        }
        self.fail_waiters(key, Offset(-1), &AppendError::UnknownPartition);
        self.fail_lookups(key);
        self.producers.forget_partition(key);
        self.replication.served_tails.forget_partition(key);
        let Some(partition) = self.partitions.remove(key) else { return };
        if partition.state == LogState::Opening {
            self.opening -= 1;
        }
        if let Some(place) =
            self.topics.get_mut(&partition.topic).and_then(|topic| topic.keys.get_mut(partition.index.0 as usize))
        {
            *place = None;
        }
        match partition.log {
            Some(log) => {
                self.by_log.remove(&log);
                self.delete_log(log, partition.dir, fx);
            }
            None => self.delete_unopened(now, partition.dir, fx),
        }
    }

    pub(super) fn key_at(&self, topic: &str, index: usize) -> Option<PartitionKey> {
        self.topics.get(topic)?.keys.get(index).copied().flatten()
    }
}

/// Topics with partitions here, by name.
pub(super) type LocalTopics = BTreeMap<Arc<str>, LocalTopic>;
