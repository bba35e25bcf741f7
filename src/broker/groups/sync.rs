//! SyncGroup: the leader's assignment is stored, then everybody gets theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::group::Timer;
use super::stores::{Assignment, Store};
use super::{Context, Group, GroupAnswer, GroupError, Groups, JoinRefusal, State, SyncRequest, Synced, TopicView};
use crate::broker::Waiter;
use crate::memory::Grant;
use crate::types::Now;

impl Groups {
    /// A member asks for its assignment; answered when the leader's is stored, or at once when there is one or none
    /// will be.
    pub fn sync(&mut self, now: Now, view: TopicView<'_>, request: &SyncRequest<'_>, waiter: Waiter) {
        let refused = match self.by_name.get_mut(request.from.group) {
            None => Err(GroupError::UnknownMember),
            Some(group) if group.consumer.is_some() => group.classic_sync(&mut self.cx, now, view, request, waiter),
            Some(group) => group.sync(&mut self.cx, now, request, waiter),
        };
        if let Err(error) = refused {
            self.cx.answer(waiter, GroupAnswer::Synced(Err(error)));
        }
    }
}

impl Group {
    fn sync(
        &mut self,
        cx: &mut Context,
        now: Now,
        request: &SyncRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        self.check_generation(&request.from)?;
        let differs =
            |said: Option<&str>, own: &Option<Arc<str>>| said.is_some_and(|said| own.as_deref() != Some(said));
        if differs(request.protocol_type, &self.protocol_type) || differs(request.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        let id = request.from.member;
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => Err(GroupError::UnknownMember),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::Stable => {
                let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
                member.has_synced = true;
                let synced = self.synced(id);
                cx.answer(waiter, GroupAnswer::Synced(Ok(synced)));
                self.keep_alive(cx, now, id);
                Ok(())
            }
            State::CompletingRebalance => self.await_assignment(cx, now, request, waiter),
        }
    }

    fn await_assignment(
        &mut self,
        cx: &mut Context,
        now: Now,
        request: &SyncRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let id = request.from.member;
        let assignment = match self.leader.as_deref() == Some(id) && !self.is_storing {
            true => Some(self.assignment(cx, request)?),
            false => None,
        };
        let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
        member.has_synced = true;
        if let Some(earlier) = member.syncing.replace(waiter)
            && earlier != waiter
        {
            cx.answer(earlier, GroupAnswer::Synced(Err(GroupError::RebalanceInProgress)));
        }
        if let Some(assignment) = assignment {
            let of = |id: &str| assignment.by_member.get(id).map_or(&[][..], |(bytes, _)| bytes);
            let record = self.record(|id, _| of(id));
            self.is_storing = true;
            cx.append_awaited(now, self.partition, vec![record], Store::Assignment(assignment));
        }
        Ok(())
    }

    /// What the leader has made, for those who are members.
    fn assignment(&self, cx: &Context, request: &SyncRequest<'_>) -> Result<Assignment, GroupError> {
        let mut by_member: BTreeMap<Arc<str>, (Bytes, Grant)> = BTreeMap::new();
        for &(id, bytes) in &request.assignments {
            if let Some((id, _)) = self.members.get_key_value(id) {
                let held = cx.take(bytes.len()).ok_or(GroupError::Unavailable)?;
                by_member.insert(id.clone(), (Bytes::copy_from_slice(bytes), held));
            }
        }
        Ok(Assignment { group: self.number, generation: self.generation, by_member })
    }

    /// The leader's assignment is in the log, or not.
    pub(super) fn assignment_stored(
        &mut self,
        cx: &mut Context,
        now: Now,
        assignment: Assignment,
        result: Result<(), GroupError>,
    ) {
        let is_current = self.state == State::CompletingRebalance && assignment.generation == self.generation;
        if !is_current || !std::mem::take(&mut self.is_storing) {
            return;
        }
        if let Err(error) = result {
            self.refuse_syncs(cx, now, error);
            self.prepare_again(cx, now);
            return;
        }
        let mut by_member = assignment.by_member;
        for (id, member) in &mut self.members {
            (member.assignment, member.held_assignment) = by_member.remove(id).unwrap_or_default();
        }
        self.transition(State::Stable, now);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let synced = self.synced(&id);
            if let Some(waiter) = self.members.get_mut(&id).and_then(|member| member.syncing.take()) {
                cx.answer(waiter, GroupAnswer::Synced(Ok(synced)));
            }
            self.keep_alive(cx, now, &id);
        }
        if self.members.values().all(|member| member.has_synced) {
            cx.timers.cancel((self.number, Timer::Sync));
        }
    }

    /// Nobody who waits for a generation gets into one.
    pub(super) fn refuse_joins(&mut self, cx: &mut Context, error: GroupError) {
        for (id, member) in &mut self.members {
            if let Some(waiter) = member.joining.take() {
                cx.answer(waiter, GroupAnswer::Joined(Err(JoinRefusal { error, member: id.clone() })));
            }
        }
    }

    /// Nobody gets an assignment of this generation.
    pub(super) fn refuse_syncs(&mut self, cx: &mut Context, now: Now, error: GroupError) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            member.held_assignment = Grant::none();
            if let Some(waiter) = member.syncing.take() {
                cx.answer(waiter, GroupAnswer::Synced(Err(error)));
            }
            self.keep_alive(cx, now, &id);
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }
}
