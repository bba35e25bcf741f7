//! The MQTT door: 3.1.1 and 5 on one port, a log behind it.
//!
//! A PUBLISH becomes a record of the Kafka topic that the mapping rules choose (`mapping`, `ingest`); PUBACK and PUBREC
//! leave only after the record is durable, in the order of the messages (`acks`). Subscribers get live messages from the
//! tails of the partitions (`subscriptions`, `deliver`, `outgoing`). There are no sessions beyond a connection, no
//! retained messages and no wills yet; CONNACK tells a version 5 client so.
//!
//! Invariants: no message is acknowledged before it is on disk, none twice in the log within a connection at QoS 2; one
//! slow, silent or hostile client costs another nothing but its place in the table. When memory for appends is short,
//! QoS 0 is dropped and counted, QoS 1 and 2 publishers are not read (`turn`). Memory: fixed state and
//! `CONNECTION_INPUT_BYTES_MAX` for each connection, larger packets by grants of the `packets` account, live messages by
//! grants of the `output` account. Called by the node through `engine::Protocol`.

mod acks;
mod backend;
mod codec;
mod connection;
mod deliver;
mod errors;
mod exactly_once;
mod ingest;
pub mod mapping;
mod outgoing;
mod record;
mod route;
mod session;
mod subscriptions;
mod sys;
mod turn;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

pub use backend::Backend;

use connection::{Block, Connection};
use exactly_once::Memory;
use mapping::{Mapping, MappingError};
use subscriptions::{Subscription, Subscriptions};

use crate::config::Config;
use crate::effect::Effects;
use crate::engine::{Completion, Diagnostics, Engine, Protocol, Waiter};
use crate::memory::{Account, Accounts};
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, NodeId, Now, Rng, Timers};

/// What the door is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// This node, for the client ids that it assigns.
    pub node_id: NodeId,
    /// `mqtt.map.N`.
    pub mapping: Mapping,
    /// `mqtt.packet.max.bytes`: the largest PUBLISH.
    pub packet_bytes_max: usize,
    /// `mqtt.receive.maximum`: unacknowledged publishes of one client.
    pub receive_maximum: u16,
    /// `mqtt.topics.max`: topics that rules with something to fill in may create in the life of the process.
    pub topics_created_max: usize,
    /// Packets above `CONNECTION_INPUT_BYTES_MAX` while they are received.
    pub packets: Account,
    /// Live messages on their way to subscribers, and the subscriptions.
    pub output: Account,
}

impl Settings {
    /// From the configuration, or what is wrong with a mapping rule.
    pub fn new(config: &Config, accounts: &Accounts) -> Result<Settings, MappingError> {
        Ok(Settings {
            node_id: config.node_id,
            mapping: Mapping::compile(&config.mqtt.maps)?,
            packet_bytes_max: config.mqtt.packet_bytes_max,
            receive_maximum: config.mqtt.receive_maximum.max(1),
            topics_created_max: config.mqtt.topics_created_max,
            packets: accounts.mqtt_frames.clone(),
            output: accounts.mqtt_outgoing.clone(),
        })
    }
}

/// What the door has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sockets with an open session.
    pub clients: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that were handed over for sending.
    pub bytes_out: u64,
    /// Packets that were understood.
    pub packets: u64,
    /// Messages appended.
    pub received: u64,
    /// Messages whose publisher may be told that they are safe.
    pub acknowledged: u64,
    /// Messages refused with a reason or by closing the connection.
    pub refused: u64,
    /// QoS 0 messages dropped because memory or the disk had no room, or no topic.
    pub dropped: u64,
    /// Live messages written to subscribers or queued for them.
    pub delivered: u64,
    /// Live messages dropped because a subscriber did not keep up.
    pub delivery_dropped: u64,
    /// Times a connection had to wait.
    pub pauses: u64,
}

/// The machine behind all MQTT listeners.
#[derive(Debug)]
pub struct MqttDoor {
    settings: Settings,
    rng: Rng,
    /// By `ConnId::index`.
    connections: Vec<Option<Box<Connection>>>,
    /// Open sessions.
    clients: BTreeMap<Box<str>, ConnId>,
    /// QoS 2 exchanges of connections that ended.
    memory: Memory,
    subscriptions: Subscriptions,
    /// Tails are on.
    is_tailing: bool,
    /// Connect timeout, then keep-alive.
    timers: Timers<ConnId>,
    /// Connections with a ready acknowledgement.
    dirty: Vec<ConnId>,
    /// Subscribers with something written in this turn.
    writers: Vec<ConnId>,
    /// Connections whose next packet waits, in the order in which they began to wait.
    blocked: VecDeque<ConnId>,
    /// When `Block::Later` is tried again.
    retry_at: Option<Instant>,
    /// Connections that wait for the grant of a large packet.
    waiting: VecDeque<ConnId>,
    /// When to look for large packets that do not arrive, while others wait.
    stall_check_at: Option<Instant>,
    /// A completion has come since the turn's end: another turn must follow.
    is_turn_wanted: bool,
    /// `$SYS`.
    sys: sys::Sys,
    /// Topics that rules have created by filling something in.
    created: BTreeSet<Box<str>>,
    stats: Stats,
    /// What of `stats` the process's metrics have been told.
    told: Stats,
    diagnostics: Diagnostics,
    scratch: Scratch,
}

