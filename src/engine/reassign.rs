//! Moving replicas and electing leaders, as doors ask for it.

use super::{ElectionError, Engine, Move, MoveError, Waiter};
use crate::coordinator::{Body, builders};
use crate::types::{Now, PartitionIndex};

impl Engine {
    /// Says what is wrong with a wish to move a partition. `keeps_count`: the number of replicas must stay.
    pub fn check_move(&self, topic: &str, wish: &Move, keeps_count: bool) -> Result<(), MoveError> {
        builders::check_move(self.view(), topic, wish, keeps_count)
    }

    /// Begins or cancels moves of one topic's partitions, those that `check_move` allows, all together. True: a
    /// `Completion::Proposed` follows, whose failure with `BadVersion` means that something else changed first: ask again.
    /// False: all is so already.
    pub fn move_replicas(&mut self, now: Now, topic: &str, wishes: &[Move], waiter: Waiter) -> bool {
        let Some(mut txn) = builders::move_replicas(self.view(), topic, wishes) else { return false };
        // An older word in the tree must not begin again what is ended here.
        if let Body::Multi(ops) = &mut txn.body {
            ops.extend(builders::forget_requested(self.tree(), topic, wishes));
        }
        self.propose_for(now, &txn, waiter);
        true
    }

    /// Makes a partition's preferred replica its leader; answers with `Completion::Proposed`.
    pub fn elect_preferred(
        &mut self,
        now: Now,
        topic: &str,
        index: PartitionIndex,
        waiter: Waiter,
    ) -> Result<(), ElectionError> {
        let txn = builders::elect_preferred(self.view(), topic, index)?;
        self.propose_for(now, &txn, waiter);
        Ok(())
    }

    /// Makes any living replica of a partition without a leader its leader, whatever is lost; answers with
    /// `Completion::Proposed`.
    pub fn elect_unclean(
        &mut self,
        now: Now,
        topic: &str,
        index: PartitionIndex,
        waiter: Waiter,
    ) -> Result<(), ElectionError> {
        let txn = builders::elect_unclean(self.view(), topic, index)?;
        tracing::warn!(topic, partition = index.0, "an unclean election was asked for: records may be lost");
        self.propose_for(now, &txn, waiter);
        Ok(())
    }
}
