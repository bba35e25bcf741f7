//! Live messages: SUBSCRIBE, UNSUBSCRIBE, and from the tails of the partitions to the subscribers that match.
//!
//! While anyone is subscribed, the engine hands every batch that becomes acknowledged, on whatever board, to `on_tail`, once
//! for all subscribers. A record's MQTT topic is its header `mqtt.topic`, or the Kafka topic when a Kafka client wrote it
//! without one. Granted are QoS 0 and 1. Subscribers that do not keep up lose messages, and those are counted
//! (`outgoing`).

use bytes::Bytes;

use super::backend::Backend;
use super::codec::{self, FilterRequest, Header, Qos, Version, is_filter, properties::id, topic_name, write_binary};
use super::connection::{Block, Connection};
use super::errors::Reason;
use super::outgoing::{How, Message, Outgoing, Sent};
use super::record::header;
use super::subscriptions::Subscription;
use super::{End, MqttDoor, Outcome};
use crate::effect::Effects;
use crate::limits::{MQTT_DECOMPRESSED_BYTES_MAX, MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX, MQTT_USER_PROPERTIES_MAX};
use crate::record::{self, BatchView, Record};
use crate::types::Now;

impl MqttDoor {
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        connection: &mut Connection,
        header: &Header,
        packet: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Outcome {
        let version = connection.version;
        let subscribe = match codec::read_subscribe(packet, header.header_bytes, version) {
            Ok(subscribe) => subscribe,
            Err(reason) => return Outcome::End(End::Because(reason)),
        };
        if connection.outgoing.is_none() {
            let outgoing = Outgoing::new(version, connection.receive_maximum, connection.packet_bytes_max);
            connection.outgoing = Some(Box::new(outgoing));
        }
        let mut results = Vec::with_capacity(subscribe.filters.len());
        for request in &subscribe.filters {
            results.push(self.subscribe_one(connection, request, subscribe.subscription_id));
        }
        self.set_tailing(backend);
        if self.subscriptions.live() > 0 && backend.awaits_tails(now) {
            // Asked again soon; what comes meanwhile is delivered, before SUBACK as it may be (section 3.8.4).
            return Outcome::Blocked(Block::Later);
        }
        self.scratch.bytes.clear();
        codec::write_suback(version, subscribe.packet_id, &results, &mut self.scratch.bytes);
        self.reply_scratch(connection.id, fx);
        let granted = subscribe.filters.iter().zip(&results).filter(|(_, result)| result.is_ok());
        if granted.clone().any(|(request, _)| is_sys(&request.filter) && !request.skip_retained) {
            self.greet_with_sys(now, connection);
        }
        Outcome::Next
    }

    fn subscribe_one(
        &mut self,
        connection: &mut Connection,
        request: &FilterRequest,
        subscription_id: u32,
    ) -> Result<Qos, Reason> {
        if request.filter.starts_with("$share/") {
            return Err(Reason::SharedSubscriptionsNotSupported);
        }
        if !is_filter(&request.filter) {
            return Err(Reason::TopicFilterInvalid);
        }
        let known = self.subscriptions.find(&request.filter, connection.id).is_some();
        if !known && connection.places.len() >= MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX {
            return Err(Reason::QuotaExceeded);
        }
        let qos = request.qos.min(Qos::AtLeastOnce);
        let subscription = Subscription {
            conn: connection.id,
            qos,
            id: subscription_id,
            no_local: request.no_local || connection.is_bridge,
            retain_as_published: request.retain_as_published || connection.is_bridge,
            is_sys: is_sys(&request.filter),
        };
        let place = self.subscriptions.add(&request.filter, subscription, &self.settings.output);
        let place = place.ok_or(Reason::QuotaExceeded)?;
        if !known {
            connection.places.push(place);
        }
        Ok(qos)
    }

