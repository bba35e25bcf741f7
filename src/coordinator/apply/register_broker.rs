//! `Body::RegisterBroker`: a broker begins a new life. Whatever it held before ends in the same transaction, and the
//! leader epochs of what it led rise, so that nobody can take its new log for the continuation of the old one.
//!
//! A broker whose logs are in another directory than before has none of what it acknowledged: it leaves every ISR and
//! leads nothing, in the same transaction in which it becomes alive, so that it cannot be elected in between. A partition
//! of which it was the last in sync has nobody left: only an unclean election gives it a leader again.

use super::Apply;
use crate::coordinator::acl::Acl;
use crate::coordinator::cluster::Replicas;
use crate::coordinator::features;
use crate::coordinator::sessions::Session;
use crate::coordinator::txn::Outcome;
use crate::coordinator::{ErrorCode, NodeChangeKind};
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId};

const IDS: &str = "/brokers/ids";
/// Which directory each broker's logs were in when it last registered; stays when it goes.
const DIRECTORIES: &str = "/brokers/directories";
/// An identity is 22 characters.
const DIRECTORY_ID_BYTES_MAX: usize = 64;

/// Partitions with new leader epochs.
type Raised = Vec<(String, PartitionIndex, LeaderEpoch)>;

impl Apply<'_> {
    pub(super) fn register_broker(
        &mut self,
        broker: NodeId,
        session: SessionId,
        timeout_ms: u32,
        registration: &[u8],
        directory: Option<&str>,
    ) -> Result<Outcome, ErrorCode> {
        let ids = self.find(IDS)?;
        let path = format!("{IDS}/{broker}");
        let directory = directory.filter(|id| id.len() <= DIRECTORY_ID_BYTES_MAX);
        let births = 1 + directory.is_some() as usize;
        let bytes = births * path.len() + registration.len() + directory.map_or(0, str::len);
        if !self.tree.has_room(births, bytes, true) {
            return Err(ErrorCode::TreeFull);
        }
        self.begin_session(session, Session { timeout_ms, broker: Some(broker) })?;
        self.end_previous(broker, session, &path);
        self.give_birth(path, ids, Some(registration), &Acl::open(), session.0);
        let has_lost_logs = directory.is_some_and(|directory| self.note_directory(broker, directory));
        let (raised, lost) = if has_lost_logs { self.leave_isrs(broker) } else { (self.raise_epochs(broker), vec![]) };
        Ok(Outcome::BrokerRegistered { epoch: self.zxid, raised, lost })
    }

    /// True when the tree knew another one.
    fn note_directory(&mut self, broker: NodeId, directory: &str) -> bool {
        let Some(parent) = self.tree.find(DIRECTORIES) else { return false };
        let path = format!("{DIRECTORIES}/{broker}");
        let Some(index) = self.tree.find(&path) else {
            self.give_birth(path, parent, Some(directory.as_bytes()), &Acl::open(), 0);
            return false;
        };
        let (known, acl) = match self.tree.node(index) {
            Some(node) => (node.data() == Some(directory.as_bytes()), node.acl),
            None => return false,
        };
        if !known {
            self.tree.set_data(index, Some(directory.as_bytes()), self.zxid.0, self.time.0);
            self.note(path, NodeChangeKind::DataChanged, acl);
        }
        !known
    }

    /// Also the sessions of lives whose registration is gone already, and a znode that no session holds.
    fn end_previous(&mut self, broker: NodeId, session: SessionId, path: &str) {
        let previous: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(id, held)| held.broker == Some(broker) && *id != session)
            .map(|(id, _)| id)
            .collect();
        for old in previous {
            self.end_session(old);
        }
        if let Some(index) = self.tree.find(path) {
            self.bury(path.to_string(), index);
        }
    }

    /// Nothing is left of what it had: what it led gets a new epoch and no leader, for the controller to elect, and where it
    /// has yet to copy everything is noted, for unclean elections.
    fn leave_isrs(&mut self, broker: NodeId) -> (Raised, Vec<(String, PartitionIndex)>) {
        let cluster = self.cluster;
        let notes_emptied = cluster.feature_level >= features::EMPTIED;
        let (mut raised, mut lost) = (Vec::new(), Vec::new());
        for topic in cluster.topics.values() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let has_led = partition.leader == Some(broker);
                let mut after = partition.clone();
                if notes_emptied && partition.replicas.contains(&broker) && !partition.emptied.contains(&broker) {
                    after.emptied.retain(|id| partition.replicas.contains(id));
                    let _ = after.emptied.push(broker); // as many fit as there are replicas
                }
                if !has_led && !partition.isr.contains(&broker) && after.emptied == partition.emptied {
                    continue;
                }
                let isr: Replicas = partition.isr.iter().copied().filter(|node| *node != broker).collect();
                let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(has_led as i32));
                let leader = partition.leader.filter(|_| !has_led);
                let state = after.next_state(leader, epoch, &isr, partition.controller_epoch);
                if !self.set_state(&topic.name, index, &state) {
                    continue;
                }
                let place = (topic.name.to_string(), PartitionIndex(index as i32));
                if isr.is_empty() && !partition.isr.is_empty() {
                    lost.push(place.clone());
                }
                if has_led {
                    raised.push((place.0, place.1, epoch));
                }
            }
        }
        (raised, lost)
    }

    fn raise_epochs(&mut self, broker: NodeId) -> Raised {
        let cluster = self.cluster;
        let mut raised = Vec::new();
        for topic in cluster.topics.values() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.leader != Some(broker) {
                    continue;
                }
                let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
                let state = partition.next_state(partition.leader, epoch, &partition.isr, partition.controller_epoch);
                if self.set_state(&topic.name, index, &state) {
                    raised.push((topic.name.to_string(), PartitionIndex(index as i32), epoch));
                }
            }
        }
        raised
    }

    /// False when there is no such znode.
    fn set_state(&mut self, topic: &str, index: usize, state: &[u8]) -> bool {
        let path = format!("/brokers/topics/{topic}/partitions/{index}/state");
        let Some(node) = self.tree.find(&path) else { return false };
        let acl = self.tree.node(node).map_or(0, |node| node.acl);
        self.tree.set_data(node, Some(state), self.zxid.0, self.time.0);
        self.note(path, NodeChangeKind::DataChanged, acl);
        true
    }
}
