//! The group coordinator: the machine of `broker::groups` joined to its log, the topic `__consumer_offsets`.
//!
//! A group lives in the partition that the hash of its name chooses, as in Kafka; who leads that partition coordinates
//! the group. When a leadership begins (at every start, too) the partition is read to its end and replayed; until then
//! its groups answer `Loading`. One partition is read at a time, a piece at a time, under a grant.
//!
//! Invariants: nothing is answered for a partition that is not loaded; records of a step are appended before the step
//! ends, so that they share its turn's syncs. Called by the engine's public methods only.

mod load;

use std::sync::Arc;

use super::metadata::Metadata;
use super::{Completion, Engine, NewTopic, TopicDone, TopicError, Waiter};
use crate::broker::groups::{
    ConsumerHeartbeat, Group, GroupAnswer, GroupError, Groups, JoinRequest, Leaving, MemberOf, OffsetToCommit, Output,
    SyncRequest, TopicView,
};
use crate::broker::{Door, PartitionKey};
use crate::config::Config;
use crate::effect::Effects;
use crate::memory::{Account, Grant};
use crate::record::NewRecord;
use crate::types::{ConnId, Instant, LeaderEpoch, NodeId, Now, Offset, PartitionIndex, Rng, Slot};

/// The topic of groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The coordinator's own place among the connections: its answers are not handed to a door.
const OWN: ConnId = ConnId { index: u32::MAX, generation: u32::MAX - 1 };

/// The topics, for groups that subscribe to them.
fn view<'a>(metadata: &'a Metadata, coordination: &Coordination) -> TopicView<'a> {
    TopicView { topics: metadata.coordinator().cluster(), version: coordination.topics_version }
}

pub(super) fn own(slot: u32) -> Waiter {
    Waiter { door: Door::Kafka, conn: OWN, slot: Slot(slot) }
}

/// One partition of the topic, as far as its groups are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Another node leads it, or nobody.
    Elsewhere,
    /// This node leads it, its log is not open yet.
    Opening,
    /// It is being replayed: everything below `next` was, everything below `end` is to be.
    Loading { key: PartitionKey, epoch: LeaderEpoch, next: Offset, end: Offset },
    /// Its groups are served.
    Loaded { key: PartitionKey, epoch: LeaderEpoch },
    /// It cannot be read; the diagnostics say why.
    Failed { key: PartitionKey, epoch: LeaderEpoch },
}

impl Part {
    fn leadership(self) -> Option<(PartitionKey, LeaderEpoch)> {
        match self {
            Part::Elsewhere | Part::Opening => None,
            Part::Loading { key, epoch, .. } | Part::Loaded { key, epoch } | Part::Failed { key, epoch } => {
                Some((key, epoch))
            }
        }
    }
}

/// Groups, where their records lie, and what is under way.
#[derive(Debug)]
pub(super) struct Coordination {
    groups: Groups,
    /// By partition of the topic; empty while it does not exist.
    parts: Vec<Part>,
    /// Who waits for the topic's creation; `None` while nobody creates it.
    finders: Option<Vec<Waiter>>,
    /// What is being read, as it was when that was asked for.
    reading: Option<(Part, Grant)>,
    retry_at: Option<Instant>,
    reads: Account,
    /// Of the step that is under way.
    now: Now,
    /// The topic or its leaders may have changed.
    is_changed: bool,
    /// Counts changes of the tree: other topics than before.
    topics_version: u64,
    /// Something was appended or read outside of a turn's end.
    is_dirty: bool,
}

impl Coordination {
    /// No groups. What they keep is granted from `memory`, what is read at a start from `reads`.
    pub fn new(config: &Config, memory: Account, reads: Account, rng: Rng) -> Coordination {
        Coordination {
            groups: Groups::new(config.groups.clone(), memory, rng),
            parts: Vec::new(),
            finders: None,
            reading: None,
            retry_at: None,
            reads,
            now: Now::default(),
            is_changed: true,
            topics_version: 0,
            is_dirty: false,
        }
    }

    /// The tree has changed.
    pub fn changed(&mut self) {
        self.is_changed = true;
        self.topics_version += 1;
    }

