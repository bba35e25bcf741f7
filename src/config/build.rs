//! From what was said to a `Config`: the story of all keys, told in the order of the table.

use super::values::{Cap, Values};
use super::{
    BalanceConfig, CleanupPolicy, Config, CountLimits, Endpoint, Facts, KafkaConfig, Layers, LogLevel, MapLine, Member,
    MemoryConfig, MqttConfig, Outcome, PeerConfig, Shares, Size, TestDisk, TimestampType, TopicDefaults, TopicToCreate,
    ZooKeeperConfig, ensemble, groups, listeners,
};

pub(super) const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const TOPIC_FORM: &str = "NAME:PARTITIONS:REPLICAS[:delete|compact][,...]";

/// Makes a `Config` of everything that was said, or says all that is wrong with it.
pub fn resolve(layers: &Layers, facts: &Facts) -> Outcome {
    let mut values = Values::new(layers);
    let values_ref = &mut values;
    let directories = ensemble::read_directories(values_ref, layers);
    let members = ensemble::read_members(values_ref);
    let node_id = ensemble::read_identity(values_ref, facts, &members, &directories.coordinator.join("myid"));
    let own = members.iter().find(|member| member.id == node_id);
    ensemble::check_role(values_ref, own);
    let bare_client_port = values_ref.text("clientPort").is_some() && values_ref.text("clientPortAddress").is_none();
    let bare_port = values_ref.text("port").is_some() && values_ref.text("host.name").is_none();
    let around = listeners::Surroundings {
        open: !members.is_empty() || bare_client_port || bare_port,
        own,
        hostname: if facts.hostname.is_empty() { "localhost" } else { &facts.hostname },
    };
    let memory = read_memory(values_ref, &members);
    let shares = Shares::new(&memory);
    let kafka = read_kafka(values_ref, &around, &memory, &shares);
    let topics = read_topics(values_ref, &kafka, &memory, &shares);
    let zookeeper = read_zookeeper(values_ref, &around, &memory, &shares);
    let config = Config {
        node_id,
        directories,
        kafka,
        mqtt: read_mqtt(values_ref, &around, &memory, &shares, topics.message_bytes_max),
        http: listeners::read_http(values_ref, &around),
        peers: read_peers(values_ref, zookeeper.tick_ms),
        zookeeper,
        groups: groups::read_groups(values_ref, &memory),
        create_topics: read_create_topics(values_ref),
        topics,
        memory,
        log_level: read_level(values_ref),
        test_disk: read_test_disk(values_ref),
        board: String::new(),
        settings: Vec::new(),
        ensemble: Vec::new(),
    };
    check_ports(values_ref, &config, own);
    check_ensemble(values_ref, &members, &config.peers);
    let config = Config { settings: values.settings(), ensemble: members, ..config };
    let config = values.errors.is_empty().then_some(config);
    Outcome { config, errors: values.errors, warnings: values.warnings }
}

fn read_level(values: &mut Values<'_>) -> LogLevel {
    match values.word("log.level") {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    }
}

fn read_test_disk(values: &mut Values<'_>) -> TestDisk {
    match values.word("tern.test.disk") {
        "card" => TestDisk::Card,
        "steady-card" => TestDisk::SteadyCard,
        "discard" => TestDisk::Discard,
        _ => TestDisk::None,
    }
}

fn read_peers(values: &mut Values<'_>, tick_ms: u64) -> PeerConfig {
    let given = values.optional_int("broker.session.timeout.ms");
    let session_ms = given.unwrap_or((tick_ms * 3).max(500) as i64);
    if given.is_none() {
        values.show("broker.session.timeout.ms", session_ms, "default");
    }
    PeerConfig {
        secret_file: values
            .text("tern.peer.secret.file")
            .map(|assigned| assigned.value.trim().into())
            .filter(|path: &std::path::PathBuf| !path.as_os_str().is_empty()),
        bind: values
            .text("tern.peer.bind")
            .map(|assigned| assigned.value.trim().to_owned())
            .filter(|host| !host.is_empty()),
        forms_alone: values.bool("tern.ensemble.form"),
        broker_session_ms: session_ms as u64,
        balance: values.bool("auto.leader.rebalance.enable").then(|| BalanceConfig {
            interval_ms: values.int("leader.imbalance.check.interval.seconds") as u64 * 1000,
            percentage: values.int("leader.imbalance.per.broker.percentage") as usize,
        }),
    }
}

