//! The language of the message table: `table!` turns one line a field into a struct, its reader and its writer.
//!
//! ```text
//! struct NAME<'a>: API {                 `: API` only for a whole message; flexible versions are the API's
//!     FIELD: TYPE, VERSIONS [, null VERSIONS] [, tag N] [, default EXPR];
//! ```
//!
//! VERSIONS is `3+` or `4-12`, as the protocol writes it. Untagged fields stand in wire order, tagged ones in the order of their tags.
//! `null` says in which versions an `Option` may be null, all of them when it is left out; in the others `None` is
//! written as empty. The default is the type's own unless stated.

use std::ops::RangeInclusive;

use super::{Api, Decode, Decoder, Encode, Encoder, Full};
use crate::types::ReadError;

/// A run of versions of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    from: i16,
    to: i16,
}

impl Versions {
    /// Every version.
    pub const ALL: Versions = Versions { from: 0, to: i16::MAX };

    /// From `from` to `to`, both included.
    pub const fn new(from: i16, to: i16) -> Versions {
        Versions { from, to }
    }

    /// True when `version` is one of them.
    #[inline]
    pub const fn contains(self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }
}

/// A field's type, as data.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// A big-endian integer of so many bytes.
    Integer(usize),
    /// Sixteen bytes.
    Uuid,
    /// Text with a length of 16 bits, or compact.
    Text,
    /// Bytes with a length of 32 bits, or compact.
    Bytes,
    /// A count of 32 bits, or compact, and elements.
    Array(&'static Kind),
    /// Fields one after another, then tagged fields in flexible versions.
    Struct(&'static [FieldSchema]),
    /// A byte, and after a positive one the struct.
    OptionalStruct(&'static Kind),
}

/// A line of the table, as data: what tests and fuzzers make messages from.
#[derive(Clone, Copy, Debug)]
pub struct FieldSchema {
    /// The protocol's name, in snake case.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null, if its type can.
    pub nullable: Option<Versions>,
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
}

/// A whole request or response.
pub trait Message: Encode + Copy {
    /// The API it belongs to.
    const API: Api;

    /// Tells the client to wait so many milliseconds before its next request, if the message has a place for that.
    fn throttle(&mut self, _ms: i32) {}

    /// Reads `version` of this message from the front of `bytes`; what follows it is ignored.
    /// The caller has checked that the API has that version.
    fn decode<'de>(version: i16, bytes: &'de [u8]) -> Result<Self, ReadError>
    where
        Self: Decode<'de>,
    {
        Self::read(&mut Decoder::new(bytes, version, Self::API.is_flexible(version)), false)
    }

    /// Appends `version` of this message to `out` within its capacity, or leaves `out` as it was.
    fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), Full> {
        let start = out.len();
        let mut encoder = Encoder::new(out, version, Self::API.is_flexible(version));
        self.write(&mut encoder, false);
        let result = encoder.finish();
        if result.is_err() {
            out.truncate(start);
        }
        result.map(|_| ())
    }

    /// Bytes that `encode` appends.
    fn size(&self, version: i16) -> usize {
        let mut encoder = Encoder::counting(version, Self::API.is_flexible(version));
        self.write(&mut encoder, false);
        encoder.written()
    }

    /// The versions that the API advertises.
    fn versions() -> RangeInclusive<i16> {
        Self::API.versions()
    }
}

