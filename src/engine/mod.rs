//! The narrow waist: everything a door may ask, in five verbs (`append`, `read`, `propose`, `view`, `wait`) and a few
//! typed commands beside them.
//!
//! A command answers at once with an error that needs no waiting, or later with the one `Completion` of its `Waiter`;
//! waiting is `next_completion`, which the node drains after each step. Nothing is written before `turn_end`, so that
//! all the appends of a turn share their syncs.
//!
//! Invariants: `Completion::Appended(Ok)` leaves only when the records are durable on every replica that its acks ask
//! for; a waiter is answered at most once; waiters, watchers and open batches are bounded, and who exceeds a bound gets
//! `Busy`. The story of a start: the quorum recovers and applies its log, the logs of this node's partitions open, the
//! node registers in the tree, `is_ready`.

mod completion;
mod metadata;
mod protocol;
mod replication;
mod sweep;
mod balance;
mod configs;
mod diagnostics;
mod duties;
mod ensemble;
mod feature_level;
mod groups;
mod lifecycle;
mod peers;
mod producer_ids;
mod proposals;
mod reassign;
mod topic_commands;
mod topics;
pub mod znodes;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;

pub use crate::broker::groups::{
    Committed, Consumer, ConsumerHeartbeat, ConsumerMember, ConsumerStanding, Group, GroupError, JoinRefusal,
    JoinRequest, Joined, JoinedMember, Leaving, Member, MemberOf, OffsetToCommit, Offsets, Partitions,
    State as GroupState, SyncRequest, Synced,
};
pub use crate::broker::{
    Acks, AppendError, AppendedAt, BatchFault, Door, FoundOffset, OffsetSpec, PartitionKey, PartitionView,
    ProducerState, ReadData, ReadError, Waiter,
};
pub use crate::coordinator::ErrorCode as TreeError;
pub use crate::coordinator::builders::{ElectionError, Move, MoveError};
pub use crate::coordinator::cluster;
pub use crate::coordinator::features;
pub use crate::coordinator::members::CONFIG_PATH;
pub use crate::coordinator::{Cluster, PartitionState, Topic, Tree, Txn, TxnResult};
pub use crate::effect::DiskSpace;
pub use crate::quorum::{Described as QuorumState, MemberState as QuorumMember};
pub use crate::record::NewRecord;
pub use completion::{Completion, TopicDone};
pub use configs::{
    ConfigChange, ConfigEntry, ConfigError, ConfigOperation, ConfigResource, ConfigScope, ConfigSource, ConfigType,
    QuotaChange, QuotaOwner,
};
pub use diagnostics::Diagnostics;
pub use feature_level::FeatureError;
pub use groups::OFFSETS_TOPIC;
pub use peers::QuorumRole;
pub use protocol::Protocol;
pub use topics::{NewPartitions, NewTopic, ProducerIdError, ProposeError, TopicError, TopicRef};

use crate::broker::Broker;
use crate::config::{Config, TopicDefaults};
use crate::effect::Effects;
use crate::memory::Grant;
use crate::types::{ConnId, Instant, LeaderEpoch, NodeId, Now, Offset, PartitionIndex, Rng, Slot, Term, TopicId};
use duties::Duties;
use groups::Coordination;
use lifecycle::Phase;
use metadata::Metadata;
use peers::Peers;
use producer_ids::ProducerIds;
use proposals::{Proposals, Purpose};
use sweep::Sweep;
use topic_commands::{Around, Step, TopicCommands};
use znodes::Znodes;

/// Quorum, coordinator and broker of this node behind one face.
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    /// What topics inherit where nobody says anything.
    pristine: TopicDefaults,
    metadata: Metadata,
    broker: Broker,
    rng: Rng,
    phase: Phase,
    was_ready: bool,
    /// The tree has changed since the duties were looked at.
    duties_wanted: bool,
    proposals: Proposals,
    duties: Duties,
    topics: TopicCommands,
    producer_ids: ProducerIds,
    coordination: Coordination,
    znodes: Znodes,
    peers: Peers,
    /// A clean stop hands over what this node leads, until then at most.
    leaving_until: Option<Instant>,
    has_said_farewell: bool,
    /// The members that the tree names, once it is followed.
    known_members: Vec<crate::config::Member>,
    /// Those that it names no more and the quorum still counts.
    leaving: Vec<crate::config::Member>,
    /// Since when the tree does not name this node and nobody leads it.
    leaderless_since: Option<Instant>,
    follows_tree: bool,
    has_compared_line: bool,
    sweep: Sweep,
    completions: VecDeque<(Waiter, Completion)>,
}

