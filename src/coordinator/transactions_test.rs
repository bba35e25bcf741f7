//! What each transaction does that the model cannot know: the numbers that ZooKeeper's clients see, what belongs to
//! brokers, and what a node's own transactions are made of.

use super::acl::{self, Acl, Id};
use super::builders::{self, TopicError, TopicPlan};
use super::cluster::ConfigMap;
use super::testing::*;
use super::*;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId, Term, TopicId};

pub(super) fn plan(name: &str, partitions: i32, replication: i16) -> TopicPlan<'_> {
    let id = TopicId([name.len() as u8; 16]);
    TopicPlan { name, id, partitions, replication, assignment: Vec::new(), config: Default::default() }
}

/// A new tree is ZooKeeper's: three znodes that were never created, so that cversion starts below zero.
#[test]
fn a_new_tree() {
    let bench = Bench::new();
    let stat = bench.stat("/");
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (-1, 1, Zxid(0)));
    assert_eq!((bench.stat("/zookeeper").cversion, bench.stat("/zookeeper/config").aversion), (-2, -1));
    assert_eq!(bench.coordinator.tree().get("/zookeeper/config").unwrap().acl(), Acl::readable());
    assert_eq!(bench.coordinator.tree().get("/").unwrap().data(), Some(&[][..]));
    assert!(bench.coordinator.tree().get("").is_some());
}

/// Sequence numbers count creations only, plain ones too; cversion counts both, and deletions do not move the former.
#[test]
fn sequence_numbers() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    bench.ok(client(1, vec![create("/p", "", CreateMode::Persistent)]));
    bench.ok(client(1, vec![create("/p/plain", "", CreateMode::Persistent)]));
    bench.ok(client(1, vec![delete("/p/plain")]));
    let result = bench.ok(client(1, vec![create("/p/n-", "", CreateMode::PersistentSequential)]));
    let Outcome::One(OpResult::Created { path, .. }) = result else { panic!("{result:?}") };
    assert_eq!(path, "/p/n-0000000001");
    let result = bench.ok(client(1, vec![create("/p/", "", CreateMode::EphemeralSequential)]));
    let Outcome::One(OpResult::Created { path, stat }) = result else { panic!("{result:?}") };
    assert_eq!((path.as_str(), stat.ephemeral_owner), ("/p/0000000002", SessionId(1)));
    assert_eq!(bench.stat("/p").cversion, 2 * 3 - 2);
}

/// The order of checks decides which error is seen.
#[test]
fn order_of_errors() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    let persistent = CreateMode::Persistent;
    bench.ok(client(1, vec![create("/e", "", CreateMode::Ephemeral)]));
    for (op, code) in [
        (create("/x//y", "", persistent), ErrorCode::NoNode),
        (create("//y", "", persistent), ErrorCode::BadArguments),
        (create("nothing", "", persistent), ErrorCode::BadArguments),
        (create("/y/", "", persistent), ErrorCode::NoNode),
        (create("/e/", "", persistent), ErrorCode::BadArguments),
        (create("/", "", persistent), ErrorCode::NodeExists),
        (create("/e", "", persistent), ErrorCode::NodeExists),
        (create("/e/c", "", persistent), ErrorCode::NoChildrenForEphemerals),
        (create("/t", "", CreateMode::Ttl { ttl_ms: 0 }), ErrorCode::BadArguments),
        (create("/t", "", CreateMode::Ttl { ttl_ms: 1 << 40 }), ErrorCode::BadArguments),
        (delete("/"), ErrorCode::BadArguments),
        (delete("/zookeeper/quota"), ErrorCode::BadArguments),
        (delete("/zookeeper"), ErrorCode::BadArguments),
        (delete("/nope"), ErrorCode::NoNode),
        (set("bad", ""), ErrorCode::BadArguments),
    ] {
        assert_eq!(bench.code(client(1, vec![op.clone()])), code, "{op:?}");
    }
    assert_eq!(bench.code(client(2, vec![delete("/e")])), ErrorCode::SessionExpired);
}