    /// When something is due.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let at_once = (self.is_dirty || self.is_changed).then_some(self.now.mono);
        [at_once, self.retry_at, self.groups.next_deadline()].into_iter().flatten().min()
    }

    fn place_of(&self, group: &str) -> Option<PartitionIndex> {
        let count = i32::try_from(self.parts.len()).ok().filter(|count| *count > 0)?;
        Some(PartitionIndex(partition_of(group, count)))
    }

    /// The partition of a group whose groups are served here.
    fn place(&self, group: &str) -> Result<PartitionIndex, GroupError> {
        let place = self.place_of(group).ok_or(GroupError::Unavailable)?;
        match self.parts.get(place.0 as usize) {
            Some(Part::Loaded { .. }) => Ok(place),
            Some(Part::Elsewhere) => Err(GroupError::NotCoordinator),
            Some(Part::Opening | Part::Loading { .. }) => Err(GroupError::Loading),
            Some(Part::Failed { .. }) | None => Err(GroupError::Unavailable),
        }
    }

    fn is_settled(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Opening | Part::Loading { .. }))
    }
}

/// Kafka's choice: the absolute value of Java's hash of the name, modulo the number of partitions.
fn partition_of(group: &str, count: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash.checked_abs().unwrap_or(0) % count
}

impl Engine {
    /// A client is about to be served: what it is told must hold at this moment.
    pub fn at(&mut self, now: Now) {
        self.broker.at(now);
    }

    /// The partition of a group that this node coordinates. One whose session may have ended does not, whatever it
    /// remembers: another may have taken commits since.
    fn place_of_group(&self, group: &str) -> Result<PartitionIndex, GroupError> {
        let place = self.coordination.place(group)?;
        match self.partition(OFFSETS_TOPIC, place) {
            Some(key) if self.broker.is_cut_off(key) => Err(GroupError::NotCoordinator),
            _ => Ok(place),
        }
    }

