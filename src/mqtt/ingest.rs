//! A PUBLISH is appended to the log, and answered when it is durable.
//!
//! Invariants: nothing is allocated for a message of a known topic; an acknowledgement takes its place before its record
//! can be durable; a message that is not in the log is never acknowledged with success, those to `$SYS` apart. What 3.1.1
//! cannot be told (a refusal) ends its connection.

use super::backend::Backend;
use super::codec::{self, Ack, Header, PacketType, Publish, Qos, Version};
use super::connection::{Block, Connection, Phase};
use super::errors::{Reason, Refusal, append_failed};
use super::exactly_once::{Seen, client_hash, fingerprint};
use super::record::append_record;
use super::{End, MqttDoor, Outcome};
use crate::effect::Effects;
use crate::engine::AppendError;
use crate::limits::MQTT_RECEIVED_MAX;
use crate::types::{ConnId, Now, Slot};

/// Why a message is not appended now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It waits.
    Block(Block),
    /// The publisher is told.
    Refuse(Reason),
    /// It is the server's own topic. 3.1.1 is answered as if all were well, as mosquitto does: a bridge announces itself
    /// there, and closing its connection would keep it out for ever.
    Ignore,
    /// The packet itself is wrong.
    End(Reason),
}

impl MqttDoor {
    pub(super) fn publish(
        &mut self,
        now: Now,
        connection: &mut Connection,
        header: &Header,
        body: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Outcome {
        let publish = match codec::read_publish(header, body, connection.version) {
            Ok(publish) => publish,
            Err(reason) => return Outcome::End(End::Because(reason)),
        };
        // Section 3.2.2.3.5: CONNACK has said so.
        if publish.retain && connection.version == Version::V5 {
            return Outcome::End(End::Because(Reason::RetainNotSupported));
        }
        if publish.qos == Qos::ExactlyOnce
            && let Some(outcome) = self.answer_duplicate(connection, &publish)
        {
            return outcome;
        }
        if publish.qos != Qos::AtMostOnce
            && let Some(outcome) = self.check_window(connection)
        {
            return outcome;
        }
        match self.append(now, connection, &publish, backend, fx) {
            Ok(()) => {
                self.stats.received += 1;
                Outcome::Next
            }
            Err(stop) => self.stopped(connection, &publish, stop),
        }
    }

    /// A QoS 2 message that was received before is answered, not appended.
    fn answer_duplicate(&mut self, connection: &mut Connection, publish: &Publish<'_>) -> Option<Outcome> {
        let print = fingerprint(publish.payload);
        let mut seen = connection.received.judge(publish.packet_id, publish.dup, print);
        if seen == Seen::New && publish.dup {
            let client = client_hash(&connection.client_id);
            if self.memory.is_appending(client, publish.packet_id, print) {
                return Some(Outcome::Blocked(Block::FirstAttempt));
            }
            self.memory.recall(client, &mut connection.received);
            seen = connection.received.judge(publish.packet_id, publish.dup, print);
        }
        match seen {
            Seen::New => None,
            Seen::Appending => Some(Outcome::Next),
            Seen::Recorded if connection.acks.len() >= self.places_max(connection.version) => {
                Some(Outcome::Blocked(Block::Window))
            }
            Seen::Recorded => {
                connection.acks.push(publish.packet_id, Ack::PubRec, Some(Reason::Success));
                self.mark_dirty(connection);
                Some(Outcome::Next)
            }
        }
    }

    /// Bounds what a client may leave unacknowledged: version 5 was told, 3.1.1 is held back.
    fn check_window(&self, connection: &Connection) -> Option<Outcome> {
        let exceeded = Some(Outcome::End(End::Because(Reason::ReceiveMaximumExceeded)));
        let received = connection.received.active();
        match connection.version {
            Version::V5 if connection.acks.pubacks() + received >= self.settings.receive_maximum as usize => exceeded,
            // Their PUBRELs would come behind this packet, therefore waiting cannot help.
            Version::V4 if received >= MQTT_RECEIVED_MAX => exceeded,
            version if connection.acks.len() >= self.places_max(version) => Some(Outcome::Blocked(Block::Window)),
            _ => None,
        }
    }

    /// Twice the window in version 5: duplicates of QoS 2 are answered beside it.
    fn places_max(&self, version: Version) -> usize {
        let window = self.settings.receive_maximum as usize;
        if version == Version::V5 { 2 * window } else { window }
    }

    fn append(
        &mut self,
        now: Now,
        connection: &mut Connection,
        publish: &Publish<'_>,
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let mut key = self.route(now, connection, publish, backend, fx)?;
        let mut result = append_record(now, connection, publish, key, backend);
        if result == Err(AppendError::UnknownPartition) {
            // The topic was deleted, and perhaps created again, since the route was looked up.
            connection.route.partition = None;
            key = self.route(now, connection, publish, backend, fx)?;
            result = append_record(now, connection, publish, key, backend);
        }
        let error = match result {
            Ok(()) => {
                take_place(connection, publish, None);
                return Ok(());
            }
            Err(error) => error,
        };
        if let AppendError::Storage(sentence) = &error {
            self.tell_storage(now, sentence);
        }
        Err(match Refusal::from(&error) {
            Refusal::Busy => Stop::Block(Block::Busy),
            Refusal::Later | Refusal::Stale => Stop::Block(Block::Later),
            Refusal::Answer(reason) => Stop::Refuse(reason),
        })
    }

    /// A message that was not appended: it waits, its publisher is told, or it is dropped and counted.
    fn stopped(&mut self, connection: &mut Connection, publish: &Publish<'_>, stop: Stop) -> Outcome {
        match (stop, publish.qos, connection.version) {
            (Stop::End(reason), _, _) => Outcome::End(End::Because(reason)),
            // The first message of a topic is worth waiting for, whatever its quality of service.
            (Stop::Block(Block::Topic), _, _) => Outcome::Blocked(Block::Topic),
            (_, Qos::AtMostOnce, _) => {
                self.stats.dropped += 1;
                Outcome::Next
            }
            (Stop::Block(block), _, _) => Outcome::Blocked(block),
            (Stop::Ignore, _, Version::V4) => self.answer_now(connection, publish, Reason::Success),
            (Stop::Ignore, _, Version::V5) => self.answer_now(connection, publish, Reason::TopicNameInvalid),
            (Stop::Refuse(reason), _, Version::V4) => {
                self.stats.refused += 1;
                Outcome::End(End::Because(reason))
            }
            (Stop::Refuse(reason), _, Version::V5) => self.answer_now(connection, publish, reason),
        }
    }

    /// Answers a message that is not in the log.
    fn answer_now(&mut self, connection: &mut Connection, publish: &Publish<'_>, reason: Reason) -> Outcome {
        self.stats.refused += 1;
        take_place(connection, publish, Some(reason));
        self.mark_dirty(connection);
        Outcome::Next
    }

    /// A record is durable, or was refused after it had been queued.
    pub(super) fn on_appended(&mut self, conn: ConnId, slot: Slot, result: Result<(), AppendError>) {
        let reason = result.as_ref().map_or_else(append_failed, |()| Reason::Success);
        let is_open = self.get(conn).is_some_and(|connection| connection.phase == Phase::Open);
        if !is_open {
            self.memory.settle(conn, slot, result.is_ok());
            return;
        }
        match result {
            Ok(()) => self.stats.acknowledged += 1,
            Err(_) => self.stats.refused += 1,
        }
        let Some(connection) = self.get_mut(conn) else { return };
        match connection.acks.settle(slot, reason) {
            Some((packet_id, Ack::PubRec)) if result.is_ok() => connection.received.recorded(packet_id),
            Some((packet_id, Ack::PubRec)) => connection.received.failed(packet_id),
            _ => {}
        }
        if connection.acks.ready().is_some() && !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Sends the acknowledgements at the front that are settled. `Err`: 3.1.1 cannot be told of a refusal, its connection
    /// must end; nothing behind the refusal leaves.
    pub(super) fn send_acks(&mut self, connection: &mut Connection, fx: &mut Effects) -> Result<(), Reason> {
        self.scratch.bytes.clear();
        let mut refused = Ok(());
        while let Some((ack, packet_id, reason)) = connection.acks.ready() {
            if connection.version == Version::V4 && reason.is_failure() {
                refused = Err(reason);
                break;
            }
            connection.acks.pop();
            codec::write_ack(connection.version, ack, packet_id, reason, &mut self.scratch.bytes);
        }
        if !self.scratch.bytes.is_empty() {
            self.reply_scratch(connection.id, fx);
        }
        refused
    }

    /// PUBREL of the client's messages; PUBACK, PUBREC and PUBCOMP of ours.
    pub(super) fn client_ack(
        &mut self,
        connection: &mut Connection,
        packet: PacketType,
        body: &[u8],
        fx: &mut Effects,
    ) -> Outcome {
        let version = connection.version;
        let (packet_id, _) = match codec::read_ack(packet, body, version) {
            Ok(ack) => ack,
            Err(reason) => return Outcome::End(End::Because(reason)),
        };
        let unknown = Reason::PacketIdentifierNotFound;
        let answer = match packet {
            PacketType::PubRel if connection.received.release(packet_id) => Some((Ack::PubComp, Reason::Success)),
            PacketType::PubRel => Some((Ack::PubComp, unknown)),
            // We send nothing at QoS 2.
            PacketType::PubRec => Some((Ack::PubRel, unknown)),
            PacketType::PubAck => {
                self.subscriber_ack(connection, packet_id);
                None
            }
            _ => None,
        };
        if let Some((ack, reason)) = answer {
            self.scratch.bytes.clear();
            codec::write_ack(version, ack, packet_id, reason, &mut self.scratch.bytes);
            self.reply_scratch(connection.id, fx);
        }
        Outcome::Next
    }

    fn mark_dirty(&mut self, connection: &mut Connection) {
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(connection.id);
        }
    }

    fn tell_storage(&mut self, now: Now, sentence: &str) {
        if let Some(suppressed) = self.diagnostics.allow(now.mono) {
            tracing::warn!("an MQTT message is refused: {sentence} ({suppressed} others not told)");
        }
    }
}

/// Takes the acknowledgement's place; `settled` when there is no record to wait for.
fn take_place(connection: &mut Connection, publish: &Publish<'_>, settled: Option<Reason>) {
    match publish.qos {
        Qos::AtMostOnce => {}
        Qos::AtLeastOnce => connection.acks.push(publish.packet_id, Ack::PubAck, settled),
        Qos::ExactlyOnce => {
            if settled.is_none() {
                connection.received.add(publish.packet_id, fingerprint(publish.payload));
            }
            connection.acks.push(publish.packet_id, Ack::PubRec, settled);
        }
    }
}