    pub(super) fn unsubscribe(
        &mut self,
        connection: &mut Connection,
        header: &Header,
        packet: &[u8],
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Outcome {
        let version = connection.version;
        let (packet_id, filters) = match codec::read_unsubscribe(packet, header.header_bytes, version) {
            Ok(unsubscribe) => unsubscribe,
            Err(reason) => return Outcome::End(End::Because(reason)),
        };
        let mut existed = Vec::with_capacity(filters.len());
        for filter in &filters {
            let place = self.subscriptions.find(filter, connection.id);
            if let Some(place) = place {
                self.subscriptions.remove(place, connection.id);
                connection.places.retain(|other| *other != place);
            }
            existed.push(place.is_some());
        }
        self.set_tailing(backend);
        self.scratch.bytes.clear();
        codec::write_unsuback(version, packet_id, &existed, &mut self.scratch.bytes);
        self.reply_scratch(connection.id, fx);
        Outcome::Next
    }

    /// Tails are on while somebody needs the log.
    pub(super) fn set_tailing(&mut self, backend: &mut impl Backend) {
        let wanted = self.subscriptions.live() > 0;
        if self.is_tailing != wanted {
            self.is_tailing = wanted;
            backend.set_tails(wanted);
        }
    }

    /// The subscriber has taken a message.
    pub(super) fn subscriber_ack(&mut self, connection: &mut Connection, packet_id: u16) {
        if let Some(outgoing) = &mut connection.outgoing {
            let wrote_before = outgoing.has_output();
            outgoing.acknowledged(packet_id, &self.settings.output);
            if outgoing.has_output() && !wrote_before {
                self.writers.push(connection.id);
            }
        }
    }

    /// Batches of a partition have become acknowledged.
    pub(super) fn on_tail(&mut self, kafka_topic: &str, batches: &[Bytes]) {
        if self.subscriptions.live() == 0 || kafka_topic.starts_with("__") {
            return;
        }
        let mut decompressed = std::mem::take(&mut self.scratch.decompressed);
        for batch in batches {
            let Ok(view) = BatchView::parse(batch) else { continue };
            if view.is_control() {
                continue;
            }
            let Ok(records) = record::open(&view, &mut decompressed, MQTT_DECOMPRESSED_BYTES_MAX) else {
                self.stats.delivery_dropped += view.record_count() as u64;
                continue;
            };
            for record in records.map_while(Result::ok) {
                self.deliver_record(kafka_topic, &record);
            }
        }
        decompressed.clear();
        decompressed.shrink_to(64 * 1024);
        self.scratch.decompressed = decompressed;
    }

    fn deliver_record(&mut self, kafka_topic: &str, record: &Record<'_>) {
        let own = record.headers.get(header::TOPIC).flatten();
        let Ok(topic) = topic_name(own.unwrap_or(kafka_topic.as_bytes())) else { return };
        let mut matched = std::mem::take(&mut self.scratch.matched);
        self.subscriptions.matching(topic, &mut matched);
        if !matched.is_empty() {
            let of = |name| record.headers.get(name).flatten();
            let from = From {
                qos: if of(header::QOS) == Some(b"0") { Qos::AtMostOnce } else { Qos::AtLeastOnce },
                retain: of(header::RETAIN) == Some(b"true"),
                client_id: of(header::CLIENT_ID).unwrap_or_default(),
            };
            let mut properties = std::mem::take(&mut self.scratch.properties);
            properties.clear();
            let wants_properties = |subscription: &Subscription| {
                let outgoing = self.get(subscription.conn).and_then(|connection| connection.outgoing.as_ref());
                outgoing.is_some_and(|outgoing| outgoing.wants_properties())
            };
            if matched.iter().any(wants_properties) {
                encode_properties(record, &mut properties);
            }
            let payload = record.value.unwrap_or_default();
            self.deliver(&Message { topic, properties: &properties, payload }, &from, &matched);
            self.scratch.properties = properties;
        }
        self.scratch.matched = matched;
    }

    /// Gives a message to each client of `matched`, where a client's subscriptions lie side by side: once, at the
    /// highest quality of service that any of them grants.
    pub(super) fn deliver(&mut self, message: &Message<'_>, from: &From<'_>, matched: &[Subscription]) {
        let account = self.settings.output.clone();
        let mut stored = None;
        for group in matched.chunk_by(|a, b| a.conn == b.conn) {
            let Some(conn) = group.first().map(|subscription| subscription.conn) else { continue };
            let Some(connection) = self.get_mut(conn) else { continue };
            let is_own = connection.client_id.as_bytes() == from.client_id;
            let wanted = || group.iter().filter(move |subscription| !(is_own && subscription.no_local));
            let Some(qos) = wanted().map(|subscription| subscription.qos).max() else { continue };
            let mut subscription_ids = heapless::Vec::<u32, MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX>::new();
            if connection.version == Version::V5 {
                subscription_ids.extend(wanted().map(|subscription| subscription.id).filter(|&id| id > 0));
            }
            let retain = from.retain && wanted().any(|subscription| subscription.retain_as_published);
            let how = How { qos: qos.min(from.qos), retain, subscription_ids: &subscription_ids };
            let Some(outgoing) = &mut connection.outgoing else { continue };
            let wrote_before = outgoing.has_output();
            let sent = outgoing.send(message, how, &account, &mut stored);
            if outgoing.has_output() && !wrote_before {
                self.writers.push(conn);
            }
            match sent {
                Sent::Yes => self.stats.delivered += 1,
                Sent::Dropped => self.stats.delivery_dropped += 1,
            }
        }
    }
}

/// Whom a message comes from.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// The publisher's quality of service, at most 1.
    pub qos: Qos,
    /// The publisher's retain flag.
    pub retain: bool,
    /// The publisher; empty: not an MQTT client.
    pub client_id: &'a [u8],
}

