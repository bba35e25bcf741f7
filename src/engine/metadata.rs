//! The tree and its quorum: transactions go in with a token and come back applied.
//!
//! What is stored for a transaction: one version byte, the leader's wall clock (8, big-endian), with version 2 the life and
//! the number (8 and 8) of the member that forwarded it, the transaction.
//!
//! Invariants: what the quorum has agreed on is applied in its order, once, in the same turn; every token is answered
//! once; no more is applied while a running snapshot remembers as many old znodes as it may. The transactions of a term
//! are counted from 1; before the count is used up the quorum begins another term.
//! Memory: the tree's account, the quorum's account, and what one snapshot remembers (`OVERLAY_BYTES_MAX`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::forwarding::Forwarding;
use super::peers::{EngineMessage, Refusal, lines_crc, wrap};
use super::{ProposeError, Waiter};
use crate::config::Config;
use crate::coordinator::members::{Wish, changed, members_of};
use crate::coordinator::{Body, Change, Changes, Coordinator, Outcome, Restore, TreeLimits, Txn, TxnResult, Verdict};
use crate::effect::{Channel, DiskDone, DiskError, Effect, Effects};
use crate::limits::{APPLIED_PER_TURN_MAX, BURIED_AT_ONCE_MAX, QUORUM_LOG_BYTES_MAX, SNAPSHOT_SLICE_BYTES};
use crate::memory::Account;
use crate::metrics::METRICS;
use crate::quorum::{
    self, Committed, PeerMessage, ProposalId, Quorum, QuorumConfig, QuorumEvent, ReadId, SnapshotProgress,
};
use crate::types::{Instant, NodeId, Now, Rng, Term, Ticket, Timestamp};

/// Of a transaction that the leader itself has proposed.
const VERSION: u8 = 1;
/// Of one that another member has forwarded.
const VERSION_FORWARDED: u8 = 2;
/// What stands before a transaction.
const HEADER_BYTES: usize = 25;

