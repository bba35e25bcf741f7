//! What can be wrong with a batch, each with the error that Kafka's protocol has for it.

/// Why bytes are not a batch, or not one that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end before the batch does. CORRUPT_MESSAGE from a producer, a torn tail in a file.
    Truncated,
    /// A length, count or delta of the header is impossible. CORRUPT_MESSAGE.
    BadHeader,
    /// The magic byte is not 2; formats 0 and 1 are gone since Kafka 4.0. UNSUPPORTED_FOR_MESSAGE_FORMAT.
    BadMagic(i8),
    /// The stored CRC-32C is not that of the bytes. CORRUPT_MESSAGE.
    BadCrc,
    /// Larger than its caller allows. MESSAGE_TOO_LARGE.
    TooLarge,
    /// More bytes follow where one batch was expected. INVALID_RECORD.
    MoreThanOne,
    /// Without records, or the count disagrees with the offsets. INVALID_RECORD.
    BadCount,
    /// Attributes that a producer may not set: a control batch, log append time. INVALID_RECORD.
    BadAttributes,
    /// A producer id without a producer epoch or sequence. INVALID_RECORD.
    BadSequence,
    /// A record's own lengths, deltas or headers are impossible. INVALID_RECORD.
    BadRecord,
    /// The codec's number has no meaning. UNSUPPORTED_COMPRESSION_TYPE.
    UnknownCodec,
    /// The compressed block is damaged. CORRUPT_MESSAGE.
    BadCompression,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RecordError::Truncated => "the record batch ends early",
            RecordError::BadHeader => "a length or count in the header of the record batch is impossible",
            RecordError::BadMagic(magic) => return write!(f, "message format {magic} is not supported, only 2 is"),
            RecordError::BadCrc => "the record batch does not match its checksum",
            RecordError::TooLarge => "the record batch is too large",
            RecordError::MoreThanOne => "more than one record batch where one is expected",
            RecordError::BadCount => "the record count does not match the offsets of the batch",
            RecordError::BadAttributes => "the attributes of the record batch are not a producer's to set",
            RecordError::BadSequence => "the record batch has a producer id but no epoch or sequence",
            RecordError::BadRecord => "a record in the batch is malformed",
            RecordError::UnknownCodec => "the compression type is unknown",
            RecordError::BadCompression => "the compressed records are damaged",
        })
    }
}

impl std::error::Error for RecordError {}
