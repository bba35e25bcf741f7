//! What a partition's leader asks of the tree.

use super::set_data;
use crate::coordinator::cluster::{Cluster, Replicas};
use crate::coordinator::txn::Txn;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex};

/// What a leader wants a partition's state to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewState {
    /// The leader from then on, a member of `isr`.
    pub leader: NodeId,
    /// In sync from then on; replicas of the partition.
    pub isr: Replicas,
    /// Whether the leader epoch rises.
    pub raises_epoch: bool,
    /// The version of the state that this was made for.
    pub version: i32,
}

/// Changes a partition's state if it is still of that version; `None` when it is not, or when the wish makes no sense.
pub fn alter_partition(cluster: &Cluster, topic: &str, index: PartitionIndex, new: &NewState) -> Option<Txn> {
    let state = cluster.partition(topic, index)?;
    let is_replica = |node: &NodeId| state.replicas.contains(node);
    if state.version != new.version || !new.isr.contains(&new.leader) || !new.isr.iter().all(is_replica) {
        return None;
    }
    let epoch = LeaderEpoch(state.leader_epoch.0.saturating_add(new.raises_epoch as i32));
    let data = state.next_state(Some(new.leader), epoch, &new.isr, cluster.controller_epoch);
    Some(Txn::by_node(set_data(format!("/brokers/topics/{topic}/partitions/{index}/state"), data, new.version)))
}
