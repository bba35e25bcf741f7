//! What the pages show of a node, gathered by the door so that rendering needs no engine.

use crate::engine::{Cluster, PartitionView};
use crate::memory::Table;
use crate::types::{NodeId, Now, Offset, PartitionIndex};

/// A node as it is now.
pub(super) struct View<'a> {
    pub now: Now,
    pub node_id: NodeId,
    pub cluster_id: &'a str,
    /// What the machine is, for people.
    pub board: &'a str,
    pub is_ready: bool,
    pub cluster: &'a Cluster,
    pub table: &'a Table,
    /// Marks and size of a partition whose replica this node has.
    pub partition: &'a dyn Fn(&str, PartitionIndex) -> Option<PartitionView>,
    /// Hands out the consumer groups that this node coordinates, one after the other.
    pub groups: &'a dyn Fn(TakeGroup<'_>),
}

/// Who takes one group after the other.
pub(super) type TakeGroup<'t> = &'t mut dyn FnMut(&GroupView<'_>);

/// Who takes one committed offset after the other.
pub(super) type TakeOffset<'t> = &'t mut dyn FnMut(&str, PartitionIndex, Offset);

/// A consumer group.
pub(super) struct GroupView<'a> {
    /// Any text: clients choose it.
    pub name: &'a str,
    pub members: usize,
    /// Hands out its committed offsets, topic by topic, each in the order of its partitions.
    pub committed: &'a dyn Fn(TakeOffset<'_>),
}

impl View<'_> {
    /// `leader` for the controller, `follower` for the others, `starting` before the doors open.
    pub fn role(&self) -> &'static str {
        match self.cluster.controller {
            _ if !self.is_ready => "starting",
            Some(controller) if controller.broker == self.node_id => "leader",
            _ => "follower",
        }
    }
}

/// Partitions of every topic: name, index, how it is assigned, and its marks when they are here.
pub(super) fn partitions<'a>(
    view: &'a View<'_>,
) -> impl Iterator<Item = (&'a str, PartitionIndex, &'a crate::engine::PartitionState)> {
    view.cluster.topics.iter().flat_map(|(name, topic)| {
        let numbered = topic.partitions.iter().enumerate();
        numbered.map(move |(index, state)| (name.as_ref(), PartitionIndex(index as i32), state))
    })
}
