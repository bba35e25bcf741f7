//! JoinGroup: who becomes a member, who comes back, and who takes another's place.

use std::sync::Arc;

use super::group::{InitialDelay, Timer};
use super::member::{Member, member_bytes};
use super::stores::{Replaced, Store};
use super::{
    Context, Group, GroupAnswer, GroupError, Groups, JoinRefusal, JoinRequest, Joined, JoinedMember, State, TopicView,
};
use crate::broker::Waiter;
use crate::limits::{GROUP_MEMBER_METADATA_BYTES_MAX, GROUP_NAME_BYTES_MAX, GROUP_NEW_MEMBER_MS_MAX};
use crate::types::{Now, PartitionIndex};

impl From<GroupError> for JoinRefusal {
    fn from(error: GroupError) -> JoinRefusal {
        JoinRefusal { error, member: "".into() }
    }
}

impl Groups {
    /// A member joins; answered when its generation begins, or at once when that cannot be. `partition` is where the
    /// group lives.
    pub fn join(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        partition: PartitionIndex,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) {
        if let Err(refusal) = self.try_join(now, view, partition, request, waiter) {
            let refusal = match &*refusal.member {
                "" => JoinRefusal { member: request.member.into(), ..refusal },
                _ => refusal,
            };
            self.cx.answer(waiter, GroupAnswer::Joined(Err(refusal)));
        }
        if let Some(number) = self.by_name.get(request.group).map(|group| group.number) {
            self.sweep(number);
        }
    }

    fn try_join(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        partition: PartitionIndex,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), JoinRefusal> {
        check(request, &self.cx)?;
        if request.member.is_empty() {
            self.find_or_make(now, request.group, partition)?;
        }
        let group = self.by_name.get_mut(request.group).ok_or(GroupError::UnknownMember)?;
        let cx = &mut self.cx;
        group.become_classic(cx, now);
        if group.consumer.is_some() {
            return group.classic_join(cx, now, view, request, waiter);
        }
        if !group.accepts(request.member, cx.config.members_max as usize) {
            group.remove(cx, now, request.member);
            return Err(GroupError::GroupFull.into());
        }
        if !group.supports(request) {
            return Err(GroupError::InconsistentProtocol.into());
        }
        match request.member {
            "" => group.join_new(cx, now, request, waiter)?,
            _ => group.join_known(cx, now, request, waiter)?,
        }
        if group.state == State::PreparingRebalance {
            group.try_complete_join(cx, now);
        }
        Ok(())
    }
}

fn check(request: &JoinRequest<'_>, cx: &Context) -> Result<(), GroupError> {
    let config = &cx.config;
    if request.group.is_empty() || request.group.len() > GROUP_NAME_BYTES_MAX {
        return Err(GroupError::InvalidGroupId);
    }
    let session_ms = u64::try_from(request.session_timeout_ms).unwrap_or(0);
    if !(config.session_timeout_ms_min..=config.session_timeout_ms_max).contains(&session_ms) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    if member_bytes(request) > GROUP_MEMBER_METADATA_BYTES_MAX {
        return Err(GroupError::GroupFull);
    }
    Ok(())
}

