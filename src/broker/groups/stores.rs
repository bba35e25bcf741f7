//! Records on their way to the log, and what happens once they are there, or not in time.
//!
//! Invariant: each token is ended once; what is held for records under way is granted. Clients wait for
//! `offsets.commit.timeout.ms` at most: a coordinator that is cut off from the other replicas answers, so that they look
//! for another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::consumer::ConsumerStore;
use super::member::MemberProtocol;
use super::offsets::CommitUnderWay;
use super::{Context, Group, GroupAnswer, GroupError, Groups, JoinRefusal, State, group_of};
use crate::broker::Waiter;
use crate::memory::Grant;
use crate::types::{Instant, Now, PartitionIndex};

/// What a leader's assignor has made.
#[derive(Debug)]
pub(super) struct Assignment {
    pub group: u32,
    pub generation: i32,
    pub by_member: BTreeMap<Arc<str>, (Bytes, Grant)>,
}

/// What a static member was before another process took its place.
#[derive(Debug)]
pub(super) struct Replaced {
    pub member: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Vec<MemberProtocol>,
}

/// What is to happen when records are durable or refused.
#[derive(Debug)]
pub(super) enum Store {
    /// Nothing.
    Nobody,
    /// A leader's assignment holds.
    Assignment(Assignment),
    /// A static member has come back under another id.
    Replacement { group: u32, member: Arc<str>, before: Replaced, leader_before: Arc<str>, may_skip: bool },
    /// Offsets are committed.
    Commit(CommitUnderWay),
    /// Somebody is told, until they have waited for too long.
    Tell(Option<Waiter>),
    /// What a group had as a consumer group is forgotten.
    Retraction { group: u32, keys: Vec<Vec<u8>> },
    /// A consumer group is as its coordinator has it.
    Consumer(ConsumerStore),
}

/// Everything under way.
#[derive(Debug, Default)]
pub(super) struct Stores {
    by_token: BTreeMap<u32, UnderWay>,
    /// Until when clients wait.
    deadlines: BTreeSet<(Instant, u32)>,
    last_token: u32,
}

#[derive(Debug)]
struct UnderWay {
    partition: PartitionIndex,
    store: Store,
    deadline: Option<Instant>,
}

impl Stores {
    /// A token for records that go to `partition`.
    pub fn begin(&mut self, partition: PartitionIndex, store: Store) -> u32 {
        self.last_token = self.last_token.wrapping_add(1);
        self.by_token.insert(self.last_token, UnderWay { partition, store, deadline: None });
        self.last_token
    }

    /// Somebody waits for these records until then. Who came before them and still waits has set an earlier end, for all.
    pub fn wait_until(&mut self, token: u32, at: Instant) {
        let Some(under_way) = self.by_token.get_mut(&token).filter(|under_way| under_way.deadline.is_none()) else {
            return;
        };
        under_way.deadline = Some(at);
        self.deadlines.insert((at, token));
    }

    /// Takes what waits for the token.
    pub fn end(&mut self, token: u32) -> Option<Store> {
        let under_way = self.by_token.remove(&token)?;
        if let Some(at) = under_way.deadline {
            self.deadlines.remove(&(at, token));
        }
        Some(under_way.store)
    }

    /// When the first client has waited for long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Records that somebody has waited for long enough.
    fn expired(&mut self, now: Instant) -> Option<u32> {
        self.next_deadline().filter(|at| *at <= now)?;
        let (_, token) = self.deadlines.pop_first()?;
        self.by_token.get_mut(&token)?.deadline = None;
        Some(token)
    }

    /// Commits under way.
    pub fn commits(&mut self) -> impl Iterator<Item = &mut CommitUnderWay> {
        self.by_token.values_mut().filter_map(|under_way| match &mut under_way.store {
            Store::Commit(commit) => Some(commit),
            _ => None,
        })
    }

    /// The records of a consumer group.
    pub fn consumer(&mut self, token: u32) -> Option<&mut ConsumerStore> {
        match &mut self.by_token.get_mut(&token)?.store {
            Store::Consumer(store) => Some(store),
            _ => None,
        }
    }

