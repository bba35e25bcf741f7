//! What of a PUBLISH goes into its record.
//!
//! ```text
//! value      the payload, untouched
//! key        by the mapping rule
//! timestamp  when it was received
//! headers    mqtt.topic, mqtt.client_id, mqtt.qos, mqtt.retain, with QoS 2 mqtt.packet_id, with DUP mqtt.dup;
//!            of version 5: mqtt.payload_format, mqtt.content_type, mqtt.response_topic, mqtt.correlation_data,
//!            mqtt.message_expiry, then the user properties under their own names
//! ```
//!
//! Our own headers come first, so that a user property of the same name hides none of them from who takes the first.

use super::backend::Backend;
use super::codec::{Publish, Qos, properties};
use super::connection::Connection;
use crate::engine::{AppendError, Door, NewRecord, PartitionKey, Waiter};
use crate::limits::MQTT_USER_PROPERTIES_MAX;
use crate::types::Now;

/// Headers of the node's own, beside user properties.
const OWN_HEADERS_MAX: usize = 11;

type Headers<'a> = heapless::Vec<(&'a [u8], &'a [u8]), { OWN_HEADERS_MAX + MQTT_USER_PROPERTIES_MAX }>;

/// Names of the headers, for the delivery too.
pub mod header {
    /// The MQTT topic.
    pub const TOPIC: &[u8] = b"mqtt.topic";
    /// Who published.
    pub const CLIENT_ID: &[u8] = b"mqtt.client_id";
    /// `0`, `1` or `2`.
    pub const QOS: &[u8] = b"mqtt.qos";
    /// `true` or `false`.
    pub const RETAIN: &[u8] = b"mqtt.retain";
    /// With QoS 2, in decimal.
    pub const PACKET_ID: &[u8] = b"mqtt.packet_id";
    /// `true`: the client had sent it before.
    pub const DUP: &[u8] = b"mqtt.dup";
    /// `0` or `1`.
    pub const PAYLOAD_FORMAT: &[u8] = b"mqtt.payload_format";
    /// Seconds, in decimal.
    pub const MESSAGE_EXPIRY: &[u8] = b"mqtt.message_expiry";
    /// Text.
    pub const CONTENT_TYPE: &[u8] = b"mqtt.content_type";
    /// A topic name.
    pub const RESPONSE_TOPIC: &[u8] = b"mqtt.response_topic";
    /// Bytes.
    pub const CORRELATION_DATA: &[u8] = b"mqtt.correlation_data";
}

/// Hands the record to the log. The acknowledgement's slot is the next one: `take_place` follows on success.
pub fn append_record(
    now: Now,
    connection: &Connection,
    publish: &Publish<'_>,
    partition: PartitionKey,
    backend: &mut impl Backend,
) -> Result<(), AppendError> {
    let slot = connection.acks.next_slot();
    let waiter = (publish.qos != Qos::AtMostOnce).then_some(Waiter { door: Door::Mqtt, conn: connection.id, slot });
    let mut digits = [[0; 10]; 2];
    let [packet_id_digits, expiry_digits] = &mut digits;
    let mut headers = Headers::new();
    let mut push = |name, value| _ = headers.push((name, value)); // room: user properties are counted by the codec
    push(header::TOPIC, &connection.route.topic);
    push(header::CLIENT_ID, connection.client_id.as_bytes());
    let (qos, retain): (&[u8], &[u8]) = (qos_text(publish.qos), if publish.retain { b"true" } else { b"false" });
    push(header::QOS, qos);
    push(header::RETAIN, retain);
    if publish.qos == Qos::ExactlyOnce {
        push(header::PACKET_ID, decimal(publish.packet_id as u32, packet_id_digits));
    }
    if publish.dup {
        push(header::DUP, b"true");
    }
    if !publish.properties.is_empty() {
        push_properties(publish.properties, expiry_digits, push);
    }
    let key = connection.route.has_key.then_some(&connection.route.key[..]);
    let record = NewRecord { timestamp: now.wall, key, value: Some(publish.payload), headers: &headers };
    backend.append_record(now, partition, record, waiter).map(|_| ())
}

/// The headers that version 5 properties become; user properties last, so that none of them hides one of ours.
fn push_properties<'a>(
    properties: &'a [u8],
    expiry_digits: &'a mut [u8; 10],
    mut push: impl FnMut(&'a [u8], &'a [u8]),
) {
    use properties::{Value, each, id};
    let mut expiry = None;
    for (id, value) in each(properties) {
        match (id, value) {
            (id::PAYLOAD_FORMAT, Value::Number(0)) => push(header::PAYLOAD_FORMAT, b"0"),
            (id::PAYLOAD_FORMAT, _) => push(header::PAYLOAD_FORMAT, b"1"),
            (id::MESSAGE_EXPIRY, Value::Number(seconds)) => expiry = Some(seconds),
            (id::CONTENT_TYPE, Value::Text(text)) => push(header::CONTENT_TYPE, text.as_bytes()),
            (id::RESPONSE_TOPIC, Value::Text(text)) => push(header::RESPONSE_TOPIC, text.as_bytes()),
            (id::CORRELATION_DATA, Value::Binary(bytes)) => push(header::CORRELATION_DATA, bytes),
            _ => {}
        }
    }
    if let Some(seconds) = expiry {
        push(header::MESSAGE_EXPIRY, decimal(seconds, expiry_digits));
    }
    for (_, value) in each(properties) {
        if let Value::Pair(name, value) = value {
            push(name.as_bytes(), value.as_bytes());
        }
    }
}

fn qos_text(qos: Qos) -> &'static [u8] {
    match qos {
        Qos::AtMostOnce => b"0",
        Qos::AtLeastOnce => b"1",
        Qos::ExactlyOnce => b"2",
    }
}

/// `number` in decimal, in the back of `digits`.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every length.
    #[test]
    fn decimals() {
        for number in [0, 7, 10, 65_535, u32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
