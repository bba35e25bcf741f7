//! Becoming leader or follower, as the tree says, and what happens to a partition with other replicas besides messages.

use super::{Following, Replicated, Replication};
use crate::broker::partition::LogState;
use crate::broker::{AppendError, Broker, PartitionKey};
use crate::coordinator::Cluster;
use crate::coordinator::cluster::PartitionState;
use crate::effect::Effects;
use crate::types::{Instant, Now};

impl Broker {
    /// Until when this node's session surely lives; `None` for a node that needs no session to lead. A lease that was
    /// renewed lets acknowledgements go on; when it ends, whoever waits for one is told to come again: another may lead.
    pub fn set_lease(&mut self, now: Now, lease: Option<Instant>) {
        self.replication.at(now);
        self.replication.lease = lease;
        let is_held = self.replication.may_acknowledge();
        if std::mem::replace(&mut self.replication.was_held, is_held) == is_held {
            return;
        }
        let led: Vec<PartitionKey> =
            self.partitions.iter().filter(|(_, partition)| partition.is_led()).map(|(key, _)| key).collect();
        for key in led {
            if is_held {
                self.advance(key);
            } else {
                self.fail_waiters_for_all(key, &AppendError::NotEnoughReplicasAfterAppend);
            }
        }
    }

    /// What there is to send, read and tell after a step.
    pub(in crate::broker) fn replicate(&mut self, fx: &mut Effects) {
        self.repair(fx);
        self.read_served_tails(fx);
        self.use_room(fx);
        self.answer_fetches(fx);
        self.send_marks();
        self.read_tails(fx);
    }

    /// Brokers came or went: one that is gone leaves the ISRs at once.
    pub(in crate::broker) fn brokers_changed(&mut self, now: Now, cluster: &Cluster) {
        self.replication.at(now);
        self.replication.alive = cluster.brokers.keys().copied().collect();
        let led: Vec<PartitionKey> =
            self.partitions.iter().filter(|(_, partition)| partition.is_led()).map(|(key, _)| key).collect();
        for key in led {
            self.consider(key);
        }
    }

    /// Leader, epoch, ISR and assignment as the tree has them; the partition knows its own part already.
    pub(in crate::broker) fn apply_replication(&mut self, now: Now, key: PartitionKey, state: &PartitionState) {
        self.replication.at(now);
        let node = self.node;
        self.follow_tail(key, state);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if partition.has_no_followers(node, state) {
            if partition.replicated.take().is_some()
                && let Some(log) = partition.log
            {
                self.logs.set_followed(log, false);
                self.logs.set_tail(log, partition.has_tail && !partition.tail.is_read_back);
            }
            return;
        }
        let end = partition.log.map_or(partition.durable, |log| self.logs.marks(log).end);
        let is_first = partition.replicated.is_none();
        let (is_leader, epoch) = (partition.is_leader, partition.leader_epoch);
        let enough = partition.has_enough_in_sync();
        let replicated = partition.replicated.get_or_insert_with(|| Box::new(Replicated::new(state)));
        replicated.pending.take_if(|pending| pending.version != state.version);
        replicated.doubtful.take_if(|doubtful| doubtful.version != state.version);
        replicated.version = state.version;
        replicated.replicas = state.replicas.clone();
        let is_new = is_first || replicated.leader != state.leader || replicated.epoch != epoch;
        replicated.leader = state.leader;
        replicated.epoch = epoch;
        if is_new {
            replicated.is_consistent = false;
            replicated.is_spoiled = false;
            replicated.epoch_start = end;
            replicated.following = if is_leader { Following::Nobody } else { Following::Wanted };
        }
        match (is_leader, is_new) {
            (true, true) => replicated.followers.begin(now.mono, node, &state.replicas, end),
            (true, false) => replicated.followers.keep(now.mono, node, &state.replicas, end),
            (false, _) => replicated.followers.clear(),
        }
        if let Some(log) = partition.log {
            self.logs.set_followed(log, is_leader);
            self.logs.set_tail(log, false);
        }
        if is_leader {
            self.replication.next_look.get_or_insert(now.mono);
            if !enough {
                self.fail_waiters_for_all(key, &AppendError::NotEnoughReplicasAfterAppend);
            }
            self.consider(key);
        } else {
            self.fetch(key);
        }
    }

    /// The log of a replica is open: nothing of it is known to be acknowledged but what was noted.
    pub(in crate::broker) fn replica_opened(&mut self, key: PartitionKey) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let (Some(log), is_leader, durable) = (partition.log, partition.is_leader, partition.durable) else { return };
        partition.high_watermark.advance(Some(partition.log_start));
        // Of what is found here most was acknowledged in an earlier life; how much is known when others are heard.
        partition.tail.from = partition.tail.from.max(durable);
        let Some(replicated) = &mut partition.replicated else { return };
        replicated.epoch_start = durable;
        self.logs.set_stable(log, partition.high_watermark.get());
        self.logs.set_followed(log, is_leader);
        if !is_leader {
            self.fetch(key);
        }
    }

    /// A write round of a replica failed. A leader's followers may have what is lost: its epoch must rise first.
    pub(in crate::broker) fn replica_append_failed(&mut self, now: Now, key: PartitionKey) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let is_leader = partition.is_leader;
        let Some(replicated) = &mut partition.replicated else { return };
        if is_leader {
            replicated.is_spoiled = true;
            self.consider(key);
        } else {
            self.follower_append_failed(now, key);
        }
    }

    /// The high watermark has moved: followers and subscribers are told when the step ends.
    pub(in crate::broker) fn acknowledged(&mut self, key: PartitionKey) {
        let Some(partition) = self.partitions.get(key) else { return };
        if partition.replicated.is_some() {
            if let Some(log) = partition.log {
                self.logs.set_stable(log, partition.high_watermark.get());
            }
            if partition.is_leader && self.replication.moved.last() != Some(&key) {
                self.replication.moved.push(key);
            }
        }
        if partition.has_tail && partition.tail.is_read_back && partition.state == LogState::Open {
            self.replication.tails.push(key);
        }
    }
}

impl Replication {
    /// When `on_time` has something to do here.
    pub fn next_deadline(&self) -> Option<Instant> {
        let wishes = (!self.wishes.is_empty()).then_some(self.now);
        [
            self.paused.earliest(),
            self.throttled.earliest(),
            self.repairs_at,
            self.next_look,
            self.look_for_room_at,
            self.remote_tails.next_deadline(),
            wishes,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