/// A multi shares one zxid, sees itself, and leaves nothing behind when it fails, sequence numbers included.
#[test]
fn multi() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    let before = bench.coordinator.last_zxid();
    let failed = bench.apply(client(
        1,
        vec![
            create("/a", "1", CreateMode::Persistent),
            create("/a/n", "2", CreateMode::PersistentSequential),
            set("/a", "3"),
            delete("/a"),
            create("/z", "", CreateMode::Persistent),
        ],
    ));
    assert_eq!(failed.outcome, Err(TxnError { failed_op: 3, code: ErrorCode::NotEmpty }));
    assert_eq!(failed.zxid.0, before.0 + 1);
    assert!(bench.coordinator.tree().get("/a").is_none());
    assert_eq!(bench.stat("/").cversion, -1);
    let result = bench.ok(client(1, vec![create("/a", "", CreateMode::Persistent), set("/a", "4")]));
    let Outcome::Multi(results) = result else { panic!("{result:?}") };
    let OpResult::Stat(stat) = results[1] else { panic!("{results:?}") };
    assert_eq!((stat.czxid, stat.mzxid, stat.version), (bench.coordinator.last_zxid(), stat.czxid, 1));
    assert_eq!(bench.ok(client(1, vec![])), Outcome::Multi(vec![]));
}

/// Containers go when they have had children and have none; TTL znodes when they were left alone long enough.
#[test]
fn containers_and_ttl() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    let sweep = |path: &str| Txn::by_node(Op::DeleteContainer { path: path.to_string() });
    bench.ok(client(1, vec![create("/c", "", CreateMode::Container), create("/p", "", CreateMode::Persistent)]));
    bench.ok(client(1, vec![create("/t", "", CreateMode::Ttl { ttl_ms: 3 })]));
    assert_eq!(bench.stat("/c").ephemeral_owner, SessionId(0));
    assert_eq!(bench.coordinator.tree().sweepable().count(), 2);
    assert_eq!(bench.coordinator.tree().ephemeral_count(), 0);
    for path in ["/c", "/p", "/t"] {
        assert_eq!(bench.code(sweep(path)), ErrorCode::BadVersion); // each takes a millisecond
    }
    bench.ok(client(1, vec![create("/c/x", "", CreateMode::Persistent)]));
    assert_eq!(bench.code(sweep("/c")), ErrorCode::NotEmpty);
    bench.ok(client(1, vec![delete("/c/x")]));
    bench.ok(sweep("/c"));
    bench.ok(sweep("/t"));
    assert_eq!(bench.coordinator.tree().sweepable().count(), 0);
}

/// What only brokers may write is refused to every client, whatever the ACL says.
#[test]
fn broker_znodes_are_protected() {
    let mut bench = Bench::with_brokers(1);
    let txn = builders::create_topic(bench.view(), &plan("t", 1, 1), 100).unwrap();
    bench.ok(txn);
    bench.ok(session(1));
    for op in [
        create("/brokers/ids/7", "{}", CreateMode::Ephemeral),
        delete("/brokers/ids/1"),
        set("/controller", "{}"),
        delete("/controller"),
        set("/controller_epoch", "9"),
        set("/brokers/topics/t/partitions/0/state", "{}"),
        delete("/brokers/topics/t/partitions/0/state"),
        Op::SetAcl { path: "/controller".to_string(), acl: Acl::open(), version: -1 },
    ] {
        assert_eq!(bench.code(client(1, vec![op.clone()])), ErrorCode::NoAuth, "{op:?}");
    }
    assert_eq!(bench.code(client(1, vec![delete("/brokers/topics/t")])), ErrorCode::NotEmpty);
}

