//! Write rounds: which parts share a sync, and when the next round may start. Pure arithmetic.
//!
//! One round is in flight; what is appended meanwhile forms the next: group commit. A part is synced by itself when that
//! costs no more than the journal would, or when it would be alone there; all others share the journal's one sync. The
//! journal costs a second writing of the bytes, and a sync of every segment each time that a half is full.

use std::time::Duration;

use crate::effect::PartSync;
use crate::types::{Instant, Now};

/// What a card writes in the time of one sync, 20 MB/s for 6 ms: a larger part is cheaper to sync than to write twice.
pub(super) const SYNC_WORTH_BYTES: u64 = 120 * 1024;

/// A faster disk needs no waiting for company.
const SLOW_ROUND: Duration = Duration::from_millis(2);

/// The longest wait for company.
const LINGER_MAX: Duration = Duration::from_millis(2);

/// Enough company by bytes.
const LINGER_BYTES: u64 = 256 * 1024;

/// One part, as the decision sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartCost {
    pub bytes: u64,
    /// Synced by interval: no sync now.
    pub later: bool,
    /// Its segment has bytes that neither a sync nor the journal covers, which must become durable with it.
    pub uncovered: bool,
}

/// The size from which on a part is synced by itself, in a round of `parts` parts.
fn direct_bytes(parts: usize, journal_half_bytes: u64) -> u64 {
    SYNC_WORTH_BYTES * journal_half_bytes / (journal_half_bytes + parts.max(1) as u64 * SYNC_WORTH_BYTES)
}

/// How each part becomes durable, before it is known whether the journal has room.
pub(super) fn decide(parts: &[PartCost], journal_half_bytes: u64) -> Vec<PartSync> {
    let direct_bytes = direct_bytes(parts.len(), journal_half_bytes);
    let small = |part: &PartCost| !part.later && !part.uncovered && part.bytes > 0 && part.bytes < direct_bytes;
    let journaled = parts.iter().filter(|part| small(part)).count() > 1;
    parts
        .iter()
        .map(|part| match part {
            _ if part.later => PartSync::Later,
            _ if journaled && small(part) => PartSync::Journal,
            _ => PartSync::Direct,
        })
        .collect()
}

/// When the next round may start.
///
/// After a slow round those who were acknowledged usually send again at once. A round that started with the first of
/// them would leave the others to wait for a whole sync more, so that two half-full rounds alternate. Therefore the next
/// round waits until as many batches have come as the last round had, but no longer than a quarter of its duration and
/// never for a batch that nobody announced.
#[derive(Debug, Default)]
pub(super) struct Pace {
    enabled: bool,
    until: Instant,
    expected: usize,
}

impl Pace {
    pub fn new(enabled: bool) -> Pace {
        Pace { enabled, ..Pace::default() }
    }

    /// A round of `batches` is answered that was sent at `sent`.
    pub fn answered(&mut self, now: Now, sent: Instant, batches: usize) {
        let took = now.mono.since(sent);
        let wait = if took < SLOW_ROUND || !self.enabled { Duration::ZERO } else { (took / 4).min(LINGER_MAX) };
        self.until = now.after(wait);
        self.expected = batches;
    }

    /// When a round of what is queued should start: now, or later.
    pub fn start(&self, now: Now, batches: usize, bytes: u64) -> Instant {
        if batches >= self.expected || bytes >= LINGER_BYTES { now.mono } else { self.until.max(now.mono) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: u64) -> PartCost {
        PartCost { bytes, later: false, uncovered: false }
    }

    /// One segment, or large parts: synced by themselves; several small ones share the journal.
    #[test]
    fn decisions() {
        use PartSync::*;
        const HALF: u64 = 8 << 20;
        assert_eq!(decide(&[part(100)], HALF), [Direct]);
        assert_eq!(decide(&[part(100), part(200)], HALF), [Journal, Journal]);
        assert_eq!(decide(&[part(100), part(200)], 0), [Direct, Direct]);
        assert_eq!(decide(&[part(1 << 20), part(200)], HALF), [Direct, Direct]);
        assert_eq!(decide(&[part(1 << 20), part(200), part(300)], HALF), [Direct, Journal, Journal]);
        assert!(decide(&[part(80 << 10); 16], HALF).iter().all(|sync| *sync == Journal));
        assert!(decide(&[part(80 << 10); 50], HALF).iter().all(|sync| *sync == Direct));
        let later = PartCost { later: true, ..part(9) };
        let uncovered = PartCost { uncovered: true, ..part(9) };
        assert_eq!(decide(&[later, uncovered, part(1), part(2)], HALF), [Later, Direct, Journal, Journal]);
        assert_eq!(decide(&[later, uncovered, part(1)], HALF), [Later, Direct, Direct]);
    }

    /// A slow round makes the next wait for as many batches as it had, shortly; a fast one does not.
    #[test]
    fn lingering() {
        let at = |micros| Now { mono: Instant(micros), ..Now::default() };
        let mut pace = Pace::new(true);
        assert_eq!(pace.start(at(5), 1, 1), Instant(5));
        pace.answered(at(10_000), Instant(4_000), 40);
        assert_eq!(pace.start(at(10_000), 1, 100), Instant(11_500));
        assert_eq!(pace.start(at(10_000), 40, 100), Instant(10_000));
        assert_eq!(pace.start(at(10_000), 1, 1 << 20), Instant(10_000));
        assert_eq!(pace.start(at(12_000), 1, 100), Instant(12_000));
        pace.answered(at(500_000), Instant(90_000), 40);
        assert_eq!(pace.start(at(500_000), 1, 1), Instant(502_000));
        pace.answered(at(600_000), Instant(599_000), 40);
        assert_eq!(pace.start(at(600_000), 1, 1), Instant(600_000));
    }
}