/// Buffers that are used again and again.
#[derive(Debug, Default)]
struct Scratch {
    bytes: Vec<u8>,
    kafka_topic: String,
    matched: Vec<Subscription>,
    properties: Vec<u8>,
    decompressed: Vec<u8>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Done; the next one, please.
    Next,
    /// Cannot be taken now.
    Blocked(Block),
    /// The connection is at its end.
    End(End),
}

/// How a connection ends by our hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Without a word: DISCONNECT came, or the client is not one of MQTT.
    Silent,
    /// With a DISCONNECT where the version has one.
    Because(errors::Reason),
}

impl MqttDoor {
    /// A door without connections. `rng` makes the client ids that it assigns unique.
    pub fn new(settings: Settings, rng: Rng) -> MqttDoor {
        MqttDoor {
            settings,
            rng,
            connections: Vec::new(),
            clients: BTreeMap::new(),
            memory: Memory::default(),
            subscriptions: Subscriptions::default(),
            is_tailing: false,
            timers: Timers::default(),
            dirty: Vec::new(),
            writers: Vec::new(),
            blocked: VecDeque::new(),
            retry_at: None,
            waiting: VecDeque::new(),
            stall_check_at: None,
            is_turn_wanted: false,
            sys: sys::Sys::default(),
            created: BTreeSet::new(),
            stats: Stats::default(),
            told: Stats::default(),
            diagnostics: Diagnostics::default(),
            scratch: Scratch::default(),
        }
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        Stats { clients: self.clients.len(), subscriptions: self.subscriptions.len(), ..self.stats }
    }

    /// Adds what this turn has counted to the process's metrics.
    fn tell_metrics(&mut self) {
        let (now, told) = (&self.stats, &self.told);
        if now == told {
            return;
        }
        let metrics = &METRICS.mqtt;
        metrics.bytes_in.add(now.bytes_in - told.bytes_in);
        metrics.bytes_out.add(now.bytes_out - told.bytes_out);
        metrics.requests.add(now.packets - told.packets);
        metrics.messages_in.add(now.received - told.received);
        metrics.messages_out.add(now.delivered - told.delivered);
        metrics.acknowledged.add(now.acknowledged - told.acknowledged);
        let dropped = |stats: &Stats| stats.dropped + stats.delivery_dropped;
        metrics.messages_dropped.add(dropped(now) - dropped(told));
        metrics.pauses.add(now.pauses - told.pauses);
        self.told = self.stats;
    }

    fn get(&self, conn: ConnId) -> Option<&Connection> {
        let connection = self.connections.get(conn.index as usize)?.as_deref()?;
        (connection.id == conn).then_some(connection)
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(conn.index as usize)?.as_deref_mut()?;
        (connection.id == conn).then_some(connection)
    }

    /// Takes a connection out of the table while its packets are handled; `put` follows.
    fn take(&mut self, conn: ConnId) -> Option<Box<Connection>> {
        self.get(conn)?;
        self.connections.get_mut(conn.index as usize)?.take()
    }

    fn put(&mut self, connection: Box<Connection>) {
        if let Some(place) = self.connections.get_mut(connection.id.index as usize) {
            *place = Some(connection);
        }
    }
}

impl Protocol for MqttDoor {
    fn accepted(&mut self, now: Now, conn: ConnId, _listener: u8, _peer: SocketAddr, _fx: &mut Effects) {
        self.on_accepted(now, conn);
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects) {
        self.on_bytes(now, conn, data, engine, fx);
    }

    fn read_limit(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, Connection::read_limit)
    }

    fn complete(&mut self, now: Now, waiter: Waiter, completion: Completion, _engine: &mut Engine, _fx: &mut Effects) {
        self.on_completion(now, waiter, completion);
    }

    fn drained(&mut self, _now: Now, conn: ConnId, _engine: &mut Engine, _fx: &mut Effects) {
        self.on_drained(conn);
    }

    fn closed(&mut self, _now: Now, conn: ConnId, engine: &mut Engine, _fx: &mut Effects) {
        self.on_closed(conn, engine);
    }

    fn turn_end(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        self.on_turn_end(now, engine, fx);
    }

    fn on_time(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        self.on_deadline(now, engine, fx);
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let now = self.is_turn_wanted.then_some(Instant(0));
        let others = [now, self.retry_at, self.stall_check_at, self.sys.publish_at];
        others.into_iter().flatten().chain(self.timers.next()).min()
    }
}
