//! Publishing to a partition of an ensemble, whoever leads it: records are gathered into batches with a producer id and
//! sequence numbers, sent to the leader, and sent again, as they are, when leader or link change. The leader drops what it
//! has, so that a record is neither lost nor doubled nor overtaken by one that came later.
//!
//! ```text
//! append_record -> Lane.open --turn end--> Lane.queue --Append--> leader: produce, wait for the high watermark
//!                                             ^  |                                  |
//!                          from the front again  +-- waiters answered <--Appended---+
//! ```
//!
//! Invariants: a lane's batches are numbered without gaps and leave it in that order; at most `IN_FLIGHT_MAX` are sent and
//! not answered, as many as a leader remembers of a producer; a batch keeps its bytes until it is answered; all of them
//! are granted, and what publishers may take of the memory leaves room to append any of them here; a leader that sends a batch
//! back takes none that follows it before it has come again, because it takes whatever a producer begins with that it does
//! not know. Called by `engine`, for doors whose clients have no idea of leaders (MQTT).

mod answer;
mod lane;
mod send;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

use super::key::KeyTable;
use super::open_batch::NotTaken;
use super::replication::At;
use super::{AppendError, BatchFault, Broker, PartitionKey, Waiter};
use crate::coordinator::Topic;
use crate::limits::OPEN_BATCH_BYTES_MAX;
use crate::record::NewRecord;
use crate::types::{Instant, NodeId, Now, PartitionIndex, ProducerEpoch, ProducerId, Timers, TopicId};
use lane::{Lane, Room};
pub(super) use send::SERVING;
pub use send::Taken;

/// Batches of a lane that are sent and not answered.
const IN_FLIGHT_MAX: usize = super::producers::BATCHES_PER_PRODUCER;

/// What a leader did not take is sent again after so long.
const RETRY_MS: u64 = 50;

/// The first batch of a lane elsewhere that must come again, and how many came since without it.
#[derive(Clone, Copy, Debug)]
struct Refused {
    number: u32,
    passed: usize,
}

/// Everything that is published through this node.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    producer: Option<(ProducerId, ProducerEpoch)>,
    is_producer_asked: bool,
    lanes: KeyTable<Lane>,
    by_partition: BTreeMap<(TopicId, PartitionIndex), PartitionKey>,
    /// Lanes with an open batch, or something to send.
    busy: VecDeque<PartitionKey>,
    paused: Timers<PartitionKey>,
    /// Batches that this node appends for others: who waits for the answer.
    serving: BTreeMap<u32, (NodeId, At, u32)>,
    /// The batch of a lane elsewhere that was told to come again: nothing behind it is taken before it.
    refused: BTreeMap<(NodeId, TopicId, PartitionIndex), Refused>,
    next_slot: u32,
}

impl Forwarding {
    /// When something is tried again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let is_ready = self.producer.is_some() && !self.busy.is_empty();
        if is_ready { Some(Instant(0)) } else { self.paused.earliest() }
    }
}

impl Broker {
    /// The handle by which records are published to a partition of `topic`; `None` when it does not exist or there is no
    /// room for more. Good for `append_record` alone.
    pub fn publish_key(&mut self, topic: &Topic, index: PartitionIndex) -> Option<PartitionKey> {
        let place = (topic.id, index);
        if let Some(&key) = self.forwarding.by_partition.get(&place) {
            return Some(key);
        }
        let state = topic.partitions.get(usize::try_from(index.0).ok()?)?;
        if self.forwarding.lanes.len() >= self.limits.lanes_max {
            return None;
        }
        let settings = self.settings_of(topic);
        let lane = Lane::new(topic.name.clone(), topic.id, index, state, settings);
        let key = self.forwarding.lanes.insert(lane)?.published();
        self.forwarding.by_partition.insert(place, key);
        Some(key)
    }

