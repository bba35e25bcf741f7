//! `tern produce`: a line of standard input becomes a record, acknowledged before the command ends.
//!
//! Lines are gathered into batches only while more of them wait, so that a person who types sees each one acknowledged.
//! Exit code 0 means that every line is in the log; otherwise the error says up to which line.

mod compress;
mod input;
mod sender;

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::time::{Duration, Instant};

use super::arguments::ProduceArguments;
use super::kafka::Cluster;
use super::topics::pair;
use input::Lines;
use sender::Sender;

/// Bytes of standard input that are looked at for more lines.
const INPUT_BYTES: usize = 64 * 1024;

/// A longer line is none: no batch takes it.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Between two words on how far it has got.
const PROGRESS: Duration = Duration::from_secs(1);

/// Reads standard input to its end.
pub fn run(arguments: &ProduceArguments) -> io::Result<()> {
    let headers: Vec<_> = arguments.header.iter().map(|text| pair("--header", text)).collect::<io::Result<_>>()?;
    let lines = Lines::new(arguments, &headers);
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    let mut topic = cluster.topic(&arguments.topic, true)?;
    topic.keep(arguments.partition)?;
    let mut sender = Sender::new(cluster, topic, arguments.compression)?;
    let result = send_all(&lines, &mut sender);
    if arguments.verbose {
        eprintln!("{} records acknowledged", sender.acknowledged());
    }
    result.map_err(|error| {
        let known = format!("{} records are acknowledged, later ones are not: {error}", sender.acknowledged());
        io::Error::new(error.kind(), known)
    })
}

fn send_all(lines: &Lines<'_>, sender: &mut Sender) -> io::Result<()> {
    let shows_progress = io::stderr().is_terminal() && !io::stdin().is_terminal();
    let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
    let (mut line, mut shown) = (Vec::new(), Instant::now());
    let mut result = Ok(());
    for number in 1u64.. {
        line.clear();
        if io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        result = lines.record(content, number).and_then(|record| sender.push(&record, number));
        if result.is_err() {
            break; // what is good before a bad line is sent nevertheless
        }
        if input.buffer().is_empty() {
            sender.flush()?;
        }
        if shows_progress && shown.elapsed() >= PROGRESS {
            eprint!("\r{} records acknowledged ", sender.acknowledged());
            shown = Instant::now();
        }
    }
    sender.flush()?;
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    result
}