impl Group {
    /// False when there are as many members as there may be and this is none of them.
    fn accepts(&self, member: &str, members_max: usize) -> bool {
        let known = self.members.get(member);
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => true,
            State::PreparingRebalance => {
                let joining = || self.members.values().filter(|member| member.joining.is_some()).count();
                known.is_some_and(|member| member.joining.is_some()) || joining() < members_max
            }
            State::CompletingRebalance | State::Stable => known.is_some() || self.members.len() < members_max,
        }
    }

    /// Somebody without an id.
    fn join_new(
        &mut self,
        cx: &mut Context,
        now: Now,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), JoinRefusal> {
        let id: Arc<str> = cx.new_id(request.instance.unwrap_or(request.client_id)).into();
        if let Some(instance) = request.instance {
            return match self.static_members.get(instance).cloned() {
                Some(old) => self.replace(cx, now, &old, id, request, waiter).map_err(Into::into),
                None => self.add(cx, now, id, request, waiter).map_err(Into::into),
            };
        }
        if !request.takes_member_id {
            return self.add(cx, now, id, request, waiter).map_err(Into::into);
        }
        let held = cx.take(member_bytes(request).min(GIVEN_BYTES)).ok_or(GroupError::GroupFull)?;
        let number = cx.next_number();
        self.given.insert(id.clone(), (number, held));
        self.set_session(cx, now, number, request.session_timeout_ms.max(0) as u64);
        Err(JoinRefusal { error: GroupError::MemberIdRequired, member: id })
    }

    /// Somebody with an id.
    fn join_known(
        &mut self,
        cx: &mut Context,
        now: Now,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        if let Some((id, (number, _))) = self.given.remove_entry(request.member) {
            cx.timers.cancel((self.number, Timer::Session(number)));
            return self.add(cx, now, id, request, waiter);
        }
        self.check_member(request.member, request.instance)?;
        let member = self.members.get(request.member).ok_or(GroupError::UnknownMember)?;
        let is_leader = self.leader.as_deref() == Some(request.member);
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => Err(GroupError::UnknownMember),
            // The answer to its first JoinGroup was lost.
            State::CompletingRebalance if member.matches(request) => {
                self.tell_generation(cx, request.member, waiter);
                Ok(())
            }
            // A follower that does not know that nothing has changed.
            State::Stable if !is_leader && member.matches(request) => {
                self.tell_generation(cx, request.member, waiter);
                Ok(())
            }
            _ => {
                self.update(cx, request, waiter)?;
                self.rebalance(cx, now);
                Ok(())
            }
        }
    }

    /// Adds a member, which asks for a new generation.
    fn add(
        &mut self,
        cx: &mut Context,
        now: Now,
        id: Arc<str>,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let held = cx.take(member_bytes(request)).ok_or(GroupError::GroupFull)?;
        if self.state == State::PreparingRebalance
            && self.generation == 0
            && let Some(initial) = &mut self.initial
        {
            initial.has_grown = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.into());
        }
        let number = cx.next_number();
        let mut member = Member::new(number, request, held);
        member.joining = Some(waiter);
        if let Some(instance) = &member.instance {
            self.static_members.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
        // It sends no heartbeats while it waits, and a client that is gone is not seen: it must come again in time.
        self.set_session(cx, now, number, GROUP_NEW_MEMBER_MS_MAX);
        self.rebalance(cx, now);
        Ok(())
    }

    /// Takes over what a member says now, and lets it wait.
    fn update(&mut self, cx: &mut Context, request: &JoinRequest<'_>, waiter: Waiter) -> Result<(), GroupError> {
        let held = cx.take(member_bytes(request)).ok_or(GroupError::GroupFull)?;
        let member = self.members.get_mut(request.member).ok_or(GroupError::UnknownMember)?;
        member.update(request, held);
        if let Some(earlier) = member.joining.replace(waiter)
            && earlier != waiter
        {
            let refusal = JoinRefusal { error: GroupError::RebalanceInProgress, member: request.member.into() };
            cx.answer(earlier, GroupAnswer::Joined(Err(refusal)));
        }
        Ok(())
    }

    /// A new process takes the place of a static member: the old one is fenced.
    fn replace(
        &mut self,
        cx: &mut Context,
        now: Now,
        old: &Arc<str>,
        new: Arc<str>,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let held = cx.take(member_bytes(request)).ok_or(GroupError::GroupFull)?;
        let leader_before = self.leader.clone().unwrap_or_default();
        self.rename(old, &new);
        let member = self.members.get_mut(&new).ok_or(GroupError::UnknownMember)?;
        fence(cx, old, member);
        let before = Replaced {
            member: old.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        };
        member.update(request, held);
        member.joining = Some(waiter);
        let (number, session_ms) = (member.number, member.session_timeout_ms.max(0) as u64);
        self.set_session(cx, now, number, session_ms);
        match self.state {
            State::Stable if self.protocol.is_some() && self.protocol == self.select_protocol() => {
                let record = self.record(|_, member| &member.assignment);
                let (group, may_skip) = (self.number, request.may_skip_assignment);
                let store = Store::Replacement { group, member: new, before, leader_before, may_skip };
                cx.append_awaited(now, self.partition, vec![record], store);
            }
            _ => self.rebalance(cx, now),
        }
        Ok(())
    }

    /// Gives a member another id.
    pub(super) fn rename(&mut self, old: &str, new: &Arc<str>) {
        let Some(member) = self.members.remove(old) else { return };
        if let Some(instance) = &member.instance {
            self.static_members.insert(instance.clone(), new.clone());
        }
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(new.clone());
        }
        self.members.insert(new.clone(), member);
    }

    /// Answers a JoinGroup with the generation that is there.
    fn tell_generation(&self, cx: &mut Context, member: &str, waiter: Waiter) {
        if let Some((id, _)) = self.members.get_key_value(member) {
            let is_leader = self.leader.as_deref() == Some(member);
            let joined = self.joined(id, if is_leader { self.roster() } else { Vec::new() });
            cx.answer(waiter, GroupAnswer::Joined(Ok(joined)));
        }
    }

    /// This generation, as a member learns of it.
    pub(super) fn joined(&self, member: &Arc<str>, members: Vec<JoinedMember>) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member: member.clone(),
            skip_assignment: false,
            members,
        }
    }

    /// All members with their metadata for the selected assignor.
    pub(super) fn roster(&self) -> Vec<JoinedMember> {
        let Some(protocol) = &self.protocol else { return Vec::new() };
        let member = |(id, member): (&Arc<str>, &Member)| JoinedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        };
        self.members.iter().map(member).collect()
    }

    /// Begins to prepare a generation, unless one is being prepared.
    pub(super) fn rebalance(&mut self, cx: &mut Context, now: Now) {
        match self.state {
            State::Empty => {
                let delay_ms = cx.config.initial_rebalance_delay_ms;
                let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms);
                self.initial = Some(InitialDelay { remaining_ms, has_grown: false });
                self.transition(State::PreparingRebalance, now);
                cx.timers.set((self.number, Timer::Join), now.mono.plus_millis(delay_ms));
            }
            State::Stable | State::CompletingRebalance => self.prepare_again(cx, now),
            State::PreparingRebalance | State::Dead | State::Assigning | State::Reconciling => {}
        }
    }

    pub(super) fn set_session(&self, cx: &mut Context, now: Now, number: u32, milliseconds: u64) {
        cx.timers.set((self.number, Timer::Session(number)), now.mono.plus_millis(milliseconds));
    }
}

/// What an id takes that was given and has not come back.
const GIVEN_BYTES: usize = 512;

/// The old process of a static member is told, wherever it waits.
fn fence(cx: &mut Context, old: &Arc<str>, member: &mut Member) {
    if let Some(waiter) = member.joining.take() {
        let refusal = JoinRefusal { error: GroupError::FencedInstance, member: old.clone() };
        cx.answer(waiter, GroupAnswer::Joined(Err(refusal)));
    }
    if let Some(waiter) = member.syncing.take() {
        cx.answer(waiter, GroupAnswer::Synced(Err(GroupError::FencedInstance)));
    }
}
