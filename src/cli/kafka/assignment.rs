//! The embedded protocol of consumer groups: subscriptions and assignments, which brokers carry without reading.
//!
//! Both begin with a version; what follows in later versions stands behind what is read here, so that it may be ignored.

use std::collections::BTreeMap;

use crate::types::{PartitionIndex, ReadError, Reader, Writer};

/// A partition of a topic.
pub type Place = (String, PartitionIndex);

/// A subscription: version 0, topics, no user data.
pub fn subscription(topic: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.i16(0);
    writer.i32(1);
    text(&mut writer, topic);
    writer.i32(-1);
    out
}

/// The topics of a subscription.
pub fn subscribed(bytes: &[u8]) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    let mut topics = Vec::new();
    for _ in 0..reader.i32()? {
        topics.push(name(&mut reader)?);
    }
    Ok(topics)
}

/// An assignment: version 0, topics with partitions, no user data.
pub fn assignment(places: &BTreeMap<String, Vec<PartitionIndex>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.i16(0);
    writer.i32(places.len() as i32);
    for (topic, partitions) in places {
        text(&mut writer, topic);
        writer.i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| writer.i32(partition.0));
    }
    writer.i32(-1);
    out
}

/// The partitions of an assignment.
pub fn assigned(bytes: &[u8]) -> Result<Vec<Place>, ReadError> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    let mut places = Vec::new();
    for _ in 0..reader.i32()? {
        let topic = name(&mut reader)?;
        for _ in 0..reader.i32()? {
            places.push((topic.clone(), PartitionIndex(reader.i32()?)));
        }
    }
    Ok(places)
}

/// Kafka's range assignor: of each topic every member that subscribed to it gets a run of partitions, the first ones one
/// more when it does not come out even. `members` are ids with topics, `partitions` counts.
pub fn range<'m>(
    members: &'m [(String, Vec<String>)],
    partitions: &BTreeMap<String, usize>,
) -> BTreeMap<&'m str, BTreeMap<String, Vec<PartitionIndex>>> {
    let mut assignments: BTreeMap<&str, BTreeMap<String, Vec<PartitionIndex>>> =
        members.iter().map(|(member, _)| (member.as_str(), BTreeMap::new())).collect();
    for (topic, &count) in partitions {
        let mut readers: Vec<&str> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member.as_str()).collect();
        readers.sort_unstable();
        let mut next = 0;
        for (turn, reader) in readers.iter().enumerate() {
            let share = count / readers.len() + usize::from(turn < count % readers.len());
            let run: Vec<PartitionIndex> = (next..next + share).map(|index| PartitionIndex(index as i32)).collect();
            next += share;
            if let Some(assignment) = assignments.get_mut(reader).filter(|_| share > 0) {
                assignment.insert(topic.clone(), run);
            }
        }
    }
    assignments
}

fn text(writer: &mut Writer<'_>, text: &str) {
    writer.u16(text.len() as u16); // names of topics are short
    writer.raw(text.as_bytes());
}

fn name(reader: &mut Reader<'_>) -> Result<String, ReadError> {
    let length = usize::from(reader.u16()?);
    Ok(String::from_utf8_lossy(reader.take(length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read; what is cut, or counts beyond its bytes, is an error.
    #[test]
    fn round_trip() {
        assert_eq!(subscribed(&subscription("t")).unwrap(), ["t"]);
        let places = BTreeMap::from([("t".to_owned(), vec![PartitionIndex(0), PartitionIndex(5)])]);
        let bytes = assignment(&places);
        let expected = vec![("t".to_owned(), PartitionIndex(0)), ("t".to_owned(), PartitionIndex(5))];
        assert_eq!(assigned(&bytes).unwrap(), expected);
        assert!(assigned(&bytes[..15]).is_err());
        assert!(assigned(b"\0\x01\x7f\xff\xff\xff").is_err());
        assert!(subscribed(b"\0\x01\x7f\xff\xff\xff").is_err());
    }

    /// Every partition has one reader among those who subscribed, and shares differ by one.
    #[test]
    fn ranges() {
        let subscriptions = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>();
        let members = [
            ("b".to_owned(), subscriptions(&["t", "u"])),
            ("a".to_owned(), subscriptions(&["t"])),
            ("c".to_owned(), subscriptions(&["v"])),
        ];
        let counts = BTreeMap::from([("t".to_owned(), 3), ("u".to_owned(), 1), ("v".to_owned(), 0)]);
        let assigned = range(&members, &counts);
        let of = |member: &str, topic: &str| assigned[member].get(topic).map_or(0, Vec::len);
        assert_eq!((of("a", "t"), of("b", "t"), of("b", "u"), of("c", "v")), (2, 1, 1, 0));
        assert_eq!(assigned["b"]["t"], [PartitionIndex(2)]);
    }
}