/// What can be wrong or dangerous about the server lines together.
fn check_ensemble(values: &mut Values<'_>, members: &[Member], peers: &PeerConfig) {
    if members.len() < 2 {
        return;
    }
    let voters = members.iter().filter(|member| !member.is_observer).count();
    if voters == 0 {
        values.errors.push("every server line is an observer: at least one must be a participant".to_owned());
    } else if voters % 2 == 0 {
        values.warnings.push(format!(
            "the server lines name {voters} voting members: that survives the loss of no more members than {} would",
            voters - 1
        ));
    }
    if peers.secret_file.is_none() && !members.iter().all(|member| is_loopback(&member.host)) {
        values.warnings.push(
            "tern.peer.secret.file is not given: whoever reaches the ports of the server lines can pass for a member; \
             put the same file of random bytes on every member"
                .to_owned(),
        );
    }
}

/// True for hosts that nobody else can reach.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_memory(values: &mut Values<'_>, members: &[Member]) -> MemoryConfig {
    let given = values.optional_int("memory.budget");
    let budget_bytes = given.unwrap_or(64 << 20) as usize;
    if given.is_none() {
        values.show("memory.budget", Size(budget_bytes as i64), "default");
    }
    let defaults = MemoryConfig::for_budget(budget_bytes);
    let limits = CountLimits::new(budget_bytes);
    let budget = budget_name(budget_bytes);
    let mut count = |name: &str, default: usize, max: usize| {
        values.capped_int(name, default as i64, Cap { max: max as i64, because: &budget }) as usize
    };
    let counts = MemoryConfig {
        connections_max: count("max.connections", defaults.connections_max, limits.connections),
        partitions_max: count("memory.partitions.max", defaults.partitions_max, limits.partitions),
        producers_max: count("memory.producers.max", defaults.producers_max, limits.producers),
        peers: members.len().saturating_sub(1),
        ..defaults
    };
    let tree_bytes_max = CountLimits::tree_bytes_beside(&counts);
    MemoryConfig { tree_bytes: count("memory.tree.bytes", counts.tree_bytes, tree_bytes_max), ..counts }
}

/// How a warning names the budget.
pub(super) fn budget_name(budget_bytes: usize) -> String {
    format!("memory.budget={}", Size(budget_bytes as i64))
}

fn read_kafka(
    values: &mut Values<'_>,
    around: &listeners::Surroundings<'_>,
    memory: &MemoryConfig,
    shares: &Shares,
) -> KafkaConfig {
    let (listeners, inter_broker_listener) = listeners::read_kafka(values, around);
    let budget = budget_name(memory.budget_bytes);
    let cap = |max: usize| Cap { max: max as i64, because: &budget };
    let request = cap(shares.request_bytes_max());
    let fetch = cap(shares.fetch_bytes_max());
    KafkaConfig {
        listeners,
        inter_broker_listener,
        request_bytes_max: values.capped_int("socket.request.max.bytes", 100 << 20, request) as usize,
        fetch_bytes_max: values.capped_int("fetch.max.bytes", 55 << 20, fetch) as usize,
        idle_ms_max: none_if_negative(values.int("connections.max.idle.ms")),
        socket_receive_bytes: none_if_negative(values.int("socket.receive.buffer.bytes")).map(|bytes| bytes as usize),
        socket_send_bytes: none_if_negative(values.int("socket.send.buffer.bytes")).map(|bytes| bytes as usize),
        auto_create_topics: values.bool("auto.create.topics.enable"),
        delete_topics: values.bool("delete.topic.enable"),
        fetch_sessions_max: values.int("max.incremental.fetch.session.cache.slots") as usize,
    }
}

