//! One partition that has a replica here: what the tree says of it, its log, and who waits for it.
//!
//! Invariants: appends and reads are served only while this node leads and the log is open; the open batch, if any, has
//! the offsets right after the log's end; waiters are in `all` or `leader`, never in both.

use std::sync::Arc;

use super::acknowledgements::{Acknowledgement, Acknowledgements};
use super::high_watermark::HighWatermark;
use super::open_batch::OpenBatch;
use super::replication::{Replicated, Tail};
use super::settings::TopicSettings;
use super::{Acks, AppendError, ReadError};
use crate::config::min_insync_of;
use crate::coordinator::cluster::Replicas;
use crate::effect::DiskError;
use crate::log::LogKey;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};

/// A partition as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// Of the current leadership.
    pub leader_epoch: LeaderEpoch,
    /// First offset the log still holds.
    pub log_start_offset: Offset,
    /// Everything below is acknowledged and may be read.
    pub high_watermark: Offset,
    /// The next record's offset.
    pub log_end_offset: Offset,
    /// The largest batch that it takes.
    pub message_bytes_max: usize,
    /// Bytes of its segments.
    pub size_bytes: u64,
    /// False while the log opens or after the disk refused it, and while another node leads: appends and reads answer
    /// with an error.
    pub is_served: bool,
}

/// Where a partition's log is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogState {
    /// Its directory is being looked at, emptied of a former topic, or recovered.
    Opening,
    /// Ready.
    Open,
    /// Its end is being cut off, as a leader has told: until that is done nobody knows where it ends, so that this replica,
    /// even if it leads by now, takes and gives nothing.
    Cutting,
    /// The disk refused it, for that reason. It is tried again after a pause.
    Failed(DiskError),
}

/// A partition with a replica on this node.
#[derive(Debug)]
pub(super) struct Partition {
    pub topic: Arc<str>,
    pub topic_id: TopicId,
    pub index: PartitionIndex,
    /// `TOPIC-PARTITION`.
    pub dir: Arc<str>,
    pub log: Option<LogKey>,
    pub state: LogState,
    pub is_leader: bool,
    pub leader_epoch: LeaderEpoch,
    pub isr: Replicas,
    /// How many replicas the tree assigns, without those that a reassignment adds.
    pub replica_count: usize,
    pub settings: Arc<TopicSettings>,
    /// The log start offset, kept here for every answer.
    pub log_start: Offset,
    /// Everything below is on this node's disk.
    pub durable: Offset,
    pub high_watermark: HighWatermark,
    /// Waiters for the high watermark.
    pub all: Acknowledgements,
    /// Waiters for this node's disk alone.
    pub leader: Acknowledgements,
    pub open_batch: Option<OpenBatch>,
    /// Whether acknowledged batches are told to the MQTT door.
    pub has_tail: bool,
    pub tail: Tail,
    /// With other replicas there is more to know.
    pub replicated: Option<Box<Replicated>>,
    /// Whether its directory says which topic it belongs to.
    pub is_named: bool,
    /// Whether it stands in the broker's queue of those with due waiters.
    pub is_queued: bool,
}

impl Partition {
    /// The log, when an append with these acks may be taken now.
    #[inline]
    pub fn appendable(&self, acks: Acks) -> Result<LogKey, AppendError> {
        let log = match (&self.state, self.log) {
            (LogState::Open, Some(log)) if self.is_leader => log,
            (LogState::Failed(error), _) => return Err(error.clone().into()),
            _ => return Err(AppendError::NotLeader),
        };
        if self.replicated.as_deref().is_some_and(|replicated| replicated.is_spoiled) {
            return Err(AppendError::NotLeader);
        }
        if acks == Acks::All && !self.has_enough_in_sync() {
            return Err(AppendError::NotEnoughReplicas);
        }
        Ok(log)
    }

    /// Whether as many replicas are in sync as `min.insync.replicas` asks for, by the tree's last word.
    pub fn has_enough_in_sync(&self) -> bool {
        self.isr.len() >= self.min_insync()
    }

    /// How many replicas must be in sync for acks=all.
    pub fn min_insync(&self) -> usize {
        let said = self.settings.min_insync_replicas;
        said.unwrap_or(min_insync_of(self.replica_count)).min(self.replica_count)
    }

    /// How far all disks are that an acknowledgement asks for; `None` when one of them is not known.
    pub fn lowest_durable(&self, own: NodeId) -> Option<Offset> {
        let Some(replicated) = self.replicated.as_deref() else { return Some(self.durable) };
        let durable = |node| if node == own { Some(self.durable) } else { replicated.followers.durable(node) };
        let mut lowest = self.durable;
        for node in replicated.counted(&self.isr) {
            lowest = lowest.min(durable(node)?);
        }
        Some(lowest)
    }

    /// The log, when reads are served now.
    pub fn readable(&self) -> Result<LogKey, ReadError> {
        match (&self.state, self.log) {
            (LogState::Open, Some(log)) if self.is_leader => Ok(log),
            (LogState::Failed(error), _) => Err(ReadError::Storage(error.to_string())),
            _ => Err(ReadError::NotLeader),
        }
    }

    /// Whether the high watermark has caught up with the log's end at the beginning of this leadership.
    pub fn knows_high_watermark(&self) -> bool {
        self.replicated.as_deref().is_none_or(|replicated| self.high_watermark.get() >= replicated.epoch_start)
    }

    /// KIP-320: a client that knows another leader epoch must look again, or wait for us to learn.
    pub fn check_leader_epoch(&self, current: LeaderEpoch) -> Result<(), ReadError> {
        if current == LeaderEpoch::NONE || current == self.leader_epoch {
            Ok(())
        } else if current < self.leader_epoch {
            Err(ReadError::FencedLeaderEpoch)
        } else {
            Err(ReadError::UnknownLeaderEpoch)
        }
    }

    /// Adds a waiter to those of `acks`.
    #[inline]
    pub fn wait(&mut self, acks: Acks, acknowledgement: Acknowledgement) {
        match acks {
            Acks::All => self.all.push(acknowledgement),
            Acks::Leader => self.leader.push(acknowledgement),
        }
    }

    /// How far `acks` has come.
    pub fn acknowledged(&self, acks: Acks) -> Offset {
        match acks {
            Acks::All => self.high_watermark.get(),
            Acks::Leader => self.durable,
        }
    }

    /// Takes one waiter that is due.
    #[inline]
    pub fn pop_due(&mut self) -> Option<Acknowledgement> {
        self.all.pop_due(self.high_watermark.get()).or_else(|| self.leader.pop_due(self.durable))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.all.len() + self.leader.len()
    }
}
