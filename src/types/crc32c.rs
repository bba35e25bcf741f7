//! CRC-32C (Castagnoli), the checksum of Kafka's record batches.
//!
//! x86-64 and aarch64 use their instructions, found at run time by the `crc32c` crate.

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// The checksum of what `crc` covers followed by `bytes`.
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, bytes)
}
