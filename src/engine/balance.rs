//! When leaderships go back to the preferred replicas, and how long brokers have been there.
//!
//! The controller looks every `leader.imbalance.check.interval.seconds`: a broker that lacks more than
//! `leader.imbalance.per.broker.percentage` of the leaderships for which it is preferred gets back all for which it is in
//! sync. A broker that has come only lately gets nothing before it has stayed for `SETTLED_SESSIONS` timeouts, so that
//! leaderships do not follow one that comes and goes; the look is repeated then.
//!
//! Invariant: a new controller believes that every broker has just come.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::PeerConfig;
use crate::coordinator::builders::{self, is_moving};
use crate::coordinator::{Cluster, Txn};
use crate::types::{Instant, NodeId, Now, Zxid};

/// For how many of its session's timeouts a broker must have been there before it is given anything.
const SETTLED_SESSIONS: u64 = 3;

/// What the controller remembers of time.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Each broker's registration and when it was seen first.
    since: BTreeMap<NodeId, (Zxid, Instant)>,
    /// When the brokers were others than they are.
    changed_at: Instant,
    next_look: Option<Instant>,
}

impl Balance {
    /// This node leads no longer, or only now.
    pub fn forget(&mut self) {
        *self = Balance::default();
    }

    /// Notes who is there.
    pub fn follow(&mut self, now: Now, config: &PeerConfig, cluster: &Cluster) {
        let is_same = |(id, (epoch, _)): (&NodeId, &(Zxid, Instant))| {
            cluster.brokers.get(id).is_some_and(|broker| broker.epoch == *epoch)
        };
        if self.since.len() != cluster.brokers.len() || !self.since.iter().all(is_same) {
            self.changed_at = now.mono;
            let before = std::mem::take(&mut self.since);
            let since = |(id, broker): (&NodeId, &crate::coordinator::Broker)| {
                let known = before.get(id).filter(|(epoch, _)| *epoch == broker.epoch);
                (*id, known.copied().unwrap_or((broker.epoch, now.mono)))
            };
            self.since = cluster.brokers.iter().map(since).collect();
        }
        if self.next_look.is_none() && cluster.brokers.len() > 1 {
            self.next_look = config.balance.map(|balance| now.mono.plus_millis(balance.interval_ms));
        }
    }

    /// True when no broker has come or gone for the timeout of a session: whoever is away is not just late.
    pub fn is_quiet(&self, now: Now, config: &PeerConfig) -> bool {
        now.mono >= self.changed_at.plus_millis(config.broker_session_ms)
    }

    /// The leaderships that are due to be given back.
    pub fn due(&mut self, now: Now, config: &PeerConfig, cluster: &Cluster) -> Option<Txn> {
        let balance = config.balance?;
        if self.next_look.is_none_or(|at| now.mono < at) {
            return None;
        }
        self.next_look = Some(now.mono.plus_millis(balance.interval_ms));
        let settles_at = |id: &NodeId| {
            self.since.get(id).map(|(_, since)| since.plus_millis(SETTLED_SESSIONS * config.broker_session_ms))
        };
        let lacking = lacking(cluster, balance.percentage);
        let later = lacking.iter().filter_map(settles_at).filter(|at| *at > now.mono).min();
        self.next_look = self.next_look.into_iter().chain(later).min();
        let settled = lacking.into_iter().filter(|id| settles_at(id).is_some_and(|at| at <= now.mono)).collect();
        builders::balance_leaders(cluster, &settled)
    }

    /// What was due met another change: look again soon.
    pub fn again(&mut self, at: Instant) {
        self.next_look = Some(at);
    }

    /// When something may be due. `awaits_quiet`: somebody waits until it `is_quiet`.
    pub fn next_deadline(&self, config: &PeerConfig, awaits_quiet: bool) -> Option<Instant> {
        let quiet = awaits_quiet.then(|| self.changed_at.plus_millis(config.broker_session_ms));
        self.next_look.into_iter().chain(quiet).min()
    }
}

