//! One socket of the door: its unparsed bytes, its session, and the requests that are taken and not answered.
//!
//! Replies leave in the order of the requests. Writes are proposed as they come, however many are under way; a read
//! behind a write waits for it, so that it sees it, and whatever comes behind that read waits too.
//!
//! Invariants: of the queue, all writes are proposed, in order; it holds at most `ZOOKEEPER_OUTSTANDING_MAX` requests;
//! bytes of a waiting read and of a frame larger than the input buffer are under grants.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::codec::Opcode;
use super::errors::Code;
use super::stats::Stats;
use crate::engine::ProposeError;
use crate::engine::TxnResult;
use crate::engine::znodes::Id;
use crate::limits::{CONNECTION_INPUT_BYTES_MAX, ZOOKEEPER_OUTSTANDING_MAX, ZOOKEEPER_UNSENT_BYTES_MAX};
use crate::memory::Grant;
use crate::types::{ConnId, Instant, SessionId, Slot};

/// Where a connection is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing but perhaps a part of the first frame has come.
    New,
    /// A session is being made for it.
    Opening {
        /// Of the proposal.
        slot: Slot,
        /// What the answer needs.
        timeout_ms: u32,
        /// The request's byte, which the response repeats.
        read_only: Option<bool>,
    },
    /// It has a session.
    Open,
    /// Nothing is read or answered any more.
    Closing,
}

/// What a request that waits needs.
#[derive(Debug)]
pub struct Queued {
    /// The client's number for it.
    pub xid: i32,
    /// Which operation.
    pub opcode: Opcode,
    /// When it came.
    pub since: Instant,
    /// What it waits for.
    pub wait: Wait,
}

/// What a request waits for.
#[derive(Debug)]
pub enum Wait {
    /// The quorum.
    Write(Write),
    /// The requests before it; its body.
    Turn { body: Box<[u8]>, _grant: Grant },
}

/// A write that is proposed.
#[derive(Debug)]
pub struct Write {
    /// Of the proposal.
    pub slot: Slot,
    /// The operations of a multi, whose results are told under their numbers.
    pub opcodes: Box<[Opcode]>,
    /// The error of a request that could not be understood: its transaction does nothing but take its zxid.
    pub refused: Option<Code>,
    /// What became of it.
    pub answer: Option<Answer>,
}

/// What became of a proposal.
#[derive(Debug)]
pub enum Answer {
    /// Applied, or refused by the tree.
    Applied(TxnResult),
    /// `sync`: what this node has applied is fresh.
    Fresh,
    /// Nobody knows.
    Unknown(ProposeError),
}

/// One accepted socket.
#[derive(Debug)]
pub struct Connection {
    /// Which one.
    pub id: ConnId,
    /// Its other end.
    pub peer: SocketAddr,
    /// Where it is in its life.
    pub stage: Stage,
    /// Its session, once it has one.
    pub session: SessionId,
    /// As negotiated.
    pub timeout_ms: u32,
    /// There is no quorum, and the client knows.
    pub is_read_only: bool,
    /// Who it is: its address, and what its credentials proved.
    pub identities: Vec<Id>,
    /// Bytes that are no requests yet.
    pub input: Vec<u8>,
    /// For what `input` holds beyond the connection's own buffer; the whole length of a large frame.
    pub input_grant: Grant,
    /// The length of a large frame that waits for memory.
    pub wanted_bytes: usize,
    /// When bytes last came.
    pub heard_at: Instant,
    /// Requests taken and not answered, in order.
    pub queue: VecDeque<Queued>,
    /// Of the last proposal.
    pub last_slot: u32,
    /// Sent and not known to have left.
    pub unsent_bytes: usize,
    /// It has asked for the end of its session.
    pub is_ending: bool,
    /// It is in the list of those to be looked at when the turn ends.
    pub is_listed: bool,
    /// The shell was told to read nothing.
    pub is_paused: bool,
    /// Something in `input` could not be taken: try again when the turn ends.
    pub is_blocked: bool,
    /// What `cons` tells.
    pub stats: Stats,
}

impl Connection {
    /// A socket that has sent nothing.
    pub fn new(id: ConnId, peer: SocketAddr, now: Instant) -> Connection {
        let address = Id::new("ip", &peer.ip().to_canonical().to_string());
        Connection {
            id,
            peer,
            stage: Stage::New,
            session: SessionId(0),
            timeout_ms: 0,
            is_read_only: false,
            identities: vec![address],
            input: Vec::new(),
            input_grant: Grant::none(),
            wanted_bytes: 0,
            heard_at: now,
            queue: VecDeque::new(),
            last_slot: 0,
            unsent_bytes: 0,
            is_ending: false,
            is_listed: false,
            is_paused: false,
            is_blocked: false,
            stats: Stats::new(now),
        }
    }

    /// Bytes that may be read now.
    pub fn read_limit(&self) -> usize {
        if self.stage == Stage::Closing || self.is_ending || !self.has_room() || self.wanted_bytes > 0 {
            return 0;
        }
        let whole = CONNECTION_INPUT_BYTES_MAX.max(self.input_grant.bytes());
        whole.saturating_sub(self.input.len())
    }

    /// True when another request may be taken.
    pub fn has_room(&self) -> bool {
        self.queue.len() < ZOOKEEPER_OUTSTANDING_MAX && self.unsent_bytes <= ZOOKEEPER_UNSENT_BYTES_MAX
    }

    /// The number of the next proposal.
    pub fn next_slot(&mut self) -> Slot {
        self.last_slot = self.last_slot.wrapping_add(1);
        Slot(self.last_slot)
    }

    /// A sync waits for its answer.
    pub fn is_syncing(&self) -> bool {
        let is_sync = |queued: &Queued| queued.opcode == Opcode::Sync;
        self.queue
            .iter()
            .any(|queued| is_sync(queued) && matches!(&queued.wait, Wait::Write(Write { answer: None, .. })))
    }

    /// The write of that proposal.
    pub fn write_mut(&mut self, slot: Slot) -> Option<&mut Write> {
        self.queue.iter_mut().find_map(|queued| match &mut queued.wait {
            Wait::Write(write) if write.slot == slot => Some(write),
            _ => None,
        })
    }

    /// Requests that are not answered: what `stat` calls queued.
    pub fn outstanding(&self) -> usize {
        self.queue.len()
    }
}
