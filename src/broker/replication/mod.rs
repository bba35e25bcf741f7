//! Replication of partitions: followers fetch from the leader over data links, the leader moves the high watermark by
//! their disks and says who is in sync (KIP-101, KIP-279 and KIP-966 say why epochs and not high watermarks decide
//! what is cut).
//!
//! ```text
//! Wanted --Fetch--> Asked --Records--> Wanted (at the new end)
//!    ^                | Diverged, OutOfRange
//!    |                v
//!    +--Truncated-- Cutting            anything that fails: Paused, then Wanted
//! ```
//!
//! Invariants:
//! - An acknowledged record is durable on every replica in the ISR and on every one that is being added to it, and there
//!   were `min.insync.replicas` of them.
//! - A leader whose session may have ended (`set_lease`) acknowledges nothing.
//! - A shrink of the ISR counts when it is applied, a pending expansion at once.
//! - A leader that lost batches which a follower may have (a failed write round) appends nothing before its epoch has
//!   risen: else two batches would have one offset and one epoch.
//! - A follower never serves, and cuts its log only by the leader's epochs.
//!
//! Bounds: one unanswered fetch for each follower and partition; `LINK_BYTES_MAX` on the way to each link, and what does
//! not fit waits; batches that arrive come with the grant that accounts for them until they are written.

mod follow;
mod followers;
mod lead;
mod links;
mod message;
mod remote_tails;
mod repair;
mod roles;
mod served_tails;
mod tails;
mod throttle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use links::ROOM;
pub use message::{At, Message, Told};

use super::PartitionKey;
use crate::coordinator::cluster::{PartitionState, Replicas};
use crate::types::{Instant, LeaderEpoch, NodeId, Now, Offset, Timers};
use followers::{Asked, Followers};
use links::Links;
use remote_tails::RemoteTails;
use served_tails::ServedTails;
pub(super) use tails::Tail;
use throttle::Throttle;

/// What the log reads at once for a follower that is behind.
pub(super) const REPLICA_READ_BYTES: usize = 256 * 1024;

/// Whoever waits for room on a link looks again after so long.
pub(in crate::broker) const ROOM_MS: u64 = 2;

/// A follower that could not go on tries again after so long.
pub(super) const RETRY_MS: u64 = 100;

/// How a node's brokers replicate.
#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`: a follower behind for longer leaves the ISR.
    pub lag_max: Duration,
}

/// What of replication belongs to the node rather than to one partition.
#[derive(Debug)]
pub(super) struct Replication {
    pub config: ReplicationConfig,
    pub links: Links,
    /// Registered brokers.
    pub alive: BTreeSet<NodeId>,
    /// Until when this node's session surely lives; none: it needs none.
    pub lease: Option<Instant>,
    /// Whether it did when that was last looked at.
    pub was_held: bool,
    /// The moment of the current step, by both clocks and by the one that is asked most.
    pub clock: Now,
    pub now: Instant,
    /// Partitions led here with something new for parked fetches.
    pub grown: Vec<PartitionKey>,
    /// Partitions led here whose high watermark has moved.
    pub moved: Vec<PartitionKey>,
    /// Partitions with more for live subscribers.
    pub tails: Vec<PartitionKey>,
    /// Partitions elsewhere that live subscribers here hear, and partitions here that those of other boards do.
    pub remote_tails: RemoteTails,
    pub served_tails: ServedTails,
    /// Partitions that have something to tell and wait for room on the link.
    pub crowded: BTreeSet<(NodeId, PartitionKey)>,
    /// When room on links is looked for next.
    pub look_for_room_at: Option<Instant>,
    /// Changes of the tree that this node wishes, each partition once.
    pub wishes: VecDeque<PartitionKey>,
    /// Followers here that fetch again then.
    pub paused: Timers<PartitionKey>,
    /// What leaders here send to followers out of sync, and what followers here take.
    pub sending: Throttle,
    pub taking: Throttle,
    /// Fetches that wait for the rate.
    pub throttled: Timers<(NodeId, PartitionKey)>,
    /// Replicas here that have lost something, from there on, and that others have too.
    pub rotten: BTreeMap<PartitionKey, Offset>,
    /// When their wishes are looked at again.
    pub repairs_at: Option<Instant>,
    /// When lags are looked at next.
    pub next_look: Option<Instant>,
}

