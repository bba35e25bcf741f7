//! Zstandard decompression (RFC 8878), bounded in memory whatever the input says of itself.
//!
//! An own decoder, because a block states nowhere how large it will be: 128 KiB of it can name gigabytes of matches, and
//! decoders that gather a whole block, or reserve the window that a frame asks for, follow. Here matches are copied
//! within the caller's output, so there is no window to reserve, and every copy is compared with two bounds first: the
//! 128 KiB of a block and the caller's. Beside the output there are literals of at most 128 KiB and 11 KiB of tables.
//! Checksums of frames are skipped: the batch's CRC covers the same bytes. Dictionaries are refused: Kafka has none.

mod bits;
mod fse;
mod huffman;
mod literals;
mod sequences;

use crate::types::Reader;

use super::RecordError;
use super::codec::{append, grow};
use literals::Literals;
use sequences::Sequences;

const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50; // the low four bits are free
/// Block_Maximum_Size: of a block as it stands in the frame, of its literals and of what it decompresses to.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

/// Appends what the frames in `input` hold to `out`, at most `max_bytes` in all.
pub(super) fn decompress(input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut reader = Reader::new(input);
    while !reader.is_empty() {
        let magic = u32::from_le_bytes(reader.array()?);
        if magic == MAGIC {
            frame(&mut reader, max_bytes, out)?;
        } else if magic & !15 == SKIPPABLE_MAGIC {
            let length = u32::from_le_bytes(reader.array()?);
            reader.take(length as usize)?;
        } else {
            return Err(RecordError::BadCompression);
        }
    }
    Ok(())
}

/// What a frame's header says that matters here.
struct FrameHeader {
    content_bytes: Option<u64>,
    has_checksum: bool,
}

impl FrameHeader {
    fn read(reader: &mut Reader<'_>) -> Result<FrameHeader, RecordError> {
        let descriptor = reader.u8()?;
        let single_segment = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err(RecordError::BadCompression); // reserved
        }
        if !single_segment {
            reader.u8()?; // window size: the whole output is the window
        }
        let dictionary = little_endian(reader.take([0, 1, 2, 4][(descriptor & 3) as usize])?); // index below 4
        if dictionary != 0 {
            return Err(RecordError::BadCompression);
        }
        let content_bytes = match descriptor >> 6 {
            0 if !single_segment => None,
            0 => Some(reader.u8()? as u64),
            1 => Some(little_endian(reader.take(2)?) + 256),
            2 => Some(little_endian(reader.take(4)?)),
            _ => Some(little_endian(reader.take(8)?)),
        };
        Ok(FrameHeader { content_bytes, has_checksum: descriptor & 0x04 != 0 })
    }
}

/// One frame, its magic already read.
fn frame(reader: &mut Reader<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let header = FrameHeader::read(reader)?;
    let start = out.len();
    let mut literals = Literals::default();
    let mut sequences = Sequences::default();
    loop {
        let block = little_endian(reader.take(3)?);
        let (last, kind, size) = (block & 1 != 0, block >> 1 & 3, (block >> 3) as usize);
        if size > BLOCK_BYTES_MAX {
            return Err(RecordError::BadCompression);
        }
        match kind {
            0 => append(reader.take(size)?, max_bytes, out)?,
            1 => {
                let byte = reader.u8()?;
                grow(size, max_bytes, out)?;
                out.resize(out.len() + size, byte);
            }
            2 => {
                let mut block = Reader::new(reader.take(size)?);
                literals.read(&mut block)?;
                sequences.run(&mut block, literals.bytes(), Output { out, frame_start: start, max_bytes })?;
            }
            _ => return Err(RecordError::BadCompression), // reserved
        }
        if last {
            break;
        }
    }
    reader.take(if header.has_checksum { 4 } else { 0 })?;
    let content_bytes = (out.len() - start) as u64;
    if header.content_bytes.is_some_and(|stated| stated != content_bytes) {
        return Err(RecordError::BadCompression);
    }
    Ok(())
}

/// Where a block's bytes go.
struct Output<'a> {
    out: &'a mut Vec<u8>,
    /// Matches reach back to here.
    frame_start: usize,
    max_bytes: usize,
}

impl Output<'_> {
    fn literals(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        append(bytes, self.max_bytes, self.out)
    }

    /// Copies `length` bytes from `offset` bytes back; they may overlap what is written.
    fn matched(&mut self, offset: usize, length: usize) -> Result<(), RecordError> {
        if offset == 0 || offset > self.out.len() - self.frame_start {
            return Err(RecordError::BadCompression);
        }
        grow(length, self.max_bytes, self.out)?;
        let start = self.out.len() - offset;
        let mut left = length;
        while left > 0 {
            // From `start` on the output repeats every `offset` bytes, and this appends whole repetitions but the last.
            let count = left.min(self.out.len() - start);
            self.out.extend_from_within(start..start + count); // at most to the end
            left -= count;
        }
        Ok(())
    }
}

/// At most eight bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | byte as u64)
}
