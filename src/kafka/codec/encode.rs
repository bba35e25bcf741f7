//! Writing: an appender that knows its message's version, and the trait of everything that can stand in a field.
//!
//! Invariants: a buffer never grows beyond the capacity it came with; a pass that only counts takes the same path as
//! the one that writes, so that `Message::size` is exact.

use std::cell::Cell;

use super::{Decode, Decoder, Kind};
use crate::kafka::errors::ErrorCode;
use crate::types::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, ReadError, Timestamp, TopicId,
};

/// The buffer's capacity is too small for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message does not fit its buffer")
    }
}

impl std::error::Error for Full {}

/// Appends one message to a buffer, or only counts its bytes.
pub struct Encoder<'o> {
    /// `None` when counting, and after the buffer was found too small.
    out: Option<&'o mut Vec<u8>>,
    written: usize,
    apart: usize,
    version: i16,
    flexible: bool,
    full: bool,
}

macro_rules! integers {
    ($($type:ident)*) => {$(
        #[doc = concat!("Appends a big-endian `", stringify!($type), "`.")]
        #[inline]
        pub fn $type(&mut self, value: $type) {
            self.raw(&value.to_be_bytes());
        }
    )*};
}

impl<'o> Encoder<'o> {
    /// Appends to `out`, within its capacity.
    pub fn new(out: &'o mut Vec<u8>, version: i16, flexible: bool) -> Encoder<'o> {
        Encoder { out: Some(out), written: 0, apart: 0, version, flexible, full: false }
    }

    /// Writes nothing and counts.
    pub fn counting(version: i16, flexible: bool) -> Encoder<'static> {
        Encoder { out: None, written: 0, apart: 0, version, flexible, full: false }
    }

    /// The message's version.
    #[inline]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// True for versions with compact lengths and tagged fields.
    #[inline]
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes appended so far, or counted.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Bytes of `Records::Apart`: part of the message, not of the buffer.
    pub fn apart(&self) -> usize {
        self.apart
    }

    /// True when something did not fit: nothing is written any more.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The number of bytes appended, unless they did not fit.
    pub fn finish(self) -> Result<usize, Full> {
        if self.full { Err(Full) } else { Ok(self.written) }
    }

    integers!(i8 i16 u16 i32 i64);

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.written += bytes.len();
        if let Some(out) = &mut self.out {
            if out.capacity() - out.len() < bytes.len() {
                self.full = true;
                self.out = None;
            } else {
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Appends an unsigned LEB128.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        let mut bytes = [0; 5];
        let mut length = 0;
        while value >= 0x80 {
            bytes[length] = value as u8 | 0x80;
            length += 1;
            value >>= 7;
        }
        bytes[length] = value as u8;
        self.raw(&bytes[..=length]);
    }

    /// Appends the count of an array, or the length of a run of bytes; `None` is null.
    pub fn count(&mut self, count: Option<usize>) {
        match (self.flexible, count) {
            (true, count) => self.unsigned_varint(count.map_or(0, |count| count as u32 + 1)),
            (false, Some(count)) => self.i32(count as i32),
            (false, None) => self.i32(-1),
        }
    }

    /// Appends a string; `None` is null. More than 32,767 bytes do not fit the protocol: they are cut at a character.
    pub fn text(&mut self, text: Option<&str>) {
        if !self.flexible {
            return self.short_text(text);
        }
        let text = text.map(cut);
        self.unsigned_varint(text.map_or(0, |text| text.len() as u32 + 1));
        self.raw(text.unwrap_or_default().as_bytes());
    }

    /// Appends a string with a 16-bit length, whatever the version: the client id of a request header.
    pub fn short_text(&mut self, text: Option<&str>) {
        let text = text.map(cut);
        self.i16(text.map_or(-1, |text| text.len() as i16));
        self.raw(text.unwrap_or_default().as_bytes());
    }

    /// Appends a run of bytes with its length; `None` is null.
    pub fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.count(bytes.map(<[u8]>::len));
        self.raw(bytes.unwrap_or_default());
    }

    /// Appends a tagged field.
    pub fn tagged(&mut self, tag: u32, value: &impl Encode, nullable: bool) {
        let mut counting = Encoder::counting(self.version, self.flexible);
        value.write(&mut counting, nullable);
        self.unsigned_varint(tag);
        self.unsigned_varint(counting.written as u32);
        value.write(self, nullable);
    }

    fn position(&self) -> Option<usize> {
        self.out.as_ref().map(|out| out.len())
    }
}

/// The front of `text` that fits a length of 15 bits.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(i16::MAX as usize);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What can be written into a field.
pub trait Encode {
    /// The same type with its lifetimes erased: what makes an array of one kind refuse elements of another.
    type Element;

    /// The type as data.
    const KIND: Kind;

    /// True for types that have a null.
    const OPTIONAL: bool = false;

