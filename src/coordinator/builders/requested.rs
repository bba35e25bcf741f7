//! What operators and tools of the ZooKeeper era ask by writing a znode, and the controller does and then takes away:
//! `/admin/reassign_partitions` and `/admin/preferred_replica_election`.
//!
//! A request to move partitions stays until the last of them has arrived, as in Kafka: its tools take the znode for the
//! word that a move is under way. What cannot be done (a partition that is not there, a broker that nobody knows, text
//! that is no request) is taken out of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::controller::elect_preferred_op;
use super::reassign::{self, Move};
use super::set_data;
use crate::coordinator::cluster::{Cluster, json};
use crate::coordinator::tree::Tree;
use crate::coordinator::txn::{Body, By, Op, Txn};
use crate::types::{NodeId, PartitionIndex};

/// Where a request to move partitions stands.
pub const MOVES_PATH: &str = "/admin/reassign_partitions";

/// Where a request for preferred leaders stands.
pub const ELECTION_PATH: &str = "/admin/preferred_replica_election";

/// Elections of one transaction; more take several.
const ELECTIONS_AT_ONCE: usize = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Requested<T> {
    #[serde(default)]
    version: i32,
    partitions: Vec<T>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct MoveJson {
    topic: String,
    partition: i32,
    replicas: Vec<i32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ElectionJson {
    topic: String,
    partition: i32,
}

/// The next step of what was asked for; `None` when nothing is asked for, or all that is runs.
pub fn requested(cluster: &Cluster, tree: &Tree) -> Option<Txn> {
    elections(cluster, tree).or_else(|| moves(cluster, tree))
}

/// What takes these partitions of a topic out of a request to move them, because somebody has said something newer.
pub fn forget_requested(tree: &Tree, topic: &str, wishes: &[Move]) -> Option<Op> {
    let (mut request, version) = read::<MoveJson>(tree, MOVES_PATH)?;
    let before = request.partitions.len();
    let is_newer =
        |asked: &MoveJson| &*asked.topic == topic && wishes.iter().any(|wish| wish.index.0 == asked.partition);
    request.partitions.retain(|asked| !is_newer(asked));
    (request.partitions.len() < before).then(|| rewritten(MOVES_PATH, &request, version))
}

fn moves(cluster: &Cluster, tree: &Tree) -> Option<Txn> {
    let (mut request, version) = read::<MoveJson>(tree, MOVES_PATH)?;
    let before = request.partitions.len();
    let (mut topic, mut wishes): (Option<String>, Vec<Move>) = (None, Vec::new());
    let mut seen = BTreeSet::new();
    request.partitions.retain(|asked| {
        if !seen.insert((asked.topic.clone(), asked.partition)) {
            return false; // two words on one partition would move it to and fro for ever
        }
        let target: Vec<NodeId> = asked.replicas.iter().map(|&id| NodeId(id)).collect();
        let wish = Move { index: PartitionIndex(asked.partition), target: Some(target.clone()) };
        let Some(state) = cluster.partition(&asked.topic, wish.index) else { return false };
        if reassign::target_of(state)[..] == target[..] {
            return reassign::is_moving(state); // it stays until it has arrived
        }
        let is_sound = reassign::check_move(cluster, &asked.topic, &wish, false).is_ok();
        if is_sound && topic.get_or_insert_with(|| asked.topic.clone()) == &asked.topic {
            wishes.push(wish);
        }
        is_sound
    });
    let mut ops = Vec::new();
    if let Some(Txn { body: Body::Multi(begun), .. }) =
        topic.and_then(|topic| reassign::move_replicas(cluster, &topic, &wishes))
    {
        ops = begun;
    }
    if request.partitions.len() < before || request.partitions.is_empty() {
        ops.push(rewritten(MOVES_PATH, &request, version));
    }
    (!ops.is_empty()).then_some(Txn { by: By::NODE, body: Body::Multi(ops) })
}

fn elections(cluster: &Cluster, tree: &Tree) -> Option<Txn> {
    let (mut request, version) = read::<ElectionJson>(tree, ELECTION_PATH)?;
    request.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    request.partitions.dedup_by(|a, b| (&a.topic, a.partition) == (&b.topic, b.partition));
    let later = request.partitions.split_off(request.partitions.len().min(ELECTIONS_AT_ONCE));
    let now = request.partitions.iter();
    let elected =
        now.filter_map(|asked| elect_preferred_op(cluster, &asked.topic, PartitionIndex(asked.partition)).ok());
    let mut ops: Vec<Op> = elected.collect();
    ops.push(rewritten(ELECTION_PATH, &Requested { version: 1, partitions: later }, version));
    Some(Txn { by: By::NODE, body: Body::Multi(ops) })
}

/// The request at `path` and the version of its znode; an empty one when it cannot be understood.
fn read<T: for<'a> Deserialize<'a>>(tree: &Tree, path: &str) -> Option<(Requested<T>, i32)> {
    let znode = tree.get(path)?;
    let request = json::read(znode.data()).unwrap_or(Requested { version: 1, partitions: Vec::new() });
    Some((request, znode.stat().version))
}

fn rewritten<T: Serialize>(path: &str, request: &Requested<T>, version: i32) -> Op {
    match request.partitions.is_empty() {
        true => Op::Delete { path: path.to_string(), version },
        false => set_data(path.to_string(), json::write(request), version),
    }
}
