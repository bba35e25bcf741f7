//! The two clocks, read here and nowhere else.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use crate::types::{Instant, Now, Timestamp};

/// Monotonic time counted from the start of the process, and the wall clock as it stands.
#[derive(Debug)]
pub struct Clock {
    started: StdInstant,
}

impl Clock {
    /// Starts counting.
    pub fn new() -> Clock {
        Clock { started: StdInstant::now() }
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Now { mono: self.mono(), wall: Timestamp(wall) }
    }

    /// The monotonic clock alone.
    pub fn mono(&self) -> Instant {
        Instant(self.started.elapsed().as_micros() as u64)
    }

    /// The moment of `instant` for tokio's timers.
    pub fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        (self.started + std::time::Duration::from_micros(instant.0)).into()
    }
}
