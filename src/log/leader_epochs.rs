//! Leader epochs of one log with the offset each began at: Kafka's `leader-epoch-checkpoint` (KIP-101).
//!
//! Invariants: epochs and offsets ascend, strictly; nothing starts at or above the log end offset except the entry of
//! a leader that has not appended yet. Bounded by the number of elections that the retained records have seen.

use crate::types::{LeaderEpoch, Offset};

/// The cache of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// Takes what a file or a scan gave; entries that do not ascend are dropped.
    pub fn from_entries(entries: impl IntoIterator<Item = (LeaderEpoch, Offset)>) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            epochs.note(epoch, start);
        }
        epochs
    }

    /// A batch of `epoch` was appended at `start`; true when that is news. Lower epochs than the last, and the -1 of
    /// batches that never had one, say nothing.
    pub fn note(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        match self.entries.last() {
            _ if epoch.0 < 0 => false,
            Some(&(last, _)) if epoch <= last => false,
            Some(&(_, from)) if start <= from => {
                self.entries.pop();
                self.note(epoch, start);
                true
            }
            _ => {
                self.entries.push((epoch, start));
                true
            }
        }
    }

    /// The last epoch that appended.
    pub fn last(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::NONE, |&(epoch, _)| epoch)
    }

    /// The highest epoch that is at most `epoch`, and the offset at which a later one began; the end of the log for
    /// the last one. `(NONE, -1)` when every known epoch is later.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let later = self.entries.partition_point(|&(known, _)| known <= epoch);
        let Some(&(found, _)) = later.checked_sub(1).and_then(|index| self.entries.get(index)) else {
            return (LeaderEpoch::NONE, Offset(-1));
        };
        (found, self.entries.get(later).map_or(log_end, |&(_, start)| start))
    }

    /// Everything at or above `end` is gone; true when that changed anything.
    pub fn truncate_end(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|&(_, start)| start < end);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// Everything below `start` is gone: the epoch that was current there begins there. True when that changed anything.
    pub fn truncate_start(&mut self, start: Offset) -> bool {
        let passed = self.entries.partition_point(|&(_, from)| from <= start);
        let Some(current) = passed.checked_sub(1) else { return false };
        let changed = current > 0 || self.entries.first().is_some_and(|&(_, from)| from < start);
        self.entries.drain(..current);
        if let Some(first) = self.entries.first_mut() {
            first.1 = start;
        }
        changed
    }

    /// Ascending.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs::from_entries(entries.iter().map(|&(epoch, start)| (LeaderEpoch(epoch), Offset(start))))
    }

    fn end_of(epochs: &LeaderEpochs, epoch: i32) -> (i32, i64) {
        let (epoch, offset) = epochs.end_of(LeaderEpoch(epoch), Offset(100));
        (epoch.0, offset.0)
    }

    /// The end of an epoch is where the next one starts; unknown ones fall back to the nearest below.
    #[test]
    fn ends() {
        let epochs = cache(&[(2, 10), (5, 30)]);
        assert_eq!(end_of(&epochs, 1), (-1, -1));
        assert_eq!(end_of(&epochs, 2), (2, 30));
        assert_eq!(end_of(&epochs, 4), (2, 30));
        assert_eq!(end_of(&epochs, 5), (5, 100));
        assert_eq!(end_of(&epochs, 9), (5, 100));
        assert_eq!(end_of(&cache(&[]), 0), (-1, -1));
    }

    /// Cutting either end keeps exactly what the remaining records were written under.
    #[test]
    fn truncation() {
        let mut epochs = cache(&[(1, 0), (2, 10), (3, 20)]);
        assert!(epochs.truncate_start(Offset(15)));
        assert_eq!(epochs, cache(&[(2, 15), (3, 20)]));
        assert!(!epochs.truncate_start(Offset(15)));
        assert!(!epochs.truncate_end(Offset(25)));
        assert!(epochs.truncate_end(Offset(20)));
        assert_eq!(epochs, cache(&[(2, 15)]));
        assert!(epochs.truncate_end(Offset(15)));
        assert_eq!(epochs.last(), LeaderEpoch::NONE);
    }

    /// Epochs that go back are ignored, an epoch without records gives way.
    #[test]
    fn ascending() {
        let mut epochs = cache(&[(1, 0)]);
        assert!(!epochs.note(LeaderEpoch(1), Offset(5)));
        assert!(!epochs.note(LeaderEpoch(0), Offset(5)));
        assert!(!epochs.note(LeaderEpoch::NONE, Offset(5)));
        assert!(epochs.note(LeaderEpoch(3), Offset(0)));
        assert_eq!(epochs, cache(&[(3, 0)]));
    }
}
