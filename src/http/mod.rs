//! The HTTP door: `/status`, `/metrics`, `/health`, and `/commands` of ZooKeeper's admin server, which the ZooKeeper
//! door answers. GET only, one request a connection, no framework.
//!
//! Invariants: a connection holds at most `HEAD_BYTES_MAX` bytes of a request and ends after its reply or ten seconds;
//! a reply is rendered only under a grant for its exact length. Called by the node alone.

mod codec;
mod handlers;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::effect::Effects;
use crate::engine::{Completion, Door, Engine, Protocol, Waiter};
use crate::memory::{Account, Table};
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, Offset, PartitionIndex, Timers};
use codec::{HEAD_BYTES_MAX, Request, Status};
use handlers::Page;
use view::{GroupView, View};

/// How long a client may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 32;

/// What a page may grow between its two renderings.
const GROWTH_BYTES: usize = 1024;

/// All connections of the door.
#[derive(Debug)]
pub struct HttpDoor {
    table: Table,
    responses: Account,
    connections: BTreeMap<ConnId, Connection>,
    deadlines: Timers<ConnId>,
}

/// One socket.
#[derive(Debug, Default)]
struct Connection {
    head: Vec<u8>,
    is_answered: bool,
    /// It waits for a page of the ZooKeeper door.
    is_asking: bool,
}

/// Learns a page's length without keeping it.
#[derive(Default)]
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl HttpDoor {
    /// A door that shows `table` and renders under `responses`.
    pub fn new(table: Table, responses: Account) -> HttpDoor {
        HttpDoor { table, responses, connections: BTreeMap::new(), deadlines: Timers::default() }
    }

    fn answer(&self, now: Now, conn: ConnId, head: &[u8], engine: &Engine, fx: &mut Effects) {
        let partition = |topic: &str, index| engine.partition_view(engine.partition(topic, index)?);
        let groups = |take: &mut dyn FnMut(&GroupView<'_>)| {
            for group in engine.groups().0 {
                let committed = |each: &mut dyn FnMut(&str, PartitionIndex, Offset)| {
                    let of_topics = group.offsets().topics();
                    of_topics.for_each(|(topic, of)| of.iter().for_each(|(index, at)| each(topic, *index, at.offset)));
                };
                take(&GroupView { name: group.name(), members: group.members().len(), committed: &committed });
            }
        };
        let view = View {
            now,
            node_id: engine.node_id(),
            cluster_id: engine.cluster_id(),
            board: engine.board(),
            is_ready: engine.is_ready(),
            cluster: engine.view(),
            table: &self.table,
            partition: &partition,
            groups: &groups,
        };
        match codec::parse(head) {
            Request::Get(path) => {
                METRICS.http.requests.inc();
                self.send_page(conn, &view, &handlers::page(path, &view), fx);
            }
            Request::OtherMethod => send_short(conn, Status::MethodNotAllowed, "only GET is served\n", fx),
            Request::Malformed => send_short(conn, Status::BadRequest, "this is not HTTP/1.1\n", fx),
        }
    }

    fn send_page(&self, conn: ConnId, view: &View<'_>, page: &Page, fx: &mut Effects) {
        let mut length = Length::default();
        let _ = (page.render)(view, &mut length); // neither Length nor String can fail
        // Counters of other threads may grow a digit between the two renderings.
        let Some(grant) = self.responses.take(length.0 + GROWTH_BYTES) else {
            return send_short(conn, Status::Unavailable, "no memory is free for this page now\n", fx);
        };
        let mut body = String::with_capacity(grant.bytes());
        let _ = (page.render)(view, &mut body);
        if body.len() > grant.bytes() {
            return send_short(conn, Status::Unavailable, "the page changed while it was made; ask again\n", fx);
        }
        let mut head = String::new();
        let _ = codec::write_head(&mut head, page.status, page.content, body.len());
        METRICS.http.bytes_out.add((head.len() + body.len()) as u64);
        fx.send_copy(conn, head.as_bytes());
        fx.send(conn, Bytes::from(body), grant);
    }
}

