//! The literals section of a block (RFC 8878, 3.1.1.3.1).

use super::huffman::Code;
use super::{BLOCK_BYTES_MAX, little_endian};
use crate::record::RecordError;
use crate::types::Reader;

/// The literals of the present block, and the code that the next may use again.
#[derive(Debug, Default)]
pub struct Literals {
    code: Code,
    bytes: Vec<u8>,
}

impl Literals {
    /// What was read last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the section; at most 128 KiB.
    pub fn read(&mut self, block: &mut Reader<'_>) -> Result<(), RecordError> {
        self.bytes.clear();
        let first = *block.rest().first().ok_or(RecordError::BadCompression)?;
        let (kind, format) = (first & 3, first >> 2 & 3);
        if kind < 2 {
            let (header_bytes, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][format as usize]; // index below 4
            let size = (little_endian(block.take(header_bytes)?) >> shift) as usize;
            check_size(size)?;
            match kind {
                0 => self.bytes.extend_from_slice(block.take(size)?),
                _ => self.bytes.resize(size, block.u8()?),
            }
            return Ok(());
        }
        let (header_bytes, width) = [(3, 10), (3, 10), (4, 14), (5, 18)][format as usize]; // index below 4
        let header = little_endian(block.take(header_bytes)?) >> 4;
        let size = (header & ((1 << width) - 1)) as usize;
        let packed = block.take((header >> width) as usize)?;
        check_size(size)?;
        self.unpack(packed, size, kind == 2, format != 0)
    }

    fn unpack(&mut self, packed: &[u8], size: usize, new_code: bool, four: bool) -> Result<(), RecordError> {
        let used = if new_code { self.code.read(packed)? } else { 0 };
        if self.code.is_empty() {
            return Err(RecordError::BadCompression);
        }
        let mut streams = Reader::new(packed.get(used..).unwrap_or_default());
        self.bytes.reserve_exact(size);
        if !four {
            return self.code.decode(streams.rest(), size, &mut self.bytes);
        }
        let mut lengths = [0; 3];
        for length in &mut lengths {
            *length = u16::from_le_bytes(streams.array()?) as usize;
        }
        let share = size.div_ceil(4);
        let last = size.checked_sub(3 * share).ok_or(RecordError::BadCompression)?;
        for length in lengths {
            self.code.decode(streams.take(length)?, share, &mut self.bytes)?;
        }
        self.code.decode(streams.rest(), last, &mut self.bytes)
    }
}

fn check_size(size: usize) -> Result<(), RecordError> {
    if size <= BLOCK_BYTES_MAX { Ok(()) } else { Err(RecordError::BadCompression) }
}
