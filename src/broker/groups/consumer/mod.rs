//! Consumer groups whose coordinator assigns (KIP-848): members report by heartbeats, nobody waits for anybody.
//!
//! ```text
//!         what is subscribed to, who is there, what topics there are: raises the group's epoch
//!  group epoch --------------> assignment epoch --------------> member epochs
//!               an assignor makes the target     each member gives up, then takes, until it has its target
//!
//!  a member:  Stable --(target lacks what it has)--> UnrevokedPartitions --(it says it has let go)--+
//!               ^  |                                                                                |
//!               |  +--(target has what another still has)--> UnreleasedPartitions <-----------------+
//!               +--------(everything is free)-----------------------+
//!  the group:  Empty, Assigning (group epoch ahead), Reconciling (some member is behind), Stable
//! ```
//!
//! A member that is behind in its epoch is fenced and must come again with epoch 0; one that is silent for
//! `group.consumer.session.timeout.ms`, or does not let go within its rebalance timeout, is removed. Members of the
//! classic protocol may be in such a group (`classic`); which groups change their kind, and when, is `migrate`.
//!
//! Invariants: no partition is assigned to or being revoked from two members; a member gets what it gains only after
//! the one before has let go; what a member is told is in the log before (`store`); names, sets and regular expressions
//! are granted from the account "groups".

mod assign;
mod classic;
mod embedded;
mod heartbeat;
mod membership;
mod metadata;
mod migrate;
mod partitions;
mod reconcile;
mod records;
mod replay;
mod store;
#[cfg(test)]
mod classic_test;
#[cfg(test)]
mod heartbeat_test;
#[cfg(test)]
mod model_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use metadata::{TopicView, Topics};
pub use partitions::{Partitions, TopicPartition};
pub use records::ConsumerKey;

use super::member::MemberProtocol;
use super::{Context, Group, GroupError, State};
use crate::config::Assignor;
use crate::memory::Grant;
use metadata::Regex;
pub(super) use store::ConsumerStore;
use store::Item;

/// What a member without names and partitions takes: itself, its places in maps, its timers.
const MEMBER_BYTES: usize = 768;

/// What a partition of a set takes.
const PARTITION_BYTES: usize = 24;

/// The epoch of a member that joins.
pub const JOINING: i32 = 0;

/// The epoch of a member that leaves.
pub const LEAVING: i32 = -1;

/// The epoch of a static member that leaves and will be back.
pub const LEAVING_FOR_A_WHILE: i32 = -2;

/// A ConsumerGroupHeartbeat. What is `None` is as it was before.
#[derive(Clone, Debug, Default)]
pub struct ConsumerHeartbeat<'a> {
    /// Which group.
    pub group: &'a str,
    /// Empty at first, when the client does not make its own id.
    pub member: &'a str,
    /// 0, -1, -2 or where the member stands.
    pub epoch: i32,
    /// Of a static member.
    pub instance: Option<&'a str>,
    /// Where it is.
    pub rack: Option<&'a str>,
    /// How long it may take to revoke.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics by name.
    pub topics: Option<Vec<&'a str>>,
    /// Topics by regular expression; empty for none.
    pub regex: Option<&'a str>,
    /// The assignor that it would like.
    pub assignor: Option<&'a str>,
    /// What it reads now.
    pub owned: Option<Partitions>,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Its address.
    pub client_host: &'a str,
}

/// Where a member stands after its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStanding {
    /// Its id.
    pub member: Arc<str>,
    /// Its epoch.
    pub epoch: i32,
    /// What it shall read now; `None`: as before.
    pub assignment: Option<Partitions>,
}

/// How far a member is on its way to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has everything that it can have at its epoch.
    #[default]
    Stable,
    /// It must let go of something first.
    UnrevokedPartitions,
    /// It waits for others to let go.
    UnreleasedPartitions,
}

/// What a member must do in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    /// Let go of partitions, at this epoch.
    Revocation(i32),
    /// A classic member: join again.
    Rejoin,
    /// A classic member: ask for its assignment.
    Sync,
}

/// A member that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its assignors with its metadata for each, best first.
    pub protocols: Vec<MemberProtocol>,
}

