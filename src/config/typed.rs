//! `Config`: what the files, the environment and the command line came to, in the types that the rooms use.
//!
//! Invariants: every number lies within the bounds of its key and within what `memory.budget` allows; names refer to
//! things that exist; nothing here has to be checked again. Only `resolve` makes one outside of tests.

use std::path::PathBuf;

use super::{Endpoint, Facts, Layers, Setting, resolve};
use crate::types::NodeId;

/// Everything a node is told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `broker.id`, or the file `myid`.
    pub node_id: NodeId,
    /// Where files lie.
    pub directories: Directories,
    /// The `server.N` lines in order of N; empty: one node alone.
    pub ensemble: Vec<Member>,
    /// What the members of an ensemble need beside their addresses.
    pub peers: PeerConfig,
    /// The Kafka door.
    pub kafka: KafkaConfig,
    /// The ZooKeeper door and the coordinator's clock.
    pub zookeeper: ZooKeeperConfig,
    /// The MQTT door.
    pub mqtt: MqttConfig,
    /// `http.listener`; none: the door stays shut.
    pub http: Option<Endpoint>,
    /// What a topic gets that does not say otherwise.
    pub topics: TopicDefaults,
    /// Consumer groups and their offsets.
    pub groups: GroupConfig,
    /// Topics that must exist after start.
    pub create_topics: Vec<TopicToCreate>,
    /// The budget and the counts that the memory table starts from.
    pub memory: MemoryConfig,
    /// `log.level`: what is told on standard error.
    pub log_level: LogLevel,
    /// `tern.test.disk`: an emulated disk, for tests.
    pub test_disk: TestDisk,
    /// What the machine is and which profile it got, for people; filled in by who has asked the machine.
    pub board: String,
    /// Every key in use with its value in force, as `check-config` and DescribeConfigs show it.
    pub settings: Vec<Setting>,
}

/// Disks for tests, which no documentation for operators names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestDisk {
    /// The real one.
    #[default]
    None,
    /// A card: 6 ms a sync, 20 MB/s, a stall of 400 ms every 500 syncs, all lanes sharing the one device.
    Card,
    /// The same without stalls.
    SteadyCard,
    /// What was written and not synced is gone when the process is killed.
    Discard,
}

/// The two directory trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `dataDir`: quorum, snapshots, `myid`.
    pub coordinator: PathBuf,
    /// `log.dirs`: the topics.
    pub topics: PathBuf,
}

/// One `server.N` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// N.
    pub id: NodeId,
    /// Name or address, without brackets.
    pub host: String,
    /// Partition data (ZooKeeper's 2888).
    pub data_port: u16,
    /// The quorum (ZooKeeper's 3888).
    pub quorum_port: u16,
    /// It copies and serves reads, and never votes.
    pub is_observer: bool,
    /// What follows the semicolon: where this member serves ZooKeeper clients.
    pub client: Option<Endpoint>,
}

/// How members of an ensemble know and treat each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// `tern.peer.secret.file`.
    pub secret_file: Option<PathBuf>,
    /// `tern.peer.bind`: where the ports of the own server line listen, when that is said.
    pub bind: Option<String>,
    /// `tern.ensemble.form`: this node founds the ensemble without waiting for the others.
    pub forms_alone: bool,
    /// `broker.session.timeout.ms`.
    pub broker_session_ms: u64,
    /// When leaderships go back to the preferred replicas; none: only when somebody asks.
    pub balance: Option<BalanceConfig>,
}

/// `auto.leader.rebalance.enable` and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceConfig {
    /// `leader.imbalance.check.interval.seconds`, in milliseconds.
    pub interval_ms: u64,
    /// `leader.imbalance.per.broker.percentage`.
    pub percentage: usize,
}

/// The Kafka door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// At least one.
    pub listeners: Vec<KafkaListener>,
    /// Index into `listeners`: the one that other brokers are told.
    pub inter_broker_listener: usize,
    /// `socket.request.max.bytes`, within the request account.
    pub request_bytes_max: usize,
    /// `fetch.max.bytes`, within the response account.
    pub fetch_bytes_max: usize,
    /// `connections.max.idle.ms`; none: never closed for silence.
    pub idle_ms_max: Option<u64>,
    /// `socket.receive.buffer.bytes`: the most asked for one socket; none: as much as its account gives.
    pub socket_receive_bytes: Option<usize>,
    /// `socket.send.buffer.bytes`, likewise.
    pub socket_send_bytes: Option<usize>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
}

/// One entry of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// `PLAINTEXT`, `INSIDE`, ...: in capitals, unique.
    pub name: String,
    /// Where it accepts.
    pub bind: Endpoint,
    /// What clients that came in here are told to dial. Port 0: the port that was bound.
    pub advertised: Endpoint,
}