/// Brokers that lack more than so many percent of the leaderships for which they are preferred.
fn lacking(cluster: &Cluster, percentage: usize) -> BTreeSet<NodeId> {
    let mut counts: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
    let states = cluster.topics.values().flat_map(|topic| &topic.partitions).filter(|state| !is_moving(state));
    for state in states {
        let Some(preferred) = state.replicas.first() else { continue };
        let (missing, all) = counts.entry(*preferred).or_default();
        *missing += (state.leader != Some(*preferred)) as usize;
        *all += 1;
    }
    let lacks = |(_, (missing, all)): &(NodeId, (usize, usize))| missing * 100 > all * percentage;
    counts.into_iter().filter(lacks).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BalanceConfig, Config};
    use crate::coordinator::cluster::{Broker, Replicas, Topic};
    use crate::coordinator::{Body, PartitionState};
    use crate::types::{LeaderEpoch, SessionId, TopicId};

    fn at(ms: u64) -> Now {
        Now { mono: Instant(ms * 1000), ..Now::default() }
    }

    fn config() -> PeerConfig {
        let balance = Some(BalanceConfig { interval_ms: 10_000, percentage: 10 });
        PeerConfig { broker_session_ms: 1000, balance, ..Config::default().peers }
    }

    /// Two brokers with a copy of each of so many partitions; broker 2 is preferred and broker 1 leads.
    fn cluster(partitions: usize) -> Cluster {
        let replicas = |ids: [i32; 2]| ids.into_iter().map(NodeId).collect::<Replicas>();
        let state = PartitionState {
            replicas: replicas([2, 1]),
            leader: Some(NodeId(1)),
            leader_epoch: LeaderEpoch(1),
            isr: replicas([1, 2]),
            version: 3,
            ..PartitionState::default()
        };
        let topic = Topic {
            name: "t".into(),
            id: TopicId([1; 16]),
            partitions: vec![state; partitions],
            config: Default::default(),
            version: 0,
        };
        let mut cluster = Cluster::default();
        cluster.topics.insert("t".into(), topic);
        for id in [1, 2] {
            register(&mut cluster, id, 1);
        }
        cluster
    }

    fn register(cluster: &mut Cluster, id: i32, epoch: u32) {
        let epoch = Zxid::new(crate::types::Term(1), epoch);
        let broker =
            Broker { endpoints: Vec::new(), rack: None, epoch, session: SessionId(id as i64), feature_level_max: 1 };
        cluster.brokers.insert(NodeId(id), broker);
    }

    fn count(txn: Option<Txn>) -> usize {
        match txn.map(|txn| txn.body) {
            Some(Body::Multi(ops)) => ops.len(),
            None => 0,
            other => panic!("{other:?}"),
        }
    }

    /// Leaderships go back at the next look, only those that are in sync, and not while a little is missing.
    #[test]
    fn given_back() {
        let (mut balance, config, mut cluster) = (Balance::default(), config(), cluster(20));
        balance.follow(at(0), &config, &cluster);
        assert_eq!(count(balance.due(at(9_999), &config, &cluster)), 0);
        assert_eq!(count(balance.due(at(10_000), &config, &cluster)), 20);
        assert_eq!(balance.next_deadline(&config, false), Some(at(20_000).mono));
        let topic = cluster.topics.get_mut("t").unwrap();
        topic.partitions[0].isr = [NodeId(1)].into_iter().collect();
        topic.partitions[1].adding = [NodeId(1)].into_iter().collect();
        assert_eq!(count(balance.due(at(20_000), &config, &cluster)), 18);
        let topic = cluster.topics.get_mut("t").unwrap();
        topic.partitions.iter_mut().skip(2).for_each(|state| state.leader = Some(NodeId(2)));
        assert_eq!(count(balance.due(at(30_000), &config, &cluster)), 0, "one of nineteen is little");
    }

    /// A broker that comes and goes gets nothing before it has stayed; it is not kept waiting for a whole interval then.
    #[test]
    fn flapping() {
        let (mut balance, config, mut cluster) = (Balance::default(), config(), cluster(4));
        balance.follow(at(0), &config, &cluster);
        for (epoch, ms) in [(2, 8000), (3, 9000)] {
            register(&mut cluster, 2, epoch);
            balance.follow(at(ms), &config, &cluster);
            assert!(!balance.is_quiet(at(ms + 999), &config) && balance.is_quiet(at(ms + 1000), &config));
        }
        assert_eq!(count(balance.due(at(10_000), &config, &cluster)), 0);
        assert_eq!(balance.next_deadline(&config, false), Some(at(12_000).mono));
        assert_eq!(count(balance.due(at(12_000), &config, &cluster)), 4);
    }
}
