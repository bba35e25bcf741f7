//! The quorum: opaque bytes in, the same bytes out in one order that a majority of the members has on its disks.
//!
//! A facade over the `raft` crate. Time, disk and messages are arguments and effects; raft itself never sees any of
//! them. Its log lies in a `log::Logs` of its own (`__quorum-0`), term and vote in `quorum-state`, snapshots of the
//! state machine beside it. Raft ids are server ids + 1, because 0 is forbidden there and `server.0` exists, with the
//! incarnation of the disk in the upper half.
//!
//! ```text
//! Idle -> Opening (state file, log) -> Forming (an empty disk of an ensemble) -> Restoring (snapshot)
//!      -> Replaying (log) -> Running
//! ```
//!
//! Invariants: `Committed` leaves in order of index, without gaps from the snapshot on, and never twice in one life; an
//! entry is proposed only by a leader whose state machine has applied everything before its term; what could make raft
//! abort (a damaged file, a peer's impossible message) is refused before raft sees it.
//! Memory: entries between proposal and delivery are under grants of `QuorumConfig::account`; while replaying, pages of
//! `PAGE_BYTES`. Called by `engine` alone. Knows nothing of what the bytes mean.

mod cache;
mod deliver;
mod described;
mod entry;
mod files;
mod incoming;
mod members;
mod membership;
mod message;
mod opening;
mod outgoing;
mod proposals;
mod raft_message;
mod reads;
mod running;
mod snapshot_file;
mod snapshots;
mod state_file;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft::RawNode;
use raft::eraftpb::Entry;

pub use described::{Described, MemberState};
pub use entry::{Stored, unseal};
pub use message::{Hello, PeerMessage};
pub use proposals::{ProposalId, ProposeError};
pub use raft_message::RaftMessage;
pub use reads::ReadId;
pub use snapshot_file::{Piece, SnapshotReader};
pub use state_file::{STATE_FILE, State as QuorumState, decode as decode_state};

use crate::effect::{DiskDone, DiskError, Effects};
use crate::log::{LogEvent, LogKey, Logs, LogsConfig};
use crate::memory::Account;
use crate::types::{Instant, NodeId, Now, Rng, Term, Ticket, Timestamp};
use cache::Cache;
use proposals::Proposals;
use running::PendingReady;
use state_file::State;

/// The directory of the log, in the coordinator's root.
pub const LOG_DIR: &str = "__quorum-0";

/// Owner of the tickets of the quorum's own files (the log's have 2).
const TICKET_OWNER: u64 = 4;
/// What is read from the log, or handed out by raft, at once.
const PAGE_BYTES: usize = 256 * 1024;
/// Entries raft accepts before the first of them is committed.
const UNCOMMITTED_BYTES_MAX: u64 = 1024 * 1024;
/// Entries kept for members that lag a little.
const RECENT_BYTES_MAX: usize = 256 * 1024;
/// What the disk refused is tried again after so long.
const RETRY_MS: u64 = 1000;
/// The largest entry.
pub use crate::limits::QUORUM_ENTRY_BYTES_MAX as ENTRY_BYTES_MAX;

/// What a quorum is told at its birth.
#[derive(Clone, Debug)]
pub struct QuorumConfig {
    /// This node.
    pub node: NodeId,
    /// The members that the files list, in order, this node among them, with true for those that vote. One or none: a
    /// node alone. After the first formation the log's word counts.
    pub members: Vec<(NodeId, bool)>,
    /// A checksum of what the files say about them, to be compared.
    pub lines_crc: u32,
    /// An empty disk founds an ensemble of its own, into which the others are then taken.
    pub forms_alone: bool,
    /// One tick of elections and heartbeats; a heartbeat is sent every tick.
    pub tick_ms: u64,
    /// Ticks of silence after which a member campaigns: so many to twice as many.
    pub election_ticks: usize,
    /// The account for entries between proposal and delivery; exhausted: proposals are refused.
    pub account: Account,
    /// The log may grow so much before a snapshot is taken, or by the size of the last snapshot if that is more.
    pub log_bytes_max: u64,
    /// Complete snapshots that are kept, at least one; the next is written beside them.
    pub snapshots_kept: u8,
    /// No true time is earlier.
    pub clock_floor: Timestamp,
}

