//! What a node owes the tree besides its doors' wishes: its own registration, and when it leads the quorum the znodes and
//! the controller's work.
//!
//! One duty at a time: propose, see the result applied, look again. What fails is tried again after a pause, so that a
//! duty that cannot be done (a topic without a living replica) costs one transaction a second and holds up no other.
//!
//! | when | duty |
//! |---|---|
//! | a znode that a cluster has is missing | create it |
//! | this process is not registered as the broker, and its directories are known | register it |
//! | the tree does not know the members of the ensemble | write them down |
//! | another is the controller, or none | claim it |
//! | a partition has no leader, and its ISR has a living broker (or any replica, where unclean elections are allowed) | elect |
//! | replicas that are moving have arrived | complete the move |
//! | a tool asked for moves or preferred leaders in `/admin` | begin them |
//! | preferred replicas do not lead | give leaderships back |
//! | a tool wrote a topic without id or states | complete it |
//! | a tool asked for a deletion | delete the topic |
//!
//! Invariant: a node that does not lead the quorum only registers itself; called by the engine only.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::balance::Balance;
use super::{configs, ensemble};
use crate::config::Config;
use crate::coordinator::builders;
use crate::coordinator::cluster::Endpoint;
use crate::coordinator::features;
use crate::coordinator::{Cluster, Coordinator, Tree, Txn};
use crate::types::{Instant, NodeId, Now, Rng, SessionId, TopicId};

const RETRY_PAUSE_MS: u64 = 1000;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Duty {
    Format,
    Register,
    Ensemble,
    Claim,
    Elect,
    Move,
    Requested,
    Balance,
    Complete(Arc<str>),
    Delete(Arc<str>),
}

/// Which duty is under way, and which has to wait.
#[derive(Debug)]
pub(super) struct Duties {
    session: SessionId,
    endpoints: Vec<Endpoint>,
    is_leading: bool,
    leader: Option<NodeId>,
    under_way: Option<Duty>,
    balance: Balance,
    /// A partition could be led by a replica out of sync once it is clear that nobody else comes.
    awaits_quiet: bool,
    /// Not before then, after a failure.
    paused: BTreeMap<Duty, Instant>,
    /// Topics of tools that were said to be too large; they may become smaller, or others.
    too_large: BTreeSet<Arc<str>>,
}

/// Whose directories the broker's logs are in.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogsIdentity<'a> {
    /// They are known to be this cluster's.
    pub is_known: bool,
    /// Their identity, when they have one.
    pub directory: Option<&'a str>,
}

/// True for znodes that brokers keep or act on: a change of others leads to no duty.
pub(super) fn may_concern(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    builders::FIRST_NAMES.contains(&first)
}

impl Duties {
    /// The duties of a node that is reached at these endpoints. The broker's session is as unique as `rng`.
    pub fn new(node: NodeId, endpoints: Vec<Endpoint>, rng: &mut Rng) -> Duties {
        // ZooKeeper's session ids carry the server in the top byte; 0xff there has another meaning.
        let session = SessionId(((node.0 as i64 & 0x7f) << 56) | ((rng.next() >> 8) as i64) | 1);
        Duties {
            session,
            endpoints,
            is_leading: false,
            leader: None,
            under_way: None,
            balance: Balance::default(),
            awaits_quiet: false,
            paused: BTreeMap::new(),
            too_large: BTreeSet::new(),
        }
    }

    /// The session of this broker's registration.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Who leads the quorum. True when that has changed: what failed before may now be possible.
    pub fn follow(&mut self, is_leading: bool, leader: Option<NodeId>) -> bool {
        let is_changed = (self.is_leading, self.leader) != (is_leading, leader);
        (self.is_leading, self.leader) = (is_leading, leader);
        if is_changed {
            self.paused.clear();
            self.balance.forget();
        }
        is_changed
    }

    /// True when the tree knows this process as broker, and a controller.
    pub fn is_registered(&self, node: NodeId, cluster: &Cluster) -> bool {
        self.is_alive(node, cluster) && cluster.controller.is_some()
    }

