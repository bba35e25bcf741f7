//! Live subscribers of partitions without a replica here: the leader is asked, over the data link, for what becomes
//! acknowledged (`served_tails`), and what it says goes the way of local tails. Asked is for every topic but internal ones,
//! as local tails tell all of them: which MQTT topics lie in a Kafka topic only its records say.
//!
//! ```text
//! no place --TailFetch(none)--> TailRecords(next): the place is `next` --TailFetch(next)--> TailRecords: told, and again
//!       leader, epoch or link have changed: asked again from the place       TailNotHere: the same after a pause
//!       a replica comes here and is in sync: the local tail goes on from the place; one goes: this does from its own
//! ```
//!
//! What a live subscriber may rely on, at any board: what is published after its SUBACK and acknowledged is told once and
//! in the order of the partition, whatever becomes of leaders, links and replicas, because only what is acknowledged is
//! told and offsets of that never change. Therefore SUBACK waits until every tail has a place, yet not longer than
//! `PLACE_WAIT_MS` after the first subscriber came who had to: behind a leader that cannot be reached for so long, what is
//! acknowledged until it can be is missed. Messages that were published before it and became acknowledged after it may be
//! missed too. What retention has deleted before it was told is left out, and where a leader that lacks acknowledged
//! records was elected, its own are told from the moment on at which it was asked. To hold SUBACK back for ever would be
//! worse for whoever listens to what goes on than a gap; who must not miss anything reads by offset, as Kafka's consumers
//! do.
//!
//! Bounds: as many tails as `memory.partitions.max` says, those beyond are not heard; one unanswered question for each, and
//! what it brings is handed to the door in the step in which it comes. A subscriber that does not keep up loses messages at
//! the door (`mqtt::outgoing`), and holds up neither the tail nor the leader.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::tails::{UNTOLD, behind};
use super::{At, Message, RETRY_MS};
use crate::broker::{Answer, Broker, Door, Waiter, is_internal};
use crate::coordinator::{Cluster, PartitionState, Topic, features};
use crate::record::Batches;
use crate::types::{Instant, LeaderEpoch, NodeId, Now, Offset, PartitionIndex, Timers, TopicId};

/// A subscriber waits so long for its tails to have their places.
const PLACE_WAIT_MS: u64 = 2000;

/// A partition by what the tree calls it.
pub(super) type Place = (TopicId, PartitionIndex);

/// One partition without a replica here that is told, or with one that is not in sync yet.
#[derive(Debug)]
struct RemoteTail {
    topic: Arc<str>,
    leader: Option<NodeId>,
    epoch: LeaderEpoch,
    /// Everything below was told; none: it begins wherever the leader is when it is asked.
    from: Option<Offset>,
    /// The question that is not answered.
    asked: Option<u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::broker) struct RemoteTails {
    all: BTreeMap<Place, RemoteTail>,
    /// All members understand the questions.
    is_understood: bool,
    is_full: bool,
    last_number: u32,
    paused: Timers<Place>,
    /// Until when subscribers wait for places.
    wait_until: Option<Instant>,
}

impl RemoteTails {
    /// Whether this partition is told from afar, and what of it was.
    pub fn told_below(&self, place: Place) -> Option<Option<Offset>> {
        self.all.get(&place).map(|tail| tail.from)
    }

    /// When something is asked again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.paused.earliest()
    }

    fn forget(&mut self, place: Place) {
        self.all.remove(&place);
        self.paused.cancel(place);
    }
}

impl Broker {
    /// Whether a subscriber that is told now that it hears everything would miss something of what comes next.
    pub fn awaits_tails(&mut self, now: Now) -> bool {
        let tails = &mut self.replication.remote_tails;
        let lacks_place = tails.all.values().any(|tail| tail.from.is_none());
        if !lacks_place && !self.partitions.iter().any(|(_, partition)| partition.awaits_past()) {
            tails.wait_until = None;
            return false;
        }
        now.mono < *tails.wait_until.get_or_insert(now.mono.plus_millis(PLACE_WAIT_MS))
    }

    /// The tree may have another feature level than before.
    pub fn follow_feature_level(&mut self, cluster: &Cluster) {
        let is_understood = cluster.feature_level >= features::TAILS;
        if self.replication.remote_tails.is_understood != is_understood {
            self.follow_remote_tails(cluster);
        }
    }

    /// Everything anew: tails were switched, or the level has changed.
    pub(in crate::broker) fn follow_remote_tails(&mut self, cluster: &Cluster) {
        self.replication.remote_tails.is_understood = cluster.feature_level >= features::TAILS;
        if !self.has_tails {
            let last_number = self.replication.remote_tails.last_number;
            let is_understood = self.replication.remote_tails.is_understood;
            self.replication.remote_tails = RemoteTails { last_number, is_understood, ..RemoteTails::default() };
            return;
        }
        for topic in cluster.topics.values() {
            for (index, state) in topic.partitions.iter().enumerate() {
                self.follow_remote_tail(topic, index, state, None);
            }
        }
    }

