//! A small gzip encoder (RFC 1951, 1952): matches found by one hash table, fixed Huffman codes, stored blocks for what does
//! not shrink.
//!
//! A general encoder keeps a third of a mebibyte and builds it on the stack of its thread; this one keeps 32 KiB on the
//! heap. Records of one topic repeat each other, which is what it finds; it reaches about the ratio of LZ4.

use flate2::Crc;

const WINDOW_BYTES: usize = 32 * 1024;
const HASH_BITS: u32 = 13;
const MATCH_MIN: usize = 4;
const MATCH_MAX: usize = 258;
const STORED_BYTES_MAX: usize = 65_535;
const END_OF_BLOCK: u32 = 256;

/// Magic, deflate, no name, no time, no system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// First length of each length code, 257 and up, and its extra bits.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// First distance of each distance code, and its extra bits.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// Appends a member that holds `input`, which is below 4 GiB, to `out`.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEAD);
    let start = out.len();
    deflate(input, out);
    if out.len() - start > input.len() {
        out.truncate(start);
        store(input, out);
    }
    let mut crc = Crc::new();
    crc.update(input);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
}

/// One block of fixed codes; given up as soon as it is longer than its input.
fn deflate(input: &[u8], out: &mut Vec<u8>) {
    let most = out.len() + input.len();
    let mut last = vec![0u32; 1 << HASH_BITS]; // positions plus one
    let mut bits = Bits { out, held: 0, count: 0 };
    bits.put(0b011, 3); // the last block, fixed codes
    let mut at = 0;
    while at < input.len() && bits.out.len() <= most {
        let found = find(input, at, &mut last);
        match found {
            Some((distance, length)) => {
                bits.coded(&LENGTHS, length as u16, |code| literal_or_length(257 + code));
                bits.coded(&DISTANCES, distance as u16, |code| (code.reverse_bits() >> 27, 5));
                at += length;
            }
            None => {
                let (code, count) = literal_or_length(input.get(at).copied().unwrap_or_default() as u32);
                bits.put(code, count);
                at += 1;
            }
        }
    }
    let (code, count) = literal_or_length(END_OF_BLOCK);
    bits.put(code, count);
    bits.finish();
}

/// An earlier place with the same bytes as at `at`: how far back, and how long.
fn find(input: &[u8], at: usize, last: &mut [u32]) -> Option<(usize, usize)> {
    let head = input.get(at..)?.first_chunk::<4>()?;
    let hash = u32::from_le_bytes(*head).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
    let place = last.get_mut(hash as usize)?;
    let before = std::mem::replace(place, at as u32 + 1);
    let from = (before as usize).checked_sub(1)?;
    let distance = at.checked_sub(from).filter(|&distance| distance > 0 && distance <= WINDOW_BYTES)?;
    let (old, new) = (input.get(from..)?, input.get(at..)?);
    let length = old.iter().zip(new).take(MATCH_MAX).take_while(|(old, new)| old == new).count();
    (length >= MATCH_MIN).then_some((distance, length))
}

/// The fixed code of a symbol, its bits in the order in which they are written, and how many.
fn literal_or_length(symbol: u32) -> (u32, u32) {
    let (code, count) = match symbol {
        0..=143 => (0x30 + symbol, 8),
        144..=255 => (0x190 + symbol - 144, 9),
        256..=279 => (symbol - 256, 7),
        _ => (0xc0 + symbol - 280, 8),
    };
    (code.reverse_bits() >> (32 - count), count)
}

fn store(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        let (block, after) = rest.split_at(rest.len().min(STORED_BYTES_MAX));
        out.push(after.is_empty() as u8); // whether it is the last, and type 0
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// Bits on their way into bytes, the lowest first.
struct Bits<'o> {
    out: &'o mut Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= (bits as u64) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A value by the code that begins at or below it, then its extra bits.
    fn coded(&mut self, table: &[(u16, u8)], value: u16, code: impl Fn(u32) -> (u32, u32)) {
        let number = table.partition_point(|&(first, _)| first <= value).saturating_sub(1);
        let (first, extra) = table.get(number).copied().unwrap_or_default();
        let (bits, count) = code(number as u32);
        self.put(bits, count);
        self.put((value - first) as u32, extra as u32);
    }

    fn finish(&mut self) {
        if self.count > 0 {
            self.out.push(self.held as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;
    use std::io::Read;

    /// Another decoder gives back what went in: noise, runs, text that repeats, of any length.
    #[test]
    fn round_trip() {
        let mut rng = Rng::new(12);
        for round in 0..300u64 {
            let size = rng.below(1 << (1 + round % 18)) as usize;
            let mut input = vec![0; size];
            let letters = 1 + rng.below(256);
            let mut at = 0;
            while at < size {
                if at > 10 && rng.one_in(2) {
                    let from = rng.below(at as u64) as usize;
                    let count = (rng.below(600) as usize).min(size - at);
                    (0..count).for_each(|index| input[at + index] = input[from + index]);
                    at += count;
                } else {
                    input[at] = rng.below(letters) as u8;
                    at += 1;
                }
            }
            let mut bytes = Vec::new();
            compress(&input, &mut bytes);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
            assert!(back == input, "round {round}: {size} bytes");
            assert!(bytes.len() <= size + 5 * (size / STORED_BYTES_MAX + 1) + 18);
        }
    }

    /// Records that repeat each other become much smaller.
    #[test]
    fn ratio() {
        let text: String =
            (0..500).map(|n| format!("{{\"sensor\":\"kitchen-{}\",\"celsius\":{}}}", n % 9, n)).collect();
        let mut bytes = Vec::new();
        compress(text.as_bytes(), &mut bytes);
        assert!(bytes.len() < text.len() / 3, "{} of {}", bytes.len(), text.len());
    }
}
