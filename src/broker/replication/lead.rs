//! The leader's side: answering fetches, counting disks, wishing changes of the ISR.

use super::followers::{Asked, Fetching};
use super::{At, Message, Pending, REPLICA_READ_BYTES, ROOM_MS, StateWish, Told, WishAnswer};
use crate::broker::fetch::{For, Lookup};
use crate::broker::partition::{LogState, Partition};
use crate::broker::{Broker, PartitionKey};
use crate::coordinator::cluster::Replicas;
use crate::effect::Effects;
use crate::log::{LogKey, LogReadError};
use crate::types::{LeaderEpoch, NodeId, Offset};

impl Broker {
    /// A follower asks for what lies at `asked.from`, and tells how far its disk is.
    pub(super) fn fetch_arrived(&mut self, from: NodeId, at: At, asked: Asked, durable: Offset, fx: &mut Effects) {
        let Some((key, log)) = self.led(at) else {
            return self.replication.links.send(from, &Message::NotHere { at, number: asked.number });
        };
        if let Some(answer) = self.objection(key, log, at, asked) {
            if self.may_miss_what_it_has(key, from) {
                return self.replication.links.send(from, &Message::NotHere { at, number: asked.number });
            }
            return self.replication.links.send(from, &answer);
        }
        let (now, end) = (self.replication.now, self.logs.marks(log).end);
        let Some(follower) = self.follower(key, from) else {
            return self.replication.links.send(from, &Message::NotHere { at, number: asked.number });
        };
        let is_first = follower.durable.is_none();
        follower.told(now, durable.min(asked.from), end);
        follower.fetching = Fetching::Parked(asked);
        if is_first {
            self.send_mark(key, from); // it learns that its log is a prefix of ours, even if nothing follows for long
        }
        self.answer_fetch(key, from, fx);
        self.follower_moved(key);
    }

    /// A follower has more on its disk.
    pub(super) fn durable_arrived(&mut self, from: NodeId, at: At, durable: Offset) {
        let Some((key, log)) = self.led(at) else { return };
        let (now, end) = (self.replication.now, self.logs.marks(log).end);
        let Some(follower) = self.follower(key, from).filter(|follower| follower.durable.is_some()) else { return };
        follower.told(now, durable.min(end), end);
        self.follower_moved(key);
    }

    /// Answers parked fetches of partitions that have grown, as far as links have room.
    pub(in crate::broker) fn answer_fetches(&mut self, fx: &mut Effects) {
        let mut grown = std::mem::take(&mut self.replication.grown);
        for key in grown.drain(..) {
            let Some(replicated) = self.partitions.get_mut(key).and_then(|partition| partition.replicated.as_deref())
            else {
                continue;
            };
            let parked: Replicas = replicated
                .followers
                .iter()
                .filter(|follower| matches!(follower.fetching, Fetching::Parked(_)))
                .map(|follower| follower.node)
                .collect();
            for node in parked {
                self.answer_fetch(key, node, fx);
            }
        }
        self.replication.grown = grown; // keeps its memory
    }

    /// A partition led here has more for its followers.
    pub(in crate::broker) fn grew(&mut self, key: PartitionKey) {
        let is_followed = self.partitions.get(key).is_some_and(|partition| partition.replicated.is_some());
        if is_followed && self.replication.grown.last() != Some(&key) {
            self.replication.grown.push(key);
        }
    }

    /// Tells what waited for room, where there is some now.
    pub(super) fn use_room(&mut self, fx: &mut Effects) {
        for (node, key) in std::mem::take(&mut self.replication.crowded) {
            if !self.replication.links.has_room(node) {
                self.replication.crowded.insert((node, key));
            } else if self.partitions.get(key).is_some_and(|partition| partition.is_leader) {
                self.send_mark(key, node);
                self.answer_fetch(key, node, fx);
            } else {
                self.tell_durable(key);
            }
        }
        let waits = !self.replication.crowded.is_empty()
            || self.replication.links.is_waiting()
            || self.replication.served_tails.is_waiting();
        self.replication.look_for_room_at = waits.then(|| self.replication.now.plus_millis(ROOM_MS));
    }