/// Permissions hold for clients and not for the node; `auth` becomes who sets it.
#[test]
fn permissions() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    let mine = Id::new("digest", "me:hash");
    let own = Op::Create {
        path: "/own".to_string(),
        data: None,
        acl: vec![Acl { perms: acl::ALL, id: Id::new("auth", "") }],
        mode: CreateMode::Persistent,
    };
    let by_me = |op: Op| Txn { by: By::Client { session: SessionId(1), ids: vec![mine.clone()] }, body: Body::One(op) };
    bench.ok(by_me(own));
    assert_eq!(bench.coordinator.tree().get("/own").unwrap().acl(), [Acl { perms: acl::ALL, id: mine.clone() }]);
    assert_eq!(bench.code(client(1, vec![set("/own", "x")])), ErrorCode::NoAuth);
    assert_eq!(bench.code(client(1, vec![create("/own/c", "", CreateMode::Persistent)])), ErrorCode::NoAuth);
    bench.ok(by_me(set("/own", "x")));
    bench.ok(Txn::by_node(set("/own", "y")));
    bench.ok(client(1, vec![delete("/own")])); // the parent's permission
}

/// The account refuses clients first, then brokers; reads, deletions and smaller data go on.
#[test]
fn a_full_tree() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    let big = "x".repeat(10_000);
    let mut count = 0;
    let refused = loop {
        let result = bench.apply(client(1, vec![create(&format!("/n{count}"), &big, CreateMode::Persistent)]));
        match result.outcome {
            Ok(_) => count += 1,
            Err(error) => break error.code,
        }
    };
    assert_eq!(refused, ErrorCode::TreeFull);
    assert!(count * 10_150 > LIMITS.bytes * 9 / 10 && bench.coordinator.tree().used_bytes() < LIMITS.bytes);
    let larger = "x".repeat(20_000);
    assert_eq!(bench.code(client(1, vec![set("/n0", &larger)])), ErrorCode::TreeFull);
    bench.ok(Txn::by_node(create("/ours", &big, CreateMode::Persistent)));
    bench.ok(client(1, vec![set("/n0", "small")]));
    bench.ok(client(1, vec![delete("/n1")]));
    bench.ok(client(1, vec![create("/again", "", CreateMode::Persistent)]));
}

/// Closing a session takes its ephemerals in the same zxid and moves their parents' marks.
#[test]
fn sessions_end() {
    let mut bench = Bench::new();
    bench.ok(session(1));
    bench.ok(client(1, vec![create("/p", "", CreateMode::Persistent)]));
    bench.ok(client(1, vec![create("/p/e", "", CreateMode::Ephemeral), create("/e", "", CreateMode::Ephemeral)]));
    let close = Txn { by: By::NODE, body: Body::CloseSession { session: SessionId(1) } };
    assert_eq!(bench.ok(close.clone()), Outcome::SessionClosed { ephemerals: 2 });
    assert_eq!(bench.changes.nodes.len(), 2);
    assert_eq!(bench.stat("/p").pzxid, bench.coordinator.last_zxid());
    assert_eq!(bench.stat("/p").num_children, 0);
    assert_eq!(bench.code(close), ErrorCode::SessionExpired);
    for id in [0, i64::MIN, -1, 0xff00_0000_0000_0001_u64 as i64] {
        assert_eq!(bench.code(session(id)), ErrorCode::BadArguments);
    }
}

/// The zxid counts within the term and begins anew with each; nothing overflows into the term.
#[test]
fn zxids() {
    let mut bench = Bench::new();
    let empty = || Txn { by: By::NODE, body: Body::Multi(vec![]) }.encode();
    let mut apply = |zxid| bench.coordinator.apply(zxid, Timestamp(0), &empty(), &mut Changes::default()).zxid;
    assert_eq!(apply(Zxid::new(Term(1), 1)), Zxid(0x1_0000_0001));
    assert_eq!(bench.coordinator.next_zxid(Term(1)), Some(Zxid(0x1_0000_0002)));
    assert_eq!(bench.coordinator.next_zxid(Term(3)), Some(Zxid(0x3_0000_0001)));
    bench.coordinator.apply(Zxid::new(Term(3), u32::MAX), Timestamp(0), &empty(), &mut Changes::default());
    assert_eq!(bench.coordinator.next_zxid(Term(3)), None);
    assert_eq!(bench.coordinator.next_zxid(Term(4)), Some(Zxid(0x4_0000_0001)));
}

