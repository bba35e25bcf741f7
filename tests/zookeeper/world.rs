//! A shell that pretends: one node, a disk that can lose power, sockets that are vectors, a clock that stands until it is
//! moved.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use tern::config::Config;
use tern::effect::{DiskOp, Effect, Effects, Lane};
use tern::log::job;
use tern::memory::{Grant, Table};
use tern::node::{Input, Listener, Node};
use tern::types::{ConnId, Instant, Now, Rng, Ticket, Timestamp};

use crate::disk::SimDisk;

/// The far end of a socket.
#[derive(Default)]
pub struct Socket {
    /// What the client has sent and the node does not read yet.
    unread: VecDeque<u8>,
    /// What the client has received and not looked at.
    pub received: Vec<u8>,
    /// What the node has sent and the client does not take: it is deaf.
    queued: Vec<(Vec<u8>, Grant)>,
    pub is_deaf: bool,
    /// The node has closed it; nothing more comes.
    pub is_closed: bool,
}

/// One node and its clients.
pub struct World {
    pub rng: Rng,
    pub node: Node,
    pub config: Config,
    now_micros: u64,
    pub disk: SimDisk,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    sockets: BTreeMap<ConnId, Socket>,
    next: u32,
    wake_at: Option<Instant>,
    is_turn_open: bool,
    /// How often the power has failed.
    pub lives: u32,
}

const BOARD: &str = "10.0.0.7:40000";

fn node(config: &Config, seed: u64) -> Node {
    let (table, accounts) = Table::new(config).unwrap();
    let bound = [(Listener::Kafka(0), "127.0.0.1:9092".parse().unwrap())];
    Node::new(config.clone(), table, &accounts, &bound, seed).unwrap()
}

impl World {
    /// A node that is ready.
    pub fn new(seed: u64) -> World {
        World::with(seed, |_| {})
    }

    /// The same with another configuration.
    pub fn with(seed: u64, configure: impl FnOnce(&mut Config)) -> World {
        let mut config = Config::default();
        configure(&mut config);
        let mut world = World {
            rng: Rng::new(seed),
            node: node(&config, seed),
            config,
            now_micros: 1_000_000,
            disk: SimDisk::new(seed),
            lanes: BTreeMap::new(),
            sockets: BTreeMap::new(),
            next: 0,
            wake_at: None,
            is_turn_open: false,
            lives: 0,
        };
        world.step(Input::Start);
        world.until_ready();
        world
    }

    pub fn now_ms(&self) -> u64 {
        self.now_micros / 1000
    }

    fn now(&self) -> Now {
        let wall = Timestamp(1_800_000_000_000 + self.now_micros as i64 / 1000);
        Now { mono: Instant(self.now_micros), wall }
    }

    /// A client connects.
    pub fn connect(&mut self) -> ConnId {
        self.connect_from(BOARD.parse().unwrap())
    }

    pub fn connect_from(&mut self, peer: SocketAddr) -> ConnId {
        let conn = ConnId { index: self.next % 200, generation: self.next };
        self.next += 1;
        self.sockets.insert(conn, Socket::default());
        self.step(Input::Accepted { conn, listener: Listener::ZooKeeper, peer });
        conn
    }

