//! Who the others are: their word about themselves, the first formation, and who cannot belong here.
//!
//! ```text
//! empty disk -> Forming: an incarnation is drawn and written, then everybody listed is greeted
//!     | a peer is formed                     -> its cluster and membership are taken over: a member, or one that copies
//!     | all listed peers are empty as well   -> the lowest voter draws the cluster id, the others take it over from it
//! ```
//!
//! Invariants: nothing is said before the incarnation is on the disk; a message of raft's is stepped only when it comes
//! from the incarnation that its sender said to be, of this cluster, and is meant for this incarnation; a node ends when
//! a majority of the listed members contradicts it, and otherwise only warns, so that one wrong board harms itself alone.

use super::message::{Hello, PeerMessage};
use super::opening::Forming;
use super::state_file::{Membership, STATE_FILE};
use super::{Quorum, Stage, incarnate, node_of};
use crate::effect::Effects;
use crate::types::{Instant, NodeId, Now, TopicId};

/// Another member, as it has introduced itself.
#[derive(Debug)]
pub(super) struct Peer {
    pub hello: Hello,
    /// When it was last heard.
    pub heard: Instant,
    /// It belongs to another cluster: nothing of it counts.
    pub is_foreign: bool,
    /// Its lines were compared, and a difference was told.
    pub is_told: bool,
    /// Another disk under the same number, and when it was first heard.
    pub rival: Option<(u64, Instant)>,
}

impl Quorum {
    /// Messages to this member leave from now on.
    pub fn peer_up(&mut self, now: Now, node: NodeId, fx: &mut Effects) {
        self.say_hello(node, false);
        self.proceed(now, fx);
    }

    /// Takes a message of another member. What no honest member could have said is passed over.
    pub fn step_peer(&mut self, now: Now, from: NodeId, message: PeerMessage, fx: &mut Effects) {
        match message {
            PeerMessage::Hello(hello) => self.heard_hello(now, from, hello, fx),
            PeerMessage::Refused(sentence) => self.refused(from, &sentence),
            PeerMessage::Raft(message) => {
                if self.is_accepted(now, from, message.from) && message.to == self.state.me {
                    self.step_raft(now, from, message, fx);
                } else {
                    self.say_hello(from, true);
                }
            }
            PeerMessage::Pull(part) => {
                if self.is_known(now, from) {
                    self.serve_part(now, from, part, fx);
                }
            }
            PeerMessage::Chunk(part, bytes) => {
                if self.is_known(now, from) {
                    self.take_chunk(now, from, part, bytes, fx);
                }
            }
        }
        self.proceed(now, fx);
    }

    /// The raft id under which a member was heard lately.
    pub(super) fn present(&self, now: Now, node: NodeId) -> Option<u64> {
        if node == self.config.node {
            return Some(self.state.me);
        }
        let peer = self.peers.get(&node).filter(|peer| !peer.is_foreign && peer.is_recent(now, self.silence_ms()))?;
        Some(peer.hello.raft_id)
    }

    /// Silence after which a member counts as gone: the longest election timeout.
    pub fn silence_ms(&self) -> u64 {
        self.config.tick_ms * 2 * self.config.election_ticks as u64
    }

    fn is_accepted(&mut self, now: Now, from: NodeId, raft_id: u64) -> bool {
        self.is_known(now, from) && self.peers.get(&from).is_some_and(|peer| peer.hello.raft_id == raft_id)
    }

    fn is_known(&mut self, now: Now, from: NodeId) -> bool {
        match self.peers.get_mut(&from).filter(|peer| !peer.is_foreign) {
            Some(peer) => {
                peer.heard = now.mono;
                true
            }
            None => false,
        }
    }

    pub(super) fn say_hello(&mut self, to: NodeId, is_asking: bool) {
        if self.state_durable == 0 && !self.is_identity_durable || self.state.me == 0 {
            return;
        }
        let hello = Hello {
            raft_id: self.state.me,
            cluster_id: self.state.cluster_id.clone(),
            is_formed: self.is_settled(),
            membership: if self.is_settled() { self.state.membership.clone() } else { Membership::default() },
            membership_index: self.state.membership_index,
            lines_crc: self.config.lines_crc,
            is_asking,
        };
        self.messages.push_back((to, PeerMessage::Hello(hello)));
    }

