//! What the ZooKeeper door asks beside the five verbs: events of znodes, sessions, their expiry, and fresh reads.
//!
//! Invariants: events are told in the order of zxids, each once; whoever reads the tree for a client takes all events
//! first (`next_znode_event` up to `last_zxid`), so that no client sees a change before its event. While events are on,
//! a result is told before the next transaction is applied: reads that a connection has sent between two of its writes
//! see the tree between them. Events wait in memory only within one step of the node: the door is woken by
//! `Completion::ZnodesChanged` and takes them all. A session ends by one decision, the quorum leader's.

mod expiry;
mod sessions;

use std::collections::VecDeque;

pub use crate::coordinator::acl::{self, Acl, Id, permits};
pub use crate::coordinator::{
    Body, By, CreateMode, ErrorCode, NodeChange, NodeChangeKind, Op, OpResult, Outcome, Owner, Session, SessionChange,
    Sessions, Stat, TxnError, Verdict, Znode,
};
use expiry::Expiry;
pub use sessions::PASSWORD_BYTES;

use super::proposals::Purpose;
use super::{Completion, Door, Engine, ProposeError, Waiter};
use crate::coordinator::{Changes, Txn};
use crate::effect::Effects;
use crate::metrics::METRICS;
use crate::types::{Instant, NodeId, Now, Rng, SessionId, Term, Zxid};

/// What the tree tells whoever watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZnodeEvent {
    /// A znode came, went or got new data.
    Changed(NodeChange),
    /// A session is closed or has expired; its ephemerals were told before.
    SessionEnded { session: SessionId, zxid: Zxid },
    /// The client of a session has taken it up again at a node: others let it go.
    SessionMoved { session: SessionId, to: NodeId, zxid: Zxid },
}

/// What the engine remembers for that door.
#[derive(Debug)]
pub(super) struct Znodes {
    /// Somebody wants events.
    is_watched: bool,
    events: VecDeque<ZnodeEvent>,
    /// The last session id given out by this life of the node.
    last_session: i64,
    expiry: Expiry,
    /// In which term this node leads, when it does.
    leading: Option<Term>,
}

impl ZnodeEvent {
    /// The transaction that made it.
    pub fn zxid(&self) -> Zxid {
        match self {
            ZnodeEvent::Changed(change) => change.zxid,
            ZnodeEvent::SessionEnded { zxid, .. } | ZnodeEvent::SessionMoved { zxid, .. } => *zxid,
        }
    }
}

impl Znodes {
    /// Nobody watches. Session ids of this life begin at a place that `rng` draws.
    pub fn new(tick_ms: u64, node: NodeId, rng: &mut Rng) -> Znodes {
        Znodes {
            is_watched: false,
            events: VecDeque::new(),
            last_session: sessions::first_id(node, rng),
            expiry: Expiry::new(tick_ms),
            leading: None,
        }
    }

    /// Takes what was applied.
    pub fn changed(&mut self, now: Now, changes: &mut Changes) {
        for change in &changes.sessions {
            match change.now {
                Some(session) => self.expiry.begin(now.mono, change.session, &session),
                None => self.expiry.end(change.session),
            }
        }
        if !self.is_watched || changes.nodes.is_empty() && changes.sessions.is_empty() {
            return;
        }
        let mut nodes = changes.nodes.drain(..).peekable();
        for change in &changes.sessions {
            while let Some(node) = nodes.next_if(|node| node.zxid <= change.zxid) {
                self.events.push_back(ZnodeEvent::Changed(node));
            }
            let (session, zxid) = (change.session, change.zxid);
            match (change.now, change.moved_to) {
                (None, _) => self.events.push_back(ZnodeEvent::SessionEnded { session, zxid }),
                (Some(_), Some(to)) => self.events.push_back(ZnodeEvent::SessionMoved { session, to, zxid }),
                (Some(_), None) => {}
            }
        }
        self.events.extend(nodes.map(ZnodeEvent::Changed));
    }

    /// When a session may expire.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.leading.and_then(|_| self.expiry.next_deadline())
    }
}

impl Engine {
    /// The zxid applied last on this node.
    pub fn last_zxid(&self) -> Zxid {
        self.metadata.coordinator().last_zxid()
    }