    /// Takes a record of a publisher; it is acknowledged when every replica in sync has it.
    pub(super) fn publish(
        &mut self,
        key: PartitionKey,
        record: &NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<(), AppendError> {
        let lane = self.forwarding.lanes.get_mut(key.local()).ok_or(AppendError::UnknownPartition)?;
        if lane.settings.is_compacted && record.key.is_none() {
            return Err(BatchFault::Forbidden.into());
        }
        if !lane.is_busy {
            lane.is_busy = true;
            self.forwarding.busy.push_back(key);
        }
        let room = room(lane, self.node, self.ingest.limit_bytes(), |leader| self.replication.links.is_up(leader));
        let waiters_max = self.limits.acknowledgements_max / 2;
        let held = lane.held();
        let is_crowded = held.waiters >= waiters_max || !room.is_sending && self.waiting >= waiters_max;
        if held.bytes >= room.lane_bytes_max || waiter.is_some() && is_crowded {
            return Err(AppendError::Busy);
        }
        let taken = match lane.push(record, waiter, &self.ingest, room) {
            Err(NotTaken::Full) => match self.forwarding.producer {
                // Without an identity nothing can be closed yet; the publisher offers it again.
                None => return Err(AppendError::Busy),
                Some(producer) => {
                    lane.seal(producer);
                    lane.push(record, waiter, &self.ingest, room)
                }
            },
            other => other,
        };
        taken.map_err(|not_taken| match not_taken {
            NotTaken::TooLarge => AppendError::TooLarge { limit_bytes: room.batch_bytes_max },
            NotTaken::Full | NotTaken::NoMemory => AppendError::Busy,
        })?;
        self.waiting += waiter.is_some() as usize;
        Ok(())
    }

    /// True once when this node needs a producer id to publish with; `published_as` brings it.
    pub fn wants_producer_id(&mut self) -> bool {
        let forwarding = &mut self.forwarding;
        let wants = forwarding.producer.is_none() && !forwarding.is_producer_asked && !forwarding.busy.is_empty();
        forwarding.is_producer_asked |= wants;
        wants
    }

    /// The identity that batches are published with; `None`: there is none now, ask again.
    pub fn published_as(&mut self, producer: Option<(ProducerId, ProducerEpoch)>) {
        self.forwarding.producer = producer;
        self.forwarding.is_producer_asked = false;
    }

    /// The tree says something new of a topic: leaders may have changed, or it is gone.
    pub(super) fn follow_lanes(&mut self, name: &str, topic: Option<&Topic>) {
        if self.forwarding.lanes.len() == 0 {
            return;
        }
        let settings = topic.map(|topic| self.settings_of(topic));
        let keys: Vec<PartitionKey> =
            self.forwarding.lanes.iter().filter(|(_, lane)| *lane.topic == *name).map(|(key, _)| key).collect();
        for key in keys {
            let Some(lane) = self.forwarding.lanes.get_mut(key) else { continue };
            let state = topic
                .filter(|topic| topic.id == lane.topic_id)
                .and_then(|topic| topic.partitions.get(usize::try_from(lane.index.0).ok()?));
            match (state, &settings) {
                (Some(state), Some(settings)) => {
                    lane.settings = Arc::clone(settings);
                    if lane.follow(state) {
                        self.wake_lane(key.published());
                    }
                }
                _ => self.remove_lane(key),
            }
        }
    }

    /// Sends what gathered, in the order in which it came.
    pub(super) fn forward(&mut self, now: Now) {
        for _ in 0..self.forwarding.busy.len() {
            let Some(key) = self.forwarding.busy.pop_front() else { return };
            self.send_lane(now, key);
        }
    }

    /// Looks at lanes again that had to wait.
    pub(super) fn forward_paused(&mut self, now: Now) {
        while let Some(key) = self.forwarding.paused.expired(now.mono) {
            self.wake_lane(key);
        }
    }

    fn wake_lane(&mut self, key: PartitionKey) {
        if let Some(lane) = self.forwarding.lanes.get_mut(key.local())
            && !std::mem::replace(&mut lane.is_busy, true)
        {
            self.forwarding.busy.push_back(key);
        }
    }

    /// The topic is gone: nobody will ever take what waits.
    fn remove_lane(&mut self, key: PartitionKey) {
        let Some(lane) = self.forwarding.lanes.remove(key) else { return };
        self.forwarding.by_partition.remove(&(lane.topic_id, lane.index));
        let waiters: Vec<Waiter> = lane.into_waiters().collect();
        self.answer_published(waiters, &Err(AppendError::UnknownPartition));
    }
}

/// What a record may take of the memory of all lanes, which is `limit_bytes`. A batch is kept until it is acknowledged, and
/// where this node leads, the log takes a copy: so much stays free that any batch can be copied, or nothing would ever move
/// again. No lane takes more than half of the rest, and those that cannot send leave the others a half together.
fn room(lane: &Lane, own: NodeId, limit_bytes: usize, is_up: impl Fn(NodeId) -> bool) -> Room {
    let copy_bytes = (limit_bytes * 3 / 8).max(OPEN_BATCH_BYTES_MAX).min(limit_bytes / 2);
    let is_sending = !lane.is_refused && lane.leader.is_some_and(|leader| leader == own || is_up(leader));
    let lane_bytes_max = (limit_bytes - copy_bytes) / 2;
    let left_bytes = copy_bytes + if is_sending { 0 } else { lane_bytes_max };
    Room { is_sending, lane_bytes_max, batch_bytes_max: lane.settings.message_bytes_max.min(copy_bytes), left_bytes }
}

/// A copy of a batch for the local log, which takes it for good.
fn copied(batch: &[u8]) -> BytesMut {
    BytesMut::from(batch)
}
