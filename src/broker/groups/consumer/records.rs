//! Records of `__consumer_offsets` about consumer groups, in Kafka's own forms.
//!
//! ```text
//! key                                              value, version i16 (0), then compact
//! 3   group                  group's epoch         epoch i32, tag 0: hash of the metadata i64
//! 5   group, member          what a member says    instance, rack (nullable), client id, client host, topics,
//!                                                  regex (nullable), rebalance timeout i32, assignor (nullable),
//!                                                  tag 0: session timeout i32, protocols (name, metadata)
//! 6   group                  assignment's epoch    epoch i32
//! 7   group, member          what it shall read    partitions by topic id
//! 8   group, member          what it reads         epoch i32, epoch before i32, state i8, assigned, to be revoked
//! 16  group, regex           what it means         topics, version i64, time i64
//! ```
//!
//! A null value is a tombstone. Key 4, the metadata itself, is of brokers before 4.1 and left alone.

use super::partitions::{Partitions, TopicPartition};
use crate::types::{PartitionIndex, ReadError, Reader, Timestamp, TopicId, Writer};

const GROUP: i16 = 3;
const MEMBER: i16 = 5;
const ASSIGNMENT: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;
const VALUE_VERSION: i16 = 0;
/// The tag of a group's hash and of a member's classic protocol.
const ONLY_TAG: u32 = 0;

/// What a record of a consumer group is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerKey<'a> {
    /// The group's epoch.
    Group,
    /// What a member says.
    Member(&'a str),
    /// The epoch of the target assignment.
    Assignment,
    /// A member's target assignment.
    Target(&'a str),
    /// What a member reads.
    Current(&'a str),
    /// The topics of a regular expression.
    Regex(&'a str),
}

impl<'a> ConsumerKey<'a> {
    /// The bytes of the key.
    pub fn encode(&self, group: &str) -> Vec<u8> {
        let (version, second) = match *self {
            ConsumerKey::Group => (GROUP, None),
            ConsumerKey::Member(member) => (MEMBER, Some(member)),
            ConsumerKey::Assignment => (ASSIGNMENT, None),
            ConsumerKey::Target(member) => (TARGET, Some(member)),
            ConsumerKey::Current(member) => (CURRENT, Some(member)),
            ConsumerKey::Regex(regex) => (REGEX, Some(regex)),
        };
        let mut out = Vec::with_capacity(8 + group.len() + second.map_or(0, str::len));
        let mut writer = Writer::new(&mut out);
        writer.i16(version);
        for text in std::iter::once(group).chain(second) {
            // Texts come from requests, where they are shorter, or from these records.
            let length = text.len().min(i16::MAX as usize);
            writer.i16(length as i16);
            writer.raw(text.as_bytes().get(..length).unwrap_or_default());
        }
        out
    }

    /// Reads a key after its version; `None` for one of a kind that this version does not know.
    pub fn decode(version: i16, reader: &mut Reader<'a>) -> Result<Option<(&'a str, ConsumerKey<'a>)>, ReadError> {
        if !matches!(version, GROUP | MEMBER..=CURRENT | REGEX) {
            return Ok(None);
        }
        let group = key_text(reader)?;
        let key = match version {
            GROUP => ConsumerKey::Group,
            MEMBER => ConsumerKey::Member(key_text(reader)?),
            ASSIGNMENT => ConsumerKey::Assignment,
            TARGET => ConsumerKey::Target(key_text(reader)?),
            CURRENT => ConsumerKey::Current(key_text(reader)?),
            _ => ConsumerKey::Regex(key_text(reader)?),
        };
        Ok(Some((group, key)))
    }
}

/// A group's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEpochValue {
    /// Raised whenever who shall read what must be thought over.
    pub epoch: i32,
    /// Of the topics that the group subscribes to; 0 when unknown.
    pub hash: i64,
}

/// A session timeout, and assignors with a member's metadata for each.
pub type ClassicValue<'a> = (i32, Vec<(&'a str, &'a [u8])>);

/// What a member says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberValue<'a> {
    /// Of a static member.
    pub instance: Option<&'a str>,
    /// Where it is.
    pub rack: Option<&'a str>,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Its address.
    pub client_host: &'a str,
    /// Topics by name.
    pub topics: Vec<&'a str>,
    /// And by regular expression.
    pub regex: Option<&'a str>,
    /// How long it may take to revoke.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it would like.
    pub assignor: Option<&'a str>,
    /// When it speaks the classic protocol: session timeout, and assignors with its metadata for each.
    pub classic: Option<ClassicValue<'a>>,
}

/// What a member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentValue {
    /// Its epoch.
    pub epoch: i32,
    /// Its epoch before that.
    pub previous_epoch: i32,
    /// 0 stable, 1 unrevoked, 2 unreleased partitions.
    pub state: i8,
    /// What it reads.
    pub assigned: Partitions,
    /// What it must give up.
    pub revoking: Partitions,
}

