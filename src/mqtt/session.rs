//! CONNECT and the end: who a client is, takeover, and what is left of it.
//!
//! Accepted and ignored until their issues are built: user name and password, a session expiry above 0 (CONNACK answers
//! 0), a will without the retain flag. A will with it is refused to a version 5 client (0x9A, as the standard demands
//! of a server without retained messages).

use std::time::Duration;

use super::backend::Backend;
use super::codec::{self, Connect, ConnectRefused, Version, Welcome};
use super::connection::{Connection, Input, Phase};
use super::errors::Reason;
use super::exactly_once::client_hash;
use super::{End, MqttDoor, Outcome};
use crate::effect::Effects;
use crate::limits::{MQTT_ALIASES_MAX, MQTT_CLIENT_ID_BYTES_MAX};
use crate::metrics::METRICS;
use crate::types::Now;

impl MqttDoor {
    pub(super) fn connect(
        &mut self,
        now: Now,
        connection: &mut Connection,
        body: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Outcome {
        if connection.phase != Phase::Connecting {
            return Outcome::End(End::Because(Reason::ProtocolError));
        }
        let accepted = codec::read_connect(body).and_then(|connect| match acceptable(&connect) {
            Ok(()) => Ok(connect),
            Err(reason) => Err(ConnectRefused { version: Some(connect.version), reason }),
        });
        let connect = match accepted {
            Ok(connect) => connect,
            Err(refused) => return self.refuse(now, connection, refused, fx),
        };
        let assigned = connect.client_id.is_empty();
        let client_id = if assigned { self.new_client_id() } else { connect.client_id.clone() };
        self.take_over(now, &client_id, backend, fx);
        self.open(now, connection, &connect, &client_id);
        let welcome = Welcome {
            receive_maximum: self.settings.receive_maximum,
            packet_bytes_max: self.settings.packet_bytes_max as u32,
            topic_alias_maximum: MQTT_ALIASES_MAX as u16,
            assigned_client_id: assigned.then_some(client_id),
        };
        self.scratch.bytes.clear();
        codec::write_welcome(connection.version, welcome, &mut self.scratch.bytes);
        self.reply_scratch(connection.id, fx);
        Outcome::Next
    }

    fn refuse(&mut self, now: Now, connection: &mut Connection, refused: ConnectRefused, fx: &mut Effects) -> Outcome {
        METRICS.mqtt.frames_refused.inc();
        if let Some(suppressed) = self.diagnostics.allow(now.mono) {
            tracing::info!("an MQTT client was refused: {} ({suppressed} others not told)", refused.reason);
        }
        if let Some(version) = refused.version {
            self.scratch.bytes.clear();
            codec::write_refusal(version, refused.reason, &mut self.scratch.bytes);
            self.reply_scratch(connection.id, fx);
        }
        Outcome::End(End::Silent)
    }

    fn new_client_id(&mut self) -> String {
        format!("tern-{}-{:016x}", self.settings.node_id, self.rng.next())
    }

    /// Ends the connection that has this client id now (section 3.1.4).
    fn take_over(&mut self, now: Now, client_id: &str, backend: &mut impl Backend, fx: &mut Effects) {
        let Some(&conn) = self.clients.get(client_id) else { return };
        if let Some(mut earlier) = self.take(conn) {
            self.end(now, &mut earlier, End::Because(Reason::SessionTakenOver), backend, fx);
            self.put(earlier);
        }
    }

    fn open(&mut self, now: Now, connection: &mut Connection, connect: &Connect, client_id: &str) {
        connection.phase = Phase::Open;
        connection.version = connect.version;
        connection.is_bridge = connect.is_bridge;
        connection.client_id = client_id.into();
        connection.receive_maximum = connect.receive_maximum;
        connection.packet_bytes_max = connect.packet_bytes_max;
        connection.silence_max = match connect.keep_alive_seconds {
            0 => None,
            seconds => Some(Duration::from_millis(seconds as u64 * 1500)),
        };
        match connection.silence_max {
            Some(silence_max) => self.timers.set(connection.id, now.mono.plus(silence_max)),
            None => self.timers.cancel(connection.id),
        }
        self.clients.insert(client_id.into(), connection.id);
        self.memory.recall(client_hash(client_id), &mut connection.received);
    }

    /// Ends a connection by our hand. The socket is closed when everything sent has left.
    pub(super) fn end(
        &mut self,
        now: Now,
        connection: &mut Connection,
        end: End,
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) {
        if connection.phase == Phase::Closing {
            return;
        }
        let _ = self.send_acks(connection, fx); // a refusal among them ends the connection, as is happening
        if let End::Because(reason) = end {
            self.tell_end(now, connection, reason);
            if connection.phase == Phase::Open {
                self.scratch.bytes.clear();
                codec::write_disconnect(connection.version, reason, &mut self.scratch.bytes);
                self.reply_scratch(connection.id, fx);
            }
        }
        self.release(connection, backend);
        connection.phase = Phase::Closing;
        fx.close(connection.id);
    }

    fn tell_end(&mut self, now: Now, connection: &Connection, reason: Reason) {
        if matches!(reason, Reason::MalformedPacket | Reason::ProtocolError | Reason::PacketTooLarge) {
            METRICS.mqtt.frames_refused.inc();
        }
        let Some(suppressed) = self.diagnostics.allow(now.mono) else { return };
        let client_id = &connection.client_id;
        tracing::info!("the MQTT connection of {client_id:?} is closed: {reason} ({suppressed} others not told)");
    }

    /// Forgets a session: its client id, subscriptions and timers. QoS 2 exchanges are kept for a retry.
    pub(super) fn release(&mut self, connection: &mut Connection, backend: &mut impl Backend) {
        let conn = connection.id;
        self.timers.cancel(conn);
        if connection.phase == Phase::Open {
            if self.clients.get(&*connection.client_id) == Some(&conn) {
                self.clients.remove(&*connection.client_id);
            }
            let client = client_hash(&connection.client_id);
            let appending = connection.acks.unsettled_pubrecs();
            self.memory.take_over(conn, client, &mut connection.received, appending);
            for place in connection.places.drain(..) {
                self.subscriptions.remove(place, conn);
            }
            self.set_tailing(backend);
        }
        connection.acks = Default::default();
        connection.aliases = Default::default();
        connection.input = Input::default();
        connection.outgoing = None;
        connection.block = None;
    }
}

fn acceptable(connect: &Connect) -> Result<(), Reason> {
    let too_long = connect.client_id.len() > MQTT_CLIENT_ID_BYTES_MAX;
    // Section 3.1.3.1 of 3.1.1: only a clean session may leave the choice to the server.
    let no_id = connect.client_id.is_empty() && connect.version == Version::V4 && !connect.clean_start;
    if too_long || no_id {
        return Err(Reason::ClientIdentifierNotValid);
    }
    match connect.will {
        Some(will) if will.retain && connect.version == Version::V5 => Err(Reason::RetainNotSupported),
        _ => Ok(()),
    }
}
