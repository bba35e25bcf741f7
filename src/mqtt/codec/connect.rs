//! CONNECT: which version speaks, is its structure exact, and what does it say.
//!
//! The structure is walked here before the crate's decoder sees it, because that one accepts reserved flags, trailing
//! bytes and properties that run over their length. User name and password are accepted and ignored: they are cut off
//! before decoding, which also spares them the decoder's demand that a password be UTF-8.

use super::control::{Decoded, decode};
use super::frame::{PacketType, Version};
use super::properties::{Place, binary, take_checked};
use super::publish::{Qos, write_variable_integer};
use super::text::{topic_name, utf8};
use crate::mqtt::errors::Reason;
use crate::types::Reader;

/// 3.1.1 with the top bit set: how mosquitto's bridges introduce themselves.
const BRIDGE_LEVEL: u8 = 0x84;

const FLAG_CLEAN: u8 = 0x02;
const FLAG_WILL: u8 = 0x04;
const FLAG_WILL_RETAIN: u8 = 0x20;
const FLAG_PASSWORD: u8 = 0x40;
const FLAG_USER_NAME: u8 = 0x80;

/// A client introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Decides how everything after this packet is read.
    pub version: Version,
    /// Empty: the server shall choose one.
    pub client_id: String,
    /// Forget what the session knew.
    pub clean_start: bool,
    /// 0: no keep-alive.
    pub keep_alive_seconds: u16,
    /// QoS 1 messages the client takes unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet the client takes.
    pub packet_bytes_max: u32,
    /// What to say when the client dies.
    pub will: Option<Will>,
    /// Another broker, which said so by mosquitto's private bit of the protocol level.
    pub is_bridge: bool,
}

/// The parts of a will that decide whether a connection is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will {
    /// Its quality of service.
    pub qos: Qos,
    /// Its retain flag.
    pub retain: bool,
}

/// Why a CONNECT is refused, and how to say so: `None` when not even the version is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRefused {
    /// In whose format CONNACK is written.
    pub version: Option<Version>,
    /// What it says.
    pub reason: Reason,
}

/// Reads the body of a CONNECT.
pub fn read(body: &[u8]) -> Result<Connect, ConnectRefused> {
    let mut reader = Reader::new(body);
    let version = sniff(&mut reader)?;
    read_as(version, reader, body).map_err(|reason| ConnectRefused { version: Some(version), reason })
}

/// Protocol name and level (section 3.1.2.1).
fn sniff(reader: &mut Reader<'_>) -> Result<Version, ConnectRefused> {
    let unreadable = ConnectRefused { version: None, reason: Reason::MalformedPacket };
    let name = binary(reader).map_err(|_| unreadable)?;
    let level = reader.u8().map_err(|_| unreadable)?;
    let unsupported = |version| Err(ConnectRefused { version, reason: Reason::UnsupportedProtocolVersion });
    match (name, level) {
        (b"MQTT", 4 | BRIDGE_LEVEL) => Ok(Version::V4),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", 6..=0x7f) => unsupported(Some(Version::V5)),
        (b"MQTT" | b"MQIsdp", _) => unsupported(Some(Version::V4)),
        _ => unsupported(None),
    }
}

fn read_as(version: Version, mut reader: Reader<'_>, body: &[u8]) -> Result<Connect, Reason> {
    let flags_position = reader.position();
    let flags = walk_flags(&mut reader, version)?;
    reader.take(2).map_err(|_| Reason::MalformedPacket)?; // keep-alive
    if version == Version::V5 {
        take_checked(&mut reader, Place::Packet(PacketType::Connect))?;
    }
    utf8(binary(&mut reader)?)?;
    if flags & FLAG_WILL != 0 {
        walk_will(&mut reader, version)?;
    }
    let credentials_position = reader.position();
    walk_credentials(&mut reader, flags)?;
    if !reader.is_empty() {
        return Err(Reason::MalformedPacket);
    }
    let is_bridge = body.get(flags_position - 1) == Some(&BRIDGE_LEVEL); // `sniff` has read the level
    let connect = connect_from(version, &plain(body, flags_position, credentials_position))?;
    Ok(Connect { is_bridge, ..connect })
}

fn walk_flags(reader: &mut Reader<'_>, version: Version) -> Result<u8, Reason> {
    let flags = reader.u8().map_err(|_| Reason::MalformedPacket)?;
    let will_bits = flags & (FLAG_WILL_RETAIN | 0x18);
    let reserved = flags & 1 != 0;
    let will_without_will = flags & FLAG_WILL == 0 && will_bits != 0;
    let qos_3 = flags & 0x18 == 0x18;
    let password_alone = version == Version::V4 && flags & FLAG_PASSWORD != 0 && flags & FLAG_USER_NAME == 0;
    let malformed = reserved || will_without_will || qos_3 || password_alone;
    if malformed { Err(Reason::MalformedPacket) } else { Ok(flags) }
}

fn walk_will(reader: &mut Reader<'_>, version: Version) -> Result<(), Reason> {
    if version == Version::V5 {
        take_checked(reader, Place::Will)?;
    }
    topic_name(binary(reader)?)?;
    binary(reader)?;
    Ok(())
}

fn walk_credentials(reader: &mut Reader<'_>, flags: u8) -> Result<(), Reason> {
    if flags & FLAG_USER_NAME != 0 {
        utf8(binary(reader)?)?;
    }
    if flags & FLAG_PASSWORD != 0 {
        binary(reader)?;
    }
    Ok(())
}

