//! Rot: a batch of a replica whose checksum fails, or that is not there, is copied again from another board.
//!
//! ```text
//! damage at or above X is known --leads: another in sync leads--> follows
//! follows, in the ISR --leaves it, when enough others are in sync--> follows, out of the ISR
//! follows, out of the ISR --the leader epoch rises--> has told this leader nothing
//! has told this leader nothing --cuts its log at X--> fetches from X on, and is in sync again when it has everything
//! ```
//!
//! The damaged range is not patched in place. A segment is what was appended, in order, to one file with its indexes,
//! checkpoints and producers' state; to cut it and to append again is what every follower does after a leader change, is
//! tested under power cuts at every step, and needs no format of its own. The price is that what follows X is copied too.
//! Each step is either a transaction on the partition's state or a cut of this log, and after a power cut between two of
//! them the damage is simply found again: by recovery, or by the next who reads it.
//!
//! A replica leaves the ISR *before* it cuts, because a leader counts what its follower has once said to be durable; the
//! epoch rises, so that the leader forgets what was said. That holds for one that the leader took out of the ISR as well:
//! what it said before would bring it back while it cuts.
//!
//! Invariants: what is damaged is never served, not to clients, not to followers, not to compaction; a leader that knows of
//! damage never makes a follower in sync cut its log; a replica that nobody else can replace stays as it is. A scan in
//! the background does not look for rot: it would read every byte of every card; damage is found by recovery, compaction,
//! consumers, followers and subscribers.

use crate::broker::partition::{LogState, Partition};
use crate::broker::{Broker, PartitionKey};
use crate::coordinator::cluster::Replicas;
use crate::effect::Effects;
use crate::types::{NodeId, Now, Offset};

use super::Following;

/// A wish that was refused is repeated after so long.
const REPEAT_MS: u64 = 1000;

impl Broker {
    /// Something at or above `from` cannot be read here.
    pub(in crate::broker) fn damage_found(&mut self, key: PartitionKey, from: Offset) {
        let Some(partition) = self.partitions.get(key).filter(|partition| partition.replicated.is_some()) else {
            return; // there is no other copy
        };
        let known = self.replication.rotten.get(&key).copied();
        if known.is_none_or(|known| from < known) {
            let dir = partition.dir.clone();
            tracing::warn!(
                partition = &*dir,
                "from offset {from} on the log of {dir} is to be copied from another board"
            );
            self.replication.rotten.insert(key, from);
        }
    }

    /// Takes the next step of every repair.
    pub(super) fn repair(&mut self, fx: &mut Effects) {
        if self.replication.rotten.is_empty() {
            return;
        }
        let rotten: Vec<(PartitionKey, Offset)> =
            self.replication.rotten.iter().map(|(key, from)| (*key, *from)).collect();
        for (key, from) in rotten {
            let (now, node) = (self.replication.clock, self.node);
            let Some(partition) = self.partitions.get(key) else {
                self.replication.rotten.remove(&key);
                continue;
            };
            let (Some(replicated), Some(log), LogState::Open) =
                (partition.replicated.as_deref(), partition.log, &partition.state)
            else {
                continue;
            };
            if from < partition.log_start && self.logs.marks(log).end > partition.log_start {
                self.replication.rotten.remove(&key); // retention was faster
                continue;
            }
            let may_be_counted = partition.isr.contains(&node) || replicated.counted_in >= partition.leader_epoch;
            if may_be_counted || replicated.leader.is_none() || replicated.leader == Some(node) {
                self.consider(key);
            } else if !matches!(replicated.following, Following::Cutting) {
                self.replication.rotten.remove(&key);
                let to = from.max(partition.log_start).min(self.logs.marks(log).end);
                tracing::info!(partition = &*partition.dir, "cut at offset {to}, to be copied from there on");
                self.cut(now, key, log, to, None, fx);
            }
        }
    }

    /// Wishes that were refused are looked at again.
    pub(in crate::broker) fn repeat_repairs(&mut self, now: Now) {
        if self.replication.repairs_at.take_if(|at| *at <= now.mono).is_some() {
            let rotten: Vec<PartitionKey> = self.replication.rotten.keys().copied().collect();
            rotten.into_iter().for_each(|key| self.consider(key));
        }
    }

    /// A wish met something else.
    pub(super) fn repair_refused(&mut self, key: PartitionKey) {
        if self.replication.rotten.contains_key(&key) {
            self.replication.repairs_at.get_or_insert(self.replication.now.plus_millis(REPEAT_MS));
        }
    }

    /// Whether a follower here must not fetch before its log is cut.
    pub(super) fn must_cut_first(&self, key: PartitionKey) -> bool {
        self.replication.rotten.contains_key(&key)
            && self.partitions.get(key).is_some_and(|partition| !partition.isr.contains(&self.node))
    }

    /// Whether a leader's log may lack what a follower in sync has, so that it must not tell it to cut: the follower is
    /// about to lead instead. Whoever is out of sync has nothing that is needed, and must not be kept out.
    pub(super) fn may_miss_what_it_has(&self, key: PartitionKey, follower: NodeId) -> bool {
        self.replication.rotten.contains_key(&key)
            && self.partitions.get(key).is_some_and(|partition| partition.isr.contains(&follower))
    }

    /// What a damaged replica wants the state to be: leader and ISR.
    pub(super) fn repair_wish(&self, key: PartitionKey, partition: &Partition) -> Option<(NodeId, Replicas)> {
        self.replication.rotten.get(&key)?;
        let replicated = partition.replicated.as_deref()?;
        let own = self.node;
        let is_other = |id: &&NodeId| **id != own && self.replication.alive.contains(id);
        if partition.is_leader {
            let other = *partition.isr.iter().find(is_other)?;
            return Some((other, partition.isr.clone()));
        }
        let leader = replicated.leader.filter(|leader| self.replication.alive.contains(leader))?;
        if !partition.isr.contains(&own) {
            return (replicated.counted_in >= partition.leader_epoch).then(|| (leader, partition.isr.clone()));
        }
        let others: Replicas = partition.isr.iter().filter(|id| **id != own).copied().collect();
        let is_full = partition.isr.len() >= partition.replica_count;
        let may_leave = others.len() >= partition.min_insync() || is_full;
        (others.contains(&leader) && may_leave).then_some((leader, others))
    }
}
