//! `tern consume`: prints the records of a topic, whatever codec they were compressed with, and follows it.

use std::io::{self, Write};
use std::time::Duration;

use super::arguments::{ConsumeArguments, Format};
use super::kafka::{Client, Fetched};
use super::topics;
use crate::record::{Batches, Record, open};
use crate::types::{Offset, PartitionIndex};

/// How long one fetch waits for something new.
const WAIT: Duration = Duration::from_millis(500);

/// Bound of one decompressed batch.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A partition and how far it was read.
struct Position {
    partition: PartitionIndex,
    next: Offset,
    /// Where to stop, when the command does not follow.
    end: Option<Offset>,
}

/// Prints until there is enough.
pub fn run(arguments: &ConsumeArguments) -> io::Result<()> {
    let mut client = Client::connect(&arguments.bootstrap.bootstrap)?;
    let mut positions = positions(&mut client, arguments)?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut scratch = Vec::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    while left > 0 {
        positions.retain(|position| position.end.is_none_or(|end| position.next < end));
        if positions.is_empty() {
            break;
        }
        let from: Vec<_> = positions.iter().map(|position| (position.partition, position.next)).collect();
        for (partition, fetched) in client.fetch(&arguments.topic, &from, WAIT)? {
            let name = format!("{}-{partition}", arguments.topic);
            let fetched = fetched.map_err(|code| io::Error::other(format!("{name}: {code}")))?;
            if let Some(position) = positions.iter_mut().find(|position| position.partition == partition) {
                let mut print = Printer { arguments, name: &name, left: &mut left, out: &mut out };
                print.batches(&fetched, position, &mut scratch)?;
            }
        }
        out.flush()?;
    }
    out.flush()
}

/// Where to begin in each partition.
fn positions(client: &mut Client, arguments: &ConsumeArguments) -> io::Result<Vec<Position>> {
    let topic = &arguments.topic;
    let mut partitions = topics::partitions(client, topic, false)?;
    if let Some(only) = arguments.partition {
        partitions.retain(|partition| partition.0 == only);
        if partitions.is_empty() {
            return Err(io::Error::other(format!("topic {topic} has no partition {only}")));
        }
    }
    let mut positions = Vec::new();
    for partition in partitions {
        let begin = client.offset_at(topic, partition, -2)?;
        let end = client.offset_at(topic, partition, -1)?;
        let next = match arguments.offset.as_str() {
            "beginning" => begin,
            "end" => end,
            text => match text.parse::<i64>() {
                Ok(back) if text.starts_with('-') => Offset(end.0.saturating_add(back)).max(begin),
                Ok(offset) => Offset(offset),
                Err(_) => {
                    let allowed = "beginning, end, an offset, or -N for the last N records";
                    return Err(io::Error::other(format!("--offset {text}: it is no place; allowed: {allowed}")));
                }
            },
        };
        positions.push(Position { partition, next, end: arguments.exit.then_some(end) });
    }
    Ok(positions)
}

/// Prints the records of one partition.
struct Printer<'a, W: Write> {
    arguments: &'a ConsumeArguments,
    name: &'a str,
    left: &'a mut u64,
    out: &'a mut W,
}

impl<W: Write> Printer<'_, W> {
    /// Prints whole batches and moves the position behind them.
    fn batches(&mut self, fetched: &Fetched<'_>, position: &mut Position, scratch: &mut Vec<u8>) -> io::Result<()> {
        let name = self.name;
        let damage = |error| io::Error::other(format!("{name}: {error}"));
        for batch in Batches::new(fetched.records) {
            let Ok(batch) = batch else { break }; // a part of a batch: it comes again, whole
            batch.check_crc().map_err(damage)?;
            if !batch.is_control() {
                for record in open(&batch, scratch, BATCH_BYTES_MAX).map_err(damage)? {
                    let record = record.map_err(damage)?;
                    if record.offset >= position.next
                        && *self.left > 0
                        && position.end.is_none_or(|end| record.offset < end)
                    {
                        self.record(position.partition, &record)?;
                        *self.left -= 1;
                    }
                }
            }
            position.next = position.next.max(batch.next_offset());
        }
        Ok(())
    }

    fn record(&mut self, partition: PartitionIndex, record: &Record<'_>) -> io::Result<()> {
        match self.arguments.format {
            Format::Value => self.out.write_all(record.value.unwrap_or_default())?,
            Format::Json => write!(self.out, "{}", json(&self.arguments.topic, partition, record))?,
        }
        self.out.write_all(b"\n")
    }
}

/// A record as one JSON object. Bytes that are not UTF-8 stand as `{"hex": "..."}`.
pub fn json(topic: &str, partition: PartitionIndex, record: &Record<'_>) -> serde_json::Value {
    let headers =
        record.headers.map(|header| serde_json::json!({"key": text(Some(header.key)), "value": text(header.value)}));
    serde_json::json!({
        "topic": topic,
        "partition": partition.0,
        "offset": record.offset.0,
        "timestamp": record.timestamp.0,
        "key": text(record.key),
        "value": text(record.value),
        "headers": headers.collect::<Vec<_>>(),
    })
}

fn text(bytes: Option<&[u8]>) -> serde_json::Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => serde_json::Value::Null,
        Some((Ok(text), _)) => text.into(),
        Some((Err(_), bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "hex": hex })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchView, NewRecord};
    use crate::types::{LeaderEpoch, Timestamp};

    /// Null stays null, text stays text, other bytes are shown without loss.
    #[test]
    fn json_of_a_record() {
        let mut builder = BatchBuilder::new(1024);
        let headers: [(&[u8], &[u8]); 1] = [(b"h", b"\xff\x00")];
        let record =
            NewRecord { timestamp: Timestamp(7), key: None, value: Some("gr\u{fc}n".as_bytes()), headers: &headers };
        builder.push(&record).unwrap();
        let bytes = builder.seal(Offset(5), LeaderEpoch(0));
        let batch = BatchView::parse(&bytes).unwrap();
        let mut scratch = Vec::new();
        let record = open(&batch, &mut scratch, 1024).unwrap().next().unwrap().unwrap();
        let expected = serde_json::json!({
            "topic": "t", "partition": 0, "offset": 5, "timestamp": 7, "key": null, "value": "gr\u{fc}n",
            "headers": [{"key": "h", "value": {"hex": "ff00"}}],
        });
        assert_eq!(json("t", PartitionIndex(0), &record), expected);
    }
}
