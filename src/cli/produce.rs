//! `tern produce`: a line of standard input becomes a record, acknowledged before the command ends.
//!
//! Lines are gathered into batches only while more of them wait, so that a person who types sees each one acknowledged.

use std::io::{self, BufRead, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use super::arguments::ProduceArguments;
use super::kafka::Client;
use super::topics;
use crate::record::{BatchBuilder, NewRecord, partition_of};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, Timestamp};

/// Bytes of standard input that are looked at for more lines.
const INPUT_BYTES: usize = 64 * 1024;

/// A batch is sent at this size; the longest line is a little shorter. Kafka's default for a record batch.
const BATCH_BYTES_MAX: usize = 1_048_588;

/// A batch is sent at this size when more lines wait.
const BATCH_BYTES_WANTED: usize = 256 * 1024;

/// Where the records go.
struct Producer<'a> {
    client: Client,
    topic: &'a str,
    partitions: Vec<PartitionIndex>,
    builders: Vec<BatchBuilder>,
    turn: usize,
}

/// Reads standard input to its end.
pub fn run(arguments: &ProduceArguments) -> io::Result<()> {
    let headers = headers(&arguments.header)?;
    let headers: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut client = Client::connect(&arguments.bootstrap.bootstrap)?;
    let mut partitions = topics::partitions(&mut client, &arguments.topic, true)?;
    if let Some(only) = arguments.partition {
        partitions.retain(|partition| partition.0 == only);
        if partitions.is_empty() {
            return Err(io::Error::other(format!("topic {} has no partition {only}", arguments.topic)));
        }
    }
    let builders = partitions.iter().map(|_| BatchBuilder::new(BATCH_BYTES_MAX)).collect();
    let mut producer = Producer { client, topic: &arguments.topic, partitions, builders, turn: 0 };
    let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        let (key, value) = split(content, arguments.key_separator.as_deref(), number)?;
        let record = NewRecord { timestamp: now(), key, value: Some(value), headers: &headers };
        producer.push(&record, number)?;
        if input.buffer().is_empty() {
            producer.flush()?;
        }
    }
    producer.flush()
}

fn headers(arguments: &[String]) -> io::Result<Vec<(String, String)>> {
    let header = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(io::Error::other(format!("--header {text}: there is no value; allowed: NAME=VALUE"))),
    };
    arguments.iter().map(header).collect()
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_1970.as_millis() as i64)
}

/// Key and value of a line.
fn split<'a>(line: &'a [u8], separator: Option<&str>, number: u64) -> io::Result<(Option<&'a [u8]>, &'a [u8])> {
    let Some(separator) = separator.map(str::as_bytes).filter(|separator| !separator.is_empty()) else {
        return Ok((None, line));
    };
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(at) => Ok((Some(&line[..at]), &line[at + separator.len()..])), // `at` is where a window of that length is
        None => Err(io::Error::other(format!("line {number} has no key: the separator is not in it"))),
    }
}

impl Producer<'_> {
    fn push(&mut self, record: &NewRecord<'_>, number: u64) -> io::Result<()> {
        let place = match record.key {
            Some(key) => partition_of(key, self.partitions.len() as u32).0 as usize,
            None => self.turn % self.partitions.len(),
        };
        if self.builders[place].push(record).is_err() {
            self.send(place)?;
            if self.builders[place].push(record).is_err() {
                return Err(io::Error::other(format!(
                    "line {number} is longer than a batch of {BATCH_BYTES_MAX} bytes"
                )));
            }
        }
        if self.builders[place].encoded_bytes() >= BATCH_BYTES_WANTED {
            self.send(place)?;
        }
        Ok(())
    }

    /// Sends what is gathered; the next records without a key go to another partition.
    fn flush(&mut self) -> io::Result<()> {
        for place in 0..self.partitions.len() {
            self.send(place)?;
        }
        self.turn += 1;
        Ok(())
    }

    fn send(&mut self, place: usize) -> io::Result<()> {
        if !self.builders[place].is_empty() {
            let batch = self.builders[place].seal(Offset(0), LeaderEpoch::NONE);
            self.client.produce(self.topic, self.partitions[place], &batch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first separator counts, and a line without one is an error that names it.
    #[test]
    fn keys() {
        assert_eq!(split(b"a:b:c", Some(":"), 1).unwrap(), (Some(&b"a"[..]), &b"b:c"[..]));
        assert_eq!(split(b"a:b", None, 1).unwrap(), (None, &b"a:b"[..]));
        assert_eq!(split(b"::v", Some("::"), 1).unwrap(), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(
            split(b"ab", Some(":"), 7).unwrap_err().to_string(),
            "line 7 has no key: the separator is not in it"
        );
    }
}
