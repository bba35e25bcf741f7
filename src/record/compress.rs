//! The codecs towards the writer: what compaction needs for batches of which it removes records.
//!
//! Zstandard has no encoder of a size that suits a board: what was Zstandard becomes gzip, which every client opens that
//! opens Zstandard. Frames are those that Kafka's Java client reads: Snappy in blocks of 32 KiB behind snappy-java's
//! header, LZ4 in independent blocks of 64 KiB.

use std::io::Write;

use super::Codec;

const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
/// snappy-java: magic, version 1, lowest compatible version 1.
const SNAPPY_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

/// What the encoders allocate beside their output, at most.
pub const COMPRESSION_BYTES: usize = 192 * 1024;

/// The codec that a batch gets whose records were compressed with `codec`.
pub(super) fn writable(codec: Codec) -> Codec {
    if codec == Codec::Zstd { Codec::Gzip } else { codec }
}

/// Appends `input`, compressed, to `out`; `codec` is a `writable` one.
pub(super) fn compress(codec: Codec, input: &[u8], out: &mut Vec<u8>) {
    match codec {
        Codec::None => out.extend_from_slice(input),
        Codec::Gzip | Codec::Zstd => super::gzip::compress(input, out),
        Codec::Snappy => snappy(input, out),
        Codec::Lz4 => lz4(input, out),
    }
}

fn snappy(input: &[u8], out: &mut Vec<u8>) {
    let mut encoder = snap::raw::Encoder::new();
    out.extend_from_slice(&SNAPPY_HEADER);
    for block in input.chunks(SNAPPY_BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
        // the room is what the encoder itself asks for
        let bytes = encoder.compress(block, out.get_mut(start + 4..).unwrap_or_default()).unwrap_or_default();
        if let Some(length) = out.get_mut(start..start + 4) {
            length.copy_from_slice(&(bytes as u32).to_be_bytes());
        }
        out.truncate(start + 4 + bytes);
    }
}

fn lz4(input: &[u8], out: &mut Vec<u8>) {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    // writing to a Vec cannot fail
    let _ = encoder.write_all(input);
    let _ = encoder.finish();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decompress;
    use crate::types::Rng;

    /// What is compressed is decompressed again, whatever its size and content.
    #[test]
    fn round_trip() {
        let mut rng = Rng::new(5);
        for size in [0, 1, 100, 40_000, 200_000] {
            let mut input = vec![7; size];
            rng.fill(&mut input[..size / 2]);
            for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
                assert_eq!(writable(codec), codec);
                let (mut bytes, mut back) = (vec![9; 3], Vec::new());
                compress(codec, &input, &mut bytes);
                decompress(codec, &bytes[3..], size, &mut back).unwrap();
                assert_eq!(back, input, "{codec:?} of {size}");
                assert!(codec == Codec::None || size < 1000 || bytes.len() < size * 3 / 4, "{codec:?} of {size}");
            }
        }
        assert_eq!(writable(Codec::Zstd), Codec::Gzip);
    }
}
