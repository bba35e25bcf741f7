//! Deadlines by key: set, move, cancel, and ask which have passed. One per owner of deadlines.
//!
//! A deadline that is moved or cancelled stays in the heap until it would have fired; the map of keys is the truth.
//! Bounded by the number of keys its owner keeps, because stale entries are swept when they outnumber live ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Instant;

/// At most one deadline a key.
#[derive(Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    deadlines: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new(), deadlines: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if self.deadlines.insert(key, at) != Some(at) {
            self.heap.push(Reverse((at, key)));
            self.sweep();
        }
    }

    /// Forgets the deadline of `key`.
    pub fn cancel(&mut self, key: K) {
        self.deadlines.remove(&key);
    }

    /// The earliest deadline.
    #[allow(clippy::should_implement_trait)] // not an iterator: it takes nothing out
    pub fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            if self.deadlines.get(key) == Some(at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// The earliest deadline, or the time of one that was cancelled or moved since `next` or `expired` was last asked.
    pub fn earliest(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Every key with its deadline, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, Instant)> + '_ {
        self.deadlines.iter().map(|(&key, &at)| (key, at))
    }

    /// Takes one key whose deadline has passed; call until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, key)) = self.heap.pop()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    fn sweep(&mut self) {
        if self.heap.len() > 2 * self.deadlines.len() + 16 {
            self.heap.clear();
            self.heap.extend(self.deadlines.iter().map(|(&key, &at)| Reverse((at, key))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moved deadline fires once, at its last time; a cancelled one never; stale entries stay bounded.
    #[test]
    fn move_and_cancel() {
        let mut timers = Timers::default();
        for at in 0..10_000 {
            timers.set(1, Instant(at));
        }
        assert!(timers.heap.len() < 64);
        timers.set(2, Instant(5));
        timers.cancel(2);
        assert_eq!(timers.expired(Instant(9_998)), None);
        assert_eq!(timers.expired(Instant(9_999)), Some(1));
        assert_eq!(timers.expired(Instant(u64::MAX)), None);
        assert_eq!(timers.next(), None);
    }
}
