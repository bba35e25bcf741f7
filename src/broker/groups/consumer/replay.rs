//! A coordinator's start: what the log says of consumer groups.
//!
//! Compaction may have left a group's records in any order: what is there of a member is kept until all is read, and
//! what then lacks the member's own record is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::metadata::Regex;
use super::records::{
    ConsumerKey, ConsumerMemberValue, CurrentValue, GroupEpochValue, RegexValue, decode_assignment_epoch, decode_target,
};
use super::{ClassicMember, Consumer, ConsumerMember, MEMBER_BYTES, MemberState, PARTITION_BYTES, Partitions};
use crate::broker::groups::group::CONSUMER;
use crate::broker::groups::member::MemberProtocol;
use crate::broker::groups::replay::ReplayError;
use crate::broker::groups::{Context, Group, Groups};
use crate::config::Assignor;
use crate::memory::Grant;
use crate::types::{Now, PartitionIndex};

/// What a topic's name takes in a member, beside its bytes.
const NAME_BYTES: usize = 40;

impl Groups {
    /// Takes in one record of a consumer group.
    pub(in crate::broker::groups) fn replay_consumer(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        name: &str,
        key: ConsumerKey<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        let Some(value) = value else {
            if let Some(group) = self.by_name.get_mut(name) {
                group.forget_consumer_record(key);
            }
            self.sweep_named(name);
            return Ok(());
        };
        let cx = &self.cx;
        let take = |bytes: usize| cx.take(bytes).ok_or(ReplayError::NoMemory);
        let value = Value::decode(key, value, take)?;
        let first = self.cx.config.assignors.first().copied().unwrap_or(Assignor::Uniform);
        let number = self.cx.next_number();
        let group = self.find_or_make(now, name, partition).map_err(|_| ReplayError::NoMemory)?;
        if group.consumer.is_none() {
            group.reset();
            group.protocol_type = Some(CONSUMER.into());
        }
        let consumer = group.consumer.get_or_insert_with(|| Box::new(Consumer::new(0, first)));
        match value {
            Value::Group(value) => (consumer.epoch, consumer.hash) = (value.epoch, value.hash),
            Value::Assignment(epoch) => consumer.assignment_epoch = epoch,
            Value::Member(id, value, held) => consumer.replay_member(id, &value, held, number),
            Value::Target(id, target, held) => {
                let member = consumer.members.entry(id.into()).or_default();
                (member.target, member.held_target) = (target, held);
            }
            Value::Current(id, value, held) => {
                consumer.replayed += 1;
                let member = consumer.members.entry(id.into()).or_default();
                member.replayed = consumer.replayed;
                (member.epoch, member.previous_epoch) = (value.epoch, value.previous_epoch);
                (member.assigned, member.revoking, member.held_assigned) = (value.assigned, value.revoking, held);
                member.state = match value.state {
                    1 => MemberState::UnrevokedPartitions,
                    2 => MemberState::UnreleasedPartitions,
                    _ => MemberState::Stable,
                };
            }
            Value::Regex(pattern, value, held) => {
                let mut topics: Vec<Arc<str>> = value.topics.iter().map(|name| Arc::from(*name)).collect();
                topics.sort_unstable();
                let regex = Regex { members: 0, topics, seen: None, at: value.at, held };
                consumer.regexes.insert(pattern.into(), regex);
            }
        }
        Ok(())
    }
}

/// A record's value with what accounts for it.
enum Value<'a> {
    Group(GroupEpochValue),
    Assignment(i32),
    Member(&'a str, ConsumerMemberValue<'a>, Grant),
    Target(&'a str, Partitions, Grant),
    Current(&'a str, CurrentValue, Grant),
    Regex(&'a str, RegexValue<'a>, Grant),
}

impl<'a> Value<'a> {
    fn decode(
        key: ConsumerKey<'a>,
        value: &'a [u8],
        take: impl Fn(usize) -> Result<Grant, ReplayError>,
    ) -> Result<Value<'a>, ReplayError> {
        Ok(match key {
            ConsumerKey::Group => Value::Group(GroupEpochValue::decode(value)?),
            ConsumerKey::Assignment => Value::Assignment(decode_assignment_epoch(value)?),
            ConsumerKey::Member(id) => {
                let member = ConsumerMemberValue::decode(value)?;
                let bytes = MEMBER_BYTES + 3 * id.len() + value.len() + NAME_BYTES * member.topics.len();
                Value::Member(id, member, take(bytes)?)
            }
            ConsumerKey::Target(id) => {
                let target = decode_target(value)?;
                let held = take(target.len() * PARTITION_BYTES)?;
                Value::Target(id, target, held)
            }
            ConsumerKey::Current(id) => {
                let current = CurrentValue::decode(value)?;
                let held = take((current.assigned.len() + current.revoking.len()) * PARTITION_BYTES)?;
                Value::Current(id, current, held)
            }
            ConsumerKey::Regex(pattern) => {
                Value::Regex(pattern, RegexValue::decode(value)?, take(pattern.len() + 2 * value.len())?)
            }
        })
    }
}

