//! Consumer groups: who is in which group, which generation it is in, who reads what, and how far.
//!
//! ```text
//!            join                       all joined, or time          leader's assignment is stored
//!  Empty ----------> PreparingRebalance -------------> CompletingRebalance ---------------> Stable
//!    ^                  |    ^                                |                                |
//!    +---- none left ---+    +-- join, leave, silence, no sync +---- join, leave, silence -----+
//! ```
//!
//! That is the classic protocol, in which members wait for each other and one of them assigns; groups whose coordinator
//! assigns are in `consumer`. Offsets, the log and the members' timers are the same for both.
//!
//! A group lives in one partition of `__consumer_offsets`, whose leader is its coordinator: what is answered was
//! written there before, and what a coordinator knows it has read from there. This room is the machine alone: it says
//! what to write (`Output::Append`) and is told when that is durable (`stored`); `engine` joins it to the log.
//!
//! Invariants: a waiter is answered once; all members of a generation get their assignment from its leader's one
//! SyncGroup; nobody commits in a generation that is over; what is told as committed is in the log. Every byte kept is
//! granted from the account "groups", and who finds it empty is refused. The clock's wall time is broker time here.

pub mod consumer;
mod error;
mod expiry;
mod group;
mod join;
mod member;
mod offsets;
mod presence;
mod rebalance;
mod records;
pub mod replay;
mod stores;
mod sync;
#[cfg(test)]
mod fixture_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod transitions_test;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

pub use consumer::{Consumer, ConsumerHeartbeat, ConsumerMember, ConsumerStanding, Partitions, TopicView};
pub use error::GroupError;
pub use group::{Group, State};
pub use member::{Member, MemberProtocol};
pub use offsets::{Committed, OffsetToCommit, Offsets};
pub use records::subscribed_topics;

use super::Waiter;
use crate::config::GroupConfig;
use crate::memory::{Account, Grant};
use crate::types::{Instant, Now, PartitionIndex, Rng, Timers};
use group::Timer;
use stores::{Store, Stores};

/// A JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinRequest<'a> {
    /// Which group.
    pub group: &'a str,
    /// Empty at first.
    pub member: &'a str,
    /// Of a static member.
    pub instance: Option<&'a str>,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it is.
    pub client_host: &'a str,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: &'a str,
    /// Its assignors, best first, with its metadata for each.
    pub protocols: Vec<(&'a str, &'a [u8])>,
    /// The client joins a second time with the id that it is given (KIP-394).
    pub takes_member_id: bool,
    /// The client knows `skip_assignment` (KIP-814).
    pub may_skip_assignment: bool,
}

/// Who sends a request of a generation.
#[derive(Clone, Copy, Debug)]
pub struct MemberOf<'a> {
    /// Which group.
    pub group: &'a str,
    /// Its id.
    pub member: &'a str,
    /// Of a static member.
    pub instance: Option<&'a str>,
    /// Which generation; negative for none.
    pub generation: i32,
}

/// A SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest<'a> {
    /// Who.
    pub from: MemberOf<'a>,
    /// What it believes the group's protocol type to be.
    pub protocol_type: Option<&'a str>,
    /// What it believes to be selected.
    pub protocol: Option<&'a str>,
    /// From the leader: who reads what.
    pub assignments: Vec<(&'a str, &'a [u8])>,
}

/// A member that leaves or is removed: by id, or a static one by its instance alone.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// Its id; empty for removal by instance.
    pub member: &'a str,
    /// Of a static member.
    pub instance: Option<&'a str>,
}

/// A generation, as one of its members learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its number.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The selected assignor.
    pub protocol: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Arc<str>,
    /// The id of the member that is told.
    pub member: Arc<str>,
    /// For a leader that came back: nothing is to be assigned.
    pub skip_assignment: bool,
    /// For the leader: everybody.
    pub members: Vec<JoinedMember>,
}

/// A member, as the leader's assignor learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: Arc<str>,
    /// Of a static member.
    pub instance: Option<Arc<str>>,
    /// Its metadata for the selected assignor.
    pub metadata: Bytes,
}

/// Why a JoinGroup is refused, and the id to come back with, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// Why.
    pub error: GroupError,
    /// The member's id.
    pub member: Arc<str>,
}

/// What a member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The selected assignor.
    pub protocol: Option<Arc<str>>,
    /// What the leader's assignor has made.
    pub assignment: Bytes,
}

/// An answer of this room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAnswer {
    /// To `join`.
    Joined(Result<Joined, JoinRefusal>),
    /// To `sync`.
    Synced(Result<Synced, GroupError>),
    /// To `commit`, `delete_offsets` and `delete_group`: in the log, or not.
    Stored(Result<(), GroupError>),
    /// To `consumer_heartbeat`.
    Reported(Result<ConsumerStanding, GroupError>),
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Whose.
    pub key: Vec<u8>,
    /// `None`: a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What this room asks of the engine.
#[derive(Debug)]
pub enum Output {
    /// Answer somebody.
    Answer(Waiter, GroupAnswer),
    /// Append the records to this partition of `__consumer_offsets`, and say `stored` when all are durable or one is
    /// refused.
    Append { partition: PartitionIndex, records: Vec<GroupRecord>, token: u32 },
}