    /// Formed, and the disk says so.
    fn is_settled(&self) -> bool {
        self.state.is_formed && !matches!(self.stage, Stage::Forming(_))
    }

    fn heard_hello(&mut self, now: Now, from: NodeId, hello: Hello, fx: &mut Effects) {
        let is_known_here = !matches!(self.stage, Stage::Idle | Stage::Opening(_) | Stage::Ended);
        if node_of(hello.raft_id) != from || from == self.config.node || !is_known_here {
            return; // before this node knows its own cluster it cannot judge; it asks everybody when it does
        }
        let silence_ms = self.silence_ms();
        let is_double = self.peers.get(&from).is_some_and(|known| {
            known.hello.raft_id != hello.raft_id && !known.is_foreign && known.is_recent(now, silence_ms)
        });
        if is_double && self.state.membership.contains(self.peers.get(&from).map_or(0, |known| known.hello.raft_id)) {
            let sentence = format!(
                "server {from} is connected already with another data directory: stop one of the two, or give this one \
                 a myid of its own"
            );
            // A disk that was just replaced was heard a moment ago: only who goes on talking is there.
            let Some(known) = self.peers.get_mut(&from) else { return };
            let since = known.rival.filter(|(id, _)| *id == hello.raft_id).map_or(now.mono, |(_, since)| since);
            known.rival = Some((hello.raft_id, since));
            if now.mono >= since.plus_millis(2 * silence_ms) {
                self.messages.push_back((from, PeerMessage::Refused(sentence)));
            }
            return;
        }
        let (ours, theirs) = (&self.state.cluster_id, &hello.cluster_id);
        let is_foreign = !ours.is_empty() && !theirs.is_empty() && ours != theirs;
        let is_asking = hello.is_asking || !hello.is_formed && self.is_settled();
        let is_told = self.peers.get(&from).is_some_and(|known| known.is_told && known.hello == hello);
        self.peers.insert(from, Peer { hello, heard: now.mono, is_foreign, is_told, rival: None });
        if is_foreign {
            return self.is_of_another_cluster(from);
        }
        if is_asking {
            self.say_hello(from, false);
        }
        self.compare_lines(from);
        self.check_removed(from);
        self.try_form(now, fx);
    }

    /// So many of the listed members are a majority.
    fn majority(&self) -> usize {
        self.config.members.len() / 2 + 1
    }

    fn is_of_another_cluster(&mut self, from: NodeId) {
        let foreign = self.peers.values().filter(|peer| peer.is_foreign).count();
        let Some(theirs) = self.peers.get(&from).map(|peer| peer.hello.cluster_id.clone()) else { return };
        let ours = &self.state.cluster_id;
        let sentence = format!(
            "this data directory belongs to cluster {ours}, server {from} to cluster {theirs}: start this node with the \
             data directory of its ensemble, or with an empty one"
        );
        if foreign >= self.majority() && !self.has_met {
            return self.fail(sentence);
        }
        if let Some(peer) = self.peers.get_mut(&from)
            && !std::mem::replace(&mut peer.is_told, true)
        {
            self.warn(sentence);
        }
    }

