//! `tern topic reassign`: plans where copies should be, shows it, lets the controller do it, and waits for it.
//!
//! The plan is made here, from what the brokers tell (`coordinator::placement::plan`), and carried out by
//! AlterPartitionReassignments (KIP-455): it goes on when this command ends, and any controller goes on with it. A rate is
//! taken away by whoever waits for the end: with `--throttle` that is this command. What moves already is not planned.

mod throttle;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use wait::Moving;

use super::TIMEOUT_MS;
use super::sizes::Sizes;
use crate::cli::arguments::ReassignTopics;
use crate::cli::kafka::{Cluster, Topic, check, explain};
use crate::cli::table::{Cell, Table};
use crate::cli::usage;
use crate::config::Size;
use crate::coordinator::cluster::Replicas;
use crate::coordinator::placement::{Board, Held, PlanError, plan};
use crate::kafka::codec::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, Array, DescribeClusterRequest,
    DescribeClusterResponse, ReassignablePartition, ReassignableTopic,
};
use crate::types::{NodeId, PartitionIndex};

/// A partition that shall be elsewhere.
#[derive(Clone, Debug)]
struct Change {
    topic: String,
    index: PartitionIndex,
    before: Vec<NodeId>,
    after: Vec<NodeId>,
}

impl Change {
    /// Boards that make a copy.
    fn added(&self) -> impl Iterator<Item = NodeId> {
        self.after.iter().filter(|id| !self.before.contains(id)).copied()
    }
}

/// Does what was asked.
pub(super) fn run(arguments: &ReassignTopics) -> io::Result<()> {
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    let is_plain = arguments.replication.is_none() && arguments.to.is_empty() && arguments.without.is_empty();
    // A board that shall hold nothing holds nothing of any topic.
    let is_all = arguments.all || (arguments.names.is_empty() && !arguments.without.is_empty());
    let names_none = arguments.names.is_empty() && !is_all;
    if arguments.cancel {
        if names_none {
            return Err(usage("which topics? Name some, or say --all".to_owned()));
        }
        return wait::cancel(&mut cluster, &arguments.names);
    }
    if names_none && arguments.wait && is_plain && !arguments.dry_run && arguments.throttle.is_none() {
        return wait::until_done(&mut cluster);
    }
    if names_none {
        return Err(usage("which topics? Name some, or say --all".to_owned()));
    }
    let rate = arguments.throttle.as_deref().map(read_rate).transpose()?;
    // Before the topics, so that a move that ends meanwhile is seen as one or as ended.
    let moving = wait::moving(&mut cluster)?;
    let topics = cluster.topics()?;
    refuse_moving(&moving, arguments)?;
    let changes = changes(&mut cluster, &topics, arguments)?;
    if changes.is_empty() {
        println!("nothing to do: every partition is where it should be");
        return Ok(());
    }
    show(&mut cluster, &topics, &changes)?;
    if arguments.dry_run {
        return Ok(());
    }
    match rate {
        Some(rate) => begin_slowly(&mut cluster, &topics, &changes, rate)?,
        None => begin(&mut cluster, &changes)?,
    }
    match arguments.wait || rate.is_some() {
        true => wait::until_done(&mut cluster),
        false => {
            println!("begun; tern topic reassign --wait shows how far it is");
            Ok(())
        }
    }
}

fn read_rate(text: &str) -> io::Result<i64> {
    let rate = Size::parse(text).map(|size| size.0).filter(|rate| *rate > 0);
    rate.ok_or_else(|| {
        usage(format!("--throttle {text}: it is no rate; allowed: bytes a second, such as 500KiB or 2MiB"))
    })
}

/// While a partition moves, its replicas are those that go and those that come: nobody could tell how many it shall have.
fn refuse_moving(moving: &Moving, arguments: &ReassignTopics) -> io::Result<()> {
    let is_meant = |topic: &String| arguments.names.is_empty() || arguments.names.contains(topic);
    match moving.iter().find(|(topic, _)| is_meant(topic)) {
        Some((topic, index)) => Err(io::Error::other(format!(
            "{topic}-{index} is moving already: tern topic reassign --wait waits for it, --cancel takes it back"
        ))),
        None => Ok(()),
    }
}

/// Where the plan differs from what there is.
fn changes(cluster: &mut Cluster, topics: &[Topic], arguments: &ReassignTopics) -> io::Result<Vec<Change>> {
    let unknown = arguments.names.iter().find(|name| topics.iter().all(|topic| topic.name != **name));
    if let Some(name) = unknown {
        check(crate::kafka::errors::ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &format!("topic {name}"))?;
    }
    let boards = boards(cluster, topics, arguments)?;
    let is_meant = |topic: &Topic| arguments.names.is_empty() || arguments.names.contains(&topic.name);
    let mut held = Vec::new();
    for topic in topics {
        for partition in &topic.partitions {
            let is_fixed = !is_meant(topic);
            held.push(Held { replicas: replicas(&topic.name, &partition.replicas)?, is_fixed });
        }
    }
    let planned = plan(&boards, &held, arguments.replication.map(usize::from));
    let planned = planned.map_err(|error| match error {
        PlanError::TooFewBoards { boards, .. } => usage(format!("{error}; --replication {boards} asks for no more")),
        PlanError::TooManyCopies => usage(error.to_string()),
    })?;
    let partitions = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    let changes = partitions.zip(&planned).filter(|((_, partition), after)| partition.replicas != after[..]);
    Ok(changes
        .map(|((topic, partition), after)| Change {
            topic: topic.name.clone(),
            index: partition.index,
            before: partition.replicas.clone(),
            after: after.to_vec(),
        })
        .collect())
}