impl Engine {
    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.config.node_id
    }

    /// What the machine is, for people; empty when nobody has said.
    pub fn board(&self) -> &str {
        &self.config.board
    }

    /// What this node was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the last snapshot of the tree.
    pub fn snapshot_bytes(&self) -> u64 {
        self.metadata.quorum().snapshot_bytes()
    }

    /// The cluster's identity, 22 characters; empty until the quorum has one.
    pub fn cluster_id(&self) -> &str {
        self.view().cluster_id.as_deref().unwrap_or_default()
    }

    /// Who leads the quorum as far as this node knows, and in which term.
    pub fn quorum_leader(&self) -> (Option<NodeId>, Term) {
        (self.metadata.quorum().leader(), self.metadata.quorum().term())
    }

    /// The quorum's members and how far each has come, as far as this node knows.
    pub fn describe_quorum(&self) -> QuorumState {
        self.metadata.quorum().describe()
    }

    /// Where the members of the ensemble listen for each other: node, host, port. None of a node alone.
    pub fn quorum_endpoints(&self) -> impl Iterator<Item = (NodeId, &str, u16)> {
        self.members().iter().map(|member| (member.id, member.host.as_str(), member.quorum_port))
    }

    /// The idempotent producers that a partition remembers.
    pub fn producers(&self, key: PartitionKey) -> impl Iterator<Item = ProducerState> {
        self.broker.producers(key)
    }

    /// What the tree says about brokers and topics, as this node has applied it.
    pub fn view(&self) -> &Cluster {
        self.metadata.coordinator().cluster()
    }

    /// The znodes, as this node has applied them.
    pub fn tree(&self) -> &Tree {
        self.metadata.coordinator().tree()
    }

    /// Bytes of the quorum's log on the disk; a snapshot stands for what is older.
    pub fn quorum_log_bytes(&self) -> u64 {
        self.metadata.quorum().log_bytes()
    }

    /// Proposes a transaction on the tree; always answers with `Completion::Proposed`, after it was applied here.
    pub fn propose(&mut self, now: Now, txn: Txn, waiter: Waiter, _fx: &mut Effects) {
        if !self.begin_proposal(now, &txn, Purpose::Door(waiter)) {
            self.completions.push_back((waiter, Completion::Proposed(Err(ProposeError::Busy))));
        }
    }

    /// The handle of a partition whose replica this node has. Cheap, yet meant to be kept.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<PartitionKey> {
        self.broker.partition(topic, index)
    }

    /// The same by topic id.
    pub fn partition_by_id(&self, topic: TopicId, index: PartitionIndex) -> Option<PartitionKey> {
        self.broker.partition_by_id(topic, index)
    }

    /// Marks and size of a partition; `None` when it was deleted.
    pub fn partition_view(&self, key: PartitionKey) -> Option<PartitionView> {
        self.broker.view(key)
    }

    /// True while appends are refused because the disk is full.
    pub fn is_disk_full(&self) -> bool {
        self.broker.is_full()
    }

    /// KIP-320: compares a client's leader epoch with the partition's. `NONE` is never compared.
    pub fn check_leader_epoch(&self, key: PartitionKey, current: LeaderEpoch) -> Result<(), ReadError> {
        self.broker.check_leader_epoch(key, current)
    }

    /// The highest epoch that is at most `epoch`, and the offset after its last record (KIP-101).
    pub fn epoch_end(&self, key: PartitionKey, epoch: LeaderEpoch) -> Result<(LeaderEpoch, Offset), ReadError> {
        self.broker.epoch_end(key, epoch)
    }

    /// Appends one v2 batch as received: validates it, assigns its offsets. The result says where it will lie; it is not
    /// durable, as `acks` says, before `Completion::Appended` reaches `waiter`. A duplicate of an idempotent producer
    /// answers with the place of the original, and its completion waits for the original. `grant` covers `batch` until
    /// it is written.
    #[allow(clippy::too_many_arguments)] // one verb, no optional halves: a struct would only move them
    pub fn append(
        &mut self,
        now: Now,
        key: PartitionKey,
        batch: BytesMut,
        grant: Grant,
        acks: Acks,
        waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<AppendedAt, AppendError> {
        self.broker.append(now, key, batch, grant, acks, waiter)
    }

    /// Appends one record to the partition's open batch, which is sealed at `turn_end`. The offset is known at once; the
    /// rest is as for `append` with `Acks::All`. `Busy`: stop reading, offer the same record again at the next turn's
    /// end.
    #[inline]
    pub fn append_record(
        &mut self,
        now: Now,
        key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        self.broker.append_record(now, key, record, waiter)
    }

    /// Reads whole batches from `from` on, below the high watermark: about `max_bytes`, at least one batch even if it
    /// is larger (up to `max.message.bytes`), nothing when `from` is the high watermark. The caller holds a grant.
    pub fn read(
        &mut self,
        _now: Now,
        key: PartitionKey,
        from: Offset,
        max_bytes: usize,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        self.broker.read(key, from, max_bytes, waiter, fx)
    }

    /// Answers once with `DataArrived` when the high watermark next moves. False: too many watch; poll instead.
    pub fn watch(&mut self, key: PartitionKey, waiter: Waiter) -> bool {
        self.broker.watch(key, waiter)
    }

    /// Forgets the watches of one request.
    pub fn unwatch(&mut self, conn: ConnId, slot: Slot) {
        self.broker.unwatch(conn, slot);
    }

    /// Switches `Completion::Tail` for the MQTT door on or off: for all partitions, wherever they lie, but those of internal
    /// topics, the ones that will come into being included.
    pub fn set_tails(&mut self, on: bool) {
        self.broker.set_tails(on, self.metadata.coordinator().cluster());
    }

    /// True while a subscriber that is told that it hears everything would miss something of what comes next: boards that
    /// have what is not here were not asked yet, or this one was off a moment ago. False after a while, whatever happens.
    pub fn awaits_tails(&mut self, now: Now) -> bool {
        self.broker.awaits_tails(now)
    }

    /// Searches an offset; answers with `Completion::Offset`.
    pub fn find_offset(
        &mut self,
        _now: Now,
        key: PartitionKey,
        spec: OffsetSpec,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        self.broker.find_offset(key, spec, waiter, fx)
    }

    /// Moves the log start offset up to `before` (the high watermark when -1); answers with `RecordsDeleted`.
    pub fn delete_records(
        &mut self,
        _now: Now,
        key: PartitionKey,
        before: Offset,
        waiter: Waiter,
        fx: &mut Effects,
    ) -> Result<(), ReadError> {
        self.broker.delete_records(key, before, waiter, fx)
    }

    /// Asks how large the disk of the topics is and what is free on it; answers with `Completion::DiskSpace`. False: too
    /// many ask.
    pub fn ask_disk_space(&mut self, waiter: Waiter, fx: &mut Effects) -> bool {
        self.broker.ask_disk_space(waiter, fx)
    }

    /// The directory of the topics' logs, as configured.
    pub fn log_dir(&self) -> &str {
        self.config.directories.topics.to_str().unwrap_or_default()
    }

    /// Creates topics; always answers with `Completion::Topics`, after their local partitions are open.
    pub fn create_topics(
        &mut self,
        now: Now,
        topics: Vec<NewTopic>,
        validate_only: bool,
        waiter: Waiter,
        _fx: &mut Effects,
    ) {
        let steps = self.with_topics(|commands, around| commands.create(topics, validate_only, Some(waiter), around));
        self.propose_steps(now, steps);
    }

    /// Creates `name` with the defaults, within the cap for partitions. `Ok(true)`: a `Completion::Topics` follows;
    /// `Ok(false)`: it exists and is open. Several waiters of one topic share the creation.
    pub fn auto_create_topic(
        &mut self,
        now: Now,
        name: &str,
        waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<bool, TopicError> {
        if self.view().topic(name).is_some() && self.broker.is_topic_open(name) {
            return Ok(false);
        }
        let steps = self.with_topics(|commands, around| commands.create_shared(name, waiter, around))?;
        self.propose_steps(now, steps);
        Ok(true)
    }

    /// Adds partitions; always answers with `Completion::Topics`.
    pub fn create_partitions(
        &mut self,
        now: Now,
        topics: Vec<NewPartitions>,
        validate_only: bool,
        waiter: Waiter,
        _fx: &mut Effects,
    ) {
        let steps = self.with_topics(|commands, around| commands.extend(topics, validate_only, waiter, around));
        self.propose_steps(now, steps);
    }

    /// Deletes topics; always answers with `Completion::Topics`. Their files go in the background.
    pub fn delete_topics(&mut self, now: Now, topics: Vec<TopicRef>, waiter: Waiter, _fx: &mut Effects) {
        let steps = self.with_topics(|commands, around| commands.delete(topics, waiter, around));
        self.propose_steps(now, steps);
    }

    /// A producer id nobody has had; always answers with `Completion::ProducerId`.
    pub fn init_producer_id(&mut self, now: Now, waiter: Waiter, _fx: &mut Effects) {
        if let Some(given) = self.producer_ids.take(waiter) {
            self.completions.push_back((waiter, Completion::ProducerId(given)));
        }
        self.want_producer_ids(now);
    }

    /// The effective configuration of a topic, in the order of names; `None` when it does not exist.
    pub fn describe_topic(&self, topic: &str) -> Option<Vec<ConfigEntry>> {
        let topic = self.view().topic(topic)?;
        let copies = topic.partitions.first().map_or(0, |partition| partition.copies());
        Some(configs::describe_topic(&self.config, &self.pristine, self.view(), &topic.config, copies))
    }

    /// The effective configuration of this node (another's is not known here), or what is set for all brokers (`None`).
    pub fn describe_broker(&self, node: Option<NodeId>) -> Option<Vec<ConfigEntry>> {
        match node {
            None => Some(configs::describe_all_brokers(self.view())),
            Some(node) if node == self.config.node_id => {
                Some(configs::describe_broker(&self.config, &self.pristine, self.view()))
            }
            Some(_) => None,
        }
    }

    /// What this node's logger tells.
    pub fn describe_logger(&self) -> Vec<ConfigEntry> {
        configs::describe_logger(&self.config)
    }

    /// What any consumer group obeys.
    pub fn describe_group(&self) -> Vec<ConfigEntry> {
        configs::describe_group(&self.config)
    }

    /// Alters what a topic or broker sets; in force once the tree has it. `Ok(true)`: a `Completion::Proposed` follows,
    /// whose failure with `BadVersion` or `NodeExists` means that somebody else was first: ask again. `Ok(false)`: it is
    /// so already, or `validate_only` was asked for and it could be done.
    pub fn alter_config(
        &mut self,
        now: Now,
        resource: &ConfigResource,
        scope: ConfigScope,
        changes: &[ConfigChange],
        validate_only: bool,
        waiter: Waiter,
    ) -> Result<bool, ConfigError> {
        let known = configs::Known { config: &self.config, cluster: self.view(), tree: self.tree() };
        let Some(txn) = configs::alter(&known, resource, scope, changes)?.filter(|_| !validate_only) else {
            return Ok(false);
        };
        if !self.begin_proposal(now, &txn, Purpose::Door(waiter)) {
            self.completions.push_back((waiter, Completion::Proposed(Err(ProposeError::Busy))));
        }
        Ok(true)
    }

    /// Alters the quotas of a user or client. Answers as `alter_config` does.
    pub fn alter_quota(
        &mut self,
        now: Now,
        owner: &QuotaOwner,
        changes: &[QuotaChange],
        validate_only: bool,
        waiter: Waiter,
    ) -> Result<bool, ConfigError> {
        let known = configs::Known { config: &self.config, cluster: self.view(), tree: self.tree() };
        let Some(txn) = configs::alter_quota(&known, owner, changes)?.filter(|_| !validate_only) else {
            return Ok(false);
        };
        if !self.begin_proposal(now, &txn, Purpose::Door(waiter)) {
            self.completions.push_back((waiter, Completion::Proposed(Err(ProposeError::Busy))));
        }
        Ok(true)
    }

    /// Forgets the watches of a connection that is gone. Acknowledgements of appends that are on their way to the disk
    /// may still come: a door ignores a `ConnId` it does not know.
    pub fn drop_connection(&mut self, conn: ConnId) {
        self.broker.drop_connection(conn);
    }

    /// The next answer, in the order of events; `None` when there is none left.
    #[inline]
    pub fn next_completion(&mut self) -> Option<(Waiter, Completion)> {
        loop {
            let (waiter, completion) = match self.broker.next_answer() {
                Some((waiter, answer)) => (waiter, answer.into()),
                None => self.completions.pop_front()?,
            };
            if !self.take_own(waiter, &completion) {
                return Some((waiter, completion));
            }
        }
    }

    fn with_topics<T>(&mut self, act: impl FnOnce(&mut TopicCommands, &mut Around<'_>) -> T) -> T {
        let coordinator = self.metadata.coordinator();
        let mut around = Around {
            config: &self.config,
            cluster: coordinator.cluster(),
            tree: coordinator.tree(),
            rng: &mut self.rng,
        };
        act(&mut self.topics, &mut around)
    }

    fn propose_steps(&mut self, now: Now, steps: Vec<Step>) {
        for Step { place, txn } in steps {
            if !self.begin_proposal(now, &txn, Purpose::Topic(place)) {
                self.topics.proposed(place, None, self.metadata.coordinator().cluster());
            }
        }
        self.answer_topics();
    }
}