    /// The files of two members should list the same servers. Before the first formation they must.
    fn compare_lines(&mut self, from: NodeId) {
        let lines_crc = self.config.lines_crc;
        let differ = |peer: &Peer| !peer.is_foreign && peer.hello.lines_crc != lines_crc;
        let different = self.peers.values().filter(|peer| differ(peer)).count();
        let is_forming = matches!(self.stage, Stage::Forming(_));
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| differ(peer)) else { return };
        let sentence = format!(
            "the server lines of server {from} are not those of this node: give every member the same server lines \
             (numbers, ports and roles)"
        );
        let is_told = std::mem::replace(&mut peer.is_told, true);
        let is_formed = peer.hello.is_formed;
        if is_forming && !peer.hello.is_formed && different >= self.majority() {
            return self.fail(sentence);
        }
        if !is_told {
            self.warn(if is_forming && !is_formed {
                format!("{sentence}; the ensemble is not formed before")
            } else {
                format!("{sentence}; the membership in the tree counts")
            });
        }
    }

    /// Somebody knows of a later membership, and this disk is no longer in it.
    fn check_removed(&mut self, from: NodeId) {
        let Some(peer) = self.peers.get(&from) else { return };
        let (theirs, me) = (&peer.hello, self.state.me);
        let was_member = self.state.membership.contains(me);
        if self.is_leading
            || !self.is_settled()
            || !theirs.is_formed
            || !was_member
            || theirs.membership_index <= self.state.membership_index
            || theirs.membership.contains(me)
        {
            return;
        }
        let node = self.config.node;
        let is_replaced = theirs.membership.ids().any(|id| node_of(id) == node);
        self.fail(if is_replaced {
            format!(
                "another data directory has taken the place of this one as server {node}: keep that one, or empty this \
                 one ({STATE_FILE} and the rest of dataDir) and stop the other"
            )
        } else {
            format!("server {node} was removed from the ensemble: to bring it back, empty its dataDir and add it again")
        });
    }

    fn refused(&mut self, from: NodeId, sentence: &str) {
        let printable: String = sentence.chars().filter(|letter| !letter.is_control()).collect();
        let sentence = format!("server {from} says: {printable}");
        if self.has_met { self.warn(sentence) } else { self.fail(sentence) }
    }

    /// Founds the ensemble, or joins one, when enough is known.
    pub(super) fn try_form(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Forming(Forming { written: None, .. }) = &self.stage else { return };
        if !self.is_identity_durable {
            return;
        }
        let formed = self.peers.values().find(|peer| peer.hello.is_formed && !peer.is_foreign);
        if let Some(peer) = formed {
            let hello = peer.hello.clone();
            self.state.membership = hello.membership;
            self.state.membership_index = hello.membership_index;
            self.state.cluster_id = hello.cluster_id;
            return self.formed(fx);
        }
        let silence_ms = self.silence_ms();
        let lines_crc = self.config.lines_crc;
        let is_here = |node: &NodeId| {
            self.peers
                .get(node)
                .is_some_and(|peer| peer.is_recent(now, silence_ms) && peer.hello.lines_crc == lines_crc)
        };
        let is_founder =
            self.config.members.iter().find(|(_, votes)| *votes).is_some_and(|(id, _)| *id == self.config.node);
        let mut others = self.config.members.iter().map(|(node, _)| node).filter(|node| **node != self.config.node);
        if !is_founder || !others.all(is_here) {
            return;
        }
        let id_of = |node: NodeId| self.present(now, node).unwrap_or_default();
        let of = |votes: bool| self.config.members.iter().filter(move |member| member.1 == votes);
        let voters = of(true).map(|(node, _)| id_of(*node)).collect();
        let learners = of(false).map(|(node, _)| id_of(*node)).collect();
        self.state.membership = Membership { voters, learners, ..Membership::default() };
        self.state.membership_index = 0;
        self.state.cluster_id = TopicId::random(&mut self.rng).to_string();
        self.formed(fx);
    }

    fn formed(&mut self, fx: &mut Effects) {
        self.state.is_formed = true;
        self.change_state(fx);
        if let Stage::Forming(forming) = &mut self.stage {
            forming.written = Some(self.state_version);
        }
    }

    /// The formation is on the disk: tell everybody.
    pub(super) fn greet_all(&mut self, is_asking: bool) {
        let me = self.config.node;
        let others: Vec<NodeId> =
            self.config.members.iter().map(|(node, _)| *node).filter(|node| *node != me).collect();
        for node in others {
            self.say_hello(node, is_asking);
        }
    }

    /// An empty disk gets its incarnation.
    pub(super) fn draw_incarnation(&mut self, fx: &mut Effects) {
        let incarnation = 1 + self.rng.below(i32::MAX as u64 - 1);
        self.state.me = incarnate(self.config.node, incarnation);
        self.change_state(fx);
    }
}

impl Peer {
    fn is_recent(&self, now: Now, silence_ms: u64) -> bool {
        now.mono < self.heard.plus_millis(silence_ms)
    }
}
