//! From what a group is to what the log says of it.
//!
//! An operation notes which items it has changed; at its end each becomes a record made of what the group is then, or a
//! tombstone. What the log refuses is noted again, so that the next operation writes it. Answers wait for the records
//! that were written last, also when they bring none of their own: nobody is told what a crash could take back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::records::{
    ConsumerKey, ConsumerMemberValue, CurrentValue, GroupEpochValue, RegexValue, encode_assignment_epoch, encode_target,
};
use super::{Consumer, ConsumerMember, Context, MemberState};
use crate::broker::Waiter;
use crate::broker::groups::records::Key;
use crate::broker::groups::stores::Store;
use crate::broker::groups::{Group, GroupAnswer, GroupError, GroupRecord, Groups, JoinRefusal, group_of};
use crate::types::Now;

/// What a key takes that is still to be forgotten, beside its bytes.
const GONE_BYTES: usize = 64;

/// Something that has a record, in the order in which Kafka's coordinator takes values in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// The key of something that the group had in an earlier life as a consumer group.
    Gone(Vec<u8>),
    /// The classic generation that the group had before.
    Classic,
    /// What a member says.
    Member(Arc<str>),
    /// What a regular expression means.
    Regex(Arc<str>),
    /// The group's epoch.
    Group,
    /// A member's target.
    Target(Arc<str>),
    /// The epoch of the targets.
    Assignment,
    /// What a member reads.
    Current(Arc<str>),
}

/// Records of a consumer group on their way to the log, and who waits for them.
#[derive(Debug)]
pub(in crate::broker::groups) struct ConsumerStore {
    pub group: u32,
    items: Vec<Item>,
    pub answers: Vec<(Waiter, GroupAnswer)>,
}

impl Item {
    /// The record of an item; a tombstone when there is no such thing (any more).
    fn record(&self, name: &str, consumer: &Consumer) -> GroupRecord {
        let key = match self {
            Item::Gone(key) => return GroupRecord { key: key.clone(), value: None },
            Item::Classic => return GroupRecord { key: Key::Group { group: name }.encode(), value: None },
            Item::Member(id) => ConsumerKey::Member(id),
            Item::Regex(pattern) => ConsumerKey::Regex(pattern),
            Item::Group => ConsumerKey::Group,
            Item::Target(id) => ConsumerKey::Target(id),
            Item::Assignment => ConsumerKey::Assignment,
            Item::Current(id) => ConsumerKey::Current(id),
        };
        let value = match self {
            Item::Gone(_) | Item::Classic => None,
            Item::Member(id) => consumer.members.get(id).map(|member| member.value().encode()),
            Item::Regex(pattern) => consumer.regexes.get(pattern).map(|regex| {
                let topics = regex.topics.iter().map(|name| &**name).collect();
                RegexValue { topics, version: regex.seen.unwrap_or(0) as i64, at: regex.at }.encode()
            }),
            Item::Group => Some(GroupEpochValue { epoch: consumer.epoch, hash: consumer.hash }.encode()),
            Item::Target(id) => consumer.members.get(id).map(|member| encode_target(&member.target)),
            Item::Assignment => Some(encode_assignment_epoch(consumer.assignment_epoch)),
            Item::Current(id) => consumer.members.get(id).map(|member| member.current().encode()),
        };
        GroupRecord { key: key.encode(name), value }
    }
}

impl ConsumerMember {
    fn value(&self) -> ConsumerMemberValue<'_> {
        let classic = self.classic.as_ref().map(|classic| {
            let protocols = classic.protocols.iter().map(|one| (&*one.name, &one.metadata[..])).collect();
            (classic.session_timeout_ms, protocols)
        });
        ConsumerMemberValue {
            instance: self.instance.as_deref(),
            rack: self.rack.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            topics: self.topics.iter().map(|name| &**name).collect(),
            regex: self.regex.as_deref(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            assignor: self.assignor.map(|assignor| assignor.name()),
            classic,
        }
    }

    fn current(&self) -> CurrentValue {
        CurrentValue {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: match self.state {
                MemberState::Stable => 0,
                MemberState::UnrevokedPartitions => 1,
                MemberState::UnreleasedPartitions => 2,
            },
            assigned: self.assigned.clone(),
            revoking: self.revoking.clone(),
        }
    }
}

impl Consumer {
    /// Notes that everything about a member is to be written.
    pub(super) fn note_member(&mut self, id: &Arc<str>) {
        self.unsaved.extend([Item::Member(id.clone()), Item::Target(id.clone()), Item::Current(id.clone())]);
    }