/// The same packet, header included, as if neither user name nor password nor a bridge's bit had been sent.
fn plain(body: &[u8], flags_position: usize, credentials_position: usize) -> Vec<u8> {
    let kept = body.get(..credentials_position).unwrap_or(body);
    let mut packet = Vec::with_capacity(5 + kept.len());
    packet.push((PacketType::Connect as u8) << 4);
    write_variable_integer(&mut packet, kept.len());
    let header_bytes = packet.len();
    packet.extend_from_slice(kept);
    let at = header_bytes + flags_position;
    if let Some([level, flags]) = packet.get_mut(at - 1..=at) {
        *level &= 0x7f;
        *flags &= !(FLAG_USER_NAME | FLAG_PASSWORD);
    }
    packet
}

fn connect_from(version: Version, packet: &[u8]) -> Result<Connect, Reason> {
    let Decoded::Connect(connect, properties, will, ..) = decode(version, packet)? else {
        return Err(Reason::MalformedPacket);
    };
    if let Some(properties) = &properties {
        match (&properties.authentication_method, &properties.authentication_data) {
            (Some(_), _) => return Err(Reason::BadAuthenticationMethod),
            (None, Some(_)) => return Err(Reason::ProtocolError),
            (None, None) => {}
        }
    }
    let receive_maximum = properties.as_ref().and_then(|properties| properties.receive_maximum);
    let packet_bytes_max = properties.as_ref().and_then(|properties| properties.max_packet_size);
    Ok(Connect {
        version,
        client_id: connect.client_id,
        clean_start: connect.clean_session,
        keep_alive_seconds: connect.keep_alive,
        receive_maximum: receive_maximum.unwrap_or(u16::MAX),
        packet_bytes_max: packet_bytes_max.unwrap_or(u32::MAX),
        will: will.map(|will| Will { qos: Qos::from(will.qos), retain: will.retain }),
        is_bridge: false,
    })
}

const _: () = assert!(FLAG_CLEAN | FLAG_WILL | 0x18 | FLAG_WILL_RETAIN | FLAG_PASSWORD | FLAG_USER_NAME == 0xfe);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &[u8]) -> (Option<Version>, Reason) {
        let refused = read(body).unwrap_err();
        (refused.version, refused.reason)
    }

    /// A full version 5 CONNECT is understood, with a password that is not UTF-8; each prefix of it is malformed.
    #[test]
    fn version_5() {
        let mut body = b"\x00\x04MQTT\x05\xf6\x00\x3c".to_vec();
        body.extend(b"\x0d\x21\x00\x14\x27\x00\x01\x00\x00\x11\x00\x00\x00\x0a");
        body.extend(b"\x00\x02id\x00\x00\x01w\x00\x01p\x00\x01u\x00\x02\xff\xfe");
        let connect = read(&body).unwrap();
        assert_eq!((connect.version, connect.client_id.as_str()), (Version::V5, "id"));
        assert_eq!((connect.keep_alive_seconds, connect.clean_start), (60, true));
        assert_eq!((connect.receive_maximum, connect.packet_bytes_max), (20, 65_536));
        assert_eq!(connect.will, Some(Will { qos: Qos::ExactlyOnce, retain: true }));
        for end in 0..body.len() {
            assert_eq!(read(&body[..end]).unwrap_err().reason, Reason::MalformedPacket, "{end}");
        }
        body.push(0);
        assert_eq!(refused(&body), (Some(Version::V5), Reason::MalformedPacket));
    }

    /// 3.1.1 has no properties; other levels and names are refused in a form that their client reads.
    #[test]
    fn versions() {
        let connect = read(b"\x00\x04MQTT\x04\x00\x00\x00\x00\x00").unwrap();
        assert_eq!((connect.version, connect.client_id.as_str(), connect.clean_start), (Version::V4, "", false));
        let unsupported = Reason::UnsupportedProtocolVersion;
        assert_eq!(refused(b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a"), (Some(Version::V4), unsupported));
        assert_eq!(refused(b"\x00\x04MQTT\x83\x02\x00\x3c\x00\x01a"), (Some(Version::V4), unsupported));
        let bridge = read(b"\x00\x04MQTT\x84\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x01p").unwrap();
        assert_eq!((bridge.version, bridge.client_id.as_str(), bridge.is_bridge), (Version::V4, "a", true));
        assert!(!connect.is_bridge);
        assert_eq!(refused(b"\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a"), (Some(Version::V5), unsupported));
        assert_eq!(refused(b"\x00\x04HTTP\x04\x02\x00\x3c\x00\x01a"), (None, unsupported));
        assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n").0, None);
    }

    /// Reserved and contradicting flags, a will topic with a wildcard, and enhanced authentication are refused.
    #[test]
    fn forbidden() {
        let malformed = (Some(Version::V4), Reason::MalformedPacket);
        for flags in [0x01, 0x20, 0x08, 0x1c, 0x40] {
            let mut body = b"\x00\x04MQTT\x04\x00\x00\x00\x00\x00\x00\x01w\x00\x00\x00\x00".to_vec();
            body[7] = flags;
            assert_eq!(refused(&body), malformed, "{flags:#x}");
        }
        let wild = b"\x00\x04MQTT\x04\x04\x00\x00\x00\x00\x00\x01#\x00\x00";
        assert_eq!(refused(wild), (Some(Version::V4), Reason::TopicNameInvalid));
        let auth = b"\x00\x04MQTT\x05\x02\x00\x00\x05\x15\x00\x02ab\x00\x00";
        assert_eq!(refused(auth), (Some(Version::V5), Reason::BadAuthenticationMethod));
        let data = b"\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01a\x00\x00";
        assert_eq!(refused(data), (Some(Version::V5), Reason::ProtocolError));
    }
}
