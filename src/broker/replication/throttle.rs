//! How fast replicas that are not in sync catch up, where somebody has set a rate for them (KIP-73): what leaders send is
//! bounded by `leader.replication.throttled.rate`, what followers take by `follower.replication.throttled.rate`, both of
//! the board and only for the replicas that a topic's `*.replication.throttled.replicas` names.
//!
//! Replicas in sync are never slowed down: acknowledgements wait for them.
//!
//! Invariant: over any time that is longer than one fetch takes, no more passes than the rate allows; a fetch goes whole.

use crate::broker::{Broker, PartitionKey};
use crate::coordinator::Cluster;
use crate::effect::Effects;
use crate::types::{Instant, NodeId, Now};

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::broker) struct Throttle {
    /// Bytes a second; none: as fast as it goes.
    rate: Option<u64>,
    /// When everything that has passed is paid for.
    paid_at: Instant,
}

impl Throttle {
    /// Sets the rate from now on.
    fn set(&mut self, rate: Option<u64>) {
        if self.rate != rate {
            *self = Throttle { rate, paid_at: Instant(0) };
        }
    }

    /// Until when the next has to wait.
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        (self.rate.is_some() && self.paid_at > now).then_some(self.paid_at)
    }

    /// So many bytes have passed.
    pub fn charge(&mut self, now: Instant, bytes: usize) {
        if let Some(rate) = self.rate {
            let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
            self.paid_at = Instant(self.paid_at.max(now).0.saturating_add(micros));
        }
    }
}

/// The rate that the tree sets for this board, or for all.
fn rate(cluster: &Cluster, node: NodeId, key: &str) -> Option<u64> {
    let mut said = [Some(node), None].into_iter().filter_map(|level| cluster.broker_configs.get(&level)?.get(key));
    said.find_map(|value| value.trim().parse().ok()).filter(|rate| *rate < i64::MAX as u64)
}

impl Broker {
    /// The tree's word on the rates.
    pub(in crate::broker) fn apply_rates(&mut self, cluster: &Cluster) {
        self.replication.sending.set(rate(cluster, self.node, "leader.replication.throttled.rate"));
        self.replication.taking.set(rate(cluster, self.node, "follower.replication.throttled.rate"));
    }

    /// Whether this leader slows down a follower.
    fn is_sending_throttled(&self, key: PartitionKey, follower: NodeId) -> bool {
        self.replication.sending.rate.is_some()
            && self.partitions.get(key).is_some_and(|partition| {
                !partition.isr.contains(&follower)
                    && partition.settings.leaders_throttled.has(partition.index, self.node)
            })
    }

    /// True when a follower has to wait; it is answered then.
    pub(super) fn wait_for_rate(&mut self, key: PartitionKey, follower: NodeId) -> bool {
        let until = self.replication.sending.waits_until(self.replication.now);
        let until = until.filter(|_| self.is_sending_throttled(key, follower));
        if let Some(until) = until {
            self.replication.throttled.set((follower, key), until);
        }
        until.is_some()
    }

    /// So many bytes go to a follower.
    pub(super) fn charge_sending(&mut self, key: PartitionKey, follower: NodeId, bytes: usize) {
        if self.is_sending_throttled(key, follower) {
            self.replication.sending.charge(self.replication.now, bytes);
        }
    }

    /// Answers who has waited long enough.
    pub(in crate::broker) fn answer_throttled(&mut self, now: Now, fx: &mut Effects) {
        while let Some((follower, key)) = self.replication.throttled.expired(now.mono) {
            self.answer_fetch(key, follower, fx);
        }
    }

    /// So many bytes have come to this follower: until when it must not fetch again.
    pub(super) fn charge_taking(&mut self, key: PartitionKey, bytes: usize) -> Option<Instant> {
        let (node, now) = (self.node, self.replication.now);
        let partition = self.partitions.get(key)?;
        let is_throttled =
            !partition.isr.contains(&node) && partition.settings.followers_throttled.has(partition.index, node);
        if !is_throttled {
            return None;
        }
        self.replication.taking.charge(now, bytes);
        self.replication.taking.waits_until(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes is paid for before the next passes; without a rate nothing waits, a new rate starts afresh.
    #[test]
    fn rate_holds() {
        let mut throttle = Throttle::default();
        throttle.charge(Instant(5), 1 << 30);
        assert_eq!(throttle.waits_until(Instant(5)), None);
        throttle.set(Some(1000));
        let (mut now, mut passed) = (Instant(1_000_000), 0);
        while now < Instant(101_000_000) {
            assert_eq!(throttle.waits_until(now), None);
            throttle.charge(now, 700);
            passed += 700;
            now = throttle.waits_until(now).unwrap();
        }
        assert!((99_000..=101_000).contains(&passed), "{passed}");
        throttle.set(Some(1000));
        assert_eq!(throttle.waits_until(Instant(0)), Some(now));
        throttle.set(Some(0));
        throttle.charge(Instant(0), usize::MAX);
        assert!(throttle.waits_until(Instant(0)).is_some());
        throttle.set(None);
        assert_eq!(throttle.waits_until(Instant(0)), None);
    }
}
