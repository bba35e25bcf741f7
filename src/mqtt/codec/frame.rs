//! Packet boundaries: type, flags and remaining length, judged before a body is read or decoded.
//!
//! Only packets that a client may send pass, with exactly the flags the standard gives them (sections 2.1.2, 2.1.3);
//! whatever decodes the body afterwards never sees another.

use crate::limits::{MQTT_CONNECT_BYTES_MAX, MQTT_CONTROL_BYTES_MAX};
use crate::mqtt::errors::Reason;

/// The protocol versions of this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V4,
    /// 5.
    V5,
}

/// Packets a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// Opens the session; the first packet and never a later one.
    Connect = 1,
    /// An application message.
    Publish = 3,
    /// Acknowledges a QoS 1 message of ours.
    PubAck = 4,
    /// First answer to a QoS 2 message of ours.
    PubRec = 5,
    /// Releases a QoS 2 message of the client.
    PubRel = 6,
    /// Last answer to a QoS 2 message of ours.
    PubComp = 7,
    /// Asks for messages.
    Subscribe = 8,
    /// Asks for no more of them.
    Unsubscribe = 10,
    /// Keep-alive.
    PingReq = 12,
    /// A clean end.
    Disconnect = 14,
    /// Enhanced authentication, version 5.
    Auth = 15,
}

/// The first byte and the length of a packet, both within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type and flags as received.
    pub first: u8,
    /// What it is.
    pub packet: PacketType,
    /// Bytes of the fixed header, 2 to 5.
    pub header_bytes: usize,
    /// Bytes after it.
    pub body_bytes: usize,
}

impl Header {
    /// Bytes of the whole packet.
    pub const fn total_bytes(&self) -> usize {
        self.header_bytes + self.body_bytes
    }
}

/// Reads a fixed header from the front of `bytes`; `None` until all of it is there. `publish_bytes_max` bounds the body
/// of a PUBLISH; the other packets have bounds of their own.
#[inline]
pub fn header(bytes: &[u8], publish_bytes_max: usize) -> Result<Option<Header>, Reason> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let packet = packet_type(first)?;
    let Some((body_bytes, length_bytes)) = remaining_length(bytes.get(1..).unwrap_or_default())? else {
        return Ok(None);
    };
    let limit = match packet {
        PacketType::Publish => publish_bytes_max,
        PacketType::Connect | PacketType::Subscribe | PacketType::Unsubscribe => MQTT_CONNECT_BYTES_MAX,
        PacketType::PingReq => 0,
        _ => MQTT_CONTROL_BYTES_MAX,
    };
    if body_bytes > limit {
        let ping = packet == PacketType::PingReq;
        return Err(if ping { Reason::MalformedPacket } else { Reason::PacketTooLarge });
    }
    Ok(Some(Header { first, packet, header_bytes: 1 + length_bytes, body_bytes }))
}

fn packet_type(first: u8) -> Result<PacketType, Reason> {
    let flags = first & 0x0f;
    let (packet, flags_expected) = match first >> 4 {
        3 => return publish_flags(flags),
        1 => (PacketType::Connect, 0),
        4 => (PacketType::PubAck, 0),
        5 => (PacketType::PubRec, 0),
        6 => (PacketType::PubRel, 2),
        7 => (PacketType::PubComp, 0),
        8 => (PacketType::Subscribe, 2),
        10 => (PacketType::Unsubscribe, 2),
        12 => (PacketType::PingReq, 0),
        14 => (PacketType::Disconnect, 0),
        15 => (PacketType::Auth, 0),
        // Reserved: cannot be parsed. CONNACK, SUBACK, UNSUBACK and PINGRESP: only a server sends them.
        0 => return Err(Reason::MalformedPacket),
        _ => return Err(Reason::ProtocolError),
    };
    if flags == flags_expected { Ok(packet) } else { Err(Reason::MalformedPacket) }
}

/// QoS 3 does not exist, and a QoS 0 message is never a duplicate (section 3.3.1).
fn publish_flags(flags: u8) -> Result<PacketType, Reason> {
    let (dup, qos) = (flags & 0b1000 != 0, (flags >> 1) & 0b11);
    if qos == 3 || (qos == 0 && dup) { Err(Reason::MalformedPacket) } else { Ok(PacketType::Publish) }
}

/// A variable byte integer of at most four bytes (section 1.5.5): its value and its length. `None`: it goes on.
#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Reason> {
    let mut value = 0;
    for (position, &byte) in bytes.iter().take(4).enumerate() {
        value |= ((byte & 0x7f) as usize) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Reason::MalformedPacket) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Server packets, reserved types and wrong flags are refused on their first byte; the rest is recognised.
    #[test]
    fn first_bytes() {
        let mut allowed = Vec::new();
        for first in 0..=255u8 {
            if packet_type(first).is_ok() {
                allowed.push(first);
            }
        }
        let publishes = [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3a, 0x3b, 0x3c, 0x3d];
        let mut expected = vec![0x10];
        expected.extend(publishes);
        expected.extend([0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0]);
        assert_eq!(allowed, expected);
        assert_eq!(packet_type(0x20), Err(Reason::ProtocolError));
        assert_eq!(packet_type(0x00), Err(Reason::MalformedPacket));
    }

    /// Lengths of one to four bytes are read, incomplete ones wait, a fifth byte is malformed.
    #[test]
    fn lengths() {
        assert_eq!(header(&[], 10), Ok(None));
        assert_eq!(header(&[0x30], 10), Ok(None));
        assert_eq!(header(&[0x30, 0x80], 10), Ok(None));
        let of = |bytes: &[u8]| header(bytes, usize::MAX).map(|header| header.map(|header| header.body_bytes));
        assert_eq!(of(&[0x30, 0x7f]), Ok(Some(127)));
        assert_eq!(of(&[0x30, 0xff, 0x7f]), Ok(Some(16_383)));
        assert_eq!(of(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Ok(Some(268_435_455)));
        assert_eq!(of(&[0x30, 0xff, 0xff, 0xff, 0xff]), Err(Reason::MalformedPacket));
    }

    /// A packet above its bound is refused before its body is read.
    #[test]
    fn bounds() {
        assert_eq!(header(&[0x30, 11], 10), Err(Reason::PacketTooLarge));
        assert_eq!(header(&[0xc0, 1], 10), Err(Reason::MalformedPacket));
        assert_eq!(header(&[0x10, 0xff, 0xff, 0xff, 0x7f], usize::MAX), Err(Reason::PacketTooLarge));
        assert_eq!(header(&[0x82, 0xff, 0xff, 0xff, 0x7f], usize::MAX), Err(Reason::PacketTooLarge));
    }
}