/// Transactions of one term after which the next term begins: far below the 32 bits that count them.
const TERM_TXNS_MAX: u32 = u32::MAX - (1 << 20);

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

    /// True once this node has applied everything that was committed at some moment of this life.
    pub fn is_caught_up(&self) -> bool {
        self.is_caught_up || self.is_leading()
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

    /// A member wants something proposed by this node in that term.
    pub fn forwarded(&mut self, now: Now, from: NodeId, term: u64, (life, sequence): (u64, u64), txn: &[u8]) {
        let why = if !self.is_leading() || self.quorum.term() != Term(term) {
            Some(Refusal::NotLeader)
        } else if !self.forwarding.take(from, life, sequence) {
            return; // a copy
        } else {
            let mut bytes = header(VERSION_FORWARDED, now);
            bytes.extend_from_slice(&life.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
            bytes.extend_from_slice(txn);
            self.quorum.propose(bytes).err().map(|error| match error {
                quorum::ProposeError::NotLeader => Refusal::NotLeader,
                quorum::ProposeError::Busy => Refusal::Busy,
                quorum::ProposeError::TooLarge => Refusal::TooLarge,
            })
        };
        if let Some(why) = why {
            self.say(from, EngineMessage::NotForwarded { life, sequence, why });
        }
    }

    /// The leader has not proposed something of this node.
    pub fn not_forwarded(&mut self, life: u64, sequence: u64, why: Refusal) {
        if life == self.forwarding.life
            && let Some(token) = self.forwarding.settle(sequence)
        {
            let error = match why {
                Refusal::NotLeader => ProposeError::Unavailable,
                Refusal::Busy => ProposeError::Busy,
                Refusal::TooLarge => ProposeError::TooLarge,
            };
            self.results.push_back((token, Err(error)));
        }
    }

    /// `next_synced` answers `waiter` when everything that is committed now is applied here.
    pub fn sync(&mut self, waiter: Waiter) {
        self.syncs_wanted.push_back(waiter);
    }

    /// The next fresh read that may go on, or cannot.
    pub fn next_synced(&mut self) -> Option<(Waiter, Result<(), ProposeError>)> {
        self.synced.pop_front()
    }

    /// Asks a majority whether this node still leads, unless it is being asked already; `take_confirmed` has the answer.
    pub fn confirm_leadership(&mut self, now: Now, fx: &mut Effects) {
        if self.confirming.is_none() {
            self.confirming = self.quorum.read_index(now, fx).map(|id| (id, now.mono));
            self.follow(now, fx);
        }
    }

    /// When the last question was asked that was answered with yes: nobody else was elected before.
    pub fn take_confirmed(&mut self) -> Option<Instant> {
        self.confirmed.take()
    }

    fn ask_syncs(&mut self, now: Now, fx: &mut Effects) {
        while let Some(waiter) = self.syncs_wanted.pop_front() {
            let asked = self.quorum.leader().and_then(|_| self.quorum.read_index(now, fx));
            match asked {
                Some(id) => drop(self.syncs.insert(id, waiter)),
                None => self.synced.push_back((waiter, Err(ProposeError::Unavailable))),
            }
        }
    }

    /// Who leads has changed: answers that were on their way are lost.
    fn give_up_syncs(&mut self) {
        if let Some((id, _)) = self.confirming.take() {
            self.quorum.forget_read(id);
        }
        for (id, waiter) in std::mem::take(&mut self.syncs) {
            self.quorum.forget_read(id);
            self.synced.push_back((waiter, Err(ProposeError::Unavailable)));
        }
    }

    /// True while this node leads and another member can be asked to.
    pub fn hand_over(&mut self, now: Now, fx: &mut Effects) -> bool {
        let is_handed = self.quorum.is_leader() && self.quorum.transfer(now);
        self.follow(now, fx);
        is_handed
    }

    fn give_up(&mut self, tokens: Vec<u64>) {
        self.results.extend(tokens.into_iter().map(|token| (token, Err(ProposeError::Unavailable))));
    }

    /// Hands a transaction to the leader, when there is one to be reached.
    fn forward(&mut self, now: Now, txn: &Txn, token: u64) -> Result<(), ProposeError> {
        let term = self.quorum.term();
        let leader = self.reachable_leader().filter(|leader| *leader != self.node).ok_or(ProposeError::Unavailable)?;
        let is_judged = matches!(txn.body, Body::Reconfig { .. });
        let txn = txn.encode();
        if txn.len() + HEADER_BYTES > quorum::ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge);
        }
        let lost = self.forwarding.follow(Some((leader, term)));
        self.give_up(lost);
        let sequence = self.forwarding.send(now, token);
        METRICS.peers.forwarded.inc();
        let (term, life) = (term.0, self.forwarding.life);
        self.say(
            leader,
            match is_judged {
                true => EngineMessage::Judge { term, life, sequence, txn },
                false => EngineMessage::Forward { term, life, sequence, txn },
            },
        );
        Ok(())
    }

    /// The transaction with what only a leader can say of it.
    pub fn judged(&self, now: Now, txn: &Txn) -> Txn {
        let mut txn = txn.clone();
        if let Body::Reconfig { joining, leaving, members, verdict, .. } = &mut txn.body {
            let wish = Wish { joining: joining.as_deref(), leaving: leaving.as_deref(), members: members.as_deref() };
            let voters = changed(&members_of(self.coordinator.tree()), wish).map(|after| {
                let voters = after.iter().filter(|member| !member.is_observer);
                voters.map(|member| member.id).collect::<Vec<_>>()
            });
            *verdict = match voters {
                _ if self.quorum.is_changing(now) => Verdict::InProgress,
                Ok(voters) if !self.quorum.has_majority_of(now, &voters) => Verdict::NoQuorum,
                Ok(_) | Err(_) => Verdict::Accepted, // what is wrong with the wish, all members find when they apply it
            };
        }
        txn
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

    /// Proposes a transaction; `next_result` answers with `token`, in any case.
    pub fn propose(&mut self, now: Now, txn: &Txn, token: u64) {
        if let Err(error) = self.try_propose(now, txn, token) {
            self.results.push_back((token, Err(error)));
        }
    }

    /// The same, but `next_result` answers only what was taken.
    pub fn try_propose(&mut self, now: Now, txn: &Txn, token: u64) -> Result<(), ProposeError> {
        if !self.quorum.is_leader() && self.is_ensemble {
            return self.forward(now, txn, token);
        }
        let judged = matches!(txn.body, Body::Reconfig { .. }).then(|| self.judged(now, txn));
        let proposed = self.quorum.propose(judged.as_ref().unwrap_or(txn).encode_onto(header(VERSION, now)));
        let proposal = proposed.map_err(|error| match error {
            quorum::ProposeError::NotLeader => ProposeError::Unavailable,
            quorum::ProposeError::Busy => ProposeError::Busy,
            quorum::ProposeError::TooLarge => ProposeError::TooLarge,
        })?;
        self.waiting.insert(proposal, token);
        self.unsent.get_or_insert(now.mono);
        Ok(())
    }

    /// What became of a proposal; its changes are in `take_changes` by then.
    pub fn next_result(&mut self) -> Option<(u64, Result<TxnResult, ProposeError>)> {
        self.results.pop_front()
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

    /// Acts on everything that the quorum says.
    fn follow(&mut self, now: Now, fx: &mut Effects) {
        loop {
            self.continue_snapshot(fx);
            if self.coordinator.is_snapshot_full() {
                return; // the disk has to take slices first
            }
            self.follow_leader(now, fx);
            if self.is_stepwise && !self.results.is_empty() {
                return; // somebody looks at the tree as this result left it
            }
            if self.budget == 0 {
                self.yielded = Some(now.mono);
                return; // a long step would keep everybody else waiting
            }
            if self.coordinator.is_burying() {
                self.budget = self.budget.saturating_sub(BURIED_AT_ONCE_MAX);
                let result = self.coordinator.continue_burial(&mut self.changes);
                self.finish_burial(result);
                continue;
            }
            let Some(event) = self.quorum.next_event(now, fx) else { return };
            if let Err(sentence) = self.happened(now, event, fx) {
                fx.push(Effect::Fatal { sentence });
                return;
            }
        }
    }

    fn happened(&mut self, now: Now, event: QuorumEvent, fx: &mut Effects) -> Result<(), String> {
        match event {
            QuorumEvent::SnapshotSlice(slice) => {
                let (limits, seed) = (self.limits, self.seed);
                let restore = self.restore.get_or_insert_with(|| Restore::new(limits, seed));
                restore.slice(&slice).map_err(|error| error.to_string())?;
            }
            QuorumEvent::SnapshotRestored => {
                let restore = self.restore.take().unwrap_or_else(|| Restore::new(self.limits, self.seed));
                self.coordinator = restore.finish().map_err(|error| error.to_string())?;
                if self.is_recovered {
                    METRICS.peers.snapshots_received.inc();
                    self.changes = Changes::default();
                    self.is_replaced = true;
                }
            }
            QuorumEvent::Committed(committed) => self.apply(now, committed, fx)?,
            QuorumEvent::Lost(proposal) => self.answer(proposal, Err(ProposeError::Unavailable)),
            QuorumEvent::Recovered => {
                self.is_recovered = true;
                self.changes = Changes::default();
            }
            QuorumEvent::Leading(term) => {
                METRICS.peers.elections_won.inc();
                tracing::info!("leads the quorum in term {term}");
            }
            QuorumEvent::Forming => tracing::info!(
                "this data directory is empty: waiting for the other members of the ensemble, all of them for the first \
                 formation (tern serve --form founds it without them)"
            ),
            QuorumEvent::MembershipChanged => {
                self.is_membership_changed = true;
                // A member whose disk was replaced stands twice until its former self is gone.
                let members = self.quorum.describe().members;
                let list = |votes: bool| {
                    let ids = members.iter().filter(|member| member.is_voter == votes);
                    ids.map(|member| member.node.to_string()).collect::<Vec<_>>().join(", ")
                };
                tracing::info!("members of the quorum: {}; without a vote: [{}]", list(true), list(false));
            }
            QuorumEvent::CaughtUp(id) => {
                if let Some((_, asked)) = self.confirming.take_if(|(confirming, _)| *confirming == id) {
                    self.confirmed = self.is_leading().then_some(asked);
                }
                if self.catching_up == Some(id) {
                    self.catching_up = None;
                    self.is_caught_up = true;
                }
                self.synced.extend(self.syncs.remove(&id).map(|waiter| (waiter, Ok(()))));
            }
            QuorumEvent::Following => tracing::info!("no longer leads the quorum"),
            QuorumEvent::SnapshotWanted => {
                if self.quorum.begin_snapshot(fx) {
                    self.coordinator.begin_snapshot();
                    self.is_snapshot_running = true;
                }
            }
            QuorumEvent::Warning(sentence) => tracing::warn!("{sentence}"),
            QuorumEvent::Stopped => self.is_stopped = true,
            QuorumEvent::Fatal(sentence) => return Err(sentence),
        }
        Ok(())
    }

    fn apply(&mut self, now: Now, committed: Committed, fx: &mut Effects) -> Result<(), String> {
        let wrong = || format!("entry {} of the quorum's log is not a transaction", committed.index);
        let mut reader = crate::types::Reader::new(&committed.bytes);
        let mut header = || Ok::<_, crate::types::ReadError>((reader.u8()?, reader.i64()?));
        let (version, time) = header().map_err(|_| wrong())?;
        let mut origin = || Ok::<_, crate::types::ReadError>((reader.u64()?, reader.u64()?));
        let origin = match version {
            VERSION => None,
            VERSION_FORWARDED => Some(origin().map_err(|_| wrong())?),
            _ => {
                return Err(format!("{}: it has format {version}, this program reads {VERSION_FORWARDED}", wrong()));
            }
        };
        let zxid = self.coordinator.next_zxid(committed.term).ok_or("a term has run out of transaction ids")?;
        let before = self.changes.cluster.len();
        METRICS.tree.transactions.inc();
        let result = self.coordinator.apply(zxid, Timestamp(time), reader.rest(), &mut self.changes);
        for change in self.changes.cluster.iter().skip(before) {
            if let Change::Invalid { path, why } = change {
                tracing::warn!("the znode {path} means nothing to a broker: {why}");
            }
        }
        self.budget = self.budget.saturating_sub(weight(&result));
        if self.is_recovered {
            tell_lost(&result);
        } else {
            self.changes = Changes::default();
        }
        let proposer = Proposer { origin, proposal: committed.proposal };
        if self.coordinator.is_burying() {
            self.burying = Some(proposer);
        } else {
            self.settle(proposer, result);
        }
        if zxid.count() >= TERM_TXNS_MAX {
            self.quorum.renew_term(now, fx);
        }
        Ok(())
    }

    fn finish_burial(&mut self, result: Option<TxnResult>) {
        if !self.is_recovered {
            self.changes = Changes::default();
        }
        if let Some(result) = result
            && let Some(proposer) = self.burying.take()
        {
            self.settle(proposer, result);
        }
    }

    /// Tells whoever has proposed it.
    fn settle(&mut self, proposer: Proposer, result: TxnResult) {
        match proposer.origin {
            Some((life, sequence)) if life == self.forwarding.life => {
                if let Some(token) = self.forwarding.settle(sequence) {
                    self.results.push_back((token, Ok(result)));
                }
            }
            _ => {
                if let Some(proposal) = proposer.proposal {
                    self.answer(proposal, Ok(result));
                }
            }
        }
    }

    fn answer(&mut self, proposal: ProposalId, result: Result<TxnResult, ProposeError>) {
        if let Some(token) = self.waiting.remove(&proposal) {
            self.results.push_back((token, result));
        }
    }

    fn continue_snapshot(&mut self, fx: &mut Effects) {
        if !self.is_snapshot_running {
            return;
        }
        match self.quorum.snapshot_progress() {
            SnapshotProgress::WantsSlice => match self.coordinator.snapshot_slice(SNAPSHOT_SLICE_BYTES) {
                Some(slice) => self.quorum.snapshot_slice(&slice, fx),
                None => self.quorum.finish_snapshot(fx),
            },
            SnapshotProgress::Writing => {}
            SnapshotProgress::None => {
                METRICS.tree.snapshots.inc();
                self.coordinator.end_snapshot();
                self.is_snapshot_running = false;
            }
        }
    }
}

/// Nobody has the records any more that were acknowledged last: people must know, and decide.
fn tell_lost(result: &TxnResult) {
    let Ok(Outcome::BrokerRegistered { lost, .. }) = &result.outcome else { return };
    let Some((topic, index)) = lost.first() else { return };
    tracing::error!(
        "a broker came back with empty log.dirs and was the last in sync of {} partitions ({topic}-{index} is one): they \
         stay offline until an unclean election (ElectLeaders, or unclean.leader.election.enable=true), which loses what \
         only the old disk had",
        lost.len()
    );
}

/// What stands before every transaction.
fn header(version: u8, now: Now) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(version);
    bytes.extend_from_slice(&now.wall.0.to_be_bytes());
    bytes
}

/// What a transaction counts of a turn's budget.
fn weight(result: &TxnResult) -> usize {
    match &result.outcome {
        Ok(Outcome::Multi(results)) => results.len().max(1),
        Ok(Outcome::SessionClosed { ephemerals }) => 1 + ephemerals,
        Ok(_) => 1,
        Err(error) => 1 + error.failed_op,
    }
}
