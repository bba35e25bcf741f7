//! MQTT 5 properties (section 2.2.2): a checked, borrowed walk over the ones a client may send.
//!
//! Invariants: the property length is exact; a property appears only where the standard allows it, once unless it is a
//! user property; texts are UTF-8 without NUL; user properties are counted, because each costs a decoder more memory
//! than bytes on the wire.

use super::frame::PacketType;
use super::text::utf8;
use crate::limits::MQTT_USER_PROPERTIES_MAX;
use crate::mqtt::errors::Reason;
use crate::types::Reader;

/// Identifiers of the properties that this door reads or writes.
pub mod id {
    /// 0: bytes, 1: UTF-8 text.
    pub const PAYLOAD_FORMAT: u8 = 1;
    /// Seconds.
    pub const MESSAGE_EXPIRY: u8 = 2;
    /// MIME type, by convention.
    pub const CONTENT_TYPE: u8 = 3;
    /// Where answers go.
    pub const RESPONSE_TOPIC: u8 = 8;
    /// What an answer repeats.
    pub const CORRELATION_DATA: u8 = 9;
    /// A number by which a subscriber knows its subscription.
    pub const SUBSCRIPTION_ID: u8 = 11;
    /// A number that stands for a topic name.
    pub const TOPIC_ALIAS: u8 = 35;
    /// A name and a value, any number of times.
    pub const USER_PROPERTY: u8 = 38;
}

/// Where a list of properties stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The variable header of a packet.
    Packet(PacketType),
    /// The will of a CONNECT.
    Will,
}

/// One property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// One byte, two or four, or a variable byte integer.
    Number(u32),
    /// UTF-8.
    Text(&'a str),
    /// Anything.
    Binary(&'a [u8]),
    /// A user property.
    Pair(&'a str, &'a str),
}

/// Takes the property length and the properties from the front of `body`, checks them all, and returns them unparsed,
/// without their length.
pub fn take_checked<'a>(body: &mut Reader<'a>, place: Place) -> Result<&'a [u8], Reason> {
    let length = variable_integer(body)? as usize;
    let bytes = body.take(length).map_err(|_| Reason::MalformedPacket)?;
    let mut seen: u64 = 0;
    let mut user_properties = 0;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (id, value) = next(&mut reader)?;
        if !allowed(id, place) || !in_range(id, value) {
            return Err(Reason::ProtocolError);
        }
        if id == id::USER_PROPERTY {
            user_properties += 1;
        } else if seen & 1 << id != 0 {
            return Err(Reason::ProtocolError);
        }
        seen |= 1 << id; // known identifiers are below 64
    }
    if user_properties > MQTT_USER_PROPERTIES_MAX { Err(Reason::QuotaExceeded) } else { Ok(bytes) }
}

/// Walks properties that `take_checked` returned.
pub fn each<'a>(bytes: &'a [u8]) -> impl Iterator<Item = (u8, Value<'a>)> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || if reader.is_empty() { None } else { next(&mut reader).ok() })
}

/// A variable byte integer of at most four bytes.
pub fn variable_integer(reader: &mut Reader<'_>) -> Result<u32, Reason> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8().map_err(|_| Reason::MalformedPacket)?;
        value |= ((byte & 0x7f) as u32) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Reason::MalformedPacket)
}

