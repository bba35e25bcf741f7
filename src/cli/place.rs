//! Places in a topic as people write them: `beginning`, `end`, an offset, `-N`, `@TIME`.

use std::collections::BTreeMap;
use std::io;

use super::kafka::{Cluster, EARLIEST, LATEST, Topic};
use super::{moment, usage};
use crate::types::{Offset, PartitionIndex, Timestamp};

/// A place in each partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first record.
    Beginning,
    /// Behind the last record.
    End,
    /// An offset, the same in every partition.
    Offset(i64),
    /// So many records before the end, or at the first record when there are fewer.
    BeforeEnd(i64),
    /// The first record at or after a time, or the end.
    Time(Timestamp),
}

impl Place {
    /// Reads the value of an option; the error names both.
    pub fn parse(option: &str, text: &str) -> io::Result<Place> {
        let place = match text {
            "beginning" | "earliest" => Some(Place::Beginning),
            "end" | "latest" => Some(Place::End),
            _ => match (text.strip_prefix('@'), text.strip_prefix('-')) {
                (Some(time), _) => return Ok(Place::Time(time_of(option, time)?)),
                (None, Some(back)) => back.parse().ok().filter(|&back: &i64| back >= 0).map(Place::BeforeEnd),
                (None, None) => text.parse().ok().filter(|&offset: &i64| offset >= 0).map(Place::Offset),
            },
        };
        place.ok_or_else(|| {
            let allowed = "beginning, end, an offset, -N for N records before the end, or @TIME";
            usage(format!("{option} {text}: it is no place; allowed: {allowed}"))
        })
    }

    /// The offset in each partition of `topic` that has a leader.
    pub fn find(self, cluster: &mut Cluster, topic: &Topic) -> io::Result<BTreeMap<PartitionIndex, Offset>> {
        match self {
            Place::Beginning => cluster.offsets(topic, EARLIEST),
            Place::End => cluster.offsets(topic, LATEST),
            Place::Time(at) => cluster.offsets(topic, at.0),
            Place::Offset(offset) => {
                Ok(topic.partitions.iter().map(|partition| (partition.index, Offset(offset))).collect())
            }
            Place::BeforeEnd(back) => {
                let begin = cluster.offsets(topic, EARLIEST)?;
                let mut found = cluster.offsets(topic, LATEST)?;
                for (index, offset) in &mut found {
                    let first = begin.get(index).copied().unwrap_or_default();
                    *offset = Offset(offset.0.saturating_sub(back)).max(first);
                }
                Ok(found)
            }
        }
    }
}

/// Reads a time, the value of an option; the error names both.
pub fn time_of(option: &str, text: &str) -> io::Result<Timestamp> {
    moment::parse(text, moment::now())
        .filter(|at| at.0 >= 0)
        .ok_or_else(|| usage(format!("{option} {text}: it is no time; allowed: {}", moment::ALLOWED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every notation, and a sentence for everything else.
    #[test]
    fn notations() {
        let read = |text| Place::parse("--offset", text).map_err(|error| error.to_string());
        assert_eq!(read("beginning"), Ok(Place::Beginning));
        assert_eq!(read("latest"), Ok(Place::End));
        assert_eq!(read("17"), Ok(Place::Offset(17)));
        assert_eq!(read("-5"), Ok(Place::BeforeEnd(5)));
        assert_eq!(read("@86400000"), Ok(Place::Time(Timestamp(86_400_000))));
        assert_eq!(read("@1970-01-02"), Ok(Place::Time(Timestamp(86_400_000))));
        for wrong in ["", "-", "--5", "+5x", "middle", "-9223372036854775808"] {
            assert!(read(wrong).is_err_and(|sentence| sentence.starts_with("--offset")), "{wrong}");
        }
        assert!(read("@soon").is_err_and(|sentence| sentence.starts_with("--offset soon: it is no time")));
    }
}
