//! The rate at which copies are made, set and taken away as Kafka's own tool does it (KIP-73), so that either can end what
//! the other began.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Change, boards_of};
use crate::cli::kafka::{Cluster, Topic, explain};
use crate::cli::topics::describe::TOPIC_RESOURCE;
use crate::kafka::codec::{
    Array, ConfigOperation, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
    IncrementalAlterConfigsResponse,
};
use crate::types::NodeId;

/// The resource type of a broker.
const BROKER_RESOURCE: i8 = 4;

const SET: i8 = 0;
const DELETE: i8 = 1;

const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const REPLICAS: [&str; 2] = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

/// Sets the rate on every board that takes part, and names the replicas that it holds for.
pub(super) fn set(cluster: &mut Cluster, topics: &[Topic], changes: &[Change], rate: i64) -> io::Result<()> {
    let rate = rate.to_string();
    for board in boards_of(changes) {
        if cluster.brokers().contains_key(&board) {
            let operations = RATES.map(|name| ConfigOperation { name, config_operation: SET, value: Some(&rate) });
            alter(cluster, Some(board), BROKER_RESOURCE, &board.to_string(), &operations)?;
        }
    }
    for topic in topics {
        let own: Vec<&Change> = changes.iter().filter(|change| change.topic == topic.name).collect();
        if own.is_empty() {
            continue;
        }
        let pairs = |of: &dyn Fn(&Change) -> Vec<NodeId>| {
            let pairs = own.iter().flat_map(|change| of(change).into_iter().map(|id| format!("{}:{id}", change.index)));
            pairs.collect::<Vec<_>>().join(",")
        };
        let leaders = pairs(&|change: &Change| change.before.clone());
        let followers = pairs(&|change: &Change| change.added().collect());
        let values = [leaders, followers];
        let operations: Vec<ConfigOperation<'_>> = REPLICAS
            .iter()
            .zip(&values)
            .map(|(name, value)| ConfigOperation { name, config_operation: SET, value: Some(value) })
            .collect();
        alter(cluster, None, TOPIC_RESOURCE, &topic.name, &operations)?;
    }
    Ok(())
}

/// Takes all rates away, from boards and topics; the first error, after all were told.
pub(super) fn take_away(cluster: &mut Cluster, topics: &BTreeSet<String>) -> io::Result<()> {
    let boards: BTreeMap<NodeId, String> = cluster.brokers().clone();
    let mut done = Ok(());
    for board in boards.keys() {
        let operations = RATES.map(|name| ConfigOperation { name, config_operation: DELETE, value: None });
        done = done.and(alter(cluster, Some(*board), BROKER_RESOURCE, &board.to_string(), &operations));
    }
    for topic in topics {
        let operations = REPLICAS.map(|name| ConfigOperation { name, config_operation: DELETE, value: None });
        done = done.and(alter(cluster, None, TOPIC_RESOURCE, topic, &operations));
    }
    done
}

/// IncrementalAlterConfigs, at that board, or at the controller.
fn alter(
    cluster: &mut Cluster,
    board: Option<NodeId>,
    resource_type: i8,
    resource_name: &str,
    operations: &[ConfigOperation<'_>],
) -> io::Result<()> {
    let resources = [IncrementalAlterConfigsResource { resource_type, resource_name, configs: Array::of(operations) }];
    let request = IncrementalAlterConfigsRequest { resources: Array::of(&resources), validate_only: false };
    let client = match board {
        Some(board) => cluster.broker(board)?,
        None => cluster.controller()?,
    };
    let response: IncrementalAlterConfigsResponse<'_> = client.call(0, &request)?;
    for result in response.responses.iter() {
        explain(result.error_code, result.error_message, &format!("the rate of {resource_name}"))?;
    }
    Ok(())
}
