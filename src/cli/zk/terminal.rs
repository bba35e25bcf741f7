//! The terminal while a line is typed: raw mode, its width, and waiting for keys and something else together.

use std::io::{self, Read};
use std::os::fd::RawFd;
use std::time::Duration;

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Keys.
    pub keys: bool,
    /// The other thing that was waited for.
    pub other: bool,
}

/// Raw mode, for as long as this lives.
pub struct Raw(libc::termios);

impl Raw {
    /// From now on every key comes by itself and is not echoed.
    pub fn enter() -> io::Result<Raw> {
        // SAFETY: an all-zero termios is a value; tcgetattr fills it in.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: a file descriptor of ours and a pointer to a live termios.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut raw = before;
        // SAFETY: changes a termios of ours.
        unsafe { libc::cfmakeraw(&mut raw) };
        raw.c_oflag = before.c_oflag; // a newline still goes to the first column
        // SAFETY: as above.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &raw) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: restores what tcgetattr told.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &self.0) };
    }
}

/// Columns of the terminal; 80 when it does not say.
pub fn width() -> usize {
    // SAFETY: an all-zero winsize is a value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ fills in a winsize.
    let told = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) } == 0;
    if told && size.ws_col > 0 { usize::from(size.ws_col) } else { 80 }
}

/// Waits for keys, for `other`, or until the time is up.
pub fn wait(other: RawFd, patience: Duration) -> io::Result<Woken> {
    let ask = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut asked = [ask(libc::STDIN_FILENO), ask(other)];
    let milliseconds = patience.as_millis().clamp(1, 60_000) as libc::c_int;
    // SAFETY: an array of that length.
    let count = unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, milliseconds) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok(Woken { keys: false, other: false }),
            _ => Err(error),
        };
    }
    let [keys, other] = asked.map(|answer| answer.revents != 0);
    Ok(Woken { keys, other })
}

/// What was typed since the last time; empty at the end of input.
pub fn read() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let count = io::stdin().lock().read(&mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}