macro_rules! table {
    ($(
        $(#[$doc:meta])*
        struct $name:ident $(<$life:lifetime>)? $(: $api:ident)? {
            $(
                $(#[$note:meta])*
                $field:ident: $type:ty, $from:literal $(- $to:literal)? $(+)?
                $(, null $null_from:literal $(- $null_to:literal)? $(+)?)?
                $(, tag $tag:literal)?
                $(, default $default:expr)?;
            )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name $(<$life>)? {
            $($(#[$note])* pub $field: $type,)*
        }

        impl $(<$life>)? Default for $name $(<$life>)? {
            fn default() -> Self {
                $name { $($field: table!(@default [$($default)?]),)* }
            }
        }

        impl<'de $(, $life)?> $crate::kafka::codec::Decode<'de> for $name $(<$life>)? $(where 'de: $life)? {
            fn read(
                d: &mut $crate::kafka::codec::Decoder<'de>,
                _nullable: bool,
            ) -> Result<Self, $crate::types::ReadError> {
                let version = d.version();
                let mut out = Self::default();
                $(table!(@untagged [$($tag)?] {
                    if table!(@versions $from $($to)?).contains(version) {
                        let nullable = table!(@null $($null_from $($null_to)?)?).contains(version);
                        out.$field = $crate::kafka::codec::Decode::read(d, nullable)?;
                    }
                });)*
                if d.is_flexible() {
                    d.tags(&mut |_tag, _value| {
                        $(table!(@tagged [$($tag)?] tag {
                            if _tag == tag && table!(@versions $from $($to)?).contains(version) {
                                let nullable = table!(@null $($null_from $($null_to)?)?).contains(version);
                                out.$field = $crate::kafka::codec::Decode::read(_value, nullable)?;
                            }
                        });)*
                        Ok(())
                    })?;
                }
                Ok(out)
            }
        }

        impl $(<$life>)? $crate::kafka::codec::Encode for $name $(<$life>)? {
            type Element = table!(@erased $name $($life)?);
            const KIND: $crate::kafka::codec::Kind = $crate::kafka::codec::Kind::Struct(&[
                $($crate::kafka::codec::FieldSchema {
                    name: stringify!($field),
                    kind: <$type as $crate::kafka::codec::Encode>::KIND,
                    versions: table!(@versions $from $($to)?),
                    nullable: if <$type as $crate::kafka::codec::Encode>::OPTIONAL {
                        Some(table!(@null $($null_from $($null_to)?)?))
                    } else {
                        None
                    },
                    tag: table!(@option [$($tag)?]),
                },)*
            ]);

            fn write(&self, e: &mut $crate::kafka::codec::Encoder<'_>, _nullable: bool) {
                let version = e.version();
                $(table!(@untagged [$($tag)?] {
                    if table!(@versions $from $($to)?).contains(version) {
                        self.$field.write(e, table!(@null $($null_from $($null_to)?)?).contains(version));
                    }
                });)*
                if e.is_flexible() {
                    let _default = Self::default();
                    let mut _count = 0;
                    $(table!(@tagged [$($tag)?] _tag {
                        if table!(@versions $from $($to)?).contains(version) && !self.$field.same(&_default.$field) {
                            _count += 1;
                        }
                    });)*
                    e.unsigned_varint(_count);
                    $(table!(@tagged [$($tag)?] tag {
                        if table!(@versions $from $($to)?).contains(version) && !self.$field.same(&_default.$field) {
                            e.tagged(tag, &self.$field, table!(@null $($null_from $($null_to)?)?).contains(version));
                        }
                    });)*
                }
            }

            fn same(&self, other: &Self) -> bool {
                true $(&& self.$field.same(&other.$field))*
            }
        }

        table!(@message [$($api)?] [$name] [$(<$life>)?] [$($field)*]);
    )*};

    (@message [] $name:tt $life:tt $fields:tt) => {};
    (@message [$api:ident] [$name:ident] [$($life:tt)*] [$($field:ident)*]) => {
        impl $($life)* $crate::kafka::codec::Message for $name $($life)* {
            const API: $crate::kafka::codec::Api = $crate::kafka::codec::Api::$api;

            fn throttle(&mut self, _ms: i32) {
                $(table!(@throttle self _ms $field);)*
            }
        }
    };
    (@throttle $self:ident $ms:ident throttle_time_ms) => { $self.throttle_time_ms = $ms; };
    (@throttle $self:ident $ms:ident $other:ident) => {};
    (@default []) => { Default::default() };
    (@default [$default:expr]) => { $default };
    (@versions $from:literal) => { $crate::kafka::codec::Versions::new($from, i16::MAX) };
    (@versions $from:literal $to:literal) => { $crate::kafka::codec::Versions::new($from, $to) };
    (@null) => { $crate::kafka::codec::Versions::ALL };
    (@null $($versions:literal)+) => { table!(@versions $($versions)+) };
    (@option []) => { None };
    (@option [$tag:literal]) => { Some($tag) };
    (@untagged [] $body:block) => { $body };
    (@untagged [$tag:literal] $body:block) => {};
    (@tagged [] $name:ident $body:block) => {};
    (@tagged [$tag:literal] $name:ident $body:block) => {{ let $name: u32 = $tag; $body }};
    (@erased $name:ident) => { $name };
    (@erased $name:ident $life:lifetime) => { $name<'static> };
}

/// A struct that may be null as a field: a byte -1, or 1 and the struct.
macro_rules! optional_struct {
    ($name:ident) => {
        impl<'de: 'a, 'a> $crate::kafka::codec::Decode<'de> for Option<$name<'a>> {
            fn read(
                d: &mut $crate::kafka::codec::Decoder<'de>,
                _nullable: bool,
            ) -> Result<Self, $crate::types::ReadError> {
                match <i8 as $crate::kafka::codec::Decode>::read(d, false)? {
                    ..0 => Ok(None),
                    _ => $crate::kafka::codec::Decode::read(d, false).map(Some),
                }
            }
        }

        impl<'a> $crate::kafka::codec::Encode for Option<$name<'a>> {
            type Element = Option<$name<'static>>;
            const KIND: $crate::kafka::codec::Kind =
                $crate::kafka::codec::Kind::OptionalStruct(&<$name<'a> as $crate::kafka::codec::Encode>::KIND);
            const OPTIONAL: bool = true;

            fn write(&self, e: &mut $crate::kafka::codec::Encoder<'_>, _nullable: bool) {
                e.i8(if self.is_some() { 1 } else { -1 });
                if let Some(value) = self {
                    value.write(e, false);
                }
            }

            fn same(&self, other: &Self) -> bool {
                match (self, other) {
                    (None, None) => true,
                    (Some(one), Some(other)) => one.same(other),
                    _ => false,
                }
            }
        }
    };
}