/// Two bytes of length and as many bytes.
pub fn binary<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Reason> {
    let length = reader.u16().map_err(|_| Reason::MalformedPacket)?;
    reader.take(length as usize).map_err(|_| Reason::MalformedPacket)
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<(u8, Value<'a>), Reason> {
    let id = reader.u8().map_err(|_| Reason::MalformedPacket)?;
    let value = match id {
        1 | 23 | 25 | 36 | 37 | 40..=42 => reader.u8().map(|byte| Value::Number(byte as u32)),
        19 | 33..=35 => reader.u16().map(|number| Value::Number(number as u32)),
        2 | 17 | 24 | 39 => reader.u32().map(Value::Number),
        11 => return Ok((id, Value::Number(variable_integer(reader)?))),
        3 | 8 | 18 | 21 | 26 | 28 | 31 => return Ok((id, Value::Text(utf8(binary(reader)?)?))),
        9 | 22 => return Ok((id, Value::Binary(binary(reader)?))),
        38 => return Ok((id, Value::Pair(utf8(binary(reader)?)?, utf8(binary(reader)?)?))),
        _ => return Err(Reason::MalformedPacket),
    };
    Ok((id, value.map_err(|_| Reason::MalformedPacket)?))
}

fn allowed(id: u8, place: Place) -> bool {
    match place {
        Place::Packet(PacketType::Connect) => matches!(id, 17 | 21 | 22 | 23 | 25 | 33 | 34 | 38 | 39),
        Place::Will => matches!(id, 1 | 2 | 3 | 8 | 9 | 24 | 38),
        Place::Packet(PacketType::Publish) => matches!(id, 1 | 2 | 3 | 8 | 9 | 35 | 38),
        Place::Packet(PacketType::Subscribe) => matches!(id, 11 | 38),
        Place::Packet(PacketType::Unsubscribe) => id == 38,
        Place::Packet(PacketType::Disconnect) => matches!(id, 17 | 28 | 31 | 38),
        Place::Packet(PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp) => {
            matches!(id, 31 | 38)
        }
        Place::Packet(PacketType::Auth | PacketType::PingReq) => false,
    }
}

/// Values that the standard calls a protocol error.
fn in_range(id: u8, value: Value<'_>) -> bool {
    match (id, value) {
        (id::PAYLOAD_FORMAT | 23 | 25, Value::Number(number)) => number <= 1,
        (id::SUBSCRIPTION_ID | 33 | 39, Value::Number(number)) => number > 0,
        (id::RESPONSE_TOPIC, Value::Text(topic)) => !topic.is_empty() && !topic.contains(['+', '#']),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH: Place = Place::Packet(PacketType::Publish);

    fn check(bytes: &[u8], place: Place) -> Result<usize, Reason> {
        take_checked(&mut Reader::new(bytes), place).map(|properties| each(properties).count())
    }

    /// Every property of a PUBLISH is read; each prefix is malformed, never a panic.
    #[test]
    fn publish_properties() {
        let mut bytes = vec![0];
        bytes.extend(b"\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01j\x08\x00\x01r\x09\x00\x02\xff\x00");
        bytes.extend(b"\x23\x00\x05\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w");
        bytes[0] = bytes.len() as u8 - 1;
        assert_eq!(check(&bytes, PUBLISH), Ok(8));
        for end in 0..bytes.len() {
            assert_eq!(check(&bytes[..end], PUBLISH), Err(Reason::MalformedPacket));
        }
        let values: Vec<_> = each(&bytes[1..]).collect();
        assert_eq!(values[6], (38, Value::Pair("k", "v")));
    }

    /// Duplicates, properties of other packets, forbidden values and unknown identifiers are refused.
    #[test]
    fn refused() {
        assert_eq!(check(b"\x04\x01\x00\x01\x00", PUBLISH), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x02\x0b\x01", PUBLISH), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x02\x01\x02", PUBLISH), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x02\x04\x02", PUBLISH), Err(Reason::MalformedPacket));
        assert_eq!(check(b"\x04\x08\x00\x01#", PUBLISH), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x02\x0b\x00", Place::Packet(PacketType::Subscribe)), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x03\x21\x00\x00", Place::Packet(PacketType::Connect)), Err(Reason::ProtocolError));
        assert_eq!(check(b"\x80\x80\x80\x80\x01", PUBLISH), Err(Reason::MalformedPacket));
        let mut many = vec![0x80 | ((5 * (MQTT_USER_PROPERTIES_MAX + 1)) & 0x7f) as u8];
        many.push((5 * (MQTT_USER_PROPERTIES_MAX + 1) / 128) as u8);
        many.extend(b"\x26\0\0\0\0".repeat(MQTT_USER_PROPERTIES_MAX + 1));
        assert_eq!(check(&many, PUBLISH), Err(Reason::QuotaExceeded));
    }
}
