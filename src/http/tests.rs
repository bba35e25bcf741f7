//! The door as a client sees it: what each page says, within which bounds, and what garbage gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::effect::Effect;
use crate::engine::cluster::{Broker, Controller, Endpoint, Topic};
use crate::engine::{Cluster, PartitionState, PartitionView};
use crate::limits::GROUP_SERIES_BYTES_MAX;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, SessionId, TopicId, Zxid};

fn cluster() -> Cluster {
    let ids = |list: &[i32]| list.iter().map(|&id| NodeId(id)).collect();
    let partition = PartitionState {
        replicas: ids(&[1, 2]),
        leader: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(3),
        isr: ids(&[1]),
        version: 0,
        controller_epoch: 1,
        ..PartitionState::default()
    };
    let name: Arc<str> = "sensors".into();
    let topic = Topic {
        name: name.clone(),
        id: TopicId::ZERO,
        partitions: vec![partition],
        config: BTreeMap::new(),
        version: 0,
    };
    let endpoint = Endpoint {
        listener: "PLAINTEXT".into(),
        security_protocol: "PLAINTEXT".into(),
        host: "board1".into(),
        port: 9092,
    };
    let broker =
        Broker { endpoints: vec![endpoint], rack: None, epoch: Zxid(1), session: SessionId(1), feature_level_max: 1 };
    Cluster {
        brokers: BTreeMap::from([(NodeId(1), broker)]),
        topics: BTreeMap::from([(name, topic)]),
        controller: Some(Controller { broker: NodeId(1), session: SessionId(1) }),
        ..Cluster::default()
    }
}

fn rendered(path: &str) -> String {
    rendered_with(path, 2)
}

/// A page of a node that coordinates one group, which has committed in so many partitions.
fn rendered_with(path: &str, committed_partitions: i32) -> String {
    let (table, _) = Table::new(&Config::default()).unwrap();
    let partition = |topic: &str, index: PartitionIndex| {
        Some(PartitionView {
            topic: topic.into(),
            topic_id: TopicId::ZERO,
            index,
            leader_epoch: LeaderEpoch(3),
            log_start_offset: Offset(5),
            high_watermark: Offset(42),
            log_end_offset: Offset(43),
            message_bytes_max: 1 << 20,
            size_bytes: 1000,
            is_served: true,
        })
    };
    let cluster = cluster();
    let view = View {
        now: Now::default(),
        node_id: NodeId(1),
        board: "a board",
        cluster_id: "quo\"te",
        is_ready: true,
        cluster: &cluster,
        table: &table,
        partition: &partition,
        groups: &|take| {
            let committed = |each: &mut dyn FnMut(&str, PartitionIndex, Offset)| {
                each("gone", PartitionIndex(0), Offset(7));
                for index in 0..committed_partitions {
                    each("sensors", PartitionIndex(index), Offset(40 + index as i64));
                }
            };
            take(&GroupView { name: "read\"ers", members: 2, committed: &committed });
        },
    };
    let page = handlers::page(path, &view);
    let mut out = String::new();
    (page.render)(&view, &mut out).unwrap();
    out
}