/// What a regular expression means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexValue<'a> {
    /// The topics that it matches.
    pub topics: Vec<&'a str>,
    /// Of the metadata that it was matched with.
    pub version: i64,
    /// When.
    pub at: Timestamp,
}

impl GroupEpochValue {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        value(|writer| {
            writer.i32(self.epoch);
            if self.hash == 0 {
                return writer.unsigned_varint(0);
            }
            [1, ONLY_TAG, 8].into_iter().for_each(|number| writer.unsigned_varint(number));
            writer.i64(self.hash);
        })
    }

    /// Reads a value.
    pub fn decode(bytes: &[u8]) -> Result<GroupEpochValue, ReadError> {
        let mut reader = reader_of(bytes)?;
        let epoch = reader.i32()?;
        let hash = only_tag(&mut reader)?.map_or(Ok(0), |bytes| Reader::new(bytes).i64())?;
        Ok(GroupEpochValue { epoch, hash })
    }
}

impl<'a> ConsumerMemberValue<'a> {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        value(|writer| {
            put_text(writer, self.instance);
            put_text(writer, self.rack);
            put_text(writer, Some(self.client_id));
            put_text(writer, Some(self.client_host));
            put_count(writer, self.topics.len());
            self.topics.iter().for_each(|topic| put_text(writer, Some(topic)));
            put_text(writer, self.regex);
            writer.i32(self.rebalance_timeout_ms);
            put_text(writer, self.assignor);
            let Some((session_timeout_ms, protocols)) = &self.classic else { return writer.unsigned_varint(0) };
            let mut classic = Vec::new();
            let mut inner = Writer::new(&mut classic);
            inner.i8(1); // it is there
            inner.i32(*session_timeout_ms);
            put_count(&mut inner, protocols.len());
            for (name, metadata) in protocols {
                put_text(&mut inner, Some(name));
                put_count(&mut inner, metadata.len());
                inner.raw(metadata);
                inner.unsigned_varint(0);
            }
            inner.unsigned_varint(0);
            [1, ONLY_TAG, classic.len() as u32].into_iter().for_each(|number| writer.unsigned_varint(number));
            writer.raw(&classic);
        })
    }

    /// Reads a value.
    pub fn decode(bytes: &'a [u8]) -> Result<ConsumerMemberValue<'a>, ReadError> {
        let mut reader = reader_of(bytes)?;
        let reader = &mut reader;
        let mut member = ConsumerMemberValue {
            instance: nullable(reader)?,
            rack: nullable(reader)?,
            client_id: text(reader)?,
            client_host: text(reader)?,
            topics: texts(reader)?,
            regex: nullable(reader)?,
            rebalance_timeout_ms: reader.i32()?,
            assignor: nullable(reader)?,
            classic: None,
        };
        member.classic = match only_tag(reader)? {
            Some(bytes) => classic(&mut Reader::new(bytes))?,
            None => None,
        };
        Ok(member)
    }
}

impl CurrentValue {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        value(|writer| {
            writer.i32(self.epoch);
            writer.i32(self.previous_epoch);
            writer.i8(self.state);
            put_partitions(writer, &self.assigned);
            put_partitions(writer, &self.revoking);
            writer.unsigned_varint(0);
        })
    }

    /// Reads a value.
    pub fn decode(bytes: &[u8]) -> Result<CurrentValue, ReadError> {
        let mut reader = reader_of(bytes)?;
        Ok(CurrentValue {
            epoch: reader.i32()?,
            previous_epoch: reader.i32()?,
            state: reader.i8()?,
            assigned: partitions(&mut reader)?,
            revoking: partitions(&mut reader)?,
        })
    }
}

impl<'a> RegexValue<'a> {
    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        value(|writer| {
            put_count(writer, self.topics.len());
            self.topics.iter().for_each(|topic| put_text(writer, Some(topic)));
            writer.i64(self.version);
            writer.i64(self.at.0);
            writer.unsigned_varint(0);
        })
    }

    /// Reads a value.
    pub fn decode(bytes: &'a [u8]) -> Result<RegexValue<'a>, ReadError> {
        let mut reader = reader_of(bytes)?;
        let topics = texts(&mut reader)?;
        Ok(RegexValue { topics, version: reader.i64()?, at: Timestamp(reader.i64()?) })
    }
}

