//! `.tern/journal`: the rounds of the log directory's shared journal. The form is told in `log/journal.rs`.
//!
//! What is in it lies in segments as well; after a power cut a start copies it there again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Findings;
use crate::log::{BLOCK_BYTES, HALF_HEAD_BYTES, HalfHead, RECORD_HEAD_BYTES, RecordHead, parse_half_head};
use crate::types::crc32c;

/// The longest name of a log's directory.
const NAME_BYTES_MAX: usize = 255;

/// What is read of a payload at once.
const PART_BYTES: usize = 256 * 1024;

/// One half of the file.
struct Half<'a> {
    file: &'a File,
    start: u64,
    head: HalfHead,
}

/// A record that is whole.
struct Whole {
    name: String,
    line: String,
    bytes: u64,
    next: u64,
    round: u64,
}

/// Prints both halves: a line a log, or a line a record.
pub(super) fn inspect(path: &Path, records: bool, findings: &mut Findings) -> io::Result<()> {
    let file = File::open(path)?;
    let half_bytes = file.metadata()?.len() / 2;
    for number in 0..2 {
        let start = number * half_bytes;
        match parse_half_head(&read(&file, start, HALF_HEAD_BYTES)?) {
            Some(head) if head.half_bytes == half_bytes => {
                println!("  half {number}: generation {}, sequence numbers from {}", head.generation, head.sequence);
                print_half(&Half { file: &file, start, head }, records, findings)?;
            }
            Some(head) => {
                findings.broken(format!("half {number}: it is of a journal with halves of {} bytes", head.half_bytes))
            }
            None => println!("  half {number}: no header; it was being emptied, or was never used"),
        }
    }
    Ok(())
}

fn print_half(half: &Half<'_>, records: bool, findings: &mut Findings) -> io::Result<()> {
    let mut position = BLOCK_BYTES;
    let mut logs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    loop {
        let Some(record) = half.record(position)? else {
            match half.later(position)? {
                Some(later) => {
                    findings.broken(format!("at {}: nothing can be read up to {later}", half.start + position));
                    position = later;
                    continue;
                }
                None => break,
            }
        };
        if records {
            println!("    at {}: {}", half.start + position, record.line);
        }
        let sums = logs.entry(record.name).or_default();
        *sums = (sums.0 + 1, sums.1 + record.bytes);
        position = record.next;
    }
    for (name, (count, bytes)) in &logs {
        println!("    {name}: {count} records, {bytes} bytes");
    }
    if logs.is_empty() {
        println!("    empty");
    }
    Ok(())
}

impl Half<'_> {
    /// The record at a position of the half, if it is whole and of this use of the half.
    fn record(&self, position: u64) -> io::Result<Option<Whole>> {
        let bytes = read(self.file, self.start + position, RECORD_HEAD_BYTES + NAME_BYTES_MAX)?;
        let Some(head) = RecordHead::parse(&bytes) else { return Ok(None) };
        let from = position + head.bytes() as u64;
        let next = u64::from(head.next_position);
        let fits = from + u64::from(head.payload_bytes) <= next && next <= self.head.half_bytes && next > position;
        if head.generation != self.head.generation || !fits {
            return Ok(None);
        }
        let (mut crc, mut at, end) = (0, from, from + u64::from(head.payload_bytes));
        while at < end {
            let part = read(self.file, self.start + at, (end - at).min(PART_BYTES as u64) as usize)?;
            crc = crc32c::append(crc, &part);
            at += part.len().max(1) as u64;
        }
        let line = format!(
            "{} segment {} position {}: {} bytes, sequence {}",
            head.name, head.base, head.position, head.payload_bytes, head.sequence
        );
        let (name, round) = (head.name.to_owned(), u64::from(head.round_position));
        let whole = Whole { name, line, bytes: u64::from(head.payload_bytes), next, round };
        Ok((crc == head.payload_crc).then_some(whole))
    }

    /// Where a later round begins: then what is before it was damaged, and is no torn end.
    fn later(&self, position: u64) -> io::Result<Option<u64>> {
        let mut at = position.next_multiple_of(BLOCK_BYTES);
        while at < self.head.half_bytes {
            if self.record(at)?.is_some_and(|record| record.round > position) {
                return Ok(Some(at));
            }
            at += BLOCK_BYTES;
        }
        Ok(None)
    }
}

/// Bytes of a file, fewer at its end.
fn read(file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Offset, Writer};

    const HALF: u64 = 6 * BLOCK_BYTES;

    /// A journal whose first half holds a record of `payload` in each of three rounds.
    fn journal(payload: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file);
        writer.u64(u64::from_be_bytes(*b"TernJrn1"));
        writer.u64(HALF);
        writer.u64(7);
        writer.u64(1);
        let crc = crc32c::crc32c(&file);
        Writer::new(&mut file).u32(crc);
        for round in 1..4 {
            file.resize((round * BLOCK_BYTES) as usize, 0);
            let head = RecordHead {
                generation: 7,
                sequence: round,
                name: "t-0",
                base: Offset(0),
                position: round * 10,
                payload_bytes: payload.len() as u32,
                payload_crc: crc32c::crc32c(payload),
                next_position: ((round + 1) * BLOCK_BYTES) as u32,
                round_position: (round * BLOCK_BYTES) as u32,
            };
            head.render(&mut file);
            file.extend_from_slice(payload);
        }
        file.resize(2 * HALF as usize, 0);
        file
    }

    fn broken(name: &str, bytes: &[u8]) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("tern-inspect-journal-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let mut findings = Findings::default();
        inspect(&path, true, &mut findings).unwrap();
        std::fs::remove_file(&path).unwrap();
        findings.broken
    }

    /// A torn last round is no damage; a flipped bit with a whole round behind it is, and so is a cut file.
    #[test]
    fn damage() {
        let whole = journal(b"payload");
        assert_eq!(broken("whole", &whole), Vec::<String>::new());
        let payload_of = |round: u64| (round * BLOCK_BYTES) as usize + RECORD_HEAD_BYTES + 3;
        let mut torn = whole.clone();
        torn[payload_of(3)] ^= 1;
        assert_eq!(broken("torn", &torn), Vec::<String>::new());
        let mut rotten = whole.clone();
        rotten[payload_of(2)] ^= 1;
        assert_eq!(broken("rotten", &rotten), ["at 8192: nothing can be read up to 12288"]);
        assert_eq!(broken("cut", &whole[..100]), ["half 0: it is of a journal with halves of 24576 bytes"]);
        assert_eq!(broken("empty", b""), Vec::<String>::new());
    }
}