/// True for a filter that only this server's own topics match.
fn is_sys(filter: &str) -> bool {
    filter.starts_with("$SYS/")
}

/// Headers back to version 5 properties: ours where the first of a name is well formed, the others as user properties
/// where they are text.
fn encode_properties(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut seen = 0u8;
    let mut user_properties = 0;
    for found in record.headers {
        let value = found.value.unwrap_or_default();
        let own = match found.key {
            header::TOPIC | header::CLIENT_ID | header::QOS | header::RETAIN | header::PACKET_ID | header::DUP => 0,
            header::PAYLOAD_FORMAT => 1,
            header::MESSAGE_EXPIRY => 2,
            header::CONTENT_TYPE => 4,
            header::RESPONSE_TOPIC => 8,
            header::CORRELATION_DATA => 16,
            _ => {
                if user_properties < MQTT_USER_PROPERTIES_MAX && encode_user_property(found.key, value, out) {
                    user_properties += 1;
                }
                continue;
            }
        };
        if own != 0 && seen & own == 0 && value.len() <= u16::MAX as usize {
            seen |= own;
            encode_own(own, value, out);
        }
    }
}

fn encode_own(own: u8, value: &[u8], out: &mut Vec<u8>) {
    match own {
        1 if matches!(value, b"0" | b"1") => out.extend_from_slice(&[id::PAYLOAD_FORMAT, (value == b"1") as u8]),
        2 => {
            let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
            if let Some(seconds) = seconds {
                out.push(id::MESSAGE_EXPIRY);
                out.extend_from_slice(&seconds.to_be_bytes());
            }
        }
        4 if codec::utf8(value).is_ok() => encode_binary(id::CONTENT_TYPE, value, out),
        8 if topic_name(value).is_ok() => encode_binary(id::RESPONSE_TOPIC, value, out),
        16 => encode_binary(id::CORRELATION_DATA, value, out),
        _ => {}
    }
}

fn encode_binary(id: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    write_binary(out, value);
}

fn encode_user_property(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    let fits = |text: &[u8]| text.len() <= u16::MAX as usize && codec::utf8(text).is_ok();
    let good = fits(name) && fits(value);
    if good {
        encode_binary(id::USER_PROPERTY, name, out);
        write_binary(out, value);
    }
    good
}
