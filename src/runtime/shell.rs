//! The node, its effects, and the table of open sockets, shared by all tasks of the one thread.
//!
//! Invariants: every step is followed by carrying out its effects before another begins; one `TurnEnd` follows each
//! burst of inputs; a connection's place is reused only under a new generation. Nobody holds the `RefCell` over an await.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::clock::Clock;
use super::disk::Disk;
use super::out_queue::OutQueue;
use super::peers::Peers;
use crate::effect::{Effect, Effects};
use crate::limits::SOCKET_READ_BYTES_MAX;
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::node::{Input, Listener, Node};
use crate::types::{ConnId, Instant};

/// Wakes one task. Rung before it is awaited, it answers at once.
#[derive(Default)]
pub struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Wakes whoever polls.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ready once for any number of rings since the last time.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.rung.take() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

struct Socket {
    stream: Rc<TcpStream>,
    /// What the kernel may hold for it.
    _kernel: Grant,
    out: OutQueue,
    bell: Rc<Bell>,
    /// In `Shell::dirty` already.
    dirty: bool,
    /// The kernel's buffer is full; the connection's task waits for room.
    blocked: bool,
    /// Close when the queue is empty.
    closing: bool,
}

#[derive(Default)]
struct Place {
    generation: u32,
    socket: Option<Socket>,
}

/// How the process shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Asked to stop, and done.
    Stopped,
    /// Cannot go on; the sentence says why.
    Fatal(String),
}

/// Everything the tasks share.
pub struct Shell {
    node: Node,
    effects: Effects,
    clock: Clock,
    disk: Disk,
    /// The other members of the ensemble; none without one.
    pub peers: Option<Peers>,
    places: Vec<Place>,
    free: Vec<u32>,
    dirty: Vec<ConnId>,
    scratch: Box<[u8]>,
    turn_open: bool,
    wake_at: Option<Instant>,
    ready: bool,
    end: Option<End>,
    /// Rung when a turn must be closed.
    pub turn_bell: Rc<Bell>,
    /// Rung when `wake_at` has changed.
    pub timer_bell: Rc<Bell>,
    /// Told when `ready` or `end` has changed.
    pub state_changed: Rc<Notify>,
}

impl Shell {
    /// A shell of at most `connections_max` sockets.
    pub fn new(node: Node, disk: Disk, peers: Option<Peers>, clock: Clock, connections_max: usize) -> Shell {
        let connections_max = connections_max.min(u32::MAX as usize) as u32;
        let mut places = Vec::new();
        places.resize_with(connections_max as usize, Place::default);
        Shell {
            node,
            effects: Effects::default(),
            clock,
            disk,
            peers,
            places,
            free: (0..connections_max).rev().collect(),
            dirty: Vec::new(),
            scratch: vec![0; SOCKET_READ_BYTES_MAX].into_boxed_slice(),
            turn_open: false,
            wake_at: None,
            ready: false,
            end: None,
            turn_bell: Rc::default(),
            timer_bell: Rc::default(),
            state_changed: Rc::default(),
        }
    }

    /// One step of the node, timed, and its effects.
    pub fn step(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        let turn_end = matches!(input, Input::TurnEnd);
        self.node.step(now, input, &mut self.effects);
        self.carry_out();
        METRICS.runtime.step_micros.observe_duration(self.clock.mono().since(now.mono));
        if !turn_end && !self.turn_open {
            self.turn_open = true;
            self.turn_bell.ring();
        }
    }

