//! The engine's side of the connections between members: what comes in is led to the room that it is for, what the rooms
//! say leaves as effects, each message under a grant of the peers' account.
//!
//! Whoever adds a room that talks to its peers gives it a byte (`message::ROOM_...`), sends with `Engine::send_to_peer` and
//! takes its messages in `peer_message`. Without memory a message is dropped and counted: every room repeats itself.

mod brokers;
mod message;

use std::collections::BTreeSet;

use bytes::Bytes;

pub(super) use brokers::BrokerSessions;
pub(super) use message::{EngineMessage, Refusal};

use super::proposals::Purpose;
use super::{Engine, Phase};
use crate::broker::replication;
use crate::config::Config;
use crate::coordinator::{Body, By, Txn};
use crate::effect::{Channel, Effect, Effects, PeerAddress};
use crate::memory::{Account, Grant};
use crate::metrics::METRICS;
use crate::quorum::{PeerMessage, Role};
use crate::types::{Instant, NodeId, Now, SessionId};

/// A `MoveSession` is not longer as it is stored.
const MOVE_SESSION_BYTES_MAX: usize = 64;

/// What this node is in its quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumRole {
    /// It is the only member.
    Standalone,
    /// It decides.
    Leader,
    /// It copies and votes, and knows who leads.
    Follower,
    /// It copies and does not vote, and knows who leads.
    Observer,
    /// Nobody is known to lead.
    Looking,
}

impl std::fmt::Display for QuorumRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            QuorumRole::Standalone => "standalone",
            QuorumRole::Leader => "leader",
            QuorumRole::Follower => "follower",
            QuorumRole::Observer => "observer",
            QuorumRole::Looking => "looking",
        })
    }
}

/// What the engine knows of its peers.
#[derive(Debug)]
pub(super) struct Peers {
    account: Account,
    /// To whom messages leave, by channel.
    up: BTreeSet<(NodeId, Channel)>,
    pub brokers: BrokerSessions,
    /// Sessions of clients that were heard here since the last message to the leader.
    touched: BTreeSet<SessionId>,
    /// The members that the shell was told to dial.
    dialed: Vec<PeerAddress>,
}

impl Peers {
    /// Nobody is connected.
    pub fn new(account: Account) -> Peers {
        Peers {
            account,
            up: BTreeSet::new(),
            brokers: BrokerSessions::default(),
            touched: BTreeSet::new(),
            dialed: Vec::new(),
        }
    }

    /// Asks the shell to dial these, when it does not yet.
    pub fn dial(&mut self, members: impl Iterator<Item = PeerAddress>, fx: &mut Effects) {
        let members: Vec<PeerAddress> = members.collect();
        if self.dialed != members {
            self.dialed.clone_from(&members);
            fx.push(Effect::Peers(members));
        }
    }

    /// A client was heard here: the leader is told with the next message. One too many waits for its next sign of life.
    pub fn touch(&mut self, session: SessionId) {
        if self.touched.len() < 2 * message::TOUCHED_MAX {
            self.touched.insert(session);
        }
    }

    /// True when messages to this member leave.
    pub fn is_up(&self, node: NodeId, channel: Channel) -> bool {
        self.up.contains(&(node, channel))
    }
}

/// The other members of a list, as the shell dials them.
pub(super) fn addresses(me: NodeId, members: &[crate::config::Member]) -> impl Iterator<Item = PeerAddress> {
    members.iter().filter(move |member| member.id != me).map(|member| PeerAddress {
        node: member.id,
        host: member.host.as_str().into(),
        quorum_port: member.quorum_port,
        data_port: member.data_port,
    })
}

impl Engine {
    /// What this node is in its quorum.
    pub fn quorum_role(&self) -> QuorumRole {
        let quorum = self.metadata.quorum();
        match (quorum.leader(), quorum.is_leader()) {
            (_, true) if !self.is_ensemble() => QuorumRole::Standalone,
            (_, true) => QuorumRole::Leader,
            (Some(_), _) if quorum.is_learner() => QuorumRole::Observer,
            (Some(leader), _) if leader != self.config.node_id => QuorumRole::Follower,
            _ => QuorumRole::Looking,
        }
    }

    /// True when the quorum has, or by its files shall have, other members.
    pub fn is_ensemble(&self) -> bool {
        self.config.ensemble.len() > 1
    }