impl HttpDoor {
    /// A page of the ZooKeeper door: JSON, but for the list of commands.
    fn send_command(&self, conn: ConnId, page: Option<Bytes>, fx: &mut Effects) {
        let granted = page.and_then(|page| self.responses.take(page.len()).map(|grant| (page, grant)));
        let Some((body, grant)) = granted else {
            return send_short(conn, Status::Unavailable, "no memory is free for this page now\n", fx);
        };
        let content = if body.starts_with(b"{") { "application/json" } else { "text/html; charset=utf-8" };
        let mut head = String::new();
        let _ = codec::write_head(&mut head, Status::Ok, content, body.len());
        METRICS.http.bytes_out.add((head.len() + body.len()) as u64);
        fx.send_copy(conn, head.as_bytes());
        fx.send(conn, body, grant);
    }
}

fn send_short(conn: ConnId, status: Status, text: &str, fx: &mut Effects) {
    let mut reply = String::new();
    let _ = codec::write_head(&mut reply, status, "text/plain; charset=utf-8", text.len());
    reply.push_str(text);
    METRICS.http.bytes_out.add(reply.len() as u64);
    fx.send_copy(conn, reply.as_bytes());
}

impl Protocol for HttpDoor {
    fn accepted(&mut self, now: Now, conn: ConnId, _listener: u8, _peer: SocketAddr, fx: &mut Effects) {
        if self.connections.len() >= CONNECTIONS_MAX {
            METRICS.http.connections_refused.inc();
            return fx.close(conn);
        }
        METRICS.http.connections.add(1);
        self.connections.insert(conn, Connection::default());
        self.deadlines.set(conn, now.after(PATIENCE));
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], engine: &mut Engine, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(&conn).filter(|connection| !connection.is_answered) else {
            return;
        };
        METRICS.http.bytes_in.add(data.len() as u64);
        connection.head.extend_from_slice(data);
        match codec::head_end(&connection.head) {
            Some(_) => {
                connection.is_answered = true;
                let head = std::mem::take(&mut connection.head);
                if let Some(command) = handlers::command(&head) {
                    connection.is_asking = true;
                    METRICS.http.requests.inc();
                    return engine.ask_monitor(command, Waiter { conn, ..Waiter::door(Door::Http) });
                }
                self.answer(now, conn, &head, engine, fx);
            }
            None if connection.head.len() >= HEAD_BYTES_MAX => {
                connection.is_answered = true;
                METRICS.http.frames_refused.inc();
                send_short(conn, Status::HeadTooLarge, "the request is too long\n", fx);
            }
            None => return,
        }
        fx.close(conn);
    }

    fn read_limit(&self, conn: ConnId) -> usize {
        match self.connections.get(&conn) {
            Some(connection) if !connection.is_answered => HEAD_BYTES_MAX.saturating_sub(connection.head.len()),
            _ => 0,
        }
    }

    fn complete(&mut self, _: Now, waiter: Waiter, completion: Completion, _: &mut Engine, fx: &mut Effects) {
        let Completion::MonitorAnswered(page) = completion else { return };
        let is_asking = |connection: &mut Connection| std::mem::replace(&mut connection.is_asking, false);
        if self.connections.get_mut(&waiter.conn).is_some_and(is_asking) {
            self.send_command(waiter.conn, page, fx);
            fx.close(waiter.conn);
        }
    }

    fn drained(&mut self, _: Now, _: ConnId, _: &mut Engine, _: &mut Effects) {}

    fn closed(&mut self, _now: Now, conn: ConnId, _engine: &mut Engine, _fx: &mut Effects) {
        if self.connections.remove(&conn).is_some() {
            METRICS.http.connections.add(-1);
            self.deadlines.cancel(conn);
        }
    }

    fn turn_end(&mut self, _: Now, _: &mut Engine, _: &mut Effects) {}

    fn on_time(&mut self, now: Now, _engine: &mut Engine, fx: &mut Effects) {
        while let Some(conn) = self.deadlines.expired(now.mono) {
            fx.close(conn);
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next()
    }
}

#[cfg(test)]
mod tests {
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
        let broker = Broker {
            endpoints: vec![endpoint],
            rack: None,
            epoch: Zxid(1),
            session: SessionId(1),
            feature_level_max: 1,
        };
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
}
