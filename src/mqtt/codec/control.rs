//! The crate's codec behind a wall: SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and the answers to them.
//!
//! Invariants, each against something the codec does: only complete packets of types a client may send get in, and
//! their structure has been walked before (a complete, malformed packet makes it ask for more bytes; some types make it
//! panic); properties never reach its 3.1.1 writer (it panics); it never writes a DISCONNECT (it miscounts its own bytes
//! or loses the reason). Decoded values are copies: nothing pins a read buffer.

use bytes::BytesMut;
use rumqttd::protocol::{
    self, ConnAck, ConnAckProperties, ConnectReturnCode, Packet, Protocol, SubAck, SubscribeReasonCode, UnsubAck,
    UnsubAckReason,
};

pub use rumqttd::protocol::Packet as Decoded;

use super::frame::{PacketType, Version};
use super::properties::{Place, binary, take_checked};
use super::publish::{Qos, packet_id};
use super::text::utf8;
use crate::limits::MQTT_FILTERS_PER_PACKET_MAX;
use crate::mqtt::errors::Reason;
use crate::types::Reader;

impl From<protocol::QoS> for Qos {
    fn from(qos: protocol::QoS) -> Qos {
        match qos {
            protocol::QoS::AtMostOnce => Qos::AtMostOnce,
            protocol::QoS::AtLeastOnce => Qos::AtLeastOnce,
            protocol::QoS::ExactlyOnce => Qos::ExactlyOnce,
        }
    }
}

/// Decodes one whole packet, header included, whose structure the caller has walked.
pub fn decode(version: Version, packet: &[u8]) -> Result<Decoded, Reason> {
    let mut stream = BytesMut::from(packet);
    let decoded = match version {
        Version::V4 => protocol::v4::V4.read_mut(&mut stream, packet.len()),
        Version::V5 => protocol::v5::V5.read_mut(&mut stream, packet.len()),
    };
    decoded.map_err(|_| Reason::MalformedPacket)
}

/// A client asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Repeated in SUBACK.
    pub packet_id: u16,
    /// 0: none.
    pub subscription_id: u32,
    /// In order; not yet checked as filters.
    pub filters: Vec<FilterRequest>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRequest {
    /// UTF-8 without NUL, otherwise unchecked.
    pub filter: String,
    /// The most the client wants.
    pub qos: Qos,
    /// Not what this client publishes itself.
    pub no_local: bool,
    /// The retain flag as the publisher set it.
    pub retain_as_published: bool,
    /// Retain handling 2: nothing that was published before, please.
    pub skip_retained: bool,
}

/// Reads a SUBSCRIBE, header included.
pub fn read_subscribe(packet: &[u8], header_bytes: usize, version: Version) -> Result<Subscribe, Reason> {
    let mut reader = Reader::new(packet.get(header_bytes..).unwrap_or_default());
    let packet_id = packet_id(&mut reader)?;
    if version == Version::V5 {
        take_checked(&mut reader, Place::Packet(PacketType::Subscribe))?;
    }
    let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
    walk_filters(&mut reader, |reader| {
        let options = reader.u8().map_err(|_| Reason::MalformedPacket)?;
        let forbidden = options & reserved != 0 || options & 0x03 == 0x03 || options & 0x30 == 0x30;
        if forbidden { Err(Reason::MalformedPacket) } else { Ok(()) }
    })?;
    let Decoded::Subscribe(subscribe, properties) = decode(version, packet)? else {
        return Err(Reason::MalformedPacket);
    };
    let filters = subscribe.filters.into_iter().map(|filter| FilterRequest {
        filter: filter.path,
        qos: Qos::from(filter.qos),
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        skip_retained: filter.retain_forward_rule == protocol::RetainForwardRule::Never,
    });
    let subscription_id = properties.and_then(|properties| properties.id).unwrap_or(0) as u32;
    Ok(Subscribe { packet_id, subscription_id, filters: filters.collect() })
}

/// Reads an UNSUBSCRIBE, header included: packet id and filters.
pub fn read_unsubscribe(packet: &[u8], header_bytes: usize, version: Version) -> Result<(u16, Vec<String>), Reason> {
    let mut reader = Reader::new(packet.get(header_bytes..).unwrap_or_default());
    let packet_id = packet_id(&mut reader)?;
    if version == Version::V5 {
        take_checked(&mut reader, Place::Packet(PacketType::Unsubscribe))?;
    }
    walk_filters(&mut reader, |_| Ok(()))?;
    match decode(version, packet)? {
        Decoded::Unsubscribe(unsubscribe, _) => Ok((packet_id, unsubscribe.filters)),
        _ => Err(Reason::MalformedPacket),
    }
}