impl Consumer {
    fn replay_member(&mut self, id: &str, value: &ConsumerMemberValue<'_>, held: Grant, number: u32) {
        let topics = self.shared_names(&value.topics);
        let regex: Option<Arc<str>> = value.regex.map(Arc::from);
        let before = self.members.get(id).map(|member| (member.topics.clone(), member.regex.clone()));
        self.count_in(&topics, None);
        if let Some((topics, _)) = before {
            self.count_out(&topics, None);
        }
        let member = self.members.entry(id.into()).or_default();
        member.number = if member.number == 0 { number } else { member.number };
        member.instance = value.instance.map(Arc::from);
        member.rack = value.rack.map(Arc::from);
        (member.client_id, member.client_host) = (value.client_id.into(), value.client_host.into());
        (member.topics, member.regex) = (topics, regex);
        member.rebalance_timeout_ms = value.rebalance_timeout_ms;
        member.assignor = value.assignor.and_then(Assignor::parse);
        member.classic = value.classic.as_ref().map(|(session_timeout_ms, protocols)| ClassicMember {
            session_timeout_ms: *session_timeout_ms,
            protocols: protocols
                .iter()
                .map(|(name, metadata)| MemberProtocol {
                    name: (*name).into(),
                    metadata: bytes::Bytes::copy_from_slice(metadata),
                })
                .collect(),
        });
        member.held = held;
    }

    /// Everything is read: what hangs together is kept.
    fn settle(&mut self) {
        let cut: Vec<Arc<str>> =
            self.members.iter().filter(|(_, member)| member.number == 0).map(|(id, _)| id.clone()).collect();
        for id in cut {
            self.members.remove(&id);
            self.note_member(&id);
        }
        self.static_members = BTreeMap::new();
        for (id, member) in &mut self.members {
            if let Some(instance) = &member.instance {
                self.static_members.insert(instance.clone(), id.clone());
            }
            if let Some(pattern) = &member.regex {
                self.regexes.entry(pattern.clone()).or_default().members += 1;
            }
        }
        // A log that did not take every record may give a partition to two: whose record came last has it.
        let mut owned = BTreeSet::new();
        let mut members: Vec<&mut ConsumerMember> = self.members.values_mut().collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.replayed));
        for member in members {
            member.assigned = member.assigned.iter().filter(|one| owned.insert(**one)).copied().collect();
            member.revoking = member.revoking.iter().filter(|one| owned.insert(**one)).copied().collect();
        }
        self.regexes.retain(|_, regex| regex.members > 0);
        // What was under way when the log ended is thought over again.
        self.assignment_epoch = self.assignment_epoch.min(self.epoch);
        self.seen = None;
    }
}

impl Group {
    /// A tombstone of the log.
    fn forget_consumer_record(&mut self, key: ConsumerKey<'_>) {
        let Some(consumer) = self.consumer.as_deref_mut() else { return };
        match key {
            ConsumerKey::Group => {
                self.consumer = None;
                self.reset();
            }
            ConsumerKey::Assignment => consumer.assignment_epoch = 0,
            ConsumerKey::Member(id) => {
                if let Some(member) = consumer.members.remove(id) {
                    consumer.count_out(&member.topics, None);
                }
            }
            ConsumerKey::Target(id) => {
                if let Some(member) = consumer.members.get_mut(id) {
                    (member.target, member.held_target) = Default::default();
                }
            }
            ConsumerKey::Current(id) => {
                if let Some(member) = consumer.members.get_mut(id) {
                    (member.epoch, member.previous_epoch, member.state) = Default::default();
                    (member.assigned, member.revoking, member.held_assigned) = Default::default();
                }
            }
            ConsumerKey::Regex(pattern) => {
                consumer.regexes.remove(pattern);
            }
        }
    }

    /// All records of the group's partition are read: members have their session timeout to show up.
    pub(in crate::broker::groups) fn consumer_loaded(&mut self, cx: &mut Context, now: Now) {
        let Some(consumer) = self.consumer.as_deref_mut() else { return };
        consumer.settle();
        self.state = consumer.state();
        let ids: Vec<Arc<str>> = consumer.members.keys().cloned().collect();
        for id in ids {
            self.set_consumer_timers(cx, now, &id);
        }
    }
}