fn none_if_negative(value: i64) -> Option<u64> {
    u64::try_from(value).ok()
}

fn read_zookeeper(
    values: &mut Values<'_>,
    around: &listeners::Surroundings<'_>,
    memory: &MemoryConfig,
    shares: &Shares,
) -> ZooKeeperConfig {
    let bind = listeners::read_zookeeper(values, around);
    let tick_ms = values.int("tickTime");
    let mut session = |key: &str, ticks: i64| {
        let asked = values.int(key);
        let value = if asked > 0 { asked } else { ticks * tick_ms };
        if asked <= 0 {
            values.show(key, value, "default");
        }
        value
    };
    let (min, max) = (session("minSessionTimeout", 2), session("maxSessionTimeout", 20));
    if min > max {
        let (key, place) = match values.given("maxSessionTimeout") {
            Some(place) => ("maxSessionTimeout", Some(place)),
            None => ("minSessionTimeout", values.given("minSessionTimeout")),
        };
        if let Some(place) = place {
            let problem = format!("the shortest session, {min} ms, is longer than the longest, {max} ms");
            values.error(&place.source, key, &place.value, &problem, "minSessionTimeout below maxSessionTimeout");
        }
    }
    let budget = budget_name(memory.budget_bytes);
    let request = Cap { max: shares.message_bytes_max().min(shares.entry_bytes_max()) as i64, because: &budget };
    let digest = ["zookeeper.DigestAuthenticationProvider.superDigest", "DigestAuthenticationProvider.superDigest"];
    let super_digest = digest.map(|key| values.text(key).map(|assigned| assigned.value.trim().to_owned()));
    if !values.bool("enforceQuota")
        && let Some(assigned) = values.text("enforceQuota")
    {
        let source = assigned.source.clone();
        let why = "hard limits under /zookeeper/quota always bind, soft ones are always only reported";
        values.warnings.push(format!("{source}: enforceQuota=false is not used: {why}"));
    }
    ZooKeeperConfig {
        has_read_only: values.bool("readonlymode.enabled"),
        can_reconfig: values.bool("reconfigEnabled"),
        has_ttl: values.bool("extendedTypesEnabled"),
        sweep_ms: values.int("znode.container.checkIntervalMs") as u64,
        swept_per_minute: values.int("znode.container.maxPerMinute") as u64,
        unused_container_ms: Some(values.int("znode.container.maxNeverUsedIntervalMs") as u64).filter(|&ms| ms > 0),
        snapshots_kept: values.int("autopurge.snapRetainCount") as u8,
        words: values.text("4lw.commands.whitelist").map(|assigned| assigned.value.clone()).unwrap_or_default(),
        super_digest: super_digest.into_iter().flatten().next(),
        bind,
        tick_ms: tick_ms as u64,
        init_limit_ticks: values.int("initLimit") as u64,
        sync_limit_ticks: values.int("syncLimit") as u64,
        connections_per_address_max: u32::try_from(values.int("maxClientCnxns")).ok().filter(|&max| max > 0),
        session_timeout_ms_min: min as u64,
        session_timeout_ms_max: max as u64,
        request_bytes_max: values.capped_int("jute.maxbuffer", 1_048_575, request) as usize,
    }
}

fn read_mqtt(
    values: &mut Values<'_>,
    around: &listeners::Surroundings<'_>,
    memory: &MemoryConfig,
    shares: &Shares,
    message_bytes_max: usize,
) -> MqttConfig {
    let mut maps: Vec<MapLine> = Vec::new();
    for (number, assigned) in values.numbered("mqtt.map.") {
        maps.push(MapLine { number, text: assigned.value.trim().to_owned(), source: assigned.source.clone() });
    }
    if maps.is_empty() {
        let text = "# -> mqtt key={topic}".to_owned();
        values.show("mqtt.map.1", &text, "default");
        maps.push(MapLine { number: 1, text, source: "default".to_owned() });
    }
    let budget = budget_name(memory.budget_bytes);
    let packet = shares.packet_bytes_max();
    let because = if packet > message_bytes_max { "message.max.bytes" } else { &budget };
    let cap = Cap { max: packet.min(message_bytes_max) as i64, because };
    let partitions = Cap { max: memory.partitions_max as i64, because: "memory.partitions.max" };
    MqttConfig {
        listeners: listeners::read_mqtt(values, around),
        maps,
        packet_bytes_max: values.capped_int("mqtt.packet.max.bytes", 1 << 20, cap) as usize,
        receive_maximum: values.int("mqtt.receive.maximum") as u16,
        topics_created_max: values.capped_int("mqtt.topics.max", 128, partitions) as usize,
    }
}

