//! Which segments have bytes that no sync of their own covers yet, and what covers those meanwhile.
//!
//! Invariant: a segment stands here from the moment a round wrote to it without syncing it, until a sync that began
//! after that write has succeeded. Bounded by the segments that the journal's halves can name.

use std::collections::BTreeMap;

use super::LogKey;
use crate::types::Offset;

/// Acknowledged as written: nothing covers the bytes.
pub(super) const UNCOVERED: u8 = 4;

/// Covered by the records of a half of the journal.
pub(super) const fn journaled(half: usize) -> u8 {
    1 << half
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dirt {
    /// Since the sync under way was asked for, if one is.
    bits: u8,
    /// What that sync covers.
    syncing: u8,
}

/// Segments by log and base offset.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    segments: BTreeMap<(LogKey, Offset), Dirt>,
}

impl Dirty {
    /// A round wrote to the segment without syncing it.
    pub fn add(&mut self, log: LogKey, base: Offset, bits: u8) {
        self.segments.entry((log, base)).or_default().bits |= bits;
    }

    /// A round synced the segment, everything written before included.
    pub fn synced(&mut self, log: LogKey, base: Offset) {
        self.segments.remove(&(log, base));
    }

    /// Whether the segment has bytes that nothing covers.
    pub fn is_uncovered(&self, log: LogKey, base: Offset) -> bool {
        self.segments.get(&(log, base)).is_some_and(|dirt| (dirt.bits | dirt.syncing) & UNCOVERED != 0)
    }

    /// Whether any segment of the log has any of `bits`.
    pub fn has(&self, log: LogKey, bits: u8) -> bool {
        self.of(log).any(|(_, dirt)| (dirt.bits | dirt.syncing) & bits != 0)
    }

    /// The logs that have any of `bits`, ascending.
    pub fn logs(&self, bits: u8) -> Vec<LogKey> {
        let dirty = self.segments.iter().filter(|(_, dirt)| (dirt.bits | dirt.syncing) & bits != 0);
        let mut logs: Vec<LogKey> = dirty.map(|(&(log, _), _)| log).collect();
        logs.dedup();
        logs
    }

    /// The dirty segments of a log are going to be synced: which.
    pub fn begin(&mut self, log: LogKey) -> Vec<Offset> {
        let mut bases = Vec::new();
        for (&(_, base), dirt) in self.segments.range_mut((log, Offset(i64::MIN))..=(log, Offset(i64::MAX))) {
            dirt.syncing |= std::mem::take(&mut dirt.bits);
            bases.push(base);
        }
        bases
    }

    /// The dirty segments of a log, which is about to be cut.
    pub fn of_log(&self, log: LogKey) -> Vec<Offset> {
        self.of(log).map(|(&(_, base), _)| base).collect()
    }

    /// The sync is answered.
    pub fn end(&mut self, done: bool) {
        for dirt in self.segments.values_mut() {
            let covered = std::mem::take(&mut dirt.syncing);
            if !done {
                dirt.bits |= covered;
            }
        }
        self.segments.retain(|_, dirt| dirt.bits != 0);
    }

    /// The log is gone, or all of it was synced.
    pub fn forget(&mut self, log: LogKey) {
        self.segments.retain(|&(known, _), _| known != log);
    }

    fn of(&self, log: LogKey) -> impl Iterator<Item = (&(LogKey, Offset), &Dirt)> {
        self.segments.range((log, Offset(i64::MIN))..=(log, Offset(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written while a sync is under way stays dirty after it.
    #[test]
    fn writes_during_a_sync() {
        let (log, other) = (LogKey(1), LogKey(2));
        let mut dirty = Dirty::default();
        dirty.add(log, Offset(0), journaled(0));
        dirty.add(log, Offset(9), journaled(0));
        dirty.add(other, Offset(0), UNCOVERED);
        assert_eq!(dirty.logs(journaled(0)), [log]);
        assert_eq!(dirty.begin(log), [Offset(0), Offset(9)]);
        dirty.add(log, Offset(9), journaled(1));
        assert_eq!(dirty.logs(journaled(0)), [log], "not synced yet");
        dirty.end(true);
        assert!(!dirty.has(log, journaled(0)));
        assert!(dirty.has(log, journaled(1)));
        assert!(dirty.is_uncovered(other, Offset(0)));
        dirty.synced(other, Offset(0));
        assert!(!dirty.is_uncovered(other, Offset(0)));
    }

    /// A sync that failed changes nothing.
    #[test]
    fn failed_sync() {
        let mut dirty = Dirty::default();
        dirty.add(LogKey(1), Offset(0), journaled(0));
        dirty.begin(LogKey(1));
        dirty.end(false);
        assert!(dirty.has(LogKey(1), journaled(0)));
        dirty.forget(LogKey(1));
        assert_eq!(dirty.logs(u8::MAX), []);
    }
}