/// One entry that the quorum has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the one order, from 1.
    pub index: u64,
    /// The term whose leader proposed it.
    pub term: Term,
    /// What was proposed.
    pub bytes: Bytes,
    /// Set when this node proposed it in this life.
    pub proposal: Option<ProposalId>,
}

/// What the quorum says to its state machine, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumEvent {
    /// At start: a slice of the snapshot; the state machine begins with the first.
    SnapshotSlice(Bytes),
    /// At start: that was the whole snapshot.
    SnapshotRestored,
    /// Apply this.
    Committed(Committed),
    /// This will never be committed: another leader's entry took its place.
    Lost(ProposalId),
    /// The log is replayed; from here on the quorum works.
    Recovered,
    /// This node leads, and everything before its term is applied: it may propose.
    Leading(Term),
    /// This node no longer leads.
    Following,
    /// An empty disk waits for the other members of its ensemble.
    Forming,
    /// The membership is another one.
    MembershipChanged,
    /// Everything that was committed when `read_index` was called is delivered.
    CaughtUp(ReadId),
    /// The log is long: please call `begin_snapshot`, then watch `snapshot_progress`.
    SnapshotWanted,
    /// For the operator.
    Warning(String),
    /// `stop` is complete.
    Stopped,
    /// The node must end.
    Fatal(String),
}

/// What a snapshot under way waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// None is under way: the last one is complete, or failed and will be wanted again.
    None,
    /// The state machine: `snapshot_slice` or `finish_snapshot`.
    WantsSlice,
    /// The disk.
    Writing,
}

/// Who this node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not recovered yet, or ended.
    Absent,
    /// Somebody else leads, or nobody.
    Follower,
    /// Asks to be elected.
    Candidate,
    /// Decides.
    Leader,
}

/// One member of a quorum.
pub struct Quorum {
    config: QuorumConfig,
    rng: Rng,
    logs: Logs,
    log: Option<LogKey>,
    stage: Stage,
    /// What `quorum-state` says, or shall say when the write under way is done.
    state: State,
    /// How often `state` was changed for the disk, and how often the disk has said so.
    state_version: u64,
    state_durable: u64,
    /// The version of it that first said the present term: until it is on the disk no entry goes into the log, which would
    /// be ahead of the file for ever if the file then finds no room.
    term_version: u64,
    state_retry: Option<Instant>,
    next_ticket: u64,
    jobs: BTreeMap<Ticket, Job>,
    out: VecDeque<Out>,
    messages: VecDeque<(NodeId, PeerMessage)>,
    /// The other members, by what they have said of themselves.
    peers: BTreeMap<NodeId, members::Peer>,
    /// Who shall be a member, by the state machine's word.
    wanted: Option<BTreeMap<NodeId, bool>>,
    /// The leader was silent for so long that a voter would campaign; one that does not vote only notes it.
    is_leader_silent: bool,
    /// A leader was known at some time in this life.
    has_met: bool,
    /// What `state.me` says is on the disk.
    is_identity_durable: bool,
    incoming: Option<incoming::Incoming>,
    install: Option<incoming::Install>,
    outgoing: BTreeMap<u64, outgoing::Outgoing>,
    /// Old entries are being read for a member that lags.
    is_fetching: bool,
    reads: reads::Reads,
    proposals: Proposals,
    readies: VecDeque<PendingReady>,
    /// The next entry for the log.
    log_next: u64,
    /// Everything up to this entry is on the disk.
    durable: u64,
    /// Truncations of the log under way: nothing is appended meanwhile.
    truncating: u32,
    append_retry: Option<Instant>,
    /// Everything up to this entry has been delivered.
    applied: u64,
    is_leading: bool,
    snapshots: snapshots::Snapshots,
    next_tick: Option<Instant>,
    /// The term and role that `election_timeout` was drawn for.
    timeout_for: (u64, Role),
    election_timeout: usize,
    log_events: Vec<LogEvent>,
}

