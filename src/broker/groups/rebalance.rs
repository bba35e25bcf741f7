//! From one generation to the next: who is waited for, who leads, who is left out.
//!
//! A rebalance ends when everybody has joined or when the longest rebalance timeout is over. The first one of an empty
//! group ends after `group.initial.rebalance.delay.ms`, drawn out while members keep coming. Then the leader assigns;
//! who has not asked for its assignment within another rebalance timeout is removed, and there is another rebalance.

use std::sync::Arc;

use super::group::{InitialDelay, Timer};
use super::stores::Store;
use super::{Context, Group, GroupAnswer, GroupError, JoinRefusal, Member, State, TopicView};
use crate::types::Now;

impl Group {
    /// A deadline has passed.
    pub(super) fn timer_expired(&mut self, cx: &mut Context, now: Now, view: TopicView<'_>, timer: Timer) {
        match timer {
            Timer::Join => self.join_time_over(cx, now),
            Timer::Sync => self.sync_time_over(cx, now),
            Timer::Session(number) if self.consumer.is_some() => self.consumer_session_over(cx, now, view, number),
            Timer::Owed(number) => self.consumer_owes(cx, now, view, number),
            Timer::Session(number) => self.session_over(cx, now, number),
        }
    }

    /// Begins to prepare a generation after one that stands or is half made.
    pub(super) fn prepare_again(&mut self, cx: &mut Context, now: Now) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(cx, now, GroupError::RebalanceInProgress);
        }
        cx.timers.cancel((self.number, Timer::Sync));
        self.is_storing = false;
        self.initial = None;
        self.transition(State::PreparingRebalance, now);
        cx.timers.set((self.number, Timer::Join), now.mono.plus_millis(self.rebalance_timeout_ms()));
        self.try_complete_join(cx, now);
    }

    /// Begins the generation if nobody is missing.
    pub(super) fn try_complete_join(&mut self, cx: &mut Context, now: Now) {
        if self.state == State::PreparingRebalance && self.initial.is_none() && self.has_everybody() {
            self.complete_join(cx, now);
        }
    }

    fn join_time_over(&mut self, cx: &mut Context, now: Now) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if let Some(InitialDelay { remaining_ms, has_grown: true }) = self.initial
            && remaining_ms > 0
        {
            let delay_ms = cx.config.initial_rebalance_delay_ms.min(remaining_ms);
            self.initial = Some(InitialDelay { remaining_ms: remaining_ms - delay_ms, has_grown: false });
            cx.timers.set((self.number, Timer::Join), now.mono.plus_millis(delay_ms));
            return;
        }
        self.initial = None;
        self.complete_join(cx, now);
    }

    /// Begins the generation with those who are there.
    fn complete_join(&mut self, cx: &mut Context, now: Now) {
        self.initial = None;
        cx.timers.cancel((self.number, Timer::Join));
        let is_absent = |member: &Member| member.joining.is_none() && !member.is_static();
        for id in self.ids_of(is_absent) {
            self.take_out(cx, &id);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Static members only, none of which has come: their sessions decide.
            cx.timers.set((self.number, Timer::Join), now.mono.plus_millis(self.rebalance_timeout_ms()));
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        if self.members.is_empty() {
            self.leader = None;
            self.transition(State::Empty, now);
            let record = self.record(|_, _| &[]);
            cx.append(self.partition, vec![record], Store::Nobody);
            return;
        }
        self.transition(State::CompletingRebalance, now);
        self.tell_everybody(cx, now);
        cx.timers.set((self.number, Timer::Sync), now.mono.plus_millis(self.rebalance_timeout_ms()));
    }

    /// Answers everybody's JoinGroup.
    fn tell_everybody(&mut self, cx: &mut Context, now: Now) {
        let mut roster = Some(self.roster());
        for id in self.ids_of(|_| true) {
            let is_leader = self.leader.as_ref() == Some(&id);
            let members = if is_leader { roster.take().unwrap_or_default() } else { Vec::new() };
            let joined = self.joined(&id, members);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.is_new = false;
            member.has_synced = false;
            if let Some(waiter) = member.joining.take() {
                cx.answer(waiter, GroupAnswer::Joined(Ok(joined)));
            }
            self.keep_alive(cx, now, &id);
        }
    }

    /// True when the leader is one of those who have joined; another is chosen when it is not.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(has_joined) {
            let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
            let Some((id, _)) = joined else { return false };
            self.leader = Some(id.clone());
        }
        true
    }

    /// Somebody has not asked for its assignment in time.
    fn sync_time_over(&mut self, cx: &mut Context, now: Now) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        let late = self.ids_of(|member| !member.has_synced);
        if late.is_empty() {
            return;
        }
        for id in late {
            self.take_out(cx, &id);
        }
        self.prepare_again(cx, now);
    }

    /// A member has been silent for its session timeout, or somebody has not come back with its id.
    fn session_over(&mut self, cx: &mut Context, now: Now, number: u32) {
        if let Some(id) = self.given.iter().find(|(_, given)| given.0 == number).map(|(id, _)| id.clone()) {
            self.given.remove(&id);
            self.try_complete_join(cx, now);
            return;
        }
        let Some((id, member)) = self.members.iter().find(|(_, member)| member.number == number) else { return };
        // Who waits for us cannot send heartbeats. A new one is taken for gone after so long a wait.
        let is_waiting = member.joining.is_some() || member.syncing.is_some();
        if member.is_new || !is_waiting {
            let id = id.clone();
            self.remove(cx, now, &id);
        }
    }

    /// Removes a member and does what that means for the others.
    pub(super) fn remove(&mut self, cx: &mut Context, now: Now, id: &str) {
        if !self.take_out(cx, id) {
            return;
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_again(cx, now),
            State::PreparingRebalance => self.try_complete_join(cx, now),
            State::Empty | State::Dead | State::Assigning | State::Reconciling => {}
        }
    }

    /// Takes a member out; whatever it waits for is refused. False when there was none.
    fn take_out(&mut self, cx: &mut Context, id: &str) -> bool {
        let Some(member) = self.members.remove(id) else { return false };
        cx.timers.cancel((self.number, Timer::Session(member.number)));
        if let Some(instance) = &member.instance {
            self.static_members.remove(instance);
        }
        if let Some(waiter) = member.joining {
            let refusal = JoinRefusal { error: GroupError::UnknownMember, member: "".into() };
            cx.answer(waiter, GroupAnswer::Joined(Err(refusal)));
        }
        if let Some(waiter) = member.syncing {
            cx.answer(waiter, GroupAnswer::Synced(Err(GroupError::UnknownMember)));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        true
    }

    fn ids_of(&self, is_wanted: impl Fn(&Member) -> bool) -> Vec<Arc<str>> {
        self.members.iter().filter(|(_, member)| is_wanted(member)).map(|(id, _)| id.clone()).collect()
    }
}
