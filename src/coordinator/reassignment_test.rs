//! Moving replicas through the tree: begun, redirected, cancelled, completed, by request and by znode.

use super::builders::{self, Move, MoveError, TopicPlan};
use super::cluster::json;
use super::testing::*;
use super::transactions_test::plan;
use super::*;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId};

const STATE: &str = "/brokers/topics/t/partitions/0/state";

fn ids(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().map(|&id| NodeId(id)).collect()
}

/// Five brokers; `t` has one partition, on these.
fn bench(replicas: &[i32]) -> Bench {
    let mut bench = Bench::with_brokers(5);
    let plan = TopicPlan { assignment: vec![ids(replicas)], ..plan("t", -1, -1) };
    bench.ok(builders::create_topic(bench.view(), &plan, 100).unwrap());
    bench
}

fn to(target: &[i32]) -> Move {
    Move { index: PartitionIndex(0), target: Some(ids(target)) }
}

const CANCEL: Move = Move { index: PartitionIndex(0), target: None };

impl Bench {
    fn move_to(&mut self, wish: Move) -> Result<Option<Txn>, MoveError> {
        builders::check_move(self.view(), "t", &wish, false)?;
        let txn = builders::move_replicas(self.view(), "t", &[wish]);
        txn.iter().for_each(|txn| drop(self.ok(txn.clone())));
        Ok(txn)
    }

    fn complete(&mut self) -> bool {
        let txn = builders::complete_moves(self.view());
        txn.into_iter().map(|txn| self.ok(txn)).count() > 0
    }

    fn state(&self) -> PartitionState {
        self.view().topic("t").unwrap().partitions[0].clone()
    }

    /// Replicas, adding, removing, ISR and leader, in digits.
    fn shown(&self) -> String {
        let state = self.state();
        let list = |ids: &[NodeId]| ids.iter().map(|id| id.to_string()).collect::<String>();
        let leader = state.leader.map_or(-1, |id| id.0);
        format!(
            "{}+{}-{} {} {leader}",
            list(&state.replicas),
            list(&state.adding),
            list(&state.removing),
            list(&state.isr)
        )
    }

    fn in_sync(&mut self, leader: i32, isr: &[i32]) {
        let epoch = self.state().leader_epoch;
        let data = json::state(Some(NodeId(leader)), epoch, &ids(isr), 1);
        self.ok(Txn::by_node(set(STATE, std::str::from_utf8(&data).unwrap())));
    }

    fn is_away(&mut self, id: i32) {
        self.is_gone(id, 100 + i64::from(id));
    }

    /// A broker's session ends.
    fn is_gone(&mut self, id: i32, session: i64) {
        assert!(self.view().brokers.contains_key(&NodeId(id)));
        self.ok(Txn { by: By::NODE, body: Body::CloseSession { session: SessionId(session) } });
    }
}