    /// True when the tree knows this process as broker.
    pub fn is_alive(&self, node: NodeId, cluster: &Cluster) -> bool {
        cluster.brokers.get(&node).is_some_and(|broker| broker.session == self.session)
    }

    /// The next transaction, when none is under way and there is something to do.
    pub fn next(
        &mut self,
        now: Now,
        config: &Config,
        coordinator: &Coordinator,
        cluster_id: &str,
        logs: LogsIdentity<'_>,
        rng: &mut Rng,
    ) -> Option<Txn> {
        if self.under_way.is_some() || self.leader.is_none() {
            return None;
        }
        self.paused.retain(|_, until| *until > now.mono);
        let (duty, txn) = self.find(now, config, coordinator, cluster_id, logs, rng)?;
        self.under_way = Some(duty);
        Some(txn)
    }

    /// What became of it.
    pub fn done(&mut self, now: Now, is_success: bool) {
        if let Some(duty) = self.under_way.take()
            && !is_success
        {
            tracing::warn!("{duty:?} failed and is tried again");
            let at = now.mono.plus_millis(RETRY_PAUSE_MS);
            if duty == Duty::Balance {
                self.balance.again(at);
            }
            self.paused.insert(duty, at);
        }
    }

    /// When a failed duty may be tried again, or one may have become due.
    pub fn next_deadline(&self, config: &Config) -> Option<Instant> {
        // What is under way or paused leads to another look anyway.
        let is_free = self.is_leading && self.under_way.is_none() && self.paused.is_empty();
        let balance = is_free.then(|| self.balance.next_deadline(&config.peers, self.awaits_quiet)).flatten();
        self.paused.values().copied().chain(balance).min()
    }

    fn find(
        &mut self,
        now: Now,
        config: &Config,
        coordinator: &Coordinator,
        cluster_id: &str,
        logs: LogsIdentity<'_>,
        rng: &mut Rng,
    ) -> Option<(Duty, Txn)> {
        let (cluster, tree, node) = (coordinator.cluster(), coordinator.tree(), config.node_id);
        let timeout_ms = config.peers.broker_session_ms.min(u32::MAX as u64) as u32;
        let is_due = |duty: &Duty| !self.paused.contains_key(duty);
        if !builders::is_formatted(tree) {
            if !self.is_leading {
                return None;
            }
            let id = if cluster_id.is_empty() { TopicId::random(rng).to_string() } else { cluster_id.to_string() };
            return Some((Duty::Format, builders::format_cluster(tree, &id))).filter(|(duty, _)| is_due(duty));
        }
        if !self.is_alive(node, cluster) {
            if !logs.is_known {
                return None;
            }
            let directory = logs.directory.filter(|_| cluster.feature_level >= features::DIRECTORIES);
            let (session, endpoints) = (self.session, &self.endpoints);
            let txn = builders::register_broker(node, session, timeout_ms, endpoints, None, directory, now.wall);
            return Some((Duty::Register, txn)).filter(|(duty, _)| is_due(duty));
        }
        if !self.is_leading {
            return None;
        }
        if let Some(txn) = ensemble::write_down(tree, config)
            && is_due(&Duty::Ensemble)
        {
            return Some((Duty::Ensemble, txn));
        }
        if cluster.controller.is_none_or(|controller| controller.broker != node || controller.session != self.session) {
            let txn = builders::claim_controller(cluster, node, self.session, now.wall);
            return Some((Duty::Claim, txn)).filter(|(duty, _)| is_due(duty));
        }
        self.balance.follow(now, &config.peers, cluster);
        if is_due(&Duty::Elect)
            && let Some(txn) = self.elect(now, config, cluster)
        {
            return Some((Duty::Elect, txn));
        }
        let is_due = |duty: &Duty| !self.paused.contains_key(duty);
        if is_due(&Duty::Move)
            && let Some(txn) = builders::complete_moves(cluster)
        {
            return Some((Duty::Move, txn));
        }
        if is_due(&Duty::Requested)
            && let Some(txn) = builders::requested(cluster, tree)
        {
            return Some((Duty::Requested, txn));
        }
        if is_due(&Duty::Balance)
            && let Some(txn) = self.balance.due(now, &config.peers, cluster)
        {
            tracing::info!("leaderships go back to the preferred replicas");
            return Some((Duty::Balance, txn));
        }
        self.find_topic(config, cluster, tree, rng)
    }