    /// The client sends; the node reads as far as it wants to.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.unread.extend(bytes);
            self.read(conn);
        }
    }

    /// The client goes away.
    pub fn disconnect(&mut self, conn: ConnId) {
        if self.sockets.remove(&conn).is_some_and(|socket| !socket.is_closed) {
            self.step(Input::Closed { conn });
        }
    }

    pub fn socket(&mut self, conn: ConnId) -> &mut Socket {
        self.sockets.get_mut(&conn).expect("it is connected")
    }

    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.sockets.get(&conn).is_none_or(|socket| socket.is_closed)
    }

    /// Bytes that the client has sent and the node does not read.
    pub fn unread(&self, conn: ConnId) -> usize {
        self.sockets.get(&conn).map_or(0, |socket| socket.unread.len())
    }

    /// The client takes what waits for it.
    pub fn listen(&mut self, conn: ConnId) {
        let socket = self.socket(conn);
        socket.is_deaf = false;
        for (bytes, _) in std::mem::take(&mut socket.queued) {
            socket.received.extend(bytes);
        }
        self.step(Input::Drained { conn });
    }

    /// One input and its effects.
    pub fn step(&mut self, input: Input<'_>) {
        self.is_turn_open = !matches!(input, Input::TurnEnd);
        let mut fx = Effects::default();
        let now = self.now();
        self.node.step(now, input, &mut fx);
        let (mut drained, mut resumed, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        for effect in fx.take() {
            match effect {
                Effect::Send { conn, bytes, grant } => self.deliver(conn, bytes.to_vec(), grant, &mut drained),
                Effect::SendCopied { conn, range } => {
                    self.deliver(conn, fx.copied(range).to_vec(), Grant::none(), &mut drained);
                }
                Effect::Resume { conn } => resumed.push(conn),
                Effect::Close { conn } => closed.push(conn),
                Effect::Disk { lane, ticket, op } => self.lanes.entry(lane).or_default().push_back((ticket, op)),
                Effect::WakeAt(at) => self.wake_at = Some(at),
                Effect::Ready | Effect::Stopped => {}
                Effect::PeerSend { .. } | Effect::Peers(_) => {} // it is alone
                Effect::Fatal { sentence } => panic!("{sentence}"),
            }
        }
        for conn in closed {
            if let Some(socket) = self.sockets.get_mut(&conn).filter(|socket| !socket.is_closed) {
                socket.is_closed = true;
                self.step(Input::Closed { conn });
            }
        }
        drained.into_iter().for_each(|conn| {
            if !self.is_closed(conn) {
                self.step(Input::Drained { conn });
            }
        });
        resumed.into_iter().for_each(|conn| self.read(conn));
    }

    fn deliver(&mut self, conn: ConnId, bytes: Vec<u8>, grant: Grant, drained: &mut Vec<ConnId>) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        assert!(!socket.is_closed, "words after the end");
        if socket.is_deaf {
            socket.queued.push((bytes, grant));
        } else {
            socket.received.extend(bytes);
            if !drained.contains(&conn) {
                drained.push(conn);
            }
        }
    }

    fn read(&mut self, conn: ConnId) {
        loop {
            let limit = self.node.read_limit(conn);
            let Some(socket) = self.sockets.get_mut(&conn).filter(|socket| !socket.is_closed) else { return };
            let count = limit.min(socket.unread.len());
            if count == 0 {
                return;
            }
            let data: Vec<u8> = socket.unread.drain(..count).collect();
            self.step(Input::Bytes { conn, data: &data });
        }
    }

    /// Ends the turn, when one is open.
    pub fn turn_end(&mut self) {
        if self.is_turn_open {
            self.step(Input::TurnEnd);
        }
    }

    /// One lane does one job; false when there was none. The power may fail meanwhile.
    pub fn disk_step(&mut self) -> bool {
        let lanes: Vec<Lane> = self.lanes.iter().filter(|(_, ops)| !ops.is_empty()).map(|(lane, _)| *lane).collect();
        if lanes.is_empty() {
            return false;
        }
        let lane = lanes[self.rng.below(lanes.len() as u64) as usize];
        let (ticket, op) = self.lanes.get_mut(&lane).unwrap().pop_front().unwrap();
        let result = job::run(op, &mut self.disk);
        if self.disk.is_off {
            self.crash();
        } else {
            self.step(Input::Disk { ticket, result });
        }
        true
    }

    /// Power goes and comes back: every socket is gone, and what was not synced may be.
    pub fn crash(&mut self) {
        self.lanes.clear();
        self.sockets.values_mut().for_each(|socket| socket.is_closed = true);
        self.wake_at = None;
        self.lives += 1;
        self.disk.power_cut(&mut self.rng);
        self.node = node(&self.config, self.rng.next());
        self.step(Input::Start);
        self.until_ready();
    }

    fn until_ready(&mut self) {
        let lives = self.lives;
        for _ in 0..10_000 {
            if self.node.engine().is_ready() || self.lives != lives {
                return;
            }
            self.turn_end();
            if !self.disk_step() {
                self.pass_ms(50);
            }
        }
        panic!("the node does not become ready");
    }

    /// Time passes, with every timer on the way.
    pub fn pass_ms(&mut self, milliseconds: u64) {
        let end = self.now_micros + milliseconds * 1000;
        self.turn_end();
        while let Some(at) = self.wake_at.filter(|at| at.0 <= end) {
            self.wake_at = None;
            self.now_micros = self.now_micros.max(at.0);
            self.step(Input::Time);
            self.turn_end();
        }
        self.now_micros = self.now_micros.max(end);
    }

    /// Turns and disk jobs until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            self.turn_end();
            if !self.disk_step() && !self.is_turn_open {
                return;
            }
        }
        panic!("the node does not come to rest");
    }
}