    /// Appends the value. `nullable` says whether null is legal in this version; where it is not, null becomes empty.
    fn write(&self, e: &mut Encoder<'_>, nullable: bool);

    /// Equal, for the question whether a tagged field may be left out.
    fn same(&self, other: &Self) -> bool;
}

macro_rules! plain {
    ($($type:ty: $kind:expr, $write:ident($value:ident => $wire:expr);)*) => {$(
        impl Encode for $type {
            type Element = $type;
            const KIND: Kind = $kind;

            #[inline]
            fn write(&self, e: &mut Encoder<'_>, _nullable: bool) {
                let $value = *self;
                e.$write($wire);
            }

            #[inline]
            fn same(&self, other: &Self) -> bool {
                self == other
            }
        }
    )*};
}

plain! {
    bool: Kind::Bool, i8(value => i8::from(value));
    i8: Kind::Integer(1), i8(value => value);
    i16: Kind::Integer(2), i16(value => value);
    u16: Kind::Integer(2), u16(value => value);
    i32: Kind::Integer(4), i32(value => value);
    i64: Kind::Integer(8), i64(value => value);
    f64: Kind::Integer(8), i64(value => value.to_bits() as i64);
    ErrorCode: Kind::Integer(2), i16(value => value.0);
    ProducerEpoch: Kind::Integer(2), i16(value => value.0);
    NodeId: Kind::Integer(4), i32(value => value.0);
    LeaderEpoch: Kind::Integer(4), i32(value => value.0);
    PartitionIndex: Kind::Integer(4), i32(value => value.0);
    Offset: Kind::Integer(8), i64(value => value.0);
    ProducerId: Kind::Integer(8), i64(value => value.0);
    Timestamp: Kind::Integer(8), i64(value => value.0);
    TopicId: Kind::Uuid, raw(value => &value.0);
}

macro_rules! borrowed {
    ($($type:ty, $erased:ty: $kind:expr, $optional:expr, $write:ident(|$value:ident, $nullable:ident| $wire:expr);)*) => {$(
        impl Encode for $type {
            type Element = $erased;
            const KIND: Kind = $kind;
            const OPTIONAL: bool = $optional;

            #[inline]
            fn write(&self, e: &mut Encoder<'_>, $nullable: bool) {
                let $value = *self;
                e.$write($wire);
            }

            fn same(&self, other: &Self) -> bool {
                self == other
            }
        }
    )*};
}

borrowed! {
    &str, &'static str: Kind::Text, false, text(|value, _nullable| Some(value));
    Option<&str>, Option<&'static str>: Kind::Text, true, text(|value, nullable| value.or((!nullable).then_some("")));
    &[u8], &'static [u8]: Kind::Bytes, false, bytes(|value, _nullable| Some(value));
    Option<&[u8]>, Option<&'static [u8]>: Kind::Bytes, true,
        bytes(|value, nullable| value.or((!nullable).then_some(&[])));
}

/// The batches of a fetch response: in the message, or apart from it so that they are sent from where they lie.
#[derive(Clone, Copy, Debug, Default)]
pub enum Records<'a> {
    /// No bytes at all.
    #[default]
    Null,
    /// Bytes that are copied into the message.
    Here(&'a [u8]),
    /// `length` bytes that belong at `position` of the buffer, which is set when the message is written, and are sent
    /// by whoever sends the buffer. The frame's length counts them, the buffer's does not.
    Apart {
        /// How many bytes.
        length: usize,
        /// Where in the buffer they would stand.
        position: &'a Cell<usize>,
    },
}

impl Encode for Records<'_> {
    type Element = Records<'static>;
    const KIND: Kind = Kind::Bytes;
    const OPTIONAL: bool = true;

    fn write(&self, e: &mut Encoder<'_>, nullable: bool) {
        match *self {
            Records::Null => e.bytes((!nullable).then_some(&[])),
            Records::Here(bytes) => e.bytes(Some(bytes)),
            Records::Apart { length, position } => {
                e.count(Some(length));
                e.apart += length;
                if let Some(here) = e.position() {
                    position.set(here);
                }
            }
        }
    }

    fn same(&self, other: &Self) -> bool {
        matches!((self, other), (Records::Null, Records::Null))
    }
}

impl<'de: 'a, 'a> Decode<'de> for Records<'a> {
    fn read(d: &mut Decoder<'de>, nullable: bool) -> Result<Self, ReadError> {
        Ok(d.bytes(nullable)?.map_or(Records::Null, Records::Here))
    }
}

impl<'a> Records<'a> {
    /// The bytes, when they are in the message.
    pub fn here(self) -> &'a [u8] {
        match self {
            Records::Here(bytes) => bytes,
            Records::Null | Records::Apart { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writing stops at the capacity and says so; counting has no limit.
    #[test]
    fn bounded() {
        let mut out = Vec::with_capacity(6);
        let capacity = out.capacity();
        let mut encoder = Encoder::new(&mut out, 0, false);
        encoder.raw(&vec![1; capacity]);
        encoder.i8(1);
        encoder.i8(1);
        assert_eq!(encoder.finish(), Err(Full));
        assert_eq!(out.capacity(), capacity);
        let mut counting = Encoder::counting(0, true);
        counting.text(Some("abc"));
        counting.unsigned_varint(300);
        assert_eq!(counting.finish(), Ok(6));
    }

    /// A text too long for the protocol is cut between characters.
    #[test]
    fn long_text_is_cut() {
        let mut encoder = Encoder::counting(0, false);
        encoder.text(Some(&"ä".repeat(20_000)));
        assert_eq!(encoder.written(), 2 + 32_766);
    }
}
