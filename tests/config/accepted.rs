//! The configurations of real walk-throughs start unchanged, and mean what they meant.

use tern::config::{Config, Endpoint};
use tern::types::NodeId;

use super::{fixtures, good, text};

fn kafka(config: &Config) -> Vec<String> {
    let listeners = config.kafka.listeners.iter();
    listeners.map(|listener| format!("{} {} as {}", listener.name, listener.bind, listener.advertised)).collect()
}

/// Without a word, one node on the loopback.
#[test]
fn nothing() {
    let outcome = text("");
    assert_eq!(outcome.warnings, Vec::<String>::new());
    let config = good(outcome);
    assert_eq!(config, Config::default());
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(kafka(&config), ["PLAINTEXT 127.0.0.1:9092 as 127.0.0.1:9092"]);
    assert_eq!(config.zookeeper.bind, Endpoint::new("127.0.0.1", 2181));
    assert_eq!(config.mqtt.listeners, [Endpoint::new("127.0.0.1", 1883)]);
    assert_eq!(config.http, Some(Endpoint::new("127.0.0.1", 8080)));
    assert_eq!(config.mqtt.maps[0].text, "# -> mqtt key={topic}");
    assert_eq!(config.memory.budget_bytes, 64 << 20);
    assert_eq!(config.topics.message_bytes_max, 1_048_588);
    assert_eq!(config.topics.retention_ms, Some(604_800_000));
    assert_eq!((config.topics.flush_messages, config.topics.flush_ms), (1, None));
}

/// Three boards numbered from 0: all interfaces, advertised under the own line's address.
#[test]
fn pi() {
    let outcome = fixtures(&["pi-zoo.cfg", "pi-server.properties"], Some("0\n"));
    assert_eq!(
        outcome.warnings,
        [
            "pi-server.properties line 5: zookeeper.connect is not used: the coordinator runs in this process; \
             server.N lines say who belongs to the ensemble",
            "tern.peer.secret.file is not given: whoever reaches the ports of the server lines can pass for a member; put \
             the same file of random bytes on every member",
        ]
    );
    let config = good(outcome);
    assert_eq!(config.node_id, NodeId(0));
    assert_eq!(kafka(&config), ["PLAINTEXT :9092 as 172.30.1.54:9092"]);
    assert_eq!(config.zookeeper.bind, Endpoint::new("", 2181));
    assert_eq!(config.mqtt.listeners, [Endpoint::new("", 1883)]);
    assert_eq!(config.http, Some(Endpoint::new("", 8080)));
    assert_eq!(config.directories.coordinator.to_str(), Some("/var/lib/zookeeper"));
    assert_eq!(config.directories.topics.to_str(), Some("/var/lib/kafka-logs"));
    assert_eq!((config.topics.partitions, config.groups.offsets_replication_factor), (3, 3));
    assert_eq!(config.zookeeper.connections_per_address_max, Some(60));
    assert_eq!(config.ensemble.len(), 3);
    assert_eq!((config.ensemble[2].data_port, config.ensemble[2].quorum_port), (2888, 3888));
    // The broker's number alone is enough, the file's alone as well.
    assert_eq!(good(fixtures(&["pi-zoo.cfg", "pi-server.properties"], None)).node_id, NodeId(0));
    assert_eq!(good(fixtures(&["pi-zoo.cfg"], Some("2"))).node_id, NodeId(2));
}

/// The ensemble of a book: only the file says who this is.
#[test]
fn book() {
    let config = good(fixtures(&["book-zoo.cfg"], Some(" 3 \n")));
    assert_eq!(config.node_id, NodeId(3));
    assert_eq!(kafka(&config), ["PLAINTEXT :9092 as khg-zk003:9092"]);
    assert_eq!(config.directories.topics.to_str(), Some("/data-topics"));
    assert_eq!((config.zookeeper.init_limit_ticks, config.zookeeper.sync_limit_ticks), (10, 5));
    assert_eq!((config.zookeeper.session_timeout_ms_min, config.zookeeper.session_timeout_ms_max), (4000, 40_000));
}

