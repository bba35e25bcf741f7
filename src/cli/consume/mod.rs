//! `tern consume`: prints the records of a topic, whatever codec they were compressed with, and follows it.

mod format;
mod member;

use std::io::{self, Write};
use std::time::Duration;

use super::arguments::ConsumeArguments;
use super::kafka::{Cluster, LATEST, Position, Reader, Topic};
use super::place::Place;
use crate::types::PartitionIndex;
use format::Format;

pub use format::json;

/// How long one fetch waits for something new.
const WAIT: Duration = Duration::from_millis(500);

/// Prints until there is enough.
pub fn run(arguments: &ConsumeArguments) -> io::Result<()> {
    let format = Format::parse(&arguments.format, arguments.key_separator.as_deref())?;
    let place = arguments.offset.as_deref().map(|text| Place::parse("--offset", text)).transpose()?;
    let mut printer = Printer { topic: &arguments.topic, format, left: arguments.count.unwrap_or(u64::MAX) };
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    let mut topic = cluster.topic(&arguments.topic, false)?;
    topic.keep(arguments.partition)?;
    if let Some(group) = &arguments.group {
        return member::run(cluster, &topic, group, place, arguments.exit, &mut printer);
    }
    let positions = positions(&mut cluster, &topic, place.unwrap_or(Place::Beginning), arguments.exit)?;
    let mut reader = Reader::new(cluster, &arguments.topic, positions);
    while printer.left > 0 && !reader.is_done() {
        printer.poll(&mut reader)?;
    }
    Ok(())
}

/// Where to begin in each partition, and where to end when the command does not follow.
fn positions(cluster: &mut Cluster, topic: &Topic, place: Place, exit: bool) -> io::Result<Vec<Position>> {
    let ends = cluster.offsets(topic, LATEST)?;
    let found = place.find(cluster, topic)?.into_iter();
    let end = |partition: &PartitionIndex| ends.get(partition).copied().filter(|_| exit);
    Ok(found.map(|(partition, next)| Position { partition, next, end: end(&partition) }).collect())
}

/// Prints records until there are enough.
struct Printer<'a> {
    topic: &'a str,
    format: Format,
    left: u64,
}

impl Printer<'_> {
    /// Prints what one poll brings; it is on its way out when this returns.
    fn poll(&mut self, reader: &mut Reader) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        reader.poll(WAIT, &mut |partition, record| {
            if self.left == 0 {
                return Ok(false);
            }
            self.left -= 1;
            self.format.write(self.topic, partition, record, &mut out)?;
            Ok(true)
        })?;
        out.flush()
    }
}
