//! Moves of replicas (KIP-455) as the controller does them, of which `coordinator`'s own transactions are tested there.

use tern::coordinator::cluster::Replicas;
use tern::coordinator::{Cluster, PartitionState};
use tern::types::NodeId;

use super::controller::{Controller, TOPIC};

fn without(replicas: &Replicas, others: &[NodeId]) -> Replicas {
    replicas.iter().filter(|id| !others.contains(id)).copied().collect()
}

fn is_moving(state: &PartitionState) -> bool {
    !state.adding.is_empty() || !state.removing.is_empty()
}

/// Takes these replicas, with leader and ISR among them; false when nobody alive and in sync would be left to lead, or
/// nobody in sync but the `worn`: whoever goes deletes what is perhaps the last sound copy, which no operator wants.
fn settle(
    cluster: &Cluster,
    state: &mut PartitionState,
    placed: (Replicas, Replicas, Replicas),
    worn: &[NodeId],
) -> bool {
    let isr: Replicas = state.isr.iter().filter(|id| placed.0.contains(id)).copied().collect();
    let somebody_goes = state.replicas.iter().any(|id| !placed.0.contains(id));
    if somebody_goes && isr.iter().all(|id| worn.contains(id)) {
        return false;
    }
    let is_ready = |id: &NodeId| isr.contains(id) && cluster.brokers.contains_key(id);
    let leader = match state.leader.filter(|leader| isr.contains(leader)) {
        Some(leader) => leader,
        None => match placed.0.iter().copied().find(is_ready) {
            Some(leader) => leader,
            None => return false,
        },
    };
    state.leader_epoch.0 += (somebody_goes || state.leader != Some(leader)) as i32;
    (state.leader, state.isr) = (Some(leader), isr);
    (state.replicas, state.adding, state.removing) = placed;
    true
}

impl Controller {
    fn worn(&self) -> Vec<NodeId> {
        [self.rots].into_iter().chain(self.wiped).collect()
    }

    /// Begins to move a partition, or redirects or (without a target) cancels what is under way.
    pub fn reassign(&mut self, partition: usize, target: Option<&[NodeId]>) {
        let (mut is_begun, worn) = (false, self.worn());
        self.change_state(partition, |cluster, state| {
            let origin = without(&state.replicas, &state.adding);
            let placed = match target {
                None if !is_moving(state) => return false,
                None => (origin, Replicas::new(), Replicas::new()),
                Some(target) => {
                    let mut replicas: Replicas = target.iter().copied().collect();
                    let (adding, removing) = (without(&replicas, &origin), without(&origin, target));
                    replicas.extend_from_slice(&removing).unwrap();
                    (replicas, adding, removing)
                }
            };
            is_begun = settle(cluster, state, placed, &worn);
            is_begun
        });
        self.moves_begun += is_begun as u32;
    }

    /// Ends the moves whose targets are in sync.
    pub fn complete_moves(&mut self) {
        for partition in 0..self.now.topics[TOPIC].partitions.len() {
            let (mut is_done, worn) = (false, self.worn());
            self.change_state(partition, |cluster, state| {
                let target = without(&state.replicas, &state.removing);
                let has_arrived = is_moving(state) && target.iter().all(|id| state.isr.contains(id));
                is_done = has_arrived && settle(cluster, state, (target, Replicas::new(), Replicas::new()), &worn);
                is_done
            });
            self.moves_done += is_done as u32;
        }
    }

    /// Lets a replica lead that is alive and in sync.
    pub fn prefer(&mut self, partition: usize, node: NodeId) {
        self.change_state(partition, |cluster, state| {
            let may = state.isr.contains(&node) && cluster.brokers.contains_key(&node) && state.leader != Some(node);
            if may {
                state.leader = Some(node);
                state.leader_epoch.0 += 1;
            }
            may
        });
    }
}