/// The ZooKeeper door and the coordinator's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperConfig {
    /// `clientPortAddress` and `clientPort`.
    pub bind: Endpoint,
    /// `tickTime`.
    pub tick_ms: u64,
    /// `initLimit`, in ticks.
    pub init_limit_ticks: u64,
    /// `syncLimit`, in ticks.
    pub sync_limit_ticks: u64,
    /// `maxClientCnxns`: connections of one client address; none: bounded by `max.connections` only.
    pub connections_per_address_max: Option<u32>,
    /// `minSessionTimeout`.
    pub session_timeout_ms_min: u64,
    /// `maxSessionTimeout`.
    pub session_timeout_ms_max: u64,
    /// `jute.maxbuffer`: the largest request.
    pub request_bytes_max: usize,
    /// `DigestAuthenticationProvider.superDigest`: who passes every ACL, as `USER:BASE64(SHA1(USER:PASSWORD))`.
    pub super_digest: Option<String>,
    /// `4lw.commands.whitelist`: words with commas between them, `*` for all.
    pub words: String,
    /// `readonlymode.enabled`: without a majority, reads are served to clients that ask for no more.
    pub has_read_only: bool,
    /// `reconfigEnabled`: clients may change who belongs to the ensemble.
    pub can_reconfig: bool,
    /// `extendedTypesEnabled`: znodes may have a time to live.
    pub has_ttl: bool,
    /// `znode.container.checkIntervalMs`: between two sweeps.
    pub sweep_ms: u64,
    /// `znode.container.maxPerMinute`: znodes that sweeps remove.
    pub swept_per_minute: u64,
    /// `znode.container.maxNeverUsedIntervalMs`: age at which a container goes that never had a child; none: never.
    pub unused_container_ms: Option<u64>,
    /// `autopurge.snapRetainCount`: snapshots of the tree that are kept.
    pub snapshots_kept: u8,
}

/// The MQTT door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttConfig {
    /// `mqtt.listeners`; empty: the door stays shut.
    pub listeners: Vec<Endpoint>,
    /// `mqtt.map.N` in order of N, the default rule last when no line is given at all.
    pub maps: Vec<MapLine>,
    /// `mqtt.packet.max.bytes`: the largest packet, header included.
    pub packet_bytes_max: usize,
    /// `mqtt.receive.maximum`: unacknowledged publishes of one client.
    pub receive_maximum: u16,
    /// `mqtt.topics.max`: how many topics the mapping rules may create.
    pub topics_created_max: usize,
}

/// One mapping rule, not parsed yet: `mqtt/mapping` does that and reports errors under `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLine {
    /// N of `mqtt.map.N`.
    pub number: u32,
    /// `FILTER -> TOPIC [key=TEMPLATE]`.
    pub text: String,
    /// Where it was said, such as `sensors.properties line 12`.
    pub source: String,
}

/// What a topic gets that does not say otherwise. Names in brackets are those of topic configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partitions: u32,
    /// `default.replication.factor`; none: by the number of boards.
    pub replication_factor: Option<u16>,
    /// `min.insync.replicas`; none: by the number of copies.
    pub min_insync_replicas: Option<u16>,
    /// `unclean.leader.election.enable`.
    pub unclean_election: bool,
    /// `replica.lag.time.max.ms`: a follower that is behind for longer is not in sync.
    pub replica_lag_ms: u64,
    /// `message.max.bytes` (`max.message.bytes`): the largest batch, within the request account.
    pub message_bytes_max: usize,
    /// `log.segment.bytes` (`segment.bytes`).
    pub segment_bytes: u64,
    /// `log.roll.ms`, `log.roll.hours` (`segment.ms`).
    pub segment_ms: u64,
    /// `log.index.interval.bytes` (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// `log.index.size.max.bytes` (`segment.index.bytes`).
    pub index_bytes_max: u64,
    /// `log.retention.{ms,minutes,hours}` (`retention.ms`); none: kept for ever.
    pub retention_ms: Option<u64>,
    /// `log.retention.bytes` (`retention.bytes`); none: no bound.
    pub retention_bytes: Option<u64>,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    /// `log.segment.delete.delay.ms` (`file.delete.delay.ms`).
    pub delete_delay_ms: u64,
    /// `log.flush.interval.messages` (`flush.messages`); 1: every round is synced before it is acknowledged.
    pub flush_messages: u64,
    /// `log.flush.interval.ms` (`flush.ms`); none: no bound in time.
    pub flush_ms: Option<u64>,
    /// `log.cleanup.policy` (`cleanup.policy`).
    pub cleanup: CleanupPolicy,
    /// `log.message.timestamp.type` (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// `producer.id.expiration.ms`.
    pub producer_expiration_ms: u64,
    /// `log.cleaner.*`.
    pub compaction: CompactionDefaults,
}

