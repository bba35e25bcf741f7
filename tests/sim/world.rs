//! Whole nodes, their disks, the network and the clients, in one thread and from one seed: whatever happens is an event
//! at a moment of true time, and equal seeds have equal events. The trace is a checksum over all bytes that went anywhere.

#[path = "faults.rs"]
mod faults;
#[path = "network.rs"]
mod network;
#[path = "sockets.rs"]
mod sockets;

use std::collections::BTreeMap;

use bytes::Bytes;
use tern::effect::{Effect, Effects, Lane};
use tern::log::job;
use tern::memory::Grant;
use tern::node::Input;
use tern::types::{Rng, Ticket, crc32c};

use crate::board::{Board, Settings};
use crate::clients::{Client, ClientEvent, Command, Io, Phase};
use crate::event::{Event, Queue};
use crate::history::History;
pub use faults::Faults;
use network::Network;
use sockets::Socket;

/// The simulation.
pub struct World {
    pub rng: Rng,
    /// True time in microseconds.
    pub now: u64,
    pub settings: Settings,
    pub boards: Vec<Board>,
    pub clients: Vec<Box<dyn Client>>,
    pub history: History,
    pub faults: Faults,
    queue: Queue,
    network: Network,
    sockets: Vec<Socket>,
    open_sockets: BTreeMap<(usize, u32), usize>,
    pub phase: Phase,
    pub trace: u32,
    pub steps: u64,
    pub lives: u32,
}

impl World {
    /// Boards that are off, and no clients.
    pub fn new(seed: u64, settings: Settings) -> World {
        let mut rng = Rng::new(seed);
        let boards: Vec<Board> = (0..settings.boards).map(|number| Board::new(number, &settings, rng.next())).collect();
        let network = Network::new(boards.len());
        World {
            rng,
            now: 0,
            history: History::new(),
            settings,
            boards,
            clients: Vec::new(),
            faults: Faults::default(),
            queue: Queue::default(),
            network,
            sockets: Vec::new(),
            open_sockets: BTreeMap::new(),
            phase: Phase::Breaking,
            trace: 0,
            steps: 0,
            lives: 0,
        }
    }

    /// Power for all boards.
    pub fn switch_on(&mut self) {
        for board in 0..self.boards.len() {
            let at = self.now + self.rng.below(50_000);
            self.queue.push(at, Event::Start { board, life: self.boards[board].life });
        }
    }

    /// A client that begins at once.
    pub fn add_client(&mut self, client: Box<dyn Client>) {
        let at = self.now + self.rng.below(20_000);
        self.clients.push(client);
        self.queue.push(at, Event::Client { client: self.clients.len() - 1 });
    }

    /// Everything up to a moment.
    pub fn run_until(&mut self, end: u64) {
        while self.queue.next_at().is_some_and(|at| at <= end) {
            let Some((at, number, event)) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            self.happen(number, event);
        }
        self.now = self.now.max(end);
    }

    /// What clients do from now on.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// All clients leave for ever.
    pub fn hang_up(&mut self) {
        self.clients.clear();
        for socket in std::mem::take(&mut self.open_sockets).into_values() {
            self.client_closes(socket);
        }
    }

    fn happen(&mut self, number: u64, event: Event) {
        if let Some(board) = self.board_of(&event)
            && self.boards[board].paused_until > self.now
        {
            return self.queue.put_off(self.boards[board].paused_until, number, event);
        }
        match event {
            Event::Start { board, life } => self.start(board, life),
            Event::TurnEnd { board, life } if self.is_alive(board, life) => self.end_turn(board),
            Event::Time { board, life, at } if self.is_alive(board, life) => {
                if self.boards[board].wake_at == Some(at) {
                    self.boards[board].wake_at = None;
                    self.step(board, Input::Time);
                }
            }
            Event::Disk { board, life, lane } if self.is_alive(board, life) => self.disk(board, lane),
            Event::TurnEnd { .. } | Event::Time { .. } | Event::Disk { .. } => {}
            Event::Dial { wire, life } => self.dial(wire, life),
            Event::Deliver { wire, generation } => self.deliver(wire, generation),
            Event::WireLost { wire, generation } => self.wire_lost(wire, generation),
            Event::GiveUp { wire, generation } => self.wire_given_up(wire, generation),
            Event::Connect { socket } => self.arrive(socket),
            Event::ToBoard { socket, bytes } => self.deliver_to_board(socket, bytes),
            Event::HangUp { socket } => self.forget(socket),
            Event::ToClient { socket, bytes } => self.deliver_to_client(socket, bytes),
            Event::Closed { socket } => self.closed(socket),
            Event::Client { client } => self.tell_client(client, ClientEvent::Wake),
            Event::Fault => self.fault(),
            Event::Mend(trouble) => self.mend(trouble),
        }
    }