    /// What the tree says of one partition, of which the replica here, if there is one, knows already. A tail that is new
    /// begins at `from`.
    pub(in crate::broker) fn follow_remote_tail(
        &mut self,
        topic: &Topic,
        index: usize,
        state: &PartitionState,
        from: Option<Offset>,
    ) {
        let place = (topic.id, PartitionIndex(index as i32)); // a topic has fewer than 2^31 partitions
        let local = self.key_at(&topic.name, index).and_then(|key| self.partitions.get(key));
        let is_told_here = local.is_some_and(|local| local.tail.from != UNTOLD);
        let tails = &mut self.replication.remote_tails;
        if !self.has_tails || !tails.is_understood || is_internal(&topic.name) || is_told_here {
            return tails.forget(place);
        }
        if !tails.all.contains_key(&place) && tails.all.len() >= self.limits.lanes_max {
            if !std::mem::replace(&mut tails.is_full, true) {
                let most = self.limits.lanes_max;
                tracing::warn!(
                    "MQTT subscribers here hear {most} partitions of other boards, memory.partitions.max, not more"
                );
            }
            return;
        }
        let tail = tails.all.entry(place).or_insert_with(|| RemoteTail {
            topic: topic.name.clone(),
            leader: None,
            epoch: LeaderEpoch::NONE,
            from,
            asked: None,
        });
        if (tail.leader, tail.epoch) != (state.leader, state.leader_epoch) {
            (tail.leader, tail.epoch, tail.asked) = (state.leader, state.leader_epoch, None);
        }
        self.ask_tail(place);
    }

    /// A topic, or its partitions from an index on, are gone.
    pub(in crate::broker) fn forget_remote_tails(&mut self, topic: TopicId, from: usize) {
        let tails = &mut self.replication.remote_tails;
        let first = (topic, PartitionIndex(from as i32)); // as above
        let gone: Vec<Place> =
            tails.all.range(first..=(topic, PartitionIndex(i32::MAX))).map(|(place, _)| *place).collect();
        gone.into_iter().for_each(|place| tails.forget(place));
    }

    /// What was asked over a link to this node, and what it has answered, is lost.
    pub(super) fn ask_tails_again(&mut self, node: NodeId) {
        let tails = self.replication.remote_tails.all.iter_mut().filter(|(_, tail)| tail.leader == Some(node));
        let places: Vec<Place> = tails
            .map(|(place, tail)| {
                tail.asked = None;
                *place
            })
            .collect();
        places.into_iter().for_each(|place| self.ask_tail(place));
    }

    /// Asks again who was not there.
    pub(in crate::broker) fn ask_paused_tails(&mut self, now: Now) {
        while let Some(place) = self.replication.remote_tails.paused.expired(now.mono) {
            self.ask_tail(place);
        }
    }

    fn ask_tail(&mut self, place: Place) {
        let (links, tails) = (&mut self.replication.links, &mut self.replication.remote_tails);
        let Some(tail) = tails.all.get_mut(&place).filter(|tail| tail.asked.is_none()) else { return };
        let Some(leader) = tail.leader.filter(|leader| links.is_up(*leader)) else { return };
        tails.last_number = tails.last_number.wrapping_add(1);
        tail.asked = Some(tails.last_number);
        let at = At { topic: place.0, index: place.1, epoch: tail.epoch };
        links.send(leader, &Message::TailFetch { at, number: tails.last_number, from: tail.from });
    }

    /// The leader's answer: told, and asked for more.
    pub(super) fn tail_records_arrived(&mut self, from: NodeId, at: At, number: u32, next: Offset, batches: &Bytes) {
        let place = (at.topic, at.index);
        let Some(tail) = self.answered_tail(from, at, number) else { return };
        let is_sound = Batches::new(batches).all(|batch| batch.is_ok_and(|batch| batch.check_crc().is_ok()));
        if !is_sound {
            tracing::warn!(topic = %at.topic, partition = at.index.0, "batches of broker {from} are damaged and asked for again");
            return self.tail_not_here(from, at, number);
        }
        tail.asked = None;
        let topic = tail.topic.clone();
        let (batches, told) = behind(batches, tail.from.unwrap_or(next));
        tail.from = Some(if batches.is_empty() { next } else { told });
        if !batches.is_empty() {
            let answer = Answer::Tail { topic, partition: at.index, batches };
            self.answers.push_back((Waiter::door(Door::Mqtt), answer));
        }
        self.ask_tail(place);
    }

    /// It is asked again after a pause.
    pub(super) fn tail_not_here(&mut self, from: NodeId, at: At, number: u32) {
        let Some(tail) = self.answered_tail(from, at, number) else { return };
        tail.asked = None;
        let until = self.replication.now.plus_millis(RETRY_MS);
        self.replication.remote_tails.paused.set((at.topic, at.index), until);
    }

    /// The tail that waits for exactly this answer.
    fn answered_tail(&mut self, from: NodeId, at: At, number: u32) -> Option<&mut RemoteTail> {
        let tail = self.replication.remote_tails.all.get_mut(&(at.topic, at.index))?;
        let is_answered = tail.asked == Some(number) && tail.leader == Some(from) && tail.epoch == at.epoch;
        is_answered.then_some(tail)
    }
}