/// At least one filter, at most our bound, each followed by what `options` takes, and nothing after the last.
fn walk_filters<'a>(
    reader: &mut Reader<'a>,
    options: impl Fn(&mut Reader<'a>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut count = 0;
    while !reader.is_empty() {
        utf8(binary(reader)?)?;
        options(reader)?;
        count += 1;
    }
    match count {
        0 => Err(Reason::ProtocolError),
        1..=MQTT_FILTERS_PER_PACKET_MAX => Ok(()),
        _ => Err(Reason::QuotaExceeded),
    }
}

/// Checks a DISCONNECT. Its reason only matters for a will, and there are none.
pub fn read_disconnect(packet: &[u8], header_bytes: usize, version: Version) -> Result<(), Reason> {
    let body = packet.get(header_bytes..).unwrap_or_default();
    match (version, body) {
        (_, []) => Ok(()),
        (Version::V4, _) => Err(Reason::MalformedPacket),
        // One byte is legal (section 3.14.2.2.1); the codec would miss the properties.
        (Version::V5, [_reason]) => Ok(()),
        (Version::V5, [_, rest @ ..]) => {
            let mut reader = Reader::new(rest);
            take_checked(&mut reader, Place::Packet(PacketType::Disconnect))?;
            match (reader.is_empty(), decode(version, packet)?) {
                (true, Decoded::Disconnect(..)) => Ok(()),
                _ => Err(Reason::MalformedPacket),
            }
        }
    }
}

/// Reads PUBACK, PUBREC, PUBREL or PUBCOMP: the packet id, and whether the client reports a failure.
pub fn read_ack(packet: PacketType, body: &[u8], version: Version) -> Result<(u16, bool), Reason> {
    let mut reader = Reader::new(body);
    let packet_id = packet_id(&mut reader)?;
    if version == Version::V4 || reader.is_empty() {
        return if reader.is_empty() { Ok((packet_id, false)) } else { Err(Reason::MalformedPacket) };
    }
    let reason = reader.u8().map_err(|_| Reason::MalformedPacket)?;
    if !reader.is_empty() {
        take_checked(&mut reader, Place::Packet(packet))?;
    }
    if reader.is_empty() { Ok((packet_id, reason >= 0x80)) } else { Err(Reason::MalformedPacket) }
}

/// What CONNACK tells a version 5 client about this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Publishes at QoS 1 and 2 that may be unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet taken.
    pub packet_bytes_max: u32,
    /// Topic aliases a client may set.
    pub topic_alias_maximum: u16,
    /// The id chosen for a client that sent none.
    pub assigned_client_id: Option<String>,
}

/// Appends a CONNACK that accepts.
pub fn write_welcome(version: Version, welcome: Welcome, out: &mut Vec<u8>) {
    let properties = ConnAckProperties {
        session_expiry_interval: Some(0),
        receive_max: Some(welcome.receive_maximum),
        retain_available: Some(0),
        max_packet_size: Some(welcome.packet_bytes_max),
        assigned_client_identifier: welcome.assigned_client_id,
        topic_alias_max: Some(welcome.topic_alias_maximum),
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(1),
        shared_subscription_available: Some(0),
        ..ConnAckProperties::default()
    };
    let ack = ConnAck { session_present: false, code: ConnectReturnCode::Success };
    let properties = if version == Version::V5 { Some(properties) } else { None };
    encode(version, Packet::ConnAck(ack, properties), out);
}

/// Appends a CONNACK that refuses; nothing where the version has no code for `reason`.
pub fn write_refusal(version: Version, reason: Reason, out: &mut Vec<u8>) {
    match (version, reason.connack_v4()) {
        (Version::V5, _) => out.extend_from_slice(&[0x20, 3, 0, reason.code(), 0]),
        (Version::V4, Some(code)) => out.extend_from_slice(&[0x20, 2, 0, code]),
        (Version::V4, None) => {}
    }
}

/// Appends a SUBACK. `Err` is a refusal, which 3.1.1 has one code for.
pub fn write_suback(version: Version, packet_id: u16, results: &[Result<Qos, Reason>], out: &mut Vec<u8>) {
    let code = |result: &Result<Qos, Reason>| match (version, result) {
        (_, Ok(Qos::AtMostOnce)) => SubscribeReasonCode::QoS0,
        (_, Ok(Qos::AtLeastOnce)) => SubscribeReasonCode::QoS1,
        (_, Ok(Qos::ExactlyOnce)) => SubscribeReasonCode::QoS2,
        (Version::V4, Err(_)) => SubscribeReasonCode::Failure,
        (_, Err(Reason::TopicFilterInvalid)) => SubscribeReasonCode::TopicFilterInvalid,
        (_, Err(Reason::QuotaExceeded)) => SubscribeReasonCode::QuotaExceeded,
        (_, Err(Reason::SharedSubscriptionsNotSupported)) => SubscribeReasonCode::SharedSubscriptionsNotSupported,
        (_, Err(_)) => SubscribeReasonCode::Unspecified,
    };
    let ack = SubAck { pkid: packet_id, return_codes: results.iter().map(code).collect() };
    encode(version, Packet::SubAck(ack, None), out);
}

