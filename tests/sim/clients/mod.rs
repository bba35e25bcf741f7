//! Clients that remember what they were told, and go on at another board when one does not answer. They speak the
//! protocols' own bytes; everything that they were promised goes into the history, where the invariants live.

pub mod committer;
pub mod consumer;
pub mod kafka_link;
pub mod mqtt_link;
pub mod mqtt_publisher;
pub mod mqtt_subscriber;
pub mod mqtt_wire;
pub mod producer;
pub mod zookeeper;

use tern::node::Listener;
use tern::types::Rng;

use crate::history::History;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Things break.
    Breaking,
    /// Nothing breaks any more.
    Healing,
    /// Nobody begins anything; sessions are kept.
    Silent,
}

/// What a client sees of the world; connections by its own numbers.
pub enum ClientEvent {
    /// The moment that it wanted, or an earlier one.
    Wake,
    Opened(u32),
    Bytes(u32, Vec<u8>),
    Closed(u32),
}

/// What a client does to the world.
pub enum Command {
    Dial { number: u32, board: usize, listener: Listener },
    Send { number: u32, bytes: Vec<u8> },
    Close { number: u32 },
    WakeAt(u64),
}

/// A client's hands and its true clock.
pub struct Io<'a> {
    pub client: usize,
    /// Microseconds.
    pub now: u64,
    pub boards: usize,
    pub rng: &'a mut Rng,
    pub history: &'a mut History,
    pub phase: Phase,
    pub commands: Vec<Command>,
}

impl Io<'_> {
    pub fn dial(&mut self, number: u32, board: usize, listener: Listener) {
        self.commands.push(Command::Dial { number, board, listener });
    }

    pub fn send(&mut self, number: u32, bytes: Vec<u8>) {
        self.commands.push(Command::Send { number, bytes });
    }

    pub fn close(&mut self, number: u32) {
        self.commands.push(Command::Close { number });
    }

    pub fn wake_in_ms(&mut self, least: u64, spread: u64) {
        let micros = least * 1000 + self.rng.below(spread * 1000 + 1);
        self.commands.push(Command::WakeAt(self.now + micros));
    }
}

/// One of them.
pub trait Client {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>);

    /// Operations that succeeded.
    fn done(&self) -> u64;

    /// What it waits for, for a failure's sentence.
    fn describe(&self) -> String;
}