    /// Until when this broker's session surely lives, by this node's clock; `None` for a node alone, and before the first
    /// word of the leader. After it nothing may be acknowledged on the strength of leading a partition.
    pub fn broker_lease_until(&self) -> Option<Instant> {
        self.peers.brokers.lease_until(self.config.peers.broker_session_ms)
    }

    /// Messages to a member leave on this channel from now on.
    pub fn peer_up(&mut self, now: Now, peer: NodeId, channel: Channel, fx: &mut Effects) {
        self.peers.up.insert((peer, channel));
        match channel {
            Channel::Quorum => self.metadata.peer_up(now, peer, fx),
            Channel::Data => self.broker.link_up(now, peer),
        }
        self.follow_metadata(now, fx);
    }

    /// They no longer do.
    pub fn peer_down(&mut self, now: Now, peer: NodeId, channel: Channel, fx: &mut Effects) {
        self.peers.up.remove(&(peer, channel));
        match channel {
            Channel::Quorum => self.metadata.peer_down(peer),
            Channel::Data => self.broker.link_down(now, peer),
        }
        self.follow_metadata(now, fx);
    }

    /// A message of a member that has proven to be it. `grant` covers the bytes for as long as they are kept.
    pub fn peer_message(
        &mut self,
        now: Now,
        from: NodeId,
        _channel: Channel,
        bytes: Bytes,
        grant: Grant,
        fx: &mut Effects,
    ) {
        let Some((&room, rest)) = bytes.split_first() else { return };
        match room {
            message::ROOM_QUORUM => {
                if let Some(message) = PeerMessage::decode(rest) {
                    self.metadata.peer_message(now, from, message, fx);
                }
            }
            message::ROOM_ENGINE => {
                if let Some(message) = EngineMessage::decode(rest) {
                    self.engine_message(now, from, message);
                }
            }
            replication::ROOM => self.broker.peer_messages(now, from, &bytes.slice(1..), grant, fx),
            _ => {} // a room of a later version
        }
        self.follow_metadata(now, fx);
        self.follow_broker(fx);
    }

    fn engine_message(&mut self, now: Now, from: NodeId, message: EngineMessage) {
        match message {
            EngineMessage::Forward { term, life, sequence, txn } => {
                self.touched_by(now, &txn);
                self.metadata.forwarded(now, from, term, (life, sequence), &txn);
            }
            EngineMessage::Judge { term, life, sequence, txn } => {
                if let Ok(txn) = Txn::decode(&txn) {
                    let txn = self.metadata.judged(now, &txn).encode();
                    self.metadata.forwarded(now, from, term, (life, sequence), &txn);
                }
            }
            EngineMessage::NotForwarded { life, sequence, why } => self.metadata.not_forwarded(life, sequence, why),
            EngineMessage::Touch { broker, sent_micros, clients } => {
                self.touched(now, from, broker, sent_micros, &clients);
            }
            EngineMessage::Touched { sent_micros } => self.peers.brokers.noted(Instant(sent_micros)),
        }
    }

    /// Who takes a session up elsewhere is alive from now on, not only once a leader with a slow disk has applied it: the
    /// board that forwards it may have, and have answered the client.
    fn touched_by(&mut self, now: Now, txn: &[u8]) {
        if txn.len() <= MOVE_SESSION_BYTES_MAX
            && let Ok(Txn { body: Body::MoveSession { session, .. }, .. }) = Txn::decode(txn)
        {
            self.touched_elsewhere(now, session);
        }
    }

    /// A broker and the clients connected to it are alive.
    fn touched(&mut self, now: Now, from: NodeId, broker: SessionId, sent_micros: u64, clients: &[SessionId]) {
        if !self.metadata.is_leading() {
            return;
        }
        let sessions = self.metadata.coordinator().sessions();
        if self.peers.brokers.touched(now, from, broker, sessions) {
            self.metadata.say(from, EngineMessage::Touched { sent_micros });
        }
        for client in clients.iter().take(message::TOUCHED_MAX) {
            self.touched_elsewhere(now, *client);
        }
    }

