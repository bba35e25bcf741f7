//! Moving replicas (KIP-455), in transactions on the topic's znode and the states of its partitions.
//!
//! ```text
//! replicas = target ++ (origin - target)    adding = target - origin    removing = origin - target
//!
//! settled at the origin --begin--> moving --all of the target in the ISR: complete--> settled at the target
//!                                  |    ^
//!                                  |    +--begin again: another target, the same origin
//!                                  +--cancel--> settled at the origin
//! ```
//!
//! Whatever `/brokers/topics/T` says is where a move stands, so that any controller goes on with it: there is no other
//! state. A board copies because it is a replica, and deletes because it is none any more.
//!
//! Invariants: no step makes a replica the leader that is not in sync, nor leaves an ISR empty: a move that would waits,
//! or is refused. A leader that goes is replaced in the same transaction. Where a replica goes the leader epoch rises: it
//! deletes what it has once it learns of that, perhaps after it was made a replica again, so that nothing it says before
//! may count after. Each transaction asks for the versions that it was made for.

use std::collections::BTreeMap;

use super::set_data;
use crate::coordinator::cluster::{Cluster, PartitionState, Replicas, Topic, assignment_of, json};
use crate::coordinator::txn::{Body, By, Op, Txn};
use crate::types::{LeaderEpoch, NodeId, PartitionIndex};

/// What is wanted of one partition: these replicas, the preferred leader first, or (`None`) those that it had before the
/// move that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub index: PartitionIndex,
    /// Where to.
    pub target: Option<Vec<NodeId>>,
}

/// Why a partition is not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveError {
    /// Client: there is no such partition.
    UnknownPartition,
    /// Client: nothing that could be cancelled is under way.
    NotMoving,
    /// Client: the sentence says what is wrong with the replicas.
    InvalidAssignment(String),
    /// Client: their number changes, which was not to be.
    CountChanges(String),
}

/// An assignment, and how far it is from being settled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    replicas: Replicas,
    adding: Replicas,
    removing: Replicas,
}

/// The replicas before the move that is under way.
pub fn origin_of(state: &PartitionState) -> Replicas {
    without(&state.replicas, &state.adding)
}

/// The replicas after the move that is under way.
pub fn target_of(state: &PartitionState) -> Replicas {
    without(&state.replicas, &state.removing)
}

/// True while replicas are added or removed.
pub fn is_moving(state: &PartitionState) -> bool {
    !state.adding.is_empty() || !state.removing.is_empty()
}

/// Says what is wrong with a wish. `keeps_count`: the number of replicas must stay.
pub fn check_move(cluster: &Cluster, topic: &str, wish: &Move, keeps_count: bool) -> Result<(), MoveError> {
    let state = cluster.partition(topic, wish.index).ok_or(MoveError::UnknownPartition)?;
    let placed = placed(cluster, state, wish)?;
    let (before, after) = (origin_of(state).len(), placed.replicas.len() - placed.removing.len());
    if keeps_count && before != after {
        let sentence = format!("the partition has {before} replicas and would have {after}");
        return Err(MoveError::CountChanges(sentence));
    }
    settled(cluster, state, &placed).map(|_| ())
}

/// Begins, redirects or cancels moves within one topic; wishes that `check_move` refuses are left out. `None` when nothing
/// is left, or all is so already.
pub fn move_replicas(cluster: &Cluster, topic: &str, wishes: &[Move]) -> Option<Txn> {
    let topic = cluster.topic(topic)?;
    let mut changed = BTreeMap::new();
    for wish in wishes {
        let Some(state) = usize::try_from(wish.index.0).ok().and_then(|index| topic.partitions.get(index)) else {
            continue;
        };
        let placed = placed(cluster, state, wish).ok().filter(|placed| *placed != Placed::of(state));
        if let Some(placed) = placed
            && settled(cluster, state, &placed).is_ok()
        {
            changed.insert(wish.index, placed);
        }
    }
    place(cluster, topic, &changed)
}

/// Ends the moves of one topic whose targets are in sync; `None` when there is none. Call again after it was applied.
pub fn complete_moves(cluster: &Cluster) -> Option<Txn> {
    let moving = cluster.topics.values().filter(|topic| topic.partitions.iter().any(is_moving));
    for topic in moving {
        let mut changed = BTreeMap::new();
        for (index, state) in topic.partitions.iter().enumerate().filter(|(_, state)| is_moving(state)) {
            let target = target_of(state);
            let placed = Placed { replicas: target.clone(), adding: Replicas::new(), removing: Replicas::new() };
            let is_in_sync = target.iter().all(|id| state.isr.contains(id));
            if state.version >= 0 && is_in_sync && settled(cluster, state, &placed).is_ok() {
                changed.insert(PartitionIndex(index as i32), placed);
            }
        }
        if let Some(txn) = place(cluster, topic, &changed) {
            return Some(txn);
        }
    }
    None
}

