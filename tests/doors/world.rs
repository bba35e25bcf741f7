//! A shell that pretends: sockets are vectors, the clock stands until it is moved, effects are carried out at once.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tern::config::Config;
use tern::coordinator::{Op, Txn};
use tern::effect::{DiskOp, Effect, Effects, Lane};
use tern::engine::{Door, Engine, Protocol, Waiter};
use tern::kafka::{KafkaDoor, ListenerSettings, Settings};
use tern::log::job;
use tern::memory::{Account, Accounts, Grant};
use tern::types::{ConnId, Instant, Now, PartitionIndex, Rng, Slot, Ticket, Timestamp};

use crate::disk::Disk;

/// The far end of a socket.
#[derive(Default)]
pub struct Socket {
    /// What the door has sent and the client has not taken.
    queued: VecDeque<(Bytes, Grant)>,
    /// What the client has taken.
    pub received: Vec<u8>,
    /// The client does not read.
    pub is_deaf: bool,
    /// The door has closed it.
    pub is_closed: bool,
    /// What the client wants to send and the door does not read yet.
    unread: VecDeque<u8>,
}

/// One door, its engine and its clients.
pub struct World {
    pub door: KafkaDoor,
    pub engine: Engine,
    pub requests: Account,
    pub responses: Account,
    pub now: Now,
    disk: Disk,
    fx: Effects,
    sockets: BTreeMap<ConnId, Socket>,
    /// What clients had received when their connections ended.
    last_words: BTreeMap<ConnId, Vec<u8>>,
    next: u32,
    /// How many bytes one read brings at most.
    pub read_bytes_max: usize,
    /// The disk does not answer reads of records; these wait.
    pub is_reading_slow: bool,
    slow_reads: VecDeque<(Ticket, DiskOp)>,
}

impl World {
    /// With 1 MiB for requests and 1 MiB for responses.
    pub fn new() -> World {
        World::with_memory(1 << 20, 1 << 20)
    }

    /// With so many bytes for requests and for responses.
    pub fn with_memory(request_bytes: usize, response_bytes: usize) -> World {
        let (requests, responses) = (Account::new(request_bytes), Account::new(response_bytes));
        let listener = |name: &str, port| ListenerSettings { name: name.into(), host: "board".into(), port };
        let settings = Settings {
            listeners: vec![listener("INSIDE", 9092), listener("OUTSIDE", 9093)],
            request_bytes_max: 1 << 20,
            fetch_bytes_max: 1 << 20,
            message_bytes_max: 64 * 1024,
            offset_metadata_bytes_max: 4096,
            consumer_heartbeat_interval_ms: 5_000,
            idle_ms_max: Some(60_000),
            auto_create_topics: true,
            fetch_sessions_max: 4,
        };
        let door = KafkaDoor::new(settings, requests.clone(), responses.clone(), Rng::new(1));
        let mut config = Config::default();
        config.topics.partitions = 2;
        config.topics.message_bytes_max = 64 * 1024;
        let now = Now { mono: Instant(1_000_000), wall: Timestamp(1_800_000_000_000) };
        let accounts = Accounts::new(&config.memory);
        let engine = Engine::new(Arc::new(config), &accounts, Timestamp(1_700_000_000_000), 1);
        let mut world = World {
            door,
            engine,
            requests,
            responses,
            now,
            disk: Disk::default(),
            fx: Effects::default(),
            sockets: BTreeMap::new(),
            last_words: BTreeMap::new(),
            next: 0,
            read_bytes_max: 64 * 1024,
            is_reading_slow: false,
            slow_reads: VecDeque::new(),
        };
        world.engine.start(now, &mut world.fx);
        world.settle();
        while !world.engine.is_ready() {
            let at = world.engine.next_deadline().expect("it waits for something");
            world.advance_to(at.max(world.now.mono));
            world.engine.on_time(world.now, &mut world.fx);
            world.settle();
        }
        world
    }

    /// A client connects to the first listener.
    pub fn connect(&mut self) -> ConnId {
        self.connect_to(0)
    }

