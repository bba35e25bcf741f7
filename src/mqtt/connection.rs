//! What the door knows of one socket, and the bytes of it that are not a packet yet.
//!
//! ```text
//! Connecting --CONNECT--> Open --DISCONNECT, fault, takeover, silence--> Closing --(socket gone)
//! ```
//!
//! Invariants: at most `CONNECTION_INPUT_BYTES_MAX` unparsed bytes outside a granted packet; a larger packet gets a
//! buffer of exactly its length under a grant, and until there is one the socket is not read; a blocked connection keeps
//! the packet that could not be taken at the front of its input.

use std::time::Duration;

use super::acks::Acks;
use super::codec::{self, PacketType, Version};
use super::errors::Reason;
use super::exactly_once::Received;
use super::outgoing::Outgoing;
use super::subscriptions::Place;
use crate::engine::PartitionKey;
use crate::limits::{CONNECTION_INPUT_BYTES_MAX, MQTT_ALIAS_BYTES_MAX, MQTT_ALIASES_MAX, MQTT_ROUTE_BYTES_KEPT_MAX};
use crate::memory::Grant;
use crate::types::{ConnId, Instant};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for CONNECT.
    Connecting,
    /// Session established.
    Open,
    /// We have asked for the end; nothing more is read.
    Closing,
}

/// Why the packet at the front of the input cannot be taken now. All are tried again at a turn's end, `Later` a while
/// later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Memory for appends is exhausted.
    Busy,
    /// The partition is not led here (yet), or what a subscriber is to hear is not in place.
    Later,
    /// The connection's window of unacknowledged messages is full (3.1.1: the client was not told of one).
    Window,
    /// The topic is being created.
    Topic,
    /// The client's earlier connection sent the same QoS 2 message, and whether it is in the log is not known yet.
    FirstAttempt,
}

/// The partition and key of the topic published last, so that a sensor that repeats its topic pays for one comparison.
#[derive(Debug, Default)]
pub struct Route {
    /// The MQTT topic; empty: nothing is cached.
    pub topic: Vec<u8>,
    /// The record key, if there is one.
    pub key: Vec<u8>,
    /// False: records have no key.
    pub has_key: bool,
    /// Where the record goes.
    pub partition: Option<PartitionKey>,
    /// When it was looked up; partitions may be added.
    pub at: Instant,
}

impl Route {
    /// Forgets a topic or key so long that it must not stay with the connection.
    pub fn trim(&mut self) {
        if self.topic.len() > MQTT_ROUTE_BYTES_KEPT_MAX || self.key.len() > MQTT_ROUTE_BYTES_KEPT_MAX {
            *self = Route::default();
        }
    }
}

/// One socket.
#[derive(Debug)]
pub struct Connection {
    /// Its place and generation.
    pub id: ConnId,
    /// Where it is in its life.
    pub phase: Phase,
    /// By its CONNECT.
    pub version: Version,
    /// By its CONNECT, or assigned.
    pub client_id: Box<str>,
    /// Another broker: it never gets its own messages back, and sees retain flags as published.
    pub is_bridge: bool,
    /// One and a half keep-alive intervals; `None`: silence is allowed.
    pub silence_max: Option<Duration>,
    /// When bytes arrived last, or reading was resumed.
    pub last_heard: Instant,
    /// Unparsed bytes.
    pub input: Input,
    /// Acknowledgements owed.
    pub acks: Acks,
    /// QoS 2 exchanges of the client.
    pub received: Received,
    /// Topic aliases of the client.
    pub aliases: Aliases,
    /// The topic published last.
    pub route: Route,
    /// Why its next packet waits.
    pub block: Option<Block>,
    /// Creating its topic failed: the answer to the packet that waits.
    pub topic_refusal: Option<Reason>,
    /// Listed among those that owe a ready acknowledgement.
    pub is_dirty: bool,
    /// Present from the first SUBSCRIBE on.
    pub outgoing: Option<Box<Outgoing>>,
    /// Its subscriptions.
    pub places: Vec<Place>,
    /// QoS 1 messages it takes unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet it takes.
    pub packet_bytes_max: u32,
}

impl Connection {
    /// A socket that was just accepted.
    pub fn new(id: ConnId, now: Instant) -> Connection {
        Connection {
            id,
            phase: Phase::Connecting,
            version: Version::V4,
            client_id: Box::default(),
            is_bridge: false,
            silence_max: None,
            last_heard: now,
            input: Input::default(),
            acks: Acks::default(),
            received: Received::default(),
            aliases: Aliases::default(),
            route: Route::default(),
            block: None,
            topic_refusal: None,
            is_dirty: false,
            outgoing: None,
            places: Vec::new(),
            receive_maximum: u16::MAX,
            packet_bytes_max: u32::MAX,
        }
    }

    /// True while the client cannot be heard because we do not read it: its timers stand still.
    pub fn is_paused(&self) -> bool {
        self.block.is_some() || matches!(self.input.large, Large::Waiting)
    }

    /// How many bytes are welcome.
    ///
    /// While a topic is created nothing is read: the peer's end of the connection waits in the kernel and does not
    /// overtake a message that nobody will send again. Behind a packet that waits for anything else, which is of QoS 1
    /// or 2 and will be sent again, PINGREQs are looked for.
    pub fn read_limit(&self) -> usize {
        if self.block == Some(Block::Topic) {
            return 0;
        }
        match (&self.phase, &self.input.large) {
            (Phase::Closing, _) | (_, Large::Waiting) => 0,
            (_, Large::Granted { total_bytes, .. }) => total_bytes.saturating_sub(self.input.bytes.len()),
            (_, Large::No) => CONNECTION_INPUT_BYTES_MAX.saturating_sub(self.input.bytes.len()),
        }
    }
}

