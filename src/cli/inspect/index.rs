//! Offset index and time index, Kafka's formats: fixed entries, offsets relative to the segment's name, all ascending.
//!
//! ```text
//! offset index entry = relative offset u32, position u32
//! time index entry   = timestamp i64, relative offset u32
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Findings;
use super::segment::base_offset;
use crate::record::{BatchHeader, HEADER_BYTES};
use crate::types::{Offset, Reader};

/// Indexes are at most this large.
const INDEX_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(INDEX_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The entries of an index up to its unused, zeroed rest. The first entry may be all zero.
fn used(bytes: &[u8], entry_bytes: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let is_used = move |(number, entry): &(usize, &[u8])| *number == 0 || entry.iter().any(|&byte| byte != 0);
    bytes.chunks_exact(entry_bytes).enumerate().take_while(is_used)
}

fn check_length(bytes: &[u8], entry_bytes: usize, findings: &mut Findings) {
    let rest = bytes.len() % entry_bytes;
    if rest != 0 {
        findings.broken(format!("{} bytes are no whole number of entries: {rest} are left over", bytes.len()));
    }
}

/// Prints an offset index and compares each entry with the segment beside it.
pub(super) fn inspect_offsets(path: &Path, findings: &mut Findings) -> io::Result<()> {
    let bytes = read(path)?;
    let base = base_offset(path).unwrap_or_default();
    let segment = File::open(path.with_extension("log")).ok();
    check_length(&bytes, 8, findings);
    let mut last: Option<(u32, u32)> = None;
    let mut count = 0;
    for (number, entry) in used(&bytes, 8) {
        let mut reader = Reader::new(entry);
        let (Ok(relative), Ok(position)) = (reader.u32(), reader.u32()) else { break };
        let offset = base.plus(i64::from(relative));
        if last.is_some_and(|last| last.0 >= relative || last.1 >= position) {
            findings.broken(format!("entry {number}: offset {offset} at {position} does not ascend"));
        }
        if let Some(segment) = &segment
            && let Err(problem) = check_batch(segment, offset, u64::from(position))
        {
            findings.broken(format!("entry {number}: offset {offset} at {position}: {problem}"));
        }
        last = Some((relative, position));
        count += 1;
    }
    let until = last.map_or(base, |(relative, _)| base.plus(i64::from(relative)));
    println!("{count} entries, up to offset {until}");
    Ok(())
}

/// A batch that ends at or after `offset` must begin at `position`.
fn check_batch(segment: &File, offset: Offset, position: u64) -> Result<(), String> {
    let mut head = [0; HEADER_BYTES];
    segment.read_exact_at(&mut head, position).map_err(|_| "the segment is shorter".to_owned())?;
    let header = BatchHeader::parse(&head).map_err(|error| format!("no batch begins there: {error}"))?;
    let (first, last) = (header.base_offset(), header.last_offset());
    if (first..=last).contains(&offset) { Ok(()) } else { Err(format!("there are the offsets {first} to {last}")) }
}

/// Prints a time index.
pub(super) fn inspect_times(path: &Path, findings: &mut Findings) -> io::Result<()> {
    let bytes = read(path)?;
    let base = base_offset(path).unwrap_or_default();
    check_length(&bytes, 12, findings);
    let mut last: Option<(i64, u32)> = None;
    let mut count = 0;
    for (number, entry) in used(&bytes, 12) {
        let mut reader = Reader::new(entry);
        let (Ok(timestamp), Ok(relative)) = (reader.i64(), reader.u32()) else { break };
        if last.is_some_and(|last| last.0 > timestamp || last.1 > relative) {
            let offset = base.plus(i64::from(relative));
            findings.broken(format!("entry {number}: time {timestamp} of offset {offset} does not ascend"));
        }
        last = Some((timestamp, relative));
        count += 1;
    }
    let (timestamp, relative) = last.unwrap_or_default();
    println!("{count} entries, up to time {timestamp} of offset {}", base.plus(i64::from(relative)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unused entries are not counted; ascent and whole entries are checked.
    #[test]
    fn entries() {
        let directory = std::env::temp_dir().join(format!("tern-inspect-index-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("00000000000000000100.index");
        let entry = |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
        let check = |parts: &[Vec<u8>]| {
            std::fs::write(&path, parts.concat()).unwrap();
            let mut findings = Findings::default();
            inspect_offsets(&path, &mut findings).unwrap();
            findings.broken
        };
        assert_eq!(check(&[entry(1, 70), entry(5, 300), vec![0; 64]]), Vec::<String>::new());
        assert_eq!(check(&[entry(5, 70), entry(5, 300)]), ["entry 1: offset 105 at 300 does not ascend"]);
        assert_eq!(check(&[entry(5, 70), vec![1]]), ["9 bytes are no whole number of entries: 1 are left over"]);
        std::fs::write(path.with_extension("log"), [0; 100]).unwrap();
        let found = check(&[entry(1, 0)]);
        assert!(found[0].starts_with("entry 0: offset 101 at 0: no batch begins there: "), "{found:?}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
