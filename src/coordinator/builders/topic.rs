//! Creating, growing, completing and deleting topics.

use super::{TopicError, create, delete, set_data};
use crate::coordinator::cluster::{
    Cluster, ConfigMap, PartitionState, Replicas, Topic, assignment_of, check_topic_name, json,
};
use crate::coordinator::placement;
use crate::coordinator::tree::{Tree, Znode};
use crate::coordinator::txn::{Body, By, Op, Txn};
use crate::limits::{PARTITIONS_PER_TOPIC_MAX, REPLICAS_MAX};
use crate::types::{LeaderEpoch, NodeId, TopicId};

/// A topic to be created: defaults are filled in, the configuration is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan<'a> {
    /// Its name; checked here.
    pub name: &'a str,
    /// A fresh identity.
    pub id: TopicId,
    /// How many; the number of `assignment` when that is given.
    pub partitions: i32,
    /// Copies of each; meaningless when `assignment` is given.
    pub replication: i16,
    /// Replicas by partition, preferred leader first; empty: balanced over the brokers.
    pub assignment: Vec<Vec<NodeId>>,
    /// What `/config/topics/T` shall say.
    pub config: ConfigMap,
}

/// Creates a topic with everything that belongs to it. `partitions_max` is what the memory budget has for the whole
/// cluster.
pub fn create_topic(cluster: &Cluster, plan: &TopicPlan<'_>, partitions_max: usize) -> Result<Txn, TopicError> {
    check_new_name(cluster, plan.name)?;
    let replicas = if plan.assignment.is_empty() {
        let count = check_partitions(cluster, plan.partitions, 0, partitions_max)?;
        placement::place(cluster, count, check_replication(cluster, plan.replication)?)
    } else {
        check_partitions(cluster, plan.assignment.len() as i32, 0, partitions_max)?;
        check_assignment(cluster, &plan.assignment)?
    };
    let base = format!("/brokers/topics/{}", plan.name);
    let config = (format!("/config/topics/{}", plan.name), json::config(&plan.config));
    let mut ops = vec![
        match cluster.topic_configs.get(plan.name) {
            Some(_) => set_data(config.0, config.1, -1),
            None => create(config.0, Some(config.1)),
        },
        create(base.clone(), Some(json::topic(plan.id, &replicas, Default::default(), Default::default()))),
        create(format!("{base}/partitions"), None),
    ];
    for (index, replicas) in replicas.iter().enumerate() {
        push_partition(cluster, &mut ops, &base, index, replicas, None);
    }
    Ok(multi(ops))
}

/// Gives a topic `count` partitions in all. `assignment` has the replicas of the new ones, or is empty.
pub fn create_partitions(
    cluster: &Cluster,
    topic: &str,
    count: i32,
    assignment: &[Vec<NodeId>],
    partitions_max: usize,
) -> Result<Txn, TopicError> {
    let topic = cluster.topic(topic).ok_or(TopicError::UnknownTopic)?;
    let before = topic.partitions.len();
    if count <= before as i32 {
        return Err(TopicError::InvalidPartitions(format!(
            "the topic has {before} partitions, {count} is not more: partitions are never taken away"
        )));
    }
    let after = check_partitions(cluster, count, before, partitions_max)?;
    let added = if assignment.is_empty() {
        let replication = topic.partitions.first().map_or(1, |first| first.replicas.len());
        placement::place(cluster, after - before, check_replication(cluster, replication as i16)?)
    } else if assignment.len() == after - before {
        check_assignment(cluster, assignment)?
    } else {
        return Err(TopicError::InvalidAssignment(format!(
            "{} partitions are to be added, the assignment has {}",
            after - before,
            assignment.len()
        )));
    };
    let base = format!("/brokers/topics/{}", topic.name);
    let all: Vec<Replicas> =
        topic.partitions.iter().map(|partition| partition.replicas.clone()).chain(added.iter().cloned()).collect();
    let mut ops = vec![set_data(base.clone(), topic_data(topic, topic.id, &all), topic.version)];
    for (index, replicas) in added.iter().enumerate() {
        push_partition(cluster, &mut ops, &base, before + index, replicas, None);
    }
    Ok(multi(ops))
}

