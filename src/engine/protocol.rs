//! What the node asks of every door. Knowing one door's methods is knowing all.
//!
//! A door parses, calls the engine's verbs and fills `Effects`; it never touches another door. All methods are called
//! from one thread, and `complete` only for waiters of this door.

use std::net::SocketAddr;

use super::{Completion, Engine, Waiter};
use crate::effect::Effects;
use crate::types::{ConnId, Instant, Now};

/// The machine behind the listeners of one protocol, for all its connections.
pub trait Protocol {
    /// A socket was accepted on the door's listener number `listener`.
    fn accepted(&mut self, now: Now, conn: ConnId, listener: u8, peer: SocketAddr, fx: &mut Effects);

    /// Bytes arrived: at most `read_limit` of them, all of which the door takes.
    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects);

    /// How many bytes the door takes from this connection now; 0 pauses reading until `Effect::Resume`.
    fn read_limit(&self, conn: ConnId) -> usize;

    /// The answer to a waiter of this door. Its connection may be gone.
    fn complete(&mut self, now: Now, waiter: Waiter, completion: Completion, engine: &mut Engine, fx: &mut Effects);

    /// Everything sent to the connection has left for the kernel.
    fn drained(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects);

    /// The socket is gone. The node has dropped the connection's waiters from the engine already.
    fn closed(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects);

    /// The turn's inputs have all been told; the engine writes right after this.
    fn turn_end(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects);

    /// A deadline may have passed.
    fn on_time(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects);

    /// The earliest moment at which `on_time` has something to do.
    fn next_deadline(&mut self) -> Option<Instant>;
}
