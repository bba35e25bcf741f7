//! Reading: a cursor that knows its message's version, and the trait of everything that can stand in a field.
//!
//! Invariant: nothing is allocated, and no length is believed before it is compared with what remains.

use crate::kafka::errors::ErrorCode;
use crate::types::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, ReadError, Reader, Timestamp, TopicId,
};

/// A cursor over one message.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
}

impl<'a> Decoder<'a> {
    /// Starts at the front of `bytes`; `flexible` says whether this version has compact lengths and tagged fields.
    pub const fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Decoder<'a> {
        Decoder { reader: Reader::new(bytes), version, flexible }
    }

    /// The message's version.
    #[inline]
    pub const fn version(&self) -> i16 {
        self.version
    }

    /// True for versions with compact lengths and tagged fields.
    #[inline]
    pub const fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes not consumed yet.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// The count of an array; `None` is null. Every element takes a byte at least, so a count above what remains is
    /// refused here.
    pub fn count(&mut self, nullable: bool) -> Result<Option<usize>, ReadError> {
        let count = if self.flexible { self.compact_length()? } else { i64::from(self.reader.i32()?) };
        self.length(count, nullable)
    }

    /// The bytes of a string; `None` is null.
    pub fn text(&mut self, nullable: bool) -> Result<Option<&'a str>, ReadError> {
        let length = if self.flexible { self.compact_length()? } else { i64::from(self.reader.i16()?) };
        let Some(length) = self.length(length, nullable)? else { return Ok(None) };
        std::str::from_utf8(self.reader.take(length)?).map(Some).map_err(|_| ReadError::BadText)
    }

    /// A run of bytes; `None` is null.
    pub fn bytes(&mut self, nullable: bool) -> Result<Option<&'a [u8]>, ReadError> {
        match self.count(nullable)? {
            Some(length) => self.reader.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the tagged fields, handing each to `each`, which ignores the tags it does not know.
    pub fn tags(
        &mut self,
        each: &mut dyn FnMut(u32, &mut Decoder<'a>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let count = self.reader.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.reader.unsigned_varint()?;
            let size = self.reader.unsigned_varint()?;
            let bytes = self.reader.take(size as usize)?;
            each(tag, &mut Decoder::new(bytes, self.version, self.flexible))?;
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<i64, ReadError> {
        Ok(i64::from(self.reader.unsigned_varint()?) - 1)
    }

    fn length(&self, length: i64, nullable: bool) -> Result<Option<usize>, ReadError> {
        match length {
            -1 if nullable => Ok(None),
            0.. if length <= self.reader.remaining() as i64 => Ok(Some(length as usize)),
            0.. => Err(ReadError::Truncated),
            _ => Err(ReadError::BadLength),
        }
    }
}

/// What can be read from a field, borrowing from the frame.
pub trait Decode<'de>: Sized {
    /// Reads the value. `nullable` says whether null is legal in this version; only types that can hold one look at it.
    fn read(d: &mut Decoder<'de>, nullable: bool) -> Result<Self, ReadError>;
}

macro_rules! plain {
    ($($type:ty: $read:ident => $make:expr;)*) => {$(
        impl<'de> Decode<'de> for $type {
            #[inline]
            fn read(d: &mut Decoder<'de>, _nullable: bool) -> Result<Self, ReadError> {
                d.reader.$read().map($make)
            }
        }
    )*};
}

plain! {
    bool: i8 => |byte| byte != 0;
    i8: i8 => |value| value;
    i16: i16 => |value| value;
    u16: u16 => |value| value;
    i32: i32 => |value| value;
    i64: i64 => |value| value;
    f64: i64 => |bits| f64::from_bits(bits as u64);
    ErrorCode: i16 => ErrorCode;
    ProducerEpoch: i16 => ProducerEpoch;
    NodeId: i32 => NodeId;
    LeaderEpoch: i32 => LeaderEpoch;
    PartitionIndex: i32 => PartitionIndex;
    Offset: i64 => Offset;
    ProducerId: i64 => ProducerId;
    Timestamp: i64 => Timestamp;
    TopicId: array => TopicId;
}

impl<'de: 'a, 'a> Decode<'de> for &'a str {
    #[inline]
    fn read(d: &mut Decoder<'de>, _nullable: bool) -> Result<Self, ReadError> {
        d.text(false)?.ok_or(ReadError::BadLength)
    }
}

impl<'de: 'a, 'a> Decode<'de> for Option<&'a str> {
    #[inline]
    fn read(d: &mut Decoder<'de>, nullable: bool) -> Result<Self, ReadError> {
        d.text(nullable)
    }
}

impl<'de: 'a, 'a> Decode<'de> for &'a [u8] {
    #[inline]
    fn read(d: &mut Decoder<'de>, _nullable: bool) -> Result<Self, ReadError> {
        d.bytes(false)?.ok_or(ReadError::BadLength)
    }
}

impl<'de: 'a, 'a> Decode<'de> for Option<&'a [u8]> {
    #[inline]
    fn read(d: &mut Decoder<'de>, nullable: bool) -> Result<Self, ReadError> {
        d.bytes(nullable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Null where it is not legal, negative lengths and lengths beyond the end are errors in both encodings.
    #[test]
    fn lengths_are_checked() {
        let text = |bytes: &[u8], flexible, nullable| {
            Decoder::new(bytes, 0, flexible).text(nullable).map(|text| text.map(str::to_owned))
        };
        assert_eq!(text(&[0xff, 0xff], false, true), Ok(None));
        assert_eq!(text(&[0xff, 0xff], false, false), Err(ReadError::BadLength));
        assert_eq!(text(&[0xff, 0xfe], false, true), Err(ReadError::BadLength));
        assert_eq!(text(&[0, 2, b'a'], false, false), Err(ReadError::Truncated));
        assert_eq!(text(&[0], true, true), Ok(None));
        assert_eq!(text(&[2, b'a'], true, false), Ok(Some("a".to_owned())));
        assert_eq!(text(&[0x82, 0x00, b'a'], true, false), Ok(Some("a".to_owned())), "a non-minimal length");
        assert_eq!(text(&[2, 0xff], true, false), Err(ReadError::BadText));
        assert_eq!(Decoder::new(&[0x7f, 0xff, 0xff, 0xff, 0], 0, false).count(false), Err(ReadError::Truncated));
    }

    /// Tags nobody knows are skipped by their size; a size beyond the end is an error.
    #[test]
    fn unknown_tags_are_skipped() {
        let mut seen = Vec::new();
        let bytes = [2, 7, 1, 0xaa, 0x89, 0x00, 0, 5];
        let mut decoder = Decoder::new(&bytes, 0, true);
        decoder
            .tags(&mut |tag, value| {
                seen.push((tag, value.rest().to_vec()));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [(7, vec![0xaa]), (9, vec![])]);
        assert_eq!(decoder.rest(), [5]);
        assert_eq!(Decoder::new(&[1, 7, 9], 0, true).tags(&mut |_, _| Ok(())), Err(ReadError::Truncated));
    }
}