/// Gives a topic that a tool wrote into the tree what the controller owes it: an id (`new_id`, unless it has one) and
/// the partitions' states. `None` when nothing is missing, or no replica is alive yet.
pub fn complete_topic(cluster: &Cluster, tree: &Tree, name: &str, new_id: TopicId) -> Option<Txn> {
    let base = format!("/brokers/topics/{name}");
    let (mut ops, all) = match (cluster.topic(name), cluster.incoming.get(name)) {
        (Some(topic), _) => {
            (Vec::new(), topic.partitions.iter().map(|partition| partition.replicas.clone()).collect::<Vec<_>>())
        }
        (None, Some(replicas)) => {
            let version = tree.get(&base)?.stat().version;
            let data = json::topic(new_id, replicas, Default::default(), Default::default());
            (vec![set_data(base.clone(), data, version)], replicas.clone())
        }
        (None, None) => return None,
    };
    if tree.get(&format!("{base}/partitions")).is_none() {
        ops.push(create(format!("{base}/partitions"), None));
    }
    for (index, replicas) in all.iter().enumerate() {
        if !live(cluster, replicas).is_empty() {
            push_partition(cluster, &mut ops, &base, index, replicas, Some(tree));
        }
    }
    if ops.is_empty() { None } else { Some(multi(ops)) }
}

/// Asks the controller to delete a topic, as Kafka's tools do.
pub fn request_deletion(cluster: &Cluster, topic: &str) -> Result<Txn, TopicError> {
    cluster.topic(topic).ok_or(TopicError::UnknownTopic)?;
    Ok(Txn::by_node(create(format!("/admin/delete_topics/{topic}"), None)))
}

/// Removes a topic, its configuration and the wish to delete it. Brokers delete their files when it is applied.
pub fn delete_topic(cluster: &Cluster, tree: &Tree, topic: &str) -> Result<Txn, TopicError> {
    let mut ops = Vec::new();
    if cluster.topic(topic).is_some() || cluster.incoming.contains_key(topic) {
        push_deletion(&mut ops, tree.get(&format!("/brokers/topics/{topic}")));
        push_deletion(&mut ops, tree.get(&format!("/config/topics/{topic}")));
    } else if !cluster.deleting.contains(topic) {
        return Err(TopicError::UnknownTopic);
    }
    push_deletion(&mut ops, tree.get(&format!("/admin/delete_topics/{topic}")));
    Ok(multi(ops))
}

/// Children before parents. Depth is bounded by the length of paths, breadth does not recurse.
fn push_deletion(ops: &mut Vec<Op>, znode: Option<Znode<'_>>) {
    let mut open: Vec<Znode<'_>> = znode.into_iter().collect();
    let first = ops.len();
    while let Some(znode) = open.pop() {
        ops.push(delete(znode.path()));
        open.extend(znode.children());
    }
    if let Some(ours) = ops.get_mut(first..) {
        ours.reverse();
    }
}

/// `tree`: only what is not there yet.
fn push_partition(
    cluster: &Cluster,
    ops: &mut Vec<Op>,
    base: &str,
    index: usize,
    replicas: &Replicas,
    tree: Option<&Tree>,
) {
    let is_new = |path: &str| tree.is_none_or(|tree| tree.get(path).is_none());
    let path = format!("{base}/partitions/{index}");
    let state = format!("{path}/state");
    let alive = live(cluster, replicas);
    // All of an empty partition's replicas are in sync: without a living one, the first to come leads.
    let isr = if alive.is_empty() { replicas } else { &alive };
    let data = json::state(alive.first().copied(), LeaderEpoch(0), isr, cluster.controller_epoch);
    if is_new(&path) {
        ops.push(create(path, None));
    }
    if is_new(&state) {
        ops.push(create(state, Some(data)));
    }
}