/// New replicas come first, then they are in sync, then the old ones go, the leader with them; each step of JSON is Kafka's.
#[test]
fn begun_and_completed() {
    let mut bench = bench(&[1, 2, 3]);
    bench.move_to(to(&[4, 2, 5])).unwrap();
    assert_eq!(bench.shown(), "42513+45-13 123 1");
    let text = bench.text("/brokers/topics/t").unwrap();
    assert!(text.contains(r#""adding_replicas":{"0":[4,5]},"removing_replicas":{"0":[1,3]},"version":3"#), "{text}");
    assert!(!bench.complete());
    bench.in_sync(1, &[1, 2, 3, 4]);
    assert!(!bench.complete(), "5 is not in sync");
    bench.in_sync(1, &[1, 2, 3, 4, 5]);
    let txn = builders::complete_moves(bench.view()).unwrap();
    assert!(bench.complete());
    assert_eq!(bench.shown(), "425+- 245 4");
    assert_eq!(bench.state().leader_epoch, LeaderEpoch(1));
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);
    assert!(!bench.complete());
}

/// A target that leaves the ISR between the look and the transaction keeps the move from being completed.
#[test]
fn completion_is_conditional() {
    let mut bench = bench(&[1, 2]);
    bench.move_to(to(&[1, 2, 3])).unwrap();
    bench.in_sync(1, &[1, 2, 3]);
    let txn = builders::complete_moves(bench.view()).unwrap();
    bench.in_sync(1, &[1, 2]);
    assert_eq!(bench.code(txn), ErrorCode::BadVersion);
    assert!(!bench.complete());
}

/// Replicas that only go, or only change places, need no copying; a leader that stays has a new epoch once another has gone:
/// what that one still says, until it learns of it and deletes its log, must not count.
#[test]
fn without_copying() {
    let mut bench = bench(&[1, 2, 3]);
    bench.move_to(to(&[2, 3, 1])).unwrap();
    assert_eq!(bench.shown(), "231+- 123 1");
    bench.move_to(to(&[2, 1])).unwrap();
    assert_eq!(bench.shown(), "213+-3 123 1");
    assert!(bench.complete());
    assert_eq!((bench.shown(), bench.state().leader_epoch), ("21+- 12 1".to_string(), LeaderEpoch(1)));
    assert_eq!(bench.move_to(to(&[2, 1])), Ok(None));
}

/// A move is cancelled or redirected at any time: what was added leaves the ISR, a leader among it is replaced.
#[test]
fn cancelled_and_redirected() {
    let mut bench = bench(&[1, 2]);
    assert_eq!(bench.move_to(CANCEL), Err(MoveError::NotMoving));
    bench.move_to(to(&[3, 4])).unwrap();
    bench.in_sync(3, &[1, 2, 3]);
    bench.move_to(to(&[4, 5])).unwrap();
    assert_eq!((bench.shown(), bench.state().leader_epoch), ("4512+45-12 12 1".to_string(), LeaderEpoch(1)));
    bench.in_sync(4, &[1, 4]);
    bench.move_to(CANCEL).unwrap();
    assert_eq!((bench.shown(), bench.state().leader_epoch), ("12+- 1 1".to_string(), LeaderEpoch(2)));
}

/// What would leave nobody in sync to lead is refused, or waits.
#[test]
fn nobody_in_sync() {
    let mut bench = bench(&[1, 2]);
    bench.move_to(to(&[3])).unwrap();
    bench.in_sync(3, &[3]);
    assert!(matches!(bench.move_to(CANCEL), Err(MoveError::InvalidAssignment(_))));
    bench.is_away(3);
    assert!(bench.complete(), "the dead leader stays what it was");
    assert_eq!(bench.shown(), "3+- 3 3");
    let mut bench = self::bench(&[1, 2]);
    bench.move_to(to(&[2])).unwrap();
    bench.is_away(2);
    assert!(!bench.complete(), "leader 1 would go and 2 is away");
}

/// Nonsense is refused with a sentence.
#[test]
fn refused() {
    let bench = bench(&[1, 2, 3]);
    let check = |wish: Move, keeps_count| builders::check_move(bench.view(), "t", &wish, keeps_count);
    for target in [&[][..], &[1, 1], &[1, 9], &[1, -1], &[1, 2, 3, 4, 5, 1, 2, 3]] {
        assert!(matches!(check(to(target), false), Err(MoveError::InvalidAssignment(_))), "{target:?}");
    }
    assert!(matches!(check(to(&[1, 2]), true), Err(MoveError::CountChanges(_))));
    assert_eq!(check(to(&[1, 2, 4]), true), Ok(()));
    for index in [-1, 1] {
        let wish = Move { index: PartitionIndex(index), ..to(&[1]) };
        assert_eq!(check(wish, false), Err(MoveError::UnknownPartition));
    }
}

/// A tool's znode is done step by step and goes when the last partition has arrived; what cannot be done is taken out.
#[test]
fn moves_by_znode() {
    let mut bench = bench(&[1, 2]);
    let request = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,3],"log_dirs":["any","any"]},
        {"topic":"t","partition":0,"replicas":[4]},{"topic":"t","partition":7,"replicas":[1]},
        {"topic":"gone","partition":0,"replicas":[1]}]}"#;
    bench.ok(session(7));
    bench.ok(client(7, vec![create(builders::MOVES_PATH, request, CreateMode::Persistent)]));
    let step = |bench: &mut Bench| {
        let txn = builders::requested(bench.view(), bench.coordinator.tree());
        txn.into_iter().map(|txn| bench.ok(txn)).count()
    };
    assert_eq!(step(&mut bench), 1);
    assert_eq!(bench.shown(), "132+3-2 12 1");
    assert_eq!(
        bench.text(builders::MOVES_PATH).unwrap(),
        r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,3]}]}"#
    );
    assert_eq!(step(&mut bench), 0);
    bench.in_sync(1, &[1, 2, 3]);
    assert!(bench.complete());
    assert_eq!(step(&mut bench), 1);
    assert!(bench.coordinator.tree().get(builders::MOVES_PATH).is_none());
    bench.ok(client(7, vec![create(builders::MOVES_PATH, "nonsense", CreateMode::Persistent)]));
    assert_eq!((step(&mut bench), step(&mut bench)), (1, 0));
}

