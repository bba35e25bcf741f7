//! A cursor over borrowed bytes that cannot run past their end: the only way any room parses input.
//!
//! Invariant: a length read from the input is compared with what remains before it is used for anything.

/// The input ended early, or said something impossible about its own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Fewer bytes remain than the field needs.
    Truncated,
    /// A length or count is negative, too long for what remains, or above the limit of its field.
    BadLength,
    /// Text that is not UTF-8.
    BadText,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ReadError::Truncated => "the message ends in the middle of a field",
            ReadError::BadLength => "a length in the message is impossible",
            ReadError::BadText => "a text in the message is not UTF-8",
        })
    }
}

impl std::error::Error for ReadError {}

/// Big-endian integers and byte runs from `bytes`, front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

macro_rules! integer {
    ($name:ident, $type:ty) => {
        #[doc = concat!("The next big-endian `", stringify!($type), "`.")]
        #[inline]
        pub fn $name(&mut self) -> Result<$type, ReadError> {
            Ok(<$type>::from_be_bytes(self.array()?))
        }
    };
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    /// Bytes consumed so far.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes not consumed yet.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// True at the end.
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without consuming it.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        if count > self.remaining() {
            return Err(ReadError::Truncated);
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes by value.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    integer!(u8, u8);
    integer!(i8, i8);
    integer!(u16, u16);
    integer!(i16, i16);
    integer!(u32, u32);
    integer!(i32, i32);
    integer!(u64, u64);
    integer!(i64, i64);

    /// An unsigned LEB128 of at most 32 bits, as Kafka's compact lengths; non-minimal forms are accepted.
    pub fn unsigned_varint(&mut self) -> Result<u32, ReadError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            let bits = (byte & 0x7f) as u32;
            if shift == 28 && bits > 0x0f {
                return Err(ReadError::BadLength);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReadError::BadLength)
    }

    /// A zigzag LEB128 of at most 64 bits, as in Kafka's records.
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, ReadError> {
        // Nearly all are one byte or two.
        match *self.rest() {
            [byte, ..] if byte < 0x80 => {
                self.position += 1;
                Ok((byte >> 1) as i64 ^ -((byte & 1) as i64))
            }
            [low, high, ..] if high < 0x80 => {
                self.position += 2;
                let value = (high as i64) << 7 | (low & 0x7f) as i64;
                Ok((value >> 1) ^ -(value & 1))
            }
            _ => self.long_varlong(),
        }
    }

    fn long_varlong(&mut self) -> Result<i64, ReadError> {
        let mut value: u64 = 0;
        for (index, &byte) in self.rest().iter().take(10).enumerate() {
            let bits = (byte & 0x7f) as u64;
            if index == 9 && bits > 1 {
                return Err(ReadError::BadLength);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.position += index + 1;
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(if self.remaining() < 10 { ReadError::Truncated } else { ReadError::BadLength })
    }

    /// A zigzag LEB128 of at most 32 bits, as in Kafka's records.
    #[inline]
    pub fn varint(&mut self) -> Result<i32, ReadError> {
        i32::try_from(self.varlong()?).map_err(|_| ReadError::BadLength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No prefix of a message reads past its end, and every integer comes back as written.
    #[test]
    fn truncation_is_an_error() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for end in 0..8 {
            assert_eq!(Reader::new(&bytes[..end]).i64(), Err(ReadError::Truncated));
        }
        assert_eq!(Reader::new(&bytes).i64(), Ok(0x0102030405060708));
    }

    /// Overlong and oversized varints are refused, non-minimal ones accepted.
    #[test]
    fn varint_limits() {
        assert_eq!(Reader::new(&[0x80, 0x00]).unsigned_varint(), Ok(0));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).unsigned_varint(), Err(ReadError::BadLength));
        assert_eq!(Reader::new(&[0x01]).varlong(), Ok(-1));
        assert_eq!(Reader::new(&[0xff; 11]).varlong(), Err(ReadError::BadLength));
        let lowest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new(&lowest).varlong(), Ok(i64::MIN));
    }
}
