//! The engine's own story: start, the quorum's results, the disk's answers, time, stop.
//!
//! ```text
//! Starting: the quorum recovers, the logs' directories are listed
//!     | both done: partitions of the tree open, duties begin
//! Serving: ready once every partition is open or given up and the node is registered
//!     | stop
//! Leaving: a member of an ensemble ends its broker's session and hands its leadership over
//!     | done, or nobody takes it in time
//! Stopping: open batches are written, everything is noted for the next start
//!     | both rooms are done
//! Stopped: Effect::Stopped was asked for
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::duties::LogsIdentity;
use super::groups::Coordination;
use super::metadata::{Metadata, quorum_config};
use super::peers::Peers;
use super::proposals::Purpose;
use super::{
    Completion, Duties, Engine, NewTopic, ProducerIds, Proposals, ProposeError, Sweep, TopicCommands, Txn, TxnResult,
    Znodes,
};
use crate::broker::replication::{ReplicationConfig, WishAnswer};
use crate::broker::{Answer, Broker, BrokerLimits};
use crate::config::{CleanupPolicy, Config, TopicToCreate};
use crate::coordinator::cluster::Endpoint;
use crate::coordinator::{Change, TreeLimits, builders};
use crate::effect::{DiskDone, DiskError, Effect, Effects};
use crate::log::{CleanerConfig, Logs, LogsConfig};
use crate::memory::Accounts;
use crate::types::{Instant, Now, Rng, Ticket, Timestamp, TopicId};

/// Where in its life the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The quorum recovers.
    Starting,
    /// The tree is known.
    Serving,
    /// What this node leads goes to others.
    Leaving,
    /// Nothing new is taken.
    Stopping,
    /// All is noted.
    Stopped,
}

impl Engine {
    /// An engine that has not started. Of `config`, ports that were 0 are filled in with those that were bound: they are
    /// what this broker registers. `clock_floor` is when this program was made; `seed` draws identities, so it must
    /// never be the same for two lives of a node.
    pub fn new(config: Arc<Config>, accounts: &Accounts, clock_floor: Timestamp, seed: u64) -> Engine {
        let mut rng = Rng::new(seed);
        let mut logs = Logs::new(LogsConfig::topics(clock_floor));
        let compaction = &config.topics.compaction;
        if compaction.is_enabled {
            let cleaner = CleanerConfig {
                bytes_per_second: compaction.bytes_per_second,
                map_bytes: compaction.map_bytes,
                backoff_ms: compaction.backoff_ms,
            };
            logs.compact_with(cleaner, accounts.compaction.clone(), accounts.responses.clone());
        }
        let limits = BrokerLimits::new(&config.memory);
        let ingest = accounts.mqtt_batches.clone();
        let replication = ReplicationConfig { lag_max: Duration::from_millis(config.topics.replica_lag_ms) };
        let broker = Broker::new(config.node_id, limits, config.topics.clone(), logs, ingest, replication);
        let tree = TreeLimits { bytes: config.memory.tree_bytes, sessions: config.memory.connections_max };
        let quorum = quorum_config(&config, accounts.quorum.clone(), clock_floor);
        let metadata = Metadata::new(quorum, tree, &mut rng);
        let duties = Duties::new(config.node_id, endpoints(&config), &mut rng);
        let (memory, reads) = (accounts.groups.clone(), accounts.responses.clone());
        let sweep = Sweep::new(&config.zookeeper);
        let znodes = Znodes::new(config.zookeeper.tick_ms, config.node_id, &mut rng);
        let coordination = Coordination::new(&config, memory, reads, Rng::new(rng.next()));
        Engine {
            config,
            pristine: Config::default().topics,
            metadata,
            broker,
            rng,
            phase: Phase::Starting,
            was_ready: false,
            duties_wanted: false,
            proposals: Proposals::default(),
            duties,
            topics: TopicCommands::default(),
            producer_ids: ProducerIds::default(),
            coordination,
            znodes,
            peers: Peers::new(accounts.peers.clone()),
            leaving_until: None,
            has_said_farewell: false,
            known_members: Vec::new(),
            leaving: Vec::new(),
            leaderless_since: None,
            follows_tree: false,
            has_compared_line: false,
            sweep,
            completions: Default::default(),
        }
    }

