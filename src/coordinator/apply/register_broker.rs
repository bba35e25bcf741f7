//! `Body::RegisterBroker`: a broker begins a new life. Whatever it held before ends in the same transaction, and the
//! leader epochs of what it led rise, so that nobody can take its new log for the continuation of the old one.

use super::Apply;
use crate::coordinator::acl::Acl;
use crate::coordinator::cluster::json;
use crate::coordinator::sessions::Session;
use crate::coordinator::txn::Outcome;
use crate::coordinator::{ErrorCode, NodeChangeKind};
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId};

const IDS: &str = "/brokers/ids";

impl Apply<'_> {
    pub(super) fn register_broker(
        &mut self,
        broker: NodeId,
        session: SessionId,
        timeout_ms: u32,
        registration: &[u8],
    ) -> Result<Outcome, ErrorCode> {
        let ids = self.find(IDS)?;
        let path = format!("{IDS}/{broker}");
        if !self.tree.has_room(1, path.len() + registration.len(), true) {
            return Err(ErrorCode::TreeFull);
        }
        self.begin_session(session, Session { timeout_ms, broker: Some(broker) })?;
        self.end_previous(broker, session, &path);
        self.give_birth(path, ids, Some(registration), &Acl::open(), session.0);
        Ok(Outcome::BrokerRegistered { epoch: self.zxid, raised: self.raise_epochs(broker) })
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

    fn raise_epochs(&mut self, broker: NodeId) -> Vec<(String, PartitionIndex, LeaderEpoch)> {
        let cluster = self.cluster;
        let mut raised = Vec::new();
        for topic in cluster.topics.values() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.leader != Some(broker) {
                    continue;
                }
                let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
                let path = format!("/brokers/topics/{}/partitions/{index}/state", topic.name);
                let Some(node) = self.tree.find(&path) else { continue };
                let acl = self.tree.node(node).map_or(0, |node| node.acl);
                let state = json::state(partition.leader, epoch, &partition.isr, partition.controller_epoch);
                self.tree.set_data(node, Some(&state), self.zxid.0, self.time.0);
                self.note(path, NodeChangeKind::DataChanged, acl);
                raised.push((topic.name.to_string(), PartitionIndex(index as i32), epoch));
            }
        }
        raised
    }
}