/// Appends an UNSUBACK: for each filter whether there was such a subscription.
pub fn write_unsuback(version: Version, packet_id: u16, existed: &[bool], out: &mut Vec<u8>) {
    let reason =
        |&existed: &bool| if existed { UnsubAckReason::Success } else { UnsubAckReason::NoSubscriptionExisted };
    let ack = UnsubAck { pkid: packet_id, reasons: existed.iter().map(reason).collect() };
    encode(version, Packet::UnsubAck(ack, None), out);
}

/// Appends a DISCONNECT of the server; nothing in 3.1.1, which has none. Own bytes: the codec loses the reason.
pub fn write_disconnect(version: Version, reason: Reason, out: &mut Vec<u8>) {
    if version == Version::V5 {
        out.extend_from_slice(&[0xe0, 2, reason.code(), 0]);
    }
}

/// Acknowledgement packets that we send, by their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(clippy::enum_variant_names)] // the standard's names
pub enum Ack {
    /// QoS 1, done.
    PubAck = 0x40,
    /// QoS 2, received.
    PubRec = 0x50,
    /// QoS 2 of ours, released: only as an answer to a PUBREC that nobody expects.
    PubRel = 0x62,
    /// QoS 2, done.
    PubComp = 0x70,
}

/// Appends an acknowledgement. The hot path of answers: own bytes, four of them. 3.1.1 has no reasons: the caller
/// closes the connection instead of passing a failure.
#[inline]
pub fn write_ack(version: Version, ack: Ack, packet_id: u16, reason: Reason, out: &mut Vec<u8>) {
    let [high, low] = packet_id.to_be_bytes();
    if version == Version::V4 || reason == Reason::Success {
        out.extend_from_slice(&[ack as u8, 2, high, low]);
    } else {
        out.extend_from_slice(&[ack as u8, 3, high, low, reason.code()]);
    }
}

/// The answer to PINGREQ.
pub const PINGRESP: [u8; 2] = [0xd0, 0];

