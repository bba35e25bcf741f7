//! Who is in a consumer group: joining, coming back, taking a static member's place, leaving, being removed.

use std::sync::Arc;

use super::metadata::TopicView;
use super::{
    Consumer, ConsumerHeartbeat, ConsumerMember, Context, JOINING, LEAVING_FOR_A_WHILE, MEMBER_BYTES, MemberState,
    Owed, Partitions,
};
use crate::broker::groups::group::Timer;
use crate::broker::groups::{Group, GroupError, Groups};
use crate::config::Assignor;
use crate::memory::Grant;
use crate::types::Now;

/// What a topic's name takes in a member, beside its bytes.
const NAME_BYTES: usize = 40;

/// What a member says about itself, now and from now on.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub instance: Option<&'a str>,
    pub rack: Option<&'a str>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<Vec<&'a str>>,
    pub regex: Option<&'a str>,
    pub assignor: Option<Assignor>,
    pub client_id: &'a str,
    pub client_host: &'a str,
}

impl Consumer {
    /// Finds the member that sends a heartbeat, or makes it. True when it is new.
    pub(super) fn find_or_add(
        &mut self,
        cx: &mut Context,
        group: u32,
        id: &Arc<str>,
        request: &ConsumerHeartbeat<'_>,
    ) -> Result<bool, GroupError> {
        let owner = request.instance.map(|instance| (instance, self.static_members.get(instance).cloned()));
        match owner {
            None if request.epoch != JOINING || self.members.contains_key(id) => {
                self.check_member(id, request)?;
                Ok(false)
            }
            Some((_, None)) if request.epoch != JOINING => Err(GroupError::UnknownMember),
            None | Some((_, None)) => {
                self.members.insert(id.clone(), ConsumerMember { number: cx.next_number(), ..Default::default() });
                Ok(true)
            }
            Some((_, Some(owner))) if owner == *id => {
                self.check_member(id, request)?;
                Ok(false)
            }
            Some((_, Some(_))) if request.epoch != JOINING => Err(GroupError::FencedInstance),
            Some((_, Some(owner))) => {
                let is_away = |member: &ConsumerMember| member.epoch == LEAVING_FOR_A_WHILE || member.classic.is_some();
                if !self.members.get(&owner).is_some_and(is_away) {
                    return Err(GroupError::UnreleasedInstance);
                }
                self.replace(cx, group, &owner, id);
                Ok(false)
            }
        }
    }

    /// Whether a member may send this; one that joins again begins anew.
    fn check_member(&mut self, id: &Arc<str>, request: &ConsumerHeartbeat<'_>) -> Result<(), GroupError> {
        let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
        if request.epoch == member.epoch {
            return Ok(());
        }
        // The answer that raised its epoch may have been lost.
        let owned = request.owned.as_ref();
        let is_late = request.epoch < member.epoch && request.epoch == member.previous_epoch;
        if is_late && owned.is_some_and(|owned| owned.is_within(&member.assigned)) {
            return Ok(());
        }
        if request.epoch != JOINING {
            return Err(GroupError::FencedEpoch);
        }
        member.start_over();
        self.note_member(id);
        Ok(())
    }