/// One member.
#[derive(Debug, Default)]
pub struct ConsumerMember {
    /// Names its timers; 0 while only records of its assignment have been seen.
    number: u32,
    /// Of a static member.
    pub instance: Option<Arc<str>>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Its address.
    pub client_host: Arc<str>,
    /// Topics by name, sorted.
    pub topics: Vec<Arc<str>>,
    /// Topics by regular expression.
    pub regex: Option<Arc<str>>,
    /// The assignor that it would like.
    pub assignor: Option<Assignor>,
    /// How long it may take to revoke.
    pub rebalance_timeout_ms: i32,
    /// Set for a member of the classic protocol.
    pub classic: Option<ClassicMember>,
    /// Where it stands; -2 while a static member is away.
    pub epoch: i32,
    previous_epoch: i32,
    state: MemberState,
    /// What it reads.
    pub assigned: Partitions,
    /// What it must let go of.
    revoking: Partitions,
    /// What it shall read.
    pub target: Partitions,
    owed: Owed,
    /// An answer that said what it shall read was taken back: the next one says it again.
    is_untold: bool,
    /// When its record was replayed, of all records of the group.
    replayed: u64,
    held: Grant,
    held_assigned: Grant,
    held_target: Grant,
}

/// What a consumer group has besides its name and offsets.
#[derive(Debug)]
pub struct Consumer {
    epoch: i32,
    assignment_epoch: i32,
    /// Of the topics subscribed to, with their partitions, at `epoch`.
    hash: i64,
    /// The metadata that `hash` was made of; `None`: to be looked at again.
    seen: Option<u64>,
    /// The assignor that most members like best.
    assignor: Assignor,
    members: BTreeMap<Arc<str>, ConsumerMember>,
    /// Member ids by instance id.
    static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Topics by how many members name them.
    names: BTreeMap<Arc<str>, usize>,
    regexes: BTreeMap<Arc<str>, Regex>,
    /// Records replayed.
    replayed: u64,
    /// What the log does not say yet.
    unsaved: BTreeSet<Item>,
    /// The last records on their way to the log.
    last_store: Option<u32>,
}

impl Consumer {
    /// A group without members, at this epoch.
    fn new(epoch: i32, assignor: Assignor) -> Consumer {
        Consumer {
            epoch,
            assignment_epoch: epoch,
            hash: 0,
            seen: None,
            assignor,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            names: BTreeMap::new(),
            regexes: BTreeMap::new(),
            replayed: 0,
            unsaved: BTreeSet::new(),
            last_store: None,
        }
    }

    /// Raised whenever who shall read what is thought over.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The group's epoch for which the targets were made.
    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    /// The assignor in use.
    pub fn assignor(&self) -> Assignor {
        self.assignor
    }

    /// Its members and their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&str, &ConsumerMember)> {
        self.members.iter().map(|(id, member)| (&**id, member))
    }

    /// Where in its life the group is.
    fn state(&self) -> State {
        let is_there =
            |member: &ConsumerMember| member.state == MemberState::Stable && member.epoch == self.assignment_epoch;
        match () {
            () if self.members.is_empty() => State::Empty,
            () if self.epoch > self.assignment_epoch => State::Assigning,
            () if self.members.values().all(is_there) => State::Stable,
            () => State::Reconciling,
        }
    }

    /// True when a member subscribes to the topic.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        self.names.contains_key(topic) || self.regexes.values().any(|regex| regex.has(topic))
    }

    /// What a commit or a look at the offsets is refused with.
    pub(super) fn check_epoch(&self, member: &str, epoch: i32) -> Result<(), GroupError> {
        let member = self.members.get(member).ok_or(GroupError::UnknownMember)?;
        match &member.classic {
            _ if member.epoch == epoch => Ok(()),
            Some(_) => Err(GroupError::IllegalGeneration),
            None => Err(GroupError::StaleEpoch),
        }
    }

    /// Bytes of members' names and sets.
    pub(super) fn held_bytes(&self) -> usize {
        let of =
            |member: &ConsumerMember| member.held.bytes() + member.held_assigned.bytes() + member.held_target.bytes();
        self.members.values().map(of).sum()
    }

    /// Numbers of members, for their timers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.members.values().map(|member| member.number)
    }
}

impl Group {
    /// What a consumer group has; `None` for a classic one.
    pub fn consumer(&self) -> Option<&Consumer> {
        self.consumer.as_deref()
    }

    /// `consumer` or `classic`, as Kafka names types of groups.
    pub fn kind(&self) -> &'static str {
        if self.consumer.is_some() { "consumer" } else { "classic" }
    }
}
