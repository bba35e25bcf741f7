//! Every constant that bounds something, unit in its name, related to its neighbours by const asserts.
//!
//! What depends on the board or the configuration is not here but in the memory table, which starts from these.

/// Unparsed bytes a door keeps for one connection outside a granted frame.
pub const CONNECTION_INPUT_BYTES_MAX: usize = 8 * 1024;

/// Bytes the shell reads from a socket at once.
pub const SOCKET_READ_BYTES_MAX: usize = 64 * 1024;

/// A topic's name, as in Kafka.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

const _: () = assert!(CONNECTION_INPUT_BYTES_MAX <= SOCKET_READ_BYTES_MAX);

/// Replicas of one partition, those of a running reassignment included.
pub const REPLICAS_MAX: usize = 7;

/// What a door, the node and the shell remember of one connection beside its unparsed bytes.
pub const CONNECTION_STATE_BYTES: usize = 4 * 1024;

/// The least the kernel is given to send and receive with, both together, for each connection.
pub const KERNEL_SOCKET_BYTES_MIN: usize = 8 * 1024;

/// The most the kernel is given for one connection, both directions together: a fetch of a mebibyte should not take
/// many wake-ups.
pub const KERNEL_SOCKET_BYTES_MAX: usize = 1024 * 1024;

/// The most it is given for an MQTT client, whose messages are small and whose siblings are many.
pub const KERNEL_MQTT_SOCKET_BYTES_MAX: usize = 64 * 1024;

/// The most it is given for an HTTP client, who asks once.
pub const KERNEL_HTTP_SOCKET_BYTES_MAX: usize = 32 * 1024;

/// Log state, index windows and broker state of one partition.
pub const PARTITION_STATE_BYTES: usize = 8 * 1024;

/// An idempotent producer in one partition: its last five batches and its place in the table.
pub const PRODUCER_STATE_BYTES: usize = 256;

/// Disk lanes, each a thread of its own.
pub const DISK_LANES: usize = 4;

/// Stack of a disk lane's thread.
pub const DISK_LANE_STACK_BYTES: usize = 256 * 1024;

/// What a disk lane holds while it works: recovery's and retention's buffers.
pub const DISK_LANE_SCRATCH_BYTES: usize = 256 * 1024;

/// Pages of the program and its static data that are in memory at a time.
pub const PROGRAM_BYTES: usize = 3 * 1024 * 1024;

/// The runtime's own: socket scratch, effects of a turn, configuration, metrics, the reply to a scrape.
pub const RUNTIME_BYTES: usize = 1024 * 1024;

const _: () = assert!(KERNEL_SOCKET_BYTES_MIN <= KERNEL_SOCKET_BYTES_MAX);
const _: () = assert!(SOCKET_READ_BYTES_MAX < RUNTIME_BYTES);

/// What a znode costs above the bytes of its name and data.
pub const ZNODE_BYTES: usize = 150;

/// Ephemerals of a session that go in one step of the node's thread.
pub const BURIED_AT_ONCE_MAX: usize = 1000;

/// Operations of one multi of a ZooKeeper client: its step of the node's thread is not long either.
pub const MULTI_OPS_MAX: usize = 4096;

/// Transactions and ephemerals that one turn of the node's thread applies; what is left goes to the next.
pub const APPLIED_PER_TURN_MAX: usize = 1000;

/// Containers, TTL znodes and old notifications that one sweep looks for.
pub const SWEPT_AT_ONCE_MAX: usize = 500;

/// Partitions of one topic: what one transaction can create.
pub const PARTITIONS_PER_TOPIC_MAX: usize = 1000;

/// Records of MQTT publishers gathered into one batch before another is begun.
pub const OPEN_BATCH_BYTES_MAX: usize = 256 * 1024;

/// Produce requests and publishes that may wait for their acknowledgement, for each connection there may be; all
/// connections share the sum.
pub const ACKNOWLEDGEMENTS_PER_CONNECTION: usize = 16;

/// What one of them takes.
pub const ACKNOWLEDGEMENT_BYTES: usize = 96;

