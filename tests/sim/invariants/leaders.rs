//! One leader per epoch: no two boards lead the quorum in one term, or serve one partition as its leader in one epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use tern::engine::{Engine, QuorumRole};
use tern::types::{NodeId, PartitionIndex};

/// Who was seen to lead what.
#[derive(Default)]
pub struct Leaders {
    terms: BTreeMap<u64, NodeId>,
    partitions: BTreeMap<(Arc<str>, i32, i32), NodeId>,
}

impl Leaders {
    /// Looks at a board, after each of its turns.
    pub fn observe(&mut self, node: NodeId, engine: &Engine) {
        if engine.quorum_role() == QuorumRole::Leader {
            let (_, term) = engine.quorum_leader();
            let leader = *self.terms.entry(term.0).or_insert(node);
            assert_eq!(leader, node, "two boards lead the quorum in term {}", term.0);
        }
        for topic in engine.view().topics.values() {
            let led = topic.partitions.iter().enumerate().filter(|(_, state)| state.leader == Some(node));
            for (index, _) in led {
                let index = PartitionIndex(index as i32);
                let Some(key) = engine.partition(&topic.name, index) else { continue };
                let Some(view) = engine.partition_view(key).filter(|view| view.is_served) else { continue };
                let place = (topic.name.clone(), index.0, view.leader_epoch.0);
                let leader = *self.partitions.entry(place).or_insert(node);
                let (name, epoch) = (&topic.name, view.leader_epoch.0);
                assert_eq!(leader, node, "two boards lead {name}-{index} in epoch {epoch}");
            }
        }
    }

    pub fn terms(&self) -> usize {
        self.terms.len()
    }

    pub fn epochs(&self) -> usize {
        self.partitions.len()
    }
}
