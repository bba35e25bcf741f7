//! The shared journal: its form on the disk, and which half takes the next records.
//!
//! Rounds over many segments are made durable by one sync of this file instead of one sync a segment; the segments get
//! the same bytes unsynced and are synced when a half is full. After a power cut the records are copied to their places
//! again, which changes nothing where they arrived.
//!
//! ```text
//! file        half 0, half 1; the file is allocated once
//! half        header block, then rounds, each from a block's start to a block's end; zeros when there is none
//! header      magic u64 | half bytes u64 | generation u64 | next sequence u64 | CRC-32C of those u32
//! round       records, one after the other, then zeros
//! record      magic u32 | CRC-32C of what follows up to the payload u32 | generation u64 | sequence u64
//!             | segment base i64 | position u64 | payload bytes u32 | CRC-32C of the payload u32
//!             | next record's position u32 | position of its round u32 | name bytes u16 | name | payload
//! ```
//!
//! Invariants:
//! * A half is emptied by stamping a higher generation on its header, durably, after every segment that its records
//!   name was synced and before its first new record is written: a record of another generation than its header's is
//!   none. So no record of an earlier use is ever taken for one of this use.
//! * Halves are used in the order of their generations, and replayed in it.
//! * Sequence numbers ascend for ever; the headers remember them when the records are gone. A log that is created, cut or restarted notes the next one as its floor, durably
//!   and first (`log_file`); replay ignores a log's records below its floor, and those of a directory without a floor. So
//!   no record brings back what was cut or deleted, however old the journal.
//! * What remains above a floor was only ever appended, hence a replay writes what is or was there.
//! * Blocks are written once in a generation: a torn write never harms an acknowledged record in its neighbourhood.

use crate::effect::JournalPlace;
use crate::types::{Offset, Reader, Writer, crc32c};

/// Alignment of rounds: a page, and no smaller than what a card writes at once.
pub const BLOCK_BYTES: u64 = 4096;

/// Bytes of a record before the name.
pub const RECORD_HEAD_BYTES: usize = 58;

/// Bytes of a half's header.
pub const HALF_HEAD_BYTES: usize = 36;

const HALF_MAGIC: u64 = u64::from_be_bytes(*b"TernJrn1");
const RECORD_MAGIC: u32 = u32::from_be_bytes(*b"TJR1");

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHead<'a> {
    pub generation: u64,
    pub sequence: u64,
    /// The log's directory.
    pub name: &'a str,
    pub base: Offset,
    pub position: u64,
    pub payload_bytes: u32,
    pub payload_crc: u32,
    /// From the start of the half.
    pub next_position: u32,
    /// From the start of the half: where the round of this record began.
    pub round_position: u32,
}

impl<'a> RecordHead<'a> {
    /// Bytes of head and name.
    pub fn bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.name.len()
    }

    /// Appends head and name to `out`.
    pub fn render(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut writer = Writer::new(out);
        writer.u32(RECORD_MAGIC);
        writer.u32(0);
        writer.u64(self.generation);
        writer.u64(self.sequence);
        writer.i64(self.base.0);
        writer.u64(self.position);
        writer.u32(self.payload_bytes);
        writer.u32(self.payload_crc);
        writer.u32(self.next_position);
        writer.u32(self.round_position);
        writer.u16(self.name.len() as u16);
        writer.raw(self.name.as_bytes());
        let crc = crc32c::crc32c(&out[start + 8..]);
        Writer::new(out).patch_i32(start + 4, crc as i32);
    }

    /// Reads head and name; `None` for anything that `render` did not write.
    pub fn parse(bytes: &'a [u8]) -> Option<RecordHead<'a>> {
        let mut reader = Reader::new(bytes);
        if reader.u32().ok()? != RECORD_MAGIC {
            return None;
        }
        let crc = reader.u32().ok()?;
        let checked = reader.rest();
        let mut head = RecordHead {
            generation: reader.u64().ok()?,
            sequence: reader.u64().ok()?,
            name: "",
            base: Offset(reader.i64().ok()?),
            position: reader.u64().ok()?,
            payload_bytes: reader.u32().ok()?,
            payload_crc: reader.u32().ok()?,
            next_position: reader.u32().ok()?,
            round_position: reader.u32().ok()?,
        };
        let name_bytes = reader.u16().ok()? as usize;
        let name = reader.take(name_bytes).ok()?;
        if crc32c::crc32c(checked.get(..RECORD_HEAD_BYTES - 8 + name_bytes)?) != crc {
            return None;
        }
        head.name = std::str::from_utf8(name).ok()?;
        Some(head)
    }
}