/// Names and labels that dashboards of kafka_exporter ask for.
#[test]
fn metrics_names() {
    let page = rendered("/metrics");
    for line in [
        "kafka_brokers 1",
        "kafka_broker_info{address=\"board1:9092\",id=\"1\"} 1",
        "kafka_topic_partitions{topic=\"sensors\"} 1",
        "kafka_topic_partition_current_offset{partition=\"0\",topic=\"sensors\"} 42",
        "kafka_topic_partition_oldest_offset{partition=\"0\",topic=\"sensors\"} 5",
        "kafka_topic_partition_in_sync_replica{partition=\"0\",topic=\"sensors\"} 1",
        "kafka_topic_partition_leader_is_preferred{partition=\"0\",topic=\"sensors\"} 1",
        "kafka_topic_partition_under_replicated_partition{partition=\"0\",topic=\"sensors\"} 1",
        "tern_memory_budget_bytes 67108864",
        "kafka_consumergroup_members{consumergroup=\"read\\\"ers\"} 2",
        "kafka_consumergroup_current_offset{consumergroup=\"read\\\"ers\",partition=\"0\",topic=\"sensors\"} 40",
        "kafka_consumergroup_current_offset_sum{consumergroup=\"read\\\"ers\",topic=\"sensors\"} 81",
        "kafka_consumergroup_lag{consumergroup=\"read\\\"ers\",partition=\"1\",topic=\"sensors\"} 1",
        "kafka_consumergroup_lag_sum{consumergroup=\"read\\\"ers\",topic=\"sensors\"} 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

/// However much is committed, the page has room for a bounded part of it, and says how many rows it left out.
#[test]
fn group_rows_are_bounded() {
    let committed = 5000;
    let page = rendered_with("/metrics", committed);
    let rows = |series: &str| {
        let rows = page.lines().filter(|line| line.starts_with(series));
        rows.fold((0, 0), |(count, bytes), line| (count + 1, bytes + line.len() + 1))
    };
    let mut left_out = 2 * committed as usize;
    for series in ["kafka_consumergroup_current_offset{", "kafka_consumergroup_lag{"] {
        let (count, bytes) = rows(series);
        assert!((GROUP_SERIES_BYTES_MAX..GROUP_SERIES_BYTES_MAX + 200).contains(&bytes), "{series}: {bytes}");
        left_out -= count;
    }
    assert_eq!(rows("kafka_consumergroup_lag_sum{").0, 1);
    assert!(page.lines().any(|line| line == format!("tern_group_rows_left_out {left_out}")), "{left_out}");
}

/// Every line is a comment or `name{labels} number`, and each name has its type once, before its values.
#[test]
fn metrics_format() {
    let page = rendered("/metrics");
    let mut typed: Vec<&str> = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(!typed.contains(&name), "{name} twice");
            typed.push(name);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with(typed.last().unwrap()), "{line} under {:?}", typed.last());
        }
    }
}

/// The status page is JSON and says the essential.
#[test]
fn status_is_json() {
    let page: serde_json::Value = serde_json::from_str(&rendered("/status")).unwrap();
    assert_eq!(page["id"], 1);
    assert_eq!(page["role"], "leader");
    assert_eq!(page["cluster_id"], "quo\"te");
    assert_eq!(page["partitions"]["under_replicated"], 1);
    assert_eq!(page["topics"][0]["records"], 37);
    assert_eq!(page["memory"]["budget_bytes"], 64 << 20);
    assert!(page["memory"]["table"].as_array().unwrap().iter().any(|line| line["used_bytes"] == 0));
    assert_eq!(page["brokers"][0]["listeners"][0], "PLAINTEXT://board1:9092");
}

struct Fixture {
    door: HttpDoor,
    engine: Engine,
    fx: Effects,
    responses: Account,
}

const NOW: Now = Now { mono: Instant(0), wall: crate::types::Timestamp(0) };

impl Fixture {
    fn new() -> Fixture {
        let config = Config::default();
        let (table, accounts) = Table::new(&config).unwrap();
        let engine = Engine::new(Arc::new(config), &accounts, crate::types::Timestamp(0), 1);
        let responses = accounts.responses.clone();
        let door = HttpDoor::new(table, accounts.responses);
        Fixture { door, engine, fx: Effects::default(), responses }
    }

    fn accept(&mut self, index: u32) -> ConnId {
        let conn = ConnId { index, generation: 0 };
        self.door.accepted(NOW, conn, 0, "127.0.0.1:1".parse().unwrap(), &mut self.fx);
        conn
    }