/// What is cancelled by request is not begun again by an older znode.
#[test]
fn newer_word_counts() {
    let mut bench = bench(&[1, 2]);
    let request = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,3]}]}"#;
    bench.ok(Txn::by_node(create(builders::MOVES_PATH, request, CreateMode::Persistent)));
    let txn = builders::requested(bench.view(), bench.coordinator.tree()).unwrap();
    bench.ok(txn);
    let op = builders::forget_requested(bench.coordinator.tree(), "t", &[CANCEL]).unwrap();
    bench.ok(Txn::by_node(op));
    assert!(builders::requested(bench.view(), bench.coordinator.tree()).is_none());
    assert!(builders::forget_requested(bench.coordinator.tree(), "t", &[CANCEL]).is_none());
}

/// A tool's znode for preferred leaders is done where it can be, and goes.
#[test]
fn elections_by_znode() {
    let mut bench = bench(&[1, 2]);
    bench.in_sync(2, &[1, 2]);
    let request = r#"{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"t","partition":0},{"topic":"u","partition":0}]}"#;
    bench.ok(Txn::by_node(create(builders::ELECTION_PATH, request, CreateMode::Persistent)));
    let txn = builders::requested(bench.view(), bench.coordinator.tree()).unwrap();
    bench.ok(txn);
    assert_eq!(bench.state().leader, Some(NodeId(1)));
    assert!(bench.coordinator.tree().get(builders::ELECTION_PATH).is_none());
}

/// A replica out of sync leads only where that is allowed or asked for, and is alone in sync then; one that is only being
/// added never does.
#[test]
fn unclean_election() {
    use builders::{ElectionError, elect_leaders, elect_unclean};
    let mut bench = bench(&[1, 2]);
    let index = PartitionIndex(0);
    bench.in_sync(1, &[1]);
    bench.move_to(to(&[3, 1, 2])).unwrap();
    assert_eq!(elect_unclean(bench.view(), "t", index), Err(ElectionError::NotNeeded));
    bench.is_away(1);
    assert_eq!(elect_leaders(bench.view(), |_| false), None);
    let txn = elect_leaders(bench.view(), |topic| &*topic.name == "t").unwrap();
    let Body::Multi(ops) = txn.body else { panic!() };
    assert_eq!(elect_unclean(bench.view(), "t", index), Ok(Txn::by_node(ops[0].clone())));
    bench.ok(Txn::by_node(ops[0].clone()));
    assert_eq!((bench.shown(), bench.state().leader_epoch), ("312+3- 2 2".to_string(), LeaderEpoch(1)));
    bench.is_away(2);
    assert_eq!(elect_unclean(bench.view(), "t", index), Err(ElectionError::NobodyAlive));
}

/// A replica that came back with an empty disk is not elected while another may have records, unless somebody asks and
/// nobody else lives; once it has been in sync it is as good as any, and before all members know of such a note there is none.
#[test]
fn unclean_election_of_an_emptied_replica() {
    use builders::{ElectionError, elect_leaders, elect_unclean};
    let mut bench = bench(&[1, 2, 3]);
    let index = PartitionIndex(0);
    let text = |bench: &Bench| bench.text(STATE).unwrap();
    (1..=3).for_each(|id| drop(bench.register_in(id, 200 + i64::from(id), "first")));
    bench.in_sync(3, &[3, 1]);
    bench.is_gone(2, 202);
    bench.register_in(1, 301, "second");
    assert_eq!((bench.shown(), bench.state().emptied.to_vec()), ("123+- 3 3".to_string(), ids(&[1])));
    assert!(text(&bench).ends_with(r#""isr":[3],"emptied":[1]}"#), "{}", text(&bench));
    bench.is_gone(3, 203);

    assert_eq!(elect_leaders(bench.view(), |_| true), None, "2 may have records");
    assert!(elect_unclean(bench.view(), "t", index).is_ok(), "somebody asked");
    bench.register(2, 402);
    let txn = elect_leaders(bench.view(), |_| true).unwrap();
    bench.ok(txn);
    assert_eq!((bench.shown(), bench.state().emptied.to_vec()), ("123+- 2 2".to_string(), ids(&[1])));
    let copied = builders::NewState {
        leader: NodeId(2),
        isr: [NodeId(2), NodeId(1)].into_iter().collect(),
        raises_epoch: false,
        version: bench.state().version,
    };
    bench.ok(builders::alter_partition(bench.view(), "t", index, &copied).unwrap());
    assert!(text(&bench).ends_with(r#""isr":[2,1]}"#), "{}", text(&bench));

    bench.ok(Txn::by_node(set(features::PATH, &String::from_utf8(json::features(features::RECONFIG)).unwrap())));
    bench.register_in(1, 501, "third");
    assert_eq!((bench.shown(), bench.state().emptied.to_vec()), ("123+- 2 2".to_string(), ids(&[])));
    bench.is_gone(2, 402);
    bench.is_gone(1, 501);
    assert_eq!(elect_unclean(bench.view(), "t", index), Err(ElectionError::NobodyAlive));
}
