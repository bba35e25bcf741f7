//! The door's clockwork: bytes to packets, packets that wait, what a turn's end sends, deadlines.
//!
//! Back-pressure: a packet that cannot be taken stays at the front of its connection's input, the connection stops being
//! read when its input is full, and its turn comes again, first come first served, at each turn's end. PINGREQs behind
//! such a packet are answered, and its keep-alive stands still.

use super::backend::Backend;
use super::codec::{self, Header, PINGRESP, PacketType};
use super::connection::{Block, Connection, Large, Phase};
use super::errors::Reason;
use super::{End, MqttDoor, Outcome};
use crate::effect::{Effect, Effects};
use crate::engine::{Completion, Waiter};
use crate::limits::{
    MQTT_CONNECT_TIMEOUT_MILLIS, MQTT_RETRY_MILLIS, MQTT_STALL_CHECK_MILLIS, MQTT_STALLED_PACKET_MILLIS_MAX,
};
use crate::metrics::METRICS;
use crate::types::{ConnId, Now};

/// Connections that are offered again in one turn although memory has no room for them.
const BUSY_RETRIES: usize = 16;

impl MqttDoor {
    pub(super) fn on_accepted(&mut self, now: Now, conn: ConnId) {
        let index = conn.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.put(Box::new(Connection::new(conn, now.mono)));
        METRICS.mqtt.connections.add(1);
        self.timers.set(conn, now.mono.plus_millis(MQTT_CONNECT_TIMEOUT_MILLIS));
    }

    pub(super) fn on_bytes(
        &mut self,
        now: Now,
        conn: ConnId,
        data: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) {
        let Some(mut connection) = self.take(conn) else { return };
        connection.last_heard = now.mono;
        self.stats.bytes_in += data.len() as u64;
        if connection.phase == Phase::Closing {
            // The rest of what a client sends after its end.
        } else if connection.block.is_some() {
            connection.input.extend(data);
            for _ in 0..connection.input.take_pings(self.settings.packet_bytes_max) {
                self.reply(conn, &PINGRESP, fx);
            }
        } else if connection.input.bytes.is_empty() {
            let used = self.consume(now, &mut connection, data, backend, fx);
            connection.input.extend(data.get(used..).unwrap_or_default());
            self.look_for_large(now, &mut connection);
        } else {
            connection.input.extend(data);
            self.consume_input(now, &mut connection, backend, fx);
        }
        self.put(connection);
    }

    /// Handles the packets in the connection's input.
    fn consume_input(&mut self, now: Now, connection: &mut Connection, backend: &mut impl Backend, fx: &mut Effects) {
        let bytes = std::mem::take(&mut connection.input.bytes);
        let used = self.consume(now, connection, &bytes, backend, fx);
        if connection.phase != Phase::Closing {
            connection.input.bytes = bytes;
            connection.input.consume(used);
            self.look_for_large(now, connection);
        }
    }

    /// Handles packets from the front of `bytes` until one is incomplete, cannot be taken, or ends the connection.
    /// Returns how many bytes need not be kept.
    fn consume(
        &mut self,
        now: Now,
        connection: &mut Connection,
        bytes: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> usize {
        let mut position = 0;
        while let Some(rest) = bytes.get(position..) {
            let header = match codec::header(rest, self.settings.packet_bytes_max) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(reason) => {
                    self.end(now, connection, End::Because(reason), backend, fx);
                    break;
                }
            };
            // Nothing is buffered for a peer that does not even begin like a client.
            if connection.phase == Phase::Connecting && header.packet != PacketType::Connect {
                self.end(now, connection, End::Silent, backend, fx);
                break;
            }
            let Some(packet) = rest.get(..header.total_bytes()) else { break };
            match self.handle(now, connection, &header, packet, backend, fx) {
                Outcome::Next => position += packet.len(),
                Outcome::Blocked(block) => {
                    self.block(now, connection, block);
                    break;
                }
                Outcome::End(end) => {
                    self.end(now, connection, end, backend, fx);
                    break;
                }
            }
        }
        connection.route.trim();
        if connection.phase == Phase::Closing { bytes.len() } else { position }
    }

    fn handle(
        &mut self,
        now: Now,
        connection: &mut Connection,
        header: &Header,
        packet: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Outcome {
        self.stats.packets += 1;
        let body = packet.get(header.header_bytes..).unwrap_or_default();
        match header.packet {
            PacketType::Publish => self.publish(now, connection, header, body, backend, fx),
            PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
                self.client_ack(connection, header.packet, body, fx)
            }
            PacketType::PingReq => {
                self.reply(connection.id, &PINGRESP, fx);
                Outcome::Next
            }
            PacketType::Subscribe => self.subscribe(now, connection, header, packet, backend, fx),
            PacketType::Unsubscribe => self.unsubscribe(connection, header, packet, backend, fx),
            PacketType::Connect => self.connect(now, connection, body, backend, fx),
            PacketType::Disconnect => match codec::read_disconnect(packet, header.header_bytes, connection.version) {
                Ok(()) => Outcome::End(End::Silent),
                Err(reason) => Outcome::End(End::Because(reason)),
            },
            // Enhanced authentication was refused at CONNECT.
            PacketType::Auth => Outcome::End(End::Because(Reason::ProtocolError)),
        }
    }