fn topic_data(topic: &Topic, id: TopicId, replicas: &[Replicas]) -> Vec<u8> {
    let part = |which: fn(&PartitionState) -> &Replicas| assignment_of(topic, which);
    json::topic(id, replicas, part(|partition| &partition.adding), part(|partition| &partition.removing))
}

fn live(cluster: &Cluster, replicas: &Replicas) -> Replicas {
    replicas.iter().copied().filter(|id| cluster.brokers.contains_key(id)).collect()
}

fn check_new_name(cluster: &Cluster, name: &str) -> Result<(), TopicError> {
    check_topic_name(name).map_err(TopicError::InvalidName)?;
    if cluster.topics.contains_key(name) || cluster.incoming.contains_key(name) {
        return Err(TopicError::AlreadyExists);
    }
    // Kafka's metric names know no difference between '.' and '_'.
    let plain = |name: &str| name.replace('.', "_");
    let collides = |other: &&std::sync::Arc<str>| plain(other) == plain(name);
    match cluster.topics.keys().filter(|_| name.contains(['.', '_'])).find(collides) {
        Some(other) => Err(TopicError::InvalidName(format!("topic {name:?} collides with {other:?}"))),
        None => Ok(()),
    }
}

/// The number as a count, when `known` of them exist already and the rest fits.
fn check_partitions(cluster: &Cluster, count: i32, known: usize, partitions_max: usize) -> Result<usize, TopicError> {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 {
        return Err(TopicError::InvalidPartitions("a topic has at least one partition".to_string()));
    }
    if count > PARTITIONS_PER_TOPIC_MAX {
        return Err(TopicError::InvalidPartitions(format!(
            "a topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions"
        )));
    }
    let all: usize = cluster.topics.values().map(|topic| topic.partitions.len()).sum();
    if all + count - known > partitions_max {
        return Err(TopicError::TooMany(format!(
            "the cluster has {all} partitions and memory.budget allows {partitions_max}"
        )));
    }
    Ok(count)
}

fn check_replication(cluster: &Cluster, replication: i16) -> Result<usize, TopicError> {
    let brokers = cluster.boards().len();
    match usize::try_from(replication) {
        Ok(count @ 1..=REPLICAS_MAX) if count <= brokers => Ok(count),
        Ok(count @ 1..) if count > brokers => Err(TopicError::InvalidReplicationFactor(format!(
            "replication factor {count} is larger than the number of brokers, {brokers}"
        ))),
        _ => Err(TopicError::InvalidReplicationFactor(format!("replication factor is 1 to {REPLICAS_MAX}"))),
    }
}

fn check_assignment(cluster: &Cluster, assignment: &[Vec<NodeId>]) -> Result<Vec<Replicas>, TopicError> {
    let wrong = |sentence: String| Err(TopicError::InvalidAssignment(sentence));
    let boards = cluster.boards();
    let mut all = Vec::new();
    for (index, ids) in assignment.iter().enumerate() {
        let mut replicas = Replicas::new();
        for &id in ids {
            if !boards.contains(&id) {
                return wrong(format!("partition {index} names broker {id}, which is neither registered nor a member"));
            }
            if replicas.contains(&id) || replicas.push(id).is_err() {
                return wrong(format!("partition {index} names a broker twice, or more than {REPLICAS_MAX}"));
            }
        }
        if replicas.is_empty() || all.first().is_some_and(|first: &Replicas| first.len() != replicas.len()) {
            return wrong("every partition needs the same number of replicas, at least one".to_string());
        }
        all.push(replicas);
    }
    Ok(all)
}

fn multi(ops: Vec<Op>) -> Txn {
    Txn { by: By::NODE, body: Body::Multi(ops) }
}
