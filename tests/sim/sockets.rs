//! Connections of clients to the doors: the real bytes in both directions, in pieces, with the shell's rules.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use tern::limits::SOCKET_READ_BYTES_MAX;
use tern::memory::Grant;
use tern::node::{Input, Listener};
use tern::types::{ConnId, crc32c};

use super::World;
use crate::clients::ClientEvent;
use crate::event::Event;

/// One connection.
pub struct Socket {
    pub client: usize,
    /// The client's own number of it.
    pub number: u32,
    pub board: usize,
    listener: Listener,
    /// The node's name for it, while the node knows it.
    pub conn: Option<ConnId>,
    life: u32,
    unread: VecDeque<u8>,
    out: Vec<(Bytes, Grant)>,
    is_closing: bool,
    /// The client has closed, or was told.
    pub is_over: bool,
    /// Nothing arrives earlier than what was sent before.
    last_to_board: u64,
    last_to_client: u64,
}

impl World {
    /// A client dials a board's door.
    pub(super) fn connect(&mut self, client: usize, number: u32, board: usize, listener: Listener) {
        let at = self.now + 100 + self.rng.below(200);
        let socket = self.sockets.len();
        self.sockets.push(Socket {
            client,
            number,
            board,
            listener,
            conn: None,
            life: 0,
            unread: VecDeque::new(),
            out: Vec::new(),
            is_closing: false,
            is_over: false,
            last_to_board: at,
            last_to_client: at,
        });
        self.open_sockets.insert((client, number), socket);
        self.queue.push(at, Event::Connect { socket });
    }

    pub(super) fn arrive(&mut self, socket: usize) {
        let board = self.sockets[socket].board;
        if self.sockets[socket].is_over {
            return;
        }
        let free = if self.boards[board].is_ready { self.boards[board].free.pop() } else { None };
        let Some(index) = free else {
            return self.tell_closed(socket);
        };
        self.boards[board].next_generation += 1;
        let conn = ConnId { index, generation: self.boards[board].next_generation };
        self.boards[board].conns.insert(conn, socket);
        self.sockets[socket].conn = Some(conn);
        self.sockets[socket].life = self.boards[board].life;
        let peer = SocketAddr::from(([10, 0, 0, 100 + self.sockets[socket].client as u8], 40_000));
        let listener = self.sockets[socket].listener;
        self.step(board, Input::Accepted { conn, listener, peer });
        self.client_event(socket, ClientEvent::Opened);
    }

    /// The client sends.
    pub(super) fn client_sends(&mut self, socket: usize, bytes: Vec<u8>) {
        let at = (self.now + 80 + self.rng.below(200)).max(self.sockets[socket].last_to_board);
        self.sockets[socket].last_to_board = at;
        self.queue.push(at, Event::ToBoard { socket, bytes });
    }

    /// The client closes.
    pub(super) fn client_closes(&mut self, socket: usize) {
        self.sockets[socket].is_over = true;
        let at = (self.now + 80).max(self.sockets[socket].last_to_board);
        self.queue.push(at, Event::HangUp { socket });
    }

    pub(super) fn deliver_to_board(&mut self, socket: usize, bytes: Vec<u8>) {
        if self.conn_of(socket).is_some() {
            self.trace = crc32c::append(self.trace, &bytes);
            self.sockets[socket].unread.extend(bytes);
            self.read(socket);
        }
    }

    /// The node's name for a connection that it still has.
    fn conn_of(&self, socket: usize) -> Option<ConnId> {
        let Socket { conn, board, life, .. } = self.sockets[socket];
        conn.filter(|_| self.boards[board].life == life && self.boards[board].node.is_some())
    }