/// Names a deadline: group and what of it.
type TimerKey = (u32, Timer);

/// All groups that this node coordinates.
#[derive(Debug)]
pub struct Groups {
    by_name: BTreeMap<Arc<str>, Group>,
    names: BTreeMap<u32, Arc<str>>,
    cx: Context,
    check_expiry_at: Option<Instant>,
}

/// What groups share.
#[derive(Debug)]
struct Context {
    config: GroupConfig,
    account: Account,
    rng: Rng,
    timers: Timers<TimerKey>,
    stores: Stores,
    output: VecDeque<Output>,
    last_number: u32,
}

impl Context {
    fn answer(&mut self, waiter: Waiter, answer: GroupAnswer) {
        self.output.push_back(Output::Answer(waiter, answer));
    }

    /// Names a group or a member for its timers.
    fn next_number(&mut self) -> u32 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }

    fn take(&self, bytes: usize) -> Option<Grant> {
        self.account.take(bytes)
    }

    /// Kafka's form of a member id: what it begins with, if anything, and a UUID.
    fn new_id(&mut self, prefix: &str) -> String {
        let (high, low) = (self.rng.next(), self.rng.next());
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0x0fff | 0x4000);
        let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        let dash = if prefix.is_empty() { "" } else { "-" };
        format!("{prefix}{dash}{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }

    /// Asks for records to be appended; `store` is what happens then. Names it.
    fn append(&mut self, partition: PartitionIndex, records: Vec<GroupRecord>, store: Store) -> u32 {
        let token = self.stores.begin(partition, store);
        self.output.push_back(Output::Append { partition, records, token });
        token
    }

    /// `append` for records that clients wait for.
    fn append_awaited(&mut self, now: Now, partition: PartitionIndex, records: Vec<GroupRecord>, store: Store) {
        let token = self.append(partition, records, store);
        self.wait_for(now, token);
    }

    /// A client waits for these records, for `offsets.commit.timeout.ms`.
    fn wait_for(&mut self, now: Now, token: u32) {
        self.stores.wait_until(token, now.mono.plus_millis(self.config.offsets_commit_timeout_ms));
    }
}

impl Groups {
    /// No groups. What they keep is granted from `account`; `rng` draws member ids.
    pub fn new(config: GroupConfig, account: Account, rng: Rng) -> Groups {
        let cx = Context {
            config,
            account,
            rng,
            timers: Timers::default(),
            stores: Stores::default(),
            output: VecDeque::new(),
            last_number: 0,
        };
        Groups { by_name: BTreeMap::new(), names: BTreeMap::new(), cx, check_expiry_at: None }
    }

    /// A group by name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// All groups, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values()
    }

    /// What is to be done next; `None` when there is nothing left.
    pub fn next_output(&mut self) -> Option<Output> {
        self.cx.output.pop_front()
    }

    /// Does what is due by time.
    pub fn on_time(&mut self, now: Now, view: TopicView<'_>) {
        while let Some((number, timer)) = self.cx.timers.expired(now.mono) {
            if let Some(group) = group_of(&mut self.by_name, &self.names, number) {
                group.timer_expired(&mut self.cx, now, view, timer);
                self.sweep(number);
            }
        }
        self.answer_late(now);
        if self.check_expiry_at.is_some_and(|at| now.mono >= at) {
            self.check_expiry_at = Some(now.mono.plus_millis(self.cx.config.offsets_retention_check_ms));
            self.expire_offsets(now);
        }
    }

    /// When `on_time` should be called.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        [self.cx.timers.next(), self.cx.stores.next_deadline(), self.check_expiry_at].into_iter().flatten().min()
    }

    /// Finds a group, or makes one when the account allows.
    fn find_or_make(&mut self, now: Now, name: &str, partition: PartitionIndex) -> Result<&mut Group, GroupError> {
        if !self.by_name.contains_key(name) {
            let held = self.cx.take(Group::bytes(name)).ok_or(GroupError::Unavailable)?;
            let number = self.cx.next_number();
            let name: Arc<str> = name.into();
            self.names.insert(number, name.clone());
            self.by_name.insert(name.clone(), Group::new(number, name, partition, now.wall, held));
            self.check_expiry_at.get_or_insert(now.mono.plus_millis(self.cx.config.offsets_retention_check_ms));
        }
        self.by_name.get_mut(name).ok_or(GroupError::Unavailable)
    }

    /// Forgets a group that has left nothing behind, neither here nor in the log.
    fn sweep(&mut self, number: u32) {
        let Some(name) = self.names.get(&number) else { return };
        if self.by_name.get(name).is_some_and(Group::is_forgettable) {
            let name = name.clone();
            self.forget(&name);
        }
    }

    /// Takes a group out, timers and all.
    fn forget(&mut self, name: &str) -> Option<Group> {
        let mut group = self.by_name.remove(name)?;
        self.names.remove(&group.number);
        group.cancel_timers(&mut self.cx);
        if self.by_name.is_empty() {
            self.check_expiry_at = None;
        }
        Some(group)
    }
}

fn group_of<'g>(
    by_name: &'g mut BTreeMap<Arc<str>, Group>,
    names: &BTreeMap<u32, Arc<str>>,
    number: u32,
) -> Option<&'g mut Group> {
    by_name.get_mut(names.get(&number)?)
}
