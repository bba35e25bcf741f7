//! Where groups have read to: committing, forgetting.
//!
//! Invariant: an offset is kept and told only after its record is durable; it is counted in the account "groups" from
//! the moment it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::records::{Key, OffsetValue};
use super::stores::Store;
use super::{Context, Group, GroupAnswer, GroupError, GroupRecord, Groups, MemberOf, State};
use crate::broker::Waiter;
use crate::limits::GROUP_NAME_BYTES_MAX;
use crate::memory::Grant;
use crate::types::{LeaderEpoch, Now, Offset, PartitionIndex, Timestamp};

/// What an offset takes besides its note, its share of the topic's name and of a half-full map included.
const OFFSET_BYTES: usize = 160;

/// An offset to be committed.
#[derive(Clone, Copy, Debug)]
pub struct OffsetToCommit<'a> {
    /// Of which topic.
    pub topic: &'a str,
    /// Of which partition.
    pub partition: PartitionIndex,
    /// The next offset to read.
    pub offset: Offset,
    /// Of the record before it; `NONE` when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note, within `offset.metadata.max.bytes`.
    pub metadata: &'a str,
    /// How long to keep it, if the client says so.
    pub retention_ms: Option<u64>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: Offset,
    /// Of the record before it; `NONE` when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: Box<str>,
    /// When, in broker time.
    pub committed_at: Timestamp,
    /// When it is to be forgotten, if its client said so.
    pub expires_at: Option<Timestamp>,
}

/// The committed offsets of a group.
#[derive(Debug, Default)]
pub struct Offsets {
    by_topic: BTreeMap<Arc<str>, BTreeMap<PartitionIndex, Committed>>,
    held: Grant,
}

/// Offsets whose records are on their way to the log.
#[derive(Debug)]
pub(super) struct CommitUnderWay {
    pub group: u32,
    pub offsets: Vec<(Arc<str>, PartitionIndex, Committed)>,
    /// The client, until it has waited for too long.
    pub waiter: Option<Waiter>,
    pub held: Grant,
}

fn offset_bytes(metadata: &str) -> usize {
    OFFSET_BYTES + metadata.len()
}

impl Offsets {
    /// True when nothing was ever committed, or all is forgotten.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_topic.values().map(BTreeMap::len).sum()
    }

    /// Bytes that they take here, more than they take on the wire.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// The offset of one partition.
    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&Committed> {
        self.by_topic.get(topic)?.get(&partition)
    }

    /// All of them by topic.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<PartitionIndex, Committed>)> {
        self.by_topic.iter()
    }

    /// Keeps an offset; `held` accounts for it.
    pub(super) fn insert(&mut self, topic: &Arc<str>, partition: PartitionIndex, committed: Committed, held: Grant) {
        self.held.join(held);
        let partitions = match self.by_topic.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.by_topic.entry(topic.clone()).or_default(),
        };
        if let Some(earlier) = partitions.insert(partition, committed) {
            drop(self.held.split(offset_bytes(&earlier.metadata)));
        }
    }

    /// Forgets an offset; false when there is none.
    pub(super) fn remove(&mut self, topic: &str, partition: PartitionIndex) -> bool {
        let Some(partitions) = self.by_topic.get_mut(topic) else { return false };
        let Some(removed) = partitions.remove(&partition) else { return false };
        if partitions.is_empty() {
            self.by_topic.remove(topic);
        }
        drop(self.held.split(offset_bytes(&removed.metadata)));
        true
    }

    /// The partitions of which `is_wanted`.
    pub(super) fn select(&self, is_wanted: impl Fn(&str, &Committed) -> bool) -> Vec<(Arc<str>, PartitionIndex)> {
        let mut selected = Vec::new();
        for (topic, partitions) in &self.by_topic {
            let wanted = partitions.iter().filter(|(_, committed)| is_wanted(topic, committed));
            selected.extend(wanted.map(|(&partition, _)| (topic.clone(), partition)));
        }
        selected
    }
}

