//! The HTTP door: `/status`, `/metrics`, `/health`, and `/commands` of ZooKeeper's admin server, which the ZooKeeper
//! door answers. GET only, one request a connection, no framework.
//!
//! Invariants: a connection holds at most `HEAD_BYTES_MAX` bytes of a request and ends after its reply or ten seconds;
//! a reply is rendered only under a grant for its exact length. Called by the node alone.

mod codec;
mod handlers;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::effect::Effects;
use crate::engine::{Completion, Door, Engine, Protocol, Waiter};
use crate::memory::{Account, Table};
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, Offset, PartitionIndex, Timers};
use codec::{HEAD_BYTES_MAX, Request, Status};
use handlers::Page;
use view::{GroupView, View};

/// How long a client may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 32;

/// What a page may grow between its two renderings.
const GROWTH_BYTES: usize = 1024;

/// All connections of the door.
#[derive(Debug)]
pub struct HttpDoor {
    table: Table,
    responses: Account,
    connections: BTreeMap<ConnId, Connection>,
    deadlines: Timers<ConnId>,
}

/// One socket.
#[derive(Debug, Default)]
struct Connection {
    head: Vec<u8>,
    is_answered: bool,
    /// It waits for a page of the ZooKeeper door.
    is_asking: bool,
}

/// Learns a page's length without keeping it.
#[derive(Default)]
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl HttpDoor {
    /// A door that shows `table` and renders under `responses`.
    pub fn new(table: Table, responses: Account) -> HttpDoor {
        HttpDoor { table, responses, connections: BTreeMap::new(), deadlines: Timers::default() }
    }

    fn answer(&self, now: Now, conn: ConnId, head: &[u8], engine: &Engine, fx: &mut Effects) {
        let partition = |topic: &str, index| engine.partition_view(engine.partition(topic, index)?);
        let groups = |take: &mut dyn FnMut(&GroupView<'_>)| {
            for group in engine.groups().0 {
                let committed = |each: &mut dyn FnMut(&str, PartitionIndex, Offset)| {
                    let of_topics = group.offsets().topics();
                    of_topics.for_each(|(topic, of)| of.iter().for_each(|(index, at)| each(topic, *index, at.offset)));
                };
                take(&GroupView { name: group.name(), members: group.members().len(), committed: &committed });
            }
        };
        let view = View {
            now,
            node_id: engine.node_id(),
            cluster_id: engine.cluster_id(),
            board: engine.board(),
            is_ready: engine.is_ready(),
            cluster: engine.view(),
            table: &self.table,
            partition: &partition,
            groups: &groups,
        };
        match codec::parse(head) {
            Request::Get(path) => {
                METRICS.http.requests.inc();
                self.send_page(conn, &view, &handlers::page(path, &view), fx);
            }
            Request::OtherMethod => send_short(conn, Status::MethodNotAllowed, "only GET is served\n", fx),
            Request::Malformed => send_short(conn, Status::BadRequest, "this is not HTTP/1.1\n", fx),
        }
    }

    fn send_page(&self, conn: ConnId, view: &View<'_>, page: &Page, fx: &mut Effects) {
        let mut length = Length::default();
        let _ = (page.render)(view, &mut length); // neither Length nor String can fail
        // Counters of other threads may grow a digit between the two renderings.
        let Some(grant) = self.responses.take(length.0 + GROWTH_BYTES) else {
            return send_short(conn, Status::Unavailable, "no memory is free for this page now\n", fx);
        };
        let mut body = String::with_capacity(grant.bytes());
        let _ = (page.render)(view, &mut body);
        if body.len() > grant.bytes() {
            return send_short(conn, Status::Unavailable, "the page changed while it was made; ask again\n", fx);
        }
        let mut head = String::new();
        let _ = codec::write_head(&mut head, page.status, page.content, body.len());
        METRICS.http.bytes_out.add((head.len() + body.len()) as u64);
        fx.send_copy(conn, head.as_bytes());
        fx.send(conn, Bytes::from(body), grant);
    }
}

