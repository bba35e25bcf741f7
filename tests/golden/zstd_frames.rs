//! Zstandard: frames of the reference compressor, and frames that no honest compressor makes.

use tern::record::{Codec, RecordError, decompress};
use tern::types::Rng;

/// Frames of zstd 1.5 at several levels, with the seed and the variety of their text: raw and compressed literals, new
/// and repeated tables, one and two blocks, with and without content size and checksum.
const FRAMES: [(&[u8], u64, usize, u64); 5] = [
    (include_bytes!("zstd/300.zst"), 1, 300, 30),
    (include_bytes!("zstd/3000.zst"), 2, 3000, 30),
    (include_bytes!("zstd/5000.zst"), 3, 5000, 90),
    (include_bytes!("zstd/20000.zst"), 4, 20_000, 9),
    (include_bytes!("zstd/200000.zst"), 5, 200_000, 2),
];

fn text(seed: u64, bytes: usize, variety: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut out = Vec::new();
    while out.len() < bytes {
        let (sensor, degree) = (rng.below(variety), rng.below(2));
        out.extend_from_slice(format!("sensor/{sensor} {degree}.{}\n", rng.below(variety)).as_bytes());
    }
    out.truncate(bytes);
    out
}

fn zstd(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    let result = decompress(Codec::Zstd, input, max_bytes, &mut out);
    assert!(out.capacity() <= max_bytes);
    result.map(|()| out)
}

/// What the reference compressor made reads back, also several frames in a row and with one to be skipped.
#[test]
fn reference_frames() {
    let mut run = Vec::new();
    let mut whole = Vec::new();
    for (frame, seed, bytes, variety) in FRAMES {
        let plain = text(seed, bytes, variety);
        assert!(zstd(frame, bytes) == Ok(plain.clone()), "{bytes}");
        assert_eq!(zstd(frame, bytes - 1), Err(RecordError::TooLarge));
        run.extend_from_slice(frame);
        run.extend_from_slice(b"\x51\x2a\x4d\x18\x03\0\0\0any");
        whole.extend_from_slice(&plain);
    }
    assert!(zstd(&run, whole.len()) == Ok(whole));
}

/// A frame that is cut is never whole; one with a flipped bit ends in an error or in bytes within the bound.
#[test]
fn damaged_frames() {
    for (frame, _, bytes, _) in FRAMES {
        for end in (1..frame.len()).step_by(1 + bytes / 2000) {
            assert_eq!(zstd(&frame[..end], bytes), Err(RecordError::BadCompression));
        }
        for bit in (0..frame.len() * 8).step_by(1 + bytes / 400) {
            let mut damaged = frame.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = zstd(&damaged, bytes);
        }
    }
}

/// A frame of a raw block of 16 bytes and a block whose sequences are all the longest match: a gigabyte in 16 KB.
fn endless_matches(sequences: u16) -> Vec<u8> {
    let mut block = vec![0x00]; // no literals
    block.push(0xff);
    block.extend_from_slice(&(sequences - 0x7f00).to_le_bytes());
    block.extend_from_slice(&[0x54, 0, 0, 52]); // each table has one symbol: no literals, a recent offset, longest match
    block.extend(std::iter::repeat_n(0xff, sequences as usize * 2)); // 16 more bits each
    block.push(0x01); // the marker
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x58".to_vec(); // window of 2 MiB
    frame.extend_from_slice(&[16 << 3, 0, 0]);
    frame.extend_from_slice(&[b'x'; 16]);
    frame.extend_from_slice(&(1 | 2 << 1 | (block.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend_from_slice(&block);
    frame
}

/// A block that expands beyond what a block may is refused before it has done so, whatever the caller would allow.
#[test]
fn block_bombs() {
    assert_eq!(zstd(&endless_matches(0x7f00), 1 << 30), Err(RecordError::BadCompression));
    let repeated = [b"\x28\xb5\x2f\xfd\x00\x58".as_slice(), &[3, 0, 0x10].repeat(100), b"\x01\0\0"].concat();
    assert!(zstd(&repeated, 1 << 20).is_err());
    let honest = [b"\x28\xb5\x2f\xfd\x00\x58".as_slice(), &b"\x02\0\x08x".repeat(7), b"\x01\0\0"].concat();
    assert_eq!(zstd(&honest, 1 << 20).map(|out| out.len()), Ok(7 * 0x10000));
}

/// Reserved bits, dictionaries and a content size that is not met are refused.
#[test]
fn refused_headers() {
    for header in [b"\x08\x58".as_slice(), b"\x01\x58\x07", b"\x03\x58\x01\0\0\0", b"\x20\x02"] {
        let frame = [b"\x28\xb5\x2f\xfd".as_slice(), header, b"\x09\0\0x"].concat();
        assert_eq!(zstd(&frame, 100), Err(RecordError::BadCompression));
    }
    for header in [b"\x00\x58".as_slice(), b"\x01\x58\0", b"\x03\x58\0\0\0\0", b"\x20\x01"] {
        let frame = [b"\x28\xb5\x2f\xfd".as_slice(), header, b"\x09\0\0x"].concat();
        assert_eq!(zstd(&frame, 100), Ok(b"x".to_vec()));
    }
    assert_eq!(zstd(b"\x28\xb5\x2f\xfc\x20\x01\x09\0\0x", 100), Err(RecordError::BadCompression));
}
