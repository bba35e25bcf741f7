//! What may happen to a node.

use bytes::Bytes;

use crate::effect::{Channel, DiskDone, DiskError};
use crate::engine::Door;
use crate::memory::Grant;
use crate::types::{ConnId, NodeId, Ticket};

/// Which door a listening socket belongs to, with its place among the configuration's listeners of that door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Kafka protocol; the index into `Config::listeners`, because metadata answers with that listener's address.
    Kafka(u8),
    /// ZooKeeper's clients.
    ZooKeeper,
    /// MQTT 3.1.1 and 5.
    Mqtt(u8),
    /// Status and metrics.
    Http,
}

impl Listener {
    /// The door and its own number of the listener.
    pub fn door(self) -> (Door, u8) {
        match self {
            Listener::Kafka(index) => (Door::Kafka, index),
            Listener::Mqtt(index) => (Door::Mqtt, index),
            Listener::ZooKeeper => (Door::ZooKeeper, 0),
            Listener::Http => (Door::Http, 0),
        }
    }
}

/// One thing that happened in the world.
#[derive(Debug)]
pub enum Input<'a> {
    /// First of all inputs: recover what the disks hold.
    Start,
    /// A socket was accepted.
    Accepted { conn: ConnId, listener: Listener, peer: std::net::SocketAddr },
    /// Bytes arrived, at most `Node::read_limit` of them.
    Bytes { conn: ConnId, data: &'a [u8] },
    /// Everything sent to the connection so far has left for the kernel.
    Drained { conn: ConnId },
    /// The socket is gone, by either side. The last input of a connection.
    Closed { conn: ConnId },
    /// Messages to a member leave on this channel from now on.
    PeerUp { peer: NodeId, channel: Channel },
    /// They no longer do, and what was queued is lost.
    PeerDown { peer: NodeId, channel: Channel },
    /// A message of a member that has proven to be it. `grant` covers the bytes.
    PeerMessage { from: NodeId, channel: Channel, bytes: Bytes, grant: Grant },
    /// A disk lane has finished.
    Disk { ticket: Ticket, result: Result<DiskDone, DiskError> },
    /// The moment asked for by `Effect::WakeAt` has come.
    Time,
    /// All that had happened has been told: write what gathered, answer what is ready.
    TurnEnd,
    /// Stop cleanly: finish what is durable, checkpoint, then `Effect::Stopped`.
    Stop,
}