    /// Takes over what a member says; true when it subscribes to something else than before.
    /// `has_other` when its protocol is another one.
    pub(super) fn update(
        &mut self,
        cx: &Context,
        id: &Arc<str>,
        said: &Said<'_>,
        has_other: bool,
    ) -> Result<bool, GroupError> {
        let member = self.members.get(id).ok_or(GroupError::UnknownMember)?;
        let topics = said.topics.as_ref().map(|names| self.shared_names(names)).filter(|names| *names != member.topics);
        let regex = said.regex.map(|pattern| Some(pattern).filter(|pattern| !pattern.is_empty()));
        let regex = regex.filter(|pattern| *pattern != member.regex.as_deref());
        if let Some(Some(pattern)) = regex {
            self.check_regex(pattern)?;
        }
        let is_same = |said: Option<&str>, known: &Option<Arc<str>>| said.is_none() || said == known.as_deref();
        let timeout_ms = said.rebalance_timeout_ms.unwrap_or(member.rebalance_timeout_ms);
        let is_known = !has_other
            && is_same(said.instance, &member.instance)
            && is_same(said.rack, &member.rack)
            && (said.assignor.is_none() || said.assignor == member.assignor)
            && timeout_ms == member.rebalance_timeout_ms
            && *member.client_id == *said.client_id
            && *member.client_host == *said.client_host;
        if topics.is_none() && regex.is_none() && is_known {
            return Ok(false);
        }
        let names = topics.as_ref().unwrap_or(&member.topics).iter().map(|name| NAME_BYTES + name.len());
        let texts = [said.instance, said.rack, said.regex, Some(said.client_id), Some(said.client_host)];
        let texts: usize = texts.iter().flatten().map(|text| text.len()).sum();
        let classic = member.classic.iter().flat_map(|classic| &classic.protocols);
        let protocols: usize = classic.map(|one| NAME_BYTES + one.name.len() + one.metadata.len()).sum();
        let bytes = MEMBER_BYTES + 3 * id.len() + names.sum::<usize>() + texts + protocols;
        let held = cx.take(bytes).ok_or(GroupError::GroupFull)?;
        self.change(id, said, topics, regex, held)
    }

    /// Does what `update` has found to be in order.
    fn change(
        &mut self,
        id: &Arc<str>,
        said: &Said<'_>,
        topics: Option<Vec<Arc<str>>>,
        regex: Option<Option<&str>>,
        held: Grant,
    ) -> Result<bool, GroupError> {
        let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
        member.held = held;
        member.instance = said.instance.map(Arc::from).or(member.instance.take());
        member.rack = said.rack.map(Arc::from).or(member.rack.take());
        member.assignor = said.assignor.or(member.assignor);
        member.rebalance_timeout_ms = said.rebalance_timeout_ms.unwrap_or(member.rebalance_timeout_ms);
        (member.client_id, member.client_host) = (said.client_id.into(), said.client_host.into());
        if let Some(instance) = &member.instance {
            self.static_members.insert(instance.clone(), id.clone());
        }
        let is_changed = topics.is_some() || regex.is_some();
        let old_topics = topics.map(|topics| (std::mem::replace(&mut member.topics, topics.clone()), topics));
        let known = |pattern: &str| self.regexes.get_key_value(pattern).map(|(known, _)| known.clone());
        let new_regex = regex.map(|pattern| pattern.map(|pattern| known(pattern).unwrap_or_else(|| pattern.into())));
        let old_regex = new_regex.map(|regex| (std::mem::replace(&mut member.regex, regex.clone()), regex));
        if let Some((old, new)) = old_topics {
            self.count_in(&new, None);
            self.count_out(&old, None);
        }
        if let Some((old, new)) = old_regex {
            self.count_in(&[], new.as_ref());
            self.count_out(&[], old.as_ref());
        }
        self.unsaved.insert(super::store::Item::Member(id.clone()));
        Ok(is_changed)
    }

    /// Names, sorted, of which those that other members have too are kept once.
    pub(super) fn shared_names(&self, names: &[&str]) -> Vec<Arc<str>> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let shared = |name: &str| self.names.get_key_value(name).map(|(known, _)| known.clone());
        names.iter().map(|name| shared(name).unwrap_or_else(|| Arc::from(*name))).collect()
    }

    /// A new process takes the place of a static member, with what that had.
    pub(super) fn replace(&mut self, cx: &mut Context, group: u32, old: &Arc<str>, new: &Arc<str>) {
        let Some(mut member) = self.members.remove(old) else { return };
        self.note_member(old);
        cancel_timers(cx, group, member.number);
        member.number = cx.next_number();
        (member.epoch, member.previous_epoch) = (JOINING, JOINING);
        (member.state, member.revoking) = (MemberState::Stable, Partitions::default());
        (member.owed, member.classic) = (Owed::Nothing, None);
        if let Some(instance) = &member.instance {
            self.static_members.insert(instance.clone(), new.clone());
        }
        self.members.insert(new.clone(), member);
        self.note_member(new);
    }

    /// Takes a member out, and raises the group's epoch. False when there was none.
    pub(super) fn remove(&mut self, cx: &mut Context, group: u32, id: &str) -> bool {
        let Some((id, member)) = self.members.remove_entry(id) else { return false };
        cancel_timers(cx, group, member.number);
        if let Some(instance) = &member.instance {
            self.static_members.remove(instance);
        }
        self.count_out(&member.topics, member.regex.as_ref());
        self.note_member(&id);
        self.seen = None;
        self.raise_epoch();
        true
    }

    /// The member with this timer.
    pub(super) fn by_number(&self, number: u32) -> Option<(&Arc<str>, &ConsumerMember)> {
        self.members.iter().find(|(_, member)| member.number == number)
    }
}