/// Creating, growing and deleting a topic leaves in the tree what Kafka would, and tells the broker once each.
#[test]
fn a_topics_life() {
    let mut bench = Bench::with_brokers(3);
    let mut wanted = plan("example_topic", 3, 2);
    wanted.config.insert("retention.ms".to_string(), "60000".to_string());
    let txn = builders::create_topic(bench.view(), &wanted, 100).unwrap();
    bench.ok(txn.clone());
    let name: std::sync::Arc<str> = "example_topic".into();
    assert_eq!(bench.changes.cluster, [Change::TopicCreated { name: name.clone(), id: wanted.id }]);
    assert_eq!(
        bench.text("/brokers/topics/example_topic").unwrap(),
        r#"{"partitions":{"0":[1,2],"1":[3,1],"2":[2,3]},"topic_id":"DQ0NDQ0NDQ0NDQ0NDQ0NDQ","adding_replicas":{},"removing_replicas":{},"version":3}"#
    );
    assert_eq!(
        bench.text("/brokers/topics/example_topic/partitions/1/state").unwrap(),
        r#"{"controller_epoch":1,"leader":3,"version":1,"leader_epoch":0,"isr":[3,1]}"#
    );
    assert_eq!(
        bench.text("/config/topics/example_topic").unwrap(),
        r#"{"version":1,"config":{"retention.ms":"60000"}}"#
    );
    assert_eq!(bench.code(txn), ErrorCode::NodeExists);
    assert_eq!(builders::create_topic(bench.view(), &wanted, 100), Err(TopicError::AlreadyExists));
    assert_eq!(bench.view().topic_by_id(wanted.id).unwrap().config, wanted.config);

    let txn = builders::create_partitions(bench.view(), "example_topic", 5, &[], 100).unwrap();
    bench.ok(txn.clone());
    assert_eq!(bench.changes.cluster, [Change::PartitionsChanged { name: name.clone() }]);
    let fifth = bench.view().partition("example_topic", PartitionIndex(4)).unwrap();
    assert_eq!((fifth.replicas.len(), fifth.leader, fifth.leader_epoch), (2, Some(fifth.replicas[0]), LeaderEpoch(0)));
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);

    let txn = builders::request_deletion(bench.view(), "example_topic").unwrap();
    bench.ok(txn);
    assert_eq!(bench.changes.cluster, [Change::DeletionRequested { name: name.clone() }]);
    let txn = builders::delete_topic(bench.view(), bench.coordinator.tree(), "example_topic").unwrap();
    bench.ok(txn);
    assert_eq!(bench.changes.cluster, [Change::TopicDeleted { name, id: wanted.id }]);
    for gone in ["/brokers/topics/example_topic", "/config/topics/example_topic", "/admin/delete_topics/example_topic"]
    {
        assert!(bench.coordinator.tree().get(gone).is_none(), "{gone}");
    }
    assert!(bench.view().deleting.is_empty() && bench.view().topic_configs.is_empty());
}

