//! A coordinator at work, for this room's tests: applies, counts zxids, and checks after each transaction that the view
//! is what a rebuild from the tree gives.

use super::acl::{Acl, Id};
use super::builders;
use super::cluster::Endpoint;
use super::*;
use crate::types::{NodeId, SessionId, Term, Timestamp};

pub(super) struct Bench {
    pub coordinator: Coordinator,
    pub changes: Changes,
    time: i64,
}

pub(super) const LIMITS: TreeLimits = TreeLimits { bytes: 4 << 20, sessions: 100 };

impl Bench {
    pub fn new() -> Bench {
        Bench { coordinator: Coordinator::new(LIMITS, 7), changes: Changes::default(), time: 1_700_000_000_000 }
    }

    /// Formatted, with so many brokers from 1 on, of which the first is the controller.
    pub fn with_brokers(count: i32) -> Bench {
        let mut bench = Bench::new();
        let txn = builders::format_cluster(bench.coordinator.tree(), "abcdefghijklmnopqrstuv");
        bench.ok(txn);
        for id in 1..=count {
            bench.register(id, 100 + id as i64);
        }
        let txn = builders::claim_controller(bench.view(), NodeId(1), SessionId(101), Timestamp(5));
        bench.ok(txn);
        bench
    }

    pub fn register(&mut self, id: i32, session: i64) -> Outcome {
        self.register_at(id, session, None)
    }

    /// A broker says where its logs are.
    pub fn register_in(&mut self, id: i32, session: i64, directory: &str) -> Outcome {
        self.register_at(id, session, Some(directory))
    }

    fn register_at(&mut self, id: i32, session: i64, directory: Option<&str>) -> Outcome {
        let endpoint = Endpoint {
            listener: "PLAINTEXT".to_string(),
            security_protocol: "PLAINTEXT".to_string(),
            host: format!("board{id}"),
            port: 9092,
        };
        let (broker, session) = (NodeId(id), SessionId(session));
        self.ok(builders::register_broker(broker, session, 6000, &[endpoint], None, directory, Timestamp(9)))
    }

    pub fn view(&self) -> &Cluster {
        self.coordinator.cluster()
    }

    /// Applies; `changes` are those of this transaction.
    pub fn apply(&mut self, txn: Txn) -> TxnResult {
        self.time += 1;
        let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
        self.changes = Changes::default();
        let result = self.coordinator.apply(zxid, Timestamp(self.time), &txn.encode(), &mut self.changes);
        assert_eq!(&Cluster::rebuild(self.coordinator.tree(), &mut Vec::new()), self.coordinator.cluster());
        if result.outcome.is_err() {
            assert_eq!(self.changes, Changes::default());
        }
        result
    }

    pub fn ok(&mut self, txn: Txn) -> Outcome {
        self.apply(txn).outcome.unwrap()
    }

    pub fn code(&mut self, txn: Txn) -> ErrorCode {
        self.apply(txn).outcome.unwrap_err().code
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.coordinator.tree().get(path)?.data().map(|data| String::from_utf8(data.to_vec()).unwrap())
    }

    pub fn stat(&self, path: &str) -> Stat {
        self.coordinator.tree().get(path).unwrap().stat()
    }
}

pub(super) fn client(session: i64, ops: Vec<Op>) -> Txn {
    let by = By::Client { session: SessionId(session), ids: vec![Id::new("ip", "127.0.0.1")] };
    let mut ops = ops;
    let body = if ops.len() == 1 { Body::One(ops.remove(0)) } else { Body::Multi(ops) };
    Txn { by, body }
}

pub(super) fn session(id: i64) -> Txn {
    Txn { by: By::NODE, body: Body::CreateSession { session: SessionId(id), timeout_ms: 4000 } }
}

pub(super) fn create(path: &str, data: &str, mode: CreateMode) -> Op {
    Op::Create { path: path.to_string(), data: Some(data.as_bytes().to_vec()), acl: Acl::open(), mode }
}

pub(super) fn set(path: &str, data: &str) -> Op {
    Op::SetData { path: path.to_string(), data: Some(data.as_bytes().to_vec()), version: -1 }
}

pub(super) fn delete(path: &str) -> Op {
    Op::Delete { path: path.to_string(), version: -1 }
}
