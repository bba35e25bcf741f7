//! What administrators ask of the tree: other leaders, and quotas written by tools.

use super::builders;
use super::testing::*;
use super::transactions_test::plan;
use super::*;
use crate::coordinator::builders::TopicPlan;
use crate::types::{NodeId, PartitionIndex, SessionId};

/// The preferred replica becomes the leader again when it is alive and in sync, and not otherwise.
#[test]
fn preferred_leader() {
    use builders::{ElectionError, elect_preferred};
    let mut bench = Bench::with_brokers(2);
    let plan = TopicPlan { assignment: vec![vec![NodeId(2), NodeId(1)]], ..plan("t", -1, -1) };
    bench.ok(builders::create_topic(bench.view(), &plan, 100).unwrap());
    let index = PartitionIndex(0);
    assert_eq!(elect_preferred(bench.view(), "u", index), Err(ElectionError::UnknownPartition));
    assert_eq!(elect_preferred(bench.view(), "t", index), Err(ElectionError::NotNeeded));
    bench.ok(Txn { by: By::NODE, body: Body::CloseSession { session: SessionId(102) } });
    let txn = builders::elect_leaders(bench.view(), |_| false).unwrap();
    bench.ok(txn);
    let elected = bench.view().topic("t").unwrap().partitions[0].clone();
    assert_eq!((elected.leader, elected.isr.len()), (Some(NodeId(1)), 2));
    let isr = [NodeId(1)].into_iter().collect();
    let shrunk = builders::NewState { leader: NodeId(1), isr, raises_epoch: false, version: elected.version };
    let txn = builders::alter_partition(bench.view(), "t", index, &shrunk).unwrap();
    bench.ok(txn);
    assert_eq!(elect_preferred(bench.view(), "t", index), Err(ElectionError::NotInSync));
    bench.register(2, 103);
    assert_eq!(elect_preferred(bench.view(), "t", index), Err(ElectionError::NotInSync));
    let partition = bench.view().topic("t").unwrap().partitions[0].clone();
    let data = super::cluster::json::state(Some(NodeId(1)), partition.leader_epoch, &[NodeId(1), NodeId(2)], 1);
    bench.ok(Txn::by_node(set("/brokers/topics/t/partitions/0/state", std::str::from_utf8(&data).unwrap())));
    let txn = elect_preferred(bench.view(), "t", index).unwrap();
    bench.ok(txn.clone());
    let after = bench.view().topic("t").unwrap().partitions[0].clone();
    assert_eq!((after.leader, after.isr.len()), (Some(NodeId(2)), 2));
    assert!(after.leader_epoch > partition.leader_epoch);
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);
}

/// Quotas that tools write are in the view, and a restart sees the same.
#[test]
fn quotas_of_tools() {
    use super::cluster::quotas::QuotaKind;
    let mut bench = Bench::with_brokers(1);
    let quota = r#"{"version":1,"config":{"producer_byte_rate":"1024"}}"#;
    bench.ok(Txn::by_node(create("/config/users/ANONYMOUS", "", CreateMode::Persistent)));
    bench.ok(Txn::by_node(create("/config/users/ANONYMOUS/clients", "", CreateMode::Persistent)));
    bench.ok(Txn::by_node(create("/config/users/ANONYMOUS/clients/a%2Fb", quota, CreateMode::Persistent)));
    bench.ok(Txn::by_node(create("/config/clients/<default>", quota, CreateMode::Persistent)));
    assert!(bench.view().quotas.find(QuotaKind::Produce, "a/b").is_some());
    assert_eq!(bench.view().quotas.len(), 2);
    bench.ok(Txn::by_node(set("/config/clients/<default>", "nonsense")));
    assert!(matches!(bench.changes.cluster[..], [Change::Invalid { .. }]));
    bench.ok(Txn::by_node(delete("/config/users/ANONYMOUS/clients/a%2Fb")));
    assert!(bench.view().quotas.is_empty());
}