    /// The node that coordinates a group. When another may have taken this one's place, it names the one that most likely
    /// has: a client that is connected to nobody else asks here again and again.
    pub fn coordinator(&self, group: &str) -> Result<NodeId, GroupError> {
        let topic = self.view().topic(OFFSETS_TOPIC).ok_or(GroupError::Unavailable)?;
        let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0);
        let index = partition_of(group, count.ok_or(GroupError::Unavailable)?);
        let state = topic.partitions.get(index as usize).ok_or(GroupError::Unavailable)?;
        let leader = state.leader.ok_or(GroupError::Unavailable)?;
        let key = self.partition(OFFSETS_TOPIC, PartitionIndex(index)).filter(|_| leader == self.node_id());
        match key {
            Some(key) if self.broker.is_cut_off(key) => {
                let mut next = state.replicas.iter().filter(|id| **id != leader && state.isr.contains(id));
                next.next().copied().ok_or(GroupError::Unavailable)
            }
            _ => Ok(leader),
        }
    }

    /// Creates the topic of groups if it does not exist; true when `Completion::Topics` follows, after which
    /// `coordinator` knows.
    pub fn prepare_coordinator(&mut self, now: Now, waiter: Waiter) -> bool {
        if self.view().topic(OFFSETS_TOPIC).is_some() {
            return false;
        }
        if let Some(finders) = &mut self.coordination.finders {
            let has_room = finders.len() < self.config.memory.connections_max;
            finders.extend(has_room.then_some(waiter));
            return has_room;
        }
        self.coordination.finders = Some(vec![waiter]);
        let topic = offsets_topic(&self.config, self.view().boards().len());
        let steps = self.with_topics(|commands, around| commands.create(vec![topic], false, Some(own(0)), around));
        self.propose_steps(now, steps);
        true
    }

    /// A member joins; answers with `Completion::Joined` when its generation begins.
    pub fn join_group(&mut self, now: Now, request: &JoinRequest<'_>, waiter: Waiter) {
        match self.place_of_group(request.group) {
            Ok(place) => {
                let now = self.group_time(now);
                let view = view(&self.metadata, &self.coordination);
                self.coordination.groups.join(now, view, place, request, waiter);
                self.follow_groups(now);
            }
            Err(error) => self.completions.push_back((waiter, Completion::Joined(Err(error.into())))),
        }
    }

    /// A member asks for its assignment; answers with `Completion::Synced`.
    pub fn sync_group(&mut self, now: Now, request: &SyncRequest<'_>, waiter: Waiter) {
        match self.place_of_group(request.from.group) {
            Ok(_) => {
                let now = self.group_time(now);
                let view = view(&self.metadata, &self.coordination);
                self.coordination.groups.sync(now, view, request, waiter);
                self.follow_groups(now);
            }
            // The generation is lost: the member joins again without looking for the coordinator.
            Err(GroupError::Loading) => {
                self.completions.push_back((waiter, Completion::Synced(Err(GroupError::RebalanceInProgress))));
            }
            Err(error) => self.completions.push_back((waiter, Completion::Synced(Err(error)))),
        }
    }

    /// A member is alive.
    pub fn heartbeat(&mut self, now: Now, from: &MemberOf<'_>) -> Result<(), GroupError> {
        match self.place_of_group(from.group) {
            Ok(_) => {
                let now = self.group_time(now);
                let result = self.coordination.groups.heartbeat(now, from);
                self.follow_groups(now);
                result
            }
            Err(GroupError::Loading) => Ok(()), // who is silent is known when the group is
            Err(error) => Err(error),
        }
    }

    /// A member of a consumer group reports; answers with `Completion::Reported`.
    pub fn consumer_heartbeat(&mut self, now: Now, request: &ConsumerHeartbeat<'_>, waiter: Waiter) {
        match self.place_of_group(request.group) {
            Ok(place) => {
                let now = self.group_time(now);
                let view = view(&self.metadata, &self.coordination);
                self.coordination.groups.consumer_heartbeat(now, view, place, request, waiter);
                self.follow_groups(now);
            }
            Err(error) => self.completions.push_back((waiter, Completion::Reported(Err(error)))),
        }
    }

    /// Members leave; one result each.
    pub fn leave_group<'a>(
        &mut self,
        now: Now,
        group: &str,
        leaving: impl Iterator<Item = Leaving<'a>>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.place_of_group(group)?;
        let now = self.group_time(now);
        let view = view(&self.metadata, &self.coordination);
        let results = self.coordination.groups.leave(now, view, group, leaving);
        self.follow_groups(now);
        Ok(results)
    }

    /// Commits offsets. `Ok`: `Completion::Stored` follows when they are durable.
    pub fn commit_offsets(
        &mut self,
        now: Now,
        from: &MemberOf<'_>,
        offsets: &[OffsetToCommit<'_>],
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let place = self.place_of_group(from.group)?;
        let now = self.group_time(now);
        let result = self.coordination.groups.commit(now, place, from, offsets, waiter);
        self.follow_groups(now);
        result
    }

    /// A group that this node coordinates; `None` when there is none of that name.
    pub fn group(&self, name: &str) -> Result<Option<&Group>, GroupError> {
        self.place_of_group(name)?;
        Ok(self.coordination.groups.get(name))
    }

    /// The groups that this node coordinates and has loaded, and whether there may be more.
    pub fn groups(&self) -> (impl Iterator<Item = &Group>, bool) {
        let is_loaded = |group: &&Group| self.coordination.place(group.name()).is_ok();
        (self.coordination.groups.iter().filter(is_loaded), !self.coordination.is_settled())
    }

    /// Forgets offsets of a group; one result each. `Ok`: `Completion::Stored` follows.
    pub fn delete_offsets(
        &mut self,
        now: Now,
        group: &str,
        partitions: &[(&str, PartitionIndex)],
        waiter: Waiter,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.place_of_group(group)?;
        let now = self.group_time(now);
        let results = self.coordination.groups.delete_offsets(now, group, partitions, waiter);
        self.follow_groups(now);
        results
    }

    /// Forgets an empty group with its offsets. `Ok`: `Completion::Stored` follows.
    pub fn delete_group(&mut self, now: Now, group: &str, waiter: Waiter) -> Result<(), GroupError> {
        self.place_of_group(group)?;
        let now = self.group_time(now);
        let result = self.coordination.groups.delete_group(now, group, waiter);
        self.follow_groups(now);
        result
    }

    /// A topic is gone: so is what groups have read of it.
    pub(super) fn forget_offsets_of(&mut self, now: Now, topic: &str) {
        let now = self.group_time(now);
        self.coordination.groups.forget_topic(topic);
        self.follow_groups(now);
    }

    /// Does what is due, and goes on with what is being read. Before the turn's writes.
    pub(super) fn coordinate(&mut self, now: Now, fx: &mut Effects) {
        self.coordination.is_dirty = false;
        self.coordination.retry_at.take_if(|at| *at <= now.mono);
        let now = self.group_time(now);
        let view = view(&self.metadata, &self.coordination);
        self.coordination.groups.on_time(now, view);
        if self.coordination.is_changed || !self.coordination.is_settled() {
            self.look_at_parts(now);
            self.load(now, fx);
        }
        self.follow_groups(now);
    }

    /// True when an answer is the coordinator's own; it is then taken in.
    pub(super) fn take_own(&mut self, waiter: Waiter, completion: &Completion) -> bool {
        if waiter.conn != OWN {
            return false;
        }
        let now = self.coordination.now;
        match completion {
            Completion::Appended(result) => {
                let result = result.as_ref().map(|_| ()).map_err(GroupError::from);
                self.coordination.groups.stored(now, waiter.slot.0, result);
                self.follow_groups(now);
            }
            Completion::Read { result, .. } => self.piece_read(now, result),
            Completion::Topics(results) => self.topic_created(results),
            Completion::ProducerId(given) => self.broker.published_as(given.as_ref().ok().copied()),
            _ => {}
        }
        self.coordination.is_dirty = true;
        true
    }

    /// The clocks for groups: wall time is broker time.
    fn group_time(&mut self, now: Now) -> Now {
        let now = Now { wall: self.broker.broker_time(now), ..now };
        self.coordination.now = now;
        now
    }

    /// Does what the groups ask for, and what follows from that.
    fn follow_groups(&mut self, now: Now) {
        while let Some(output) = self.coordination.groups.next_output() {
            match output {
                Output::Answer(waiter, GroupAnswer::Joined(result)) => {
                    self.completions.push_back((waiter, Completion::Joined(result)));
                }
                Output::Answer(waiter, GroupAnswer::Synced(result)) => {
                    self.completions.push_back((waiter, Completion::Synced(result)));
                }
                Output::Answer(waiter, GroupAnswer::Stored(result)) => {
                    self.completions.push_back((waiter, Completion::Stored(result)));
                }
                Output::Answer(waiter, GroupAnswer::Reported(result)) => {
                    self.completions.push_back((waiter, Completion::Reported(result)));
                }
                Output::Append { partition, records, token } => {
                    self.coordination.is_dirty = true;
                    let mut result = Ok(Offset(0));
                    let last = records.len().saturating_sub(1);
                    for (index, record) in records.iter().enumerate() {
                        let waiter = (index == last).then(|| own(token));
                        let (key, value) = (Some(&record.key[..]), record.value.as_deref());
                        let record = NewRecord { timestamp: now.wall, key, value, headers: &[] };
                        result = match self.broker.partition(OFFSETS_TOPIC, partition) {
                            Some(key) => self.broker.append_record(now, key, record, waiter),
                            None => Err(super::AppendError::UnknownPartition),
                        };
                        if result.is_err() {
                            break;
                        }
                    }
                    if let Err(error) = result {
                        self.coordination.groups.stored(now, token, Err(GroupError::from(&error)));
                    }
                }
            }
        }
    }

    fn topic_created(&mut self, results: &[(Arc<str>, Result<TopicDone, TopicError>)]) {
        for (name, result) in results {
            if let Err(error) = result {
                tracing::warn!("{name} cannot be created: {error}");
            }
        }
        self.coordination.is_changed = true;
        for waiter in self.coordination.finders.take().into_iter().flatten() {
            self.completions.push_back((waiter, Completion::Topics(results.to_vec())));
        }
    }
}

