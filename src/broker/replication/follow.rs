//! The follower's side: fetching, appending what the leader has, cutting what it has not.

use bytes::Bytes;

use super::tails::UNTOLD;
use super::{At, Following, Message, RETRY_MS, Told};
use crate::broker::partition::LogState;
use crate::broker::producers::WrittenBatch;
use crate::broker::{Broker, PartitionKey};
use crate::effect::Effects;
use crate::log::LogKey;
use crate::memory::Grant;
use crate::record::{BatchView, Batches};
use crate::types::{Instant, LeaderEpoch, NodeId, Now, Offset};

impl Broker {
    /// A data link has come up: what was asked over the last one is asked again.
    pub fn link_up(&mut self, now: Now, node: NodeId) {
        self.replication.at(now);
        self.replication.links.up(node);
        self.greeted(node);
    }

    /// The other side has forgotten what was asked of it.
    fn greeted(&mut self, node: NodeId) {
        self.link_changed(node);
        for key in self.followed_from(node) {
            self.fetch(key);
        }
    }

    /// A data link is gone, with whatever was on its way.
    pub fn link_down(&mut self, now: Now, node: NodeId) {
        self.replication.at(now);
        self.replication.links.down(node);
        self.link_changed(node);
    }

    /// Takes messages of another broker, after the byte that names this room; the caller vouches for who sent them.
    /// `grant` covers the bytes. What follows upon something that makes no sense is not looked at.
    pub fn peer_messages(&mut self, now: Now, from: NodeId, bytes: &Bytes, mut grant: Grant, fx: &mut Effects) {
        self.replication.at(now);
        let mut rest = &bytes[..];
        while let Some((message, after)) = Message::read(rest) {
            self.peer_message(now, from, message, bytes, &mut grant, fx);
            rest = after;
        }
        if !rest.is_empty() {
            tracing::warn!(peer = %from, "a message of broker {from} is not understood");
        }
        self.replicate(fx);
    }

    fn peer_message(
        &mut self,
        now: Now,
        from: NodeId,
        message: Message<'_>,
        frame: &Bytes,
        grant: &mut Grant,
        fx: &mut Effects,
    ) {
        match message {
            Message::Hello => {
                self.forget_refused(from);
                self.greeted(from);
            }
            Message::Fetch { at, number, from: offset, last_epoch, durable } => {
                self.fetch_arrived(from, at, super::Asked { number, from: offset, last_epoch }, durable, fx);
            }
            Message::Durable { at, durable } => self.durable_arrived(from, at, durable),
            Message::Records { at, number, marks, batches } => {
                let batches = frame.slice_ref(batches);
                self.records_arrived(now, from, at, number, marks, &batches, grant, fx);
            }
            Message::Diverged { at, number, last_epoch, end } => {
                if let Some((key, log)) = self.answered(from, at, number) {
                    self.diverged(now, from, key, log, last_epoch, end, fx);
                }
            }
            Message::OutOfRange { at, number, start } => {
                if let Some((key, log)) = self.answered(from, at, number) {
                    // What this follower has is deleted at the leader: begin anew where the leader's log starts.
                    self.cut(now, key, log, start, Some(start), fx);
                }
            }
            Message::NotHere { at, number } => {
                if let Some((key, _)) = self.answered(from, at, number) {
                    self.pause(now, key);
                }
            }
            Message::Append { at, number, batch } => {
                let part = grant.split(batch.len());
                self.append_arrived(now, from, at, number, batch, part);
            }
            Message::Appended { at, number, taken } => self.lane_answered(now, at, number, taken),
            Message::TailFetch { at, number, from: offset } => self.tail_fetch_arrived(from, at, number, offset),
            Message::TailRecords { at, number, next, batches } => {
                let batches = frame.slice_ref(batches);
                self.tail_records_arrived(from, at, number, next, &batches);
            }
            Message::TailNotHere { at, number } => self.tail_not_here(from, at, number),
            Message::Mark { at, marks } => {
                if let Some((key, _)) = self.followed(from, at) {
                    self.told(key, marks, fx);
                }
            }
        }
    }

