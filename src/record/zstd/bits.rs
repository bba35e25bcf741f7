//! The two directions in which Zstandard packs bits.

use crate::record::RecordError;

/// Bits from the front, lowest first: the descriptions of FSE tables.
#[derive(Debug)]
pub struct ForwardBits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> ForwardBits<'a> {
    pub fn new(bytes: &'a [u8]) -> ForwardBits<'a> {
        ForwardBits { bytes, position: 0 }
    }

    /// The next `count` bits, at most 16, without using them up; zeros behind the end.
    pub fn peek(&self, count: u32) -> u32 {
        let mut window = [0; 4];
        let from = self.bytes.get(self.position / 8..).unwrap_or_default();
        let there = from.len().min(4);
        window[..there].copy_from_slice(&from[..there]); // both at least `there` long
        u32::from_le_bytes(window) >> (self.position % 8) & ((1 << count) - 1)
    }

    /// Uses up `count` bits; an error when there are not so many.
    pub fn skip(&mut self, count: u32) -> Result<(), RecordError> {
        self.position += count as usize;
        if self.position <= self.bytes.len() * 8 { Ok(()) } else { Err(RecordError::BadCompression) }
    }

    /// The next `count` bits, at most 16.
    pub fn read(&mut self, count: u32) -> Result<u32, RecordError> {
        let value = self.peek(count);
        self.skip(count)?;
        Ok(value)
    }

    /// Bytes begun so far.
    pub fn bytes_used(&self) -> usize {
        self.position.div_ceil(8)
    }
}

/// Bits from the back, highest first, behind a marker bit: the streams of Huffman and FSE codes.
#[derive(Clone, Debug)]
pub struct BackwardBits<'a> {
    bytes: &'a [u8],
    /// Bits not read yet; negative when more were read than there are.
    left: isize,
}

impl<'a> BackwardBits<'a> {
    /// The highest bit set in the last byte is the marker.
    pub fn new(bytes: &'a [u8]) -> Result<BackwardBits<'a>, RecordError> {
        match bytes.last() {
            None | Some(0) => Err(RecordError::BadCompression),
            Some(last) => {
                Ok(BackwardBits { bytes, left: (bytes.len() * 8) as isize - last.leading_zeros() as isize - 1 })
            }
        }
    }

    /// The next `count` bits, at most 32, without using them up; zeros in front of the beginning.
    #[inline]
    pub fn peek(&self, count: u32) -> u32 {
        let start = self.left - count as isize;
        if start >= 0 {
            return (self.word(start as usize) & ((1 << count) - 1)) as u32;
        }
        if self.left <= 0 {
            return 0;
        }
        let there = self.word(0) & ((1 << self.left) - 1); // fewer than `count` bits
        (there << -start) as u32
    }

    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.left -= count as isize;
    }

    /// The next `count` bits, at most 32.
    #[inline]
    pub fn read(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count);
        value
    }

    /// Negative when more was read than there is; 0 when all was.
    pub fn left(&self) -> isize {
        self.left
    }

    /// At least 57 bits from bit `start` on, where there are so many.
    #[inline]
    fn word(&self, start: usize) -> u64 {
        let from = self.bytes.get(start / 8..).unwrap_or_default();
        let word = match from.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => super::little_endian(from),
        };
        word >> (start % 8)
    }
}
