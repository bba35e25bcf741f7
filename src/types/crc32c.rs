//! CRC-32C (Castagnoli), the checksum of Kafka's record batches.
//!
//! x86-64 and aarch64 use their instructions, found at run time by the `crc32c` crate. On 32-bit ARM that crate knows
//! software only, while every board since the Pi 2 rev 1.2 has the ARMv8 instructions also in 32-bit mode: there they
//! are used when the kernel says so, which is the one question to the world that this room asks.

/// The checksum of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    append(0, bytes)
}

/// The checksum of what `crc` covers followed by `bytes`.
#[cfg(not(target_arch = "arm"))]
#[inline]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, bytes)
}

/// The checksum of what `crc` covers followed by `bytes`.
#[cfg(target_arch = "arm")]
#[inline]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    arm::append(crc, bytes)
}

/// How checksums are computed here, for `check-config` and the benchmarks.
pub fn method() -> &'static str {
    #[cfg(target_arch = "arm")]
    return if arm::has_instructions() { "ARMv8 instructions in 32-bit mode" } else { "software" };
    #[cfg(target_arch = "aarch64")]
    return if std::arch::is_aarch64_feature_detected!("crc") { "ARMv8 instructions" } else { "software" };
    #[cfg(target_arch = "x86_64")]
    return if is_x86_feature_detected!("sse4.2") { "SSE 4.2" } else { "software" };
    #[cfg(not(any(target_arch = "arm", target_arch = "aarch64", target_arch = "x86_64")))]
    "software"
}

#[cfg(target_arch = "arm")]
mod arm {
    use std::arch::asm;
    use std::sync::atomic::{AtomicU8, Ordering};

    const UNKNOWN: u8 = 0;
    const SOFTWARE: u8 = 1;
    const INSTRUCTIONS: u8 = 2;
    const HWCAP2_CRC32: libc::c_ulong = 1 << 4;

    static METHOD: AtomicU8 = AtomicU8::new(UNKNOWN);

    /// True when this CPU has crc32cb and crc32cw; asks the kernel once.
    pub fn has_instructions() -> bool {
        if METHOD.load(Ordering::Relaxed) == UNKNOWN {
            // SAFETY: getauxval reads a value that the kernel handed to the process; it has no preconditions.
            let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
            let method = if capabilities & HWCAP2_CRC32 != 0 { INSTRUCTIONS } else { SOFTWARE };
            METHOD.store(method, Ordering::Relaxed);
        }
        METHOD.load(Ordering::Relaxed) == INSTRUCTIONS
    }

    pub fn append(crc: u32, bytes: &[u8]) -> u32 {
        if !has_instructions() {
            return ::crc32c::crc32c_append(crc, bytes);
        }
        // SAFETY: the CPU has the instructions.
        unsafe { by_instructions(crc, bytes) }
    }

    /// # Safety
    /// The CPU must have the ARMv8 CRC instructions.
    // The instructions are spelled as numbers, because the assembler of an ARMv7 target refuses their names. It is the
    // A32 encoding: a Thumb target would not assemble it, because `.inst` there wants a width.
    unsafe fn by_instructions(crc: u32, bytes: &[u8]) -> u32 {
        let mut crc = !crc;
        let mut words = bytes.chunks_exact(4);
        for word in &mut words {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]); // chunks of exactly 4
            // SAFETY: crc32cw r0, r0, r1
            unsafe {
                asm!(".inst 0xe1400241", inout("r0") crc, in("r1") word, options(pure, nomem, nostack, preserves_flags))
            };
        }
        for &byte in words.remainder() {
            // SAFETY: crc32cb r0, r0, r1
            unsafe {
                asm!(
                    ".inst 0xe1000241",
                    inout("r0") crc,
                    in("r1") byte as u32,
                    options(pure, nomem, nostack, preserves_flags)
                )
            };
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    /// The check value of the algorithm, and agreement with software bit by bit at every length and alignment.
    #[test]
    fn known_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
        let mut bytes = [0; 80];
        Rng::new(4).fill(&mut bytes);
        for start in 0..8 {
            for end in start..bytes.len() {
                let run = &bytes[start..end];
                assert_eq!(crc32c(run), bit_by_bit(run));
                let (front, back) = run.split_at(run.len() / 3);
                assert_eq!(append(crc32c(front), back), crc32c(run));
            }
        }
        assert!(!method().is_empty());
    }

    fn bit_by_bit(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for &byte in bytes {
            crc ^= byte as u32;
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }
}