    /// Sends bytes; what the door answered, and whether it closed.
    fn send(&mut self, conn: ConnId, data: &[u8]) -> (String, bool) {
        self.door.bytes(NOW, conn, data, &mut self.engine, &mut self.fx);
        let (mut text, mut closed) = (String::new(), false);
        for effect in self.fx.take() {
            match effect {
                Effect::Send { bytes, .. } => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Effect::SendCopied { range, .. } => {
                    text.push_str(std::str::from_utf8(self.fx.copied(range)).unwrap());
                }
                Effect::Close { .. } => closed = true,
                other => panic!("{other:?}"),
            }
        }
        (text, closed)
    }
}

/// One answer for each kind of request, of the length it promises, then a close; a head may come byte by byte.
#[test]
fn answers() {
    for (request, status) in [
        ("GET /health HTTP/1.1\r\n\r\n", "503 Service Unavailable"),
        ("GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("GET /metrics?a=b HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.0\n\n", "200 OK"),
        ("GET /nothing HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /status HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("\x16\x03\x01\r\n\r\n", "400 Bad Request"),
    ] {
        let mut fixture = Fixture::new();
        let conn = fixture.accept(0);
        let bytes = request.as_bytes();
        for byte in &bytes[..bytes.len() - 1] {
            assert_eq!(fixture.send(conn, &[*byte]), (String::new(), false));
        }
        let (reply, closed) = fixture.send(conn, &bytes[bytes.len() - 1..]);
        assert!(closed && reply.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?} {reply}");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert_eq!(fixture.door.read_limit(conn), 0);
        assert_eq!(fixture.send(conn, b"GET / HTTP/1.1\r\n\r\n"), (String::new(), false));
    }
}

/// A head without end is refused at its bound, and a page waits for no memory.
#[test]
fn bounds() {
    let mut fixture = Fixture::new();
    let conn = fixture.accept(0);
    let (reply, closed) = fixture.send(conn, &[b'a'; HEAD_BYTES_MAX]);
    assert!(closed && reply.starts_with("HTTP/1.1 431 "), "{reply}");
    let conn = fixture.accept(1);
    let _everything = fixture.responses.take(fixture.responses.limit_bytes()).unwrap();
    let (reply, closed) = fixture.send(conn, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(closed && reply.starts_with("HTTP/1.1 503 "), "{reply}");
}

/// Connections are bounded in number and in time.
#[test]
fn many_and_silent() {
    let mut fixture = Fixture::new();
    let all: Vec<ConnId> = (0..CONNECTIONS_MAX as u32 + 1).map(|index| fixture.accept(index)).collect();
    let closes = |fx: &mut Effects| fx.take().iter().filter(|e| matches!(e, Effect::Close { .. })).count();
    assert_eq!(closes(&mut fixture.fx), 1);
    assert_eq!((fixture.door.read_limit(all[0]), fixture.door.read_limit(all[32])), (HEAD_BYTES_MAX, 0));
    let deadline = fixture.door.next_deadline().unwrap();
    assert_eq!(deadline, NOW.after(PATIENCE));
    fixture.door.on_time(Now { mono: deadline, ..NOW }, &mut fixture.engine, &mut fixture.fx);
    assert_eq!(closes(&mut fixture.fx), CONNECTIONS_MAX);
    for conn in all {
        fixture.door.closed(NOW, conn, &mut fixture.engine, &mut fixture.fx);
    }
    assert_eq!(fixture.door.next_deadline(), None);
}

/// Bytes that nobody would send: an answer or patience, never more than a head's worth of memory.
#[test]
fn garbage() {
    let mut rng = crate::types::Rng::new(5);
    let mut fixture = Fixture::new();
    for _ in 0..2000 {
        let conn = fixture.accept(0);
        let mut data = vec![0; rng.below(200) as usize];
        rng.fill(&mut data);
        if rng.one_in(2) {
            data.extend_from_slice(b"\r\n\r\n");
        }
        let (reply, closed) = fixture.send(conn, &data);
        assert_eq!(reply.is_empty(), !closed);
        fixture.door.closed(NOW, conn, &mut fixture.engine, &mut fixture.fx);
    }
}