    /// The board whose process must run for the event.
    fn board_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::TurnEnd { board, .. } | Event::Time { board, .. } | Event::Disk { board, .. } => Some(*board),
            Event::Deliver { wire, .. } => Some(wire.to),
            Event::WireLost { wire, .. } | Event::GiveUp { wire, .. } => Some(wire.from),
            Event::Connect { socket } | Event::ToBoard { socket, .. } | Event::HangUp { socket } => {
                Some(self.sockets[*socket].board)
            }
            _ => None,
        }
    }

    fn is_alive(&self, board: usize, life: u32) -> bool {
        self.boards[board].life == life && self.boards[board].node.is_some()
    }

    fn start(&mut self, board: usize, life: u32) {
        if self.boards[board].life != life || self.boards[board].node.is_some() || self.boards[board].is_held {
            return;
        }
        let seed = self.rng.next();
        self.lives += 1;
        self.boards[board].begin(self.now, seed);
        self.step(board, Input::Start);
    }

    /// One step of a node, and what follows from it.
    pub(crate) fn step(&mut self, board: usize, input: Input<'_>) {
        let is_turn_end = matches!(input, Input::TurnEnd);
        let now = self.boards[board].clock.now(self.now);
        let mut fx = Effects::default();
        let _span = tracing::info_span!("board", id = board + 1, at = self.now).entered();
        let Some(node) = &mut self.boards[board].node else { return };
        node.step(now, input, &mut fx);
        self.steps += 1;
        let life = self.boards[board].life;
        for effect in fx.take() {
            if self.boards[board].life == life {
                self.carry_out(board, effect, &fx);
            }
        }
        let place = &mut self.boards[board];
        if !is_turn_end && !place.is_turn_open && place.life == life {
            place.is_turn_open = true;
            let at = self.now + 20 + self.rng.below(60);
            self.queue.push(at, Event::TurnEnd { board, life });
        }
    }

    fn carry_out(&mut self, board: usize, effect: Effect, fx: &Effects) {
        match effect {
            Effect::Send { conn, bytes, grant } => self.node_sends(board, conn, bytes, grant),
            Effect::SendCopied { conn, range } => {
                let bytes = Bytes::copy_from_slice(fx.copied(range));
                self.node_sends(board, conn, bytes, Grant::none());
            }
            Effect::Resume { conn } => {
                if let Some(&socket) = self.boards[board].conns.get(&conn) {
                    self.read(socket);
                }
            }
            Effect::Close { conn } => self.node_closes(board, conn),
            Effect::PeerSend { to, channel, bytes, grant } => {
                self.peer_send(board, to.0 as usize - 1, channel, bytes, grant);
            }
            Effect::Peers(wanted) => {
                let wanted = wanted.iter().map(|address| address.node.0 as usize - 1).collect();
                self.want_peers(board, wanted);
            }
            Effect::Disk { lane, ticket, op } => self.ask_disk(board, lane, ticket, op),
            Effect::WakeAt(at) => {
                self.boards[board].wake_at = Some(at);
                let moment = self.boards[board].clock.when(at).max(self.now);
                let life = self.boards[board].life;
                self.queue.push(moment, Event::Time { board, life, at });
            }
            Effect::Ready => self.boards[board].is_ready = true,
            Effect::Fatal { sentence } => self.fatal(board, &sentence),
            Effect::Stopped => {
                self.faults.counts.stopped += 1;
                self.kill(board);
                self.start_again(board, 2_000_000);
            }
        }
    }

    fn end_turn(&mut self, board: usize) {
        self.boards[board].is_turn_open = false;
        self.step(board, Input::TurnEnd);
        self.flush(board);
        if let Some(node) = &self.boards[board].node {
            self.history.leaders.observe(self.boards[board].id, node.engine());
        }
    }

    /// A node says that it cannot go on.
    fn fatal(&mut self, board: usize, sentence: &str) {
        // A node that starts on a disk without any room cannot take up its log, and says so.
        let is_full = self.boards[board].disk.capacity_bytes.is_some() && sentence.contains("the disk is full");
        let is_expected = self.boards[board].may_end || self.boards[board].disk.is_off || is_full;
        assert!(is_expected, "board {} ends itself: {sentence}", self.boards[board].id);
        self.faults.counts.ended += 1;
        self.crash(board);
        self.start_again(board, 2_000_000);
    }

    fn ask_disk(&mut self, board: usize, lane: Lane, ticket: Ticket, op: tern::effect::DiskOp) {
        let queue = self.boards[board].lanes.entry(lane).or_default();
        queue.push_back((ticket, op));
        if queue.len() == 1 {
            self.work(board, lane);
        }
    }

    /// The lane begins its oldest operation.
    fn work(&mut self, board: usize, lane: Lane) {
        let place = &self.boards[board];
        let takes = place.disk_micros / 2 + self.rng.below(place.disk_micros + 1);
        let at = (self.now + takes).max(place.stalled_until);
        self.queue.push(at, Event::Disk { board, life: place.life, lane });
    }

    fn disk(&mut self, board: usize, lane: Lane) {
        if self.boards[board].stalled_until > self.now {
            return self.work(board, lane);
        }
        let Some((ticket, op)) = self.boards[board].lanes.get_mut(&lane).and_then(|queue| queue.pop_front()) else {
            return;
        };
        let result = job::run(op, &mut self.boards[board].disk);
        if self.boards[board].disk.is_off {
            self.faults.counts.power_cuts += 1;
            self.crash(board);
            return self.start_again(board, 3_000_000);
        }
        if self.boards[board].lanes.get(&lane).is_some_and(|queue| !queue.is_empty()) {
            self.work(board, lane);
        }
        self.trace = crc32c::append(self.trace, &self.boards[board].disk.trace.to_le_bytes());
        self.step(board, Input::Disk { ticket, result });
    }

    /// The power fails: what was not synced may be lost, in the middle of what the lanes do.
    pub(crate) fn crash(&mut self, board: usize) {
        self.half_do(board);
        let rng = &mut self.rng;
        self.boards[board].disk.power_cut(rng);
        self.cut_sockets_of(board, false);
        self.boards[board].end();
        self.cut_wires_of(board, false);
    }

    /// The process is gone; the disk keeps what it was given.
    pub(crate) fn kill(&mut self, board: usize) {
        self.half_do(board);
        self.boards[board].disk.kill();
        self.cut_sockets_of(board, true);
        self.boards[board].end();
        self.cut_wires_of(board, true);
    }

    /// What the lanes are about to do, up to some call.
    fn half_do(&mut self, board: usize) {
        if self.boards[board].disk.is_off {
            return;
        }
        let lanes: Vec<Lane> = self.boards[board].lanes.keys().copied().collect();
        for lane in lanes {
            if self.rng.one_in(2) {
                continue;
            }
            let first = self.boards[board].lanes.get_mut(&lane).and_then(|queue| queue.pop_front());
            if let Some((_, op)) = first {
                self.boards[board].disk.is_off = false;
                self.boards[board].disk.calls_until_power_cut = Some(self.rng.below(8));
                job::run(op, &mut self.boards[board].disk).ok();
            }
        }
        self.boards[board].disk.is_off = false;
    }

    pub(crate) fn start_again(&mut self, board: usize, within_micros: u64) {
        let within = if self.phase != Phase::Breaking { within_micros / 10 } else { within_micros };
        let at = self.now + 20_000 + self.rng.below(within);
        self.queue.push(at, Event::Start { board, life: self.boards[board].life });
    }

    pub(crate) fn tell_client(&mut self, client: usize, event: ClientEvent) {
        if client >= self.clients.len() {
            return; // it has left
        }
        let mut io = Io {
            client,
            now: self.now,
            boards: self.boards.len(),
            rng: &mut self.rng,
            history: &mut self.history,
            phase: self.phase,
            commands: Vec::new(),
        };
        self.clients[client].event(event, &mut io);
        for command in io.commands {
            match command {
                Command::Dial { number, board, listener } => self.connect(client, number, board, listener),
                Command::Send { number, bytes } => {
                    if let Some(&socket) = self.open_sockets.get(&(client, number)) {
                        self.client_sends(socket, bytes);
                    }
                }
                Command::Close { number } => {
                    if let Some(socket) = self.open_sockets.remove(&(client, number)) {
                        self.client_closes(socket);
                    }
                }
                Command::WakeAt(at) => self.queue.push(at.max(self.now), Event::Client { client }),
            }
        }
    }
}
