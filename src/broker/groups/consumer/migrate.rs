//! From the classic protocol to the consumer protocol and back (`group.consumer.migration.policy`).
//!
//! An empty group is whatever its next member makes it. A classic group with members becomes a consumer group when the
//! first member of that protocol joins, if all its members are consumers and the policy allows it: they keep what they
//! read, and go on as classic members of it. A consumer group goes back when its last member of that protocol has gone
//! and only classic ones are left, if the policy allows that; a generation begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::embedded::{Subscription, decode_assignment, encode_assignment};
use super::metadata::TopicView;
use super::store::Item;
use super::{ClassicMember, Consumer, ConsumerMember, Context, MEMBER_BYTES, PARTITION_BYTES, Partitions};
use crate::broker::groups::group::CONSUMER;
use crate::broker::groups::member::{Member, member_bytes};
use crate::broker::groups::stores::Store;
use crate::broker::groups::{Group, GroupError, JoinRequest, State};
use crate::config::Assignor;
use crate::memory::Grant;
use crate::types::Now;

/// What a topic's name takes in a member, beside its bytes.
const NAME_BYTES: usize = 40;

impl Group {
    /// Makes this a consumer group, if it may become one; `is_joining` when somebody joins it as that.
    pub(super) fn become_consumer(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        is_joining: bool,
    ) -> Result<(), GroupError> {
        if self.consumer.is_some() {
            return Ok(());
        }
        if !is_joining {
            return Err(GroupError::GroupNotFound);
        }
        let first = cx.config.assignors.first().copied().unwrap_or(Assignor::Uniform);
        let mut consumer = Box::new(Consumer::new(0, first));
        if self.generation > 0 {
            consumer.unsaved.insert(Item::Classic);
        }
        if self.members.is_empty() && self.given.is_empty() {
            self.forget_classic(cx);
        } else {
            let is_consumer = self.protocol_type() == Some(CONSUMER);
            let is_small = self.members.len() < cx.config.consumer_members_max as usize;
            if !cx.config.may_upgrade || !is_consumer || !is_small {
                return Err(GroupError::GroupNotFound);
            }
            self.upgrade(cx, view, &mut consumer)?;
            self.refuse_joins(cx, GroupError::RebalanceInProgress);
            self.refuse_syncs(cx, now, GroupError::RebalanceInProgress);
            self.forget_classic(cx);
        }
        self.protocol_type = Some(CONSUMER.into());
        consumer.unsaved.extend(self.gone.drain(..).map(|(key, _)| Item::Gone(key)));
        self.consumer = Some(consumer);
        let consumer = self.consumer.as_deref().map(|consumer| consumer.members.keys().cloned().collect::<Vec<_>>());
        for id in consumer.into_iter().flatten() {
            self.set_consumer_timers(cx, now, &id);
        }
        Ok(())
    }

    /// Classic members become members of `consumer`, with what they read.
    fn upgrade(&self, cx: &mut Context, view: TopicView<'_>, consumer: &mut Consumer) -> Result<(), GroupError> {
        (consumer.epoch, consumer.assignment_epoch) = (self.generation, self.generation);
        let mut taken = BTreeSet::new();
        for (id, member) in &self.members {
            let metadata = match &self.protocol {
                Some(protocol) => member.metadata(protocol),
                None => member.protocols.first().map(|one| &one.metadata),
            };
            let metadata = metadata.map_or(&[][..], |metadata| metadata);
            // What these members tell each other is not what consumers do: they stay among themselves.
            let said = Subscription::decode(metadata, view.topics).map_err(|_| GroupError::GroupNotFound)?;
            let read = decode_assignment(&member.assignment, view.topics).map_err(|_| GroupError::GroupNotFound)?;
            let assigned: Partitions = read.iter().filter(|one| taken.insert(**one)).copied().collect();
            let topics = consumer.shared_names(&said.topics);
            let names = topics.iter().map(|name| NAME_BYTES + name.len()).sum::<usize>();
            let sets = assigned.len() * PARTITION_BYTES;
            let take = |bytes: usize| cx.account.take(bytes).ok_or(GroupError::Unavailable);
            let (held, held_assigned, held_target) =
                (take(MEMBER_BYTES + 3 * id.len() + names + member.held.bytes())?, take(sets)?, take(sets)?);
            consumer.count_in(&topics, None);
            if let Some(instance) = &member.instance {
                consumer.static_members.insert(instance.clone(), id.clone());
            }
            let protocols = member.protocols.clone();
            let upgraded = ConsumerMember {
                number: cx.next_number(),
                instance: member.instance.clone(),
                rack: said.rack.map(Arc::from),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                topics,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                classic: Some(ClassicMember { session_timeout_ms: member.session_timeout_ms, protocols }),
                epoch: self.generation,
                previous_epoch: self.generation,
                target: assigned.clone(),
                assigned,
                held,
                held_assigned,
                held_target,
                ..ConsumerMember::default()
            };
            consumer.members.insert(id.clone(), upgraded);
            consumer.note_member(id);
        }
        consumer.unsaved.extend([Item::Group, Item::Assignment]);
        Ok(())
    }

