//! Appends big-endian fields to a buffer that its caller owns and has bounded.
//!
//! The mirror of `Reader`: whatever one writes the other reads.

/// Writes to the end of `out`.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

macro_rules! integer {
    ($name:ident, $type:ty) => {
        #[doc = concat!("Appends a big-endian `", stringify!($type), "`.")]
        #[inline]
        pub fn $name(&mut self, value: $type) {
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    };
}

impl<'a> Writer<'a> {
    /// Appends after what `out` already holds.
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    /// Bytes in the buffer, those before this writer included.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    integer!(u8, u8);
    integer!(i8, i8);
    integer!(u16, u16);
    integer!(i16, i16);
    integer!(u32, u32);
    integer!(i32, i32);
    integer!(u64, u64);
    integer!(i64, i64);

    /// Appends raw bytes.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends an unsigned LEB128.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// Appends a zigzag LEB128.
    pub fn varlong(&mut self, value: i64) {
        let mut bits = ((value << 1) ^ (value >> 63)) as u64;
        while bits >= 0x80 {
            self.out.push(bits as u8 | 0x80);
            bits >>= 7;
        }
        self.out.push(bits as u8);
    }

    /// Overwrites four bytes at `position`, which must have been written already: a length known only afterwards.
    pub fn patch_i32(&mut self, position: usize, value: i32) {
        self.out[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Reader, Rng};

    /// What is written is read back, at every magnitude.
    #[test]
    fn round_trip() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let shift = rng.below(64);
            let value = (rng.next() >> shift) as i64;
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            writer.varlong(value);
            writer.unsigned_varint(value as u32);
            writer.i64(value);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varlong(), Ok(value));
            assert_eq!(reader.unsigned_varint(), Ok(value as u32));
            assert_eq!(reader.i64(), Ok(value));
            assert!(reader.is_empty());
        }
    }
}
