//! A segment: its batches, and the first byte from which nothing can be read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::super::consume::json;
use super::{Findings, entry};
use crate::quorum::LOG_DIR;
use crate::record::{BatchHeader, BatchView, HEADER_BYTES, open};
use crate::types::{Offset, PartitionIndex, crc32c};

/// A batch longer than this is none.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where the CRC's own bytes begin in a batch.
const CRC_START: usize = 21;

/// The base offset that a segment's or an index's name tells.
pub(super) fn base_offset(path: &Path) -> Option<Offset> {
    let stem = path.file_stem()?.to_str()?;
    let is_number = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    stem.parse().ok().filter(|_| is_number).map(Offset)
}

/// What the walk of a segment adds up.
struct Sums {
    position: u64,
    next: Offset,
    batches: u64,
    records: u64,
    /// Batches are entries of the quorum's log.
    is_quorum: bool,
}

/// Prints each batch.
pub(super) fn inspect(path: &Path, records: bool, findings: &mut Findings) -> io::Result<()> {
    let size = path.metadata()?.len();
    let mut input = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let is_quorum = path.parent().and_then(Path::file_name).is_some_and(|name| name == LOG_DIR);
    let next = base_offset(path).unwrap_or_default();
    let mut sums = Sums { position: 0, next, batches: 0, records: 0, is_quorum };
    let mut bytes = Vec::new();
    while sums.position < size {
        bytes.resize(HEADER_BYTES.min((size - sums.position) as usize), 0);
        input.read_exact(&mut bytes)?;
        let header = BatchHeader::parse(&bytes).map(|header| (header.total_bytes(), header.base_offset()));
        let total = match header {
            Ok((total, _)) if total <= BATCH_BYTES_MAX => total,
            Ok((total, _)) => {
                return tail(&sums, size, &mut input, &bytes, &format!("a batch of {total} bytes"), findings);
            }
            Err(error) => return tail(&sums, size, &mut input, &bytes, &error.to_string(), findings),
        };
        if sums.position + total as u64 > size {
            let reason = format!("the batch has {total} bytes, of which {} are there", size - sums.position);
            return tail(&sums, size, &mut input, &bytes, &reason, findings);
        }
        bytes.resize(total, 0);
        input.read_exact(&mut bytes[HEADER_BYTES..])?;
        if let Ok(batch) = BatchView::parse(&bytes) {
            print_batch(&batch, records, &mut sums, findings)?;
        }
        sums.position += total as u64;
    }
    println!("{} batches, {} records, next offset {}", sums.batches, sums.records, sums.next);
    Ok(())
}

fn print_batch(batch: &BatchView<'_>, records: bool, sums: &mut Sums, findings: &mut Findings) -> io::Result<()> {
    let position = sums.position;
    let codec = batch.codec().map_or("?", |codec| codec.name());
    let mut notes = String::new();
    if batch.has_producer() {
        let (id, epoch, sequence) = (batch.producer_id(), batch.producer_epoch(), batch.base_sequence());
        notes.push_str(&format!(" producer={id}/{epoch} sequence={sequence}"));
    }
    for (set, note) in [(batch.is_control(), " control"), (batch.is_transactional(), " transactional")] {
        notes.push_str(if set { note } else { "" });
    }
    println!(
        "  at {position}: offsets {} to {}, records={}, {} bytes, {codec}, epoch {}, time {}{notes}",
        batch.base_offset(),
        batch.last_offset(),
        batch.record_count(),
        batch.total_bytes(),
        batch.partition_leader_epoch(),
        batch.max_timestamp().0,
    );
    if batch.base_offset() < sums.next {
        findings.broken(format!("at {position}: offset {} comes after {}", batch.base_offset(), sums.next));
    }
    if batch.check_crc().is_err() {
        let computed = crc32c::crc32c(&batch.bytes()[CRC_START..]); // a batch has a header
        let stored = batch.crc();
        findings
            .broken(format!("at {position}: the CRC of the batch is {stored:#010x}, its bytes give {computed:#010x}"));
    } else if sums.is_quorum {
        match entry::line(batch) {
            Ok(line) => println!("    {line}"),
            Err(sentence) => findings.broken(format!("at {position}: {sentence}")),
        }
    } else {
        check_records(batch, records, position, findings);
    }
    sums.next = batch.next_offset();
    sums.batches += 1;
    sums.records += u64::from(batch.record_count());
    Ok(())
}

