//! Which partition a key belongs to, by the rule of Kafka's own clients, so that a record of an MQTT publisher and one
//! of a Kafka producer with the same key meet in one partition.

use crate::types::PartitionIndex;

/// Kafka's default partitioner for records with a key: murmur2, its sign cut off, modulo the partitions (at least 1).
pub fn partition_of(key: &[u8], partitions: u32) -> PartitionIndex {
    PartitionIndex(((murmur2(key) & 0x7fff_ffff) % partitions.max(1)) as i32)
}

/// MurmurHash2, 32 bits, with the seed that Kafka chose.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = [0; 4];
        word.copy_from_slice(chunk);
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        let mut word = [0; 4];
        word[..tail.len()].copy_from_slice(tail); // a remainder of at most 3
        hash = (hash ^ u32::from_le_bytes(word)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that Kafka's own clients compute.
    #[test]
    fn known_hashes() {
        assert_eq!(murmur2(b"21") as i32, -973_932_308);
        assert_eq!(murmur2(b"foobar") as i32, -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string") as i32, -985_981_536);
        assert_eq!(murmur2(b"a-little-bit-longer-string") as i32, -1_486_304_829);
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8") as i32, -58_897_971);
        assert_eq!(murmur2(b"abc") as i32, 479_470_107);
        assert_eq!(partition_of(b"foobar", 0), PartitionIndex(0));
    }
}
