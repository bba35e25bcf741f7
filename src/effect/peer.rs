//! What may be asked of the connections between the members of an ensemble.
//!
//! Invariants: messages of one channel to one member arrive in the order in which they were sent, each at most once, or
//! not at all: what was queued when a connection ends is lost, and `Input::PeerDown` tells. Who sends takes the memory for
//! it first. A message for a member without a connection is dropped.

use std::sync::Arc;

use crate::types::NodeId;

/// The two connections to each member, so that bulk never delays a heartbeat. The numbers are the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Port 3888: votes, heartbeats, the quorum's log, forwarded transactions, sessions.
    Quorum = 0,
    /// Port 2888: records of partitions, snapshots.
    Data = 1,
}

/// Both, in the order of their numbers.
pub const CHANNELS: [Channel; 2] = [Channel::Quorum, Channel::Data];

/// Where another member is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its number.
    pub node: NodeId,
    /// A name, looked up at each attempt, or an address without brackets.
    pub host: Arc<str>,
    /// 3888.
    pub quorum_port: u16,
    /// 2888.
    pub data_port: u16,
}

impl PeerAddress {
    /// The port of a channel.
    pub fn port(&self, channel: Channel) -> u16 {
        match channel {
            Channel::Quorum => self.quorum_port,
            Channel::Data => self.data_port,
        }
    }
}
