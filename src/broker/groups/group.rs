//! A group: its state, its generation, its members, and what can be asked about them.
//!
//! Invariants: `leader` and every value of `static_members` name a member; a generation above 0 was stored once, so
//! that forgetting the group needs a tombstone; waiters of members exist only in the state that they wait in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::offsets::Offsets;
use super::records::{GroupValue, Key, MemberValue, subscribed_topics};
use super::{Consumer, Context, GroupError, GroupRecord, JoinRequest, Member, MemberOf};
use crate::memory::Grant;
use crate::types::{Now, PartitionIndex, Timestamp};

/// The protocol type whose subscriptions the coordinator understands.
pub const CONSUMER: &str = "consumer";

/// What a group takes besides its name, members and offsets: itself, its places in two maps, its timers.
const GROUP_BYTES: usize = 640;

/// Where in its life a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Members join the next generation.
    PreparingRebalance,
    /// Members wait for the leader's assignment.
    CompletingRebalance,
    /// A consumer group whose members' targets are to be made.
    Assigning,
    /// A consumer group whose members are on their way to their targets.
    Reconciling,
    /// Everybody has an assignment.
    Stable,
    /// There is no such group.
    Dead,
}

impl State {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

/// A deadline of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The end of PreparingRebalance.
    Join,
    /// The end of waiting for SyncGroups.
    Sync,
    /// A member's silence, or that of somebody who was given an id.
    Session(u32),
    /// The end of a consumer group's patience with a member.
    Owed(u32),
}

/// The first rebalance of an empty group waits for members who start at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// How much longer it may be drawn out.
    pub remaining_ms: u64,
    /// Somebody has come since it was drawn out.
    pub has_grown: bool,
}

/// One group.
#[derive(Debug)]
pub struct Group {
    pub(super) number: u32,
    pub(super) name: Arc<str>,
    pub(super) partition: PartitionIndex,
    pub(super) state: State,
    /// Broker time.
    pub(super) state_since: Timestamp,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Member ids by instance id.
    pub(super) static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were given to members who have not come back with them yet, and their timers.
    pub(super) given: BTreeMap<Arc<str>, (u32, Grant)>,
    pub(super) initial: Option<InitialDelay>,
    pub(super) offsets: Offsets,
    /// Commits that are on their way to the log.
    pub(super) commits_under_way: usize,
    /// A leader's assignment is on its way to the log, of this generation.
    pub(super) is_storing: bool,
    /// What a group has whose coordinator assigns; the classic members and their like are empty then.
    pub(super) consumer: Option<Box<Consumer>>,
    /// Keys of an earlier life as a consumer group that the log still knows.
    pub(super) gone: Vec<(Vec<u8>, Grant)>,
    held: Grant,
}

impl Group {
    /// An empty group.
    pub(super) fn new(number: u32, name: Arc<str>, partition: PartitionIndex, now: Timestamp, held: Grant) -> Group {
        Group {
            number,
            name,
            partition,
            state: State::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            given: BTreeMap::new(),
            initial: None,
            offsets: Offsets::default(),
            commits_under_way: 0,
            is_storing: false,
            consumer: None,
            gone: Vec::new(),
            held,
        }
    }

    /// What a group without members and offsets takes.
    pub(super) fn bytes(name: &str) -> usize {
        GROUP_BYTES + name.len()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where in its life it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its generation's number.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, `connect`, ...; none when it never had a member.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The selected assignor.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Its members and their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&str, &Member)> {
        self.members.iter().map(|(id, member)| (&**id, member))
    }

    /// What it has committed.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Bytes of its members' ids, metadata and assignments: about what describing it takes.
    pub fn described_bytes(&self) -> usize {
        let members = self.members.values().map(|member| member.held.bytes() + member.held_assignment.bytes());
        let consumer = self.consumer.as_ref().map_or(0, |consumer| consumer.held_bytes());
        self.held.bytes() + members.sum::<usize>() + consumer
    }

    /// True when a member's subscription names the topic; true for all topics while that is not known.
    pub fn subscribes(&self, topic: &str) -> bool {
        if let Some(consumer) = &self.consumer {
            return consumer.subscribes(topic);
        }
        let Some(protocol) = &self.protocol else { return !self.members.is_empty() };
        self.members.values().any(|member| match member.metadata(protocol) {
            Some(metadata) => subscribed_topics(metadata).any(|name| name == topic),
            None => true,
        })
    }

