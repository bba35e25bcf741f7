//! Time as an argument. `Instant` measures, `Timestamp` names; neither can read a clock.
//!
//! A board without a battery boots in 1970 or two weeks back, so wall time is untrusted: whoever compares
//! timestamps over a restart asks the log's broker time, never `Now::wall` alone.

use std::time::Duration;

/// Monotonic microseconds since the process (or the simulation) began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

/// Wall-clock milliseconds since 1970, as in Kafka records and ZooKeeper's Stat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub i64);

/// What the shell's clocks said when it called `step`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and durations; never goes back.
    pub mono: Instant,
    /// For people and records; may jump.
    pub wall: Timestamp,
}

impl Instant {
    /// `duration` later; saturates at the end of time.
    pub fn plus(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration.as_micros().min(u64::MAX as u128) as u64))
    }

    /// `milliseconds` later.
    pub fn plus_millis(self, milliseconds: u64) -> Instant {
        Instant(self.0.saturating_add(milliseconds.saturating_mul(1000)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Now {
    /// `duration` from now, on the monotonic clock.
    pub fn after(self, duration: Duration) -> Instant {
        self.mono.plus(duration)
    }
}
