//! At most one line a second about what clients of a door do wrong, with the number of those that were not told.
//! Each door has one of these.

use crate::metrics::METRICS;
use crate::types::Instant;

const PAUSE_MILLIS: u64 = 1000;

/// Decides whether a line may be written.
#[derive(Debug, Default)]
pub struct Diagnostics {
    next_at: Instant,
    suppressed: u64,
}

impl Diagnostics {
    /// `Some(n)`: write the line; `n` others were kept back since the last one.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if now < self.next_at {
            self.suppressed += 1;
            METRICS.runtime.lines_suppressed.inc();
            return None;
        }
        self.next_at = now.plus_millis(PAUSE_MILLIS);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One a second, and the others are counted.
    #[test]
    fn one_a_second() {
        let mut diagnostics = Diagnostics::default();
        let lines: Vec<_> = (0..2500).filter_map(|at| diagnostics.allow(Instant(at * 1000))).collect();
        assert_eq!(lines, [0, 999, 999]);
    }
}
