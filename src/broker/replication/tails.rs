//! Live subscribers of a replicated partition, on every board that has a replica: what becomes acknowledged is read back
//! from the log, because by then it has left memory. Boards without a replica ask its leader (`remote_tails`).
//!
//! Invariant: one read for each partition at a time; each batch is told once and in order while tails are on. A subscriber
//! that comes gets what is acknowledged from then on: what its board missed while it was off is not news to anybody.

use bytes::Bytes;

use super::REPLICA_READ_BYTES;
use crate::broker::fetch::{For, Lookup};
use crate::broker::partition::{LogState, Partition};
use crate::broker::{Answer, Broker, Door, PartitionKey, Waiter};
use crate::coordinator::PartitionState;
use crate::effect::Effects;
use crate::log::LogReadError;
use crate::record::Batches;
use crate::types::{NodeId, Offset};

/// A replica that is being added copies history, and tells nothing before it is in sync.
pub(super) const UNTOLD: Offset = Offset(i64::MAX);

/// What live subscribers of a partition with a replica here were told.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Tail {
    /// It is read back from the log: since there have been other replicas, and after that until tails are switched. Else
    /// the log hands out what it has written, and everything below the high watermark was told.
    pub is_read_back: bool,
    /// Everything below was told.
    pub from: Offset,
    /// Something was told since the log was opened.
    pub has_told: bool,
    /// What was acknowledged before this life of the board, as far as the leader knows, lies below `from`.
    pub knows_past: bool,
    is_being_read: bool,
}

impl Tail {
    /// Of a partition of which nothing was told. One that comes into being in this life has no past.
    pub fn new(is_older: bool) -> Tail {
        Tail { is_read_back: false, from: Offset(0), has_told: false, knows_past: !is_older, is_being_read: false }
    }

    /// The leader's high watermark was heard.
    pub fn heard(&mut self, high_watermark: Offset) {
        if !std::mem::replace(&mut self.knows_past, true) && self.from != UNTOLD {
            self.from = self.from.max(high_watermark);
        }
    }
}

impl Broker {
    /// The tree says something of a partition here: who tells its subscribers from now on, and from where. To be called before
    /// the partition follows the tree itself.
    pub(super) fn follow_tail(&mut self, key: PartitionKey, state: &PartitionState) {
        let node = self.node;
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let remote = self.replication.remote_tails.told_below((partition.topic_id, partition.index));
        let end = partition.log.map_or(partition.durable, |log| self.logs.marks(log).end);
        let is_alone = partition.has_no_followers(node, state);
        let tail = &mut partition.tail;
        if !is_alone && partition.replicated.is_none() && !tail.is_read_back {
            // What was acknowledged while this node was alone was told. A copy that is made of one elsewhere tells nothing yet.
            let is_added = state.adding.contains(&node) || remote.is_some();
            tail.from = if is_added { UNTOLD } else { partition.high_watermark.get() };
        }
        if tail.from == UNTOLD && state.isr.contains(&node) {
            *tail = Tail { from: remote.flatten().unwrap_or(end), has_told: true, knows_past: true, ..*tail };
            self.replication.tails.push(key);
        }
        if partition.is_leader {
            tail.heard(end); // whoever leads has everything that is acknowledged
        }
        tail.is_read_back = !is_alone || (tail.is_read_back && partition.has_tail);
    }

    /// Reads what was acknowledged and not told yet.
    pub(super) fn read_tails(&mut self, fx: &mut Effects) {
        for key in std::mem::take(&mut self.replication.tails) {
            self.read_tail(key, fx);
        }
    }

    fn read_tail(&mut self, key: PartitionKey, fx: &mut Effects) {
        let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.has_tail) else { return };
        let (Some(log), below) = (partition.log, partition.high_watermark.get().min(partition.durable)) else { return };
        let tail = &mut partition.tail;
        if !tail.is_read_back || tail.is_being_read || tail.from >= below {
            return;
        }
        let from = tail.from.max(partition.log_start);
        self.next_token += 1;
        let token = self.next_token;
        if self.logs.read(log, from, below, REPLICA_READ_BYTES, token, fx).is_ok() {
            (tail.is_being_read, tail.has_told) = (true, true);
            self.lookups.insert(token, Lookup { partition: key, whom: For::Tail(below) });
        }
    }

    /// The disk has read for the subscribers; what cannot be read is not told.
    pub(in crate::broker) fn tail_read_done(
        &mut self,
        key: PartitionKey,
        below: Offset,
        result: Result<Bytes, LogReadError>,
    ) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let high_watermark = partition.high_watermark.get();
        let tail = &mut partition.tail;
        tail.is_being_read = false;
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(LogReadError::Damaged { whole, resume, .. }) => {
                tail.from = tail.from.max(resume.unwrap_or(below));
                self.replication.tails.push(key);
                return self.damage_found(key, whole);
            }
            Err(_) => {
                tail.from = tail.from.max(below);
                return;
            }
        };
        let (batches, next) = behind(&bytes, tail.from);
        // Nothing readable up to where the read went (a gap of compaction): go on behind it.
        tail.from = tail.from.max(if batches.is_empty() { below } else { next });
        if tail.from < high_watermark {
            self.replication.tails.push(key);
        }
        if !batches.is_empty() {
            let answer = Answer::Tail { topic: partition.topic.clone(), partition: partition.index, batches };
            self.answers.push_back((Waiter::door(Door::Mqtt), answer));
        }
    }
}

/// The whole batches of `bytes` that end above `from`, and where the last of them does.
pub(super) fn behind(bytes: &Bytes, from: Offset) -> (Vec<Bytes>, Offset) {
    let mut batches = Vec::new();
    let mut next = from;
    for batch in Batches::new(bytes).map_while(Result::ok) {
        if batch.next_offset() > next {
            next = batch.next_offset();
            batches.push(bytes.slice_ref(batch.bytes()));
        }
    }
    (batches, next)
}

impl Partition {
    /// Whether the tree gives the partition to this node alone.
    pub(super) fn has_no_followers(&self, node: NodeId, state: &PartitionState) -> bool {
        state.replicas.len() <= 1 && state.leader.is_none_or(|leader| leader == node)
    }

    /// Tails were switched: on means from the next acknowledgement on.
    pub(in crate::broker) fn begin_tail(&mut self) {
        let acknowledged = self.high_watermark.get();
        let tail = &mut self.tail;
        tail.is_read_back = self.replicated.is_some();
        let told = self.replicated.as_ref().map_or(acknowledged, |replicated| replicated.told);
        tail.from = tail.from.max(acknowledged).max(told);
    }

    /// Everything below was told to live subscribers; `None` when nobody can say, or nothing is told here yet.
    pub(in crate::broker) fn told_below(&self) -> Option<Offset> {
        let is_known = self.has_tail && self.tail.knows_past && self.log.is_some();
        let is_open = matches!(self.state, LogState::Open | LogState::Cutting);
        let told = if self.tail.is_read_back { self.tail.from } else { self.high_watermark.get() };
        Some(told).filter(|told| is_known && is_open && *told != UNTOLD)
    }

    /// Whether a subscriber that comes now would be told what others heard before this board was back.
    pub(super) fn awaits_past(&self) -> bool {
        let is_open = matches!(self.state, LogState::Open | LogState::Cutting);
        self.has_tail && self.tail.is_read_back && !self.tail.knows_past && is_open
    }
}