    /// The disk has read for a follower.
    pub(in crate::broker) fn replica_read_done(
        &mut self,
        key: PartitionKey,
        node: NodeId,
        epoch: LeaderEpoch,
        from: Offset,
        result: Result<bytes::Bytes, LogReadError>,
    ) {
        if let Err(LogReadError::Damaged { whole, .. }) = &result {
            self.damage_found(key, *whole);
        }
        let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.is_leader) else { return };
        let (at, marks) = (partition.at(), partition.told());
        let Some(follower) = partition.follower(node) else { return };
        let Fetching::Reading(asked) = follower.fetching else { return };
        if at.epoch != epoch || asked.from != from {
            return; // the fetch belonged to another leadership, or the follower has asked from elsewhere since
        }
        let answer = match &result {
            Ok(batches) => Message::Records { at, number: asked.number, marks, batches },
            Err(LogReadError::OutOfRange(range)) if asked.from < range.start => {
                Message::OutOfRange { at, number: asked.number, start: range.start }
            }
            Err(_) => Message::NotHere { at, number: asked.number },
        };
        follower.fetching = Fetching::Answered;
        self.replication.links.send(node, &answer);
        self.charge_sending(key, node, result.map_or(0, |batches| batches.len()));
    }

    /// The next change that this node wants of the tree.
    pub fn next_wish(&mut self) -> Option<StateWish> {
        while let Some(key) = self.replication.wishes.pop_front() {
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            if let Some(replicated) = &mut partition.replicated {
                replicated.is_wishing = false;
            }
            let Some(wish) = self.wish_of(key) else { continue };
            let added =
                |isr: &Replicas, now: &Replicas| now.iter().filter(|node| !isr.contains(node)).copied().collect();
            if let Some(partition) = self.partitions.get_mut(key)
                && let Some(replicated) = &mut partition.replicated
            {
                replicated.pending = Some(Pending { version: wish.version, added: added(&partition.isr, &wish.isr) });
            }
            return Some(wish);
        }
        None
    }

    /// What became of a wish; when it was refused, it is looked at again with the next lag. Whom a wish of unknown end would
    /// have added goes on being counted until the state has another version: it may have been granted, and whoever it
    /// took in may be elected.
    pub fn wish_answered(&mut self, key: PartitionKey, version: i32, answer: WishAnswer) {
        let partition = self.partitions.get_mut(key);
        let Some(replicated) = partition.and_then(|partition| partition.replicated.as_deref_mut()) else { return };
        if answer == WishAnswer::Granted {
            return; // the tree tells
        }
        let ended = replicated.pending.take_if(|pending| pending.version == version);
        if answer == WishAnswer::Unknown
            && let Some(ended) = ended
        {
            let doubtful = replicated.doubtful.get_or_insert(Pending { version, added: Replicas::default() });
            for node in ended.added {
                if !doubtful.added.contains(&node) {
                    let _ = doubtful.added.push(node); // never full: replicas of one partition
                }
            }
        }
        self.repair_refused(key);
    }

    /// Tells followers marks that they have not heard of with any batches.
    pub(super) fn send_marks(&mut self) {
        for key in std::mem::take(&mut self.replication.moved) {
            let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.is_led()) else { continue };
            let marks = partition.told();
            let Some(replicated) = &mut partition.replicated else { continue };
            if std::mem::replace(&mut replicated.told_followers, marks) == marks {
                continue;
            }
            let nodes: Replicas = replicated.followers.iter().map(|follower| follower.node).collect();
            for node in nodes {
                self.send_mark(key, node);
            }
        }
    }

    /// Tells one follower the marks, once its log is known to be a prefix of this one.
    fn send_mark(&mut self, key: PartitionKey, node: NodeId) {
        let Some(partition) = self.partitions.get(key) else { return };
        let Some(replicated) = partition.replicated.as_deref() else { return };
        if replicated.followers.durable(node).is_none() {
            return;
        }
        if self.replication.links.has_room(node) {
            self.replication.links.send(node, &Message::Mark { at: partition.at(), marks: partition.told() });
        } else {
            self.replication.crowded.insert((node, key));
        }
    }

    /// Looks at the lags of all followers.
    pub(in crate::broker) fn look_at_followers(&mut self) {
        let now = self.replication.now;
        if self.replication.next_look.is_none_or(|at| at > now) {
            return;
        }
        let keys: Vec<PartitionKey> =
            self.partitions.iter().filter(|(_, partition)| partition.is_led()).map(|(key, _)| key).collect();
        for &key in &keys {
            let end = self.log_end(key);
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            let Some(replicated) = &mut partition.replicated else { continue };
            let nodes: Replicas = replicated.followers.iter().map(|follower| follower.node).collect();
            for node in &nodes {
                if let Some(follower) = replicated.followers.get_mut(*node) {
                    follower.look(now, end);
                }
            }
            self.consider(key);
        }
        let pause = (self.replication.config.lag_max / 4).clamp(LOOK_MIN, LOOK_MAX);
        self.replication.next_look = (!keys.is_empty()).then(|| now.plus(pause));
    }

    /// Puts a partition into the queue of wishes when there is something to wish.
    pub(in crate::broker) fn consider(&mut self, key: PartitionKey) {
        if self.wish_of(key).is_none() {
            return;
        }
        let Some(replicated) = self.partitions.get_mut(key).and_then(|partition| partition.replicated.as_deref_mut())
        else {
            return;
        };
        if !std::mem::replace(&mut replicated.is_wishing, true) {
            self.replication.wishes.push_back(key);
        }
    }

    /// What the leader of a partition wants of the tree now.
    fn wish_of(&self, key: PartitionKey) -> Option<StateWish> {
        let partition = self.partitions.get(key)?;
        let replicated = partition.replicated.as_deref().filter(|replicated| replicated.pending.is_none())?;
        let is_alive = |node: &NodeId| *node == self.node || self.replication.alive.contains(node);
        let wish = |leader, isr, raises_epoch| StateWish {
            partition: key,
            leader,
            isr,
            raises_epoch,
            version: replicated.version,
        };
        if let Some((leader, isr)) = self.repair_wish(key, partition) {
            return Some(wish(leader, isr, true));
        }
        if !partition.is_leader {
            return None;
        }
        if replicated.is_spoiled {
            // Others in sync have what was lost here, or as little of it: any of them may lead.
            let other = partition.isr.iter().find(|node| **node != self.node && is_alive(node)).copied();
            return Some(wish(other.unwrap_or(self.node), partition.isr.clone(), true));
        }
        let (now, lag_max) = (self.replication.now, self.replication.config.lag_max);
        let lags = |node: &NodeId| {
            replicated.followers.get(*node).is_none_or(|follower| follower.lags(now, lag_max)) || !is_alive(node)
        };
        let is_back = |node: &NodeId| {
            let needed = partition.high_watermark.get().max(replicated.epoch_start);
            is_alive(node) && replicated.followers.durable(*node).is_some_and(|durable| durable >= needed)
        };
        let isr: Replicas = replicated
            .replicas
            .iter()
            .filter(|node| {
                **node == self.node || if partition.isr.contains(node) { !lags(node) } else { is_back(node) }
            })
            .copied()
            .collect();
        let is_same = isr.len() == partition.isr.len() && isr.iter().all(|node| partition.isr.contains(node));
        (!is_same).then(|| wish(self.node, isr, false))
    }

    fn follower_moved(&mut self, key: PartitionKey) {
        self.advance(key);
        self.consider(key);
    }

    /// The partition that this node leads in exactly that leadership, its log open.
    fn led(&self, at: At) -> Option<(PartitionKey, LogKey)> {
        let key = self.partition_by_id(at.topic, at.index)?;
        let partition = self.partitions.get(key)?;
        let is_led = partition.is_led() && partition.leader_epoch == at.epoch && partition.state == LogState::Open;
        Some((key, partition.log?)).filter(|_| is_led)
    }

    fn follower(&mut self, key: PartitionKey, node: NodeId) -> Option<&mut super::followers::Follower> {
        self.partitions.get_mut(key)?.follower(node)
    }

    /// Why a follower cannot simply go on at the offset it asked for.
    fn objection(&self, key: PartitionKey, log: LogKey, at: At, asked: Asked) -> Option<Message<'static>> {
        let start = self.partitions.get(key)?.log_start;
        if asked.from < start {
            return Some(Message::OutOfRange { at, number: asked.number, start });
        }
        if asked.from == start {
            return None; // whatever the follower has lies below all that is kept here
        }
        let (last_epoch, end) = match asked.last_epoch == at.epoch {
            true => (at.epoch, self.logs.marks(log).end),
            false => self.logs.epoch_end(log, asked.last_epoch),
        };
        let is_prefix = last_epoch == asked.last_epoch && asked.from <= end;
        (!is_prefix).then_some(Message::Diverged { at, number: asked.number, last_epoch, end })
    }

    /// Answers a parked fetch if there is something to answer with.
    pub(super) fn answer_fetch(&mut self, key: PartitionKey, node: NodeId, fx: &mut Effects) {
        let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.is_leader) else { return };
        let (Some(log), at, marks) = (partition.log, partition.at(), partition.told()) else { return };
        let Some(follower) = partition.follower(node) else { return };
        let Fetching::Parked(asked) = follower.fetching else { return };
        let log_marks = self.logs.marks(log);
        if asked.from >= log_marks.end {
            return;
        }
        if self.wait_for_rate(key, node) {
            return;
        }
        if !self.replication.links.has_room(node) {
            self.replication.crowded.insert((node, key));
            return;
        }
        let batches = self.fresh_batches(log, asked.from);
        let Some(follower) = self.follower(key, node) else { return };
        if !batches.is_empty() {
            follower.fetching = Fetching::Answered;
            self.replication.links.send(node, &Message::Records { at, number: asked.number, marks, batches: &batches });
            self.charge_sending(key, node, batches.len());
        } else if asked.from < log_marks.durable {
            follower.fetching = Fetching::Reading(asked);
            self.read_for(key, node, at.epoch, asked.from, fx);
        } // else it lies in the middle of what is being written: answered when that is durable
    }

    /// Lets the disk read for a follower what is durable here.
    fn read_for(&mut self, key: PartitionKey, node: NodeId, epoch: LeaderEpoch, from: Offset, fx: &mut Effects) {
        let Some(log) = self.partitions.get(key).and_then(|partition| partition.log) else { return };
        let below = self.logs.marks(log).durable;
        self.next_token += 1;
        let token = self.next_token;
        self.lookups.insert(token, Lookup { partition: key, whom: For::Replica(node, epoch, from) });
        if let Err(error) = self.logs.read(log, from, below, REPLICA_READ_BYTES, token, fx) {
            self.lookups.remove(&token);
            self.replica_read_done(key, node, epoch, from, Err(error));
        }
    }

    /// Batches from `from` on that are not durable here yet, as many as go into one message.
    fn fresh_batches(&self, log: LogKey, from: Offset) -> Vec<u8> {
        let mut batches = Vec::new();
        for batch in self.logs.fresh(log, from) {
            if !batches.is_empty() && batches.len() + batch.len() > REPLICA_READ_BYTES {
                break;
            }
            batches.extend_from_slice(batch);
        }
        batches
    }

    fn log_end(&self, key: PartitionKey) -> Offset {
        let log = self.partitions.get(key).and_then(|partition| partition.log);
        log.map_or(Offset(0), |log| self.logs.marks(log).end)
    }
}

/// How often lags are looked at.
const LOOK_MIN: std::time::Duration = std::time::Duration::from_millis(50);
const LOOK_MAX: std::time::Duration = std::time::Duration::from_millis(500);

impl Partition {
    /// Led here, with followers elsewhere.
    pub(in crate::broker) fn is_led(&self) -> bool {
        self.is_leader && self.replicated.is_some()
    }

    pub(in crate::broker) fn at(&self) -> At {
        At { topic: self.topic_id, index: self.index, epoch: self.leader_epoch }
    }

    pub(super) fn told(&self) -> Told {
        Told { high_watermark: self.high_watermark.get(), log_start: self.log_start }
    }

    pub(super) fn follower(&mut self, node: NodeId) -> Option<&mut super::followers::Follower> {
        self.replicated.as_deref_mut()?.followers.get_mut(node)
    }
}