    fn block(&mut self, now: Now, connection: &mut Connection, block: Block) {
        connection.block = Some(block);
        self.blocked.push_back(connection.id);
        self.stats.pauses += 1;
        if block == Block::Later {
            self.retry_at.get_or_insert(now.mono.plus_millis(MQTT_RETRY_MILLIS));
        }
    }

    /// Asks for the buffer of a large packet whose first bytes are there.
    fn look_for_large(&mut self, now: Now, connection: &mut Connection) {
        if connection.block.is_some() || connection.phase == Phase::Closing {
            return;
        }
        let Some(total_bytes) = connection.input.large_packet_bytes(self.settings.packet_bytes_max) else { return };
        match self.settings.packets.take(total_bytes) {
            Some(grant) if self.waiting.is_empty() => connection.input.grow(total_bytes, grant),
            _ => {
                self.stats.pauses += 1;
                connection.input.large = Large::Waiting;
                self.waiting.push_back(connection.id);
                self.stall_check_at.get_or_insert(now.mono.plus_millis(MQTT_STALL_CHECK_MILLIS));
            }
        }
    }

    pub(super) fn on_completion(&mut self, now: Now, waiter: Waiter, completion: Completion) {
        self.is_turn_wanted = true;
        match completion {
            Completion::Appended(result) => self.on_appended(waiter.conn, waiter.slot, result.map(|_| ())),
            Completion::Topics(results) => self.on_topics(now, waiter.conn, &results),
            Completion::Tail { topic, batches, .. } => self.on_tail(&topic, &batches),
            _ => {}
        }
    }

    pub(super) fn on_drained(&mut self, conn: ConnId) {
        let account = self.settings.output.clone();
        let outgoing = self.get_mut(conn).and_then(|connection| connection.outgoing.as_mut());
        let Some(outgoing) = outgoing else { return };
        outgoing.drained(&account);
        if outgoing.has_output() {
            self.writers.push(conn);
        }
    }

    pub(super) fn on_closed(&mut self, conn: ConnId, backend: &mut impl Backend) {
        if let Some(mut connection) = self.take(conn) {
            self.release(&mut connection, backend);
            METRICS.mqtt.connections.add(-1);
        }
    }

    pub(super) fn on_turn_end(&mut self, now: Now, backend: &mut impl Backend, fx: &mut Effects) {
        self.is_turn_wanted = false;
        self.flush_acks(now, backend, fx);
        self.grant_large(now, fx);
        self.retry_blocked(now, backend, fx);
        self.flush_acks(now, backend, fx);
        self.flush_writers(fx);
        self.tell_metrics();
    }

    /// Sends a copy of `bytes`.
    pub(super) fn reply(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        self.stats.bytes_out += bytes.len() as u64;
        fx.send_copy(conn, bytes);
    }

    /// Sends what a codec wrote to `scratch.bytes`.
    pub(super) fn reply_scratch(&mut self, conn: ConnId, fx: &mut Effects) {
        self.stats.bytes_out += self.scratch.bytes.len() as u64;
        fx.send_copy(conn, &self.scratch.bytes);
    }

