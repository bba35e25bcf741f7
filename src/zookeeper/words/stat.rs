//! `srvr`, `stat` and `cons`: the server and its connections.

use std::fmt::{Result, Write};

use super::json::Json;
use super::{Around, decimal, version};
use crate::types::{Instant, Timestamp};
use crate::zookeeper::connection::{Connection, Stage};

impl Around<'_> {
    /// `stat` is `srvr` with a line for each client.
    pub(super) fn srvr(&self, has_clients: bool, out: &mut dyn Write) -> Result {
        writeln!(out, "Zookeeper version: {}", version())?;
        if has_clients {
            writeln!(out, "Clients:")?;
            for connection in self.door.connections() {
                self.client(connection, out)?;
                writeln!(out, ")")?;
            }
            writeln!(out)?;
        }
        let (latency, stats) = (self.latency(), &self.door.shared.stats);
        let average = decimal(latency.average_ms());
        writeln!(out, "Latency min/avg/max: {}/{average}/{}", latency.min_ms, latency.max_ms)?;
        writeln!(out, "Received: {}\nSent: {}", stats.received, stats.sent)?;
        writeln!(out, "Connections: {}\nOutstanding: {}", self.door.connections().count(), self.outstanding())?;
        writeln!(out, "Zxid: 0x{:x}\nMode: {}", self.engine.last_zxid().0, self.mode())?;
        if self.mode() == "leader" {
            writeln!(out, "Proposal sizes last/min/max: -1/-1/-1")?;
        }
        writeln!(out, "Node count: {}", self.engine.tree().node_count())
    }

    pub(super) fn cons(&self, out: &mut dyn Write) -> Result {
        for connection in self.door.connections() {
            self.client(connection, out)?;
            if connection.stage == Stage::Open {
                let stats = &connection.stats;
                write!(out, ",sid=0x{:x},lop={}", connection.session.0, stats.last_op)?;
                write!(out, ",est={},to={}", self.wall(stats.established).0, connection.timeout_ms)?;
                write!(out, ",lcxid=0x{:x},lzxid=0x{:x}", stats.last_xid, stats.last_zxid.0)?;
                write!(out, ",lresp={},llat={}", millis(stats.last_response), stats.last_latency_ms)?;
                let latency = &stats.latency;
                write!(out, ",minlat={},avglat={}", latency.min_ms, latency.average_ms() as u64)?;
                write!(out, ",maxlat={}", latency.max_ms)?;
            }
            writeln!(out, ")")?;
        }
        writeln!(out)
    }

    /// One connection, its bracket left open.
    fn client(&self, connection: &Connection, out: &mut dyn Write) -> Result {
        let is_read = (connection.read_limit() > 0) as u8;
        let (queued, stats) = (connection.outstanding(), &connection.stats);
        write!(out, " /{}[{is_read}](queued={queued},recved={},sent={}", connection.peer, stats.received, stats.sent)
    }

    /// The list under `connections`.
    pub(super) fn connections(&self, is_brief: bool, object: &mut Json<'_>) -> Result {
        let mut list = object.list("connections")?;
        for connection in self.door.connections() {
            let stats = &connection.stats;
            let mut item = list.object_item()?;
            item.text("remote_socket_address", &connection.peer.to_string())?;
            item.plain("interest_ops", (connection.read_limit() > 0) as u8)?;
            item.plain("outstanding_requests", connection.outstanding())?;
            item.plain("packets_received", stats.received)?;
            item.plain("packets_sent", stats.sent)?;
            if !is_brief && connection.stage == Stage::Open {
                item.plain("session_id", connection.session.0)?;
                item.text("last_operation", stats.last_op)?;
                item.plain("established", self.wall(stats.established).0)?;
                item.plain("session_timeout", connection.timeout_ms)?;
                item.plain("last_cxid", stats.last_xid)?;
                item.plain("last_zxid", stats.last_zxid.0)?;
                item.plain("last_response_time", millis(stats.last_response))?;
                item.plain("last_latency", stats.last_latency_ms)?;
                item.plain("min_latency", stats.latency.min_ms)?;
                item.plain("avg_latency", stats.latency.average_ms() as u64)?;
                item.plain("max_latency", stats.latency.max_ms)?;
            }
            item.end()?;
        }
        list.end()?;
        object.list("secure_connections")?.end()
    }

    /// What wall time it was, or will be, by the clock of now.
    pub(super) fn wall(&self, at: Instant) -> Timestamp {
        let now = self.now;
        let ahead = at.since(now.mono).as_millis() as i64;
        let behind = now.mono.since(at).as_millis() as i64;
        Timestamp(now.wall.0.saturating_add(ahead).saturating_sub(behind))
    }
}

fn millis(at: Instant) -> u64 {
    at.0 / 1000
}
