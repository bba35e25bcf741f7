//! Broker time: wall time as far as it can be believed on a board without a clock battery.
//!
//! Such a board boots in 1970 or weeks back. Broker time starts at the highest time ever noted (or when the program was
//! made) and never runs backwards, not even over a restart. While the wall clock lies behind what is known, broker time
//! stands still and nothing may expire by it.

use crate::metrics::METRICS;
use crate::types::Timestamp;

/// The highest time known so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrokerClock {
    high: Timestamp,
}

impl BrokerClock {
    /// No true time is earlier than `floor`.
    pub fn new(floor: Timestamp) -> BrokerClock {
        BrokerClock { high: floor }
    }

    /// A time that was noted before the restart, or by somebody who knows.
    pub fn learn(&mut self, time: Timestamp) {
        self.high = self.high.max(time);
    }

    /// Broker time when the wall clock says `wall`; remembered.
    pub fn advance(&mut self, wall: Timestamp) -> Timestamp {
        METRICS.runtime.clock_sane.set(self.is_sane(wall).into());
        self.learn(wall);
        self.high
    }

    /// The same without remembering.
    pub fn at(&self, wall: Timestamp) -> Timestamp {
        self.high.max(wall)
    }

    /// What should be noted for the next start.
    pub fn high(&self) -> Timestamp {
        self.high
    }

    /// False while the wall clock lies behind what is known.
    pub fn is_sane(&self, wall: Timestamp) -> bool {
        wall >= self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall clock that jumps back stops broker time instead of turning it.
    #[test]
    fn never_back() {
        let mut clock = BrokerClock::new(Timestamp(100));
        assert!(!clock.is_sane(Timestamp(5)));
        assert_eq!(clock.advance(Timestamp(5)), Timestamp(100));
        assert_eq!(clock.advance(Timestamp(300)), Timestamp(300));
        assert!(clock.is_sane(Timestamp(300)));
        assert_eq!(clock.at(Timestamp(200)), Timestamp(300));
        clock.learn(Timestamp(400));
        assert!(!clock.is_sane(Timestamp(399)));
    }
}
