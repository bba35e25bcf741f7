//! Who belongs to the ensemble: `/zookeeper/config`, which the first leader writes from its files and which counts from
//! then on; the quorum and the shell's connections follow it. And how a member leaves at a clean stop.

use std::collections::BTreeMap;

use super::peers::addresses;
use super::proposals::Purpose;
use super::{Engine, Phase};
use crate::config::{Config, Member};
use crate::coordinator::members::{CONFIG_PATH, members_of, render};
use crate::coordinator::{Body, By, Changes, Op, Tree, Txn};
use crate::effect::{Effect, Effects};
use crate::types::{NodeId, Now};

/// A node that the tree does not name waits for so many of the longest election timeouts to be spoken to.
const SILENCES_OF_A_REMOVED: u64 = 5;

/// How long a clean stop waits for others to take over.
const LEAVING_MS_MAX: u64 = 3000;

/// The first leader of an ensemble writes its files' members down.
pub(super) fn write_down(tree: &Tree, config: &Config) -> Option<Txn> {
    if config.ensemble.len() < 2 || !members_of(tree).is_empty() || tree.get(CONFIG_PATH).is_none() {
        return None;
    }
    let data = Some(render(&config.ensemble, 0).into_bytes());
    Some(Txn::by_node(Op::SetData { path: CONFIG_PATH.into(), data, version: -1 }))
}

impl Engine {
    /// The members of the ensemble, as far as this node knows: those of the tree, before that those of its files.
    pub fn members(&self) -> &[Member] {
        if self.known_members.is_empty() { &self.config.ensemble } else { &self.known_members }
    }

    /// Connections to those that the files name, before the tree is known.
    pub(super) fn dial_configured(&mut self, fx: &mut Effects) {
        if self.is_ensemble() {
            self.peers.dial(addresses(self.config.node_id, &self.config.ensemble), fx);
        }
    }

    /// Those of this node's own tree, which may be old, and those that only the files name: one of them knows more.
    fn dial_recovered(&mut self, known: &[Member], fx: &mut Effects) {
        if self.metadata.is_recovered() && !self.follows_tree {
            self.compare_own_line(known);
            let is_new = |member: &&Member| known.iter().all(|other| other.id != member.id);
            let members: Vec<Member> =
                known.iter().chain(self.config.ensemble.iter().filter(is_new)).cloned().collect();
            self.peers.dial(addresses(self.config.node_id, &members), fx);
        }
    }

    /// Where others dial this node, and where it listens: if these are two places, nobody ever answers it, and nothing else
    /// tells why. Only a warning: the tree of this disk may be older than a `tern node replace` that the files follow. Hosts
    /// have many names, 0.0.0.0 is one of them: ports are compared.
    fn compare_own_line(&mut self, known: &[Member]) {
        let own = |members: &[Member]| members.iter().find(|member| member.id == self.config.node_id).cloned();
        let ports = |member: &Member| (member.data_port, member.quorum_port);
        if let (false, Some(dialled), Some(own)) = (self.has_compared_line, own(known), own(&self.config.ensemble))
            && ports(&dialled) != ports(&own)
        {
            let id = own.id;
            tracing::warn!(
                "the ensemble knew this node as server.{id}={}, its own files say server.{id}={}: correct the files, unless \
                 tern node replace {id} has moved it since",
                dialled.line(),
                own.line()
            );
        }
        self.has_compared_line = true;
    }

