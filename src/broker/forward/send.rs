//! From a lane to its leader: over the data link, or into the log when this node leads.

use super::{IN_FLIGHT_MAX, RETRY_MS, Refused, copied};
use crate::broker::replication::{At, Message, ROOM_MS};
use crate::broker::{Acks, AppendError, Broker, Door, PartitionKey, Waiter};
use crate::limits::MEMBERS_MAX;
use crate::memory::Grant;
use crate::types::{ConnId, NodeId, Now, Slot};

/// The place among connections of batches that are appended for a lane, here or elsewhere.
pub(in crate::broker) const SERVING: ConnId = ConnId { index: u32::MAX, generation: u32::MAX - 2 };

/// Batches that a node appends for others at once; more are told to come again.
const SERVING_MAX: usize = 4096;

/// What a leader says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Taken {
    /// It is acknowledged.
    Done,
    /// Not now, or not here.
    Again,
    /// A batch before it is missing here.
    Gap,
    /// Never: these bytes are not allowed in this topic.
    Never,
}

impl Broker {
    /// Closes what gathered in a lane and sends as much as the leader may have.
    pub(super) fn send_lane(&mut self, now: Now, key: PartitionKey) {
        let producer = self.forwarding.producer;
        let Some(lane) = self.forwarding.lanes.get_mut(key.local()) else { return };
        let Some(producer) = producer else {
            return self.forwarding.busy.push_back(key); // until there is an identity
        };
        lane.seal(producer);
        lane.is_busy = false;
        let Some(leader) = lane.leader else { return }; // the tree will tell
        let at = At { topic: lane.topic_id, index: lane.index, epoch: lane.epoch };
        let own = self.node;
        while let Some(sealed) = self.forwarding.lanes.get(key.local()).and_then(|lane| lane.next_to_send()) {
            let number = sealed.number;
            if leader == own {
                let Some(grant) = self.ingest.take(sealed.batch.len()) else {
                    return self.pause_lane(now, key, ROOM_MS);
                };
                let batch = sealed.batch.clone();
                self.sent_one(key);
                if let Some(taken) = self.serve(now, own, at, number, &batch, grant) {
                    return self.lane_answered(now, at, number, taken);
                }
            } else if self.replication.links.has_room(leader) {
                let message = Message::Append { at, number, batch: &sealed.batch };
                self.replication.links.send(leader, &message);
                self.sent_one(key);
            } else {
                // A link that is down tells when it comes up.
                if self.replication.links.is_up(leader) {
                    self.pause_lane(now, key, ROOM_MS);
                }
                return;
            }
        }
    }

    /// Another board publishes through this leader.
    pub(in crate::broker) fn append_arrived(
        &mut self,
        now: Now,
        from: NodeId,
        at: At,
        number: u32,
        batch: &[u8],
        grant: Grant,
    ) {
        if let Some(taken) = self.serve(now, from, at, number, batch, grant) {
            self.replication.links.send(from, &Message::Appended { at, number, taken });
        }
    }

    /// Appends a lane's batch, in the order of their numbers; an answer now, or `append_served` later.
    fn serve(&mut self, now: Now, from: NodeId, at: At, number: u32, batch: &[u8], grant: Grant) -> Option<Taken> {
        let lane = (from, at.topic, at.index);
        if let Some(refused) =
            self.forwarding.refused.get_mut(&lane).filter(|refused| is_behind(number, refused.number))
        {
            // Whoever sends begins anew with what was refused, unless a leader before this one has taken that after all: then
            // as many come without it as can have been under way, and sequence numbers tell what is missing.
            refused.passed += 1;
            if refused.passed >= IN_FLIGHT_MAX {
                self.forwarding.refused.remove(&lane);
            }
            return Some(Taken::Again);
        }
        self.forwarding.refused.remove(&lane);
        let taken = self.append_for(now, from, at, number, batch, grant);
        if taken == Some(Taken::Again) {
            self.refuse(from, at, number);
        }
        taken
    }

