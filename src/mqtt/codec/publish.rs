//! PUBLISH, the hot path: parsed in place without allocating, and written.
//!
//! The decoder behind `control.rs` hides QoS, DUP and packet id of a PUBLISH, and copies; therefore this is our own.
//! `topic` is unchecked bytes: a publisher that repeats its topic is recognised by comparing them, and only a new one
//! is worth checking (`text::topic_name`).

use super::frame::{Header, PacketType, Version};
use super::properties::{self, Place, Value, binary, id};
use crate::mqtt::errors::Reason;
use crate::types::Reader;

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(clippy::enum_variant_names)] // the standard's names
pub enum Qos {
    /// At most once: no answer.
    #[default]
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

/// A message of a client, borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The client says that it sends this again.
    pub dup: bool,
    /// What the client expects.
    pub qos: Qos,
    /// The retain flag.
    pub retain: bool,
    /// Unchecked; empty when `alias` names it.
    pub topic: &'a [u8],
    /// 0 with QoS 0, never 0 otherwise.
    pub packet_id: u16,
    /// The topic alias, not 0.
    pub alias: Option<u16>,
    /// Checked properties, for `properties::each`; empty in 3.1.1.
    pub properties: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

/// Parses the body of a PUBLISH whose header `frame::header` has accepted.
#[inline]
pub fn read<'a>(header: &Header, body: &'a [u8], version: Version) -> Result<Publish<'a>, Reason> {
    let qos = match (header.first >> 1) & 0b11 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    };
    let mut reader = Reader::new(body);
    let topic = binary(&mut reader)?;
    let packet_id = if qos == Qos::AtMostOnce { 0 } else { packet_id(&mut reader)? };
    let mut publish = Publish {
        dup: header.first & 0b1000 != 0,
        qos,
        retain: header.first & 1 != 0,
        topic,
        packet_id,
        alias: None,
        properties: &[],
        payload: &[],
    };
    if version == Version::V5 {
        publish.properties = properties::take_checked(&mut reader, Place::Packet(PacketType::Publish))?;
        publish.alias = alias(publish.properties)?;
    }
    publish.payload = reader.rest();
    Ok(publish)
}

/// A packet identifier, which is never 0 (section 2.2.1).
pub fn packet_id(reader: &mut Reader<'_>) -> Result<u16, Reason> {
    match reader.u16() {
        Ok(0) => Err(Reason::ProtocolError),
        Ok(packet_id) => Ok(packet_id),
        Err(_) => Err(Reason::MalformedPacket),
    }
}

fn alias(properties: &[u8]) -> Result<Option<u16>, Reason> {
    match properties::each(properties).find(|(id, _)| *id == id::TOPIC_ALIAS) {
        None => Ok(None),
        Some((_, Value::Number(alias @ 1..=0xffff))) => Ok(Some(alias as u16)),
        Some(_) => Err(Reason::TopicAliasInvalid),
    }
}

/// A message of ours to a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The subscriber's version.
    pub version: Version,
    /// At most 1.
    pub qos: Qos,
    /// What the subscriber sees as the retain flag.
    pub retain: bool,
    /// The topic name.
    pub topic: &'a str,
    /// Not 0 with QoS 1.
    pub packet_id: u16,
    /// Encoded properties, subscription identifiers apart; not sent to a 3.1.1 subscriber.
    pub properties: &'a [u8],
    /// Of the subscriptions that match.
    pub subscription_ids: &'a [u32],
    /// The message.
    pub payload: &'a [u8],
}

