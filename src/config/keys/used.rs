//! The keys in use. Defaults that depend on the board or on other keys are empty here and derived in `build`.

use super::{Key, Kind, Use};

const I32_MAX: i64 = i32::MAX as i64;
const PORT: Kind = Kind::Int { min: 0, max: 65_535 };
const COUNT: Kind = Kind::Int { min: 1, max: I32_MAX };
/// -1 stands for "no bound".
const OR_NONE: Kind = Kind::Int { min: -1, max: i64::MAX };
const POSITIVE: Kind = Kind::Int { min: 1, max: i64::MAX };
const BYTES: Kind = Kind::Int { min: 1024, max: I32_MAX };
/// The N of `server.N` plus one must still be an i32.
const NODE_ID: Kind = Kind::Int { min: 0, max: I32_MAX - 1 };
const MIB: i64 = 1 << 20;

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, usage: Use::Default(default), meaning }
}

pub(super) const KEYS: &[Key] = &[
    // Who and where.
    key("broker.id", Kind::Int { min: -1, max: I32_MAX - 1 }, "", "this node's number, the N of its server.N line"),
    key("node.id", NODE_ID, "", "another name of broker.id"),
    key("myid", NODE_ID, "", "this node's number, as in the file myid"),
    key("dataDir", Kind::Text, "", "directory of the coordinator's files"),
    key("log.dirs", Kind::Text, "", "directory of the topics' files"),
    key("log.dir", Kind::Text, "", "directory of the topics' files, when log.dirs is not given"),
    key("server.#", Kind::Text, "", "a member of the ensemble: HOST:2888:3888[:observer][;CLIENTPORT]"),
    key("tern.peer.secret.file", Kind::Text, "", "file with the secret by which members know each other"),
    key(
        "tern.peer.bind",
        Kind::Text,
        "",
        "address on which the two ports of this node's server line listen, where that leads elsewhere first: a relay, a \
         translated address; else the line's own when all members are on this machine, and every interface otherwise",
    ),
    key("tern.ensemble.form", Kind::Bool, "false", "found the ensemble alone; the others join as they come"),
    key(
        "broker.session.timeout.ms",
        Kind::Int { min: 500, max: 600_000 },
        "",
        "silence after which a broker is taken for gone; three times tickTime when not given",
    ),
    key(
        "log.level",
        Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "what is told on standard error",
    ),
    key(
        "tern.test.disk",
        Kind::OneOf(&["none", "card", "steady-card", "discard"]),
        "none",
        "for tests: a disk that is slow or forgets",
    ),
    // Memory.
    key("memory.budget", Kind::Size { min: 16 * MIB, max: 2048 * MIB }, "", "bound of what the process allocates"),
    key("max.connections", Kind::Int { min: 8, max: 65_536 }, "", "open connections over all doors"),
    key("memory.partitions.max", Kind::Int { min: 4, max: 65_536 }, "", "partitions with open logs"),
    key("memory.producers.max", Kind::Int { min: 16, max: 1 << 20 }, "", "idempotent producers remembered"),
    key("memory.tree.bytes", Kind::Size { min: 64 * 1024, max: 1024 * MIB }, "", "znodes with their data"),
    // Kafka's door.
    key("listeners", Kind::Text, "", "where Kafka clients connect: NAME://HOST:PORT[,...]"),
    key("advertised.listeners", Kind::Text, "", "what Kafka clients are told to dial: NAME://HOST:PORT[,...]"),
    key("listener.security.protocol.map", Kind::Text, "", "protocol of each listener: NAME:PLAINTEXT[,...]"),
    key("inter.broker.listener.name", Kind::Text, "", "the listener that other brokers are told"),
    key("controller.listener.names", Kind::Text, "", "listeners of a KRaft controller, which are left out"),
    key("port", PORT, "", "port of the only listener, when listeners is not given"),
    key("host.name", Kind::Text, "", "address of the only listener, when listeners is not given"),
    key(
        "advertised.host.name",
        Kind::Text,
        "",
        "host that Kafka clients are told, when advertised.listeners is not given",
    ),
    key("advertised.port", PORT, "", "port that Kafka clients are told, when advertised.listeners is not given"),
    key("socket.request.max.bytes", BYTES, "", "the largest request"),
    key("fetch.max.bytes", BYTES, "", "the most bytes of one fetch response"),
    key("connections.max.idle.ms", OR_NONE, "600000", "silence after which a Kafka connection is closed"),
    key(
        "socket.receive.buffer.bytes",
        Kind::Int { min: -1, max: I32_MAX },
        "-1",
        "the most kernel memory to receive with",
    ),
    key("socket.send.buffer.bytes", Kind::Int { min: -1, max: I32_MAX }, "-1", "the most kernel memory to send with"),
    key("max.incremental.fetch.session.cache.slots", Kind::Int { min: 0, max: 10_000 }, "100", "fetch sessions kept"),
    key("auto.create.topics.enable", Kind::Bool, "true", "a topic that is asked for comes into being"),
    key("delete.topic.enable", Kind::Bool, "true", "topics may be deleted"),
    key("create.topics", Kind::Text, "", "topics that exist after start: NAME:PARTITIONS:REPLICAS[,...]"),
    // ZooKeeper's door.
    key("clientPort", PORT, "2181", "port of the ZooKeeper protocol"),
    key("clientPortAddress", Kind::Text, "", "address of the ZooKeeper protocol"),
    key("tickTime", Kind::Int { min: 100, max: 60_000 }, "2000", "milliseconds of ZooKeeper's unit of time"),
    key("initLimit", Kind::Int { min: 1, max: 10_000 }, "10", "ticks a member may take to join and catch up"),
    key("syncLimit", Kind::Int { min: 1, max: 10_000 }, "5", "ticks a member may be silent"),
    key("maxClientCnxns", Kind::Int { min: 0, max: 65_536 }, "60", "ZooKeeper connections of one address; 0: no bound"),
    key("minSessionTimeout", Kind::Int { min: -1, max: I32_MAX }, "-1", "shortest session; -1: two ticks"),
    key("maxSessionTimeout", Kind::Int { min: -1, max: I32_MAX }, "-1", "longest session; -1: twenty ticks"),
    key("jute.maxbuffer", BYTES, "1048575", "the largest ZooKeeper request"),
    key(
        "DigestAuthenticationProvider.superDigest",
        Kind::Text,
        "",
        "who passes every ACL of the tree: USER:BASE64(SHA1(USER:PASSWORD))",
    ),
    key(
        "zookeeper.DigestAuthenticationProvider.superDigest",
        Kind::Text,
        "",
        "another name of DigestAuthenticationProvider.superDigest",
    ),
    key(
        "peerType",
        Kind::OneOf(&["participant", "observer"]),
        "participant",
        "what this node's server.N line says as well; the line counts",
    ),
    key(
        "readonlymode.enabled",
        Kind::Bool,
        "true",
        "a node without a majority serves reads to ZooKeeper clients that are content with them",
    ),
    key(
        "reconfigEnabled",
        Kind::Bool,
        "true",
        "ZooKeeper clients may change the ensemble's members; with a super digest, those who may write /zookeeper/config",
    ),
    key("extendedTypesEnabled", Kind::Bool, "true", "znodes may have a time to live"),
    key("enforceQuota", Kind::Bool, "true", "hard limits under /zookeeper/quota bind ZooKeeper clients"),
    key(
        "znode.container.checkIntervalMs",
        Kind::Int { min: 10, max: I32_MAX },
        "60000",
        "between two sweeps of containers",
    ),
    key("znode.container.maxPerMinute", Kind::Int { min: 1, max: 1_000_000 }, "10000", "znodes that sweeps remove"),
    key(
        "znode.container.maxNeverUsedIntervalMs",
        Kind::Int { min: 0, max: I32_MAX },
        "0",
        "age at which a container goes that never had a child; 0: never",
    ),
    key("autopurge.snapRetainCount", Kind::Int { min: 1, max: 100 }, "1", "snapshots of the tree that are kept"),
    key("4lw.commands.whitelist", Kind::Text, "srvr,stat", "four-letter words that are answered; *: all"),
    // MQTT's door.
    key("mqtt.listeners", Kind::Text, "", "where MQTT clients connect: tcp://HOST:PORT[,...]; none: nowhere"),
    key("mqtt.map.#", Kind::Text, "", "a rule: FILTER -> TOPIC [key=TEMPLATE], first match wins"),
    key("mqtt.packet.max.bytes", BYTES, "", "the largest MQTT packet"),
    key("mqtt.receive.maximum", Kind::Int { min: 1, max: 1024 }, "64", "unacknowledged publishes of one client"),
    key("mqtt.topics.max", Kind::Int { min: 0, max: 65_536 }, "128", "topics that the rules may create"),
    // HTTP's door.
    key("http.listener", Kind::Text, "", "status and metrics: HOST:PORT; none: nowhere"),
    // Topics.
    key("num.partitions", COUNT, "1", "partitions of a new topic"),
    key(
        "default.replication.factor",
        Kind::Int { min: 1, max: 255 },
        "",
        "copies of each partition of a new topic; as many as there are boards, at most 3, when not given",
    ),
    key(
        "replica.lag.time.max.ms",
        Kind::Int { min: 100, max: 3_600_000 },
        "30000",
        "a follower that is behind for longer leaves the ISR",
    ),
    key(
        "min.insync.replicas",
        Kind::Int { min: 1, max: 255 },
        "",
        "copies in sync without which acks=all is refused; of 3 or more copies 2, else 1, when not given",
    ),
    key(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "a replica that is not in sync may lead when no other is left, which loses records; an emptied one does not",
    ),
    key("auto.leader.rebalance.enable", Kind::Bool, "true", "leaderships go back to the preferred replicas"),
    key(
        "leader.imbalance.check.interval.seconds",
        Kind::Int { min: 1, max: I32_MAX },
        "300",
        "how often the controller looks whether preferred replicas lead",
    ),
    key(
        "leader.imbalance.per.broker.percentage",
        Kind::Int { min: 0, max: 100 },
        "10",
        "share of a broker's preferred leaderships that may be elsewhere",
    ),
    key("message.max.bytes", BYTES, "", "the largest batch of records"),
    key("log.segment.bytes", BYTES, "1073741824", "a segment's size"),
    key("log.roll.ms", POSITIVE, "", "a segment's age, before log.roll.hours"),
    key("log.roll.hours", Kind::Int { min: 1, max: I32_MAX }, "168", "a segment's age"),
    key("log.index.interval.bytes", Kind::Int { min: 0, max: I32_MAX }, "4096", "bytes between two index entries"),
    key("log.index.size.max.bytes", Kind::Int { min: 4, max: I32_MAX }, "10485760", "an index file's size"),
    key("log.retention.ms", OR_NONE, "", "age at which segments go, before the two below; -1: never"),
    key(
        "log.retention.minutes",
        Kind::Int { min: -1, max: I32_MAX },
        "",
        "the same in minutes, before log.retention.hours",
    ),
    key("log.retention.hours", Kind::Int { min: -1, max: I32_MAX }, "168", "the same in hours"),
    key("log.retention.bytes", OR_NONE, "-1", "a partition's size from which segments go; -1: no bound"),
    key("log.retention.check.interval.ms", POSITIVE, "300000", "how often retention looks"),
    key("log.segment.delete.delay.ms", Kind::Int { min: 0, max: i64::MAX }, "60000", "how long deleted files stay"),
    key("log.flush.interval.messages", POSITIVE, "1", "records between syncs; 1: acknowledged means on disk"),
    key("log.flush.interval.ms", OR_NONE, "-1", "longest time between syncs; -1: no bound"),
    key("log.cleanup.policy", Kind::Text, "delete", "delete, compact, or both"),
    key("log.cleaner.enable", Kind::Bool, "true", "topics with the policy compact are compacted"),
    key("log.cleaner.dedupe.buffer.size", BYTES, "", "memory for the keys of one compaction; more keys take more runs"),
    key("log.cleaner.io.max.bytes.per.second", Kind::Text, "", "what compaction may read and write; none: no bound"),
    key(
        "log.cleaner.backoff.ms",
        Kind::Int { min: 0, max: i64::MAX },
        "15000",
        "rest of a log between two compactions",
    ),
    key("log.cleaner.min.cleanable.ratio", Kind::Text, "0.5", "share of a log that must be new to be compacted"),
    key("log.cleaner.min.compaction.lag.ms", Kind::Int { min: 0, max: i64::MAX }, "0", "age before compaction"),
    key("log.cleaner.max.compaction.lag.ms", POSITIVE, "9223372036854775807", "age at which compaction must come"),
    key("log.cleaner.delete.retention.ms", Kind::Int { min: 0, max: i64::MAX }, "86400000", "how long tombstones stay"),
    key(
        "log.message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "whose clock a record's timestamp is",
    ),
    key("producer.id.expiration.ms", POSITIVE, "86400000", "silence after which a producer is forgotten"),
    // Groups.
    key("offsets.topic.num.partitions", COUNT, "8", "partitions of __consumer_offsets"),
    key(
        "offsets.topic.replication.factor",
        Kind::Int { min: 1, max: 255 },
        "3",
        "copies of __consumer_offsets, at most one a board",
    ),
    key("offsets.topic.segment.bytes", BYTES, "104857600", "a segment's size of __consumer_offsets"),
    key(
        "offsets.commit.timeout.ms",
        COUNT,
        "5000",
        "how long a commit or another change of a group waits for its copies; then the client looks elsewhere",
    ),
    key("offsets.retention.minutes", COUNT, "10080", "how long an empty group's offsets stay"),
    key("offsets.retention.check.interval.ms", POSITIVE, "600000", "how often expired offsets are looked for"),
    key("offset.metadata.max.bytes", Kind::Int { min: 0, max: 65_536 }, "4096", "the longest note beside an offset"),
    key("group.initial.rebalance.delay.ms", Kind::Int { min: 0, max: I32_MAX }, "3000", "wait for more members"),
    key("group.min.session.timeout.ms", COUNT, "6000", "shortest session of a group's member"),
    key("group.max.session.timeout.ms", COUNT, "1800000", "longest session of a group's member"),
    key("group.max.size", COUNT, "2147483647", "members of one group"),
    key("group.coordinator.rebalance.protocols", Kind::Text, "classic,consumer", "protocols of groups that are served"),
    key("group.consumer.session.timeout.ms", COUNT, "45000", "session of a member whose group the broker assigns"),
    key("group.consumer.heartbeat.interval.ms", COUNT, "5000", "how often such a member is asked to report"),
    key("group.consumer.max.size", COUNT, "2147483647", "members of one such group"),
    key("group.consumer.assignors", Kind::Text, "uniform,range", "the broker's assignors, the default first"),
    key(
        "group.consumer.migration.policy",
        Kind::OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        "bidirectional",
        "which groups with members may change their protocol",
    ),
];