    /// Recovers what the disks hold.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.dial_configured(fx);
        self.metadata.start(now, fx);
        self.broker.start(now, fx);
        self.follow_metadata(now, fx);
    }

    /// True when the tree is recovered, the logs of this node's partitions are open (or given up, with a warning), and
    /// the node is registered: the doors may open.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Serving
            && self.broker.is_ready()
            && self.duties.is_registered(self.config.node_id, self.view())
    }

    /// Takes an answer of a disk lane.
    pub fn disk_done(&mut self, now: Now, ticket: Ticket, result: Result<DiskDone, DiskError>, fx: &mut Effects) {
        let is_full = matches!(result, Err(DiskError::Full));
        match self.metadata.disk_done(now, ticket, result, fx) {
            None => {
                if is_full {
                    self.broker.release_reserve(now, fx); // without the quorum nothing could be deleted either
                }
                self.follow_metadata(now, fx);
            }
            Some(result) => {
                let was_identified = self.broker.is_identified();
                self.broker.disk_done(now, ticket, result, fx);
                self.duties_wanted |= was_identified != self.broker.is_identified();
            }
        }
        self.follow_broker(fx);
    }

    /// Writes what gathered in this turn.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.follow_replication(now);
        self.metadata.turn_end(now, fx);
        self.follow_metadata(now, fx);
        self.coordinate(now, fx);
        self.broker.turn_end(now, fx);
        self.follow_broker(fx);
        if !self.was_ready && self.is_ready() {
            self.was_ready = true;
            self.create_configured(now);
            self.broker.delete_strays(self.metadata.coordinator().cluster(), fx);
            // Nothing else may happen for long: what was just proposed leaves with this turn.
            self.metadata.turn_end(now, fx);
            self.follow_metadata(now, fx);
        }
    }

    /// Does what is due by time.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        self.metadata.on_time(now, fx);
        self.broker.on_time(now, fx);
        self.follow_replication(now);
        self.coordinate(now, fx);
        self.expire_sessions(now);
        self.follow_brokers(now);
        self.touch_leader(now, fx);
        self.leave_at_last(now, fx);
        self.sweep_znodes(now);
        self.duties_wanted |= self.duties.next_deadline(&self.config).is_some_and(|at| at <= now.mono);
        self.follow_metadata(now, fx);
        self.follow_broker(fx);
    }

    /// When `on_time` should be called.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let deadlines = [
            self.broker.next_deadline(),
            self.metadata.next_deadline(),
            self.duties.next_deadline(&self.config).filter(|_| self.phase == Phase::Serving),
            self.coordination.next_deadline(),
            self.znodes.next_deadline(),
            self.peers.brokers.next_deadline().filter(|_| self.is_ensemble()), // a node alone touches nobody
            self.leaving_until,
            self.sweep.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes nothing new, hands over what it leads, writes what there is; `Effect::Stopped` follows.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        if !self.begin_leaving(now, fx) {
            self.stop_rooms(now, fx);
        }
    }

    pub(super) fn stop_rooms(&mut self, now: Now, fx: &mut Effects) {
        self.leaving_until = None;
        self.phase = Phase::Stopping;
        self.broker.stop(now, fx);
        self.metadata.stop(now, fx);
        self.follow_broker(fx);
    }

    /// Proposes a transaction; false when too many are under way.
    pub(super) fn begin_proposal(&mut self, now: Now, txn: &Txn, purpose: Purpose) -> bool {
        let Some(token) = self.proposals.begin(purpose) else { return false };
        self.metadata.propose(now, txn, token);
        true
    }

    /// Acts on everything that the quorum has applied or given up, and on what follows from that.
    pub(super) fn follow_metadata(&mut self, now: Now, fx: &mut Effects) {
        if self.phase == Phase::Starting && self.metadata.is_caught_up() {
            self.phase = Phase::Serving;
            self.duties_wanted = true;
            self.metadata.take_changes();
            self.broker.apply_all(now, self.metadata.coordinator().cluster(), fx);
            self.coordination.changed();
        }
        if self.metadata.take_replaced() {
            self.broker.apply_all(now, self.metadata.coordinator().cluster(), fx);
            self.coordination.changed();
            self.znodes_replaced(now);
            self.duties_wanted = true;
        }
        let mut changes = self.metadata.take_changes();
        self.follow_ensemble(now, &changes, fx);
        self.check_feature_level(fx);
        self.broker.follow_feature_level(self.metadata.coordinator().cluster());
        for change in &changes.cluster {
            self.broker.apply(now, self.metadata.coordinator().cluster(), change, fx);
            if let Change::TopicDeleted { name, .. } = change {
                self.forget_offsets_of(now, name);
            }
        }
        let cluster = self.metadata.coordinator().cluster();
        if self.phase == Phase::Serving
            && self.duties.is_alive(self.config.node_id, cluster)
            && self.broker.registered(now, cluster, fx)
        {
            self.peers.brokers.touch_soon();
        }
        if !changes.cluster.is_empty() {
            self.coordination.changed();
        }
        self.duties_wanted |=
            !changes.cluster.is_empty() || changes.nodes.iter().any(|node| super::duties::may_concern(&node.path));
        self.znodes_changed(now, &mut changes);
        while let Some((token, result)) = self.metadata.next_result() {
            self.proposed(now, token, result);
        }
        self.answer_synced();
        self.tell_znode_events();
        self.follow_brokers(now);
        self.sweep.look(now, self.metadata.is_leading(), self.metadata.coordinator().tree());
        if self.phase == Phase::Serving {
            self.duties_wanted |= self.duties.follow(self.metadata.is_leading(), self.metadata.reachable_leader());
            self.do_duties(now, fx);
        }
        self.leave_at_last(now, fx);
        self.answer_topics();
    }

    fn proposed(&mut self, now: Now, token: u64, result: Result<TxnResult, ProposeError>) {
        let is_success = result.as_ref().is_ok_and(|result| result.outcome.is_ok());
        match self.proposals.end(token) {
            Some(Purpose::Door(waiter)) => self.completions.push_back((waiter, Completion::Proposed(result))),
            Some(Purpose::Topic(place)) => {
                self.topics.proposed(place, result.ok().as_ref(), self.metadata.coordinator().cluster());
            }
            Some(Purpose::ProducerIds) if result.is_err() => self.fail_producer_ids(),
            Some(Purpose::ProducerIds) => {
                self.producer_ids.answered(is_success);
                while let Some((waiter, given)) = self.producer_ids.next_given() {
                    self.completions.push_back((waiter, Completion::ProducerId(given)));
                }
                self.want_producer_ids(now);
            }
            Some(Purpose::State(key, version)) => {
                let answer = match &result {
                    Ok(_) if is_success => WishAnswer::Granted,
                    Ok(_) => WishAnswer::Refused,
                    Err(_) => WishAnswer::Unknown,
                };
                self.broker.wish_answered(key, version, answer);
            }
            Some(Purpose::Duty) => {
                self.duties.done(now, is_success);
                self.duties_wanted = true;
            }
            Some(Purpose::Expiry(session)) => self.session_expired(now, session),
            Some(Purpose::BrokerExpiry(session)) => self.peers.brokers.ended(now, session),
            Some(Purpose::Farewell) => self.said_farewell(),
            // What was not due any more stays, what was lost is found by the next sweep.
            Some(Purpose::Sweep) => {}
            None => {}
        }
    }

    /// Looks whether the tree wants something of this node, when anything has changed since the last look.
    fn do_duties(&mut self, now: Now, fx: &mut Effects) {
        if !std::mem::replace(&mut self.duties_wanted, false) {
            return;
        }
        if let Some(cluster_id) = &self.metadata.coordinator().cluster().cluster_id {
            let rng = &mut self.rng;
            self.broker.identify(cluster_id, || TopicId::random(rng), fx);
        }
        self.metadata.set_cluster_id(fx);
        let cluster_id = self.metadata.quorum().cluster_id();
        let logs = LogsIdentity { is_known: self.broker.is_identified(), directory: self.broker.directory_id() };
        let txn = self.duties.next(now, &self.config, self.metadata.coordinator(), cluster_id, logs, &mut self.rng);
        if let Some(txn) = txn {
            self.begin_proposal(now, &txn, Purpose::Duty);
        }
    }

    /// Asks for a block of producer ids when somebody waits for one.
    pub(super) fn want_producer_ids(&mut self, now: Now) {
        if !self.producer_ids.wants_block() {
            return;
        }
        let next = builders::next_producer_ids(self.metadata.coordinator().cluster(), self.config.node_id);
        let Some((block, txn)) = next else { return self.fail_producer_ids() };
        self.producer_ids.asked(block);
        self.begin_proposal(now, &txn, Purpose::ProducerIds);
    }

    fn fail_producer_ids(&mut self) {
        let failed = self.producer_ids.fail().into_iter();
        self.completions.extend(failed.map(|(waiter, given)| (waiter, Completion::ProducerId(given))));
    }

    /// Answers requests on topics that are complete.
    pub(super) fn answer_topics(&mut self) {
        let broker = &self.broker;
        self.topics.opened(self.metadata.coordinator().cluster(), |topic| broker.is_topic_open(topic));
        while let Some((waiters, completion)) = self.topics.take_complete() {
            self.completions.extend(waiters.into_iter().map(|waiter| (waiter, completion.clone())));
        }
    }

    /// Topics that the configuration wants after start.
    fn create_configured(&mut self, now: Now) {
        let wanted: Vec<NewTopic> = self
            .config
            .create_topics
            .iter()
            .filter(|topic| self.view().topic(&topic.name).is_none())
            .map(new_topic)
            .collect();
        let steps = self.with_topics(|commands, around| commands.create(wanted, false, None, around));
        self.propose_steps(now, steps);
    }

    /// What the broker's answers mean for commands and for the stop.
    pub(super) fn follow_broker(&mut self, fx: &mut Effects) {
        self.answer_topics();
        if self.phase == Phase::Stopping && self.broker.is_stopped() && self.metadata.is_stopped() {
            self.phase = Phase::Stopped;
            fx.push(Effect::Stopped);
        }
    }
}

