//! The codecs of record batches, towards the reader: Tern stores what a producer compressed.
//!
//! Invariant: the output is at most the caller's bound, whatever the input claims about itself, and the memory beside
//! it is a small constant.

use std::io::Read;

use super::RecordError;

/// How the records of a batch are compressed; the numbers of Kafka's attribute bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Not at all.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Raw Snappy, or framed as snappy-java does.
    Snappy = 2,
    /// An LZ4 frame.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl Codec {
    pub(super) fn from_bits(bits: i16) -> Result<Codec, RecordError> {
        match bits {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            _ => Err(RecordError::UnknownCodec),
        }
    }

    /// The name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// Replaces the content of `out` by what `input` decompresses to; `TooLarge` above `max_bytes`, `BadCompression` for
/// anything that is not `codec`'s form. On an error the content of `out` is unspecified.
pub fn decompress(codec: Codec, input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    out.clear();
    match codec {
        Codec::None if input.len() > max_bytes => Err(RecordError::TooLarge),
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Gzip => gzip(input, max_bytes, out),
        Codec::Snappy => snappy(input, max_bytes, out),
        Codec::Lz4 => super::lz4::decompress(input, max_bytes, out),
        Codec::Zstd => super::zstd::decompress(input, max_bytes, out),
    }
}

fn gzip(input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    copy_bounded(flate2::read::MultiGzDecoder::new(input), max_bytes, out)
}

/// Reads `from` to its end, growing `out` no further than the bound.
fn copy_bounded(mut from: impl Read, max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk).map_err(|_| RecordError::BadCompression)?;
        let Some(part) = chunk.get(..count).filter(|part| !part.is_empty()) else { return Ok(()) };
        append(part, max_bytes, out)?;
    }
}

/// Appends `part`, within the bound.
pub(super) fn append(part: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    grow(part.len(), max_bytes, out)?;
    out.extend_from_slice(part);
    Ok(())
}

/// Makes room for `count` more bytes: doubling, within the bound.
pub(super) fn grow(count: usize, max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let after = out.len().checked_add(count).filter(|&after| after <= max_bytes).ok_or(RecordError::TooLarge)?;
    if after > out.capacity() {
        let target = out.capacity().saturating_mul(2).min(max_bytes).max(after);
        out.reserve_exact(target - out.len());
    }
    Ok(())
}

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16; // magic, version, lowest compatible version

fn snappy(input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    if !input.starts_with(&XERIAL_MAGIC) {
        return snappy_block(input, max_bytes, out);
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).ok_or(RecordError::BadCompression)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(RecordError::BadCompression)?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = after.get(..length).ok_or(RecordError::BadCompression)?;
        snappy_block(block, max_bytes, out)?;
        rest = &after[length..]; // `get` above proved it
    }
    Ok(())
}

fn snappy_block(block: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let length = snap::raw::decompress_len(block).map_err(|_| RecordError::BadCompression)?;
    grow(length, max_bytes, out)?;
    let start = out.len();
    out.resize(start + length, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]);
    if written == Ok(length) { Ok(()) } else { Err(RecordError::BadCompression) }
}