    /// Tells the leader who is alive here, when it is time; a leader asks the others whether it still is one.
    pub(super) fn touch_leader(&mut self, now: Now, fx: &mut Effects) {
        let interval_ms = (self.config.peers.broker_session_ms / 6).clamp(50, 1000);
        if !self.is_ensemble() || !self.peers.brokers.wants_touch(now, interval_ms) {
            return;
        }
        if self.metadata.is_leading() {
            return self.metadata.confirm_leadership(now, fx);
        }
        let Some(leader) = self.metadata.quorum().leader().filter(|leader| *leader != self.config.node_id) else {
            return;
        };
        let mut clients = Vec::new();
        while clients.len() < message::TOUCHED_MAX
            && let Some(session) = self.peers.touched.pop_first()
        {
            clients.push(session);
        }
        let message = EngineMessage::Touch { broker: self.duties.session(), sent_micros: now.mono.0, clients };
        self.metadata.say(leader, message);
    }

    /// Follows leadership and sessions, and ends the sessions of brokers that were silent for too long.
    pub(super) fn follow_brokers(&mut self, now: Now) {
        if !self.is_ensemble() {
            return;
        }
        let leading = self.metadata.is_leading().then(|| self.metadata.quorum().term());
        let sessions = self.metadata.coordinator().sessions();
        self.peers.brokers.follow(now, self.config.node_id, leading, sessions);
        if self.phase != Phase::Serving {
            return;
        }
        while let Some(session) = self.peers.brokers.next_expired(now) {
            let broker = self.metadata.coordinator().sessions().get(session).and_then(|session| session.broker);
            if let Some(broker) = broker {
                tracing::warn!(peer = %broker, "broker {broker} was silent for its session's timeout and is taken for gone");
            }
            METRICS.peers.sessions_expired.inc();
            let txn = Txn { by: By::NODE, body: Body::CloseSession { session } };
            self.begin_proposal(now, &txn, Purpose::BrokerExpiry(session));
        }
    }

    /// Hands everything that is to be said to the shell.
    pub fn send_to_peers(&mut self, fx: &mut Effects) {
        while let Some((to, channel, bytes)) = self.metadata.next_message() {
            self.send_to_peer(to, channel, bytes.into(), fx);
        }
        self.send_to_brokers(fx);
    }

    /// Sends a message whose first byte names a room; dropped without memory, or without a connection.
    pub(super) fn send_to_peer(&mut self, to: NodeId, channel: Channel, bytes: Bytes, fx: &mut Effects) {
        if !self.peers.is_up(to, channel) {
            return;
        }
        match self.peers.account.take(bytes.len()) {
            Some(grant) => fx.push(Effect::PeerSend { to, channel, bytes, grant }),
            None => METRICS.peers.messages_dropped.inc(),
        }
    }

    /// For whoever looks at the numbers.
    pub(super) fn measure_quorum(&self) {
        let quorum = self.metadata.quorum();
        METRICS.peers.term.set(quorum.term().0.min(i64::MAX as u64) as i64);
        METRICS.peers.role.set(match (quorum.role(), quorum.is_learner()) {
            (Role::Absent, _) => 0,
            (_, true) => 1,
            (Role::Follower, _) => 2,
            (Role::Candidate, _) => 3,
            (Role::Leader, _) => 4,
        });
    }
}

/// The wire form of a message of the quorum's, the byte for the room included.
pub(super) fn wrap(message: &PeerMessage) -> Vec<u8> {
    let mut bytes = vec![message::ROOM_QUORUM];
    bytes.extend_from_slice(&message.encode());
    bytes
}

/// A checksum of what the server lines say and all members must agree on: numbers, ports and roles. Hosts may differ,
/// because containers call themselves 0.0.0.0.
pub(super) fn lines_crc(config: &Config) -> u32 {
    let mut text = String::new();
    let mut members: Vec<_> = config.ensemble.iter().collect();
    members.sort_by_key(|member| member.id);
    for member in members {
        let role = if member.is_observer { "observer" } else { "participant" };
        text.push_str(&format!("{} {} {} {role}\n", member.id, member.data_port, member.quorum_port));
    }
    crate::types::crc32c::crc32c(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest of them is still looked at.
    #[test]
    fn a_session_that_moves_is_short() {
        let body = Body::MoveSession { session: SessionId(i64::MIN), timeout_ms: u32::MAX, node: NodeId(i32::MAX) };
        assert!(Txn { by: By::NODE, body }.encode().len() <= MOVE_SESSION_BYTES_MAX);
    }
}
