//! A coordinator's start: what a partition of `__consumer_offsets` says, record by record, and its end.
//!
//! Invariant: after `loaded` the groups of the partition are as they were when the last of its records was written,
//! except that nobody waits; members have their session timeout to show up.

use std::sync::Arc;

use bytes::Bytes;

use super::member::{Member, member_bytes};
use super::records::{GroupValue, Key, MemberValue, OffsetValue};
use super::{Committed, Group, GroupAnswer, GroupError, Groups, JoinRefusal, JoinRequest, State};
use crate::types::{Now, PartitionIndex, ReadError};

/// Why a record was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// It is none of Kafka's forms.
    Malformed(ReadError),
    /// The account "groups" is too small for what the log holds.
    NoMemory,
}

impl From<ReadError> for ReplayError {
    fn from(error: ReadError) -> ReplayError {
        ReplayError::Malformed(error)
    }
}

impl Groups {
    /// Takes in one record of a partition, in the order of the log.
    pub fn replay(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match (Key::decode(key)?, value) {
            (None, _) => Ok(()),
            (Some(Key::Offset { group, topic, partition: index }), None) => {
                if let Some(group) = self.by_name.get_mut(group) {
                    group.offsets.remove(topic, index);
                }
                self.sweep_named(group);
                Ok(())
            }
            (Some(Key::Offset { group, topic, partition: index }), Some(value)) => {
                let value = OffsetValue::decode(value)?;
                let (committed, held) = Committed::replayed(&value, &self.cx).ok_or(ReplayError::NoMemory)?;
                let group = self.find_or_make(now, group, partition).map_err(|_| ReplayError::NoMemory)?;
                let topic: Arc<str> = match group.offsets.topics().find(|(name, _)| &***name == topic) {
                    Some((name, _)) => name.clone(),
                    None => topic.into(),
                };
                group.offsets.insert(&topic, index, committed, held);
                Ok(())
            }
            (Some(Key::Consumer { group, key }), value) => self.replay_consumer(now, partition, group, key, value),
            (Some(Key::Group { group }), None) => {
                if let Some(group) = self.by_name.get_mut(group).filter(|group| group.consumer.is_none()) {
                    group.reset();
                }
                self.sweep_named(group);
                Ok(())
            }
            (Some(Key::Group { group }), Some(value)) => {
                let value = GroupValue::decode(value)?;
                self.find_or_make(now, group, partition).map_err(|_| ReplayError::NoMemory)?;
                self.replay_group(group, &value)
            }
        }
    }

    /// All records of the partition were replayed.
    pub fn loaded(&mut self, now: Now, partition: PartitionIndex) {
        for group in self.by_name.values_mut().filter(|group| group.partition == partition) {
            if group.consumer.is_some() {
                group.consumer_loaded(&mut self.cx, now);
                continue;
            }
            group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
            for id in group.members.keys() {
                group.keep_alive(&mut self.cx, now, id);
            }
        }
    }

    /// Forgets the groups of a partition that this node does not lead any more; whoever waits is told.
    pub fn unload(&mut self, partition: PartitionIndex) {
        let of = |group: &&Group| group.partition == partition;
        let names: Vec<Arc<str>> = self.by_name.values().filter(of).map(|group| group.name.clone()).collect();
        for name in names {
            let Some(group) = self.forget(&name) else { continue };
            for (id, member) in group.members {
                if let Some(waiter) = member.joining {
                    let refusal = JoinRefusal { error: GroupError::NotCoordinator, member: id.clone() };
                    self.cx.answer(waiter, GroupAnswer::Joined(Err(refusal)));
                }
                if let Some(waiter) = member.syncing {
                    self.cx.answer(waiter, GroupAnswer::Synced(Err(GroupError::NotCoordinator)));
                }
            }
        }
        for token in self.cx.stores.of(partition) {
            self.stored(Now::default(), token, Err(GroupError::NotCoordinator));
        }
    }

    pub(super) fn sweep_named(&mut self, name: &str) {
        if let Some(number) = self.by_name.get(name).map(|group| group.number) {
            self.sweep(number);
        }
    }

    fn replay_group(&mut self, name: &str, value: &GroupValue<'_>) -> Result<(), ReplayError> {
        let Some(group) = self.by_name.get_mut(name) else { return Ok(()) };
        if let Some(consumer) = group.consumer.take() {
            let keys = consumer.tombstones(name).into_iter().map(|record| record.key);
            group.not_retracted(&self.cx, keys);
        }
        group.reset();
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty()).map(Arc::from);
        group.protocol = value.protocol.map(Arc::from);
        group.leader = value.leader.map(Arc::from);
        group.state_since = if value.state_since.0 >= 0 { value.state_since } else { group.state_since };
        for one in &value.members {
            let request = as_request(value, one);
            let held = self.cx.take(member_bytes(&request)).ok_or(ReplayError::NoMemory)?;
            let mut member = Member::new(self.cx.next_number(), &request, held);
            member.held_assignment = self.cx.take(one.assignment.len()).ok_or(ReplayError::NoMemory)?;
            member.assignment = Bytes::copy_from_slice(one.assignment);
            member.is_new = false;
            member.has_synced = true;
            let id: Arc<str> = one.member.into();
            if let Some(instance) = &member.instance {
                group.static_members.insert(instance.clone(), id.clone());
            }
            group.members.insert(id, member);
        }
        Ok(())
    }
}

/// A stored member as if it joined.
fn as_request<'a>(value: &GroupValue<'a>, member: &MemberValue<'a>) -> JoinRequest<'a> {
    JoinRequest {
        group: "",
        member: member.member,
        instance: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        protocol_type: value.protocol_type,
        protocols: vec![(value.protocol.unwrap_or_default(), member.subscription)],
        takes_member_id: false,
        may_skip_assignment: false,
    }
}

impl Group {
    /// As if it had never had a member.
    pub(super) fn reset(&mut self) {
        self.state = State::Empty;
        self.generation = 0;
        (self.protocol_type, self.protocol, self.leader) = (None, None, None);
        self.members.clear();
        self.static_members.clear();
    }
}
