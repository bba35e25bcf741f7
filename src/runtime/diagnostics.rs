//! What is told on standard error: lines for people, and not too many of them.
//!
//! Lines that a peer can cause carry a field `conn` or `peer`; of those at most one a second is printed, over all
//! places, and the others are counted. Everything else is printed as it comes.
//!
//! Where standard error is the journal, a line has no time of its own and begins with its priority, as sd-daemon(3) says.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

use crate::config::LogLevel;
use crate::metrics::METRICS;

/// Between two lines that peers cause.
const RHYTHM: Duration = Duration::from_secs(1);

/// Changes the level of the installed printer.
type SetLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Installs the printer for the life of the process; a second call changes nothing.
pub fn init(level: LogLevel) {
    let (filter, handle) = reload::Layer::new(Limited { level: level_filter(level), last: Mutex::new(None) });
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false);
    let lines = if is_journal() {
        lines.without_time().with_level(false).with_writer(Journal).with_filter(filter).boxed()
    } else {
        lines.with_writer(io::stderr).with_filter(filter).boxed()
    };
    if tracing_subscriber::registry().with(lines).try_init().is_ok() {
        let set = move |level| drop(handle.modify(|limited: &mut Limited| limited.level = level_filter(level)));
        let _ = SET_LEVEL.set(Box::new(set)); // this was the first call
    }
}

/// Changes what is told from now on.
pub fn set_level(level: LogLevel) {
    if let Some(set) = SET_LEVEL.get() {
        set(level);
    }
}

/// What a line of an error begins with on standard error: its priority for the journal, nothing for people.
pub fn error_prefix() -> &'static str {
    if is_journal() { "<3>" } else { "" }
}

/// True when `$JOURNAL_STREAM` names what standard error is.
fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let descriptor = io::stderr().as_fd().try_clone_to_owned();
    let metadata = descriptor.and_then(|descriptor| std::fs::File::from(descriptor).metadata());
    metadata.is_ok_and(|metadata| stream.to_str() == Some(&format!("{}:{}", metadata.dev(), metadata.ino())))
}

/// Writes for the journal.
struct Journal;

/// One event for the journal, whose every line begins with `prefix`.
struct JournalEntry<W> {
    prefix: &'static str,
    out: W,
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = JournalEntry<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        JournalEntry { prefix: "<6>", out: io::stderr() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        JournalEntry { prefix: priority(metadata.level()), out: io::stderr() }
    }
}

/// syslog(3)'s numbers: error, warning, informational, debug.
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

impl<W: Write> Write for JournalEntry<W> {
    /// The printer hands over an event as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut lines = Vec::with_capacity(event.len() + 64);
        for line in event.split_inclusive(|&byte| byte == b'\n') {
            lines.extend_from_slice(self.prefix.as_bytes());
            lines.extend_from_slice(line);
        }
        self.out.write_all(&lines)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Lets through what is important enough, and of what peers cause one line a second.
struct Limited {
    level: LevelFilter,
    last: Mutex<Option<Instant>>,
}

impl Limited {
    fn lets_peer_line_through(&self, now: Instant) -> bool {
        let Ok(mut last) = self.last.lock() else { return false };
        let passes = last.is_none_or(|last| now.duration_since(last) >= RHYTHM);
        if passes {
            *last = Some(now);
        } else {
            METRICS.runtime.lines_suppressed.inc();
        }
        passes
    }
}

impl<S: Subscriber> Filter<S> for Limited {
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        // Dependencies speak only when something is wrong.
        let is_ours = metadata.target().starts_with("tern");
        *metadata.level() <= if is_ours { self.level } else { self.level.min(LevelFilter::WARN) }
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let fields = event.metadata().fields();
        let is_peers = fields.field("conn").is_some() || fields.field("peer").is_some();
        !is_peers || self.lets_peer_line_through(Instant::now())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of an event has its priority, and nothing of it is lost.
    #[test]
    fn journal_lines() {
        let mut out = Vec::new();
        let mut entry = JournalEntry { prefix: priority(&Level::WARN), out: &mut out };
        assert_eq!(entry.write(b"one\ntwo\n").unwrap(), 8);
        assert_eq!(out, b"<4>one\n<4>two\n");
        assert_eq!((priority(&Level::ERROR), priority(&Level::TRACE)), ("<3>", "<7>"));
    }

    /// One line a second, and the others are counted.
    #[test]
    fn one_a_second() {
        let limited = Limited { level: LevelFilter::INFO, last: Mutex::new(None) };
        let start = Instant::now();
        let before = METRICS.runtime.lines_suppressed.get();
        let passed = (0..2500).filter(|&ms| limited.lets_peer_line_through(start + Duration::from_millis(ms))).count();
        assert_eq!(passed, 3);
        assert!(METRICS.runtime.lines_suppressed.get() >= before + 2497);
    }
}