/// Three nodes on one host: a bare port binds all interfaces, the advertised listener is kept, a request size beyond
/// the budget is lowered.
#[test]
fn one_host() {
    let outcome = fixtures(&["onehost-zookeeper.properties", "onehost-server.properties"], None);
    let lowered = "onehost-server.properties line 12: socket.request.max.bytes=104857600 is more than \
                   memory.budget=64 MiB allows; lowered to ";
    assert_eq!(
        outcome.warnings.iter().filter(|warning| warning.starts_with(lowered)).count(),
        1,
        "{:?}",
        outcome.warnings
    );
    let unused = outcome.warnings.iter().filter(|warning| warning.contains(" is not used: ")).count();
    assert_eq!((unused, outcome.warnings.len()), (7, 8), "{:?}", outcome.warnings);
    let config = good(outcome);
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(kafka(&config), ["PLAINTEXT :9092 as 127.0.0.1:9092"]);
    assert_eq!(config.zookeeper.connections_per_address_max, None);
    assert_eq!(config.kafka.socket_receive_bytes, Some(102_400));
    assert_eq!(config.groups.initial_rebalance_delay_ms, 0);
    assert_eq!(config.ensemble[2].quorum_port, 3890);
    assert_eq!(good(fixtures(&["onehost-server.properties"], None)).node_id, NodeId(1));
}

/// A coordinator's container: identity and members come from variables.
#[test]
fn compose_coordinator() {
    let config = good(fixtures(&["compose-zoo-1.env"], None));
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(config.ensemble.len(), 3);
    assert_eq!(config.ensemble[1].host, "zookeeper2");
    assert_eq!(config.zookeeper.bind, Endpoint::new("", 2181));
    assert_eq!(kafka(&config), ["PLAINTEXT :9092 as zookeeper1:9092"]);
}

/// A broker's container: two listeners, a topic to create, members without numbers.
#[test]
fn compose_broker() {
    let outcome = fixtures(&["compose-kafka-1.env"], None);
    assert_eq!(outcome.warnings.len(), 2, "{:?}", outcome.warnings);
    assert!(
        outcome.warnings[0].starts_with("compose-kafka-1.env line 8 (KAFKA_ZOOKEEPER_CONNECT): zookeeper.connect is")
    );
    let config = good(outcome);
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(kafka(&config), ["INSIDE 0.0.0.0:19092 as kafka1:19092", "OUTSIDE 0.0.0.0:9092 as localhost:9092"]);
    assert_eq!(config.kafka.inter_broker_listener, 0);
    let topic = &config.create_topics[0];
    assert_eq!((topic.name.as_str(), topic.partitions, topic.replication_factor), ("FINANCE-STOCK-TRADING-TEST", 1, 1));
    assert_eq!(config.directories.coordinator.to_str(), Some("/zookeeper/data"));
    assert_eq!(config.directories.topics.to_str(), Some("/kafka/data"));
    let hosts: Vec<_> = config.ensemble.iter().map(|member| format!("{}={}", member.id, member.host)).collect();
    assert_eq!(hosts, ["1=zookeeper1", "2=zookeeper2", "3=zookeeper3"]);
}

/// Time and retention keys: the finer key counts, -1 means never.
#[test]
fn time_keys() {
    let retention = |lines: &str| good(text(lines)).topics.retention_ms;
    assert_eq!(retention("log.retention.hours=2"), Some(7_200_000));
    assert_eq!(retention("log.retention.hours=2\nlog.retention.minutes=3"), Some(180_000));
    assert_eq!(retention("log.retention.minutes=3\nlog.retention.ms=4"), Some(4));
    assert_eq!(retention("log.retention.ms=-1\nlog.retention.hours=2"), None);
    assert_eq!(retention("log.retention.hours=-1"), None);
    assert_eq!(good(text("log.roll.hours=1")).topics.segment_ms, 3_600_000);
    assert_eq!(good(text("log.roll.hours=1\nlog.roll.ms=5")).topics.segment_ms, 5);
    assert_eq!(good(text("log.flush.interval.ms=1000")).topics.flush_ms, Some(1000));
    assert_eq!(good(text("log.flush.interval.messages=9223372036854775807")).topics.flush_messages, i64::MAX as u64);
}