fn encode(version: Version, packet: Packet, out: &mut Vec<u8>) {
    let mut buffer = BytesMut::new();
    let written = match version {
        Version::V4 => protocol::v4::V4.write(packet, &mut buffer),
        Version::V5 => protocol::v5::V5.write(packet, &mut buffer),
    };
    // The only error of these packets is a length above 256 MiB, which bounded lists cannot reach.
    if written.is_ok() {
        out.extend_from_slice(&buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters with their options; reserved options, no filter, cut and trailing bytes are refused.
    #[test]
    fn subscribe() {
        let packet = b"\x82\x0d\x00\x07\x02\x0b\x05\x00\x01a\x2d\x00\x01b\x02";
        let subscribe = read_subscribe(packet, 2, Version::V5).unwrap();
        assert_eq!((subscribe.packet_id, subscribe.subscription_id), (7, 5));
        let first = &subscribe.filters[0];
        assert_eq!((first.filter.as_str(), first.qos), ("a", Qos::AtLeastOnce));
        assert!(first.no_local && first.retain_as_published && first.skip_retained);
        assert_eq!(subscribe.filters[1].qos, Qos::ExactlyOnce);
        let of = |packet: &[u8], version| read_subscribe(packet, 2, version).map(|_| ());
        assert_eq!(of(b"\x82\x06\x00\x07\x00\x01a\x03", Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(of(b"\x82\x06\x00\x07\x00\x01a\x04", Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(of(b"\x82\x07\x00\x07\x00\x00\x01a\x30", Version::V5), Err(Reason::MalformedPacket));
        assert_eq!(of(b"\x82\x02\x00\x07", Version::V4), Err(Reason::ProtocolError));
        assert_eq!(of(b"\x82\x06\x00\x00\x00\x01a\x01", Version::V4), Err(Reason::ProtocolError));
        assert_eq!(of(b"\x82\x05\x00\x07\x00\x01a", Version::V4), Err(Reason::MalformedPacket));
    }

    /// UNSUBSCRIBE in both versions.
    #[test]
    fn unsubscribe() {
        let read = read_unsubscribe(b"\xa2\x08\x00\x07\x00\x01a\x00\x01b", 2, Version::V4);
        assert_eq!(read, Ok((7, vec!["a".to_owned(), "b".to_owned()])));
        let read = read_unsubscribe(b"\xa2\x06\x00\x07\x00\x00\x01a", 2, Version::V5);
        assert_eq!(read, Ok((7, vec!["a".to_owned()])));
        assert!(read_unsubscribe(b"\xa2\x02\x00\x07", 2, Version::V4).is_err());
        assert!(read_unsubscribe(b"\xa2\x01\x00", 2, Version::V4).is_err());
    }

    /// The short forms that version 5 allows, and the long ones.
    #[test]
    fn disconnect_and_acks() {
        assert_eq!(read_disconnect(b"\xe0\x00", 2, Version::V4), Ok(()));
        assert_eq!(read_disconnect(b"\xe0\x01\x00", 2, Version::V5), Ok(()));
        assert_eq!(read_disconnect(b"\xe0\x07\x04\x05\x11\0\0\0\x05", 2, Version::V5), Ok(()));
        assert_eq!(read_disconnect(b"\xe0\x01\x00", 2, Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(read_disconnect(b"\xe0\x03\x00\x00\x00", 2, Version::V5), Err(Reason::MalformedPacket));
        let read = |body: &[u8], version| read_ack(PacketType::PubRel, body, version);
        assert_eq!(read(b"\x00\x05", Version::V4), Ok((5, false)));
        assert_eq!(read(b"\x00\x05\x92", Version::V5), Ok((5, true)));
        assert_eq!(read(b"\x00\x05\x00\x00", Version::V5), Ok((5, false)));
        assert_eq!(read(b"\x00\x05\x00\x01", Version::V5), Err(Reason::MalformedPacket));
        assert_eq!(read(b"\x00\x05\x00", Version::V4), Err(Reason::MalformedPacket));
        assert_eq!(read(b"\x00\x00", Version::V4), Err(Reason::ProtocolError));
        assert_eq!(read(b"\x00", Version::V4), Err(Reason::MalformedPacket));
    }

    /// What we send is what the standard draws, byte for byte.
    #[test]
    fn answers() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            out
        };
        let welcome = Welcome {
            receive_maximum: 0x80,
            packet_bytes_max: 0x10_0000,
            topic_alias_maximum: 8,
            assigned_client_id: Some("x".to_owned()),
        };
        let v4 = written(&|out| write_welcome(Version::V4, welcome.clone(), out));
        assert_eq!(v4, b"\x20\x02\x00\x00");
        let v5 = written(&|out| write_welcome(Version::V5, welcome.clone(), out));
        let mut expected = b"\x20\x1f\x00\x00\x1c\x11\0\0\0\0\x21\x00\x80\x25\x00\x27\x00\x10\x00\x00".to_vec();
        expected.extend(b"\x12\x00\x01x\x22\x00\x08\x28\x01\x29\x01\x2a\x00");
        assert_eq!(v5, expected);
        let results = [Ok(Qos::AtLeastOnce), Err(Reason::SharedSubscriptionsNotSupported)];
        assert_eq!(written(&|out| write_suback(Version::V4, 7, &results, out)), b"\x90\x04\x00\x07\x01\x80");
        assert_eq!(written(&|out| write_suback(Version::V5, 7, &results, out)), b"\x90\x05\x00\x07\x00\x01\x9e");
        assert_eq!(written(&|out| write_unsuback(Version::V4, 7, &[true], out)), b"\xb0\x02\x00\x07");
        let v5 = written(&|out| write_unsuback(Version::V5, 7, &[true, false], out));
        assert_eq!(v5, b"\xb0\x05\x00\x07\x00\x00\x11");
        let v5 = written(&|out| write_disconnect(Version::V5, Reason::SessionTakenOver, out));
        assert_eq!(v5, b"\xe0\x02\x8e\x00");
        assert!(written(&|out| write_disconnect(Version::V4, Reason::SessionTakenOver, out)).is_empty());
        let refusal = Reason::UnsupportedProtocolVersion;
        assert_eq!(written(&|out| write_refusal(Version::V4, refusal, out)), b"\x20\x02\x00\x01");
        assert_eq!(written(&|out| write_refusal(Version::V5, refusal, out)), b"\x20\x03\x00\x84\x00");
        let ack = |version, reason| written(&|out| write_ack(version, Ack::PubRec, 7, reason, out));
        assert_eq!(ack(Version::V5, Reason::Success), b"\x50\x02\x00\x07");
        assert_eq!(ack(Version::V5, Reason::QuotaExceeded), b"\x50\x03\x00\x07\x97");
    }
}