    /// Follows the tree's word about the members.
    pub(super) fn follow_ensemble(&mut self, now: Now, changes: &Changes, fx: &mut Effects) {
        if !self.is_ensemble() {
            return;
        }
        self.measure_quorum();
        self.end_when_removed(now, fx);
        let is_changed = self.metadata.take_membership_changed() && self.metadata.is_caught_up()
            || changes.nodes.iter().any(|change| change.path == CONFIG_PATH);
        if !is_changed && self.follows_tree {
            return;
        }
        let members = members_of(self.metadata.coordinator().tree());
        if members.is_empty() || !self.metadata.is_caught_up() {
            return self.dial_recovered(&members, fx);
        }
        self.follows_tree = true;
        // Who goes is reached until the quorum has let it go: it may take its vote to decide that.
        let in_quorum = self.metadata.quorum().members();
        let is_leaving =
            |member: &&Member| in_quorum.contains_key(&member.id) && members.iter().all(|other| other.id != member.id);
        let mut reached = members.clone();
        for member in self.known_members.iter().chain(&self.leaving).chain(&self.config.ensemble).filter(is_leaving) {
            if reached.iter().all(|other| other.id != member.id) {
                reached.push(member.clone());
            }
        }
        self.leaving = reached.iter().skip(members.len()).cloned().collect();
        self.peers.dial(addresses(self.config.node_id, &reached), fx);
        if members != self.known_members {
            self.warn_of_files(&members);
            let wanted: BTreeMap<NodeId, bool> =
                members.iter().map(|member| (member.id, !member.is_observer)).collect();
            self.metadata.set_members(wanted);
            self.known_members = members;
        }
    }

    /// Ends a node that the tree does not name any more, once the quorum has let it go: its vote may be needed for that.
    /// Who is let go is mostly not told, because nobody speaks to it any more; a long silence says the same.
    fn end_when_removed(&mut self, now: Now, fx: &mut Effects) {
        let (node, quorum) = (self.config.node_id, self.metadata.quorum());
        let is_named = self.known_members.is_empty() || self.known_members.iter().any(|member| member.id == node);
        if is_named || quorum.leader().is_some() {
            self.leaderless_since = None;
            return;
        }
        let since = *self.leaderless_since.get_or_insert(now.mono);
        let silence_ms = SILENCES_OF_A_REMOVED * quorum.silence_ms();
        if now.mono >= since.plus_millis(silence_ms) || !quorum.members().contains_key(&node) {
            fx.push(Effect::Fatal {
                sentence: format!(
                    "server {node} was removed from the ensemble: to bring it back, empty its dataDir and log.dirs and \
                     add it again (tern node add)"
                ),
            });
        }
    }

    /// The tree's word counts, and people look into files.
    fn warn_of_files(&self, members: &[Member]) {
        let differs = |member: &Member| {
            let same = |other: &&Member| {
                let ports = |member: &Member| (member.data_port, member.quorum_port, member.is_observer);
                other.id == member.id && ports(other) == ports(member)
            };
            !self.config.ensemble.iter().any(|other| same(&other))
        };
        let missing = |member: &Member| members.iter().all(|other| other.id != member.id);
        if let Some(member) = members.iter().find(|member| differs(member)) {
            tracing::warn!(
                "the tree says server.{}={}, which is not in this node's files: the tree counts, correct the files",
                member.id,
                member.line()
            );
        } else if let Some(member) = self.config.ensemble.iter().find(|member| missing(member)) {
            tracing::warn!(
                "server.{} is in this node's files and no longer a member: the tree counts, correct the files",
                member.id
            );
        }
    }

    /// True when there is something to hand over first.
    pub(super) fn begin_leaving(&mut self, now: Now, fx: &mut Effects) -> bool {
        if !self.is_ensemble() || self.phase != Phase::Serving || self.metadata.quorum().leader().is_none() {
            return false;
        }
        self.phase = Phase::Leaving;
        self.leaving_until = Some(now.mono.plus_millis(LEAVING_MS_MAX));
        let txn = Txn { by: By::NODE, body: Body::CloseSession { session: self.duties.session() } };
        self.begin_proposal(now, &txn, Purpose::Farewell);
        self.metadata.turn_end(now, fx);
        self.follow_metadata(now, fx);
        true
    }

    /// The broker's session is closed, or cannot be.
    pub(super) fn said_farewell(&mut self) {
        self.has_said_farewell = true;
    }

    /// Goes on with the stop when nothing is left to be handed over, or nobody takes it.
    pub(super) fn leave_at_last(&mut self, now: Now, fx: &mut Effects) {
        let Some(until) = self.leaving_until else { return };
        let is_overdue = now.mono >= until;
        if self.has_said_farewell && !is_overdue && self.metadata.hand_over(now, fx) {
            return; // another is about to lead
        }
        if self.has_said_farewell || is_overdue {
            self.stop_rooms(now, fx);
        }
    }
}