/// Where the start has got to.
enum Stage {
    Idle,
    Opening(Box<opening::Opening>),
    Forming(opening::Forming),
    Restoring(Box<opening::Restoring>),
    Replaying(Box<opening::Replaying>),
    Running(Box<RawNode<Cache>>),
    Ended,
}

/// What waits for `next_event`.
enum Out {
    Entry(Entry),
    Event(QuorumEvent),
}

/// What a file operation under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    ReadState,
    WriteState { version: u64 },
    ReadSnapshot,
    WriteSnapshot,
    SyncSnapshot,
    WriteIncoming,
    SyncIncoming,
    ReadOutgoing { to: NodeId, part: message::Part },
}

impl Quorum {
    /// Nothing is asked before `start`. The same `rng` gives the same elections.
    pub fn new(config: QuorumConfig, rng: Rng) -> Quorum {
        let logs = Logs::new(LogsConfig::quorum(LOG_DIR.into(), config.clock_floor));
        let proposals = Proposals::new(config.account.clone());
        Quorum {
            rng,
            logs,
            log: None,
            stage: Stage::Idle,
            state: State::default(),
            state_version: 0,
            state_durable: 0,
            term_version: 0,
            state_retry: None,
            next_ticket: 0,
            jobs: BTreeMap::new(),
            out: VecDeque::new(),
            messages: VecDeque::new(),
            peers: BTreeMap::new(),
            wanted: None,
            is_leader_silent: false,
            has_met: false,
            is_identity_durable: false,
            incoming: None,
            install: None,
            outgoing: BTreeMap::new(),
            is_fetching: false,
            reads: reads::Reads::default(),
            proposals,
            readies: VecDeque::new(),
            log_next: 0,
            durable: 0,
            truncating: 0,
            append_retry: None,
            applied: 0,
            is_leading: false,
            snapshots: snapshots::Snapshots::default(),
            next_tick: None,
            timeout_for: (0, Role::Absent),
            election_timeout: config.election_ticks,
            log_events: Vec::new(),
            config,
        }
    }

    /// True for tickets of the quorum's files and of its log.
    pub fn owns(ticket: Ticket) -> bool {
        matches!(ticket.0 >> 56, 2 | TICKET_OWNER)
    }