/// The value of key 6: the epoch of the target assignment.
pub fn encode_assignment_epoch(epoch: i32) -> Vec<u8> {
    value(|writer| {
        writer.i32(epoch);
        writer.unsigned_varint(0);
    })
}

/// Reads it.
pub fn decode_assignment_epoch(bytes: &[u8]) -> Result<i32, ReadError> {
    reader_of(bytes)?.i32()
}

/// The value of key 7: what a member shall read.
pub fn encode_target(target: &Partitions) -> Vec<u8> {
    value(|writer| {
        put_partitions(writer, target);
        writer.unsigned_varint(0);
    })
}

/// Reads it.
pub fn decode_target(bytes: &[u8]) -> Result<Partitions, ReadError> {
    partitions(&mut reader_of(bytes)?)
}

fn value(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut out);
    writer.i16(VALUE_VERSION);
    write(&mut writer);
    out
}

fn reader_of(bytes: &[u8]) -> Result<Reader<'_>, ReadError> {
    let mut reader = Reader::new(bytes);
    // Later versions append fields: what is known stands first in all of them.
    if reader.i16()? < VALUE_VERSION { Err(ReadError::BadLength) } else { Ok(reader) }
}

fn put_count(writer: &mut Writer<'_>, count: usize) {
    writer.unsigned_varint((count as u32).saturating_add(1));
}

fn put_text(writer: &mut Writer<'_>, text: Option<&str>) {
    let Some(text) = text else { return writer.unsigned_varint(0) };
    put_count(writer, text.len());
    writer.raw(text.as_bytes());
}

fn put_partitions(writer: &mut Writer<'_>, partitions: &Partitions) {
    put_count(writer, partitions.by_topic().count());
    for (topic, run) in partitions.by_topic() {
        writer.raw(&topic.0);
        put_count(writer, run.len());
        run.iter().for_each(|one| writer.i32(one.1.0));
        writer.unsigned_varint(0);
    }
}

/// A count that the rest of the value can hold, each element being at least `bytes_min`.
fn count(reader: &mut Reader<'_>, bytes_min: usize) -> Result<usize, ReadError> {
    let count = (reader.unsigned_varint()? as usize).checked_sub(1).ok_or(ReadError::BadLength)?;
    if count.saturating_mul(bytes_min) > reader.remaining() { Err(ReadError::Truncated) } else { Ok(count) }
}

/// A text of a key: with a length of 16 bits.
fn key_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    let length = usize::try_from(reader.i16()?).map_err(|_| ReadError::BadLength)?;
    std::str::from_utf8(reader.take(length)?).map_err(|_| ReadError::BadText)
}

fn nullable<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, ReadError> {
    match reader.unsigned_varint()? {
        0 => Ok(None),
        length => {
            let bytes = reader.take(length as usize - 1)?;
            std::str::from_utf8(bytes).map(Some).map_err(|_| ReadError::BadText)
        }
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    nullable(reader)?.ok_or(ReadError::BadLength)
}

fn texts<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a str>, ReadError> {
    let count = count(reader, 1)?;
    (0..count).map(|_| text(reader)).collect()
}

fn partitions(reader: &mut Reader<'_>) -> Result<Partitions, ReadError> {
    let mut all: Vec<TopicPartition> = Vec::new();
    for _ in 0..count(reader, 16)? {
        let topic = TopicId(reader.array()?);
        for _ in 0..count(reader, 4)? {
            all.push((topic, PartitionIndex(reader.i32()?)));
        }
        skip_tags(reader)?;
    }
    Ok(all.into_iter().collect())
}

fn classic<'a>(reader: &mut Reader<'a>) -> Result<Option<ClassicValue<'a>>, ReadError> {
    if reader.i8()? < 0 {
        return Ok(None);
    }
    let session_timeout_ms = reader.i32()?;
    let mut protocols = Vec::new();
    for _ in 0..count(reader, 3)? {
        let name = text(reader)?;
        let length = count(reader, 1)?;
        protocols.push((name, reader.take(length)?));
        skip_tags(reader)?;
    }
    Ok(Some((session_timeout_ms, protocols)))
}

/// The value of tag 0, if it is there.
fn only_tag<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, ReadError> {
    let mut found = None;
    for _ in 0..reader.unsigned_varint()? {
        let tag = reader.unsigned_varint()?;
        let size = reader.unsigned_varint()?;
        let bytes = reader.take(size as usize)?;
        found = if tag == ONLY_TAG { Some(bytes) } else { found };
    }
    Ok(found)
}