/// The endpoints that this broker registers, in the order of its listeners.
pub(super) fn endpoints(config: &Config) -> Vec<Endpoint> {
    let endpoint = |listener: &crate::config::KafkaListener| Endpoint {
        listener: listener.name.clone(),
        security_protocol: "PLAINTEXT".into(),
        host: listener.advertised.host.clone(),
        port: listener.advertised.port,
    };
    config.kafka.listeners.iter().map(endpoint).collect()
}

fn new_topic(wanted: &TopicToCreate) -> NewTopic {
    let policy = |cleanup: CleanupPolicy| match (cleanup.compact, cleanup.delete) {
        (true, true) => "compact,delete",
        (true, false) => "compact",
        (false, _) => "delete",
    };
    NewTopic {
        name: wanted.name.as_str().into(),
        partitions: wanted.partitions.min(i32::MAX as u32) as i32,
        replication: wanted.replication_factor.min(i16::MAX as u16) as i16,
        assignment: Vec::new(),
        configs: wanted
            .cleanup
            .map(|cleanup| ("cleanup.policy".to_string(), Some(policy(cleanup).to_string())))
            .into_iter()
            .collect(),
    }
}

impl From<Answer> for Completion {
    fn from(answer: Answer) -> Completion {
        match answer {
            Answer::Appended(result) => Completion::Appended(result),
            Answer::Read { partition, result } => Completion::Read { partition, result },
            Answer::Offset { partition, result } => Completion::Offset { partition, result },
            Answer::DataArrived { partition } => Completion::DataArrived { partition },
            Answer::Tail { topic, partition, batches } => Completion::Tail { topic, partition, batches },
            Answer::RecordsDeleted { partition, result } => Completion::RecordsDeleted { partition, result },
            Answer::DiskSpace(space) => Completion::DiskSpace(space),
        }
    }
}