/// Partitions watched by waiting fetch requests, for each connection there may be; all connections share the sum.
pub const WATCHES_PER_CONNECTION: usize = 4;

/// What one of them takes.
pub const WATCH_BYTES: usize = 128;

const _: () = assert!(
    ACKNOWLEDGEMENTS_PER_CONNECTION * ACKNOWLEDGEMENT_BYTES + WATCHES_PER_CONNECTION * WATCH_BYTES
        <= CONNECTION_STATE_BYTES / 2
);

/// Reads and searches of offsets under way.
pub const READS_MAX: usize = 1024;

/// Produce requests of one Kafka connection that are appended and not answered; the next one waits.
pub const KAFKA_PRODUCES_IN_FLIGHT_MAX: usize = 16;

/// Replies up to here are written in one shared buffer and copied; larger ones have their own, under a grant.
pub const KAFKA_REPLY_COPIED_BYTES_MAX: usize = 4 * 1024;

/// How long a request frame may grow by less than `KAFKA_FRAME_PROGRESS_BYTES_MIN` while others wait for memory.
pub const KAFKA_FRAME_PROGRESS_MS: u64 = 10_000;

/// What counts as progress of a request frame.
pub const KAFKA_FRAME_PROGRESS_BYTES_MIN: usize = 4 * 1024;

/// How long a response may lie unread while others wait for memory.
pub const KAFKA_UNSENT_MS_MAX: u64 = 30_000;

/// How often those who hold memory are looked at while others wait for it.
pub const KAFKA_PATROL_MS: u64 = 1_000;

/// Partitions of which one fetch reads at once.
pub const KAFKA_FETCH_READS_MAX: usize = 64;

/// The longest a fetch waits for data, whatever its client says.
pub const KAFKA_FETCH_WAIT_MS_MAX: u64 = 300_000;

/// How long a fetch session must have been silent, or exist, before another may take its place.
pub const KAFKA_FETCH_SESSION_EVICTION_MS: u64 = 120_000;

/// Partitions in all fetch sessions together.
pub const KAFKA_FETCH_SESSION_PARTITIONS_MAX: usize = 4096;

/// Offsets that one ListOffsets searches at once.
pub const KAFKA_OFFSET_SEARCHES_MAX: usize = 64;

/// Topics that one Metadata request creates.
pub const KAFKA_TOPICS_CREATED_AT_ONCE_MAX: usize = 64;

/// Resources that one DescribeConfigs request may ask for: describing them keeps everyone else waiting.
pub const KAFKA_CONFIG_RESOURCES_MAX: usize = 1000;

/// Clients whose debts to their quotas are remembered, and how much of their ids.
pub const KAFKA_QUOTA_CLIENTS_MAX: usize = 512;

/// Clients whose ids begin with the same so many bytes share a quota.
pub const KAFKA_CLIENT_ID_BYTES_COUNTED: usize = 128;

/// The longest that a client beyond its quota is not read for.
pub const KAFKA_THROTTLE_MS_MAX: u64 = 60_000;

/// Users and clients with quotas.
pub const QUOTA_ENTITIES_MAX: usize = 1000;

/// The name of a user or client in a quota.
pub const QUOTA_NAME_BYTES_MAX: usize = 249;

const _: () = assert!(3 * KAFKA_QUOTA_CLIENTS_MAX * (KAFKA_CLIENT_ID_BYTES_COUNTED + 128) <= RUNTIME_BYTES / 2);

/// Keys of one resource that an alteration is read for: there are fewer, so that one of so many is unknown or stands
/// twice.
pub const KAFKA_CONFIG_CHANGES_MAX: usize = 256;

/// How often an alteration is tried again that met another one.
pub const KAFKA_CONFIG_CONFLICTS_MAX: u32 = 10;

/// The value of one configuration key.
pub const CONFIG_VALUE_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(KAFKA_REPLY_COPIED_BYTES_MAX <= CONNECTION_INPUT_BYTES_MAX);

