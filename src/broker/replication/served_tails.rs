//! The leader's side of live subscribers on boards without a replica: what is acknowledged is read back from the log and
//! sent, once for each question (`remote_tails`).
//!
//! Invariants: nothing at or above the high watermark is told; a question holds no bytes while it waits. Bounds:
//! `TAIL_READS_MAX` reads of `TAIL_READ_BYTES` (or one batch that is larger) at once, one for each board, and none for a
//! board on whose link `TAIL_LINK_BYTES_MAX` are under way, so that replication finds room; questions, one for each
//! board and partition, up to as many as members may have. Whoever finds no room for a question asks again.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::links::TAIL_LINK_BYTES_MAX;
use super::{At, Message};
use crate::broker::fetch::{For, Lookup};
use crate::broker::partition::LogState;
use crate::broker::{Broker, PartitionKey};
use crate::effect::Effects;
use crate::limits::MEMBERS_MAX;
use crate::log::LogReadError;
use crate::types::{LeaderEpoch, NodeId, Offset};

const TAIL_READ_BYTES: usize = 64 * 1024;
const TAIL_READS_MAX: usize = 4;

/// What a question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// That the high watermark moves.
    More,
    /// A read and room on the link.
    Turn,
    /// The disk.
    Disk,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    number: u32,
    epoch: LeaderEpoch,
    from: Offset,
    wait: Wait,
}

/// The questions of all boards that are not answered.
#[derive(Debug, Default)]
pub(in crate::broker) struct ServedTails {
    all: BTreeMap<(PartitionKey, NodeId), Question>,
    /// Those that wait for their turn, each once.
    turns: VecDeque<(PartitionKey, NodeId)>,
    /// The boards for which the disk reads, each once.
    reads: heapless::Vec<NodeId, TAIL_READS_MAX>,
}

impl ServedTails {
    /// Somebody waits for room or a read.
    pub fn is_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    fn end_read(&mut self, node: NodeId) {
        self.reads.retain(|reader| *reader != node);
    }

    /// A board asks; what it asked before is forgotten.
    fn ask(&mut self, place: (PartitionKey, NodeId), question: Question) {
        let before = self.all.insert(place, question);
        if before.is_some_and(|before| before.wait == Wait::Turn) {
            self.turns.retain(|other| *other != place);
        }
    }

    /// Everything below is acknowledged.
    fn moved(&mut self, key: PartitionKey, below: Offset) {
        for (place, question) in self.all.range_mut((key, NodeId(i32::MIN))..=(key, NodeId(i32::MAX))) {
            if question.wait == Wait::More && question.from < below {
                question.wait = Wait::Turn;
                self.turns.push_back(*place);
            }
        }
    }

    /// The board's link is gone or new: it asks again.
    pub fn forget_node(&mut self, node: NodeId) {
        self.forget(|(_, of)| *of == node);
    }

    /// The partition is gone, or in another leadership.
    pub fn forget_partition(&mut self, key: PartitionKey) {
        self.forget(|(of, _)| *of == key);
    }

    fn forget(&mut self, is_gone: impl Fn(&(PartitionKey, NodeId)) -> bool) {
        if !self.all.is_empty() {
            self.all.retain(|place, _| !is_gone(place));
            self.turns.retain(|place| !is_gone(place));
        }
    }
}

impl Broker {
    /// A board without a replica asks for what is acknowledged.
    pub(super) fn tail_fetch_arrived(&mut self, node: NodeId, at: At, number: u32, from: Option<Offset>) {
        let is_led = |key: &PartitionKey| {
            self.partitions.get(*key).is_some_and(|partition| {
                partition.is_leader && partition.leader_epoch == at.epoch && partition.state == LogState::Open
            })
        };
        let key = self.partition_by_id(at.topic, at.index).filter(is_led);
        let is_full = self.replication.served_tails.all.len() >= self.limits.lanes_max * MEMBERS_MAX;
        let Some((key, partition)) = key.and_then(|key| Some((key, self.partitions.get(key)?))).filter(|_| !is_full)
        else {
            return self.replication.links.send(node, &Message::TailNotHere { at, number });
        };
        let end = partition.log.map_or(Offset(0), |log| self.logs.marks(log).end);
        let Some(from) = from.filter(|from| *from <= end) else {
            // Of what lay here when this leadership began it is not known at first how much is acknowledged: a place beyond
            // that would be one in another log, if this leadership ends before.
            let begun = partition.replicated.as_deref().map_or(Offset(0), |replicated| replicated.epoch_start);
            let next = partition.high_watermark.get();
            let answer = match next < begun {
                true => Message::TailNotHere { at, number },
                false => Message::TailRecords { at, number, next, batches: &[] },
            };
            return self.replication.links.send(node, &answer);
        };
        let question = Question { number, epoch: at.epoch, from, wait: Wait::More };
        self.replication.served_tails.ask((key, node), question);
        self.tell_tails(key);
    }

