//! The engine's side of replication: wishes of partition leaders become transactions, messages of brokers become those of
//! the data link, and the broker's session becomes the lease under which it acknowledges.
//!
//! Invariant: a broker of an ensemble acknowledges for others' disks only while its session surely lives.

use bytes::Bytes;

use super::groups::own;
use super::proposals::Purpose;
use super::{Engine, PartitionKey};
use crate::broker::replication::WishAnswer;
use crate::coordinator::builders::{self, NewState};
use crate::effect::{Channel, Effect, Effects};
use crate::types::{Instant, Now, PartitionIndex};

/// The slot of the engine's own question for a producer id.
const PUBLISHER: u32 = 1;

impl Engine {
    /// The handle by which a door whose clients know no leaders publishes to a partition, wherever it is led. Good for
    /// `append_record` alone.
    pub fn publish_key(&mut self, topic: &str, index: PartitionIndex) -> Option<PartitionKey> {
        if !self.is_ensemble() {
            return self.broker.partition(topic, index);
        }
        let topic = self.metadata.coordinator().cluster().topic(topic)?;
        self.broker.publish_key(topic, index)
    }

    /// Proposes what partition leaders wish, and asks for what publishing needs.
    pub(super) fn follow_replication(&mut self, now: Now) {
        if !self.is_ensemble() {
            return;
        }
        if let Some(asked) = self.metadata.take_confirmed()
            && self.duties.is_alive(self.config.node_id, self.metadata.coordinator().cluster())
        {
            self.peers.brokers.noted(asked);
        }
        self.broker.set_lease(now, Some(self.broker_lease_until().unwrap_or(Instant(0))));
        while let Some(wish) = self.broker.next_wish() {
            let key = wish.partition;
            let Some(view) = self.broker.view(key) else { continue };
            let new =
                NewState { leader: wish.leader, isr: wish.isr, raises_epoch: wish.raises_epoch, version: wish.version };
            let cluster = self.metadata.coordinator().cluster();
            let txn = builders::alter_partition(cluster, &view.topic, view.index, &new);
            let is_begun = txn.is_some_and(|txn| self.begin_proposal(now, &txn, Purpose::State(key, new.version)));
            if !is_begun {
                self.broker.wish_answered(key, new.version, WishAnswer::Refused);
            }
        }
        if self.broker.wants_producer_id() {
            let waiter = own(PUBLISHER);
            if let Some(given) = self.producer_ids.take(waiter) {
                self.broker.published_as(given.ok());
            }
            self.want_producer_ids(now);
        }
    }

    /// Hands over what brokers say to each other.
    pub(super) fn send_to_brokers(&mut self, fx: &mut Effects) {
        while let Some((to, bytes, grant)) = self.broker.next_peer_bytes() {
            fx.push(Effect::PeerSend { to, channel: Channel::Data, bytes: Bytes::from(bytes), grant });
        }
    }
}