/// A message between members on the quorum's port: the largest entry and what carries it.
pub const PEER_QUORUM_MESSAGE_BYTES_MAX: usize = 1280 * 1024;

/// A message between members on the port of partitions: a batch or two, a part of a snapshot.
pub const PEER_DATA_MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Messages queued for one member on one channel; the next one is dropped.
pub const PEER_QUEUE_MESSAGES_MAX: usize = 4096;

/// Connections that have not proven yet that they are of a member, for each port; one more is closed at once.
pub const PEER_STRANGERS_MAX: usize = 16;

/// Members that an ensemble may have, observers and those that are about to join included.
pub const MEMBERS_MAX: usize = 32;

/// The quorum's log may grow so much, or by the size of the last snapshot, before the next snapshot is taken.
pub const QUORUM_LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A transaction in the quorum's log: a request of 1 MiB and what a transaction adds.
pub const QUORUM_ENTRY_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// What one slice of a snapshot holds, one large znode apart.
pub const SNAPSHOT_SLICE_BYTES: usize = 64 * 1024;

/// A topic name or filter of an MQTT client.
pub const MQTT_TOPIC_BYTES_MAX: usize = 1024;

/// The body of a CONNECT, SUBSCRIBE or UNSUBSCRIBE.
pub const MQTT_CONNECT_BYTES_MAX: usize = 64 * 1024;

/// The body of any other packet but PUBLISH.
pub const MQTT_CONTROL_BYTES_MAX: usize = 4 * 1024;

/// User properties of one packet.
pub const MQTT_USER_PROPERTIES_MAX: usize = 64;

/// Filters in one SUBSCRIBE or UNSUBSCRIBE.
pub const MQTT_FILTERS_PER_PACKET_MAX: usize = 256;

/// Wildcards in the filter of one mapping rule.
pub const MQTT_CAPTURES_MAX: usize = 16;

/// Subscriptions of all MQTT clients of a node.
pub const MQTT_SUBSCRIPTIONS_MAX: usize = 4 * 1024;

/// What one of them costs.
pub const MQTT_SUBSCRIPTION_BYTES: usize = 64;

/// Levels that the filters of all MQTT clients have, shared ones counted once.
pub const MQTT_SUBSCRIPTION_NODES_MAX: usize = 8 * 1024;

/// What one of them costs beside its name.
pub const MQTT_SUBSCRIPTION_NODE_BYTES: usize = 224;

/// A publisher's last topic and key are kept when they are no longer than this.
pub const MQTT_ROUTE_BYTES_KEPT_MAX: usize = 256;

/// QoS 2 messages of connections that ended, remembered for a retry.
pub const MQTT_REMEMBERED_MAX: usize = 1024;

/// Topic aliases that an MQTT 5 client may set, told in CONNACK.
pub const MQTT_ALIASES_MAX: usize = 8;

/// Bytes of the topics behind one client's aliases.
pub const MQTT_ALIAS_BYTES_MAX: usize = MQTT_TOPIC_BYTES_MAX;

/// Bytes for one MQTT subscriber that its socket has not taken.
pub const MQTT_OUTGOING_BYTES_MAX: usize = 512 * 1024;

/// Live QoS 1 messages that one subscriber has not acknowledged.
pub const MQTT_OUTGOING_WINDOW_MAX: usize = 64;

/// Live QoS 1 messages that wait for one subscriber's window.
pub const MQTT_OUTGOING_QUEUE_MAX: usize = 1000;

/// Between accepting a socket and its CONNECT.
pub const MQTT_CONNECT_TIMEOUT_MILLIS: u64 = 10_000;

/// Until a packet is tried again whose partition was not led here.
pub const MQTT_RETRY_MILLIS: u64 = 50;

/// Between looks for large packets that do not arrive, while others wait for their buffers.
pub const MQTT_STALL_CHECK_MILLIS: u64 = 1000;

/// Silence in the middle of a large packet after which its buffer goes to others that wait.
pub const MQTT_STALLED_PACKET_MILLIS_MAX: u64 = 10_000;