impl Delivery<'_> {
    /// Bytes of the packet that `write` makes.
    pub fn total_bytes(&self) -> usize {
        let body = self.body_bytes();
        1 + variable_integer_bytes(body) + body
    }

    /// Appends the packet to `out`. The caller has bounded `total_bytes` below the standard's 256 MiB.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0x30 | (self.qos as u8) << 1 | self.retain as u8);
        write_variable_integer(out, self.body_bytes());
        write_binary(out, self.topic.as_bytes());
        if self.qos != Qos::AtMostOnce {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if self.version == Version::V5 {
            write_variable_integer(out, self.properties_bytes());
            out.extend_from_slice(self.properties);
            for &subscription_id in self.subscription_ids {
                out.push(id::SUBSCRIPTION_ID);
                write_variable_integer(out, subscription_id as usize);
            }
        }
        out.extend_from_slice(self.payload);
    }

    fn body_bytes(&self) -> usize {
        let packet_id_bytes = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let properties_bytes = match self.version {
            Version::V4 => 0,
            Version::V5 => variable_integer_bytes(self.properties_bytes()) + self.properties_bytes(),
        };
        2 + self.topic.len() + packet_id_bytes + properties_bytes + self.payload.len()
    }

    fn properties_bytes(&self) -> usize {
        let ids: usize = self.subscription_ids.iter().map(|&id| 1 + variable_integer_bytes(id as usize)).sum();
        self.properties.len() + ids
    }
}

/// Appends a variable byte integer; `value` below 2^28.
pub fn write_variable_integer(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends two bytes of length and `bytes`, of which there are at most 65,535.
pub fn write_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn variable_integer_bytes(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::codec::frame;

    fn parse(packet: &[u8], version: Version) -> Result<Publish<'_>, Reason> {
        let header = frame::header(packet, 1 << 20)?.ok_or(Reason::MalformedPacket)?;
        read(&header, &packet[header.header_bytes..], version)
    }

    /// QoS, DUP, retain, packet id, alias and payload come from the raw bytes; every cut is refused.
    #[test]
    fn fields() {
        let packet = b"\x3b\x0c\x00\x01t\x00\x07\x03\x23\x00\x05abc";
        let publish = parse(packet, Version::V5).unwrap();
        assert_eq!((publish.dup, publish.qos, publish.retain), (true, Qos::AtLeastOnce, true));
        assert_eq!((publish.topic, publish.packet_id, publish.alias), (&b"t"[..], 7, Some(5)));
        assert_eq!(publish.payload, b"abc");
        assert_eq!(parse(b"\x34\x05\x00\x01t\x00\x00", Version::V4), Err(Reason::ProtocolError));
        assert_eq!(parse(b"\x34\x04\x00\x01t\x00", Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(parse(b"\x30\x03\x00\x02t", Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(parse(b"\x30\x07\x00\x01t\x03\x23\x00\x00", Version::V5), Err(Reason::TopicAliasInvalid));
    }

    /// What is written is read back, in both versions, at every length of the length field.
    #[test]
    fn delivery_round_trip() {
        for payload_bytes in [0, 100, 127, 128, 20_000, 3_000_000] {
            let payload = vec![7; payload_bytes];
            for (version, qos) in [(Version::V4, Qos::AtMostOnce), (Version::V5, Qos::AtLeastOnce)] {
                let properties = if version == Version::V5 { &b"\x26\x00\x01k\x00\x01v"[..] } else { &[] };
                let delivery = Delivery {
                    version,
                    qos,
                    retain: false,
                    topic: "a/b",
                    packet_id: 9,
                    properties,
                    subscription_ids: &[],
                    payload: &payload,
                };
                let mut out = Vec::new();
                delivery.write(&mut out);
                assert_eq!(out.len(), delivery.total_bytes());
                let header = frame::header(&out, usize::MAX).unwrap().unwrap();
                assert_eq!(header.total_bytes(), out.len());
                let publish = read(&header, &out[header.header_bytes..], version).unwrap();
                assert_eq!((publish.qos, publish.topic, publish.payload), (qos, &b"a/b"[..], &payload[..]));
                assert_eq!(publish.properties, properties);
            }
        }
    }

    /// Subscription identifiers follow the other properties.
    #[test]
    fn subscription_ids() {
        let mut out = Vec::new();
        Delivery {
            version: Version::V5,
            qos: Qos::AtMostOnce,
            retain: true,
            topic: "t",
            packet_id: 0,
            properties: &[],
            subscription_ids: &[1, 300],
            payload: b"x",
        }
        .write(&mut out);
        assert_eq!(out, b"\x31\x0a\x00\x01t\x05\x0b\x01\x0b\xac\x02x");
    }
}
