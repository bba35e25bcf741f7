//! What is going to happen and when: a queue in which equal moments keep the order in which they were asked for.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tern::effect::{Channel, Lane};
use tern::types::Instant;

/// One way from a board to another: the connection that the first has dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId {
    pub from: usize,
    pub to: usize,
    pub channel: Channel,
}

/// One thing that will happen. A `life` or `generation` that is over makes it nothing.
#[derive(Debug)]
pub enum Event {
    /// A board gets power, or its process is started again.
    Start {
        board: usize,
        life: u32,
    },
    TurnEnd {
        board: usize,
        life: u32,
    },
    /// The moment that the node asked to be woken at, by its own clock.
    Time {
        board: usize,
        life: u32,
        at: Instant,
    },
    /// The lane finishes its oldest operation.
    Disk {
        board: usize,
        life: u32,
        lane: Lane,
    },
    /// An attempt to connect.
    Dial {
        wire: WireId,
        life: u32,
    },
    /// The oldest message on the wire arrives.
    Deliver {
        wire: WireId,
        generation: u32,
    },
    /// The sender learns that the connection is gone.
    WireLost {
        wire: WireId,
        generation: u32,
    },
    /// The sender's kernel has waited long enough for a blocked way.
    GiveUp {
        wire: WireId,
        generation: u32,
    },
    /// A client's connection reaches the board's port.
    Connect {
        socket: usize,
    },
    ToBoard {
        socket: usize,
        bytes: Vec<u8>,
    },
    /// The client has closed.
    HangUp {
        socket: usize,
    },
    ToClient {
        socket: usize,
        bytes: Vec<u8>,
    },
    /// The client learns that the connection is gone.
    Closed {
        socket: usize,
    },
    /// A client wanted to do something now.
    Client {
        client: usize,
    },
    /// The next thing breaks.
    Fault,
    /// One broken thing is as before.
    Mend(usize),
}

struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number)) // the heap gives the greatest first
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

/// Everything that is going to happen; moments in microseconds of true time.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    next_number: u64,
}

impl Queue {
    pub fn push(&mut self, at: u64, event: Event) {
        self.next_number += 1;
        self.heap.push(Entry { at, number: self.next_number, event });
    }

    /// Puts off what has come up, behind nothing that came up after it: of two events put off to one moment the earlier
    /// stays the earlier.
    pub fn put_off(&mut self, at: u64, number: u64, event: Event) {
        self.heap.push(Entry { at, number, event });
    }

    /// The next moment, the event's number, and the event.
    pub fn pop(&mut self) -> Option<(u64, u64, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.number, entry.event))
    }

    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at)
    }
}
