//! The LZ4 frame format, around `lz4_flex`'s block decoder.
//!
//! Frames are taken apart here because a frame may declare blocks of 4 MiB, as some clients do for every batch, and a
//! general frame reader allocates up to three times that before the first byte. Here blocks land in the output itself.
//! Checksums of the frame are skipped: the batch's CRC covers the same bytes.

use lz4_flex::block::{DecompressError, decompress_into_with_dict};

use crate::types::{ReadError, Reader};

use super::RecordError;
use super::codec::{append, grow};

const MAGIC: u32 = 0x184d_2204;
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50; // the low four bits are free
const WINDOW_BYTES: usize = 64 * 1024;
const STORED: u32 = 1 << 31;
/// No block expands further: a length is continued by bytes of at most 255.
const EXPANSION_MAX: usize = 255;

impl From<ReadError> for RecordError {
    fn from(_: ReadError) -> RecordError {
        RecordError::BadCompression
    }
}

/// What the descriptor of a frame says.
struct Frame {
    linked: bool,
    block_checksum: bool,
    content_checksum: bool,
    block_max_bytes: usize,
}

/// Appends what the frames in `input` hold to `out`, at most `max_bytes` in all.
pub(super) fn decompress(input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut reader = Reader::new(input);
    while !reader.is_empty() {
        let magic = u32_le(&mut reader)?;
        if magic == MAGIC {
            let frame = Frame::read(&mut reader)?;
            frame.blocks(&mut reader, max_bytes, out)?;
        } else if magic & !15 == SKIPPABLE_MAGIC {
            let length = u32_le(&mut reader)?;
            reader.take(length as usize)?;
        } else {
            return Err(RecordError::BadCompression);
        }
    }
    Ok(())
}

impl Frame {
    fn read(reader: &mut Reader<'_>) -> Result<Frame, RecordError> {
        let flags = reader.u8()?;
        let block_size = reader.u8()? >> 4 & 7;
        let has = |bit: u8| flags & bit != 0;
        let (version, dictionary) = (flags >> 6, has(0x01));
        if version != 1 || dictionary || !(4..=7).contains(&block_size) {
            return Err(RecordError::BadCompression);
        }
        if has(0x08) {
            reader.u64()?; // content size: a promise that nothing here needs
        }
        reader.u8()?; // header checksum
        Ok(Frame {
            linked: !has(0x20),
            block_checksum: has(0x10),
            content_checksum: has(0x04),
            block_max_bytes: 1 << (8 + 2 * block_size),
        })
    }

    fn blocks(&self, reader: &mut Reader<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let start = out.len();
        loop {
            let size = u32_le(reader)?;
            if size == 0 {
                reader.take(if self.content_checksum { 4 } else { 0 })?;
                return Ok(());
            }
            let block = reader.take((size & !STORED) as usize)?;
            reader.take(if self.block_checksum { 4 } else { 0 })?;
            if size & STORED == 0 {
                self.block(block, start, max_bytes, out)?;
            } else if block.len() <= self.block_max_bytes {
                append(block, max_bytes, out)?;
            } else {
                return Err(RecordError::BadCompression);
            }
        }
    }

    /// Decompresses one block behind what the frame, which began at `start` of the output, has given so far.
    fn block(&self, block: &[u8], start: usize, max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let before = out.len();
        let wanted = self.block_max_bytes.min(block.len().saturating_mul(EXPANSION_MAX));
        let room = wanted.min(max_bytes.saturating_sub(before));
        grow(room, max_bytes, out)?;
        out.resize(before + room, 0);
        let (done, free) = out.split_at_mut(before);
        let window = if self.linked { start.max(before.saturating_sub(WINDOW_BYTES)) } else { before };
        match decompress_into_with_dict(block, free, &done[window..]) {
            Ok(count) => {
                out.truncate(before + count);
                Ok(())
            }
            Err(DecompressError::OutputTooSmall { .. }) if room < wanted => Err(RecordError::TooLarge),
            Err(_) => Err(RecordError::BadCompression),
        }
    }
}

fn u32_le(reader: &mut Reader<'_>) -> Result<u32, ReadError> {
    Ok(u32::from_le_bytes(reader.array()?))
}
