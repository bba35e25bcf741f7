//! The high watermark: the lowest durable end over the replicas in sync. Nothing at or above it is acknowledged or read.
//!
//! Invariant: it goes back only when the log below it is cut or begins anew.

use crate::types::Offset;

/// The high watermark of one partition, as its leader made it or as a follower knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HighWatermark {
    value: Offset,
}

impl HighWatermark {
    /// Everything below is acknowledged.
    pub fn get(&self) -> Offset {
        self.value
    }

    /// The log begins anew there.
    pub fn restart_at(&mut self, value: Offset) {
        self.value = value;
    }

    /// The log is cut: nothing at or above `end` is there any more.
    pub fn cut(&mut self, end: Offset) {
        self.value = self.value.min(end);
    }

    /// Moves it up to `lowest`, the lowest durable end that counts; `None` when one of them is unknown. True when it
    /// moved.
    pub fn advance(&mut self, lowest: Option<Offset>) -> bool {
        let moved = lowest.is_some_and(|lowest| lowest > self.value);
        self.value = self.value.max(lowest.unwrap_or_default());
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It follows what is known, never back, and stays where it is while somebody is unknown.
    #[test]
    fn moves() {
        let mut mark = HighWatermark::default();
        assert!(mark.advance(Some(Offset(10))));
        assert!(!mark.advance(None) && !mark.advance(Some(Offset(9))));
        assert_eq!(mark.get(), Offset(10));
        mark.cut(Offset(12));
        assert_eq!(mark.get(), Offset(10));
        mark.cut(Offset(4));
        assert_eq!(mark.get(), Offset(4));
        mark.restart_at(Offset(100));
        assert_eq!(mark.get(), Offset(100));
    }
}