    /// What is to be sent over a data link next, `ROOM` and whole messages; the grant is dropped when they have left.
    pub fn next_peer_bytes(&mut self) -> Option<(NodeId, Vec<u8>, Grant)> {
        self.replication.links.take()
    }

    /// Fetches for a follower, when its link is up and its log is open.
    pub(in crate::broker) fn fetch(&mut self, key: PartitionKey) {
        if self.must_cut_first(key) {
            return;
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let at = partition.at();
        let (LogState::Open, Some(log), Some(replicated)) =
            (&partition.state, partition.log, partition.replicated.as_deref_mut())
        else {
            return;
        };
        let Some(leader) = replicated.leader.filter(|&leader| self.replication.links.is_up(leader)) else { return };
        if replicated.following != Following::Wanted {
            return;
        }
        let (from, last_epoch) = (self.logs.marks(log).end, self.logs.last_epoch(log));
        replicated.last_number = replicated.last_number.wrapping_add(1);
        let number = replicated.last_number;
        replicated.following = Following::Asked(number, from);
        replicated.counted_in = replicated.epoch;
        let durable = partition.durable;
        self.replication.links.send(leader, &Message::Fetch { at, number, from, last_epoch, durable });
    }

    /// Fetches again what was paused.
    pub(in crate::broker) fn fetch_paused(&mut self, now: Now) {
        while let Some(key) = self.replication.paused.expired(now.mono) {
            self.want(key, Following::Paused);
        }
    }

    /// The log of a replica has been cut, and ends there. It may lead by now, since a moment at which more was counted.
    pub(in crate::broker) fn replica_cut(&mut self, key: PartitionKey, end: Offset) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.durable = end; // what is left is synced
        if partition.state == LogState::Cutting {
            partition.state = LogState::Open;
        }
        let Some(replicated) = &mut partition.replicated else { return };
        replicated.epoch_start = end;
        if replicated.following == Following::Cutting {
            replicated.following = Following::Wanted;
        }
        self.fetch(key);
    }