    /// A client connects to a listener.
    pub fn connect_to(&mut self, listener: u8) -> ConnId {
        let conn = ConnId { index: self.next, generation: 1 };
        self.next += 1;
        self.sockets.insert(conn, Socket::default());
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
        self.door.accepted(self.now, conn, listener, peer, &mut self.fx);
        self.settle();
        conn
    }

    /// The client sends `bytes`; the door reads them as far as it wants to.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.push(conn, bytes);
        self.settle();
    }

    /// The client sends, and the turn goes on.
    pub fn push(&mut self, conn: ConnId, bytes: &[u8]) {
        self.sockets.get_mut(&conn).unwrap().unread.extend(bytes);
        self.read(conn);
    }

    /// The client goes away.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.sockets.remove(&conn);
        self.engine.drop_connection(conn);
        self.door.closed(self.now, conn, &mut self.engine, &mut self.fx);
        self.settle();
    }

    /// Time passes, with every timer on the way.
    pub fn pass_ms(&mut self, milliseconds: u64) {
        let end = self.now.mono.plus_millis(milliseconds);
        let next =
            |world: &mut World| [world.door.next_deadline(), world.engine.next_deadline()].into_iter().flatten().min();
        while let Some(at) = next(self).filter(|&at| at <= end) {
            self.advance_to(at.max(self.now.mono));
            self.engine.on_time(self.now, &mut self.fx);
            self.door.on_time(self.now, &mut self.engine, &mut self.fx);
            self.settle();
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Instant) {
        self.now.wall.0 += (at.since(self.now.mono).as_millis()) as i64;
        self.now.mono = at;
    }

    /// The client's end.
    pub fn socket(&mut self, conn: ConnId) -> &mut Socket {
        self.sockets.get_mut(&conn).unwrap()
    }

    /// What the client has received since it was last asked.
    pub fn take(&mut self, conn: ConnId) -> Vec<u8> {
        std::mem::take(&mut self.socket(conn).received)
    }

    /// Bytes that the client has sent and the door has not read.
    pub fn unread(&self, conn: ConnId) -> usize {
        self.sockets[&conn].unread.len()
    }

    /// The client listens again.
    pub fn listen(&mut self, conn: ConnId) {
        self.socket(conn).is_deaf = false;
        self.settle();
    }

    /// The leader epoch of a partition rises, and nothing else changes; in the same turn a client sends `bytes`.
    pub fn raise_epoch(&mut self, topic: &str, index: PartitionIndex, conn: ConnId, bytes: &[u8]) {
        let state = self.engine.view().partition(topic, index).unwrap();
        let (leader, epoch) = (state.leader.unwrap(), state.leader_epoch.0 + 1);
        let data = format!(
            r#"{{"controller_epoch":1,"leader":{leader},"version":1,"leader_epoch":{epoch},"isr":[{leader}]}}"#
        );
        let path = format!("/brokers/topics/{topic}/partitions/{index}/state");
        let txn = Txn::by_node(Op::SetData { path, data: Some(data.into_bytes()), version: -1 });
        let nobody = ConnId { index: u32::MAX - 100, generation: 1 };
        let waiter = Waiter { door: Door::Kafka, conn: nobody, slot: Slot(0) };
        self.engine.propose(self.now, txn, waiter, &mut self.fx);
        while self.engine.view().partition(topic, index).unwrap().leader_epoch.0 < epoch {
            self.engine.turn_end(self.now, &mut self.fx);
            assert!(self.carry_out());
        }
        self.send(conn, bytes);
    }

    /// The disk answers the oldest read that waits; false when there is none.
    pub fn answer_slow_read(&mut self) -> bool {
        let Some((ticket, op)) = self.slow_reads.pop_front() else { return false };
        let result = job::run(op, &mut self.disk);
        self.engine.disk_done(self.now, ticket, result, &mut self.fx);
        self.settle();
        true
    }

    /// Turns until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            self.deliver();
            self.door.turn_end(self.now, &mut self.engine, &mut self.fx);
            self.engine.turn_end(self.now, &mut self.fx);
            self.deliver();
            if !self.carry_out() {
                return;
            }
        }
        panic!("the door does not come to rest");
    }

    fn deliver(&mut self) {
        while let Some((waiter, completion)) = self.engine.next_completion() {
            self.door.complete(self.now, waiter, completion, &mut self.engine, &mut self.fx);
        }
    }

    fn read(&mut self, conn: ConnId) {
        loop {
            let limit = self.door.read_limit(conn).min(self.read_bytes_max);
            let Some(socket) = self.sockets.get_mut(&conn) else { return };
            let count = limit.min(socket.unread.len());
            if count == 0 {
                return;
            }
            let data: Vec<u8> = socket.unread.drain(..count).collect();
            self.door.bytes(self.now, conn, &data, &mut self.engine, &mut self.fx);
        }
    }

    /// Carries out what was asked for; false when that was nothing.
    fn carry_out(&mut self) -> bool {
        let mut list = self.fx.take();
        let mut moved = !list.is_empty();
        let (mut resumed, mut answers) = (Vec::new(), Vec::new());
        for effect in list.drain(..) {
            match effect {
                Effect::Send { conn, bytes, grant } => self.queue(conn, bytes, grant),
                Effect::SendCopied { conn, range } => {
                    let bytes = Bytes::copy_from_slice(self.fx.copied(range));
                    self.queue(conn, bytes, Grant::none());
                }
                Effect::Resume { conn } => resumed.push(conn),
                Effect::Close { conn } => {
                    if let Some(socket) = self.sockets.get_mut(&conn) {
                        socket.is_closed = true;
                    }
                }
                Effect::Disk { lane: Lane::Read, ticket, op } if self.is_reading_slow => {
                    self.slow_reads.push_back((ticket, op));
                }
                Effect::Disk { ticket, op, .. } => answers.push((ticket, job::run(op, &mut self.disk))),
                Effect::WakeAt(_) | Effect::Ready => {}
                other => panic!("{other:?}"),
            }
        }
        self.fx.clear(list);
        for (ticket, result) in answers {
            self.engine.disk_done(self.now, ticket, result, &mut self.fx);
            self.deliver();
        }
        resumed.into_iter().for_each(|conn| self.read(conn));
        for conn in self.sockets.keys().copied().collect::<Vec<_>>() {
            moved |= self.drain(conn);
        }
        moved
    }

    fn queue(&mut self, conn: ConnId, bytes: Bytes, grant: Grant) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            assert!(!socket.is_closed, "a reply after the end");
            socket.queued.push_back((bytes, grant));
        }
    }

    fn drain(&mut self, conn: ConnId) -> bool {
        let Some(socket) = self.sockets.get_mut(&conn) else { return false };
        let mut moved = false;
        if !socket.is_deaf && !socket.queued.is_empty() {
            for (bytes, _grant) in socket.queued.drain(..) {
                socket.received.extend_from_slice(&bytes);
            }
            self.door.drained(self.now, conn, &mut self.engine, &mut self.fx);
            moved = true;
        }
        if self.sockets.get(&conn).is_some_and(|socket| socket.is_closed) {
            self.engine.drop_connection(conn);
            self.door.closed(self.now, conn, &mut self.engine, &mut self.fx);
            let socket = self.sockets.remove(&conn).unwrap_or_default();
            self.last_words.insert(conn, socket.received);
            moved = true;
        }
        moved
    }

    /// True when the door has closed the connection.
    pub fn is_closed(&self, conn: ConnId) -> bool {
        !self.sockets.contains_key(&conn)
    }

    /// What a closed connection had received.
    pub fn last_words(&self, conn: ConnId) -> &[u8] {
        &self.last_words[&conn]
    }
}

/// The seed to use: `TERN_SEED`, else the one given.
pub fn seed(default: u64) -> u64 {
    std::env::var("TERN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How much longer than usual to search: `TERN_ROUNDS`, else once.
pub fn rounds(usual: u64) -> u64 {
    usual * std::env::var("TERN_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
