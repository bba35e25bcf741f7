//! Heartbeat and LeaveGroup: who is there, and who is not any more.

use super::group::Timer;
use super::{Context, Group, GroupError, Groups, Leaving, MemberOf, State, TopicView};
use crate::types::Now;

impl Groups {
    /// A member is alive; the error tells it what to do.
    pub fn heartbeat(&mut self, now: Now, from: &MemberOf<'_>) -> Result<(), GroupError> {
        let group = self.by_name.get_mut(from.group).ok_or(GroupError::UnknownMember)?;
        if group.consumer.is_some() {
            return group.classic_heartbeat(&mut self.cx, now, from);
        }
        group.check_generation(from)?;
        if matches!(group.state, State::Empty | State::Dead) {
            return Err(GroupError::UnknownMember);
        }
        group.keep_alive(&mut self.cx, now, from.member);
        if group.state == State::PreparingRebalance { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Members leave, or are removed by an administrator; one result each.
    pub fn leave<'a>(
        &mut self,
        now: Now,
        view: TopicView<'_>,
        group: &str,
        leaving: impl Iterator<Item = Leaving<'a>>,
    ) -> Vec<Result<(), GroupError>> {
        let Some(group) = self.by_name.get_mut(group) else {
            return leaving.map(|_| Err(GroupError::UnknownMember)).collect();
        };
        let results = leaving.map(|one| group.leave(&mut self.cx, now, view, one)).collect();
        let number = group.number;
        self.sweep(number);
        results
    }
}

impl Group {
    fn leave(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        leaving: Leaving<'_>,
    ) -> Result<(), GroupError> {
        if self.consumer.is_some() {
            return self.leave_consumer(cx, now, view, leaving);
        }
        if leaving.member.is_empty() {
            let known = leaving.instance.and_then(|instance| self.static_members.get(instance)).cloned();
            let id = known.ok_or(GroupError::UnknownMember)?;
            self.remove(cx, now, &id);
            return Ok(());
        }
        if let Some((number, _)) = self.given.remove(leaving.member) {
            cx.timers.cancel((self.number, Timer::Session(number)));
            self.try_complete_join(cx, now);
            return Ok(());
        }
        self.check_member(leaving.member, leaving.instance)?;
        self.remove(cx, now, leaving.member);
        Ok(())
    }

    /// Begins a member's session timeout anew.
    pub(super) fn keep_alive(&self, cx: &mut Context, now: Now, id: &str) {
        if let Some(member) = self.members.get(id) {
            self.set_session(cx, now, member.number, member.session_timeout_ms.max(0) as u64);
        }
    }
}