    /// Tokens of a partition.
    pub fn of(&self, partition: PartitionIndex) -> Vec<u32> {
        self.by_token.iter().filter(|(_, one)| one.partition == partition).map(|(token, _)| *token).collect()
    }
}

impl Groups {
    /// The records of an `Output::Append` are durable, or one of them was refused.
    pub fn stored(&mut self, now: Now, token: u32, result: Result<(), GroupError>) {
        let Some(store) = self.cx.stores.end(token) else { return };
        match store {
            Store::Nobody => {}
            Store::Tell(Some(waiter)) => self.cx.answer(waiter, GroupAnswer::Stored(result)),
            Store::Tell(None) => {}
            Store::Retraction { group, keys } => {
                let group = group_of(&mut self.by_name, &self.names, group).filter(|_| result.is_err());
                if let Some(group) = group {
                    group.not_retracted(&self.cx, keys.into_iter());
                }
            }
            Store::Consumer(store) => self.consumer_stored(token, store, result),
            Store::Commit(commit) => self.commit_stored(commit, result),
            Store::Assignment(assignment) => {
                if let Some(group) = group_of(&mut self.by_name, &self.names, assignment.group) {
                    group.assignment_stored(&mut self.cx, now, assignment, result);
                }
            }
            Store::Replacement { group, member, before, leader_before, may_skip } => {
                if let Some(group) = group_of(&mut self.by_name, &self.names, group) {
                    match result {
                        Ok(()) => group.replacement_stored(&mut self.cx, now, &member, leader_before, may_skip),
                        Err(error) => group.undo_replacement(&mut self.cx, &member, before, error),
                    }
                }
            }
        }
    }

    /// Answers those who have waited for long enough: perhaps this coordinator hears nobody any more.
    pub(super) fn answer_late(&mut self, now: Now) {
        while let Some(token) = self.cx.stores.expired(now.mono) {
            self.give_up(now, token);
        }
    }

    /// What was asked for stays under way, because it may have been copied; but a generation that members do not get is none.
    fn give_up(&mut self, now: Now, token: u32) {
        let error = GroupError::Unavailable;
        let Some(under_way) = self.cx.stores.by_token.get_mut(&token) else { return };
        let waiter = match &mut under_way.store {
            Store::Nobody | Store::Retraction { .. } => None,
            Store::Tell(waiter) => waiter.take(),
            Store::Commit(commit) => commit.waiter.take(),
            Store::Consumer(store) => {
                let (group, answers) = (store.group, std::mem::take(&mut store.answers));
                return self.refuse_reports(group, answers, error);
            }
            Store::Assignment(_) | Store::Replacement { .. } => return self.stored(now, token, Err(error)),
        };
        if let Some(waiter) = waiter {
            self.cx.answer(waiter, GroupAnswer::Stored(Err(error)));
        }
    }
}

impl Group {
    /// A static member is back, and nothing else has changed: its assignment stands.
    fn replacement_stored(
        &mut self,
        cx: &mut Context,
        now: Now,
        id: &Arc<str>,
        leader_before: Arc<str>,
        may_skip: bool,
    ) {
        if self.state != State::Stable {
            return; // a rebalance has begun: it waits for that one
        }
        let is_leader = self.leader.as_ref() == Some(id);
        let roster = if is_leader && may_skip { self.roster() } else { Vec::new() };
        let mut joined = self.joined(id, roster);
        joined.skip_assignment = is_leader && may_skip;
        if !may_skip {
            // A client that believes itself a follower leaves the assignment alone.
            joined.leader = leader_before;
        }
        if let Some(waiter) = self.members.get_mut(id).and_then(|member| member.joining.take()) {
            cx.answer(waiter, GroupAnswer::Joined(Ok(joined)));
        }
        self.keep_alive(cx, now, id);
    }

    fn undo_replacement(&mut self, cx: &mut Context, id: &Arc<str>, before: Replaced, error: GroupError) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.rebalance_timeout_ms = before.rebalance_timeout_ms;
        member.session_timeout_ms = before.session_timeout_ms;
        member.protocols = before.protocols;
        if let Some(waiter) = member.joining.take() {
            let refusal = JoinRefusal { error, member: "".into() };
            cx.answer(waiter, GroupAnswer::Joined(Err(refusal)));
        }
        self.rename(id, &before.member);
    }
}