impl Committed {
    /// What the log says, and what accounts for it.
    pub(super) fn replayed(value: &OffsetValue<'_>, cx: &Context) -> Option<(Committed, Grant)> {
        let held = cx.take(offset_bytes(value.metadata))?;
        let committed = Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            committed_at: value.committed_at,
            expires_at: value.expires_at,
        };
        Some((committed, held))
    }

    fn value(&self) -> OffsetValue<'_> {
        OffsetValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: &self.metadata,
            committed_at: self.committed_at,
            expires_at: self.expires_at,
        }
    }
}

impl Groups {
    /// Commits offsets for a member of a generation, or, with a negative generation, for nobody in particular. `Ok`:
    /// `GroupAnswer::Stored` follows. `partition` is where the group lives.
    pub fn commit(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        from: &MemberOf<'_>,
        offsets: &[OffsetToCommit<'_>],
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        if from.group.len() > GROUP_NAME_BYTES_MAX {
            return Err(GroupError::InvalidGroupId);
        }
        if from.generation >= 0 && !self.by_name.contains_key(from.group) {
            return Err(GroupError::IllegalGeneration);
        }
        let group = self.find_or_make(now, from.group, partition)?;
        let number = group.number;
        let result = self.begin_commit(now, from, offsets, waiter);
        self.sweep(number);
        result
    }

    fn begin_commit(
        &mut self,
        now: Now,
        from: &MemberOf<'_>,
        offsets: &[OffsetToCommit<'_>],
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let group = self.by_name.get_mut(from.group).ok_or(GroupError::Unavailable)?;
        group.check_commit(from)?;
        if offsets.is_empty() {
            self.cx.answer(waiter, GroupAnswer::Stored(Ok(())));
            return Ok(());
        }
        let bytes = offsets.iter().map(|one| offset_bytes(one.metadata)).sum();
        let held = self.cx.take(bytes).ok_or(GroupError::Unavailable)?;
        if from.generation >= 0 && group.consumer.is_none() {
            group.keep_alive(&mut self.cx, now, from.member);
        }
        let offsets: Vec<_> = offsets.iter().map(|one| group.to_commit(now, one)).collect();
        let record = |(topic, partition, committed): &(Arc<str>, PartitionIndex, Committed)| {
            let key = Key::Offset { group: &group.name, topic, partition: *partition };
            GroupRecord { key: key.encode(), value: Some(committed.value().encode()) }
        };
        let records = offsets.iter().map(record).collect();
        group.commits_under_way += 1;
        let commit = CommitUnderWay { group: group.number, offsets, waiter: Some(waiter), held };
        self.cx.append_awaited(now, group.partition, records, Store::Commit(commit));
        Ok(())
    }

    /// The records of a commit are in the log, or not.
    pub(super) fn commit_stored(&mut self, commit: CommitUnderWay, result: Result<(), GroupError>) {
        let CommitUnderWay { group: number, offsets, waiter, mut held, .. } = commit;
        if let Some(group) = super::group_of(&mut self.by_name, &self.names, number) {
            group.commits_under_way = group.commits_under_way.saturating_sub(1);
            if result.is_ok() {
                for (topic, partition, committed) in offsets {
                    let part = held.split(offset_bytes(&committed.metadata));
                    group.offsets.insert(&topic, partition, committed, part);
                }
            }
        }
        self.sweep(number);
        if let Some(waiter) = waiter {
            self.cx.answer(waiter, GroupAnswer::Stored(result));
        }
    }

    /// Forgets offsets; one result each. `Ok`: `GroupAnswer::Stored` follows for those that are refused for nothing.
    pub fn delete_offsets(
        &mut self,
        now: Now,
        group: &str,
        partitions: &[(&str, PartitionIndex)],
        waiter: Waiter,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self.by_name.get_mut(group).ok_or(GroupError::GroupNotFound)?;
        let is_consumer = group.protocol_type() == Some(super::group::CONSUMER);
        if group.state != State::Empty && !is_consumer {
            return Err(GroupError::NonEmptyGroup);
        }
        let verdict =
            |&(topic, _): &(&str, PartitionIndex)| match group.state != State::Empty && group.subscribes(topic) {
                true => Err(GroupError::SubscribedToTopic),
                false => Ok(()),
            };
        let results: Vec<Result<(), GroupError>> = partitions.iter().map(verdict).collect();
        let allowed = partitions.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let gone: Vec<(Arc<str>, PartitionIndex)> = allowed.map(|(&(topic, at), _)| (topic.into(), at)).collect();
        let records = group.forget_offsets(&mut self.cx, &gone);
        match records.is_empty() {
            true => self.cx.answer(waiter, GroupAnswer::Stored(Ok(()))),
            false => self.cx.append_awaited(now, group.partition, records, Store::Tell(Some(waiter))),
        }
        Ok(results)
    }

    /// Forgets what groups have read of a topic that is gone.
    pub fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            let mut gone = group.offsets.select(|name, _| name == topic);
            let under_way = self.cx.stores.commits().filter(|commit| commit.group == group.number);
            let of_topic = under_way.flat_map(|commit| &commit.offsets).filter(|(name, ..)| **name == *topic);
            gone.extend(of_topic.map(|(name, partition, _)| (name.clone(), *partition)));
            let records = group.forget_offsets(&mut self.cx, &gone);
            if !records.is_empty() {
                self.cx.append(group.partition, records, Store::Nobody);
            }
        }
    }

