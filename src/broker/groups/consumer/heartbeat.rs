//! ConsumerGroupHeartbeat: a member joins, tells what is new, learns what it shall read, or leaves.

use std::sync::Arc;

use super::membership::Said;
use super::metadata::TopicView;
use super::{
    Consumer, ConsumerHeartbeat, ConsumerStanding, Context, JOINING, LEAVING, LEAVING_FOR_A_WHILE, MEMBER_BYTES,
    MemberState, Owed, Partitions,
};
use crate::broker::Waiter;
use crate::broker::groups::group::Timer;
use crate::broker::groups::{Group, GroupAnswer, GroupError, Groups};
use crate::config::Assignor;
use crate::limits::{GROUP_MEMBER_METADATA_BYTES_MAX, GROUP_NAME_BYTES_MAX};
use crate::types::{Now, PartitionIndex};

/// What a name takes in a request that is taken in.
const NAME_BYTES: usize = 48;

impl Groups {
    /// A member of a consumer group reports; answered when what follows is durable. `partition` is where the group
    /// lives.
    pub fn consumer_heartbeat(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        partition: PartitionIndex,
        request: &ConsumerHeartbeat<'_>,
        waiter: Waiter,
    ) {
        let result = match request.epoch {
            LEAVING | LEAVING_FOR_A_WHILE => self.consumer_leave(now, view, request).map(|member| {
                let epoch = if request.instance.is_some() { request.epoch } else { LEAVING };
                ConsumerStanding { member, epoch, assignment: None }
            }),
            _ => self.report(now, view, partition, request),
        };
        let answer = (waiter, GroupAnswer::Reported(result));
        match self.by_name.get_mut(request.group) {
            Some(group) => {
                group.save_consumer(&mut self.cx, now, Some(answer));
                let number = group.number;
                self.sweep(number);
            }
            None => self.cx.answer(answer.0, answer.1),
        }
    }

    fn report(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        partition: PartitionIndex,
        request: &ConsumerHeartbeat<'_>,
    ) -> Result<ConsumerStanding, GroupError> {
        check(request, self.cx.config.serves_consumer)?;
        let assignor = match request.assignor {
            Some(name) => Some(self.assignor(name)?),
            None => None,
        };
        if request.epoch == JOINING {
            self.find_or_make(now, request.group, partition)?;
        }
        let group = self.by_name.get_mut(request.group).ok_or(GroupError::GroupNotFound)?;
        let cx = &mut self.cx;
        group.become_consumer(cx, now, view, request.epoch == JOINING)?;
        let number = group.number;
        let consumer = group.consumer.as_deref_mut().ok_or(GroupError::GroupNotFound)?;
        let is_full = consumer.members.len() >= cx.config.consumer_members_max as usize;
        if is_full && request.epoch == JOINING && !consumer.may_come_back(request) {
            return Err(GroupError::GroupFull);
        }
        let id: Arc<str> = match consumer.members.get_key_value(request.member) {
            Some((id, _)) => id.clone(),
            None if request.member.is_empty() => cx.new_id("").into(),
            None => request.member.into(),
        };
        let is_new = consumer.find_or_add(cx, number, &id, request)?;
        let said = Said {
            instance: request.instance,
            rack: request.rack,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            topics: request.topics.clone(),
            regex: request.regex,
            assignor,
            client_id: request.client_id,
            client_host: request.client_host,
        };
        let has_other = match consumer.members.get_mut(&id) {
            Some(member) => member.classic.take().is_some(),
            None => false,
        };
        let is_changed = consumer.update(cx, &id, &said, has_other);
        if is_new && is_changed.is_err() {
            consumer.members.remove(&id); // nothing else knows of it yet
        }
        let is_changed = is_changed? || is_new;
        let advanced = consumer.advance(cx, now, view, &id, is_changed, request.owned.as_ref());
        group.set_consumer_timers(cx, now, &id); // it is a member, also when there was no memory to go on
        let has_changed = advanced?;
        let consumer = group.consumer.as_deref_mut().ok_or(GroupError::GroupNotFound)?;
        let member = consumer.members.get_mut(&id).ok_or(GroupError::UnknownMember)?;
        let says_all = request.rebalance_timeout_ms.is_some()
            && (request.topics.is_some() || request.regex.is_some())
            && request.owned.is_some();
        let is_told = std::mem::take(&mut member.is_untold) || request.epoch == JOINING || says_all || has_changed;
        let assignment = is_told.then(|| member.assigned.clone());
        Ok(ConsumerStanding { epoch: member.epoch, assignment, member: id })
    }

    fn assignor(&self, name: &str) -> Result<Assignor, GroupError> {
        let known = Assignor::parse(name).filter(|assignor| self.cx.config.assignors.contains(assignor));
        known.ok_or(GroupError::UnsupportedAssignor)
    }
}

fn check(request: &ConsumerHeartbeat<'_>, is_served: bool) -> Result<(), GroupError> {
    if !is_served {
        return Err(GroupError::UnsupportedProtocol);
    }
    if request.group.is_empty() || request.group.len() > GROUP_NAME_BYTES_MAX {
        return Err(GroupError::InvalidGroupId);
    }
    let names = request.topics.iter().flatten().map(|name| NAME_BYTES + name.len()).sum::<usize>();
    let texts = [Some(request.member), request.instance, request.rack, request.regex];
    let texts: usize = texts.iter().flatten().map(|text| 3 * text.len()).sum();
    if MEMBER_BYTES + names + texts > GROUP_MEMBER_METADATA_BYTES_MAX {
        return Err(GroupError::GroupFull);
    }
    Ok(())
}

impl Consumer {
    /// True for somebody who is in the group already, or whose instance is.
    fn may_come_back(&self, request: &ConsumerHeartbeat<'_>) -> bool {
        self.members.contains_key(request.member)
            || request.instance.is_some_and(|instance| self.static_members.contains_key(instance))
    }

    /// Everything that follows from what a member has said: epochs, targets, its next step. True when what it is
    /// assigned has changed.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        id: &Arc<str>,
        is_changed: bool,
        owned: Option<&Partitions>,
    ) -> Result<bool, GroupError> {
        self.look_at_topics(cx, now.wall, view, is_changed)?;
        self.retarget(cx, view)?;
        self.reconcile(cx, id, owned)
    }
}

impl Group {
    /// Begins a member's session anew, and the time in which it must let go.
    pub(super) fn set_consumer_timers(&mut self, cx: &mut Context, now: Now, id: &str) {
        let number = self.number;
        let session_ms = cx.config.consumer_session_timeout_ms;
        let Some(member) = self.consumer.as_deref_mut().and_then(|consumer| consumer.members.get_mut(id)) else {
            return;
        };
        let classic_ms = member.classic.as_ref().map(|classic| classic.session_timeout_ms.max(0) as u64);
        cx.timers.set((number, Timer::Session(member.number)), now.mono.plus_millis(classic_ms.unwrap_or(session_ms)));
        let owed = match member.state {
            MemberState::UnrevokedPartitions => Owed::Revocation(member.epoch),
            _ => Owed::Nothing,
        };
        // A classic member's deadlines are set where it is told what to do.
        if member.classic.is_none() && member.owed != owed {
            member.owed = owed;
            let timer = (number, Timer::Owed(member.number));
            match owed {
                Owed::Nothing => cx.timers.cancel(timer),
                _ => cx.timers.set(timer, now.mono.plus_millis(member.rebalance_timeout_ms.max(0) as u64)),
            }
        }
    }
}