impl Placed {
    fn of(state: &PartitionState) -> Placed {
        Placed { replicas: state.replicas.clone(), adding: state.adding.clone(), removing: state.removing.clone() }
    }
}

/// What the topic's znode shall say of a partition.
fn placed(cluster: &Cluster, state: &PartitionState, wish: &Move) -> Result<Placed, MoveError> {
    let origin = origin_of(state);
    let Some(target) = &wish.target else {
        let settled = Placed { replicas: origin, adding: Replicas::new(), removing: Replicas::new() };
        return if is_moving(state) { Ok(settled) } else { Err(MoveError::NotMoving) };
    };
    let wrong = |sentence: String| Err(MoveError::InvalidAssignment(sentence));
    let boards = cluster.boards();
    let mut replicas = Replicas::new();
    for id in target {
        if !boards.contains(id) {
            return wrong(format!("broker {id} is neither registered nor a member of the ensemble"));
        }
        if replicas.contains(id) {
            return wrong(format!("broker {id} is named twice"));
        }
        if replicas.push(*id).is_err() {
            return wrong(format!("a partition has at most {} replicas", Replicas::new().capacity()));
        }
    }
    if replicas.is_empty() {
        return wrong("a partition has at least one replica".to_string());
    }
    let (adding, removing) = (without(&replicas, &origin), without(&origin, &replicas));
    match replicas.extend_from_slice(&removing) {
        Ok(()) => Ok(Placed { replicas, adding, removing }),
        Err(_) => wrong(format!(
            "with those that it leaves, the partition would have more than {} replicas for a while: move it in two steps",
            replicas.capacity()
        )),
    }
}

/// Leader and ISR among the replicas of `placed`.
fn settled(
    cluster: &Cluster,
    state: &PartitionState,
    placed: &Placed,
) -> Result<(Option<NodeId>, Replicas), MoveError> {
    let isr: Replicas = state.isr.iter().filter(|id| placed.replicas.contains(id)).copied().collect();
    let stays = state.leader.is_none_or(|leader| isr.contains(&leader));
    if stays && (!isr.is_empty() || state.isr.is_empty()) {
        return Ok((state.leader, isr));
    }
    let is_ready = |id: &&NodeId| isr.contains(id) && cluster.brokers.contains_key(id);
    match placed.replicas.iter().find(is_ready) {
        Some(&leader) => Ok((Some(leader), isr)),
        None => Err(MoveError::InvalidAssignment(
            "none of the remaining replicas is alive and in sync, so that none of them could lead".to_string(),
        )),
    }
}

/// The transaction on the topic and on the states that change with it.
fn place(cluster: &Cluster, topic: &Topic, changed: &BTreeMap<PartitionIndex, Placed>) -> Option<Txn> {
    if changed.is_empty() {
        return None;
    }
    let mut after = topic.clone();
    let base = format!("/brokers/topics/{}", topic.name);
    let mut states = Vec::new();
    for (index, placed) in changed {
        let state = after.partitions.get_mut(usize::try_from(index.0).ok()?)?;
        let path = format!("{base}/partitions/{}/state", index.0);
        let (leader, isr) = settled(cluster, state, placed).ok()?;
        let somebody_goes = state.replicas.iter().any(|id| !placed.replicas.contains(id));
        if state.version >= 0 && somebody_goes {
            let epoch = LeaderEpoch(state.leader_epoch.0.saturating_add(1));
            states.push(set_data(path, state.next_state(leader, epoch, &isr, cluster.controller_epoch), state.version));
        } else if state.version >= 0 {
            // What was seen in the ISR must still be there.
            states.push(Op::Check { path, version: state.version });
        }
        let Placed { replicas, adding, removing } = placed.clone();
        (state.replicas, state.adding, state.removing) = (replicas, adding, removing);
    }
    let replicas: Vec<Replicas> = after.partitions.iter().map(|state| state.replicas.clone()).collect();
    let part = |which: fn(&PartitionState) -> &Replicas| assignment_of(&after, which);
    let data = json::topic(topic.id, &replicas, part(|state| &state.adding), part(|state| &state.removing));
    let mut ops = vec![set_data(base, data, topic.version)];
    ops.append(&mut states);
    Some(Txn { by: By::NODE, body: Body::Multi(ops) })
}

fn without(replicas: &Replicas, others: &[NodeId]) -> Replicas {
    replicas.iter().filter(|id| !others.contains(id)).copied().collect()
}
