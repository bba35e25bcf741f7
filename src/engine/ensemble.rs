//! Who belongs to the ensemble: `/zookeeper/config`, which the first leader writes from its files and which counts from
//! then on; the quorum and the shell's connections follow it. And how a member leaves at a clean stop.
//!
//! The znode's data is what ZooKeeper's own tools expect: `server.N=HOST:2888:3888:participant|observer[;CLIENTPORT]`, one
//! a line, and `version=` with a number.

use std::collections::BTreeMap;

use super::peers::addresses;
use super::proposals::Purpose;
use super::{Engine, Phase};
use crate::config::{Config, Member};
use crate::coordinator::{Body, By, Changes, Op, Tree, Txn};
use crate::effect::Effects;
use crate::limits::MEMBERS_MAX;
use crate::types::{NodeId, Now};

/// Where ZooKeeper keeps its dynamic configuration.
pub const CONFIG_PATH: &str = "/zookeeper/config";

/// How long a clean stop waits for others to take over.
const LEAVING_MS_MAX: u64 = 3000;

/// The members that the tree names, in order; empty when it names none.
pub fn members_of(tree: &Tree) -> Vec<Member> {
    let data = tree.get(CONFIG_PATH).and_then(|znode| znode.data().map(<[u8]>::to_vec)).unwrap_or_default();
    parse(&String::from_utf8_lossy(&data))
}

/// Lines that say nothing about a member are passed over.
pub fn parse(text: &str) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for line in text.lines().take(4 * MEMBERS_MAX) {
        let member =
            line.trim().strip_prefix("server.").and_then(|rest| rest.split_once('=')).and_then(|(id, rest)| {
                let id = id.parse::<i32>().ok().filter(|id| (0..i32::MAX).contains(id))?;
                Member::parse(NodeId(id), rest.trim())
            });
        if let Some(member) = member
            && members.len() < MEMBERS_MAX
            && members.iter().all(|other| other.id != member.id)
        {
            members.push(member);
        }
    }
    members.sort_by_key(|member| member.id);
    members
}

/// The znode's data for these members.
pub fn render(members: &[Member], version: u64) -> String {
    let mut text = String::new();
    for member in members {
        text.push_str(&format!("server.{}={}\n", member.id, member.line()));
    }
    text.push_str(&format!("version={version:x}"));
    text
}

/// The first leader of an ensemble writes its files' members down.
pub(super) fn write_down(tree: &Tree, config: &Config) -> Option<Txn> {
    if config.ensemble.len() < 2 || !members_of(tree).is_empty() || tree.get(CONFIG_PATH).is_none() {
        return None;
    }
    let data = Some(render(&config.ensemble, 0).into_bytes());
    Some(Txn::by_node(Op::SetData { path: CONFIG_PATH.into(), data, version: -1 }))
}

impl Engine {
    /// Connections to those that the files name, before the tree is known.
    pub(super) fn dial_configured(&mut self, fx: &mut Effects) {
        if self.is_ensemble() {
            self.peers.dial(addresses(self.config.node_id, &self.config.ensemble), fx);
        }
    }

    /// Follows the tree's word about the members.
    pub(super) fn follow_ensemble(&mut self, changes: &Changes, fx: &mut Effects) {
        if !self.is_ensemble() {
            return;
        }
        self.measure_quorum();
        let is_changed = self.metadata.take_membership_changed() && self.metadata.is_caught_up()
            || changes.nodes.iter().any(|change| change.path == CONFIG_PATH);
        if !is_changed && self.follows_tree {
            return;
        }
        let members = members_of(self.metadata.coordinator().tree());
        if members.is_empty() || !self.metadata.is_caught_up() {
            return;
        }
        self.follows_tree = true;
        if members != self.known_members {
            self.warn_of_files(&members);
            let wanted: BTreeMap<NodeId, bool> =
                members.iter().map(|member| (member.id, !member.is_observer)).collect();
            self.metadata.set_members(wanted);
            self.peers.dial(addresses(self.config.node_id, &members), fx);
            self.known_members = members;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is rendered is read again; foreign lines, doubles and nonsense are passed over.
    #[test]
    fn round_trip() {
        let text = "server.1=a:2888:3888:participant;2181\nserver.3=[::1]:2:3:observer\nversion=1f";
        let members = parse(text);
        assert_eq!(members.len(), 2);
        assert_eq!((members[0].id, members[1].is_observer), (NodeId(1), true));
        assert_eq!(render(&members, 0x1f), text);
        assert_eq!(parse("server.x=a:1:2\nserver.-1=a:1:2\nserver.1=a\nb=c\nserver.2=b:1:2\nserver.2=c:1:2").len(), 1);
    }
}