fn read_topics(values: &mut Values<'_>, kafka: &KafkaConfig, memory: &MemoryConfig, shares: &Shares) -> TopicDefaults {
    let budget = budget_name(memory.budget_bytes);
    let message = Cap { max: shares.message_bytes_max() as i64, because: &budget };
    let request = Cap { max: kafka.request_bytes_max as i64, because: "socket.request.max.bytes" };
    let message = if request.max < message.max { request } else { message };
    let topics = TopicDefaults {
        partitions: partitions(values, "num.partitions", memory),
        replication_factor: values.optional_int("default.replication.factor").map(|copies| copies as u16),
        min_insync_replicas: values.optional_int("min.insync.replicas").map(|copies| copies as u16),
        unclean_election: values.bool("unclean.leader.election.enable"),
        replica_lag_ms: values.int("replica.lag.time.max.ms") as u64,
        message_bytes_max: values.capped_int("message.max.bytes", 1_048_588, message) as usize,
        segment_bytes: values.int("log.segment.bytes") as u64,
        segment_ms: first_of(values, "log.roll.ms", &[("log.roll.hours", HOUR_MS)]).unwrap_or(0),
        index_interval_bytes: values.int("log.index.interval.bytes") as u64,
        index_bytes_max: values.int("log.index.size.max.bytes") as u64,
        retention_ms: first_of(
            values,
            "log.retention.ms",
            &[("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)],
        ),
        retention_bytes: none_if_negative(values.int("log.retention.bytes")),
        retention_check_ms: values.int("log.retention.check.interval.ms") as u64,
        delete_delay_ms: values.int("log.segment.delete.delay.ms") as u64,
        flush_messages: values.int("log.flush.interval.messages") as u64,
        flush_ms: none_if_negative(values.int("log.flush.interval.ms")),
        cleanup: read_cleanup(values),
        timestamp_type: match values.word("log.message.timestamp.type") {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        producer_expiration_ms: values.int("producer.id.expiration.ms") as u64,
        compaction: super::compaction::read_compaction(values, memory, shares),
    };
    show_copies(values, &topics, memory.peers + 1);
    topics
}

/// What follows from the number of boards that the files name, where nobody says more.
fn show_copies(values: &mut Values<'_>, topics: &TopicDefaults, boards: usize) {
    let source = format!("default for {boards} board{}", if boards == 1 { "" } else { "s" });
    if topics.replication_factor.is_none() {
        values.show("default.replication.factor", topics.replication_for(boards), &source);
    }
    if topics.min_insync_replicas.is_none() {
        values.show("min.insync.replicas", topics.min_insync_for(boards), &source);
    }
}

pub(super) fn partitions(values: &mut Values<'_>, key: &str, memory: &MemoryConfig) -> u32 {
    let default = if key == "num.partitions" { 1 } else { 50 };
    let cap = Cap { max: memory.partitions_max as i64, because: "memory.partitions.max" };
    values.capped_int(key, default, cap) as u32
}

/// Kafka's precedence: milliseconds if they are given, else the coarser key that is, else the default of the last.
/// Shows the milliseconds that are in force. `None`: no bound.
fn first_of(values: &mut Values<'_>, millis: &str, coarser: &[(&str, i64)]) -> Option<u64> {
    if values.text(millis).is_some() {
        for (key, _) in coarser.iter().filter(|(key, _)| values.text(key).is_some()).collect::<Vec<_>>() {
            let source = values.given(key).map_or("", |assigned| &assigned.source);
            values.warnings.push(format!("{source}: {key} does not count, because {millis} is given as well"));
        }
    }
    if let Some(value) = values.optional_int(millis) {
        return none_if_negative(value);
    }
    let given = coarser.iter().find(|(key, _)| values.text(key).is_some());
    let (key, factor) = *given.or(coarser.last())?;
    let value = values.int(key);
    let result = if value < 0 { -1 } else { value.saturating_mul(factor) };
    let source = values.given(key).map_or("default", |assigned| &assigned.source);
    values.show(millis, result, source);
    none_if_negative(result)
}

fn read_cleanup(values: &mut Values<'_>) -> CleanupPolicy {
    let default = CleanupPolicy { delete: true, compact: false };
    let Some(assigned) = values.text("log.cleanup.policy") else { return default };
    CleanupPolicy::parse(&assigned.value, ',').unwrap_or_else(|| {
        let allowed = "delete, compact, or delete,compact";
        values.error(&assigned.source, "log.cleanup.policy", &assigned.value, "it is no policy", allowed);
        default
    })
}

impl CleanupPolicy {
    /// Reads `delete`, `compact`, or both in either order; `None` for anything else.
    pub fn parse(text: &str, separator: char) -> Option<CleanupPolicy> {
        let mut policy = CleanupPolicy { delete: false, compact: false };
        for word in text.split(separator) {
            match word.trim() {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return None,
            }
        }
        Some(policy)
    }
}

/// `create.topics`, which is what KAFKA_CREATE_TOPICS becomes.
fn read_create_topics(values: &mut Values<'_>) -> Vec<TopicToCreate> {
    let key = "create.topics";
    let Some(assigned) = values.text(key) else { return Vec::new() };
    let mut topics: Vec<TopicToCreate> = Vec::new();
    for piece in assigned.value.split([',', ' ', '\n']).filter(|piece| !piece.is_empty()) {
        let problem = match parse_topic(piece) {
            None => format!("\"{piece}\" is no topic"),
            Some(topic) if !is_topic_name(&topic.name) => format!("\"{}\" is no topic's name", topic.name),
            Some(topic) if topics.iter().any(|other| other.name == topic.name) => {
                format!("{} stands twice", topic.name)
            }
            Some(topic) => {
                topics.push(topic);
                continue;
            }
        };
        values.error(&assigned.source, key, &assigned.value, &problem, TOPIC_FORM);
    }
    topics
}

fn parse_topic(text: &str) -> Option<TopicToCreate> {
    let mut parts = text.split(':').map(str::trim);
    let name = parts.next()?.to_owned();
    let partitions = parts.next()?.parse().ok().filter(|count| (1..=10_000).contains(count))?;
    let replication_factor = parts.next()?.parse().ok().filter(|count| (1..=255).contains(count))?;
    let cleanup = match parts.next() {
        Some(policy) => Some(CleanupPolicy::parse(policy, '+')?),
        None => None,
    };
    parts.next().is_none().then_some(TopicToCreate { name, partitions, replication_factor, cleanup })
}

fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= crate::limits::TOPIC_NAME_BYTES_MAX && name.bytes().all(legal)
}

fn check_ports(values: &mut Values<'_>, config: &Config, own: Option<&Member>) {
    let mut doors: Vec<(&str, &Endpoint)> = Vec::new();
    let peers = own.map(|member| {
        (
            Endpoint { host: String::new(), port: member.data_port },
            Endpoint { host: String::new(), port: member.quorum_port },
        )
    });
    doors.extend(config.kafka.listeners.iter().map(|listener| ("listeners", &listener.bind)));
    doors.push(("clientPort", &config.zookeeper.bind));
    doors.extend(config.mqtt.listeners.iter().map(|endpoint| ("mqtt.listeners", endpoint)));
    doors.extend(config.http.iter().map(|endpoint| ("http.listener", endpoint)));
    if let Some((data, quorum)) = &peers {
        doors.push(("this node's server line", data));
        doors.push(("this node's server line", quorum));
    }
    listeners::check_ports(values, &doors);
}
