//! What consumers of the classic protocol say to each other through the coordinator: subscriptions and assignments.
//!
//! ```text
//! subscription  version i16, topics: count i32, names; user data: bytes; from version 1 on owned partitions as below;
//!               from version 2 on the generation i32; from version 3 on the rack, nullable string
//! assignment    version i16, count i32, each: topic string, count i32, partition i32; user data: bytes
//! ```
//!
//! Strings have a length of 16 bits, runs of bytes one of 32. Callers: `classic` and `migrate`.

use std::sync::Arc;

use super::metadata::Topics;
use super::partitions::{Partitions, TopicPartition};
use crate::types::{PartitionIndex, ReadError, Reader, Writer};

/// The newest version of an assignment that differs in nothing from version 0.
const ASSIGNMENT_VERSION_MAX: i16 = 3;

/// What a consumer subscribes to and reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Of the form.
    pub version: i16,
    /// Topics by name.
    pub topics: Vec<&'a str>,
    /// What it reads, of topics that exist.
    pub owned: Partitions,
    /// Where it is.
    pub rack: Option<&'a str>,
}

impl<'a> Subscription<'a> {
    /// Reads a member's metadata.
    pub fn decode(bytes: &'a [u8], topics: &dyn Topics) -> Result<Subscription<'a>, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        let count = count(&mut reader, 2)?;
        let names = (0..count).map(|_| text(&mut reader)).collect::<Result<_, _>>()?;
        let mut subscription = Subscription { version, topics: names, owned: Partitions::default(), rack: None };
        skip_bytes(&mut reader)?;
        if version >= 1 {
            subscription.owned = partitions(&mut reader, topics)?;
        }
        if version >= 2 {
            reader.i32()?;
        }
        if version >= 3 {
            subscription.rack = nullable(&mut reader)?;
        }
        Ok(subscription)
    }
}

/// Reads an assignment; nothing is one of nothing. Topics that do not exist are left out.
pub fn decode_assignment(bytes: &[u8], topics: &dyn Topics) -> Result<Partitions, ReadError> {
    if bytes.is_empty() {
        return Ok(Partitions::default());
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    partitions(&mut reader, topics)
}

/// Writes an assignment. Topics that do not exist any more are left out.
pub fn encode_assignment(version: i16, assigned: &Partitions, topics: &dyn Topics) -> Vec<u8> {
    let runs: Vec<(&Arc<str>, &[TopicPartition])> =
        assigned.by_topic().filter_map(|(id, run)| Some((topics.name(id)?, run))).collect();
    let mut out = Vec::with_capacity(16 + runs.iter().map(|(name, run)| 6 + name.len() + 4 * run.len()).sum::<usize>());
    let mut writer = Writer::new(&mut out);
    writer.i16(version.clamp(0, ASSIGNMENT_VERSION_MAX));
    writer.i32(runs.len() as i32);
    for (name, run) in runs {
        writer.i16(name.len().min(i16::MAX as usize) as i16); // names of topics are far shorter
        writer.raw(name.as_bytes());
        writer.i32(run.len() as i32);
        run.iter().for_each(|one| writer.i32(one.1.0));
    }
    writer.i32(-1);
    out
}

fn partitions(reader: &mut Reader<'_>, topics: &dyn Topics) -> Result<Partitions, ReadError> {
    let mut all = Vec::new();
    for _ in 0..count(reader, 6)? {
        let found = topics.find(text(reader)?);
        for _ in 0..count(reader, 4)? {
            let index = reader.i32()?;
            all.extend(
                found.filter(|(_, size)| (0..*size).contains(&index)).map(|(id, _)| (id, PartitionIndex(index))),
            );
        }
    }
    Ok(all.into_iter().collect())
}

/// A count that the rest can hold, each element being at least `bytes_min`.
fn count(reader: &mut Reader<'_>, bytes_min: usize) -> Result<usize, ReadError> {
    let count = usize::try_from(reader.i32()?).map_err(|_| ReadError::BadLength)?;
    if count.saturating_mul(bytes_min) > reader.remaining() { Err(ReadError::Truncated) } else { Ok(count) }
}

fn skip_bytes(reader: &mut Reader<'_>) -> Result<(), ReadError> {
    let length = reader.i32()?;
    reader.take(usize::try_from(length).unwrap_or(0)).map(|_| ())
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    nullable(reader)?.ok_or(ReadError::BadLength)
}

fn nullable<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, ReadError> {
    let Ok(length) = usize::try_from(reader.i16()?) else { return Ok(None) };
    std::str::from_utf8(reader.take(length)?).map(Some).map_err(|_| ReadError::BadText)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    struct One(Arc<str>);

    impl Topics for One {
        fn find(&self, name: &str) -> Option<(TopicId, i32)> {
            (*self.0 == *name).then_some((TopicId([1; 16]), 3))
        }

        fn name(&self, id: TopicId) -> Option<&Arc<str>> {
            (id == TopicId([1; 16])).then_some(&self.0)
        }

        fn each(&self, visit: &mut dyn FnMut(&Arc<str>)) {
            visit(&self.0);
        }
    }

    /// Subscriptions of every version are understood as far as they go; what does not exist is left out.
    #[test]
    fn subscriptions() {
        let topics = One("t".into());
        let mut bytes = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x01u".to_vec();
        bytes.extend(b"\0\0\0\x02\0\x01t\0\0\0\x02\0\0\0\x01\0\0\0\x09\0\x01x\0\0\0\x01\0\0\0\0");
        bytes.extend(b"\0\0\0\x05\0\x01r");
        let read = Subscription::decode(&bytes, &topics).unwrap();
        let owned: Partitions = [(TopicId([1; 16]), PartitionIndex(1))].into_iter().collect();
        assert_eq!(read, Subscription { version: 3, topics: vec!["t"], owned, rack: Some("r") });
        assert!((0..bytes.len()).all(|end| Subscription::decode(&bytes[..end], &topics).is_err()));
        let first = Subscription::decode(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff", &topics).unwrap();
        assert_eq!((first.topics, first.owned.len()), (vec!["t"], 0));
        assert!(Subscription::decode(b"\0\0\x7f\xff\xff\xff", &topics).is_err());
    }

    /// What is written as an assignment is read as one.
    #[test]
    fn assignments() {
        let topics = One("t".into());
        let own: Partitions = (0..3).map(|index| (TopicId([1; 16]), PartitionIndex(index))).collect();
        let gone: Partitions = [(TopicId([2; 16]), PartitionIndex(0))].into_iter().collect();
        let bytes = encode_assignment(1, &own.with(&gone), &topics);
        assert_eq!(decode_assignment(&bytes, &topics), Ok(own));
        assert_eq!(decode_assignment(b"", &topics), Ok(Partitions::default()));
        assert_eq!(encode_assignment(0, &Partitions::default(), &topics), b"\0\0\0\0\0\0\xff\xff\xff\xff");
        assert!(decode_assignment(&bytes[..bytes.len() - 6], &topics).is_err());
    }
}