/// The topic as it is created: compacted, with a copy on every board of a small ensemble.
fn offsets_topic(config: &Config, boards: usize) -> NewTopic {
    let groups = &config.groups;
    let set = |key: &str, value: String| (key.to_string(), Some(value));
    NewTopic {
        name: OFFSETS_TOPIC.into(),
        partitions: groups.offsets_partitions.min(i32::MAX as u32) as i32,
        replication: usize::from(groups.offsets_replication_factor).min(boards.max(1)) as i16,
        assignment: Vec::new(),
        configs: vec![
            set("cleanup.policy", "compact".into()),
            set("segment.bytes", groups.offsets_segment_bytes.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names go to the partitions that Kafka's own coordinator gives them.
    #[test]
    fn placement() {
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 97 % 50);
        assert_eq!(partition_of("console-consumer-1", 50), java("console-consumer-1", 50));
        // Java: "polygenelubricants".hashCode() is Integer.MIN_VALUE, whose absolute value Kafka takes for 0.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("ä😀", 50), java("ä😀", 50));
    }

    fn java(text: &str, count: i64) -> i32 {
        let mut hash: i64 = 0;
        for unit in text.encode_utf16() {
            hash = (hash * 31 + i64::from(unit)) & 0xffff_ffff;
        }
        (i64::from(hash as u32 as i32).abs() % count) as i32
    }
}