    /// Takes an answer of the quorum's lane; false when the ticket is not the quorum's.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) -> bool {
        if let Some(job) = self.jobs.remove(&ticket) {
            self.job_done(now, job, result, fx);
        } else {
            let mut events = std::mem::take(&mut self.log_events);
            let is_ours = self.logs.disk_done(now, ticket, result, fx, &mut events);
            self.log_happened(now, &mut events, fx);
            self.log_events = events;
            if !is_ours {
                return false;
            }
        }
        self.proceed(now, fx);
        true
    }

    /// The end of a turn: everything proposed since the last one goes to the disk together.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.proceed(now, fx);
        let mut events = std::mem::take(&mut self.log_events);
        self.logs.turn_end(now, fx);
        self.log_happened(now, &mut events, fx);
        self.log_events = events;
    }

    /// Does what became possible, for instance because events were taken.
    pub fn proceed(&mut self, now: Now, fx: &mut Effects) {
        match self.stage {
            Stage::Restoring(_) | Stage::Replaying(_) => self.proceed_opening(now, fx),
            Stage::Running(_) => self.pump(now, fx),
            Stage::Forming(_) => self.try_form(now, fx),
            Stage::Idle | Stage::Opening(_) | Stage::Ended => {}
        }
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        self.logs.on_time(now, fx);
        if self.state_retry.is_some_and(|at| at <= now.mono) {
            self.state_retry = None;
            self.write_state(fx);
        }
        if self.append_retry.is_some_and(|at| at <= now.mono) {
            self.append_retry = None;
            self.append_pending(now, fx);
        }
        self.tick(now);
        self.proceed(now, fx);
    }

    /// When `on_time` should be called; `None` when nothing waits. A single voter has no ticks.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.logs.next_deadline(), self.next_tick, self.state_retry, self.append_retry].into_iter().flatten().min()
    }

    /// Syncs and notes what the log has, for a clean end; `Stopped` follows.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        self.logs.stop(now, fx);
    }

    /// The next message to a member, and which.
    pub fn next_message(&mut self) -> Option<(NodeId, PeerMessage)> {
        self.messages.pop_front()
    }

    /// This node's role.
    pub fn role(&self) -> Role {
        match &self.stage {
            Stage::Running(raw) => running::role_of(raw),
            _ => Role::Absent,
        }
    }

    /// The latest term this node has heard of.
    pub fn term(&self) -> Term {
        match &self.stage {
            Stage::Running(raw) => Term(raw.raft.term),
            _ => Term(self.state.term),
        }
    }

    /// The leader, when one is known.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.stage {
            Stage::Running(raw) if raw.raft.leader_id != 0 && !self.is_leader_silent => {
                Some(node_of(raw.raft.leader_id))
            }
            _ => None,
        }
    }

    /// This member's raft id: its number and the incarnation of its disk.
    pub fn raft_id(&self) -> u64 {
        self.state.me
    }

    /// True when this node copies and does not vote: an observer, or a member that has yet to catch up.
    pub fn is_learner(&self) -> bool {
        !self.state.membership.voters.contains(&self.state.me)
    }

    /// Members by number, with true for those that vote. One whose disk was replaced stands once.
    pub fn members(&self) -> BTreeMap<NodeId, bool> {
        let mut members = BTreeMap::new();
        for id in self.state.membership.ids() {
            *members.entry(node_of(id)).or_insert(false) |= self.state.membership.voters.contains(&id);
        }
        members
    }

    /// The members that were heard lately, this one included.
    pub fn present_members(&self, now: Now) -> usize {
        self.members().keys().filter(|node| self.present(now, **node).is_some()).count()
    }

    /// The cluster's identity; empty when the data directory is of an earlier format, or not formed.
    pub fn cluster_id(&self) -> &str {
        &self.state.cluster_id
    }

    /// What the state machine knows and a data directory of an earlier format does not.
    pub fn set_cluster_id(&mut self, cluster_id: &str, fx: &mut Effects) {
        if self.state.cluster_id.is_empty() && matches!(self.stage, Stage::Running(_)) {
            cluster_id.clone_into(&mut self.state.cluster_id);
            self.change_state(fx);
        }
    }

    /// True between `Leading` and `Following`: proposals are accepted.
    pub fn is_leader(&self) -> bool {
        self.is_leading
    }

    /// Everything up to this entry has been delivered.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Bytes of the log on the disk.
    pub fn log_bytes(&self) -> u64 {
        self.log.map_or(0, |log| self.logs.size_bytes(log))
    }

    /// Bytes of the last complete snapshot; 0 before the first.
    pub fn snapshot_bytes(&self) -> u64 {
        self.state.snapshot.map_or(0, |mark| mark.bytes)
    }

    fn say(&mut self, event: QuorumEvent) {
        self.out.push_back(Out::Event(event));
    }

    fn warn(&mut self, sentence: String) {
        self.say(QuorumEvent::Warning(sentence));
    }

    /// Nothing is done after this.
    fn fail(&mut self, sentence: String) {
        self.stage = Stage::Ended;
        self.is_leading = false;
        self.next_tick = None;
        self.say(QuorumEvent::Fatal(sentence));
    }
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quorum")
            .field("role", &self.role())
            .field("term", &self.term())
            .field("applied", &self.applied)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// The raft id of a member with a disk of that incarnation.
fn incarnate(node: NodeId, incarnation: u64) -> u64 {
    incarnation << 32 | (node.0 as u64 + 1)
}

fn node_of(raft_id: u64) -> NodeId {
    NodeId((raft_id & 0xffff_ffff).saturating_sub(1).min(i32::MAX as u64) as i32)
}
