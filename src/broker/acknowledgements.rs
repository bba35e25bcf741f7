//! Who waits for which offset of one partition.
//!
//! Thousands of waiters become due in one write round, hundreds of thousands a second: they lie flat in the order of
//! their offsets and leave from the front. A repeated batch waits among those of its original.
//!
//! Invariant: ascending in `end`, equal ones in order of arrival. The bound on the sum over all partitions is the
//! broker's; memory account: "connection state".

use std::collections::VecDeque;

use super::Waiter;
use crate::limits::ACKNOWLEDGEMENT_BYTES;
use crate::types::{Offset, Timestamp};

/// One waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Due when the high watermark reaches this.
    pub end: Offset,
    /// Offset of the first record it is about.
    pub base_offset: Offset,
    /// What the answer says; -1 when producers set the time.
    pub log_append_time: Timestamp,
    /// Who.
    pub waiter: Waiter,
}

/// A queue that has doubled is half empty.
const _: () = assert!(2 * size_of::<Acknowledgement>() <= ACKNOWLEDGEMENT_BYTES);

/// The waiters of one partition. Holds no memory while nobody waits for long.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    queue: VecDeque<Acknowledgement>,
}

/// A queue that was this long gives its memory back once it is empty.
const KEPT_CAPACITY: usize = 256;

impl Acknowledgements {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds a waiter; cheap when its offset is the highest.
    #[inline]
    pub fn push(&mut self, acknowledgement: Acknowledgement) {
        match self.queue.back() {
            Some(last) if last.end > acknowledgement.end => {
                let at = self.queue.partition_point(|queued| queued.end <= acknowledgement.end);
                self.queue.insert(at, acknowledgement);
            }
            _ => self.queue.push_back(acknowledgement),
        }
    }

    /// Takes one that is due at `high_watermark`; call until `None`.
    #[inline]
    pub fn pop_due(&mut self, high_watermark: Offset) -> Option<Acknowledgement> {
        let due = self.queue.front().filter(|first| first.end <= high_watermark).copied();
        match due {
            Some(_) => {
                self.queue.pop_front();
            }
            None if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY => self.queue = VecDeque::new(),
            None => {}
        }
        due
    }

    /// Takes all that wait for anything at or above `from`, which will not come.
    pub fn fail_from(&mut self, from: Offset) -> impl Iterator<Item = Acknowledgement> + use<> {
        let at = self.queue.partition_point(|queued| queued.end <= from);
        self.queue.split_off(at).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Door;
    use crate::types::{ConnId, Slot};

    fn acknowledgement(end: i64, slot: u32) -> Acknowledgement {
        let waiter = Waiter { door: Door::Mqtt, conn: ConnId { index: 1, generation: 1 }, slot: Slot(slot) };
        Acknowledgement { end: Offset(end), base_offset: Offset(end - 1), log_append_time: Timestamp(-1), waiter }
    }

    fn due(queue: &mut Acknowledgements, at: i64) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop_due(Offset(at))).map(|popped| popped.waiter.slot.0).collect()
    }

    /// Waiters leave in the order of their offsets, late repetitions among their originals, and none before its time.
    #[test]
    fn order() {
        let mut queue = Acknowledgements::default();
        for (end, slot) in [(10, 1), (20, 2), (30, 3), (20, 4), (5, 5), (30, 6)] {
            queue.push(acknowledgement(end, slot));
        }
        assert_eq!(due(&mut queue, 4), [0u32; 0]);
        assert_eq!(due(&mut queue, 20), [5, 1, 2, 4]);
        assert_eq!(queue.len(), 2);
        assert_eq!(due(&mut queue, 30), [3, 6]);
    }

    /// A failure takes who waits for what is lost, and nobody else; an empty queue returns its memory.
    #[test]
    fn failure() {
        let mut queue = Acknowledgements::default();
        for end in 1..=10_000 {
            queue.push(acknowledgement(end, end as u32));
        }
        let failed: Vec<u32> = queue.fail_from(Offset(9_990)).map(|failed| failed.waiter.slot.0).collect();
        assert_eq!(failed, (9_991..=10_000).collect::<Vec<u32>>());
        assert_eq!(due(&mut queue, i64::MAX).len(), 9_990);
        assert!(queue.queue.capacity() == 0 && queue.len() == 0);
    }
}
