//! Sets of partitions by their topic's identity: what members own and shall own.
//!
//! Invariant: sorted, each partition once. About thirty bytes a partition, granted by whoever keeps the set.

use crate::types::{PartitionIndex, TopicId};

/// A partition of a topic that cannot be taken for another of the same name.
pub type TopicPartition = (TopicId, PartitionIndex);

/// A set of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(Vec<TopicPartition>);

impl Partitions {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when this is one of them.
    pub fn contains(&self, partition: &TopicPartition) -> bool {
        self.0.binary_search(partition).is_ok()
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &TopicPartition> {
        self.0.iter()
    }

    /// All of them, topic by topic.
    pub fn by_topic(&self) -> impl Iterator<Item = (TopicId, &[TopicPartition])> {
        self.0.chunk_by(|a, b| a.0 == b.0).filter_map(|run| run.first().map(|first| (first.0, run)))
    }

    /// Those that are in `other` too.
    pub fn common(&self, other: &Partitions) -> Partitions {
        Partitions(self.0.iter().filter(|one| other.contains(one)).copied().collect())
    }

    /// Those that are not in `other`.
    pub fn without(&self, other: &Partitions) -> Partitions {
        Partitions(self.0.iter().filter(|one| !other.contains(one)).copied().collect())
    }

    /// Those of either.
    pub fn with(&self, other: &Partitions) -> Partitions {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// True when all of them are in `other`.
    pub fn is_within(&self, other: &Partitions) -> bool {
        self.0.iter().all(|one| other.contains(one))
    }
}

impl FromIterator<TopicPartition> for Partitions {
    fn from_iter<I: IntoIterator<Item = TopicPartition>>(partitions: I) -> Partitions {
        let mut sorted: Vec<TopicPartition> = partitions.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.shrink_to_fit();
        Partitions(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(partitions: &[(u8, i32)]) -> Partitions {
        partitions.iter().map(|&(topic, index)| (TopicId([topic; 16]), PartitionIndex(index))).collect()
    }

    /// Sets are what sets are, whatever the order in which they were given.
    #[test]
    fn arithmetic() {
        let (one, other) = (set(&[(2, 0), (1, 1), (1, 0), (1, 1)]), set(&[(1, 1), (3, 0)]));
        assert_eq!(one.len(), 3);
        assert_eq!(one.common(&other), set(&[(1, 1)]));
        assert_eq!(one.without(&other), set(&[(1, 0), (2, 0)]));
        assert_eq!(one.with(&other), set(&[(1, 0), (1, 1), (2, 0), (3, 0)]));
        assert!(one.common(&other).is_within(&one) && !one.is_within(&other));
        assert_eq!(one.by_topic().map(|(topic, run)| (topic.0[0], run.len())).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    }
}