/// The header of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfHead {
    pub half_bytes: u64,
    pub generation: u64,
    /// Above every sequence number that was given when the half was emptied.
    pub sequence: u64,
}

/// As bytes.
pub(super) fn render_half_head(head: &HalfHead) -> Vec<u8> {
    let mut out = Vec::with_capacity(HALF_HEAD_BYTES);
    let mut writer = Writer::new(&mut out);
    writer.u64(HALF_MAGIC);
    writer.u64(head.half_bytes);
    writer.u64(head.generation);
    writer.u64(head.sequence);
    let crc = crc32c::crc32c(&out);
    Writer::new(&mut out).u32(crc);
    out
}

/// From bytes; `None` for anything that `render_half_head` did not write.
pub fn parse_half_head(bytes: &[u8]) -> Option<HalfHead> {
    let mut reader = Reader::new(bytes);
    if reader.u64().ok()? != HALF_MAGIC {
        return None;
    }
    let head =
        HalfHead { half_bytes: reader.u64().ok()?, generation: reader.u64().ok()?, sequence: reader.u64().ok()? };
    let crc = crc32c::crc32c(bytes.get(..HALF_HEAD_BYTES - 4)?);
    (reader.u32().ok()? == crc).then_some(head)
}

/// Room that a round takes: `records` are name and payload bytes.
pub(super) fn round_bytes(records: impl Iterator<Item = (usize, usize)>) -> u64 {
    let bytes: u64 = records.map(|(name, payload)| (RECORD_HEAD_BYTES + name + payload) as u64).sum();
    bytes.next_multiple_of(BLOCK_BYTES)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// Empty and stamped.
    Ready,
    /// Taking rounds.
    Active,
    /// Waits for its segments to be synced.
    Full,
    /// They are being synced, and it stamped.
    Emptying,
}

/// Which half takes the next round.
#[derive(Debug)]
pub(super) struct Journal {
    half_bytes: u64,
    halves: [(Half, u64); 2],
    active: usize,
    position: u64,
    sequence: u64,
}

impl Journal {
    /// A journal that takes nothing, until `ready`.
    pub fn none() -> Journal {
        Journal { half_bytes: 0, halves: [(Half::Full, 0); 2], active: 0, position: BLOCK_BYTES, sequence: 1 }
    }

    /// Both halves are empty under these generations.
    pub fn ready(&mut self, half_bytes: u64, generations: [u64; 2], sequence: u64) {
        self.half_bytes = half_bytes;
        self.halves = generations.map(|generation| (Half::Ready, generation));
        self.active = (generations[1] < generations[0]) as usize;
        self.halves[self.active].0 = Half::Active;
        self.position = BLOCK_BYTES;
        self.learn_sequence(sequence);
    }

    /// The next sequence number: the floor of a log that begins anew now.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A log's floor is above every record that the journal had when it was noted.
    pub fn learn_sequence(&mut self, floor: u64) {
        self.sequence = self.sequence.max(floor);
    }

    /// Reserves `bytes` for `records` of one round; `None` when no half has room.
    pub fn reserve(&mut self, bytes: u64, records: usize) -> Option<JournalPlace> {
        if self.half_bytes == 0 || bytes > self.half_bytes - BLOCK_BYTES {
            return None;
        }
        let room = self.halves[self.active].0 == Half::Active && self.position + bytes <= self.half_bytes;
        if !room && !self.switch() {
            return None;
        }
        let place = JournalPlace {
            half: self.active,
            half_bytes: self.half_bytes,
            generation: self.halves[self.active].1,
            position: self.position,
            bytes,
            sequence: self.sequence,
        };
        self.sequence += records as u64;
        Some(place)
    }

    /// The round that reserved `place` is answered: whether any record was written, and whether that went wrong.
    pub fn written(&mut self, place: JournalPlace, any: bool, broken: bool) {
        if broken {
            self.halves[place.half].0 = Half::Full;
        } else if any {
            self.position = place.position + place.bytes;
        }
    }

    /// A half whose segments should be synced now.
    pub fn full(&self) -> Option<usize> {
        (0..2).find(|&half| self.half_bytes > 0 && self.halves[half].0 == Half::Full)
    }

