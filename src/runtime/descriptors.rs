//! File descriptors: the shell's soft limit of 1024 is too low for a thousand sockets and the logs beside them.

use std::io;

/// Raises the soft limit to `wanted`, as far as the hard limit lets. Answers what the limit is now.
pub fn raise(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is that of `limit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let enough = wanted as libc::rlim_t;
    if limit.rlim_cur < enough {
        limit.rlim_cur = enough.min(limit.rlim_max);
        // SAFETY: the pointer is that of `limit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    #[allow(clippy::unnecessary_cast)] // 32 bits wide on some boards
    Ok(limit.rlim_cur as u64)
}

/// How many are in use; 0 where the system does not tell. A file call: for the disk lanes.
pub fn count_open() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit that is high enough stays; a higher one is reached or the hard limit is.
    #[test]
    fn raises() {
        let now = raise(1).unwrap();
        assert!(now >= 1);
        assert!(raise(now).unwrap() >= now);
        assert!(raise(u64::from(u32::MAX)).unwrap() >= now);
    }
}
