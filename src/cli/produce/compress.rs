//! Compresses the records of a batch that is sealed already.

use std::io::{self, Write};

use crate::cli::arguments::Compression;
use crate::record::{BatchHeader, HEADER_BYTES};
use crate::types::crc32c;

/// Places in a batch: the length of what follows it, the CRC, and what that covers.
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

/// The batch with its records compressed; unchanged when that would make it longer.
pub(super) fn compress(batch: Vec<u8>, compression: Compression) -> io::Result<Vec<u8>> {
    let Some((head, records)) = batch.split_at_checked(HEADER_BYTES) else { return Ok(batch) };
    let (codec, body) = match compression {
        Compression::None => return Ok(batch),
        Compression::Gzip => (1, gzip(records)?),
        Compression::Snappy => (2, snap::raw::Encoder::new().compress_vec(records).map_err(io::Error::other)?),
        Compression::Lz4 => (3, lz4(records)?),
    };
    if body.len() >= records.len() {
        return Ok(batch);
    }
    let mut out = head.to_vec();
    out.extend_from_slice(&body);
    let length = (out.len() - LENGTH_AT - 4) as i32; // shorter than the batch, which fits an i32
    out[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    out[ATTRIBUTES_AT + 1] |= codec;
    let crc = crc32c::crc32c(&out[ATTRIBUTES_AT..]);
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    debug_assert!(BatchHeader::parse(&out).is_ok());
    Ok(out)
}

fn gzip(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(records)?;
    encoder.finish()
}

fn lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(records)?;
    encoder.finish().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchView, NewRecord, open, validate_produced};
    use crate::types::{LeaderEpoch, Offset, Timestamp};

    fn batch(value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1 << 20);
        for time in 0..20 {
            let record = NewRecord { timestamp: Timestamp(time), key: Some(b"k"), value: Some(value), headers: &[] };
            builder.push(&record).unwrap();
        }
        builder.seal(Offset(0), LeaderEpoch::NONE).to_vec()
    }

    /// Every codec gives a batch that passes the producer's gate and opens to the same records.
    #[test]
    fn round_trip() {
        let value = [b'x'; 500];
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let plain = batch(&value);
            let packed = compress(plain.clone(), compression).unwrap();
            assert!(packed.len() < plain.len() / 2, "{compression:?}");
            assert_eq!(validate_produced(&packed, 1 << 20).unwrap().record_count, 20);
            let view = BatchView::parse(&packed).unwrap();
            let mut scratch = Vec::new();
            let records: Vec<_> = open(&view, &mut scratch, 1 << 20).unwrap().map(Result::unwrap).collect();
            assert!(records.len() == 20 && records.iter().all(|record| record.value == Some(&value)));
        }
    }

    /// What would grow stays as it was.
    #[test]
    fn not_longer() {
        let mut builder = BatchBuilder::new(1 << 20);
        builder.push(&NewRecord { timestamp: Timestamp(0), key: None, value: Some(b"v"), headers: &[] }).unwrap();
        let plain = builder.seal(Offset(0), LeaderEpoch::NONE).to_vec();
        assert_eq!(compress(plain.clone(), Compression::Gzip).unwrap(), plain);
    }
}