    /// The node reads as far as it wants to.
    pub(super) fn read(&mut self, socket: usize) {
        while let Some(conn) = self.conn_of(socket) {
            let board = self.sockets[socket].board;
            let limit = match (&self.boards[board].node, self.sockets[socket].is_closing) {
                (Some(node), false) => node.read_limit(conn).min(SOCKET_READ_BYTES_MAX),
                _ => 0,
            };
            let count = limit.min(self.sockets[socket].unread.len());
            if count == 0 {
                return;
            }
            let data: Vec<u8> = self.sockets[socket].unread.drain(..count).collect();
            self.step(board, Input::Bytes { conn, data: &data });
        }
    }

    /// The node has words for the client; they leave at the turn's end.
    pub(super) fn node_sends(&mut self, board: usize, conn: ConnId, bytes: Bytes, grant: Grant) {
        let Some(&socket) = self.boards[board].conns.get(&conn) else { return };
        if self.sockets[socket].out.is_empty() {
            self.boards[board].dirty.push(socket);
        }
        self.sockets[socket].out.push((bytes, grant));
    }

    pub(super) fn node_closes(&mut self, board: usize, conn: ConnId) {
        let Some(&socket) = self.boards[board].conns.get(&conn) else { return };
        self.sockets[socket].is_closing = true;
        self.boards[board].dirty.push(socket);
    }

    /// What was said in a turn leaves.
    pub(super) fn flush(&mut self, board: usize) {
        for socket in std::mem::take(&mut self.boards[board].dirty) {
            let Some(conn) = self.conn_of(socket) else { continue };
            let out = std::mem::take(&mut self.sockets[socket].out);
            if !out.is_empty() {
                let bytes: Vec<u8> = out.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
                drop(out);
                self.trace = crc32c::append(self.trace, &bytes);
                let at = (self.now + 80 + self.rng.below(200)).max(self.sockets[socket].last_to_client);
                self.sockets[socket].last_to_client = at;
                self.queue.push(at, Event::ToClient { socket, bytes });
                self.step(board, Input::Drained { conn });
            }
            if self.sockets[socket].is_closing {
                self.forget(socket);
                self.tell_closed(socket);
            }
        }
    }

    /// The node learns that a connection is gone.
    pub(super) fn forget(&mut self, socket: usize) {
        let Some(conn) = self.conn_of(socket) else { return };
        let board = self.sockets[socket].board;
        self.sockets[socket].conn = None;
        self.sockets[socket].out.clear();
        self.boards[board].conns.remove(&conn);
        self.boards[board].free.push(conn.index);
        self.step(board, Input::Closed { conn });
    }

    fn tell_closed(&mut self, socket: usize) {
        let at = (self.now + 80).max(self.sockets[socket].last_to_client);
        self.queue.push(at, Event::Closed { socket });
    }

    /// The connection is cut somewhere in between.
    pub(super) fn cut(&mut self, socket: usize) {
        self.forget(socket);
        self.tell_closed(socket);
    }

    /// A board's process has ended: its clients learn of it, without power only when they ask.
    pub(super) fn cut_sockets_of(&mut self, board: usize, hangs_up: bool) {
        let sockets: Vec<usize> = self.boards[board].conns.values().copied().collect();
        for socket in sockets {
            self.sockets[socket].conn = None;
            self.sockets[socket].out.clear();
            let after = if hangs_up { 100 } else { self.rng.below(3_000_000) };
            self.queue.push((self.now + after).max(self.sockets[socket].last_to_client), Event::Closed { socket });
        }
    }

    pub(super) fn deliver_to_client(&mut self, socket: usize, bytes: Vec<u8>) {
        self.client_event(socket, |number| ClientEvent::Bytes(number, bytes));
    }

    pub(super) fn closed(&mut self, socket: usize) {
        self.client_event(socket, ClientEvent::Closed);
        self.sockets[socket].is_over = true;
        let key = (self.sockets[socket].client, self.sockets[socket].number);
        self.open_sockets.remove(&key);
    }

    fn client_event(&mut self, socket: usize, event: impl FnOnce(u32) -> ClientEvent) {
        if !self.sockets[socket].is_over {
            let Socket { client, number, .. } = self.sockets[socket];
            self.tell_client(client, event(number));
        }
    }
}