    /// Closes the turn: the node writes what gathered, the sockets get their replies.
    pub fn end_turn(&mut self) {
        self.turn_open = false;
        self.step(Input::TurnEnd);
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if let Some(socket) = self.socket(conn) {
                socket.dirty = false;
            }
            if !self.flush(conn) {
                self.ring(conn); // its task notices the end and reports it
            }
        }
        if self.dirty.is_empty() {
            self.dirty = dirty; // only to use its memory again: flushing may have queued more, for the next turn
        }
    }

    /// A place for a new socket, or `None` when all are taken.
    pub fn accepted(
        &mut self,
        stream: TcpStream,
        listener: Listener,
        kernel: Grant,
    ) -> Option<(ConnId, Rc<TcpStream>, Rc<Bell>)> {
        let peer = stream.peer_addr().ok()?;
        let index = self.free.pop()?;
        let place = &mut self.places[index as usize]; // free holds indices of places only
        place.generation = place.generation.wrapping_add(1);
        let conn = ConnId { index, generation: place.generation };
        let (stream, bell) = (Rc::new(stream), Rc::<Bell>::default());
        place.socket = Some(Socket {
            stream: stream.clone(),
            _kernel: kernel,
            out: OutQueue::default(),
            bell: bell.clone(),
            dirty: false,
            blocked: false,
            closing: false,
        });
        self.step(Input::Accepted { conn, listener, peer });
        Some((conn, stream, bell))
    }

    /// Bytes the connection may read now, and whether it waits for room to write.
    pub fn wants(&self, conn: ConnId) -> (usize, bool) {
        match self.places.get(conn.index as usize) {
            Some(Place { generation, socket: Some(socket) }) if *generation == conn.generation => {
                let reads = !socket.closing && !socket.out.is_clogged();
                let limit = if reads { self.node.read_limit(conn).min(SOCKET_READ_BYTES_MAX) } else { 0 };
                (limit, socket.blocked)
            }
            _ => (0, false),
        }
    }

    /// True once the node has asked to close the connection.
    pub fn is_closing(&self, conn: ConnId) -> bool {
        let place = self.places.get(conn.index as usize).filter(|place| place.generation == conn.generation);
        place.and_then(|place| place.socket.as_ref()).is_some_and(|socket| socket.closing)
    }

    /// Reads up to `limit` bytes and tells the node.
    pub fn read(&mut self, conn: ConnId, stream: &TcpStream, limit: usize) -> io::Result<usize> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = stream.try_read(&mut scratch[..limit.min(SOCKET_READ_BYTES_MAX)]);
        if let Ok(count @ 1..) = result {
            self.step(Input::Bytes { conn, data: &scratch[..count] });
        }
        self.scratch = scratch;
        result
    }

    /// Writes what waits. `false`: the connection is at its end and its task should leave.
    pub fn flush(&mut self, conn: ConnId) -> bool {
        let Some(socket) = self.socket(conn) else { return false };
        if socket.out.is_empty() {
            return !socket.closing;
        }
        let stream = socket.stream.clone();
        let was_clogged = socket.out.is_clogged();
        match socket.out.write_to(|slices| stream.try_write_vectored(slices)) {
            Ok(true) => {
                socket.blocked = false;
                if was_clogged {
                    socket.bell.ring(); // it was not read meanwhile
                }
                let closing = socket.closing;
                self.step(Input::Drained { conn });
                !closing
            }
            Ok(false) => {
                if !socket.blocked {
                    socket.blocked = true;
                    socket.bell.ring();
                }
                true
            }
            Err(_) => false,
        }
    }

    /// The connection's task has left: tells the node and frees the place.
    pub fn closed(&mut self, conn: ConnId) {
        if self.socket(conn).is_none() {
            return;
        }
        self.places[conn.index as usize].socket = None; // socket() has checked the index
        self.free.push(conn.index);
        self.step(Input::Closed { conn });
    }

    /// When the node wants to be woken.
    pub fn wake_at(&self) -> Option<tokio::time::Instant> {
        self.wake_at.map(|at| self.clock.deadline(at))
    }

    /// The moment of `wake_at` has come.
    pub fn time(&mut self) {
        self.wake_at = None;
        self.step(Input::Time);
    }

    /// True once everything local is recovered.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// How the process shall end, once that is known.
    pub fn end(&self) -> Option<End> {
        self.end.clone()
    }

    fn carry_out(&mut self) {
        if self.effects.is_empty() {
            return;
        }
        let mut list = self.effects.take();
        for effect in list.drain(..) {
            self.carry_out_one(effect);
        }
        self.effects.clear(list);
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Send { conn, bytes, grant } => {
                if let Some(socket) = self.socket(conn) {
                    socket.out.share(bytes, grant);
                    self.mark_dirty(conn);
                }
            }
            Effect::SendCopied { conn, range } => {
                let effects = std::mem::take(&mut self.effects);
                if let Some(socket) = self.socket(conn) {
                    socket.out.copy(effects.copied(range));
                    self.mark_dirty(conn);
                }
                self.effects = effects;
            }
            Effect::Resume { conn } => self.ring(conn),
            Effect::Close { conn } => {
                if let Some(socket) = self.socket(conn) {
                    socket.closing = true;
                    self.ring(conn);
                }
            }
            Effect::PeerSend { to, channel, bytes, grant } => {
                if let Some(peers) = &mut self.peers {
                    peers.send(to, channel, bytes, grant);
                }
            }
            Effect::Peers(wanted) => {
                if let Some(peers) = &mut self.peers {
                    peers.set(wanted);
                }
            }
            Effect::Disk { lane, ticket, op } => self.disk.submit(lane, ticket, op),
            Effect::WakeAt(at) => {
                if self.wake_at != Some(at) {
                    self.wake_at = Some(at);
                    self.timer_bell.ring();
                }
            }
            Effect::Ready => {
                self.ready = true;
                self.state_changed.notify_waiters();
            }
            Effect::Fatal { sentence } => self.finish(End::Fatal(sentence)),
            Effect::Stopped => self.finish(End::Stopped),
        }
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.state_changed.notify_waiters();
    }

    fn socket(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let place = self.places.get_mut(conn.index as usize)?;
        if place.generation == conn.generation { place.socket.as_mut() } else { None }
    }

    fn mark_dirty(&mut self, conn: ConnId) {
        if let Some(socket) = self.socket(conn)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push(conn);
        }
    }

    fn ring(&mut self, conn: ConnId) {
        if let Some(socket) = self.socket(conn) {
            socket.bell.ring();
        }
    }
}
