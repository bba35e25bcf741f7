//! The sequences section of a block (RFC 8878, 3.1.1.3.2): runs of literals, each followed by a match.

use super::bits::BackwardBits;
use super::fse::{State, Table};
use super::{BLOCK_BYTES_MAX, Output};
use crate::record::RecordError;
use crate::types::Reader;

/// One kind of code: what its numbers stand for, and its table when a block brings none.
struct Kind {
    log_max: u32,
    symbol_max: u8,
    default_log: u32,
    default_counts: &'static [i16],
}

const LITERAL_LENGTHS: Kind = Kind {
    log_max: 9,
    symbol_max: 35,
    default_log: 6,
    default_counts: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
};
const OFFSETS: Kind = Kind {
    log_max: 8,
    symbol_max: 31,
    default_log: 5,
    default_counts: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
};
const MATCH_LENGTHS: Kind = Kind {
    log_max: 9,
    symbol_max: 52,
    default_log: 6,
    default_counts: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
};

/// Extra bits of literal length codes from 16 on, and of match length codes from 32 on.
const LITERAL_BITS: [u8; 20] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS: [u8; 21] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// Lowest values and extra bits of every code.
const LITERAL_VALUES: [(u32, u8); 36] = values(0, &LITERAL_BITS);
const MATCH_VALUES: [(u32, u8); 53] = values(3, &MATCH_BITS);

/// Codes that stand for themselves plus `base`, then codes with extra bits, each range beginning where the last ends.
const fn values<const N: usize>(base: u32, bits: &[u8]) -> [(u32, u8); N] {
    let plain = N - bits.len();
    let mut out = [(0, 0); N];
    let (mut code, mut value) = (0, base);
    while code < N {
        let extra = if code < plain { 0 } else { bits[code - plain] };
        out[code] = (value, extra);
        value += 1 << extra;
        code += 1;
    }
    out
}

/// The tables and offsets that one block leaves to the next.
#[derive(Debug)]
pub struct Sequences {
    literal_lengths: Table,
    offsets: Table,
    match_lengths: Table,
    recent: [u32; 3],
}

impl Default for Sequences {
    fn default() -> Sequences {
        Sequences {
            literal_lengths: Table::default(),
            offsets: Table::default(),
            match_lengths: Table::default(),
            recent: [1, 4, 8],
        }
    }
}

/// The states of the three tables on one stream.
struct Walk<'a> {
    bits: BackwardBits<'a>,
    literal_length: State,
    offset: State,
    match_length: State,
}

impl Sequences {
    /// Reads the section and writes the block: at most 128 KiB.
    pub fn run(&mut self, block: &mut Reader<'_>, literals: &[u8], mut output: Output<'_>) -> Result<(), RecordError> {
        let mut literals = Reader::new(literals);
        let mut left = BLOCK_BYTES_MAX;
        let count = read_count(block)?;
        if count > 0 {
            self.read_tables(block)?;
            let mut walk = self.start(block.rest())?;
            for remaining in (0..count).rev() {
                let (literal_bytes, offset, match_bytes) = self.next(&mut walk, remaining > 0)?;
                let bytes = literal_bytes.saturating_add(match_bytes);
                left = left.checked_sub(bytes).ok_or(RecordError::BadCompression)?;
                output.literals(literals.take(literal_bytes)?)?;
                output.matched(offset, match_bytes)?;
            }
            if walk.bits.left() != 0 {
                return Err(RecordError::BadCompression);
            }
        } else if !block.is_empty() {
            return Err(RecordError::BadCompression);
        }
        if literals.remaining() > left {
            return Err(RecordError::BadCompression);
        }
        output.literals(literals.rest())
    }