/// What cannot be created says why, in Kafka's words for it.
#[test]
fn topics_that_cannot_be() {
    let mut bench = Bench::with_brokers(2);
    bench.ok(builders::create_topic(bench.view(), &plan("a.b", 2, 1), 100).unwrap());
    let refused = |bench: &Bench, plan: TopicPlan<'_>| builders::create_topic(bench.view(), &plan, 10).unwrap_err();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "ä", &long, "a_b"] {
        assert!(matches!(refused(&bench, plan(name, 1, 1)), TopicError::InvalidName(_)), "{name:?}");
    }
    for partitions in [0, -1, 1001, i32::MAX] {
        assert!(matches!(refused(&bench, plan("t", partitions, 1)), TopicError::InvalidPartitions(_)));
    }
    for replication in [0, -1, 3, 8, i16::MAX] {
        assert!(matches!(refused(&bench, plan("t", 1, replication)), TopicError::InvalidReplicationFactor(_)));
    }
    assert!(matches!(refused(&bench, plan("t", 9, 1)), TopicError::TooMany(_)));
    let ids = |ids: &[i32]| ids.iter().map(|&id| NodeId(id)).collect::<Vec<_>>();
    for assignment in [vec![ids(&[9])], vec![ids(&[1, 1])], vec![ids(&[])], vec![ids(&[1]), ids(&[1, 2])]] {
        let plan = TopicPlan { assignment, ..plan("t", -1, -1) };
        assert!(matches!(refused(&bench, plan), TopicError::InvalidAssignment(_)));
    }
    let view = bench.view();
    assert!(matches!(builders::create_partitions(view, "a.b", 2, &[], 10), Err(TopicError::InvalidPartitions(_))));
    assert_eq!(builders::create_partitions(view, "none", 2, &[], 10), Err(TopicError::UnknownTopic));
    assert_eq!(builders::delete_topic(view, bench.coordinator.tree(), "none"), Err(TopicError::UnknownTopic));
}

