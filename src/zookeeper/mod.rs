//! The ZooKeeper door: the client protocol of ZooKeeper 3.8, served from the engine's tree.
//!
//! ```text
//! bytes ─> words | handshake | serve ─> handlers/ ──writes──> engine.propose_write
//!                                │  └──reads──> engine.tree()        │ completions
//!             replies in order <─┴──── deliver (events first) <──────┘
//! ```
//!
//! `codec` turns bytes into borrowed messages and back, in both directions, `errors` names the protocol's codes,
//! `handshake` gives a connection its session, `serve` takes requests and answers them in order, `watches` remembers who
//! watches what, `deliver` tells them, `words` answers monitoring, `stats` counts for it.
//!
//! Invariants: a client reads of a change only after its event was sent to it; an answer to a write leaves only when the
//! quorum has it on its disks; a session has at most one connection here; nothing that a client sends makes this room
//! panic, or allocate beyond the input buffer without a grant.
//! Called by `node`; `codec`, `errors` and `digest` also by the command line.

pub mod errors;
pub mod codec;
mod connection;
mod deliver;
mod handlers;
mod handshake;
mod serve;
mod settings;
mod stats;
mod watches;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

pub use handlers::digest;
pub use settings::Settings;
pub use stats::{Latency, ServerStats, Stats};

use connection::{Connection, Stage};
use watches::{Fired, Watches};

use crate::effect::{Effect, Effects};
use crate::engine::{Completion, Engine, Protocol, Waiter};
use crate::limits::ZOOKEEPER_CONNECT_TIMEOUT_MS;
use crate::memory::{Account, Accounts};
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, SessionId, Timers};

/// The machine of all ZooKeeper connections.
#[derive(Debug)]
pub struct ZooKeeperDoor {
    /// By index of the connection; the generation is in the connection.
    connections: Vec<Option<Box<Connection>>>,
    shared: Shared,
    per_address: BTreeMap<IpAddr, u32>,
    /// When a connection without a session, or in the middle of a large frame, is looked at.
    patience: Timers<ConnId>,
    /// There has been a connection: from then on the engine tells its events.
    is_watching: bool,
    /// Whether there was a quorum at the end of the last turn.
    had_quorum: bool,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// For frames beyond the input buffer, and for reads that wait.
    requests: Account,
    /// For large replies.
    responses: Account,
    watches: Watches,
    /// The connection of each session that has one here.
    attached: BTreeMap<SessionId, ConnId>,
    /// Connections that have something to do when the turn ends.
    listed: Vec<ConnId>,
    /// Connections that wait for memory for a large frame, in their order.
    wanting: Vec<ConnId>,
    /// For replies and for events that stand before them.
    out: Vec<u8>,
    events: Vec<u8>,
    fired: Vec<Fired>,
    stats: ServerStats,
    /// What `stmk` has set, for `gtmk` alone: there are no traces.
    trace_mask: i64,
}

impl ZooKeeperDoor {
    /// A door without connections.
    pub fn new(settings: Settings, accounts: &Accounts) -> ZooKeeperDoor {
        let shared = Shared {
            settings,
            requests: accounts.kafka_requests.clone(),
            responses: accounts.responses.clone(),
            watches: Watches::new(accounts.watches.clone()),
            attached: BTreeMap::new(),
            listed: Vec::new(),
            wanting: Vec::new(),
            out: Vec::new(),
            events: Vec::new(),
            fired: Vec::new(),
            stats: ServerStats::default(),
            trace_mask: words::TRACE_MASK,
        };
        ZooKeeperDoor {
            connections: Vec::new(),
            shared,
            per_address: BTreeMap::new(),
            patience: Timers::default(),
            is_watching: false,
            had_quorum: true,
        }
    }

    /// Takes the connection out of the table, to be put back by `put`.
    fn take(&mut self, conn: ConnId) -> Option<Box<Connection>> {
        self.connections.get_mut(conn.index as usize)?.take_if(|connection| connection.id == conn)
    }

    /// Puts a connection back, and has it read again when it may be.
    fn put(&mut self, now: Now, mut connection: Box<Connection>, fx: &mut Effects) {
        let is_paused = connection.read_limit() == 0;
        if connection.is_paused && !is_paused {
            fx.push(Effect::Resume { conn: connection.id });
        }
        connection.is_paused = is_paused;
        if connection.stage == Stage::Open && connection.input_grant.bytes() == 0 {
            self.patience.cancel(connection.id);
        } else if connection.input_grant.bytes() > 0 {
            self.patience.set(connection.id, now.mono.plus_millis(crate::limits::ZOOKEEPER_STALLED_MS_MAX));
        }
        if let Some(place) = self.connections.get_mut(connection.id.index as usize) {
            *place = Some(connection);
        }
    }

    fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(conn.index as usize)?.as_deref().filter(|connection| connection.id == conn)
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(conn.index as usize)?.as_deref_mut().filter(|connection| connection.id == conn)
    }

    /// Connections that are open, in no order.
    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten().map(|connection| &**connection)
    }

    /// Every client comes again: to this node or to another.
    fn close_all(&mut self, fx: &mut Effects) {
        for connection in self.connections.iter_mut().flatten().filter(|open| open.stage != Stage::Closing) {
            connection.stage = Stage::Closing;
            fx.close(connection.id);
        }
    }

    /// Ends a connection without a further word.
    fn close(&mut self, conn: ConnId, fx: &mut Effects) {
        if let Some(connection) = self.get_mut(conn)
            && connection.stage != Stage::Closing
        {
            connection.stage = Stage::Closing;
            fx.close(conn);
        }
    }

    /// Serves a connection: its queue, then what it has sent.
    fn serve(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects) {
        let Some(mut connection) = self.take(conn) else { return };
        let displaced = self.shared.serve(now, &mut connection, engine, fx);
        self.put(now, connection, fx);
        if let Some(displaced) = displaced {
            self.close(displaced, fx);
        }
    }

    /// Without a quorum nobody is served but those who asked for no more than reads, and with one again not they: all
    /// of them come again and learn how it is now.
    fn follow_quorum(&mut self, engine: &Engine, fx: &mut Effects) {
        let has_quorum = engine.has_quorum();
        if std::mem::replace(&mut self.had_quorum, has_quorum) == has_quorum {
            return;
        }
        let is_wrong = |connection: &&Connection| {
            let has_session = matches!(connection.stage, Stage::Open | Stage::Opening { .. });
            has_session && connection.is_read_only == has_quorum
        };
        let wrong: Vec<ConnId> = self.connections().filter(is_wrong).map(|connection| connection.id).collect();
        wrong.into_iter().for_each(|conn| self.close(conn, fx));
    }

    /// Everything that was left for the turn's end.
    fn serve_listed(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        self.shared.grant_wanted(&mut self.connections, fx);
        for conn in std::mem::take(&mut self.shared.listed) {
            if let Some(connection) = self.get_mut(conn) {
                connection.is_listed = false;
                self.serve(now, conn, engine, fx);
            }
        }
    }
}

impl Protocol for ZooKeeperDoor {
    fn accepted(&mut self, now: Now, conn: ConnId, _listener: u8, peer: SocketAddr, fx: &mut Effects) {
        let address = peer.ip().to_canonical();
        let count = self.per_address.entry(address).or_default();
        if self.shared.settings.connections_per_address_max.is_some_and(|max| *count >= max) {
            METRICS.zookeeper.connections_refused.inc();
            return fx.close(conn);
        }
        *count += 1;
        METRICS.zookeeper.connections.add(1);
        if self.connections.len() <= conn.index as usize {
            self.connections.resize_with(conn.index as usize + 1, || None);
        }
        if let Some(place) = self.connections.get_mut(conn.index as usize) {
            *place = Some(Box::new(Connection::new(conn, peer, now.mono)));
        }
        self.patience.set(conn, now.mono.plus_millis(ZOOKEEPER_CONNECT_TIMEOUT_MS));
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects) {
        if !std::mem::replace(&mut self.is_watching, true) {
            engine.set_znode_events(true);
        }
        METRICS.zookeeper.bytes_in.add(data.len() as u64);
        let Some(connection) = self.get_mut(conn) else { return };
        connection.heard_at = now.mono;
        connection.input.extend_from_slice(data);
        if connection.stage == Stage::New && self.answer_word(now, conn, engine, fx) {
            return;
        }
        self.serve(now, conn, engine, fx);
    }

    fn read_limit(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, Connection::read_limit)
    }

    fn complete(&mut self, now: Now, waiter: Waiter, completion: Completion, engine: &mut Engine, fx: &mut Effects) {
        if let Completion::MonitorAsked { command, asker } = completion {
            let answer = self.answer_command(now, &command, engine);
            return engine.answer_monitor(asker, answer);
        }
        self.completed(now, waiter, completion, engine, fx);
    }

    fn drained(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects) {
        if let Some(connection) = self.get_mut(conn) {
            connection.unsent_bytes = 0;
            self.serve(now, conn, engine, fx);
        }
    }

    fn closed(&mut self, _now: Now, conn: ConnId, _engine: &mut Engine, _fx: &mut Effects) {
        let Some(connection) = self.take(conn) else { return };
        METRICS.zookeeper.connections.add(-1);
        self.patience.cancel(conn);
        self.shared.watches.drop_connection(conn);
        if self.shared.attached.get(&connection.session) == Some(&conn) {
            self.shared.attached.remove(&connection.session);
        }
        let address = connection.peer.ip().to_canonical();
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
    }

    fn turn_end(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        self.deliver_events(engine.last_zxid(), engine, fx);
        self.follow_quorum(engine, fx);
        self.serve_listed(now, engine, fx);
    }

    fn on_time(&mut self, now: Now, _engine: &mut Engine, fx: &mut Effects) {
        while let Some(conn) = self.patience.expired(now.mono) {
            let is_wanted = !self.shared.wanting.is_empty();
            match self.get(conn) {
                Some(connection) if connection.stage == Stage::New => self.close(conn, fx),
                Some(connection) if connection.input_grant.bytes() > 0 && is_wanted => self.close(conn, fx),
                _ => {}
            }
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.patience.next()
    }
}
