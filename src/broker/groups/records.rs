//! Records of `__consumer_offsets`, in Kafka's own forms, so that Kafka's tools and monitors read them.
//!
//! ```text
//! offset key   version i16 (0, 1), group string, topic string, partition i32
//! offset value version i16 (3), offset i64, leader epoch i32, metadata string, committed at i64
//!              version i16 (1), offset i64, metadata string, committed at i64, expires at i64
//! group key    version i16 (2), group string
//! group value  version i16 (3), protocol type string, generation i32, protocol nullable string, leader nullable string,
//!              state since i64, members: count i32, each
//!                member id string, instance id nullable string, client id string, client host string,
//!                rebalance timeout i32, session timeout i32, subscription bytes, assignment bytes
//! ```
//!
//! Strings have a length of 16 bits, runs of bytes one of 32. Older values are read as well; newer ones are not.

use super::consumer::ConsumerKey;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, ReadError, Reader, Timestamp, Writer};

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;
/// The offset value that carries a time of expiry of its own.
const EXPIRING_VALUE_VERSION: i16 = 1;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A committed offset.
    Offset { group: &'a str, topic: &'a str, partition: PartitionIndex },
    /// A group's generation.
    Group { group: &'a str },
    /// Something of a consumer group.
    Consumer { group: &'a str, key: ConsumerKey<'a> },
}

/// A committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetValue<'a> {
    /// The next offset to read.
    pub offset: Offset,
    /// Of the record before it; `NONE` when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: &'a str,
    /// When.
    pub committed_at: Timestamp,
    /// When it is to be forgotten, if its client said so.
    pub expires_at: Option<Timestamp>,
}

/// A group's generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue<'a> {
    /// `consumer`, `connect`, ...; empty when the group has never had a member.
    pub protocol_type: &'a str,
    /// Its number.
    pub generation: i32,
    /// The selected assignor.
    pub protocol: Option<&'a str>,
    /// The leader's member id.
    pub leader: Option<&'a str>,
    /// When the state began; -1 when unknown.
    pub state_since: Timestamp,
    /// Who is in it.
    pub members: Vec<MemberValue<'a>>,
}

/// A member of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberValue<'a> {
    /// Given by the coordinator.
    pub member: &'a str,
    /// Given by the operator, for a static member.
    pub instance: Option<&'a str>,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it is.
    pub client_host: &'a str,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its metadata for the selected assignor.
    pub subscription: &'a [u8],
    /// What it reads.
    pub assignment: &'a [u8],
}

impl Key<'_> {
    /// The bytes of the key.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let mut writer = Writer::new(&mut out);
        match *self {
            Key::Offset { group, topic, partition } => {
                writer.i16(OFFSET_KEY_VERSION);
                put_text(&mut writer, group);
                put_text(&mut writer, topic);
                writer.i32(partition.0);
            }
            Key::Group { group } => {
                writer.i16(GROUP_KEY_VERSION);
                put_text(&mut writer, group);
            }
            Key::Consumer { group, key } => return key.encode(group),
        }
        out
    }

    /// Reads a key; `None` for one of a kind that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Option<Key<'_>>, ReadError> {
        let mut reader = Reader::new(bytes);
        Ok(match reader.i16()? {
            0 | OFFSET_KEY_VERSION => Some(Key::Offset {
                group: text(&mut reader)?,
                topic: text(&mut reader)?,
                partition: PartitionIndex(reader.i32()?),
            }),
            GROUP_KEY_VERSION => Some(Key::Group { group: text(&mut reader)? }),
            version => ConsumerKey::decode(version, &mut reader)?.map(|(group, key)| Key::Consumer { group, key }),
        })
    }
}