/// A topic that an old tool wrote gets an id and its states in one transaction, and keeps the id when such a tool later
/// writes without it.
#[test]
fn topics_of_old_tools() {
    let mut bench = Bench::with_brokers(1);
    bench.ok(session(1));
    let path = "/brokers/topics/old";
    bench.ok(client(1, vec![create(path, r#"{"version":1,"partitions":{"0":[1],"1":[1]}}"#, CreateMode::Persistent)]));
    let name: std::sync::Arc<str> = "old".into();
    assert_eq!(bench.changes.cluster, [Change::TopicIncoming { name: name.clone() }]);
    let id = TopicId([5; 16]);
    let txn = builders::complete_topic(bench.view(), bench.coordinator.tree(), "old", id).unwrap();
    bench.ok(txn);
    assert_eq!(bench.changes.cluster, [Change::TopicCreated { name: name.clone(), id }]);
    assert_eq!(bench.view().topic("old").unwrap().partitions[1].leader, Some(NodeId(1)));
    assert!(builders::complete_topic(bench.view(), bench.coordinator.tree(), "old", id).is_none());

    bench.ok(client(1, vec![set(path, r#"{"version":1,"partitions":{"0":[1],"1":[1],"2":[1]}}"#)]));
    assert_eq!(
        bench.changes.cluster,
        [Change::PartitionsChanged { name: name.clone() }, Change::TopicIncoming { name }]
    );
    let txn = builders::complete_topic(bench.view(), bench.coordinator.tree(), "old", TopicId([6; 16])).unwrap();
    bench.ok(txn);
    assert_eq!((bench.view().topic("old").unwrap().id, bench.view().topic("old").unwrap().lacks_states()), (id, false));
}

/// A client's typing error stays a znode and is reported, but never ends what exists.
#[test]
fn invalid_json() {
    let mut bench = Bench::with_brokers(1);
    bench.ok(builders::create_topic(bench.view(), &plan("t", 1, 1), 100).unwrap());
    bench.ok(session(1));
    for (path, data) in [
        ("/brokers/topics/bad", "not json"),
        ("/brokers/topics/bad2", r#"{"partitions":{"1":[1]}}"#),
        ("/brokers/topics/b d", r#"{"partitions":{"0":[1]}}"#),
        ("/brokers/topics/bad3", r#"{"partitions":{"0":[1,2,3,4,5,6,7,8]}}"#),
        ("/config/topics/bad", "[]"),
    ] {
        bench.ok(client(1, vec![create(path, data, CreateMode::Persistent)]));
        assert!(matches!(&bench.changes.cluster[..], [Change::Invalid { path: at, .. }] if at == path), "{path}");
        assert_eq!(bench.text(path).as_deref(), Some(data));
    }
    assert_eq!((bench.view().topics.len(), bench.view().incoming.len()), (1, 0));
    for (path, data) in
        [("/brokers/topics/t", "not json"), ("/brokers/topics/t", r#"{"partitions":{}}"#), ("/config/topics/t", "{}")]
    {
        assert_eq!(bench.code(client(1, vec![set(path, data)])), ErrorCode::BadArguments, "{path} {data}");
    }
    let twice = r#"{"partitions":{"0":[1],"1":[1]}}"#;
    bench.ok(client(1, vec![set("/brokers/topics/t", twice)]));
    let before = bench.text("/brokers/topics/t").unwrap();
    let fewer = r#"{"partitions":{"0":[1]}}"#;
    assert_eq!(bench.code(client(1, vec![set("/brokers/topics/t", fewer)])), ErrorCode::BadArguments);
    let elsewhere = r#"{"partitions":{"0":[9],"1":[9]},"removing_replicas":{"0":[1]}}"#;
    bench.ok(client(1, vec![set("/brokers/topics/t", elsewhere)]));
    assert_eq!(bench.text("/brokers/topics/t").unwrap(), before);
    let other = TopicId([9; 16]);
    let stolen = format!(r#"{{"partitions":{{"0":[1],"1":[1]}},"topic_id":"{other}"}}"#);
    bench.ok(client(1, vec![set("/brokers/topics/t", &stolen)]));
    assert!(bench.view().topic("t").is_some() && bench.view().topic_by_id(other).is_none());
}

/// A broker's next life ends the one before, with everything it held, and raises the epochs of what it led.
#[test]
fn a_broker_registers_again() {
    let mut bench = Bench::with_brokers(2);
    bench.ok(builders::create_topic(bench.view(), &plan("t", 2, 2), 100).unwrap());
    let led = bench.view().topic("t").unwrap().partitions.iter().position(|p| p.leader == Some(NodeId(1))).unwrap();
    let Outcome::BrokerRegistered { epoch, raised, .. } = bench.register(1, 201) else { panic!() };
    assert_eq!(epoch, bench.coordinator.last_zxid());
    assert_eq!(raised, [("t".to_string(), PartitionIndex(led as i32), LeaderEpoch(1))]);
    assert_eq!(bench.view().controller, None);
    assert_eq!(bench.view().brokers[&NodeId(1)].session, SessionId(201));
    assert!(bench.coordinator.sessions().get(SessionId(101)).is_none());
    let other = &bench.view().topic("t").unwrap().partitions[1 - led];
    assert_eq!((other.leader, other.leader_epoch), (Some(NodeId(2)), LeaderEpoch(0)));

    let txn = builders::claim_controller(bench.view(), NodeId(2), SessionId(102), Timestamp(1));
    bench.ok(txn);
    let controller = bench.view().controller.unwrap();
    assert_eq!((controller.broker, bench.view().controller_epoch), (NodeId(2), 2));
    let txn = builders::claim_controller(bench.view(), NodeId(1), SessionId(201), Timestamp(1));
    bench.ok(txn);
    assert_eq!(
        bench.text("/controller").unwrap(),
        r#"{"version":2,"brokerid":1,"timestamp":"1","kraftControllerEpoch":-1}"#
    );
}

/// A broker that comes back with other directories is in sync nowhere: another in sync leads, and where there is none
/// nobody does. With the same directories it stays what it was.
#[test]
fn a_broker_loses_its_logs() {
    let mut bench = Bench::with_brokers(2);
    bench.register_in(1, 201, "first");
    bench.register_in(2, 202, "other");
    bench.ok(builders::create_topic(bench.view(), &plan("both", 2, 2), 100).unwrap());
    bench.ok(builders::create_topic(bench.view(), &plan("single", 2, 1), 100).unwrap());
    let before = bench.view().topics.clone();
    let Outcome::BrokerRegistered { lost, .. } = bench.register_in(2, 302, "other") else { panic!() };
    assert_eq!(lost, []);
    for (name, topic) in &before {
        for (old, new) in topic.partitions.iter().zip(&bench.view().topics[name].partitions) {
            assert_eq!((&old.isr, old.leader), (&new.isr, new.leader));
        }
    }
    let Outcome::BrokerRegistered { raised, lost, .. } = bench.register_in(1, 301, "second") else { panic!() };
    let led = before["single"].partitions.iter().position(|p| p.leader == Some(NodeId(1))).unwrap();
    assert_eq!(lost, [("single".to_string(), PartitionIndex(led as i32))]);
    assert_eq!(raised.len(), 2);
    let none = &bench.view().topic("single").unwrap().partitions[led];
    assert_eq!((none.isr.len(), none.leader), (0, None));
    assert!(bench.view().topic("both").unwrap().partitions.iter().all(|p| p.isr[..] == [NodeId(2)]));
    let txn = builders::elect_leaders(bench.view(), |_| false).unwrap();
    bench.ok(txn);
    assert!(bench.view().topic("both").unwrap().partitions.iter().all(|p| p.leader == Some(NodeId(2))));
    assert_eq!(builders::elect_leaders(bench.view(), |_| false), None);
    assert_eq!(bench.text("/brokers/directories/1").unwrap(), "second");
}

/// When a broker is gone its partitions get leaders from the ISR, conditionally on what was seen.
#[test]
fn leaders_are_elected() {
    let mut bench = Bench::with_brokers(2);
    bench.ok(builders::create_topic(bench.view(), &plan("t", 2, 2), 100).unwrap());
    assert_eq!(builders::elect_leaders(bench.view(), |_| false), None);
    bench.ok(Txn { by: By::NODE, body: Body::CloseSession { session: SessionId(102) } });
    assert!(bench.changes.cluster.contains(&Change::BrokersChanged));
    let txn = builders::elect_leaders(bench.view(), |_| false).unwrap();
    bench.ok(txn.clone());
    assert!(bench.view().topic("t").unwrap().partitions.iter().all(|p| p.leader == Some(NodeId(1))));
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);
    assert_eq!(builders::elect_leaders(bench.view(), |_| false), None);
}

/// Blocks of producer ids follow each other, and two who ask at once do not get the same.
#[test]
fn producer_ids() {
    let mut bench = Bench::with_brokers(1);
    let (first, txn) = builders::next_producer_ids(bench.view(), NodeId(1)).unwrap();
    bench.ok(txn.clone());
    assert_eq!(bench.view().producer_ids, Some(first));
    assert_eq!((first.start, first.end), (0, 999));
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);
    let (second, txn) = builders::next_producer_ids(bench.view(), NodeId(1)).unwrap();
    bench.ok(txn);
    assert_eq!((second.start, second.end), (1000, 1999));
}

/// Formatting again adds only what is missing, and the cluster keeps its id.
#[test]
fn formatting() {
    let mut bench = Bench::with_brokers(1);
    assert!(builders::is_formatted(bench.coordinator.tree()));
    bench.ok(Txn::by_node(delete("/consumers")));
    assert!(!builders::is_formatted(bench.coordinator.tree()));
    let txn = builders::format_cluster(bench.coordinator.tree(), "another");
    bench.ok(txn);
    assert_eq!(bench.view().cluster_id.as_deref(), Some("abcdefghijklmnopqrstuv"));
    let config = [("a".to_string(), "b".to_string())].into();
    let alter = |bench: &Bench, config: &ConfigMap| {
        let owner = Some("/brokers/topics/t".to_string());
        builders::alter_config(bench.coordinator.tree(), "/config/topics/t".into(), owner, config)
    };
    let too_early = alter(&bench, &config);
    assert_eq!(bench.code(too_early), ErrorCode::NoNode);
    bench.ok(builders::create_topic(bench.view(), &plan("t", 1, 1), 100).unwrap());
    let (first, second) = (alter(&bench, &config), alter(&bench, &ConfigMap::new()));
    bench.ok(first);
    assert_eq!(bench.changes.cluster, [Change::TopicConfigChanged { name: "t".into() }]);
    assert_eq!(bench.view().topic("t").unwrap().config, config);
    assert_eq!(bench.code(second), ErrorCode::BadVersion);
}

/// Limits are counted below their path, hard ones bind clients, and nothing of it shows in a Stat or survives a failure.
#[test]
fn quotas() {
    let mut bench = Bench::new();
    let persistent = CreateMode::Persistent;
    bench.ok(session(1));
    bench.ok(client(1, vec![create("/q", "abc", persistent), create("/q/a", "12345", persistent)]));
    for path in ["/zookeeper/quota/q", "/zookeeper/quota/q/zookeeper_stats"] {
        bench.ok(client(1, vec![create(path, "", persistent)]));
    }
    let stats = "/zookeeper/quota/q/zookeeper_stats";
    assert_eq!(bench.text(stats).unwrap(), "count=2,bytes=8");
    let limits = "count=1,bytes=-1;countHardLimit=4;byteHardLimit=12";
    bench.ok(client(1, vec![create("/zookeeper/quota/q/zookeeper_limits", limits, persistent)]));
    bench.ok(client(1, vec![create("/q/b", "", persistent), create("/q/b/c", "1", CreateMode::Ephemeral)]));
    assert_eq!(bench.text(stats).unwrap(), "count=4,bytes=9");
    assert_eq!(bench.code(client(1, vec![create("/q/d", "", persistent)])), ErrorCode::QuotaExceeded);
    assert_eq!(bench.code(client(1, vec![set("/q", "12345678")])), ErrorCode::QuotaExceeded);
    let version = bench.stat(stats);
    bench.ok(client(1, vec![set("/q", "123456")]));
    assert_eq!((bench.text(stats).unwrap().as_str(), bench.stat(stats).version), ("count=4,bytes=12", version.version));
    // A transaction that fails counts nothing; one that makes room first fits.
    let failing = vec![delete("/q/a"), create("/q/e", "", persistent), create("/q/f", "", persistent)];
    assert_eq!(bench.code(client(1, failing)), ErrorCode::QuotaExceeded);
    assert_eq!(bench.text(stats).unwrap(), "count=4,bytes=12");
    bench.ok(client(1, vec![delete("/q/a"), create("/q/e", "", persistent)]));
    assert_eq!(bench.text(stats).unwrap(), "count=4,bytes=7");
    bench.ok(Txn { by: By::NODE, body: Body::CloseSession { session: SessionId(1) } });
    assert_eq!(bench.text(stats).unwrap(), "count=3,bytes=6");
    bench.ok(session(2));
    // The nearest limits are the ones that count, and without limits nothing does.
    for path in
        ["/zookeeper/quota/q/b", "/zookeeper/quota/q/b/zookeeper_limits", "/zookeeper/quota/q/b/zookeeper_stats"]
    {
        bench.ok(client(2, vec![create(path, "countHardLimit=2", persistent)]));
    }
    bench.ok(client(2, vec![create("/q/b/x", "", persistent)]));
    assert_eq!(bench.code(client(2, vec![create("/q/b/y", "", persistent)])), ErrorCode::QuotaExceeded);
    assert_eq!(bench.text(stats).unwrap(), "count=3,bytes=6");
    bench.ok(client(2, vec![delete("/zookeeper/quota/q/b/zookeeper_limits")]));
    bench.ok(client(2, vec![create("/q/b/y", "", persistent)]));
    assert_eq!(bench.text(stats).unwrap(), "count=4,bytes=6");
}