    /// What a message about a member is refused with, when it is none of this group's.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        match instance {
            Some(instance) => match self.static_members.get(instance) {
                None => Err(GroupError::UnknownMember),
                Some(known) if **known != *member => Err(GroupError::FencedInstance),
                Some(_) => Ok(()),
            },
            None if self.members.contains_key(member) => Ok(()),
            None => Err(GroupError::UnknownMember),
        }
    }

    /// The same for a request of a generation.
    pub(super) fn check_generation(&self, from: &MemberOf<'_>) -> Result<(), GroupError> {
        self.check_member(from.member, from.instance)?;
        if from.generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// True when everybody could agree with this member on an assignor.
    pub(super) fn supports(&self, request: &JoinRequest<'_>) -> bool {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return false;
        }
        if self.state == State::Empty {
            return true;
        }
        let is_everybodys = |name: &str| self.members.values().all(|member| member.metadata(name).is_some());
        self.protocol_type.as_deref() == Some(request.protocol_type)
            && request.protocols.iter().any(|(name, _)| is_everybodys(name))
    }

    /// The assignor that most members like best among those that all have; of equals the first by name.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let first = self.members.values().next()?;
        let is_everybodys = |name: &str| self.members.values().all(|member| member.metadata(name).is_some());
        let mut votes: BTreeMap<&str, usize> = first
            .protocols
            .iter()
            .map(|protocol| &*protocol.name)
            .filter(|name| is_everybodys(name))
            .map(|name| (name, 0))
            .collect();
        for member in self.members.values() {
            let favourite =
                member.protocols.iter().map(|protocol| &*protocol.name).find(|name| votes.contains_key(name));
            if let Some(count) = favourite.and_then(|name| votes.get_mut(name)) {
                *count += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.into())
    }

    /// True when nobody is missing.
    pub(super) fn has_everybody(&self) -> bool {
        self.given.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// How long a rebalance waits for members.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        longest.max(0) as u64
    }

    /// True when forgetting it loses nothing and the log does not know it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.state == State::Empty
            && self.generation == 0
            && self.consumer.is_none()
            && self.members.is_empty()
            && self.given.is_empty()
            && self.offsets.is_empty()
            && self.commits_under_way == 0
    }

    pub(super) fn transition(&mut self, state: State, now: Now) {
        self.state = state;
        self.state_since = now.wall;
    }

    pub(super) fn cancel_timers(&mut self, cx: &mut Context) {
        cx.timers.cancel((self.number, Timer::Join));
        cx.timers.cancel((self.number, Timer::Sync));
        let numbers = self.members.values().map(|member| member.number).chain(self.given.values().map(|given| given.0));
        let consumers = self.consumer.iter().flat_map(|consumer| consumer.numbers());
        self.cancel_numbers(cx, numbers.chain(consumers));
    }

    /// Cancels the timers of members.
    pub(super) fn cancel_numbers(&self, cx: &mut Context, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            cx.timers.cancel((self.number, Timer::Session(number)));
            cx.timers.cancel((self.number, Timer::Owed(number)));
        }
    }

    /// The record of this generation; `assignment` says what each member shall read.
    pub(super) fn record<'g>(&'g self, assignment: impl Fn(&'g str, &'g Member) -> &'g [u8]) -> GroupRecord {
        let protocol = self.protocol.as_deref();
        let member = |(id, member): (&'g Arc<str>, &'g Member)| MemberValue {
            member: id,
            instance: member.instance.as_deref(),
            client_id: &member.client_id,
            client_host: &member.client_host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: protocol.and_then(|name| member.metadata(name)).map_or(&[], |metadata| &metadata[..]),
            assignment: assignment(id, member),
        };
        let value = GroupValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default(),
            generation: self.generation,
            protocol,
            leader: self.leader.as_deref(),
            state_since: self.state_since,
            members: self.members.iter().map(member).collect(),
        };
        GroupRecord { key: Key::Group { group: &self.name }.encode(), value: Some(value.encode()) }
    }

    /// The records that forget it, its offsets apart.
    pub(super) fn tombstones(&self) -> Vec<GroupRecord> {
        match &self.consumer {
            Some(consumer) => consumer.tombstones(&self.name),
            None => vec![GroupRecord { key: Key::Group { group: &self.name }.encode(), value: None }],
        }
    }
}