    /// Sends the acknowledgements that are ready, one send for each connection.
    fn flush_acks(&mut self, now: Now, backend: &mut impl Backend, fx: &mut Effects) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let Some(mut connection) = self.take(conn) else { continue };
            connection.is_dirty = false;
            if let Err(reason) = self.send_acks(&mut connection, fx) {
                self.end(now, &mut connection, End::Because(reason), backend, fx);
            }
            self.put(connection);
        }
        self.dirty = dirty; // keeps its capacity; nothing has been added: ending a connection makes no acknowledgements
    }

    /// Hands freed buffers to those who wait, in order.
    fn grant_large(&mut self, now: Now, fx: &mut Effects) {
        while let Some(&conn) = self.waiting.front() {
            let (account, packet_bytes_max) = (self.settings.packets.clone(), self.settings.packet_bytes_max);
            if let Some(connection) = self.get_mut(conn)
                && matches!(connection.input.large, Large::Waiting)
            {
                connection.input.large = Large::No;
                if let Some(total_bytes) = connection.input.large_packet_bytes(packet_bytes_max) {
                    let Some(grant) = account.take(total_bytes) else {
                        connection.input.large = Large::Waiting;
                        return;
                    };
                    connection.input.grow(total_bytes, grant);
                }
                connection.last_heard = now.mono;
                fx.push(Effect::Resume { conn });
            }
            self.waiting.pop_front();
        }
    }

    /// Offers the packets that wait again. Where memory has no room for several, those behind them have their turn in the
    /// next one: a partition that nobody leads has less of it than others, so that room is not for all or none.
    fn retry_blocked(&mut self, now: Now, backend: &mut impl Backend, fx: &mut Effects) {
        let mut patience = BUSY_RETRIES;
        for _ in 0..self.blocked.len() {
            let Some(conn) = self.blocked.pop_front() else { return };
            let Some(mut connection) = self.take(conn) else { continue };
            let blocked_by = connection.block;
            let wait = match blocked_by {
                None => false,
                Some(Block::Later) => self.retry_at.is_some(),
                Some(Block::Topic) => true,
                Some(Block::Busy | Block::Window | Block::FirstAttempt) => false,
            };
            if wait {
                self.blocked.push_back(conn);
            } else if blocked_by.is_some() {
                self.retry(now, &mut connection, backend, fx);
            }
            let still_busy = blocked_by == Some(Block::Busy) && connection.block == Some(Block::Busy);
            self.put(connection);
            patience -= still_busy as usize; // it has queued at the end
            if patience == 0 {
                return;
            }
        }
    }

    fn retry(&mut self, now: Now, connection: &mut Connection, backend: &mut impl Backend, fx: &mut Effects) {
        connection.block = None;
        connection.last_heard = now.mono;
        self.consume_input(now, connection, backend, fx);
        fx.push(Effect::Resume { conn: connection.id });
    }

    /// Sends what this turn has written for subscribers.
    fn flush_writers(&mut self, fx: &mut Effects) {
        let account = self.settings.output.clone();
        let mut writers = std::mem::take(&mut self.writers);
        let mut bytes_out = 0;
        writers.retain(|&conn| {
            let outgoing = self.get_mut(conn).and_then(|connection| connection.outgoing.as_mut());
            let Some(outgoing) = outgoing else { return false };
            if outgoing.is_starved() {
                outgoing.pump(&account);
            }
            bytes_out += outgoing.flush(conn, fx);
            outgoing.is_starved()
        });
        self.writers = writers;
        self.stats.bytes_out += bytes_out as u64;
    }

    pub(super) fn on_deadline(&mut self, now: Now, backend: &mut impl Backend, fx: &mut Effects) {
        while let Some(conn) = self.timers.expired(now.mono) {
            if let Some(mut connection) = self.take(conn) {
                self.on_silence(now, &mut connection, backend, fx);
                self.put(connection);
            }
        }
        if self.retry_at.is_some_and(|at| at <= now.mono) {
            self.retry_at = None; // the turn's end does the rest
        }
        if self.stall_check_at.is_some_and(|at| at <= now.mono) {
            self.end_stalled(now, backend, fx);
            let again = !self.waiting.is_empty();
            self.stall_check_at = again.then(|| now.mono.plus_millis(MQTT_STALL_CHECK_MILLIS));
        }
        self.publish_sys(now);
    }

    /// The connect timeout or the keep-alive may be over.
    fn on_silence(&mut self, now: Now, connection: &mut Connection, backend: &mut impl Backend, fx: &mut Effects) {
        match (connection.phase, connection.silence_max) {
            (Phase::Closing, _) | (Phase::Open, None) => {}
            (Phase::Connecting, _) => self.end(now, connection, End::Silent, backend, fx),
            (Phase::Open, Some(silence_max)) => {
                let heard = if connection.is_paused() { now.mono } else { connection.last_heard };
                let deadline = heard.plus(silence_max);
                if deadline > now.mono {
                    self.timers.set(connection.id, deadline);
                } else {
                    self.end(now, connection, End::Because(Reason::KeepAliveTimeout), backend, fx);
                }
            }
        }
    }

    /// Ends connections that hold the buffer of a large packet and do not fill it, while others wait for one.
    fn end_stalled(&mut self, now: Now, backend: &mut impl Backend, fx: &mut Effects) {
        let since = |connection: &Connection| now.mono.since(connection.last_heard).as_millis() as u64;
        let is_stalled = |connection: &Connection| {
            matches!(connection.input.large, Large::Granted { .. })
                && connection.block.is_none()
                && since(connection) >= MQTT_STALLED_PACKET_MILLIS_MAX
        };
        let stalled: Vec<ConnId> = match self.waiting.is_empty() {
            true => Vec::new(),
            false => {
                let all = self.connections.iter().flatten();
                all.filter(|connection| is_stalled(connection)).map(|connection| connection.id).collect()
            }
        };
        for conn in stalled {
            if let Some(mut connection) = self.take(conn) {
                self.end(now, &mut connection, End::Because(Reason::QuotaExceeded), backend, fx);
                self.put(connection);
            }
        }
    }
}
