//! SIGINT and SIGTERM as a question, for commands that have something to bring to an end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// From now on these signals end nothing by themselves. System calls that wait return early.
pub fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// True when one of them has come.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Forgets it.
pub fn forget() {
    ASKED.store(false, Ordering::Relaxed);
}

/// An error when one of them has come.
pub fn check() -> io::Result<()> {
    if is_asked() { Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")) } else { Ok(()) }
}