impl HttpDoor {
    /// A page of the ZooKeeper door: JSON, but for the list of commands.
    fn send_command(&self, conn: ConnId, page: Option<Bytes>, fx: &mut Effects) {
        let granted = page.and_then(|page| self.responses.take(page.len()).map(|grant| (page, grant)));
        let Some((body, grant)) = granted else {
            return send_short(conn, Status::Unavailable, "no memory is free for this page now\n", fx);
        };
        let content = if body.starts_with(b"{") { "application/json" } else { "text/html; charset=utf-8" };
        let mut head = String::new();
        let _ = codec::write_head(&mut head, Status::Ok, content, body.len());
        METRICS.http.bytes_out.add((head.len() + body.len()) as u64);
        fx.send_copy(conn, head.as_bytes());
        fx.send(conn, body, grant);
    }
}

fn send_short(conn: ConnId, status: Status, text: &str, fx: &mut Effects) {
    let mut reply = String::new();
    let _ = codec::write_head(&mut reply, status, "text/plain; charset=utf-8", text.len());
    reply.push_str(text);
    METRICS.http.bytes_out.add(reply.len() as u64);
    fx.send_copy(conn, reply.as_bytes());
}

impl Protocol for HttpDoor {
    fn accepted(&mut self, now: Now, conn: ConnId, _listener: u8, _peer: SocketAddr, fx: &mut Effects) {
        if self.connections.len() >= CONNECTIONS_MAX {
            METRICS.http.connections_refused.inc();
            return fx.close(conn);
        }
        METRICS.http.connections.add(1);
        self.connections.insert(conn, Connection::default());
        self.deadlines.set(conn, now.after(PATIENCE));
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(&conn).filter(|connection| !connection.is_answered) else {
            return;
        };
        METRICS.http.bytes_in.add(data.len() as u64);
        connection.head.extend_from_slice(data);
        match codec::head_end(&connection.head) {
            Some(_) => {
                connection.is_answered = true;
                let head = std::mem::take(&mut connection.head);
                if let Some(command) = handlers::command(&head) {
                    connection.is_asking = true;
                    METRICS.http.requests.inc();
                    return engine.ask_monitor(command, Waiter { conn, ..Waiter::door(Door::Http) });
                }
                self.answer(now, conn, &head, engine, fx);
            }
            None if connection.head.len() >= HEAD_BYTES_MAX => {
                connection.is_answered = true;
                METRICS.http.frames_refused.inc();
                send_short(conn, Status::HeadTooLarge, "the request is too long\n", fx);
            }
            None => return,
        }
        fx.close(conn);
    }

    fn read_limit(&self, conn: ConnId) -> usize {
        match self.connections.get(&conn) {
            Some(connection) if !connection.is_answered => HEAD_BYTES_MAX.saturating_sub(connection.head.len()),
            _ => 0,
        }
    }

    fn complete(&mut self, _: Now, waiter: Waiter, completion: Completion, _: &mut Engine, fx: &mut Effects) {
        let Completion::MonitorAnswered(page) = completion else { return };
        let is_asking = |connection: &mut Connection| std::mem::replace(&mut connection.is_asking, false);
        if self.connections.get_mut(&waiter.conn).is_some_and(is_asking) {
            self.send_command(waiter.conn, page, fx);
            fx.close(waiter.conn);
        }
    }

    fn drained(&mut self, _: Now, _: ConnId, _: &mut Engine, _: &mut Effects) {}

    fn closed(&mut self, _now: Now, conn: ConnId, _engine: &mut Engine, _fx: &mut Effects) {
        if self.connections.remove(&conn).is_some() {
            METRICS.http.connections.add(-1);
            self.deadlines.cancel(conn);
        }
    }

    fn turn_end(&mut self, _: Now, _: &mut Engine, _: &mut Effects) {}

    fn on_time(&mut self, now: Now, _engine: &mut Engine, fx: &mut Effects) {
        while let Some(conn) = self.deadlines.expired(now.mono) {
            fx.close(conn);
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next()
    }
}
