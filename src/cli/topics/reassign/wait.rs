//! Waiting for moves that are under way, and taking them back.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::{alter, throttle};
use crate::cli::kafka::{Cluster, explain};
use crate::kafka::codec::{
    Array, ElectLeadersRequest, ElectLeadersResponse, ElectLeadersTopic, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::PartitionIndex;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks that may fail one after the other: the controller may change while copies are made.
const FAILURES_MAX: u32 = 60;

pub(super) type Moving = BTreeSet<(String, PartitionIndex)>;

/// Waits until nothing is under way, tells how far it is, takes rates away, and lets preferred replicas lead.
pub(super) fn until_done(cluster: &mut Cluster) -> io::Result<()> {
    let first = moving(cluster)?;
    let (mut all, mut left, mut failures) = (first.clone(), first, 0);
    let mut told = usize::MAX;
    while !left.is_empty() {
        if left.len() != told {
            told = left.len();
            println!("{} of {} partitions have arrived", all.len() - left.len(), all.len());
        }
        std::thread::sleep(PAUSE);
        match moving(cluster) {
            Ok(now) => {
                all.extend(now.iter().cloned());
                (left, failures) = (now, 0);
            }
            Err(error) if failures >= FAILURES_MAX => return Err(error),
            Err(_) => {
                failures += 1;
                cluster.reconnect();
            }
        }
    }
    let topics: BTreeSet<String> = cluster.topics()?.into_iter().map(|topic| topic.name).collect();
    throttle::take_away(cluster, &topics)?;
    elect(cluster)?;
    println!("all {} partitions have arrived", all.len());
    Ok(())
}

/// Takes back what is under way, of these topics or of all.
pub(super) fn cancel(cluster: &mut Cluster, names: &[String]) -> io::Result<()> {
    let moving = moving(cluster)?;
    let meant = moving.iter().filter(|(topic, _)| names.is_empty() || names.contains(topic));
    let wishes: Vec<_> = meant.map(|(topic, index)| (topic.as_str(), *index, None)).collect();
    if wishes.is_empty() {
        println!("nothing is under way");
        return Ok(());
    }
    alter(cluster, &wishes)?;
    println!("{} partitions go back to where they were", wishes.len());
    Ok(())
}

/// The partitions that are under way.
pub(super) fn moving(cluster: &mut Cluster) -> io::Result<Moving> {
    let response: ListPartitionReassignmentsResponse<'_> =
        cluster.controller()?.call(0, &ListPartitionReassignmentsRequest::default())?;
    explain(response.error_code, response.error_message, "the reassignments")?;
    let topics = response.topics.iter();
    Ok(topics
        .flat_map(|topic| {
            topic.partitions.iter().map(move |partition| (topic.name.to_owned(), partition.partition_index))
        })
        .collect())
}

/// Leaderships of all topics go to the preferred replicas where those are in sync.
fn elect(cluster: &mut Cluster) -> io::Result<()> {
    let topics = cluster.topics()?;
    let wanted: Vec<(String, Vec<PartitionIndex>)> = topics
        .into_iter()
        .map(|topic| {
            let elsewhere = topic.partitions.iter().filter(|partition| {
                partition.replicas.first() != Some(&partition.leader)
                    && partition.replicas.first().is_some_and(|first| partition.isr.contains(first))
            });
            (topic.name.clone(), elsewhere.map(|partition| partition.index).collect())
        })
        .filter(|(_, partitions): &(String, Vec<PartitionIndex>)| !partitions.is_empty())
        .collect();
    let topics: Vec<ElectLeadersTopic<'_>> = wanted
        .iter()
        .map(|(topic, partitions)| ElectLeadersTopic { topic, partitions: Array::of(partitions) })
        .collect();
    if topics.is_empty() {
        return Ok(());
    }
    let request = ElectLeadersRequest { topic_partitions: Some(Array::of(&topics)), ..Default::default() };
    let response: ElectLeadersResponse<'_> = cluster.controller()?.call(1, &request)?;
    explain(response.error_code, None, "the election")?;
    let results = response.replica_election_results.iter().flat_map(|topic| topic.partition_result.iter());
    let failed =
        results.filter(|result| !matches!(result.error_code, ErrorCode::NONE | ErrorCode::ELECTION_NOT_NEEDED));
    let failed = failed.count();
    if failed > 0 {
        println!("{failed} preferred replicas do not lead yet: the controller sees to it");
    }
    Ok(())
}
