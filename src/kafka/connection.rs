//! One socket of the door: its unparsed bytes, the requests that it has in flight, and why it is not being served.
//!
//! Invariants: replies leave in the order of the requests. Produce requests overtake nothing and several of them are in
//! flight; any other request begins when everything before it has been answered, and nothing behind it begins before
//! it has been answered, as in Kafka. So a connection holds one reply at a time, and what it can make us remember is
//! bounded by `KAFKA_PRODUCES_IN_FLIGHT_MAX` produce requests under grants.

use std::net::IpAddr;

use super::handlers::{Pending, produce};
use super::inbox::Inbox;
use super::quotas::Limits;
use crate::limits::KAFKA_PRODUCES_IN_FLIGHT_MAX;
use crate::types::{ConnId, Instant};

/// One accepted socket.
#[derive(Debug)]
pub struct Connection {
    /// Which one.
    pub id: ConnId,
    /// Index into the configuration's listeners.
    pub listener: u8,
    /// Where its other end is.
    pub peer: IpAddr,
    /// Bytes that are no requests yet.
    pub inbox: Inbox,
    /// Produce requests that have been appended and not answered, in order; their serials follow each other.
    pub produces: heapless::Deque<produce::InFlight, KAFKA_PRODUCES_IN_FLIGHT_MAX>,
    /// The other request, if one is waiting.
    pub pending: Option<Box<dyn Pending>>,
    /// Of the request that was begun last.
    pub serial: u8,
    /// It has been answered at least once, or has sent a whole request that has no reply.
    pub is_proven: bool,
    /// Granted bytes have been sent and have not all left, since when.
    pub unsent_since: Option<Instant>,
    /// The shell was told to read nothing.
    pub is_paused: bool,
    /// `Effect::Close` has been asked for: nothing is read or answered any more.
    pub is_closing: bool,
    /// When it last sent or got anything.
    pub active_at: Instant,
    /// Its client has had more than its quota: nothing is read or begun before then.
    pub muted_until: Option<Instant>,
    /// What its last request was counted against.
    pub limits: Limits,
}

impl Connection {
    /// A socket that has sent nothing.
    pub fn new(id: ConnId, listener: u8, peer: IpAddr, now: Instant) -> Connection {
        Connection {
            id,
            listener,
            peer,
            inbox: Inbox::default(),
            produces: heapless::Deque::new(),
            pending: None,
            serial: 0,
            is_proven: false,
            unsent_since: None,
            is_paused: false,
            is_closing: false,
            active_at: now,
            muted_until: None,
            limits: Limits::default(),
        }
    }

    /// Bytes that may be read now.
    pub fn read_limit(&self) -> usize {
        if self.is_closing || self.muted_until.is_some() { 0 } else { self.inbox.room() }
    }

    /// True while its client pays for having had more than its quota.
    pub fn is_muted(&self, now: Instant) -> bool {
        self.muted_until.is_some_and(|until| now < until)
    }

    /// True while a request is being worked on or its reply is on its way: silence is then not the client's.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some() || !self.produces.is_empty() || self.unsent_since.is_some()
    }

    /// The produce request of that serial.
    pub fn produce_mut(&mut self, serial: u8) -> Option<&mut produce::InFlight> {
        let first = self.produces.front()?.serial;
        let place = serial.wrapping_sub(first) as usize;
        self.produces.iter_mut().nth(place)
    }
}