fn skip_tags(reader: &mut Reader<'_>) -> Result<(), ReadError> {
    only_tag(reader).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(partitions: &[(u8, i32)]) -> Partitions {
        partitions.iter().map(|&(topic, index)| (TopicId([topic; 16]), PartitionIndex(index))).collect()
    }

    fn every_cut<T: PartialEq + std::fmt::Debug>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, ReadError>) {
        for end in 0..bytes.len() {
            let _ = read(&bytes[..end]); // an error or less than there was, never a panic
        }
        assert!(read(&bytes[..bytes.len().min(3)]).is_err());
    }

    /// What is written is read back; cut anywhere it does no harm.
    #[test]
    fn round_trip() {
        let keys = [
            ConsumerKey::Group,
            ConsumerKey::Member("m"),
            ConsumerKey::Assignment,
            ConsumerKey::Target("m"),
            ConsumerKey::Current("m"),
            ConsumerKey::Regex("a.*"),
        ];
        for key in keys {
            let bytes = key.encode("g");
            let mut reader = Reader::new(&bytes);
            let version = reader.i16().unwrap();
            assert_eq!(ConsumerKey::decode(version, &mut reader), Ok(Some(("g", key))));
            for end in 2..bytes.len() {
                assert!(ConsumerKey::decode(version, &mut Reader::new(&bytes[2..end])).is_err());
            }
        }
        let epoch = GroupEpochValue { epoch: 7, hash: -3 };
        assert_eq!(GroupEpochValue::decode(&epoch.encode()), Ok(epoch));
        every_cut(&epoch.encode(), GroupEpochValue::decode);
        let mut member = ConsumerMemberValue {
            instance: Some("i"),
            rack: None,
            client_id: "c",
            client_host: "/127.0.0.1",
            topics: vec!["a", "b"],
            regex: Some("x.*"),
            rebalance_timeout_ms: 300_000,
            assignor: Some("range"),
            classic: Some((45_000, vec![("range", b"meta"), ("sticky", b"")])),
        };
        assert_eq!(ConsumerMemberValue::decode(&member.encode()), Ok(member.clone()));
        every_cut(&member.encode(), |bytes| ConsumerMemberValue::decode(bytes).map(|_| ()));
        member.classic = None;
        assert_eq!(ConsumerMemberValue::decode(&member.encode()), Ok(member));
        let current = CurrentValue {
            epoch: 5,
            previous_epoch: 4,
            state: 1,
            assigned: set(&[(1, 0), (1, 2), (2, 0)]),
            revoking: set(&[(1, 1)]),
        };
        assert_eq!(CurrentValue::decode(&current.encode()), Ok(current.clone()));
        every_cut(&current.encode(), CurrentValue::decode);
        assert_eq!(decode_target(&encode_target(&current.assigned)), Ok(current.assigned));
        assert_eq!(decode_assignment_epoch(&encode_assignment_epoch(9)), Ok(9));
        let regex = RegexValue { topics: vec!["a"], version: 3, at: Timestamp(5) };
        assert_eq!(RegexValue::decode(&regex.encode()), Ok(regex));
    }

    /// The bytes are those of Kafka's own coordinator.
    #[test]
    fn kafka_bytes() {
        assert_eq!(ConsumerKey::Target("m").encode("g"), b"\0\x07\0\x01g\0\x01m");
        assert_eq!(GroupEpochValue { epoch: 2, hash: 0 }.encode(), b"\0\0\0\0\0\x02\0");
        assert_eq!(encode_target(&set(&[(9, 1)])), [&b"\0\0\x02"[..], &[9; 16], b"\x02\0\0\0\x01\0\0"].concat());
        let current = CurrentValue {
            epoch: 1,
            previous_epoch: 0,
            state: 0,
            assigned: Partitions::default(),
            revoking: Partitions::default(),
        };
        assert_eq!(current.encode(), b"\0\0\0\0\0\x01\0\0\0\0\0\x01\x01\0");
    }

    /// Counts that no value can hold are refused before anything is allocated.
    #[test]
    fn hostile_counts() {
        assert!(decode_target(b"\0\0\xff\xff\xff\xff\x0f").is_err());
        assert!(RegexValue::decode(b"\0\0\xff\xff\xff\xff\x0f").is_err());
        assert!(decode_target(b"\0\0\0").is_err(), "null where there must be something");
    }
}
