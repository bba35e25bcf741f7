//! The batches that wait for one partition, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::IN_FLIGHT_MAX;
use crate::broker::open_batch::{NotTaken, OpenBatch};
use crate::broker::producers::sequence_plus;
use crate::broker::{TopicSettings, Waiter};
use crate::coordinator::PartitionState;
use crate::memory::{Account, Grant};
use crate::record::{NewRecord, Producer};
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

/// A batch that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The lane's own count.
    pub number: u32,
    pub batch: Bytes,
    /// Covers `batch`.
    pub grant: Grant,
    pub waiters: Vec<Waiter>,
}

/// What a lane holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub bytes: usize,
    pub waiters: usize,
}

impl Held {
    fn without(&mut self, sealed: Sealed) -> Vec<Waiter> {
        self.bytes -= sealed.grant.bytes();
        self.waiters -= sealed.waiters.len();
        sealed.waiters
    }
}

/// How much a record may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The leader may be sent to.
    pub is_sending: bool,
    /// All batches of a lane, beyond which none grows much.
    pub lane_bytes_max: usize,
    /// A batch, the largest.
    pub batch_bytes_max: usize,
    /// What stays for others.
    pub left_bytes: usize,
}

/// What is published to one partition.
#[derive(Debug)]
pub(super) struct Lane {
    pub topic: Arc<str>,
    pub topic_id: TopicId,
    pub index: PartitionIndex,
    pub settings: Arc<TopicSettings>,
    pub leader: Option<NodeId>,
    pub epoch: LeaderEpoch,
    /// The leader takes nothing at present, as it last said.
    pub is_refused: bool,
    /// It stands in the queue of those with something to do.
    pub is_busy: bool,
    open: Option<(OpenBatch, Vec<Waiter>)>,
    queue: VecDeque<Sealed>,
    /// What all of these are granted, and who waits for them.
    queued: Held,
    /// How many of the queue's front are sent to the leader in this leadership.
    sent: usize,
    next_sequence: i32,
    next_number: u32,
}

impl Lane {
    pub fn new(
        topic: Arc<str>,
        topic_id: TopicId,
        index: PartitionIndex,
        state: &PartitionState,
        settings: Arc<TopicSettings>,
    ) -> Lane {
        Lane {
            topic,
            topic_id,
            index,
            settings,
            leader: state.leader,
            epoch: state.leader_epoch,
            is_refused: false,
            is_busy: false,
            open: None,
            queue: VecDeque::new(),
            queued: Held::default(),
            sent: 0,
            next_sequence: 0,
            next_number: 0,
        }
    }

    /// True when the leadership is another one: everything is to be sent again.
    pub fn follow(&mut self, state: &PartitionState) -> bool {
        let is_new = (self.leader, self.epoch) != (state.leader, state.leader_epoch);
        (self.leader, self.epoch) = (state.leader, state.leader_epoch);
        if is_new {
            self.sent = 0;
            self.is_refused = false;
        }
        is_new
    }

    /// Takes a record into the open batch, or changes nothing.
    pub fn push(
        &mut self,
        record: &NewRecord<'_>,
        waiter: Option<Waiter>,
        account: &Account,
        room: Room,
    ) -> Result<(), NotTaken> {
        let new = || (OpenBatch::new(Offset(0), room.batch_bytes_max), Vec::new());
        let (open, waiters) = self.open.get_or_insert_with(new);
        open.push(record, account, room.left_bytes)?;
        waiters.extend(waiter);
        Ok(())
    }

    /// Closes the open batch and queues it.
    pub fn seal(&mut self, (id, epoch): (ProducerId, ProducerEpoch)) {
        let Some((open, waiters)) = self.open.take().filter(|(open, _)| !open.is_empty()) else { return };
        let producer = Producer { id, epoch, base_sequence: self.next_sequence };
        self.next_sequence = sequence_plus(self.next_sequence, open.record_count() as i32);
        let (batch, grant) = open.seal_as(producer);
        self.queued.bytes += grant.bytes();
        self.queued.waiters += waiters.len();
        self.queue.push_back(Sealed { number: self.next_number, batch: batch.freeze(), grant, waiters });
        self.next_number = self.next_number.wrapping_add(1);
    }

    /// The next batch to send, when there is one and the leader may have one more; `sent_one` follows.
    pub fn next_to_send(&self) -> Option<&Sealed> {
        self.queue.get(self.sent).filter(|_| self.sent < IN_FLIGHT_MAX)
    }

    /// It was sent.
    pub fn sent_one(&mut self) {
        self.sent += 1;
    }

    /// Nothing that was sent is answered for: all of it is to be sent again.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// True when only the first batch is on its way, so that nothing before it can be missing.
    pub fn sent_only(&self, number: u32) -> bool {
        self.queue.front().is_some_and(|first| first.number == number)
    }

    /// The batch with that number is acknowledged, and with it whatever stands before it.
    pub fn acknowledged(&mut self, number: u32) -> Vec<Waiter> {
        let Some(at) = self.queue.iter().position(|sealed| sealed.number == number) else { return Vec::new() };
        self.sent = self.sent.saturating_sub(at + 1);
        self.is_refused = false;
        self.take(at + 1)
    }

    /// The leader will never take the batch with that number.
    pub fn refused(&mut self, number: u32) -> Vec<Waiter> {
        let Some(at) = self.queue.iter().position(|sealed| sealed.number == number) else { return Vec::new() };
        self.sent = 0;
        let sealed = self.queue.remove(at);
        sealed.map(|sealed| self.queued.without(sealed)).unwrap_or_default()
    }

    /// Forgets everything, sequence numbers too: what follows is of another producer.
    pub fn restart(&mut self) -> Vec<Waiter> {
        self.sent = 0;
        self.next_sequence = 0;
        self.take(self.queue.len())
    }

    /// Takes so many batches from the front.
    fn take(&mut self, count: usize) -> Vec<Waiter> {
        let taken = self.queue.drain(..count);
        taken.flat_map(|sealed| self.queued.without(sealed)).collect()
    }

    /// What is not acknowledged.
    pub fn held(&self) -> Held {
        let Some((open, waiters)) = &self.open else { return self.queued };
        let Held { bytes, waiters: queued } = self.queued;
        Held { bytes: bytes + open.held_bytes(), waiters: queued + waiters.len() }
    }

    /// Whoever waits for anything here.
    pub fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        let open = self.open.into_iter().flat_map(|(_, waiters)| waiters);
        self.queue.into_iter().flat_map(|sealed| sealed.waiters).chain(open)
    }
}