    /// The sessions alive, brokers' included.
    pub fn sessions(&self) -> &Sessions {
        self.metadata.coordinator().sessions()
    }

    /// Sessions of clients with the moments at which they expire unless they are heard of, as far as this node decides.
    pub fn session_deadlines(&self) -> impl Iterator<Item = (SessionId, Instant)> + '_ {
        self.znodes.expiry.deadlines()
    }

    /// Asks the ZooKeeper door for the page of an admin command; answers with `Completion::MonitorAnswered`.
    pub fn ask_monitor(&mut self, command: &str, asker: Waiter) {
        let asked = Completion::MonitorAsked { command: command.into(), asker };
        self.completions.push_back((Waiter::door(Door::ZooKeeper), asked));
    }

    /// The answer of the ZooKeeper door.
    pub fn answer_monitor(&mut self, asker: Waiter, page: Option<bytes::Bytes>) {
        self.completions.push_back((asker, Completion::MonitorAnswered(page)));
    }

    /// Members of the quorum that vote, those that only listen, and how many of all are heard of by this node, when it
    /// leads them.
    pub fn quorum_members(&self, now: Now) -> (usize, usize, usize) {
        let quorum = self.metadata.quorum();
        let members = quorum.members();
        let voters = members.values().filter(|is_voter| **is_voter).count();
        (voters, members.len() - voters, quorum.present_members(now))
    }

    /// True while writes can be decided: a quorum leader is known.
    pub fn has_quorum(&self) -> bool {
        self.metadata.quorum().leader().is_some()
    }

    /// Switches events of znodes for the ZooKeeper door on or off. While they are on, transactions are applied one after
    /// the other by `proceed`, each when the one before it has been told.
    pub fn set_znode_events(&mut self, on: bool) {
        self.znodes.is_watched = on;
        self.metadata.set_stepwise(on);
        if !on {
            self.znodes.events.clear();
        }
    }

    /// Applies what waited for the last answers to be told; false when nothing was left. Whoever drains
    /// `next_completion` calls this afterwards, and begins again when it is true.
    pub fn proceed(&mut self, now: Now, fx: &mut Effects) -> bool {
        if !self.znodes.is_watched || !self.metadata.proceed(now, fx) {
            return false;
        }
        self.follow_metadata(now, fx);
        true
    }

    /// The next event of a transaction up to `zxid`.
    #[inline]
    pub fn next_znode_event(&mut self, zxid: Zxid) -> Option<ZnodeEvent> {
        let events = &mut self.znodes.events;
        if events.front().is_some_and(|event| event.zxid() <= zxid) { events.pop_front() } else { None }
    }

    /// Begins a session of a ZooKeeper client: proposes it, and answers with `Completion::Proposed`. Its id is unique
    /// over all nodes and lives.
    pub fn open_session(&mut self, now: Now, timeout_ms: u32, waiter: Waiter) -> SessionId {
        let session = loop {
            let id = sessions::next_id(&mut self.znodes.last_session);
            if self.sessions().get(id).is_none() {
                break id;
            }
        };
        self.propose_for(now, &Txn { by: By::NODE, body: Body::CreateSession { session, timeout_ms } }, waiter);
        session
    }

    /// Ends a session of a ZooKeeper client and its ephemerals; answers with `Completion::Proposed`.
    pub fn close_session(&mut self, now: Now, session: SessionId, waiter: Waiter) {
        self.propose_for(now, &Txn { by: By::NODE, body: Body::CloseSession { session } }, waiter);
    }

    /// The password of a session, the same on every node and in every life.
    pub fn session_password(&self, session: SessionId) -> [u8; PASSWORD_BYTES] {
        sessions::password(self.cluster_id(), session)
    }

    /// The client of a session is alive. Cheap: to be called for every packet. The leader decides who is not; it hears
    /// of the clients of others by messages.
    #[inline]
    pub fn touch_session(&mut self, now: Now, session: SessionId) {
        self.znodes.expiry.touch(now.mono, session);
        if self.znodes.leading.is_none() && self.is_ensemble() {
            self.peers.touch(session);
        }
    }

    /// A client has taken its session up here. True: `Completion::Proposed` tells when other nodes have let it go.
    pub fn take_up_session(&mut self, now: Now, session: SessionId, timeout_ms: u32, waiter: Waiter) -> bool {
        self.touch_session(now, session);
        let is_same = self.sessions().get(session).is_some_and(|known| known.timeout_ms == timeout_ms);
        if is_same && !self.is_ensemble() {
            return false;
        }
        let body = Body::MoveSession { session, timeout_ms, node: self.node_id() };
        self.propose_for(now, &Txn { by: By::NODE, body }, waiter);
        true
    }

    /// Answers with `Completion::ZnodesSynced` when this node has applied everything that any client was told before
    /// this call.
    pub fn sync_znodes(&mut self, _now: Now, waiter: Waiter) {
        if self.is_ensemble() {
            return self.metadata.sync(waiter);
        }
        // A leader that is the only member has applied whatever it has acknowledged.
        let result = if self.metadata.is_leading() { Ok(()) } else { Err(ProposeError::Unavailable) };
        self.completions.push_back((waiter, Completion::ZnodesSynced(result)));
    }

    /// Answers whoever waited for a fresh read.
    pub(super) fn answer_synced(&mut self) {
        while let Some((waiter, result)) = self.metadata.next_synced() {
            self.completions.push_back((waiter, Completion::ZnodesSynced(result)));
        }
    }

    /// Another member's snapshot has taken the place of the tree: nobody knows what changed, so the door's clients must
    /// come again and say what they watch and have seen.
    pub(super) fn znodes_replaced(&mut self, now: Now) {
        self.znodes.events.clear();
        self.znodes.expiry.start_afresh(now.mono, self.metadata.coordinator().sessions());
        self.completions.push_back((Waiter::door(Door::ZooKeeper), Completion::ZnodesReplaced));
    }

    /// A client was heard by another member.
    pub(super) fn touched_elsewhere(&mut self, now: Now, session: SessionId) {
        self.znodes.expiry.touch(now.mono, session);
    }

    /// Proposes a client's write; `Completion::Proposed` answers an `Ok`. What was proposed on one connection is applied
    /// in that order, and `Busy` leaves nothing behind: the same may be offered again at the next turn's end.
    pub fn propose_write(&mut self, now: Now, txn: &Txn, waiter: Waiter) -> Result<(), ProposeError> {
        let token = self.proposals.begin(Purpose::Door(waiter)).ok_or(ProposeError::Busy)?;
        self.metadata.try_propose(now, txn, token).inspect_err(|_| {
            self.proposals.end(token);
        })
    }

    pub(super) fn propose_for(&mut self, now: Now, txn: &Txn, waiter: Waiter) {
        if !self.begin_proposal(now, txn, Purpose::Door(waiter)) {
            self.completions.push_back((waiter, Completion::Proposed(Err(ProposeError::Busy))));
        }
    }

    /// Hands on what was applied, and follows the leadership.
    pub(super) fn znodes_changed(&mut self, now: Now, changes: &mut Changes) {
        self.znodes.changed(now, changes);
        let leading = self.metadata.is_leading().then(|| self.metadata.quorum().term());
        if leading != self.znodes.leading {
            self.znodes.leading = leading;
            self.znodes.expiry.start_afresh(now.mono, self.metadata.coordinator().sessions());
        }
    }

    /// Wakes the door for events that no answer has taken along: behind the answers, so that zxids rise.
    pub(super) fn tell_znode_events(&mut self) {
        if !self.znodes.events.is_empty() {
            self.completions.push_back((Waiter::door(Door::ZooKeeper), Completion::ZnodesChanged));
        }
    }

    /// Proposes the end of sessions whose clients were silent for too long.
    pub(super) fn expire_sessions(&mut self, now: Now) {
        if self.znodes.leading.is_none() || self.phase != super::Phase::Serving {
            return;
        }
        while let Some(session) = self.znodes.expiry.next_expired(now.mono) {
            tracing::info!("session 0x{:x} has expired", session.0);
            METRICS.tree.sessions_expired.inc();
            let txn = Txn { by: By::NODE, body: Body::CloseSession { session } };
            self.begin_proposal(now, &txn, Purpose::Expiry(session));
        }
    }

    /// What became of the end of a session.
    pub(super) fn session_expired(&mut self, now: Now, session: SessionId) {
        let is_alive = self.sessions().get(session).is_some();
        self.znodes.expiry.decided(now.mono, session, is_alive);
    }
}
