//! What the controller, which is the quorum's leader, decides.

use super::{create_ephemeral, delete, set_data};
use crate::coordinator::cluster::{Cluster, PartitionState, json};
use crate::coordinator::txn::{Body, By, Op, Txn};
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId, Timestamp};

/// Operations of one transaction, so that none of them keeps the node's thread for long.
const OPS_MAX: usize = 500;

/// Makes `broker`, registered under `session`, the controller, whoever was it before; the controller epoch rises.
pub fn claim_controller(cluster: &Cluster, broker: NodeId, session: SessionId, now: Timestamp) -> Txn {
    let mut ops = Vec::new();
    if cluster.controller.is_some() {
        ops.push(delete("/controller".to_string()));
    }
    ops.push(create_ephemeral("/controller".to_string(), json::controller(broker, now)));
    let epoch = cluster.controller_epoch.saturating_add(1).to_string().into_bytes();
    ops.push(set_data("/controller_epoch".to_string(), epoch, -1));
    Txn { by: By::Node { session }, body: Body::Multi(ops) }
}

/// New leaders for partitions that have none or whose leader is not registered, from the ISR; `None` when nothing can
/// be done. Call again after it was applied: large clusters take several transactions.
pub fn elect_leaders(cluster: &Cluster) -> Option<Txn> {
    let mut ops = Vec::new();
    for topic in cluster.topics.values() {
        for (index, partition) in topic.partitions.iter().enumerate() {
            if ops.len() < OPS_MAX
                && let Some(op) = elect(cluster, &topic.name, index, partition)
            {
                ops.push(op);
            }
        }
    }
    if ops.is_empty() { None } else { Some(Txn { by: By::NODE, body: Body::Multi(ops) }) }
}

/// Why a preferred replica is not made the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionError {
    /// Client: there is no such partition.
    UnknownPartition,
    /// Client: it leads already.
    NotNeeded,
    /// View: it is not alive, or not in sync.
    NotInSync,
}

/// Makes the first of a partition's replicas its leader, provided that it is alive and in sync.
pub fn elect_preferred(cluster: &Cluster, topic: &str, index: PartitionIndex) -> Result<Txn, ElectionError> {
    let partition = cluster.partition(topic, index).ok_or(ElectionError::UnknownPartition)?;
    let preferred = *partition.replicas.first().ok_or(ElectionError::NotInSync)?;
    if partition.leader == Some(preferred) {
        return Err(ElectionError::NotNeeded);
    }
    let is_ready = partition.isr.contains(&preferred) && cluster.brokers.contains_key(&preferred);
    if partition.version < 0 || !is_ready {
        return Err(ElectionError::NotInSync);
    }
    let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
    let state = json::state(Some(preferred), epoch, &partition.isr, cluster.controller_epoch);
    let path = format!("/brokers/topics/{topic}/partitions/{}/state", index.0);
    Ok(Txn::by_node(set_data(path, state, partition.version)))
}

fn elect(cluster: &Cluster, topic: &str, index: usize, partition: &PartitionState) -> Option<Op> {
    let is_alive = |id: &NodeId| cluster.brokers.contains_key(id);
    if partition.version < 0 || partition.leader.as_ref().is_some_and(is_alive) {
        return None;
    }
    let leader = partition.replicas.iter().find(|id| partition.isr.contains(id) && is_alive(id)).copied()?;
    let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
    // Those who are gone have everything that was acknowledged until the new leader, at once, has them out.
    let state = json::state(Some(leader), epoch, &partition.isr, cluster.controller_epoch);
    Some(set_data(format!("/brokers/topics/{topic}/partitions/{index}/state"), state, partition.version))
}