impl<'a> OffsetValue<'a> {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.metadata.len());
        let mut writer = Writer::new(&mut out);
        writer.i16(if self.expires_at.is_some() { EXPIRING_VALUE_VERSION } else { VALUE_VERSION });
        writer.i64(self.offset.0);
        if self.expires_at.is_none() {
            writer.i32(self.leader_epoch.0);
        }
        put_text(&mut writer, self.metadata);
        writer.i64(self.committed_at.0);
        if let Some(at) = self.expires_at {
            writer.i64(at.0);
        }
        out
    }

    /// Reads a value of any version up to 3.
    pub fn decode(bytes: &'a [u8]) -> Result<OffsetValue<'a>, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        if !(0..=VALUE_VERSION).contains(&version) {
            return Err(ReadError::BadLength);
        }
        let offset = Offset(reader.i64()?);
        let leader_epoch = if version >= 3 { LeaderEpoch(reader.i32()?) } else { LeaderEpoch::NONE };
        let metadata = text(&mut reader)?;
        let committed_at = Timestamp(reader.i64()?);
        let expires_at = if version == EXPIRING_VALUE_VERSION { Some(Timestamp(reader.i64()?)) } else { None };
        let expires_at = expires_at.filter(|at| at.0 >= 0);
        Ok(OffsetValue { offset, leader_epoch, metadata, committed_at, expires_at })
    }
}

impl<'a> GroupValue<'a> {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let mut writer = Writer::new(&mut out);
        writer.i16(VALUE_VERSION);
        put_text(&mut writer, self.protocol_type);
        writer.i32(self.generation);
        put_nullable(&mut writer, self.protocol);
        put_nullable(&mut writer, self.leader);
        writer.i64(self.state_since.0);
        writer.i32(self.members.len() as i32);
        for member in &self.members {
            put_text(&mut writer, member.member);
            put_nullable(&mut writer, member.instance);
            put_text(&mut writer, member.client_id);
            put_text(&mut writer, member.client_host);
            writer.i32(member.rebalance_timeout_ms);
            writer.i32(member.session_timeout_ms);
            put_bytes(&mut writer, member.subscription);
            put_bytes(&mut writer, member.assignment);
        }
        out
    }

    /// Reads a value of any version up to 3.
    pub fn decode(bytes: &'a [u8]) -> Result<GroupValue<'a>, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        if !(0..=VALUE_VERSION).contains(&version) {
            return Err(ReadError::BadLength);
        }
        let protocol_type = text(&mut reader)?;
        let generation = reader.i32()?;
        let protocol = nullable(&mut reader)?;
        let leader = nullable(&mut reader)?;
        let state_since = Timestamp(if version >= 2 { reader.i64()? } else { -1 });
        let count = usize::try_from(reader.i32()?).map_err(|_| ReadError::BadLength)?;
        if count > reader.remaining() {
            return Err(ReadError::Truncated);
        }
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(MemberValue::decode(&mut reader, version)?);
        }
        Ok(GroupValue { protocol_type, generation, protocol, leader, state_since, members })
    }
}

impl<'a> MemberValue<'a> {
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<MemberValue<'a>, ReadError> {
        let member = text(reader)?;
        let instance = if version >= 3 { nullable(reader)? } else { None };
        let client_id = text(reader)?;
        let client_host = text(reader)?;
        let rebalance_timeout_ms = if version >= 1 { Some(reader.i32()?) } else { None };
        let session_timeout_ms = reader.i32()?;
        Ok(MemberValue {
            member,
            instance,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: run(reader)?,
            assignment: run(reader)?,
        })
    }
}

/// Topics in the metadata of a member of protocol type `consumer`: version i16, count i32, names.
pub fn subscribed_topics(metadata: &[u8]) -> impl Iterator<Item = &str> {
    let mut reader = Reader::new(metadata);
    let _version = reader.i16();
    let count = reader.i32().unwrap_or(0).max(0);
    (0..count).map_while(move |_| text(&mut reader).ok())
}

fn put_text(writer: &mut Writer<'_>, text: &str) {
    // Texts come from requests and from these records, where lengths have 15 bits as well, or are cut before.
    let length = text.len().min(i16::MAX as usize);
    writer.i16(length as i16);
    writer.raw(text.as_bytes().get(..length).unwrap_or_default());
}