    /// More of a follower's log is on its disk.
    pub(in crate::broker) fn follower_durable(&mut self, key: PartitionKey) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let durable = partition.durable;
        let Some(replicated) = partition.replicated.as_deref().filter(|replicated| replicated.is_consistent) else {
            return;
        };
        let has_moved = partition.high_watermark.advance(Some(replicated.told.min(durable)));
        if has_moved {
            self.acknowledged(key);
        }
        self.tell_durable(key);
    }

    /// Tells the leader how far the own disk is.
    pub(super) fn tell_durable(&mut self, key: PartitionKey) {
        let Some(partition) = self.partitions.get(key) else { return };
        let Some(replicated) = partition.replicated.as_deref().filter(|replicated| replicated.is_consistent) else {
            return;
        };
        let Some(leader) = replicated.leader else { return };
        if self.replication.links.has_room(leader) {
            let (at, durable) = (partition.at(), partition.durable);
            self.replication.links.send(leader, &Message::Durable { at, durable });
        } else {
            self.replication.crowded.insert((leader, key));
        }
    }

    /// What a follower appended is lost again.
    pub(in crate::broker) fn follower_append_failed(&mut self, now: Now, key: PartitionKey) {
        self.pause(now, key);
    }

    #[allow(clippy::too_many_arguments)] // one message and what came with it
    fn records_arrived(
        &mut self,
        now: Now,
        from: NodeId,
        at: At,
        number: u32,
        marks: Told,
        batches: &Bytes,
        grant: &mut Grant,
        fx: &mut Effects,
    ) {
        let Some((key, log)) = self.answered(from, at, number) else { return };
        let asked = Following::Asked(number, self.logs.marks(log).end);
        if self.replicated(key).is_none_or(|replicated| replicated.following != asked) {
            return self.pause(now, key); // the log's end has moved meanwhile
        }
        if let Err(why) = self.append_batches(now, key, log, batches, grant) {
            tracing::warn!(topic = %at.topic, partition = at.index.0, "batches of broker {from} are not taken: {why}");
            return self.pause(now, key);
        }
        self.told(key, marks, fx);
        match self.charge_taking(key, batches.len()) {
            Some(until) => self.pause_until(key, until),
            None => self.want(key, asked),
        }
    }

    /// Appends the leader's batches; those before an error stay.
    fn append_batches(
        &mut self,
        now: Now,
        key: PartitionKey,
        log: LogKey,
        bytes: &Bytes,
        grant: &mut Grant,
    ) -> Result<(), String> {
        let end = self.logs.marks(log).end;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            if batch.next_offset() <= end {
                continue; // the first may begin before the offset that was asked for
            }
            batch.check_crc().map_err(|error| error.to_string())?;
            let part = grant.split(batch.bytes().len());
            let whole = bytes.slice_ref(batch.bytes());
            self.logs.append_replica(now, log, whole, part).map_err(|error| error.to_string())?;
            self.note_producer(now, key, &batch);
        }
        Ok(())
    }

    /// A follower remembers producers as the leader does, so that it can lead.
    fn note_producer(&mut self, now: Now, key: PartitionKey, batch: &BatchView<'_>) {
        if !batch.has_producer() || batch.is_control() {
            return;
        }
        let written = WrittenBatch {
            base_offset: batch.base_offset(),
            base_sequence: batch.base_sequence(),
            last_offset_delta: batch.last_offset_delta(),
            timestamp: batch.max_timestamp(),
        };
        self.producers.record(now.mono, key, batch.producer_epoch(), batch.producer_id(), written);
    }

    /// The logs differ: cut what the leader does not have, then ask again (KIP-279).
    #[allow(clippy::too_many_arguments)] // one message and where it belongs
    fn diverged(
        &mut self,
        now: Now,
        from: NodeId,
        key: PartitionKey,
        log: LogKey,
        last_epoch: LeaderEpoch,
        end: Offset,
        fx: &mut Effects,
    ) {
        let marks = self.logs.marks(log);
        let (own_epoch, own_end) = self.logs.epoch_end(log, last_epoch);
        let common = if own_epoch == last_epoch { end.min(own_end) } else { own_end };
        // Each answer cuts something, so that two logs that cannot agree do not ask for ever.
        let to = common.min(marks.end.plus(-1)).max(marks.start);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if to < partition.high_watermark.get() {
            tracing::error!(
                partition = &*partition.dir,
                "records from {to} to {} were acknowledged once and are cut, because broker {from} was elected without them",
                partition.high_watermark.get()
            );
        }
        self.cut(now, key, log, to, None, fx);
    }

    /// Cuts the log of a follower at `to`, or begins it anew; `replica_cut` follows.
    pub(super) fn cut(
        &mut self,
        now: Now,
        key: PartitionKey,
        log: LogKey,
        to: Offset,
        restart_at: Option<Offset>,
        fx: &mut Effects,
    ) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.state = LogState::Cutting;
        partition.durable = partition.durable.min(to);
        let acknowledged = partition.high_watermark.get();
        partition.high_watermark.cut(to);
        let tail = &mut partition.tail;
        if !tail.has_told && tail.from != UNTOLD {
            // Of what was found here at the start, this was not acknowledged: others come in its place.
            tail.from = tail.from.min(to.max(acknowledged));
        }
        if let Some(replicated) = &mut partition.replicated {
            replicated.following = Following::Cutting;
        }
        match restart_at {
            Some(start) => {
                partition.log_start = start;
                partition.high_watermark.restart_at(start);
                self.producers.forget_partition(key);
                self.logs.restart_at(now, log, start, fx);
            }
            None => {
                self.producers.roll_back(key, to);
                self.logs.truncate(now, log, to, fx);
            }
        }
    }

    /// The leader's marks: the high watermark as far as the own disk is, the log start as far as it is acknowledged.
    fn told(&mut self, key: PartitionKey, marks: Told, fx: &mut Effects) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let Some(replicated) = &mut partition.replicated else { return };
        // Only to a log that is a prefix of its own does a leader tell marks.
        replicated.is_consistent = true;
        replicated.told = marks.high_watermark;
        partition.tail.heard(marks.high_watermark);
        let has_moved = partition.high_watermark.advance(Some(marks.high_watermark.min(partition.durable)));
        let start = marks.log_start.min(partition.high_watermark.get());
        if let Some(log) = partition.log.filter(|_| start > partition.log_start) {
            let _ = self.logs.delete_records(log, start, fx); // the next mark tells again
        }
        if has_moved {
            self.acknowledged(key);
        }
    }

    /// Gives up for now; the fetch is repeated after a pause.
    fn pause(&mut self, now: Now, key: PartitionKey) {
        self.pause_until(key, now.mono.plus_millis(RETRY_MS));
    }

    fn pause_until(&mut self, key: PartitionKey, until: Instant) {
        let Some(replicated) = self.replicated(key) else { return };
        if matches!(replicated.following, Following::Asked(..) | Following::Wanted) {
            replicated.following = Following::Paused;
            self.replication.paused.set(key, until);
        }
    }

    /// Goes on fetching after `done`.
    fn want(&mut self, key: PartitionKey, done: Following) {
        if let Some(replicated) = self.replicated(key)
            && replicated.following == done
        {
            replicated.following = Following::Wanted;
            self.fetch(key);
        }
    }

    fn replicated(&mut self, key: PartitionKey) -> Option<&mut super::Replicated> {
        self.partitions.get_mut(key)?.replicated.as_deref_mut()
    }

    /// The partition that follows `from` in exactly that leadership.
    fn followed(&self, from: NodeId, at: At) -> Option<(PartitionKey, LogKey)> {
        let key = self.partition_by_id(at.topic, at.index)?;
        let partition = self.partitions.get(key)?;
        let leader = partition.replicated.as_deref().and_then(|replicated| replicated.leader);
        let is_followed = !partition.is_leader && leader == Some(from) && partition.leader_epoch == at.epoch;
        Some((key, partition.log?)).filter(|_| is_followed && partition.state == LogState::Open)
    }

    /// The same, when it waits for the answer to the fetch of that number.
    fn answered(&self, from: NodeId, at: At, number: u32) -> Option<(PartitionKey, LogKey)> {
        self.followed(from, at).filter(|(key, _)| {
            let replicated = self.partitions.get(*key).and_then(|partition| partition.replicated.as_deref());
            replicated.is_some_and(|replicated| matches!(replicated.following, Following::Asked(of, _) if of == number))
        })
    }

    fn followed_from(&self, node: NodeId) -> Vec<PartitionKey> {
        let follows = |replicated: &super::Replicated| replicated.leader == Some(node);
        let all = self.partitions.iter();
        all.filter(|(_, partition)| !partition.is_leader && partition.replicated.as_deref().is_some_and(follows))
            .map(|(key, _)| key)
            .collect()
    }

    /// What was known over the last link is not known any more.
    fn link_changed(&mut self, node: NodeId) {
        self.replication.crowded.retain(|(of, _)| *of != node);
        self.forget_served(node);
        self.rewind_lanes(node);
        self.replication.served_tails.forget_node(node);
        for (_, partition) in self.partitions.iter_mut() {
            let Some(replicated) = &mut partition.replicated else { continue };
            if partition.is_leader {
                replicated.followers.lost(node);
            } else if replicated.leader == Some(node) {
                replicated.is_consistent = false;
                if matches!(replicated.following, Following::Asked(..) | Following::Paused) {
                    replicated.following = Following::Wanted;
                }
            }
        }
        self.ask_tails_again(node);
    }
}