/// A packet above `CONNECTION_INPUT_BYTES_MAX` at the front of the input.
#[derive(Debug, Default)]
pub enum Large {
    /// There is none.
    #[default]
    No,
    /// Its grant is not to be had yet.
    Waiting,
    /// Its buffer is there.
    Granted {
        /// Of the packet.
        total_bytes: usize,
        /// Accounts for the buffer.
        _grant: Grant,
    },
}

/// Bytes that are not a packet yet.
#[derive(Debug, Default)]
pub struct Input {
    /// From the start of a packet on.
    pub bytes: Vec<u8>,
    /// Whether that packet is a large one.
    pub large: Large,
}

impl Input {
    /// Appends what arrived.
    pub fn extend(&mut self, data: &[u8]) {
        self.bytes.reserve_exact(data.len());
        self.bytes.extend_from_slice(data);
    }

    /// Forgets the first `count` bytes, which were packets. A large packet is always the whole input.
    pub fn consume(&mut self, count: usize) {
        if count > 0 && matches!(self.large, Large::Granted { .. }) {
            *self = Input::default();
        } else if count >= self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..count);
        }
    }

    /// The length of the packet at the front, when it is incomplete and larger than the input may be.
    pub fn large_packet_bytes(&self, publish_bytes_max: usize) -> Option<usize> {
        let header = codec::header(&self.bytes, publish_bytes_max).ok()??;
        let total_bytes = header.total_bytes();
        let large = total_bytes > CONNECTION_INPUT_BYTES_MAX && matches!(self.large, Large::No);
        large.then_some(total_bytes)
    }

    /// Makes room for the whole of a large packet.
    pub fn grow(&mut self, total_bytes: usize, grant: Grant) {
        self.bytes.reserve_exact(total_bytes.saturating_sub(self.bytes.len()));
        self.large = Large::Granted { total_bytes, _grant: grant };
    }

    /// Takes the PINGREQs out that lie behind the packet at the front, which has to wait: keep-alive is answered while
    /// commits are slow. Returns how many there were.
    pub fn take_pings(&mut self, publish_bytes_max: usize) -> usize {
        let mut position = 0;
        let mut pings = 0;
        while let Some(Ok(Some(header))) = self.bytes.get(position..).map(|rest| codec::header(rest, publish_bytes_max))
        {
            let end = position + header.total_bytes();
            if end > self.bytes.len() {
                break;
            }
            if header.packet == PacketType::PingReq {
                self.bytes.drain(position..end);
                pings += 1;
            } else {
                position = end;
            }
        }
        pings
    }
}

/// Topic names that a version 5 client has given numbers. Bounds: `MQTT_ALIASES_MAX` and their bytes.
#[derive(Debug, Default)]
pub struct Aliases {
    topics: Vec<Box<[u8]>>,
}

impl Aliases {
    /// The topic that `alias` stands for.
    pub fn get(&self, alias: u16) -> Result<&[u8], Reason> {
        let topic = self.topics.get((alias as usize).wrapping_sub(1));
        topic.map(|topic| &**topic).filter(|topic| !topic.is_empty()).ok_or(Reason::TopicAliasInvalid)
    }

    /// Gives `topic`, a checked name, a number.
    pub fn set(&mut self, alias: u16, topic: &[u8]) -> Result<(), Reason> {
        let index = (alias as usize).wrapping_sub(1);
        if index >= MQTT_ALIASES_MAX {
            return Err(Reason::TopicAliasInvalid);
        }
        if self.topics.get(index).is_some_and(|known| **known == *topic) {
            return Ok(());
        }
        let others = self.topics.iter().enumerate().filter(|(other, _)| *other != index);
        let others_bytes: usize = others.map(|(_, topic)| topic.len()).sum();
        if others_bytes + topic.len() > MQTT_ALIAS_BYTES_MAX {
            return Err(Reason::QuotaExceeded);
        }
        if self.topics.len() <= index {
            self.topics.resize_with(index + 1, Box::default);
        }
        if let Some(place) = self.topics.get_mut(index) {
            *place = topic.into();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aliases are numbers from 1, can be moved, and are bounded in number and bytes.
    #[test]
    fn aliases() {
        let mut aliases = Aliases::default();
        assert_eq!(aliases.get(1), Err(Reason::TopicAliasInvalid));
        aliases.set(2, b"b").unwrap();
        assert_eq!(aliases.get(2), Ok(&b"b"[..]));
        assert_eq!(aliases.get(1), Err(Reason::TopicAliasInvalid));
        aliases.set(2, b"c").unwrap();
        assert_eq!(aliases.get(2), Ok(&b"c"[..]));
        assert_eq!(aliases.set(0, b"x"), Err(Reason::TopicAliasInvalid));
        assert_eq!(aliases.set(MQTT_ALIASES_MAX as u16 + 1, b"x"), Err(Reason::TopicAliasInvalid));
        assert_eq!(aliases.set(1, &vec![b'x'; MQTT_ALIAS_BYTES_MAX]), Err(Reason::QuotaExceeded));
        assert_eq!(aliases.set(2, &vec![b'x'; MQTT_ALIAS_BYTES_MAX]), Ok(()));
    }

    /// Pings behind a packet that waits are found, whatever lies between; the rest stays as it was.
    #[test]
    fn pings_behind() {
        let mut input = Input::default();
        input.extend(b"\x32\x05\x00\x01t\x00\x01\xc0\x00\x30\x03\x00\x01t\xc0\x00\xc0\x00\x32\x05\x00");
        assert_eq!(input.take_pings(100), 3);
        assert_eq!(input.bytes, b"\x32\x05\x00\x01t\x00\x01\x30\x03\x00\x01t\x32\x05\x00");
        assert_eq!(input.take_pings(100), 0);
    }
}
