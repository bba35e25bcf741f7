//! From the target to what members read: first let go, then take.
//!
//! A member keeps what it has and shall have. What it must lose it is told to revoke, and stays at its epoch until it
//! says that it has. What it shall gain it gets as soon as nobody else has it or is still letting go of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assign::{Candidate, Sizes, assign};
use super::metadata::TopicView;
use super::partitions::{Partitions, TopicPartition};
use super::store::Item;
use super::{Consumer, Context, MemberState, PARTITION_BYTES};
use crate::broker::groups::GroupError;
use crate::config::Assignor;
use crate::memory::Grant;

impl Consumer {
    /// Makes the targets anew when the group's epoch is ahead of them.
    pub(super) fn retarget(&mut self, cx: &Context, view: TopicView<'_>) -> Result<(), GroupError> {
        if self.epoch <= self.assignment_epoch {
            return Ok(());
        }
        let assignor = self.preferred(&cx.config.assignors);
        let mut sizes = Sizes::new();
        let candidates: Vec<Candidate<'_>> = self
            .members
            .iter()
            .map(|(id, member)| Candidate {
                name: member.instance.as_ref().unwrap_or(id),
                before: &member.target,
                topics: self.topics_of(member, view, &mut sizes),
            })
            .collect();
        let targets = assign(assignor, &candidates, &sizes);
        drop(candidates);
        let mut changed: Vec<(Arc<str>, Partitions, Grant)> = Vec::new();
        for ((id, member), target) in self.members.iter().zip(targets) {
            if member.target != target {
                let held = cx.take(target.len() * PARTITION_BYTES).ok_or(GroupError::Unavailable)?;
                changed.push((id.clone(), target, held));
            }
        }
        for (id, target, held) in changed {
            if let Some(member) = self.members.get_mut(&id) {
                (member.target, member.held_target) = (target, held);
                self.unsaved.insert(Item::Target(id));
            }
        }
        self.assignor = assignor;
        self.assignment_epoch = self.epoch;
        self.unsaved.insert(Item::Assignment);
        Ok(())
    }

    /// The assignor that most members would like; the first of the configuration when nobody says.
    fn preferred(&self, known: &[Assignor]) -> Assignor {
        let votes = |assignor: Assignor| self.members.values().filter(|one| one.assignor == Some(assignor)).count();
        let first = known.first().copied().unwrap_or(Assignor::Uniform);
        let voted = known.iter().copied().filter(|assignor| votes(*assignor) > 0);
        // Of equals the one that stands first.
        voted.rev().max_by_key(|assignor| votes(*assignor)).unwrap_or(first)
    }

    /// Brings a member one step nearer to its target. `owned` is what it says that it reads. True when what it is
    /// assigned has changed.
    pub(super) fn reconcile(
        &mut self,
        cx: &Context,
        id: &Arc<str>,
        owned: Option<&Partitions>,
    ) -> Result<bool, GroupError> {
        let member = self.members.get(id).ok_or(GroupError::UnknownMember)?;
        let still_has = |revoking: &Partitions| owned.is_none_or(|owned| !owned.common(revoking).is_empty());
        match member.state {
            MemberState::Stable if member.epoch == self.assignment_epoch => return Ok(false),
            MemberState::UnrevokedPartitions if still_has(&member.revoking) => return Ok(false),
            _ => {}
        }
        let kept = member.assigned.common(&member.target);
        let revoking = member.assigned.without(&member.target);
        let gained = member.target.without(&kept);
        let taken = self.taken_by_others(id, &gained);
        let free: Partitions = gained.iter().filter(|one| !taken.contains(one)).copied().collect();
        let (epoch, state, assigned, revoking) = if !revoking.is_empty() && still_has(&revoking) {
            (member.epoch, MemberState::UnrevokedPartitions, kept, revoking)
        } else {
            let is_waiting = free.len() < gained.len();
            let state = if is_waiting { MemberState::UnreleasedPartitions } else { MemberState::Stable };
            (self.assignment_epoch, state, kept.with(&free), Partitions::default())
        };
        let held = cx.take((assigned.len() + revoking.len()) * PARTITION_BYTES).ok_or(GroupError::Unavailable)?;
        let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
        let has_changed = member.assigned != assigned;
        if member.epoch != epoch || member.state != state || has_changed || member.revoking != revoking {
            if member.epoch != epoch {
                member.previous_epoch = member.epoch;
            }
            (member.epoch, member.state) = (epoch, state);
            (member.assigned, member.revoking, member.held_assigned) = (assigned, revoking, held);
            self.unsaved.insert(Item::Current(id.clone()));
        }
        Ok(has_changed)
    }

    /// Those of `wanted` that another member reads or has not let go of.
    pub(super) fn taken_by_others(&self, id: &str, wanted: &Partitions) -> BTreeSet<TopicPartition> {
        let mut taken = BTreeSet::new();
        if wanted.is_empty() {
            return taken;
        }
        for (_, other) in self.members.iter().filter(|(other, _)| ***other != *id) {
            let has = other.assigned.iter().chain(other.revoking.iter());
            taken.extend(has.filter(|one| wanted.contains(one)).copied());
        }
        taken
    }

    /// True when nothing that a member waits for is free.
    pub(super) fn waits_for_others(&self, id: &str) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        let missing = member.target.without(&member.assigned);
        self.taken_by_others(id, &missing).len() == missing.len()
    }
}
