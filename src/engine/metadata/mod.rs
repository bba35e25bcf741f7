//! The tree and its quorum: transactions go in with a token and come back applied.
//!
//! What is stored for a transaction: one version byte, the leader's wall clock (8, big-endian), with version 2 the life and
//! the number (8 and 8) of the member that forwarded it, the transaction.
//!
//! Invariants: what the quorum has agreed on is applied in its order, once, in the same turn; every token is answered
//! once; no more is applied while a running snapshot remembers as many old znodes as it may. The transactions of a term
//! are counted from 1; before the count is used up the quorum begins another term.
//! Memory: the tree's account, the quorum's account, and what one snapshot remembers (`OVERLAY_BYTES_MAX`).

mod apply;
mod forwarding;
mod propose;
mod reads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::peers::{EngineMessage, lines_crc, wrap};
use super::{ProposeError, Waiter};
use crate::config::Config;
use crate::coordinator::{Changes, Coordinator, Restore, TreeLimits, TxnResult};
use crate::effect::{Channel, DiskDone, DiskError, Effects};
use crate::limits::{APPLIED_PER_TURN_MAX, QUORUM_LOG_BYTES_MAX};
use crate::memory::Account;
use crate::quorum::{PeerMessage, ProposalId, Quorum, QuorumConfig, ReadId};
use crate::types::{Instant, NodeId, Now, Rng, Term, Ticket, Timestamp};
use forwarding::Forwarding;

/// Of a transaction that the leader itself has proposed.
const VERSION: u8 = 1;
/// Of one that another member has forwarded.
const VERSION_FORWARDED: u8 = 2;

/// Elections last so many to twice as many ticks of `tickTime` / 8: with the default, 2 to 4 s.
const ELECTION_TICKS: usize = 8;

/// The quorum with the tree that it keeps.
#[derive(Debug)]
pub(super) struct Metadata {
    node: NodeId,
    is_ensemble: bool,
    quorum: Quorum,
    coordinator: Coordinator,
    limits: TreeLimits,
    seed: u64,
    restore: Option<Restore>,
    waiting: BTreeMap<ProposalId, u64>,
    results: VecDeque<(u64, Result<TxnResult, ProposeError>)>,
    changes: Changes,
    forwarding: Forwarding,
    /// Members to whom messages leave.
    reachable: BTreeSet<NodeId>,
    /// To be said to other members.
    outbox: VecDeque<(NodeId, EngineMessage)>,
    /// Who led when that was last looked at, in which term.
    followed: (Option<NodeId>, Term),
    /// The question whether everything is delivered, at the start of a member that does not lead.
    catching_up: Option<ReadId>,
    is_caught_up: bool,
    /// The leader's question whether it still leads, and when it was asked.
    confirming: Option<(ReadId, Instant)>,
    /// When the last one was asked that was answered.
    confirmed: Option<Instant>,
    /// Fresh reads that were asked for, by their questions.
    syncs: BTreeMap<ReadId, Waiter>,
    /// Those that were not asked yet.
    syncs_wanted: VecDeque<Waiter>,
    synced: VecDeque<(Waiter, Result<(), ProposeError>)>,
    /// A snapshot of another member has taken the place of the tree.
    is_replaced: bool,
    is_membership_changed: bool,
    is_recovered: bool,
    is_snapshot_running: bool,
    /// Stop after each result, so that it is told before the next transaction is applied.
    is_stepwise: bool,
    /// What may still be applied in this turn.
    budget: usize,
    /// Something waits for the next turn, since then.
    yielded: Option<Instant>,
    /// The same of something that was proposed, which may have been after the end of a turn.
    unsent: Option<Instant>,
    /// Whose transaction is being completed: a session with many ephemerals.
    burying: Option<Proposer>,
    is_stopped: bool,
}

/// Who has proposed a transaction.
#[derive(Clone, Copy, Debug)]
struct Proposer {
    /// The life and the sequence of a member that has forwarded it.
    origin: Option<(u64, u64)>,
    /// This node, in this life.
    proposal: Option<ProposalId>,
}

/// How a node's quorum is made from its configuration.
pub(super) fn quorum_config(config: &Config, account: Account, clock_floor: Timestamp) -> QuorumConfig {
    QuorumConfig {
        node: config.node_id,
        members: config.ensemble.iter().map(|member| (member.id, !member.is_observer)).collect(),
        lines_crc: lines_crc(config),
        forms_alone: config.peers.forms_alone,
        tick_ms: (config.zookeeper.tick_ms / 8).max(10),
        election_ticks: ELECTION_TICKS,
        account,
        log_bytes_max: QUORUM_LOG_BYTES_MAX,
        snapshots_kept: config.zookeeper.snapshots_kept,
        clock_floor,
    }
}

impl Metadata {
    /// Nothing is known before `start`.
    pub fn new(config: QuorumConfig, limits: TreeLimits, rng: &mut Rng) -> Metadata {
        let seed = rng.next();
        Metadata {
            node: config.node,
            is_ensemble: config.members.len() > 1,
            quorum: Quorum::new(config, Rng::new(rng.next())),
            coordinator: Coordinator::new(limits, seed),
            limits,
            seed,
            restore: None,
            waiting: BTreeMap::new(),
            results: VecDeque::new(),
            forwarding: Forwarding::new(rng.next()),
            reachable: BTreeSet::new(),
            outbox: VecDeque::new(),
            followed: (None, Term(0)),
            catching_up: None,
            is_caught_up: false,
            confirming: None,
            confirmed: None,
            syncs: BTreeMap::new(),
            syncs_wanted: VecDeque::new(),
            synced: VecDeque::new(),
            is_replaced: false,
            is_membership_changed: true,
            changes: Changes::default(),
            is_recovered: false,
            is_snapshot_running: false,
            is_stepwise: false,
            budget: APPLIED_PER_TURN_MAX,
            yielded: None,
            unsent: None,
            burying: None,
            is_stopped: false,
        }
    }

