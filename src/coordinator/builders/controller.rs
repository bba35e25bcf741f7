//! What the controller, which is the quorum's leader, decides.

use std::collections::BTreeSet;

use super::reassign::{is_moving, origin_of};
use super::{create_ephemeral, delete, set_data};
use crate::coordinator::cluster::{Cluster, PartitionState, Topic, json};
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

/// New leaders for partitions that have none or whose leader is not registered, from the ISR, or from the replicas that
/// live when the ISR has none and `is_unclean` says so; `None` when nothing can be done. Call again after it was applied:
/// large clusters take several transactions.
///
/// A replica whose disk was emptied is not elected uncleanly while another may have records: that one would follow it and
/// cut off all it has. The partition waits for the other, or for somebody who asks (`elect_unclean`).
pub fn elect_leaders(cluster: &Cluster, is_unclean: impl Fn(&Topic) -> bool) -> Option<Txn> {
    let mut ops = Vec::new();
    for topic in cluster.topics.values() {
        for (index, partition) in topic.partitions.iter().enumerate().filter(|(_, state)| is_offline(cluster, state)) {
            let elect = || {
                let clean = elect(cluster, &topic.name, index, partition, Whom::InSync);
                clean.or_else(|| {
                    let whom = if has_records(partition) { Whom::WithRecords } else { Whom::Anyone };
                    is_unclean(topic).then(|| elect(cluster, &topic.name, index, partition, whom)).flatten()
                })
            };
            if ops.len() < OPS_MAX
                && let Some(op) = elect()
            {
                ops.push(op);
            }
        }
    }
    multi(ops)
}

/// Gives leaderships back to `brokers`: of partitions whose preferred replica is one of them, in sync, and does not lead.
/// `None` when there is nothing to give. Partitions that are moving are left alone.
pub fn balance_leaders(cluster: &Cluster, brokers: &BTreeSet<NodeId>) -> Option<Txn> {
    let mut ops = Vec::new();
    for topic in cluster.topics.values() {
        for (index, partition) in topic.partitions.iter().enumerate() {
            let is_wanted = partition.replicas.first().is_some_and(|preferred| brokers.contains(preferred));
            if is_wanted
                && ops.len() < OPS_MAX
                && !is_moving(partition)
                && let Ok(op) = elect_preferred_op(cluster, &topic.name, PartitionIndex(index as i32))
            {
                ops.push(op);
            }
        }
    }
    multi(ops)
}

fn multi(ops: Vec<Op>) -> Option<Txn> {
    (!ops.is_empty()).then_some(Txn { by: By::NODE, body: Body::Multi(ops) })
}

/// Why a replica is not made the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionError {
    /// Client: there is no such partition.
    UnknownPartition,
    /// Client: it leads already.
    NotNeeded,
    /// View: it is not alive, or not in sync.
    NotInSync,
    /// View: no replica is alive.
    NobodyAlive,
}

/// Makes the first of a partition's replicas its leader, provided that it is alive and in sync.
pub fn elect_preferred(cluster: &Cluster, topic: &str, index: PartitionIndex) -> Result<Txn, ElectionError> {
    elect_preferred_op(cluster, topic, index).map(Txn::by_node)
}

/// Makes any replica that is alive the leader of a partition whose leader is not, one in sync if there is one: else what
/// was acknowledged and it does not have is lost. One whose disk was emptied is the last choice.
pub fn elect_unclean(cluster: &Cluster, topic: &str, index: PartitionIndex) -> Result<Txn, ElectionError> {
    let partition = cluster.partition(topic, index).ok_or(ElectionError::UnknownPartition)?;
    if !is_offline(cluster, partition) {
        return Err(ElectionError::NotNeeded);
    }
    let place = usize::try_from(index.0).map_err(|_| ElectionError::UnknownPartition)?;
    let choices = [Whom::InSync, Whom::WithRecords, Whom::Anyone];
    let op = choices.into_iter().find_map(|whom| elect(cluster, topic, place, partition, whom));
    op.map(Txn::by_node).ok_or(ElectionError::NobodyAlive)
}

/// The operation of `elect_preferred`.
pub(super) fn elect_preferred_op(cluster: &Cluster, topic: &str, index: PartitionIndex) -> Result<Op, ElectionError> {
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
    let state = partition.next_state(Some(preferred), epoch, &partition.isr, cluster.controller_epoch);
    let path = format!("/brokers/topics/{topic}/partitions/{}/state", index.0);
    Ok(set_data(path, state, partition.version))
}

/// Nobody leads it who is alive.
fn is_offline(cluster: &Cluster, partition: &PartitionState) -> bool {
    let is_led = partition.leader.as_ref().is_some_and(|leader| cluster.brokers.contains_key(leader));
    partition.version >= 0 && !is_led
}

/// Who may lead a partition; each takes the first who is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// Who has everything that was acknowledged.
    InSync,
    /// Who may have a part of it.
    WithRecords,
    /// Also who has nothing.
    Anyone,
}

/// One of its replicas may have records, alive or not.
fn has_records(partition: &PartitionState) -> bool {
    origin_of(partition).iter().any(|id| !partition.emptied.contains(id))
}

/// The election of an offline partition. An unclean leader is the only one in sync, whatever others have.
fn elect(cluster: &Cluster, topic: &str, index: usize, partition: &PartitionState, whom: Whom) -> Option<Op> {
    let may_lead = |id: &NodeId| match whom {
        Whom::InSync => partition.isr.contains(id),
        Whom::WithRecords => !partition.adding.contains(id) && !partition.emptied.contains(id),
        Whom::Anyone => !partition.adding.contains(id),
    };
    let is_alive = |id: &NodeId| cluster.brokers.contains_key(id);
    let leader = partition.replicas.iter().copied().find(|id| may_lead(id) && is_alive(id))?;
    let epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
    // Those who are gone have everything that was acknowledged until the new leader, at once, has them out.
    let isr = if whom == Whom::InSync { partition.isr.clone() } else { [leader].into_iter().collect() };
    let state = partition.next_state(Some(leader), epoch, &isr, cluster.controller_epoch);
    Some(set_data(format!("/brokers/topics/{topic}/partitions/{index}/state"), state, partition.version))
}