fn put_nullable(writer: &mut Writer<'_>, text: Option<&str>) {
    match text {
        Some(text) => put_text(writer, text),
        None => writer.i16(-1),
    }
}

fn put_bytes(writer: &mut Writer<'_>, bytes: &[u8]) {
    writer.i32(bytes.len() as i32);
    writer.raw(bytes);
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    nullable(reader)?.ok_or(ReadError::BadLength)
}

fn nullable<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, ReadError> {
    match reader.i16()? {
        -1 => Ok(None),
        length => {
            let bytes = reader.take(usize::try_from(length).map_err(|_| ReadError::BadLength)?)?;
            std::str::from_utf8(bytes).map(Some).map_err(|_| ReadError::BadText)
        }
    }
}

fn run<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
    reader.i32().and_then(|length| reader.take(usize::try_from(length).map_err(|_| ReadError::BadLength)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> GroupValue<'static> {
        let member = MemberValue {
            member: "c-1",
            instance: Some("i"),
            client_id: "c",
            client_host: "/127.0.0.1",
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            subscription: b"sub",
            assignment: b"assigned",
        };
        GroupValue {
            protocol_type: "consumer",
            generation: 7,
            protocol: Some("range"),
            leader: Some("c-1"),
            state_since: Timestamp(5),
            members: vec![member, MemberValue { member: "c-2", instance: None, ..member }],
        }
    }

    /// What is written is read back, and no shorter piece of it is taken for the whole.
    #[test]
    fn round_trip() {
        for key in [Key::Offset { group: "g", topic: "t", partition: PartitionIndex(3) }, Key::Group { group: "g" }] {
            let bytes = key.encode();
            assert_eq!(Key::decode(&bytes), Ok(Some(key)));
            assert!((0..bytes.len()).all(|end| Key::decode(&bytes[..end]).is_err()));
        }
        let plain = OffsetValue {
            offset: Offset(42),
            leader_epoch: LeaderEpoch(3),
            metadata: "note",
            committed_at: Timestamp(1_000),
            expires_at: None,
        };
        let expiring = OffsetValue { leader_epoch: LeaderEpoch::NONE, expires_at: Some(Timestamp(2_000)), ..plain };
        for value in [plain, expiring] {
            let bytes = value.encode();
            assert_eq!(OffsetValue::decode(&bytes), Ok(value));
            assert!((0..bytes.len()).all(|end| OffsetValue::decode(&bytes[..end]).is_err()));
        }
        let bytes = value().encode();
        assert_eq!(GroupValue::decode(&bytes), Ok(value()));
        assert!((0..bytes.len()).all(|end| GroupValue::decode(&bytes[..end]).is_err()));
    }

    /// The bytes are those of Kafka's own coordinator.
    #[test]
    fn kafka_bytes() {
        let key = Key::Offset { group: "g", topic: "to", partition: PartitionIndex(1) };
        assert_eq!(key.encode(), b"\0\x01\0\x01g\0\x02to\0\0\0\x01");
        assert_eq!(Key::Group { group: "g" }.encode(), b"\0\x02\0\x01g");
        let value = OffsetValue {
            offset: Offset(1),
            leader_epoch: LeaderEpoch(-1),
            metadata: "",
            committed_at: Timestamp(2),
            expires_at: None,
        };
        assert_eq!(value.encode(), b"\0\x03\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x02");
        assert_eq!(Key::decode(b"\0\x63whatever"), Ok(None), "a kind from the future is left alone");
    }

    /// The topics of a consumer's subscription; damaged metadata names none beyond the damage.
    #[test]
    fn subscriptions() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(subscribed_topics(metadata).collect::<Vec<_>>(), ["a", "bc"]);
        assert_eq!(subscribed_topics(&metadata[..10]).collect::<Vec<_>>(), ["a"]);
        assert_eq!(subscribed_topics(b"").count(), 0);
        assert_eq!(subscribed_topics(b"\0\x01\x7f\xff\xff\xff").count(), 0);
    }
}