    fn read_tables(&mut self, block: &mut Reader<'_>) -> Result<(), RecordError> {
        let modes = block.u8()?;
        if modes & 3 != 0 {
            return Err(RecordError::BadCompression); // reserved
        }
        read_table(&mut self.literal_lengths, &LITERAL_LENGTHS, modes >> 6, block)?;
        read_table(&mut self.offsets, &OFFSETS, modes >> 4 & 3, block)?;
        read_table(&mut self.match_lengths, &MATCH_LENGTHS, modes >> 2 & 3, block)
    }

    fn start<'a>(&self, stream: &'a [u8]) -> Result<Walk<'a>, RecordError> {
        let mut bits = BackwardBits::new(stream)?;
        let literal_length = self.literal_lengths.start(&mut bits);
        let offset = self.offsets.start(&mut bits);
        let match_length = self.match_lengths.start(&mut bits);
        Ok(Walk { bits, literal_length, offset, match_length })
    }

    /// Bytes of literals, how far back the match lies, and its bytes.
    #[inline]
    fn next(&mut self, walk: &mut Walk<'_>, more: bool) -> Result<(usize, usize, usize), RecordError> {
        let offset_code = self.offsets.symbol(walk.offset) as u32 & 31; // `symbol_max` is 31
        let code = self.match_lengths.symbol(walk.match_length) as usize;
        let (match_base, match_bits) = MATCH_VALUES.get(code).copied().unwrap_or_default();
        let code = self.literal_lengths.symbol(walk.literal_length) as usize;
        let (literal_base, literal_bits) = LITERAL_VALUES.get(code).copied().unwrap_or_default();
        let offset = (1u32 << offset_code) + walk.bits.read(offset_code);
        let match_bytes = match_base + walk.bits.read(match_bits as u32);
        let literal_bytes = literal_base + walk.bits.read(literal_bits as u32);
        if more {
            self.literal_lengths.advance(&mut walk.literal_length, &mut walk.bits);
            self.match_lengths.advance(&mut walk.match_length, &mut walk.bits);
            self.offsets.advance(&mut walk.offset, &mut walk.bits);
        }
        if walk.bits.left() < 0 {
            return Err(RecordError::BadCompression);
        }
        let offset = self.resolve(offset, literal_bytes == 0)?;
        Ok((literal_bytes as usize, offset as usize, match_bytes as usize))
    }

    /// Values up to 3 name one of the recent offsets; without literals they name the next one along.
    fn resolve(&mut self, value: u32, no_literals: bool) -> Result<u32, RecordError> {
        let [first, second, third] = self.recent;
        let (offset, recent) = match (value, no_literals) {
            (1, false) => (first, self.recent),
            (2, false) | (1, true) => (second, [second, first, third]),
            (3, false) | (2, true) => (third, [third, first, second]),
            (3, true) => (first - 1, [first - 1, first, second]), // `first` is never 0
            _ => (value.saturating_sub(3), [value.saturating_sub(3), first, second]),
        };
        if offset == 0 {
            return Err(RecordError::BadCompression);
        }
        self.recent = recent;
        Ok(offset)
    }
}

fn read_count(block: &mut Reader<'_>) -> Result<u32, RecordError> {
    Ok(match block.u8()? as u32 {
        first @ 0..128 => first,
        first @ 128..255 => (first - 128) << 8 | block.u8()? as u32,
        _ => u16::from_le_bytes(block.array()?) as u32 + 0x7f00,
    })
}

fn read_table(table: &mut Table, kind: &Kind, mode: u8, block: &mut Reader<'_>) -> Result<(), RecordError> {
    match mode {
        0 => table.build(kind.default_log, kind.default_counts),
        1 => {
            let symbol = block.u8()?;
            table.one_symbol(symbol);
            if symbol <= kind.symbol_max { Ok(()) } else { Err(RecordError::BadCompression) }
        }
        2 => {
            let used = table.read(block.rest(), kind.log_max, kind.symbol_max)?;
            block.take(used)?;
            Ok(())
        }
        _ if table.is_empty() => Err(RecordError::BadCompression),
        _ => Ok(()),
    }
}