fn check_records(batch: &BatchView<'_>, print: bool, position: u64, findings: &mut Findings) {
    let mut scratch = Vec::new();
    let mut opened = match open(batch, &mut scratch, BATCH_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return findings.broken(format!("at {position}: {error}")),
    };
    for record in &mut opened {
        match record {
            Ok(record) if print => {
                let mut line = json("", PartitionIndex(0), &record);
                if let Some(object) = line.as_object_mut() {
                    object.remove("topic");
                    object.remove("partition");
                }
                println!("    {line}");
            }
            Ok(_) => {}
            Err(error) => findings.broken(format!("at {position}: {error}")),
        }
    }
}

/// What remains when no batch can be read any more: zeros that a power cut or preallocation left, or damage.
fn tail(
    sums: &Sums,
    size: u64,
    input: &mut impl Read,
    head: &[u8],
    reason: &str,
    findings: &mut Findings,
) -> io::Result<()> {
    let mut zeros = head.iter().all(|&byte| byte == 0);
    let mut chunk = vec![0; 64 * 1024];
    while zeros {
        let count = input.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        zeros = chunk.iter().take(count).all(|&byte| byte == 0);
    }
    println!("{} batches, {} records, next offset {}", sums.batches, sums.records, sums.next);
    let (position, left) = (sums.position, size - sums.position);
    if zeros {
        println!("from {position} on there are {left} bytes of zeros, which no batch has used yet");
    } else {
        findings.broken(format!("at {position}: {reason}; the last {left} bytes cannot be read"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, NewRecord};
    use crate::types::{LeaderEpoch, Timestamp};

    fn segment(batches: i64) -> Vec<u8> {
        let mut out = Vec::new();
        for offset in 0..batches {
            let mut builder = BatchBuilder::new(1024);
            builder.push(&NewRecord { timestamp: Timestamp(1), key: None, value: Some(b"v"), headers: &[] }).unwrap();
            out.extend_from_slice(&builder.seal(Offset(offset), LeaderEpoch(0)));
        }
        out
    }

    fn broken(name: &str, bytes: &[u8]) -> Vec<String> {
        let directory = std::env::temp_dir().join(format!("tern-inspect-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("00000000000000000000.log");
        std::fs::write(&path, bytes).unwrap();
        let mut findings = Findings::default();
        inspect(&path, true, &mut findings).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        findings.broken
    }

    /// A whole segment is whole, also with zeros behind it; a flipped bit, a cut and garbage are named with their place.
    #[test]
    fn damage() {
        let good = segment(3);
        let each = good.len() / 3;
        assert_eq!(broken("good", &good), Vec::<String>::new());
        assert_eq!(broken("empty", &[]), Vec::<String>::new());
        assert_eq!(broken("zeros", &[good.clone(), vec![0; 500]].concat()), Vec::<String>::new());
        let mut flipped = good.clone();
        flipped[each + 65] ^= 1;
        let found = broken("flipped", &flipped);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(&format!("at {each}: the CRC of the batch is ")), "{found:?}");
        let found = broken("cut", &good[..2 * each + 10]);
        assert!(
            found[0].starts_with(&format!("at {}: ", 2 * each))
                && found[0].ends_with("the last 10 bytes cannot be read"),
            "{found:?}"
        );
        let found = broken("garbage", &[good.clone(), vec![7; 100]].concat());
        assert!(found[0].contains("message format 7 is not supported"), "{found:?}");
        let found = broken("twice", &[good.clone(), segment(1)].concat());
        assert_eq!(found, [format!("at {}: offset 0 comes after 3", 3 * each)]);
    }

    /// Only names of 20 digits are segments.
    #[test]
    fn names() {
        assert_eq!(base_offset(Path::new("a/00000000000000000042.index")), Some(Offset(42)));
        assert_eq!(base_offset(Path::new("node.log")), None);
        assert_eq!(base_offset(Path::new("99999999999999999999.log")), None);
    }
}