impl TopicDefaults {
    /// Copies of each partition of a new topic in a cluster of so many boards: `REPLICATION_MAX` unless it is said.
    pub fn replication_for(&self, boards: usize) -> usize {
        self.replication_factor.map_or(boards.clamp(1, REPLICATION_MAX), usize::from)
    }

    /// How many of so many copies must be in sync for acks=all.
    pub fn min_insync_for(&self, copies: usize) -> usize {
        self.min_insync_replicas.map_or(min_insync_of(copies), usize::from)
    }
}

/// How many of so many copies must be in sync for acks=all where nobody says it: of three one may be missing; two are not
/// asked for both, or the loss of either would stop all writes.
pub const fn min_insync_of(copies: usize) -> usize {
    if copies >= REPLICATION_MAX { 2 } else { 1 }
}

/// Copies of a partition where nobody says how many and there are enough boards.
pub const REPLICATION_MAX: usize = 3;

/// How topics are compacted. Names in brackets are those of topic configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionDefaults {
    /// `log.cleaner.enable`.
    pub is_enabled: bool,
    /// `log.cleaner.dedupe.buffer.size`: the most, as far as there is memory.
    pub map_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`; none: no bound.
    pub bytes_per_second: Option<u64>,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: u64,
    /// `log.cleaner.min.cleanable.ratio` (`min.cleanable.dirty.ratio`), in millionths.
    pub dirty_parts_per_million: u32,
    /// `log.cleaner.min.compaction.lag.ms` (`min.compaction.lag.ms`).
    pub min_lag_ms: u64,
    /// `log.cleaner.max.compaction.lag.ms` (`max.compaction.lag.ms`); none: no bound.
    pub max_lag_ms: Option<u64>,
    /// `log.cleaner.delete.retention.ms` (`delete.retention.ms`).
    pub tombstones_ms: u64,
}

/// `cleanup.policy`: one of the two, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments go, by time and size.
    pub delete: bool,
    /// Only the last record of each key stays.
    pub compact: bool,
}

/// Whose clock a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appended.
    LogAppendTime,
}

/// Consumer groups and their offsets; Kafka's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `offsets.topic.num.partitions`.
    pub offsets_partitions: u32,
    /// `offsets.topic.replication.factor`.
    pub offsets_replication_factor: u16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_segment_bytes: u64,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout_ms: u64,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: u64,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: u64,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: u64,
    /// `group.max.size`: members of one group.
    pub members_max: u32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: u64,
    /// `group.coordinator.rebalance.protocols` has `consumer`.
    pub serves_consumer: bool,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: u64,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub consumer_members_max: u32,
    /// `group.consumer.assignors`, the default first; never empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy` lets a classic group with members become a consumer group.
    pub may_upgrade: bool,
    /// The same the other way.
    pub may_downgrade: bool,
}

/// An assignor of the coordinator (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Everybody gets the same number of partitions, and keeps what it has.
    Uniform,
    /// Everybody gets a run of neighbouring partitions of each topic.
    Range,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of that name.
    pub fn parse(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }
}

/// One entry of `KAFKA_CREATE_TOPICS`, `name:partitions:replicas[:cleanup.policy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicToCreate {
    /// A legal topic name.
    pub name: String,
    /// At least 1.
    pub partitions: u32,
    /// At least 1.
    pub replication_factor: u16,
    /// When the entry says so.
    pub cleanup: Option<CleanupPolicy>,
}

/// The budget and the counts that the memory table starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// `memory.budget`: what the process may allocate, kernel socket buffers included.
    pub budget_bytes: usize,
    /// `max.connections`, over all doors.
    pub connections_max: usize,
    /// `memory.partitions.max`: partitions with open logs.
    pub partitions_max: usize,
    /// `memory.producers.max`: idempotent producers remembered, over all partitions.
    pub producers_max: usize,
    /// `memory.tree.bytes`: znodes with their data.
    pub tree_bytes: usize,
    /// The other `server.N` lines; 0: nothing is set aside for peers.
    pub peers: usize,
}

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing but failures.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And what happens once in a while.
    Info,
    /// And what happens often.
    Debug,
    /// Everything.
    Trace,
}

impl Default for Config {
    /// What `tern serve` uses on a board it does not know, without a file: one node on the loopback, 64 MiB.
    fn default() -> Config {
        let outcome = resolve(&Layers::default(), &Facts::default());
        // Nothing was said that could be wrong, and the defaults alone are tested to resolve.
        outcome.config.expect("defaults resolve")
    }
}