impl ConsumerMember {
    /// As if it had never been assigned anything; its target stays.
    fn start_over(&mut self) {
        (self.epoch, self.previous_epoch, self.state) = (JOINING, JOINING, MemberState::Stable);
        (self.assigned, self.revoking) = (Partitions::default(), Partitions::default());
        self.held_assigned = Grant::none();
        self.owed = Owed::Nothing;
    }
}

pub(super) fn cancel_timers(cx: &mut Context, group: u32, number: u32) {
    cx.timers.cancel((group, Timer::Session(number)));
    cx.timers.cancel((group, Timer::Owed(number)));
}

impl Group {
    /// A member has been silent for too long.
    pub(in crate::broker::groups) fn consumer_session_over(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        number: u32,
    ) {
        let Some(consumer) = self.consumer.as_deref() else { return };
        if let Some(id) = consumer.by_number(number).map(|(id, _)| id.clone()) {
            self.remove_consumer(cx, now, view, &id);
        }
    }

    /// A member has not done in time what it owes.
    pub(in crate::broker::groups) fn consumer_owes(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        number: u32,
    ) {
        let Some(consumer) = self.consumer.as_deref() else { return };
        let Some((id, member)) = consumer.by_number(number) else { return };
        let is_late = match member.owed {
            Owed::Nothing => false,
            Owed::Revocation(epoch) => member.epoch == epoch && member.state == MemberState::UnrevokedPartitions,
            Owed::Rejoin | Owed::Sync => true,
        };
        if is_late {
            let id = id.clone();
            self.remove_consumer(cx, now, view, &id);
        }
    }

    /// Removes a member, writes that, and lets the group go back to the classic protocol if nobody needs the other.
    pub(super) fn remove_consumer(&mut self, cx: &mut Context, now: Now, view: TopicView<'_>, id: &str) -> bool {
        let number = self.number;
        let is_gone = self.consumer.as_deref_mut().is_some_and(|consumer| consumer.remove(cx, number, id));
        if is_gone && !self.try_downgrade(cx, now, view) {
            self.save_consumer(cx, now, None);
        }
        is_gone
    }
}

impl Groups {
    /// A member leaves by heartbeat, for good or, if it is static, for a while.
    pub(super) fn consumer_leave(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        request: &ConsumerHeartbeat<'_>,
    ) -> Result<Arc<str>, GroupError> {
        let group = self.by_name.get_mut(request.group).ok_or(GroupError::GroupNotFound)?;
        let consumer = group.consumer.as_deref_mut().ok_or(GroupError::GroupNotFound)?;
        let id = match request.instance {
            None => consumer.members.get_key_value(request.member).map(|(id, _)| id.clone()),
            Some(instance) => consumer.static_members.get(instance).cloned(),
        };
        let id = id.ok_or(GroupError::UnknownMember)?;
        if *id != *request.member {
            return Err(GroupError::FencedInstance);
        }
        if request.epoch != LEAVING_FOR_A_WHILE || request.instance.is_none() {
            group.remove_consumer(&mut self.cx, now, view, &id);
            return Ok(id);
        }
        let number = group.number;
        let member = consumer.members.get_mut(&id).ok_or(GroupError::UnknownMember)?;
        (member.epoch, member.state) = (LEAVING_FOR_A_WHILE, MemberState::Stable);
        (member.revoking, member.owed) = (Partitions::default(), Owed::Nothing);
        self.cx.timers.cancel((number, Timer::Owed(member.number)));
        consumer.unsaved.insert(super::store::Item::Current(id.clone()));
        Ok(id)
    }
}