    fn append_for(&mut self, now: Now, from: NodeId, at: At, number: u32, batch: &[u8], grant: Grant) -> Option<Taken> {
        let key = self.partition_by_id(at.topic, at.index);
        let is_led = |key: &PartitionKey| {
            self.partitions.get(*key).is_some_and(|partition| partition.is_leader && partition.leader_epoch == at.epoch)
        };
        let Some(key) = key.filter(is_led) else { return Some(Taken::Again) };
        if self.forwarding.serving.len() >= SERVING_MAX {
            return Some(Taken::Again);
        }
        let slot = self.forwarding.next_slot;
        self.forwarding.next_slot = slot.wrapping_add(1);
        let waiter = Waiter { door: Door::Mqtt, conn: SERVING, slot: Slot(slot) };
        match self.append(now, key, copied(batch), grant, Acks::All, Some(waiter)) {
            Ok(_) => {
                self.forwarding.serving.insert(slot, (from, at, number));
                None
            }
            Err(error) => Some(taken(&error)),
        }
    }

    /// Whether the answer is one to `serve`, which is then passed on.
    pub(in crate::broker) fn append_served(&mut self, waiter: Waiter, result: Result<(), &AppendError>) -> bool {
        if waiter.conn != SERVING {
            return false;
        }
        let Some((from, at, number)) = self.forwarding.serving.remove(&waiter.slot.0) else { return true };
        let taken = result.map_or_else(taken, |()| Taken::Done);
        if taken == Taken::Again {
            self.refuse(from, at, number);
        }
        if from == self.node {
            self.lane_answered(self.replication.clock, at, number, taken);
        } else {
            self.replication.links.send(from, &Message::Appended { at, number, taken });
        }
        true
    }

    pub(super) fn pause_lane(&mut self, now: Now, key: PartitionKey, wait_ms: u64) {
        self.forwarding.paused.set(key, now.mono.plus_millis(wait_ms));
    }

    /// Nobody waits at the other end any more: it asks again.
    pub(in crate::broker) fn forget_served(&mut self, node: NodeId) {
        self.forwarding.serving.retain(|_, (from, ..)| *from != node);
    }

    /// Remembers the first batch of a lane that has to come again. Members have at most `lanes_max` lanes each: what is
    /// beyond that is of one that does not keep to it.
    fn refuse(&mut self, from: NodeId, at: At, number: u32) {
        let (refused, lane) = (&mut self.forwarding.refused, (from, at.topic, at.index));
        if refused.len() >= self.limits.lanes_max * MEMBERS_MAX && !refused.contains_key(&lane) {
            return;
        }
        let first = refused.entry(lane).or_insert(Refused { number, passed: 0 });
        if is_behind(first.number, number) {
            *first = Refused { number, passed: 0 };
        }
    }

    /// The other side's link to this node is new: it sends everything again, from the front.
    pub(in crate::broker) fn forget_refused(&mut self, node: NodeId) {
        self.forwarding.refused.retain(|(from, ..), _| *from != node);
    }

    /// A link is new or gone: what was sent over it is sent again.
    pub(in crate::broker) fn rewind_lanes(&mut self, node: NodeId) {
        let keys: Vec<PartitionKey> =
            self.forwarding.lanes.iter().filter(|(_, lane)| lane.leader == Some(node)).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(lane) = self.forwarding.lanes.get_mut(key) {
                lane.rewind();
            }
            self.wake_lane(key.published());
        }
    }

    pub(super) fn retry_lane(&mut self, now: Now, key: PartitionKey) {
        if let Some(lane) = self.forwarding.lanes.get_mut(key.local()) {
            lane.rewind();
            lane.is_refused = true;
        }
        self.pause_lane(now, key, RETRY_MS);
    }

    fn sent_one(&mut self, key: PartitionKey) {
        if let Some(lane) = self.forwarding.lanes.get_mut(key.local()) {
            lane.sent_one();
        }
    }
}

/// Whether a lane's batch comes after another; numbers wrap around.
fn is_behind(number: u32, other: u32) -> bool {
    number != other && number.wrapping_sub(other) < 1 << 31
}

fn taken(error: &AppendError) -> Taken {
    match error {
        AppendError::OutOfOrderSequence => Taken::Gap,
        AppendError::BadBatch(_) | AppendError::TooLarge { .. } | AppendError::InvalidProducerEpoch => Taken::Never,
        AppendError::UnknownPartition
        | AppendError::NotLeader
        | AppendError::NotEnoughReplicas
        | AppendError::NotEnoughReplicasAfterAppend
        | AppendError::Busy
        | AppendError::DiskFull
        | AppendError::Storage(_)
        | AppendError::Stopping => Taken::Again,
    }
}