/// What one replicated partition adds to `Partition`.
#[derive(Debug)]
pub(super) struct Replicated {
    /// Who leads by the tree.
    pub leader: Option<NodeId>,
    pub epoch: LeaderEpoch,
    pub replicas: Replicas,
    /// The version of the state in the tree.
    pub version: i32,
    /// The log's end when this leadership began.
    pub epoch_start: Offset,
    pub followers: Followers,
    pub following: Following,
    pub last_number: u32,
    /// The log here is a prefix of the leader's, as its answer in this leadership showed.
    pub is_consistent: bool,
    /// The leader of this epoch may count what this replica, or an earlier life of it, has told.
    pub counted_in: LeaderEpoch,
    /// The leader's high watermark as it told.
    pub told: Offset,
    /// The high watermark that followers were told last.
    pub told_followers: Told,
    /// What was lost here may be on a follower.
    pub is_spoiled: bool,
    /// A change that was proposed and not seen applied yet.
    pub pending: Option<Pending>,
    /// Changes of this version that were proposed, and whose end nobody knows.
    pub doubtful: Option<Pending>,
    pub is_wishing: bool,
}

/// Where a follower is in its cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Following {
    /// Leads, or has nobody to follow.
    #[default]
    Nobody,
    /// Fetches as soon as link and log allow.
    Wanted,
    /// A fetch with that number, from this offset, is on its way.
    Asked(u32, Offset),
    /// The log is being cut.
    Cutting,
    /// Waits in `Replication::paused`.
    Paused,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WishAnswer {
    /// The state is what was wished.
    Granted,
    /// It is not, and will not be.
    Refused,
    /// One or the other.
    Unknown,
}

/// A change of the ISR under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// Of the state that it changes.
    pub version: i32,
    /// Who counts already.
    pub added: Replicas,
}

/// A change of a partition's state that its leader wants of the tree, conditional on the version of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWish {
    /// Which.
    pub partition: PartitionKey,
    /// The leader from then on.
    pub leader: NodeId,
    /// The ISR from then on; holds the leader.
    pub isr: Replicas,
    /// Whether the leader epoch rises.
    pub raises_epoch: bool,
    /// Of the state that the wish was made for.
    pub version: i32,
}

impl Replication {
    /// Replicates nothing until links come up.
    pub fn new(config: ReplicationConfig) -> Replication {
        Replication {
            config,
            links: Links::default(),
            alive: BTreeSet::new(),
            lease: None,
            was_held: true,
            clock: Now::default(),
            now: Instant(0),
            grown: Vec::new(),
            moved: Vec::new(),
            tails: Vec::new(),
            remote_tails: RemoteTails::default(),
            served_tails: ServedTails::default(),
            crowded: BTreeSet::new(),
            look_for_room_at: None,
            wishes: VecDeque::new(),
            paused: Timers::default(),
            sending: Throttle::default(),
            taking: Throttle::default(),
            throttled: Timers::default(),
            rotten: BTreeMap::new(),
            repairs_at: None,
            next_look: None,
        }
    }

    /// A step begins.
    pub fn at(&mut self, now: Now) {
        self.clock = now;
        self.now = now.mono;
    }

    /// Whether this node may acknowledge what others hold too.
    pub fn may_acknowledge(&self) -> bool {
        self.lease.is_none_or(|until| self.now < until)
    }
}

impl Replicated {
    /// A partition of which nothing is known yet.
    pub fn new(state: &PartitionState) -> Replicated {
        Replicated {
            leader: None,
            epoch: LeaderEpoch::NONE,
            replicas: state.replicas.clone(),
            version: state.version,
            epoch_start: Offset(0),
            followers: Followers::default(),
            following: Following::Nobody,
            last_number: 0,
            is_consistent: false,
            counted_in: state.leader_epoch,
            told: Offset(0),
            told_followers: Told::default(),
            is_spoiled: false,
            pending: None,
            doubtful: None,
            is_wishing: false,
        }
    }

    /// The replicas whose disks an acknowledgement asks for.
    pub fn counted<'a>(&'a self, isr: &'a Replicas) -> impl Iterator<Item = NodeId> + 'a {
        let changes = self.pending.iter().chain(&self.doubtful);
        let added = changes.flat_map(|change| change.added.iter());
        isr.iter().chain(added).copied()
    }
}
