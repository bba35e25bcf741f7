//! What is told on standard error: lines for people, and not too many of them.
//!
//! Lines that a peer can cause carry a field `conn` or `peer`; of those at most one a second is printed, over all
//! places, and the others are counted. Everything else is printed as it comes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::prelude::*;

use crate::config::LogLevel;
use crate::metrics::METRICS;

/// Between two lines that peers cause.
const RHYTHM: Duration = Duration::from_secs(1);

/// Installs the printer for the life of the process; a second call changes nothing.
pub fn init(level: LogLevel) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let filter = Limited { level: level_filter(level), last: Mutex::new(None) };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
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