    /// Forgets an empty group and its offsets. `Ok`: `GroupAnswer::Stored` follows.
    pub fn delete_group(&mut self, now: Now, name: &str, waiter: Waiter) -> Result<(), GroupError> {
        let group = self.by_name.get(name).ok_or(GroupError::GroupNotFound)?;
        if group.state != State::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        let Some(mut group) = self.forget(name) else { return Err(GroupError::GroupNotFound) };
        let all = group.offsets.select(|_, _| true);
        let mut records = group.forget_offsets(&mut self.cx, &all);
        records.extend(group.tombstones());
        self.cx.append_awaited(now, group.partition, records, Store::Tell(Some(waiter)));
        Ok(())
    }
}

impl Group {
    /// Whether who says to be a member may look at the offsets: in a consumer group only where it stands.
    pub fn check_look(&self, member: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        match &self.consumer {
            Some(consumer) if epoch >= 0 || member.is_some_and(|member| !member.is_empty()) => {
                consumer.check_epoch(member.unwrap_or_default(), epoch)
            }
            _ => Ok(()),
        }
    }

    /// Whether this member may commit now.
    fn check_commit(&self, from: &MemberOf<'_>) -> Result<(), GroupError> {
        if from.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if from.generation < 0 && from.member.is_empty() && from.instance.is_none() {
            return Err(GroupError::UnknownMember);
        }
        if let Some(consumer) = &self.consumer {
            return consumer.check_epoch(from.member, from.generation);
        }
        self.check_generation(from)?;
        match self.state {
            State::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn to_commit(&self, now: Now, one: &OffsetToCommit<'_>) -> (Arc<str>, PartitionIndex, Committed) {
        let topic = match self.offsets.by_topic.get_key_value(one.topic) {
            Some((name, _)) => name.clone(),
            None => one.topic.into(),
        };
        let expires_at = one.retention_ms.map(|ms| Timestamp(now.wall.0.saturating_add_unsigned(ms)));
        let committed = Committed {
            offset: one.offset,
            leader_epoch: one.leader_epoch,
            metadata: one.metadata.into(),
            committed_at: now.wall,
            expires_at,
        };
        (topic, one.partition, committed)
    }

    /// Forgets these offsets, those on their way included; returns their tombstones.
    pub(super) fn forget_offsets(
        &mut self,
        cx: &mut Context,
        partitions: &[(Arc<str>, PartitionIndex)],
    ) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for (topic, partition) in partitions {
            let mut is_known = self.offsets.remove(topic, *partition);
            for commit in cx.stores.commits().filter(|commit| commit.group == self.number) {
                let before = commit.offsets.len();
                commit.offsets.retain(|(of, at, _)| (of, at) != (topic, partition));
                is_known |= commit.offsets.len() < before;
            }
            if is_known {
                let key = Key::Offset { group: &self.name, topic, partition: *partition };
                records.push(GroupRecord { key: key.encode(), value: None });
            }
        }
        records
    }
}