    /// Everything that a classic group has beside its name and offsets.
    fn forget_classic(&mut self, cx: &mut Context) {
        self.cancel_timers(cx);
        self.given.clear();
        self.members.clear();
        self.static_members.clear();
        (self.leader, self.protocol, self.initial) = (None, None, None);
        (self.generation, self.is_storing) = (0, false);
    }

    /// An empty consumer group becomes a classic one, for the member that comes next.
    pub(in crate::broker::groups) fn become_classic(&mut self, cx: &mut Context, now: Now) {
        let Some(consumer) = self.consumer.take_if(|consumer| consumer.members.is_empty()) else { return };
        self.retract(cx, &consumer);
        self.protocol_type = None;
        self.transition(State::Empty, now);
    }

    /// Goes back to the classic protocol when only members of that are left. True when it has.
    pub(super) fn try_downgrade(&mut self, cx: &mut Context, now: Now, view: TopicView<'_>) -> bool {
        let is_classic = |consumer: &mut Box<Consumer>| {
            !consumer.members.is_empty() && consumer.members.values().all(|member| member.classic.is_some())
        };
        let members_max = cx.config.members_max as usize;
        if !cx.config.may_downgrade
            || !self
                .consumer
                .as_mut()
                .is_some_and(|consumer| is_classic(consumer) && consumer.members.len() <= members_max)
        {
            return false;
        }
        let Some(consumer) = self.consumer.take() else { return false };
        self.cancel_numbers(cx, consumer.numbers());
        self.retract(cx, &consumer);
        self.generation = consumer.epoch;
        self.protocol_type = Some(CONSUMER.into());
        for (id, member) in consumer.members {
            let assignment = Bytes::from(encode_assignment(member.version(view), &member.assigned, view.topics));
            let downgraded = member.downgraded(cx, assignment);
            if let Some(instance) = &downgraded.instance {
                self.static_members.insert(instance.clone(), id.clone());
            }
            self.members.insert(id, downgraded);
        }
        self.leader = self.members.keys().next().cloned();
        self.protocol = self.select_protocol();
        self.transition(State::Stable, now);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.keep_alive(cx, now, id));
        let record = self.record(|_, member| &member.assignment);
        cx.append(self.partition, vec![record], Store::Nobody);
        self.rebalance(cx, now);
        true
    }
}

impl ConsumerMember {
    /// The same as a member of a classic group.
    fn downgraded(self, cx: &mut Context, assignment: Bytes) -> Member {
        let ClassicMember { session_timeout_ms, protocols } =
            self.classic.unwrap_or(ClassicMember { session_timeout_ms: 0, protocols: Vec::new() });
        let request = JoinRequest {
            group: "",
            member: "",
            instance: self.instance.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            protocol_type: CONSUMER,
            protocols: protocols.iter().map(|one| (&*one.name, &one.metadata[..])).collect(),
            takes_member_id: false,
            may_skip_assignment: false,
        };
        // What it held as this covers what it holds as that, or nearly so when there is nothing left to take.
        let mut given_back = self.held;
        given_back.join(self.held_assigned);
        given_back.join(self.held_target);
        drop(given_back);
        let held = cx.take(member_bytes(&request)).unwrap_or_else(Grant::none);
        let mut member = Member::new(cx.next_number(), &request, held);
        member.held_assignment = cx.take(assignment.len()).unwrap_or_else(Grant::none);
        (member.assignment, member.is_new, member.has_synced) = (assignment, false, true);
        member
    }
}