/// Where doors bind and what they tell, in all the ways to say it.
#[test]
fn listeners() {
    for (lines, expected) in [
        ("port=9093", "PLAINTEXT :9093 as board7:9093"),
        ("port=9093\nhost.name=10.0.0.1", "PLAINTEXT 10.0.0.1:9093 as 10.0.0.1:9093"),
        ("port=9093\nadvertised.host.name=a.b\nadvertised.port=1", "PLAINTEXT :9093 as a.b:1"),
        ("clientPort=2181", "PLAINTEXT :9092 as board7:9092"),
        ("clientPort=2181\nclientPortAddress=127.0.0.1", "PLAINTEXT 127.0.0.1:9092 as 127.0.0.1:9092"),
        ("listeners=plaintext://[::1]:1", "PLAINTEXT [::1]:1 as [::1]:1"),
        ("listeners=PLAINTEXT://:0", "PLAINTEXT :0 as board7:0"),
        ("listeners=PLAINTEXT://:1,CONTROLLER://:2\ncontroller.listener.names=CONTROLLER", "PLAINTEXT :1 as board7:1"),
        ("server.7=[2001:db8::7]:2888:3888\nbroker.id=7", "PLAINTEXT :9092 as [2001:db8::7]:9092"),
    ] {
        assert_eq!(kafka(&good(text(lines))), [expected], "{lines}");
    }
    let config = good(text("mqtt.listeners=none\nhttp.listener=none"));
    assert_eq!((config.mqtt.listeners.len(), config.http), (0, None));
    let config = good(text("mqtt.listeners=tcp://:1883,tcp://[::1]:1884\nhttp.listener=:80"));
    assert_eq!(config.mqtt.listeners, [Endpoint::new("", 1883), Endpoint::new("::1", 1884)]);
    assert_eq!(config.http, Some(Endpoint::new("", 80)));
}

/// Mapping rules come in the order of their numbers, with their places.
#[test]
fn map_lines() {
    let config = good(text("mqtt.map.10=# -> rest\nmqtt.map.2=a/+ -> a key={1}"));
    let lines: Vec<_> =
        config.mqtt.maps.iter().map(|line| (line.number, line.text.as_str(), line.source.as_str())).collect();
    assert_eq!(lines, [(2, "a/+ -> a key={1}", "t.properties line 2"), (10, "# -> rest", "t.properties line 1")]);
}

/// What `check-config` prints: every key once, values in force, and who said them.
#[test]
fn settings() {
    let config = good(text(
        "log.retention.hours=2\nlog.dirs=/x\nmqtt.map.3=# -> m\nserver.1=a:1:2\nnode.id=1\nmessage.max.bytes=999999999",
    ));
    let find = |name: &str| {
        let all: Vec<_> = config.settings.iter().filter(|setting| setting.name == name).collect();
        assert_eq!(all.len(), 1, "{name}");
        format!("{} | {}", all[0].value, all[0].source)
    };
    assert_eq!(find("log.retention.ms"), "7200000 | t.properties line 1");
    assert_eq!(find("dataDir"), "/x-coordinator | default");
    assert_eq!(find("mqtt.map.3"), "# -> m | t.properties line 3");
    assert_eq!(find("broker.id"), "1 | t.properties line 5");
    assert_eq!(find("listeners"), "PLAINTEXT://:9092 | default");
    assert_eq!(find("advertised.listeners"), "PLAINTEXT://a:9092 | default");
    assert_eq!(find("memory.budget"), "64 MiB | default");
    assert_eq!(
        find("message.max.bytes"),
        format!("{} | t.properties line 6, lowered by memory.budget", config.topics.message_bytes_max)
    );
}