fn replicas(topic: &str, ids: &[NodeId]) -> io::Result<Replicas> {
    Replicas::from_slice(ids)
        .map_err(|_| io::Error::other(format!("topic {topic} has more copies of a partition than can be planned for")))
}

/// The boards that may hold copies: those that are there, and those that hold some and are away.
fn boards(cluster: &mut Cluster, topics: &[Topic], arguments: &ReassignTopics) -> io::Result<BTreeMap<NodeId, Board>> {
    let response: DescribeClusterResponse<'_> = cluster.any()?.call(0, &DescribeClusterRequest::default())?;
    explain(response.error_code, response.error_message, "the brokers")?;
    let board = |rack: Option<&str>| Board { rack: rack.map(str::to_owned), is_away: false };
    let mut boards: BTreeMap<NodeId, Board> =
        response.brokers.iter().map(|broker| (broker.broker_id, board(broker.rack))).collect();
    for id in topics.iter().flat_map(|topic| &topic.partitions).flat_map(|partition| &partition.replicas) {
        boards.entry(*id).or_insert(Board { rack: None, is_away: true });
    }
    for id in &arguments.to {
        match boards.get(&NodeId(*id)) {
            None => return Err(usage(format!("--to {id}: there is no such board; tern status shows those there are"))),
            Some(board) if board.is_away => return Err(usage(format!("--to {id}: that board is away"))),
            Some(_) => {}
        }
    }
    let is_allowed =
        |id: &NodeId| (arguments.to.is_empty() || arguments.to.contains(&id.0)) && !arguments.without.contains(&id.0);
    boards.retain(|id, _| is_allowed(id));
    Ok(boards)
}

/// The plan as a table, and what it costs.
fn show(cluster: &mut Cluster, topics: &[Topic], changes: &[Change]) -> io::Result<()> {
    let sizes = Sizes::ask(cluster, topics);
    let mut table = Table::new(&["topic", "partition", "now", "then", "to-copy"]);
    let (mut copies, mut bytes) = (0, 0);
    for change in changes {
        let added = change.added().count();
        let size = sizes.partition(&change.topic, change.index).map(|size| size * added as i64);
        copies += added;
        bytes += size.unwrap_or(0);
        table.row(vec![
            change.topic.as_str().into(),
            i64::from(change.index.0).into(),
            ids(&change.before).into(),
            ids(&change.after).into(),
            size.map_or(Cell::Absent, Cell::Bytes),
        ]);
    }
    table.print(false);
    println!("{} partitions change, {copies} copies are made, {}", changes.len(), Size(bytes));
    Ok(())
}

/// Asks the controller to begin.
fn begin(cluster: &mut Cluster, changes: &[Change]) -> io::Result<()> {
    let wishes: Vec<(&str, PartitionIndex, Option<&[NodeId]>)> =
        changes.iter().map(|change| (change.topic.as_str(), change.index, Some(&change.after[..]))).collect();
    alter(cluster, &wishes)
}

/// The same at a rate, which is taken away again when nothing moves after all. A board that cannot be told has none.
fn begin_slowly(cluster: &mut Cluster, topics: &[Topic], changes: &[Change], rate: i64) -> io::Result<()> {
    let begun = throttle::set(cluster, topics, changes, rate).and_then(|()| begin(cluster, changes));
    begun.map_err(|error| {
        if wait::moving(cluster).is_ok_and(|moving| moving.is_empty()) {
            let names = changes.iter().map(|change| change.topic.clone()).collect();
            let _ = throttle::take_away(cluster, &names);
            return error;
        }
        io::Error::other(format!("{error}; the rate is taken away by tern topic reassign --wait"))
    })
}

/// AlterPartitionReassignments; the first refusal is the error, after all were told.
fn alter(cluster: &mut Cluster, wishes: &[(&str, PartitionIndex, Option<&[NodeId]>)]) -> io::Result<()> {
    let mut by_topic: BTreeMap<&str, Vec<ReassignablePartition<'_>>> = BTreeMap::new();
    for (topic, index, target) in wishes {
        let partition = ReassignablePartition { partition_index: *index, replicas: target.map(Array::of) };
        by_topic.entry(topic).or_default().push(partition);
    }
    let topics: Vec<ReassignableTopic<'_>> = by_topic
        .iter()
        .map(|(name, partitions)| ReassignableTopic { name, partitions: Array::of(partitions) })
        .collect();
    let request =
        AlterPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: Array::of(&topics), ..Default::default() };
    let response: AlterPartitionReassignmentsResponse<'_> = cluster.controller()?.call(0, &request)?;
    explain(response.error_code, response.error_message, "the reassignment")?;
    let mut failed = None;
    for topic in response.responses.iter() {
        for partition in topic.partitions.iter() {
            let what = format!("{}-{}", topic.name, partition.partition_index);
            if let Err(error) = explain(partition.error_code, partition.error_message, &what) {
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn ids(list: &[NodeId]) -> String {
    list.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}

/// The boards of some changes.
fn boards_of(changes: &[Change]) -> BTreeSet<NodeId> {
    changes.iter().flat_map(|change| change.before.iter().chain(&change.after)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rate is a number of bytes, and not none.
    #[test]
    fn rates() {
        assert_eq!(read_rate("2MiB").unwrap(), 2 << 20);
        for wrong in ["0", "fast", "-1", ""] {
            assert_eq!(read_rate(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