    /// The records of what is not saved: tombstones first, and a member's own last, as Kafka's coordinator wants them.
    fn take_records(&mut self, name: &str) -> (Vec<Item>, Vec<GroupRecord>) {
        let unsaved = std::mem::take(&mut self.unsaved).into_iter();
        let items: Vec<Item> = unsaved.filter(|item| !self.is_here_again(item)).collect();
        let records: Vec<GroupRecord> = items.iter().map(|item| item.record(name, self)).collect();
        let (values, mut tombstones): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.value.is_some());
        tombstones.reverse();
        tombstones.extend(values);
        (items, tombstones)
    }

    /// True for what is gone and has come again: its value follows the old one, and no tombstone.
    fn is_here_again(&self, item: &Item) -> bool {
        let Item::Gone(key) = item else { return false };
        match Key::decode(key) {
            Ok(Some(Key::Consumer { key, .. })) => match key {
                ConsumerKey::Group | ConsumerKey::Assignment => true,
                ConsumerKey::Member(id) | ConsumerKey::Target(id) | ConsumerKey::Current(id) => {
                    self.members.contains_key(id)
                }
                ConsumerKey::Regex(pattern) => self.regexes.contains_key(pattern),
            },
            _ => false,
        }
    }

    /// The tombstones of everything that the log may know.
    pub(in crate::broker::groups) fn tombstones(&self, name: &str) -> Vec<GroupRecord> {
        let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
        for id in self.members.keys() {
            let of_member = [ConsumerKey::Current(id), ConsumerKey::Target(id), ConsumerKey::Member(id)];
            keys.extend(of_member.iter().map(|key| key.encode(name)));
        }
        keys.extend(self.regexes.keys().map(|pattern| ConsumerKey::Regex(pattern).encode(name)));
        keys.extend(self.unsaved.iter().map(|item| item.record(name, self).key));
        keys.extend([ConsumerKey::Assignment, ConsumerKey::Group].iter().map(|key| key.encode(name)));
        // In the order of the kinds a member's own would come first, which Kafka's coordinator does not take.
        keys.into_iter().rev().map(|key| GroupRecord { key, value: None }).collect()
    }
}

impl Group {
    /// Writes what has changed; `answer` leaves when it is durable, at once when nothing is on its way.
    pub(super) fn save_consumer(&mut self, cx: &mut Context, now: Now, answer: Option<(Waiter, GroupAnswer)>) {
        let Some(consumer) = self.consumer.as_deref_mut() else {
            return answer.into_iter().for_each(|(waiter, answer)| cx.answer(waiter, answer));
        };
        let state = consumer.state();
        let (items, records) = consumer.take_records(&self.name);
        if records.is_empty() {
            let last = consumer.last_store.and_then(|token| Some((token, cx.stores.consumer(token)?)));
            match (last, answer) {
                (_, None) => {}
                (Some((token, store)), Some(answer)) => {
                    store.answers.push(answer);
                    cx.wait_for(now, token);
                }
                (None, Some((waiter, answer))) => cx.answer(waiter, answer),
            }
        } else {
            let is_awaited = answer.is_some();
            let store = ConsumerStore { group: self.number, items, answers: answer.into_iter().collect() };
            let token = cx.append(self.partition, records, Store::Consumer(store));
            consumer.last_store = Some(token);
            if is_awaited {
                cx.wait_for(now, token);
            }
        }
        if state != self.state {
            self.transition(state, now);
        }
    }
}

impl Groups {
    /// The records of a consumer group are in the log, or not.
    pub(in crate::broker::groups) fn consumer_stored(
        &mut self,
        token: u32,
        store: ConsumerStore,
        result: Result<(), GroupError>,
    ) {
        let ConsumerStore { group, items, answers } = store;
        if let Some(consumer) = self.consumer_of(group) {
            consumer.last_store.take_if(|last| *last == token);
            if result.is_err() {
                consumer.unsaved.extend(items);
            }
        }
        match result {
            Ok(()) => answers.into_iter().for_each(|(waiter, answer)| self.cx.answer(waiter, answer)),
            Err(error) => self.refuse_reports(group, answers, error),
        }
    }

    /// Members do not learn where they stand: they are told the next time.
    pub(in crate::broker::groups) fn refuse_reports(
        &mut self,
        group: u32,
        answers: Vec<(Waiter, GroupAnswer)>,
        error: GroupError,
    ) {
        for (waiter, answer) in answers {
            if let GroupAnswer::Reported(Ok(standing)) = &answer
                && let Some(consumer) = self.consumer_of(group)
                && let Some(member) = consumer.members.get_mut(&standing.member)
            {
                member.is_untold = true;
            }
            self.cx.answer(waiter, refused(&answer, error));
        }
    }

    fn consumer_of(&mut self, group: u32) -> Option<&mut Consumer> {
        group_of(&mut self.by_name, &self.names, group)?.consumer.as_deref_mut()
    }
}

impl Group {
    /// Forgets in the log what the group had as a consumer group; what the log refuses is remembered.
    pub(super) fn retract(&mut self, cx: &mut Context, consumer: &Consumer) {
        let records = consumer.tombstones(&self.name);
        let keys = records.iter().map(|record| record.key.clone()).collect();
        cx.append(self.partition, records, Store::Retraction { group: self.number, keys });
    }

    /// The log knows these still: they are forgotten in it when the group is a consumer group again, which is when they
    /// could be taken for something. Nothing is remembered when there is no memory for it.
    pub(in crate::broker::groups) fn not_retracted(&mut self, cx: &Context, keys: impl Iterator<Item = Vec<u8>>) {
        for key in keys {
            let Some(held) = cx.take(GONE_BYTES + key.len()) else { return };
            self.gone.push((key, held));
        }
    }
}

/// The same answer as a refusal.
fn refused(answer: &GroupAnswer, error: GroupError) -> GroupAnswer {
    match answer {
        GroupAnswer::Joined(joined) => {
            let member = joined.as_ref().map_or_else(|refusal| refusal.member.clone(), |joined| joined.member.clone());
            GroupAnswer::Joined(Err(JoinRefusal { error, member }))
        }
        GroupAnswer::Synced(_) => GroupAnswer::Synced(Err(error)),
        GroupAnswer::Stored(_) => GroupAnswer::Stored(Err(error)),
        GroupAnswer::Reported(_) => GroupAnswer::Reported(Err(error)),
    }
}
