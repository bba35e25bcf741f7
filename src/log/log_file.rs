//! `tern-checkpoint` in each log's directory: what Kafka's files have no place for.
//!
//! ```text
//! CRC-32C of what follows  u32
//! version                  u8   1, or 2 with what follows the next line
//! LogFile                  postcard
//! journal base             postcard, the first bases that the journal may name
//! ```
//!
//! Invariants: replaced atomically, therefore whole or absent; a log that has none was never opened by this program, so
//! that no record of the journal belongs to it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::types::{Offset, Timestamp, crc32c};

/// Its name.
pub const LOG_FILE: &str = "tern-checkpoint";
const VERSION: u8 = 1;
/// Of a log that was compacted.
const VERSION_WITH_BASE: u8 = 2;

/// The content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Journal records with a lower sequence number are of an earlier life of this log, or were cut from it.
    pub journal_floor: u64,
    /// What the broker knew of producers, and the offset up to which that holds.
    pub producer_snapshot: Option<(Offset, Vec<u8>)>,
    /// The log was being emptied, to start here: whoever opens it finishes that.
    pub restart_at: Option<Offset>,
    /// The log end offset when the times were noted.
    pub noted_end: Offset,
    /// Broker times of the first and last append of each segment, ascending by base offset.
    pub segments: Vec<(Offset, Timestamp, Timestamp)>,
    /// Journal records of segments with a lower base are void: compaction put other bytes in the place of those that they
    /// name. Segments below may have gaps of offsets between them.
    #[serde(skip)]
    pub journal_base: Offset,
}

impl LogFile {
    /// As bytes.
    pub fn render(&self) -> Bytes {
        let has_base = self.journal_base > Offset(0);
        let mut bytes = vec![0, 0, 0, 0, if has_base { VERSION_WITH_BASE } else { VERSION }];
        // a Vec takes any amount and every field has a form
        bytes = postcard::to_extend(self, bytes).unwrap_or_default();
        if has_base {
            bytes = postcard::to_extend(&self.journal_base, bytes).unwrap_or_default();
        }
        let crc = crc32c::crc32c(bytes.get(4..).unwrap_or_default());
        if let Some(head) = bytes.first_chunk_mut::<4>() {
            *head = crc.to_be_bytes();
        }
        Bytes::from(bytes)
    }

    /// From bytes; `None` when they are damaged.
    pub fn parse(bytes: &[u8]) -> Option<LogFile> {
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let (&version, body) = rest.split_first()?;
        if u32::from_be_bytes(*crc) != crc32c::crc32c(rest) {
            return None;
        }
        match version {
            VERSION => postcard::from_bytes(body).ok(),
            VERSION_WITH_BASE => {
                let (file, rest) = postcard::take_from_bytes::<LogFile>(body).ok()?;
                Some(LogFile { journal_base: postcard::from_bytes(rest).ok()?, ..file })
            }
            _ => None,
        }
    }

    /// When the segment that starts at `base` got its first and last batch.
    pub fn times(&self, base: Offset) -> Option<(Timestamp, Timestamp)> {
        let index = self.segments.binary_search_by_key(&base, |&(base, _, _)| base).ok()?;
        self.segments.get(index).map(|&(_, created, appended)| (created, appended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is rendered is read back; cut, flipped or empty bytes are not.
    #[test]
    fn round_trip() {
        let file = LogFile {
            journal_floor: 1 << 40,
            producer_snapshot: Some((Offset(9), vec![1, 2, 3])),
            restart_at: None,
            noted_end: Offset(60),
            segments: vec![(Offset(0), Timestamp(1), Timestamp(2)), (Offset(50), Timestamp(3), Timestamp(4))],
            journal_base: Offset(0),
        };
        let bytes = file.render();
        assert_eq!(LogFile::parse(&bytes).as_ref(), Some(&file));
        let written = [1, 128, 128, 128, 128, 128, 32, 1, 18, 3, 1, 2, 3, 0, 120, 2, 0, 2, 4, 100, 6, 8];
        assert_eq!(bytes[4..], written, "what is on the disks of others does not change");
        assert_eq!(file.times(Offset(50)), Some((Timestamp(3), Timestamp(4))));
        assert_eq!(file.times(Offset(1)), None);
        for end in 0..bytes.len() {
            assert_eq!(LogFile::parse(&bytes[..end]), None);
        }
        let compacted = LogFile { journal_base: Offset(50), ..file.clone() };
        assert_eq!(LogFile::parse(&compacted.render()), Some(compacted));
        let mut flipped = bytes.to_vec();
        flipped[6] ^= 1;
        assert_eq!(LogFile::parse(&flipped), None);
    }
}