    /// Recovers what the disk holds.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.start(now, fx);
        self.follow(now, fx);
    }

    /// True while this node leads the quorum and has applied everything before its term.
    pub fn is_leading(&self) -> bool {
        self.quorum.is_leader()
    }

    /// True once this node's own disk is read; others may know more.
    pub fn is_recovered(&self) -> bool {
        self.is_recovered
    }

    /// True once after a snapshot of another member has taken the place of the tree: what changed is not known.
    pub fn take_replaced(&mut self) -> bool {
        std::mem::take(&mut self.is_replaced)
    }

    /// True at the start and once after each change of the membership.
    pub fn take_membership_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_membership_changed)
    }

    /// Who shall be a member, with true for those that vote.
    pub fn set_members(&mut self, wanted: BTreeMap<NodeId, bool>) {
        self.quorum.set_members(wanted);
    }

    /// Tells the quorum the cluster's identity, when its files do not know it.
    pub fn set_cluster_id(&mut self, fx: &mut Effects) {
        if self.quorum.cluster_id().is_empty()
            && let Some(id) = self.coordinator.cluster().cluster_id.clone()
        {
            self.quorum.set_cluster_id(&id, fx);
        }
    }

    /// Messages to a member leave from now on.
    pub fn peer_up(&mut self, now: Now, node: NodeId, fx: &mut Effects) {
        self.reachable.insert(node);
        self.quorum.peer_up(now, node, fx);
        self.follow(now, fx);
    }

    /// They no longer do: nobody knows what became of what was forwarded.
    pub fn peer_down(&mut self, node: NodeId) {
        self.reachable.remove(&node);
        let lost = self.forwarding.disconnected(node);
        self.give_up(lost);
    }

    /// Who leads, when that is this node or messages to it leave.
    pub fn reachable_leader(&self) -> Option<NodeId> {
        self.quorum.leader().filter(|leader| *leader == self.node || self.reachable.contains(leader))
    }

    /// A message of the quorum of another member.
    pub fn peer_message(&mut self, now: Now, from: NodeId, message: PeerMessage, fx: &mut Effects) {
        self.quorum.step_peer(now, from, message, fx);
        self.follow(now, fx);
    }

    /// The next message to a member, on which channel.
    pub fn next_message(&mut self) -> Option<(NodeId, Channel, Vec<u8>)> {
        if let Some((to, message)) = self.quorum.next_message() {
            return Some((to, message.channel(), wrap(&message)));
        }
        self.outbox.pop_front().map(|(to, message)| (to, Channel::Quorum, message.encode()))
    }

    /// Says something to another engine.
    pub fn say(&mut self, to: NodeId, message: EngineMessage) {
        self.outbox.push_back((to, message));
    }

    /// True while this node leads and another member can be asked to.
    pub fn hand_over(&mut self, now: Now, fx: &mut Effects) -> bool {
        let is_handed = self.quorum.is_leader() && self.quorum.transfer(now);
        self.follow(now, fx);
        is_handed
    }

    /// Looks whom writes go to now, and asks for what was committed before this member came.
    fn follow_leader(&mut self, now: Now, fx: &mut Effects) {
        let term = self.quorum.term();
        let leader = self.quorum.leader();
        if self.followed != (leader, term) {
            self.followed = (leader, term);
            self.give_up_syncs();
        }
        self.ask_syncs(now, fx);
        let leader = leader.filter(|leader| *leader != self.node);
        let lost = self.forwarding.follow(leader.map(|leader| (leader, term)));
        self.give_up(lost);
        if self.is_recovered && leader.is_some() && !self.is_caught_up && self.catching_up.is_none() {
            self.catching_up = self.quorum.read_index(now, fx);
        }
    }

    /// The tree, as far as this node has applied it.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Who leads, which term, how long the log is.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// What was applied since the last call. What was replayed at the start is not in it.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Whether nothing more is applied while a result has not been taken; `proceed` goes on then.
    pub fn set_stepwise(&mut self, on: bool) {
        self.is_stepwise = on;
    }

    /// Applies what waits; true when that led to results or changes.
    pub fn proceed(&mut self, now: Now, fx: &mut Effects) -> bool {
        self.follow(now, fx);
        !self.results.is_empty() || !self.changes.is_empty() || !self.synced.is_empty()
    }

    /// Everything proposed in this turn goes to the disk together.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.budget = APPLIED_PER_TURN_MAX;
        self.yielded = None;
        self.follow(now, fx);
        self.unsent = None;
        self.quorum.turn_end(now, fx);
        self.follow(now, fx);
    }

    /// Takes an answer of a disk lane, or gives it back when the ticket is not the quorum's.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) -> Option<Result<DiskDone, DiskError>> {
        if !Quorum::owns(ticket) {
            return Some(result);
        }
        self.quorum.disk_done(now, ticket, result, fx);
        self.follow(now, fx);
        None
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.on_time(now, fx);
        let overdue = self.forwarding.overdue(now);
        self.give_up(overdue);
        self.follow(now, fx);
    }

    /// When `on_time` should be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.quorum.next_deadline(), self.forwarding.next_deadline(), self.yielded, self.unsent];
        deadlines.into_iter().flatten().min()
    }

    /// Notes everything for a clean end; `is_stopped` tells when that is done.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.stop(now, fx);
        self.follow(now, fx);
    }

    /// True when `stop` is complete.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }
}
