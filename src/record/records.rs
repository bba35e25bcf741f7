//! The records of a batch, borrowed: what a subscriber, a time look-up or a compaction reads.
//!
//! ```text
//! record  = length varint, attributes i8, timestamp delta varlong, offset delta varint,
//!           key length varint (-1: null), key, value length varint (-1: null), value, header count varint, headers
//! header  = key length varint, key, value length varint (-1: null), value
//! ```

use crate::types::{Offset, ReadError, Reader, Timestamp};

use super::{BatchView, Codec, RecordError, decompress};

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its own time, or the append time of the batch.
    pub timestamp: Timestamp,
    /// `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null, a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention, unchecked.
    pub key: &'a [u8],
    /// `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record; checked when the record was read.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Headers<'a> {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.left as usize
    }

    /// True when none is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The value of the first header of that name; the inner `None` is a null value.
    pub fn get(mut self, key: &[u8]) -> Option<Option<&'a [u8]>> {
        self.find(|header| header.key == key).map(|header| header.value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let key = bytes(&mut self.reader).ok()??;
        let value = bytes(&mut self.reader).ok()?;
        Some(Header { key, value })
    }
}

/// The records of one batch, in order. An `Err` is the last item; so is one for a count that is not met, or for bytes
/// after the last record.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    left: u32,
    done: bool,
    base_offset: Offset,
    last_offset_delta: i32,
    base_timestamp: Timestamp,
    append_time: Option<Timestamp>,
}

impl<'a> Records<'a> {
    /// The records in `body`, which is the body of a batch with this header, decompressed.
    pub fn new(batch: &BatchView<'_>, body: &'a [u8]) -> Records<'a> {
        Records {
            reader: Reader::new(body),
            left: batch.record_count(),
            done: false,
            base_offset: batch.base_offset(),
            last_offset_delta: batch.last_offset_delta(),
            base_timestamp: batch.base_timestamp(),
            append_time: batch.is_log_append_time().then(|| batch.max_timestamp()),
        }
    }

    fn read(&mut self) -> Result<Record<'a>, RecordError> {
        let raw = RawRecord::read(&mut self.reader)?;
        if raw.offset_delta < 0 || raw.offset_delta > self.last_offset_delta {
            return Err(RecordError::BadRecord);
        }
        Ok(Record {
            offset: self.base_offset.plus(raw.offset_delta as i64), // at most the last offset, which fits
            timestamp: self.append_time.unwrap_or(Timestamp(self.base_timestamp.0.wrapping_add(raw.timestamp_delta))),
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = match self.left.checked_sub(1) {
            None if self.reader.is_empty() => None,
            None => Some(Err(RecordError::BadCount)),
            Some(left) => {
                self.left = left;
                Some(self.read())
            }
        };
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// The records of `batch`, decompressed into `scratch` when they are compressed: at most `max_bytes`, else `TooLarge`.
/// The CRC is the caller's to check.
pub fn open<'a>(batch: &BatchView<'a>, scratch: &'a mut Vec<u8>, max_bytes: usize) -> Result<Records<'a>, RecordError> {
    match batch.codec()? {
        Codec::None => Ok(Records::new(batch, batch.body())),
        codec => {
            decompress(codec, batch.body(), max_bytes, scratch)?;
            Ok(Records::new(batch, scratch))
        }
    }
}

/// A record as it stands in the bytes, its lengths checked.
pub(super) struct RawRecord<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    /// The next record; it uses up exactly the length it states.
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<RawRecord<'a>, RecordError> {
        RawRecord::parse(reader).map_err(|_| RecordError::BadRecord)
    }

    #[inline]
    fn parse(reader: &mut Reader<'a>) -> Result<RawRecord<'a>, ReadError> {
        let length = usize::try_from(reader.varint()?).map_err(|_| ReadError::BadLength)?;
        let mut inner = Reader::new(reader.take(length)?);
        inner.i8()?; // attributes: no bit has a meaning
        let timestamp_delta = inner.varlong()?;
        let offset_delta = inner.varint()?;
        let key = bytes(&mut inner)?;
        let value = bytes(&mut inner)?;
        let headers = headers(&mut inner)?;
        if !inner.is_empty() {
            return Err(ReadError::BadLength);
        }
        Ok(RawRecord { timestamp_delta, offset_delta, key, value, headers })
    }
}

/// A run with a varint length, -1 for null.
#[inline]
fn bytes<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, ReadError> {
    match reader.varint()? {
        -1 => Ok(None),
        length => reader.take(usize::try_from(length).map_err(|_| ReadError::BadLength)?).map(Some),
    }
}

/// Checks the headers that remain and uses them up.
#[inline]
fn headers<'a>(reader: &mut Reader<'a>) -> Result<Headers<'a>, ReadError> {
    let count = u32::try_from(reader.varint()?).map_err(|_| ReadError::BadLength)?;
    let headers = Headers { reader: *reader, left: count };
    for _ in 0..count {
        bytes(reader)?.ok_or(ReadError::BadLength)?;
        bytes(reader)?;
    }
    Ok(headers)
}
