//! What purity may ask for. `Node::step` fills an `Effects`; `runtime/` carries it out, the simulator pretends to.
//!
//! Invariants: effects are carried out in order; each `Disk` is answered by exactly one `Input::Disk` with its ticket;
//! an effect for a connection that is gone is dropped by the shell without a word.

mod compaction;
mod disk;
mod log_job;
mod peer;

use bytes::Bytes;

pub use compaction::*;
pub use disk::*;
pub use log_job::*;
pub use peer::*;

use crate::memory::Grant;
use crate::types::{ConnId, Instant, NodeId, Ticket};

/// One thing to be done in the world.
#[derive(Debug)]
pub enum Effect {
    /// Queue bytes for the connection. The shell drops `grant` when the last of them has left for the kernel.
    Send { conn: ConnId, bytes: Bytes, grant: Grant },
    /// The same for `Effects::copied(range)`: small replies that need no buffer of their own.
    SendCopied { conn: ConnId, range: std::ops::Range<usize> },
    /// Read this connection again: `Node::read_limit` says more than 0 now.
    Resume { conn: ConnId },
    /// Send what is queued, then close. An `Input::Closed` follows.
    Close { conn: ConnId },
    /// Send a message to another member. The shell drops `grant` when it has left for the kernel.
    PeerSend { to: NodeId, channel: Channel, bytes: Bytes, grant: Grant },
    /// Dial these members, on both channels, again and again; hang up on all others.
    Peers(Vec<PeerAddress>),
    /// Ask a disk lane. Operations of one lane are carried out in order, lanes independently of each other.
    Disk { lane: Lane, ticket: Ticket, op: DiskOp },
    /// Call `step` with `Input::Time` at that moment at the latest. A later one replaces an earlier one.
    WakeAt(Instant),
    /// Everything local is recovered: open the doors.
    Ready,
    /// The node cannot go on without risking what it has acknowledged: print the sentence, end with exit code 1.
    Fatal { sentence: String },
    /// A clean stop is complete: end with exit code 0.
    Stopped,
}

/// Effects of one or more steps, in order, with the bytes of small sends.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    copied: Vec<u8>,
}

impl Effects {
    /// Asks for `effect`.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Sends a copy of `bytes`; consecutive sends to one connection become one.
    pub fn send_copy(&mut self, conn: ConnId, bytes: &[u8]) {
        let start = self.copied.len();
        self.copied.extend_from_slice(bytes);
        let end = self.copied.len();
        if let Some(Effect::SendCopied { conn: last, range }) = self.list.last_mut()
            && *last == conn
            && range.end == start
        {
            range.end = end;
            return;
        }
        self.list.push(Effect::SendCopied { conn, range: start..end });
    }

    /// Sends `bytes` without copying them; `grant` accounts for them until they have left.
    pub fn send(&mut self, conn: ConnId, bytes: Bytes, grant: Grant) {
        self.list.push(Effect::Send { conn, bytes, grant });
    }

    /// Sends what is queued and closes.
    pub fn close(&mut self, conn: ConnId) {
        self.list.push(Effect::Close { conn });
    }

    /// Asks a disk lane.
    pub fn disk(&mut self, lane: Lane, ticket: Ticket, op: DiskOp) {
        self.list.push(Effect::Disk { lane, ticket, op });
    }

    /// True when nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The bytes of a `SendCopied`.
    pub fn copied(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.copied[range]
    }

    /// Takes the effects; `copied` stays readable until `clear`.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.list)
    }

    /// Hands the emptied list back for reuse and forgets copied bytes.
    pub fn clear(&mut self, mut list: Vec<Effect>) {
        list.clear();
        self.list = list;
        self.copied.clear();
    }
}