    /// The high watermark of a partition led here has moved, or somebody has asked.
    pub(in crate::broker) fn tell_tails(&mut self, key: PartitionKey) {
        if self.replication.served_tails.all.is_empty() {
            return;
        }
        let Some(partition) = self.partitions.get(key) else { return };
        let below = partition.high_watermark.get().min(partition.durable);
        self.replication.served_tails.moved(key, below);
    }

    /// Reads for those whose turn it is.
    pub(super) fn read_served_tails(&mut self, fx: &mut Effects) {
        for _ in 0..self.replication.served_tails.turns.len() {
            let Some((key, node)) = self.replication.served_tails.turns.pop_front() else { return };
            if !self.read_served_tail(key, node, fx) {
                self.replication.served_tails.turns.push_back((key, node));
            }
        }
    }

    /// False when there is no room.
    fn read_served_tail(&mut self, key: PartitionKey, node: NodeId, fx: &mut Effects) -> bool {
        let served = &mut self.replication.served_tails;
        let Some(question) = served.all.get_mut(&(key, node)).filter(|question| question.wait == Wait::Turn) else {
            return true;
        };
        let Some(partition) = self.partitions.get(key) else { return true };
        let (Some(log), true) = (partition.log, partition.is_leader && partition.leader_epoch == question.epoch) else {
            served.all.remove(&(key, node)); // it hears of the next leadership from the tree, and asks there
            return true;
        };
        let is_crowded = self.replication.links.bytes_on_way(node) > TAIL_LINK_BYTES_MAX;
        if is_crowded || served.reads.contains(&node) || served.reads.push(node).is_err() {
            return false;
        }
        question.wait = Wait::Disk;
        let (from, number) = (question.from.max(partition.log_start), question.number);
        let below = partition.high_watermark.get().min(partition.durable);
        self.next_token += 1;
        let token = self.next_token;
        match self.logs.read(log, from, below, TAIL_READ_BYTES, token, fx) {
            Ok(()) => {
                self.lookups.insert(token, Lookup { partition: key, whom: For::RemoteTail(node, number, below) });
            }
            Err(_) => {
                // Nothing was read: it may be there the next time.
                served.end_read(node);
                let at = partition.at();
                served.all.remove(&(key, node));
                self.replication.links.send(node, &Message::TailNotHere { at, number });
            }
        }
        true
    }

    /// The disk has read for a board without a replica. What it cannot read is left out, as it is for local subscribers.
    pub(in crate::broker) fn served_tail_read(
        &mut self,
        key: PartitionKey,
        node: NodeId,
        number: u32,
        below: Offset,
        result: Result<Bytes, LogReadError>,
    ) {
        self.replication.served_tails.end_read(node);
        if let Err(LogReadError::Damaged { whole, .. }) = &result {
            self.damage_found(key, *whole);
        }
        let Some(partition) = self.partitions.get(key) else { return };
        let at = partition.at();
        let served = &mut self.replication.served_tails;
        let is_asked = |question: &&Question| question.number == number && question.epoch == at.epoch;
        let Some(question) = served.all.get(&(key, node)).filter(is_asked).copied() else { return };
        served.all.remove(&(key, node));
        let (batches, next) = match result {
            Ok(batches) => (batches, below),
            Err(LogReadError::Damaged { resume: Some(resume), .. }) if resume > question.from => (Bytes::new(), resume),
            Err(LogReadError::OutOfRange(range)) if range.start > question.from => (Bytes::new(), range.start),
            Err(_) => (Bytes::new(), below),
        };
        self.replication.links.send(node, &Message::TailRecords { at, number, next, batches: &batches });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However often a board asks and its link comes and goes while nothing can be read for it, it waits for one turn.
    #[test]
    fn turns_are_bounded() {
        let (key, node) = (PartitionKey(3), NodeId(1));
        let question = Question { number: 1, epoch: LeaderEpoch(0), from: Offset(5), wait: Wait::More };
        let mut served = ServedTails::default();
        for _ in 0..10 {
            served.ask((key, node), question);
            served.moved(key, Offset(6));
            assert_eq!(served.turns, [(key, node)]);
            served.ask((key, node), question);
            assert!(!served.is_waiting());
            served.moved(key, Offset(6));
            served.forget_node(node);
            assert!(!served.is_waiting());
        }
        served.ask((key, node), question);
        served.moved(key, Offset(5));
        assert!(!served.is_waiting(), "there is nothing yet");
        served.moved(key, Offset(6));
        served.forget_partition(key);
        assert!(!served.is_waiting());
    }
}
