//! Which boards hold which partition: leaders even, then copies even, then racks apart.
//!
//! Greedy and deterministic: each choice takes the board with the least so far, ties go to the lowest id. Counting what
//! exists already keeps the whole cluster even, not just the new topic. A board that is away gets copies only where there
//! are not enough others, and never leads at first: it fetches when it is back.

mod plan;

use std::collections::BTreeMap;

pub use plan::{Board, Held, PlanError, plan};

use super::cluster::{Cluster, Replicas};
use crate::types::NodeId;

/// What one board carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    is_away: bool,
    leaders: usize,
    replicas: usize,
}

/// Replicas for so many new partitions, the preferred leader first. `replication` is at most the number of boards and
/// `REPLICAS_MAX`; the caller has checked.
pub fn place(cluster: &Cluster, partitions: usize, replication: usize) -> Vec<Replicas> {
    let mut loads = loads(cluster);
    (0..partitions).map(|_| place_one(cluster, &mut loads, replication)).collect()
}

fn place_one(cluster: &Cluster, loads: &mut BTreeMap<NodeId, Load>, replication: usize) -> Replicas {
    let mut chosen = Replicas::new();
    while chosen.len() < replication {
        let free = loads.iter().filter(|(id, _)| !chosen.contains(id));
        let best = if chosen.is_empty() {
            free.min_by_key(|(id, load)| (load.is_away, 0, load.leaders, load.replicas, **id))
        } else {
            free.min_by_key(|(id, load)| (load.is_away, neighbours(cluster, **id, &chosen), load.replicas, 0, **id))
        };
        let Some(id) = best.map(|(&id, _)| id) else { break };
        if let Some(load) = loads.get_mut(&id) {
            load.leaders += chosen.is_empty() as usize;
            load.replicas += 1;
        }
        if chosen.push(id).is_err() {
            break;
        }
    }
    chosen
}

/// How many of `chosen` stand in the same rack.
fn neighbours(cluster: &Cluster, id: NodeId, chosen: &[NodeId]) -> usize {
    let rack = |id: &NodeId| cluster.brokers.get(id).and_then(|broker| broker.rack.as_deref());
    chosen.iter().filter(|other| rack(&id).is_some() && rack(other) == rack(&id)).count()
}

fn loads(cluster: &Cluster) -> BTreeMap<NodeId, Load> {
    let load = |id: NodeId| (id, Load { is_away: !cluster.brokers.contains_key(&id), ..Load::default() });
    let mut loads: BTreeMap<NodeId, Load> = cluster.boards().into_iter().map(load).collect();
    for partition in cluster.topics.values().flat_map(|topic| &topic.partitions) {
        for (place, id) in partition.replicas.iter().enumerate() {
            if let Some(load) = loads.get_mut(id) {
                load.leaders += (place == 0) as usize;
                load.replicas += 1;
            }
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::cluster::Broker;
    use crate::types::{SessionId, Zxid};

    fn cluster(racks: &[Option<&str>]) -> Cluster {
        let broker = |rack: &Option<&str>| Broker {
            endpoints: Vec::new(),
            rack: rack.map(str::to_string),
            epoch: Zxid(1),
            session: SessionId(1),
            feature_level_max: 1,
        };
        let brokers = racks.iter().enumerate().map(|(id, rack)| (NodeId(id as i32), broker(rack))).collect();
        Cluster { brokers, ..Cluster::default() }
    }

    /// Every broker leads and holds the same number, give or take one, and no partition is twice on a broker.
    #[test]
    fn even() {
        for brokers in 1..=5 {
            for replication in 1..=brokers {
                for partitions in [1, 4, 7, 30] {
                    let cluster = cluster(&vec![None; brokers]);
                    let placed = place(&cluster, partitions, replication);
                    let (mut leaders, mut copies) = (vec![0usize; brokers], vec![0usize; brokers]);
                    for replicas in &placed {
                        assert_eq!(replicas.len(), replication);
                        let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
                        assert_eq!(distinct.len(), replication);
                        leaders[replicas[0].0 as usize] += 1;
                        replicas.iter().for_each(|id| copies[id.0 as usize] += 1);
                    }
                    for counts in [leaders, copies] {
                        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
                    }
                }
            }
        }
    }

    /// A member that is away holds a copy where everybody must, is never first, and alone holds nothing.
    #[test]
    fn away() {
        let mut cluster = cluster(&[None, None]);
        cluster.members = [0, 1, 2].map(NodeId).into();
        for replicas in place(&cluster, 6, 3) {
            assert_eq!((replicas.len(), replicas[2]), (3, NodeId(2)));
        }
        assert!(place(&cluster, 6, 2).iter().flatten().all(|id| *id != NodeId(2)));
    }

    /// Two copies stand in two racks when there are two.
    #[test]
    fn racks_apart() {
        let cluster = cluster(&[Some("a"), Some("a"), Some("b"), Some("b")]);
        for replicas in place(&cluster, 12, 2) {
            assert_ne!(replicas[0].0 < 2, replicas[1].0 < 2, "{replicas:?}");
        }
    }
}
