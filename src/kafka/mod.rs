//! The Kafka door: the wire protocol of Kafka's clients, served from the engine.
//!
//! ```text
//! bytes ──> inbox (frames) ──> serve (turn, memory) ──> handlers/ ──> engine
//!                                                          │            │ completions
//!                                      replies in order <──┴────────────┘
//! ```
//!
//! `codec` turns bytes into borrowed messages and back, `errors` names the protocol's error codes, `inbox` cuts a
//! socket's bytes into frames, `admission` decides who gets memory and whose turn it is, `handlers` answer.
//!
//! Invariants: nothing that a client sends makes this room panic or allocate beyond the input buffer without a grant; a
//! client that waits for memory is not read and is woken in its turn; a frame that is no request closes its connection,
//! with at most one line of diagnostics a second.
//! Called by `node`.

pub mod errors;
pub mod codec;
mod admission;
mod connection;
mod fetch_session;
mod handlers;
mod inbox;
mod quotas;
mod schedule;
mod serve;
mod settings;

use std::net::SocketAddr;
use std::time::Duration;

pub use settings::{ListenerSettings, Settings};

use admission::{Admission, Purpose};
use connection::Connection;
use fetch_session::FetchSessions;
use quotas::Quotas;
use schedule::Schedule;

use crate::effect::{Effect, Effects};
use crate::engine::{Completion, Diagnostics, Engine, Protocol, Waiter};
use crate::limits::{
    KAFKA_FETCH_SESSION_PARTITIONS_MAX, KAFKA_PATROL_MS, KAFKA_REPLY_COPIED_BYTES_MAX, KAFKA_UNSENT_MS_MAX,
};
use crate::memory::Account;
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, Rng, Timers};

/// The machine of all Kafka connections.
#[derive(Debug)]
pub struct KafkaDoor {
    /// By index of the connection; the generation is in the connection.
    connections: Vec<Option<Box<Connection>>>,
    shared: Shared,
    /// When a silent connection is looked at.
    idle: Timers<ConnId>,
    /// When those who hold memory are looked at, because others wait for it.
    patrol_at: Option<Instant>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    admission: Admission,
    sessions: FetchSessions,
    rng: Rng,
    schedule: Schedule,
    quotas: Quotas,
    scratch: Vec<u8>,
    diagnostics: Diagnostics,
}

impl KafkaDoor {
    /// A door without connections. Frames and batches draw on `requests`, replies and records on `responses`.
    pub fn new(mut settings: Settings, requests: Account, responses: Account, rng: Rng) -> KafkaDoor {
        let admission = Admission::new(requests, responses);
        settings.request_bytes_max = settings.request_bytes_max.min(admission.limit_bytes(Purpose::FirstFrame));
        settings.fetch_bytes_max = settings.fetch_bytes_max.min(admission.limit_bytes(Purpose::Data));
        let sessions = FetchSessions::new(settings.fetch_sessions_max, KAFKA_FETCH_SESSION_PARTITIONS_MAX);
        let shared = Shared {
            settings,
            admission,
            sessions,
            rng,
            schedule: Schedule::default(),
            quotas: Quotas::default(),
            scratch: Vec::with_capacity(KAFKA_REPLY_COPIED_BYTES_MAX),
            diagnostics: Diagnostics::default(),
        };
        KafkaDoor { connections: Vec::new(), shared, idle: Timers::default(), patrol_at: None }
    }

    /// Takes the connection out of the table, to be put back by `put`.
    fn take(&mut self, conn: ConnId) -> Option<Box<Connection>> {
        self.connections.get_mut(conn.index as usize)?.take_if(|connection| connection.id == conn)
    }

    /// Puts a connection back, and has it read again when it may be.
    fn put(&mut self, mut connection: Box<Connection>, fx: &mut Effects) {
        let is_paused = connection.read_limit() == 0;
        if connection.is_paused && !is_paused {
            fx.push(Effect::Resume { conn: connection.id });
        }
        connection.is_paused = is_paused;
        if let Some(place) = self.connections.get_mut(connection.id.index as usize) {
            *place = Some(connection);
        }
    }

    /// So much of the thread's time went to what a connection had sent.
    pub fn spent(&mut self, now: Now, conn: ConnId, time: Duration) {
        if let Some(limit) = self.get(conn).and_then(|connection| connection.limits.request) {
            self.shared.quotas.charge(now, Some(limit), time.as_secs_f64());
        }
    }

    fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(conn.index as usize)?.as_deref().filter(|connection| connection.id == conn)
    }

    /// Wakes what a connection is waiting for, and goes on with what lies behind it.
    fn wake(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects) {
        let Some(mut connection) = self.take(conn) else { return };
        self.shared.wake(now, &mut connection, engine, fx);
        self.put(connection, fx);
    }

    /// Serves those who wait for memory, in their order, until there is none.
    fn serve_waiting(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        for purpose in Purpose::ALL {
            while let Some(conn) = self.shared.admission.begin_turn(purpose) {
                self.wake(now, conn, engine, fx);
                if self.shared.admission.end_turn(purpose) {
                    break;
                }
            }
        }
        self.patrol_at = match (self.shared.admission.anyone_waits(), self.patrol_at) {
            (false, _) => None,
            (true, None) => Some(now.mono.plus_millis(KAFKA_PATROL_MS)),
            (true, at) => at,
        };
    }

    /// Closes those who hold memory without moving while others wait for it.
    fn patrol(&mut self, now: Now, fx: &mut Effects) {
        self.patrol_at = Some(now.mono.plus_millis(KAFKA_PATROL_MS));
        for connection in self.connections.iter_mut().flatten() {
            // One that is not read for its quota's sake sends nothing by our will.
            let sends_nothing = !connection.is_muted(now.mono) && connection.inbox.is_stalled(now.mono);
            let reads_nothing =
                connection.unsent_since.is_some_and(|since| now.mono >= since.plus_millis(KAFKA_UNSENT_MS_MAX));
            if sends_nothing || reads_nothing {
                let what = if sends_nothing { "sends half a request" } else { "does not read its response" };
                self.shared.refuse(now.mono, connection, &what, fx);
            }
        }
    }

    fn look_at_idle(&mut self, now: Now, fx: &mut Effects) {
        let Some(idle_ms_max) = self.shared.settings.idle_ms_max else { return };
        while let Some(conn) = self.idle.expired(now.mono) {
            let waits = self.shared.admission.waits(conn);
            let Some(connection) = self.connections.get_mut(conn.index as usize).and_then(Option::as_mut) else {
                continue;
            };
            if connection.id != conn || connection.is_closing {
                continue;
            }
            if connection.is_busy() || connection.is_muted(now.mono) || waits {
                connection.active_at = now.mono;
            }
            let due = connection.active_at.plus_millis(idle_ms_max);
            if now.mono >= due {
                connection.is_closing = true;
                fx.close(conn);
            } else {
                self.idle.set(conn, due);
            }
        }
    }
}

impl Protocol for KafkaDoor {
    fn accepted(&mut self, now: Now, conn: ConnId, listener: u8, peer: SocketAddr, _fx: &mut Effects) {
        METRICS.kafka.connections.add(1);
        let index = conn.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        if let Some(place) = self.connections.get_mut(index) {
            *place = Some(Box::new(Connection::new(conn, listener, peer.ip(), now.mono)));
        }
        if let Some(idle_ms_max) = self.shared.settings.idle_ms_max {
            self.idle.set(conn, now.mono.plus_millis(idle_ms_max));
        }
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects) {
        let Some(mut connection) = self.take(conn) else { return };
        connection.active_at = now.mono;
        METRICS.kafka.bytes_in.add(data.len() as u64);
        self.shared.serve(now, &mut connection, data, engine, fx);
        self.put(connection, fx);
    }

    fn read_limit(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, Connection::read_limit)
    }

    fn complete(&mut self, now: Now, waiter: Waiter, completion: Completion, engine: &mut Engine, fx: &mut Effects) {
        let Some(mut connection) = self.take(waiter.conn) else { return };
        self.shared.complete(now, &mut connection, waiter.slot, completion, engine, fx);
        self.put(connection, fx);
    }

    fn drained(&mut self, now: Now, conn: ConnId, engine: &mut Engine, fx: &mut Effects) {
        let Some(mut connection) = self.take(conn) else { return };
        connection.active_at = now.mono;
        if connection.unsent_since.take().is_some() {
            self.shared.serve(now, &mut connection, &[], engine, fx);
        }
        self.put(connection, fx);
    }

    fn closed(&mut self, _now: Now, conn: ConnId, _engine: &mut Engine, _fx: &mut Effects) {
        if self.take(conn).is_some() {
            METRICS.kafka.connections.add(-1);
            self.idle.cancel(conn);
            self.shared.admission.forget(conn);
            self.shared.schedule.forget(conn);
        }
    }

    fn turn_end(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        for conn in std::mem::take(&mut self.shared.schedule.turn_end) {
            self.wake(now, conn, engine, fx);
        }
        if self.shared.admission.anyone_waits() || self.patrol_at.is_some() {
            self.serve_waiting(now, engine, fx);
        }
    }

    fn on_time(&mut self, now: Now, engine: &mut Engine, fx: &mut Effects) {
        while let Some(conn) = self.shared.schedule.wakes.expired(now.mono) {
            self.wake(now, conn, engine, fx);
        }
        if self.patrol_at.is_some_and(|at| now.mono >= at) {
            self.patrol(now, fx);
        }
        self.look_at_idle(now, fx);
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        [self.shared.schedule.wakes.next(), self.idle.next(), self.patrol_at].into_iter().flatten().min()
    }
}