    /// Leaders for partitions without. Whoever may lead without being in sync does so only when nobody has come or gone for
    /// a while: at the start of an ensemble the others are but a moment late.
    fn elect(&mut self, now: Now, config: &Config, cluster: &Cluster) -> Option<Txn> {
        let is_quiet = self.balance.is_quiet(now, &config.peers);
        let awaits_quiet = Cell::new(false);
        let txn = builders::elect_leaders(cluster, |topic| {
            let is_allowed = configs::is_unclean_allowed(config, cluster, topic);
            awaits_quiet.set(awaits_quiet.get() || is_allowed && !is_quiet);
            is_allowed && is_quiet
        });
        self.awaits_quiet = awaits_quiet.get();
        txn
    }

    fn find_topic(&mut self, config: &Config, cluster: &Cluster, tree: &Tree, rng: &mut Rng) -> Option<(Duty, Txn)> {
        let is_due = |duty: &Duty| !self.paused.contains_key(duty);
        self.too_large.retain(|name| cluster.incoming.contains_key(name) || cluster.topics.contains_key(name));
        if config.kafka.delete_topics {
            for name in &cluster.deleting {
                let duty = Duty::Delete(name.clone());
                if is_due(&duty)
                    && let Ok(txn) = builders::delete_topic(cluster, tree, name)
                {
                    return Some((duty, txn));
                }
            }
        }
        let known: usize = cluster.topics.values().map(|topic| topic.partitions.len()).sum();
        let most = config.memory.partitions_max;
        let incoming = cluster.incoming.iter().map(|(name, replicas)| (name, replicas.len()));
        let is_stateless = |topic: &crate::coordinator::Topic| topic.partitions.iter().any(|state| state.version < 0);
        let stateless = cluster.topics.values().filter(|topic| is_stateless(topic)).map(|topic| (&topic.name, 0));
        for (name, added) in incoming.chain(stateless) {
            let duty = Duty::Complete(name.clone());
            if known + added > most {
                if self.too_large.insert(name.clone()) {
                    let all = known + added;
                    tracing::warn!(
                        "topic {name} is not created: with it there are {all} partitions, and memory.partitions.max is {most}"
                    );
                }
            } else if is_due(&duty)
                && let Some(txn) = builders::complete_topic(cluster, tree, name, TopicId::random(rng))
            {
                return Some((duty, txn));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{Changes, CreateMode, Op, TreeLimits, acl::Acl};
    use crate::engine::lifecycle::endpoints;
    use crate::types::{Term, Timestamp};

    struct Fixture {
        config: Config,
        coordinator: Coordinator,
        duties: Duties,
        rng: Rng,
    }

    impl Fixture {
        fn new() -> Fixture {
            let config = Config::default();
            let mut rng = Rng::new(3);
            let mut duties = Duties::new(config.node_id, endpoints(&config), &mut rng);
            duties.follow(true, Some(config.node_id));
            let coordinator = Coordinator::new(TreeLimits { bytes: 4 << 20, sessions: 100 }, 1);
            Fixture { config, coordinator, duties, rng }
        }

        fn apply(&mut self, txn: &Txn) -> bool {
            let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
            self.coordinator.apply(zxid, Timestamp(0), &txn.encode(), &mut Changes::default()).outcome.is_ok()
        }

        fn next(&mut self, now: Now) -> Option<Txn> {
            let logs = LogsIdentity { is_known: true, directory: Some("here") };
            self.duties.next(now, &self.config, &self.coordinator, "", logs, &mut self.rng)
        }

        /// Does duties until there is none; returns how many there were.
        fn settle(&mut self, now: Now) -> usize {
            for count in 0..100 {
                let Some(txn) = self.next(now) else {
                    return count;
                };
                let is_success = self.apply(&txn);
                self.duties.done(now, is_success);
            }
            panic!("duties never end");
        }
    }

    fn write(path: &str, data: &str) -> Txn {
        let data = Some(data.as_bytes().to_vec());
        Txn::by_node(Op::Create { path: path.into(), data, acl: Acl::open(), mode: CreateMode::Persistent })
    }

    /// A new tree gets its znodes, a registered broker and a controller, and then nothing more is owed.
    #[test]
    fn first_start() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.settle(Now::default()), 3);
        let cluster = fixture.coordinator.cluster();
        assert!(fixture.duties.is_registered(fixture.config.node_id, cluster));
        assert_eq!(cluster.controller_epoch, 1);
        assert_eq!(fixture.settle(Now::default()), 0);
    }

    /// A new life of the same broker registers again and raises the epochs of what it led.
    #[test]
    fn restart() {
        let mut fixture = Fixture::new();
        fixture.settle(Now::default());
        assert!(fixture.apply(&write("/brokers/topics/t", r#"{"version":1,"partitions":{"0":[1],"1":[1]}}"#)));
        assert_eq!(fixture.settle(Now::default()), 1);
        let epoch = |fixture: &Fixture| fixture.coordinator.cluster().topic("t").unwrap().partitions[1].leader_epoch;
        let before = epoch(&fixture);
        fixture.duties = Duties::new(fixture.config.node_id, endpoints(&fixture.config), &mut fixture.rng);
        fixture.duties.follow(true, Some(fixture.config.node_id));
        assert!(!fixture.duties.is_registered(fixture.config.node_id, fixture.coordinator.cluster()));
        fixture.settle(Now::default());
        assert!(epoch(&fixture) > before);
        assert!(fixture.duties.is_registered(fixture.config.node_id, fixture.coordinator.cluster()));
    }

    /// What a tool writes into the tree is completed and deleted; a topic that cannot be completed waits, and holds up
    /// no other.
    #[test]
    fn tools() {
        let mut fixture = Fixture::new();
        fixture.settle(Now::default());
        let most = fixture.config.memory.partitions_max;
        let huge: Vec<String> = (0..=most).map(|index| format!("\"{index}\":[1]")).collect();
        assert!(fixture.apply(&write("/brokers/topics/huge", &format!(r#"{{"partitions":{{{}}}}}"#, huge.join(",")))));
        assert!(fixture.apply(&write("/brokers/topics/small", r#"{"partitions":{"0":[1]}}"#)));
        fixture.settle(Now::default());
        assert_eq!(fixture.coordinator.cluster().topic("small").unwrap().partitions[0].leader, Some(NodeId(1)));
        assert!(fixture.coordinator.cluster().topic("huge").is_none());
        assert!(fixture.apply(&write("/admin/delete_topics/small", "")));
        fixture.settle(Now::default());
        assert!(fixture.coordinator.cluster().topics.is_empty());
    }

    /// In a tree of the first level a broker registers as the first program did, so that members who run it can follow;
    /// once the level is raised it says where its logs are.
    #[test]
    fn an_older_level_is_spoken() {
        use crate::coordinator::Body;
        let mut fixture = Fixture::new();
        let now = Now::default();
        let format = fixture.next(now).unwrap();
        assert!(fixture.apply(&format));
        fixture.duties.done(now, true);
        let set = |data: Vec<u8>| Op::SetData { path: features::PATH.into(), data: Some(data), version: -1 };
        assert!(fixture.apply(&Txn::by_node(set(br#"{"features":{},"version":2,"status":1}"#.to_vec()))));
        let registers = |txn: Txn| matches!(txn.body, Body::RegisterBroker { .. });
        assert!(registers(fixture.next(now).unwrap()));
        fixture.duties.done(now, true);
        let raised = crate::coordinator::cluster::json::features(features::LEVEL);
        assert!(fixture.apply(&Txn::by_node(set(raised))));
        assert!(!registers(fixture.next(now).unwrap()));
    }

    /// A duty that fails is tried again after a pause, not before.
    #[test]
    fn retry() {
        let mut fixture = Fixture::new();
        let now = Now::default();
        assert!(fixture.next(now).is_some());
        assert!(fixture.next(now).is_none());
        fixture.duties.done(now, false);
        assert!(fixture.next(now).is_none());
        let later = Now { mono: fixture.duties.next_deadline(&fixture.config).unwrap(), ..now };
        assert!(fixture.next(later).is_some());
    }
}
