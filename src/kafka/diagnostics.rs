//! What the door tells people about clients that misbehave: one line a second at most, however many do.

use crate::metrics::METRICS;
use crate::types::{ConnId, Instant};

/// Lines that were not written are counted and told with the next one.
#[derive(Debug, Default)]
pub struct Diagnostics {
    last: Option<Instant>,
    suppressed: u64,
}

impl Diagnostics {
    /// A connection is closed because of `what` it did.
    pub fn closing(&mut self, now: Instant, conn: ConnId, what: &dyn std::fmt::Display) {
        METRICS.kafka.frames_refused.inc();
        if self.is_allowed(now) {
            let suppressed = std::mem::take(&mut self.suppressed);
            tracing::warn!(%conn, suppressed, "kafka connection closed: {what}");
        } else {
            self.suppressed += 1;
            METRICS.runtime.lines_suppressed.inc();
        }
    }

    fn is_allowed(&mut self, now: Instant) -> bool {
        let is_allowed = self.last.is_none_or(|last| now >= last.plus_millis(1000));
        if is_allowed {
            self.last = Some(now);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand bad clients in a second are one line.
    #[test]
    fn one_line_a_second() {
        let mut diagnostics = Diagnostics::default();
        let allowed = (0..3000).filter(|ms| diagnostics.is_allowed(Instant(ms * 1000))).count();
        assert_eq!(allowed, 3);
    }
}
