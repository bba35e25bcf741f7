//! Jute's composed fields over `Reader` and a growing buffer.

use super::DecodeError;
use crate::types::{Reader, Writer};

/// Reads Jute's fields.
#[derive(Clone, Copy, Debug)]
pub struct Jute<'a> {
    reader: Reader<'a>,
}

impl<'a> Jute<'a> {
    /// From the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Jute<'a> {
        Jute { reader: Reader::new(bytes) }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Any byte but 0 is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.reader.u8()? != 0)
    }

    /// An `int`.
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        Ok(self.reader.i32()?)
    }

    /// A `long`.
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        Ok(self.reader.i64()?)
    }

    /// A buffer; null is `None`.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.reader.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| DecodeError::Malformed)?;
                Ok(Some(self.reader.take(length)?))
            }
        }
    }

    /// A text; null is `None`.
    pub fn optional_text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let Some(bytes) = self.buffer()? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| DecodeError::Malformed)
    }

    /// A text that may not be null.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.optional_text()?.ok_or(DecodeError::Malformed)
    }

    /// A vector of what `item` reads, which takes at least `item_bytes_min` bytes each; null is empty.
    pub fn vector<T>(
        &mut self,
        item_bytes_min: usize,
        item: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = match self.reader.i32()? {
            -1 => 0,
            count => usize::try_from(count).map_err(|_| DecodeError::Malformed)?,
        };
        if count > self.reader.remaining() / item_bytes_min.max(1) {
            return Err(DecodeError::Malformed);
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A vector of texts.
    pub fn texts(&mut self) -> Result<Vec<&'a str>, DecodeError> {
        self.vector(4, Jute::text)
    }

    /// Nothing, when so many bytes remain and are passed over.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.reader.array()?)
    }
}

/// Appends a buffer, `None` as null. Lengths come from messages within `jute.maxbuffer`.
pub fn put_buffer(out: &mut Vec<u8>, data: Option<&[u8]>) {
    let mut writer = Writer::new(out);
    match data {
        Some(data) => {
            writer.i32(data.len() as i32);
            writer.raw(data);
        }
        None => writer.i32(-1),
    }
}

/// Appends a text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_buffer(out, Some(text.as_bytes()));
}

/// Appends a vector of texts.
pub fn put_texts<'a>(out: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = &'a str>) {
    Writer::new(out).i32(texts.len() as i32);
    texts.for_each(|text| put_text(out, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Null and empty differ, and a length or count that the rest cannot hold is refused before anything is allocated.
    #[test]
    fn lengths() {
        let mut out = Vec::new();
        put_buffer(&mut out, None);
        put_buffer(&mut out, Some(b""));
        put_text(&mut out, "\u{e9}");
        let mut jute = Jute::new(&out);
        assert_eq!((jute.buffer(), jute.buffer(), jute.text()), (Ok(None), Ok(Some(&b""[..])), Ok("\u{e9}")));
        for bad in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xfe], &[0, 0, 0, 1], &[0, 0]] {
            assert_eq!(Jute::new(bad).buffer(), Err(DecodeError::Malformed), "{bad:?}");
            assert_eq!(Jute::new(bad).texts(), Err(DecodeError::Malformed), "{bad:?}");
        }
        assert_eq!(Jute::new(&[0, 0, 0, 1, 0xff]).text(), Err(DecodeError::Malformed));
        assert_eq!(Jute::new(&[0xff; 4]).texts(), Ok(Vec::new()));
    }
}