    /// The halves that may hold records.
    pub fn used(&self) -> Vec<usize> {
        let is_used = |half: &usize| match self.halves[*half].0 {
            Half::Active => self.position > BLOCK_BYTES,
            Half::Full => self.half_bytes > 0,
            Half::Ready | Half::Emptying => false,
        };
        (0..2).filter(is_used).collect()
    }

    /// `half` is being emptied; its new generation. An active one first stops taking rounds.
    pub fn empty(&mut self, half: usize) -> u64 {
        self.halves[half] = (Half::Emptying, self.halves[0].1.max(self.halves[1].1) + 1);
        self.halves[half].1
    }

    /// That is done, or went wrong and must be tried again.
    pub fn emptied(&mut self, half: usize, done: bool) {
        self.halves[half].0 = if done { Half::Ready } else { Half::Full };
    }

    fn switch(&mut self) -> bool {
        let other = 1 - self.active;
        if self.halves[other].0 != Half::Ready {
            return false;
        }
        if self.halves[self.active].0 == Half::Active {
            self.halves[self.active].0 = Half::Full;
        }
        self.halves[other].0 = Half::Active;
        self.active = other;
        self.position = BLOCK_BYTES;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> RecordHead<'static> {
        RecordHead {
            generation: 3,
            sequence: 77,
            name: "topic-0",
            base: Offset(1000),
            position: 4711,
            payload_bytes: 12,
            payload_crc: 0xdead_beef,
            next_position: 8192,
            round_position: 4096,
        }
    }

    /// Heads are read back; a flipped bit or a cut anywhere is noticed.
    #[test]
    fn heads_round_trip() {
        let mut bytes = Vec::new();
        head().render(&mut bytes);
        assert_eq!(bytes.len(), head().bytes());
        assert_eq!(crc32c::crc32c(&bytes), 163916736, "what is on the disks of others does not change");
        assert_eq!(RecordHead::parse(&bytes), Some(head()));
        for at in 0..bytes.len() {
            assert_eq!(RecordHead::parse(&bytes[..at]), None);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_eq!(RecordHead::parse(&flipped), None, "{at}");
        }
        let half_head = HalfHead { half_bytes: 1 << 20, generation: 9, sequence: 1234 };
        let half = render_half_head(&half_head);
        assert_eq!(half.len(), HALF_HEAD_BYTES);
        assert_eq!(crc32c::crc32c(&half), 2019636803, "nor does this");
        assert_eq!(parse_half_head(&half), Some(half_head));
        assert_eq!(parse_half_head(&half[..HALF_HEAD_BYTES - 1]), None);
        assert_eq!(parse_half_head(&[0; 64]), None);
    }

    /// The halves take turns; while the other is not emptied, rounds are refused.
    #[test]
    fn halves_take_turns() {
        let mut journal = Journal::none();
        assert_eq!(journal.reserve(BLOCK_BYTES, 1), None);
        journal.ready(3 * BLOCK_BYTES, [5, 6], 100);
        assert_eq!(journal.reserve(3 * BLOCK_BYTES, 1), None);
        let mut places = Vec::new();
        for _ in 0..4 {
            let place = journal.reserve(BLOCK_BYTES, 2).unwrap();
            journal.written(place, true, false);
            places.push((place.half, place.generation, place.position / BLOCK_BYTES, place.sequence));
        }
        assert_eq!(places, [(0, 5, 1, 100), (0, 5, 2, 102), (1, 6, 1, 104), (1, 6, 2, 106)]);
        assert_eq!(journal.reserve(BLOCK_BYTES, 1), None);
        assert_eq!(journal.full(), Some(0));
        assert_eq!(journal.empty(0), 7);
        assert_eq!(journal.full(), None);
        journal.emptied(0, true);
        let place = journal.reserve(BLOCK_BYTES, 1).unwrap();
        assert_eq!((place.half, place.generation, place.position), (0, 7, BLOCK_BYTES));
        journal.written(place, false, true);
        assert_eq!(journal.full(), Some(0));
    }

    /// A round of which nothing was written leaves its place to the next.
    #[test]
    fn empty_round() {
        let mut journal = Journal::none();
        journal.ready(4 * BLOCK_BYTES, [1, 2], 1);
        let first = journal.reserve(BLOCK_BYTES, 1).unwrap();
        journal.written(first, false, false);
        let second = journal.reserve(BLOCK_BYTES, 1).unwrap();
        assert_eq!(first.position, second.position);
        assert!(second.sequence > first.sequence);
    }
}