/// Between two times the figures of `$SYS` are sent.
pub const MQTT_SYS_MILLIS: u64 = 10_000;

/// A client id.
pub const MQTT_CLIENT_ID_BYTES_MAX: usize = 256;

/// QoS 2 messages of one 3.1.1 client that are received and not released.
pub const MQTT_RECEIVED_MAX: usize = 256;

/// How long a publisher's last topic keeps its partition before the number of partitions is looked up again.
pub const MQTT_ROUTE_SECONDS_MAX: u64 = 60;

/// Subscriptions of one client.
pub const MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX: usize = 128;

/// What a compressed batch may grow to for live subscribers; a larger one is dropped for them and counted.
pub const MQTT_DECOMPRESSED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Wall time before this is not believed: 2026-11-01. A board without a battery boots in the past; set anew with each
/// release.
pub const CLOCK_FLOOR_MS: i64 = 1_793_491_200_000;

/// A group's name, as long as a record key's may well be.
pub const GROUP_NAME_BYTES_MAX: usize = 16 * 1024;

/// What one series of `/metrics` about groups may take, about 1,300 rows of usual names; the row that passes it is the last.
pub const GROUP_SERIES_BYTES_MAX: usize = 128 * 1024;

/// What one member of a group may bring: names and metadata for its assignors, and what keeping them takes.
pub const GROUP_MEMBER_METADATA_BYTES_MAX: usize = 256 * 1024;

/// How long a member may wait in its first JoinGroup; after that it is taken for gone and must come again.
pub const GROUP_NEW_MEMBER_MS_MAX: u64 = 5 * 60 * 1000;

/// Bytes of `__consumer_offsets` that are read at once when a coordinator starts.
pub const GROUPS_LOAD_BYTES: usize = 64 * 1024;

const _: () = assert!(GROUP_NAME_BYTES_MAX < i16::MAX as usize);

/// Requests of one ZooKeeper connection that are taken and not answered; the next one waits.
pub const ZOOKEEPER_OUTSTANDING_MAX: usize = 256;

/// Replies of a ZooKeeper connection up to here are written in one shared buffer and copied; larger ones have their
/// own, under a grant.
pub const ZOOKEEPER_REPLY_COPIED_BYTES_MAX: usize = 4 * 1024;

/// What may be on its way to a ZooKeeper client before its next request is answered.
pub const ZOOKEEPER_UNSENT_BYTES_MAX: usize = 64 * 1024;

/// Between accepting a ZooKeeper client's socket and its first frame.
pub const ZOOKEEPER_CONNECT_TIMEOUT_MS: u64 = 10_000;

/// Silence in the middle of a large frame after which its memory goes to others that wait.
pub const ZOOKEEPER_STALLED_MS_MAX: u64 = 10_000;

/// What a watch takes beside its path.
pub const ZOOKEEPER_WATCH_BYTES: usize = 192;

/// Identities of one ZooKeeper connection.
pub const ZOOKEEPER_IDENTITIES_MAX: usize = 32;

/// Credentials of a ZooKeeper client.
pub const ZOOKEEPER_CREDENTIALS_BYTES_MAX: usize = 1024;

/// The most the kernel is given for a ZooKeeper client, whose requests are small.
pub const KERNEL_ZOOKEEPER_SOCKET_BYTES_MAX: usize = 128 * 1024;

const _: () = assert!(ZOOKEEPER_REPLY_COPIED_BYTES_MAX <= ZOOKEEPER_UNSENT_BYTES_MAX);
const _: () = assert!(ZOOKEEPER_IDENTITIES_MAX * ZOOKEEPER_CREDENTIALS_BYTES_MAX <= 64 * 1024);

/// A regular expression by which members of a consumer group subscribe.
pub const GROUP_REGEX_BYTES_MAX: usize = 1024;

/// What it may compile to, as long as it is in use.
pub const GROUP_REGEX_PROGRAM_BYTES_MAX: usize = 32 * 1024;

/// Different regular expressions of one group.
pub const GROUP_REGEXES_MAX: usize = 16;
