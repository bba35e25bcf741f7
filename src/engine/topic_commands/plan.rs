//! What a topic becomes of which a door says little: defaults filled in, words checked.

use super::Around;
use crate::coordinator::Txn;
use crate::coordinator::builders::{self, TopicPlan};
use crate::engine::configs::check_topic_configs;
use crate::engine::{NewTopic, TopicError};
use crate::types::{NodeId, PartitionIndex, TopicId};

/// The transaction that creates a topic and its number of partitions, all defaults filled in.
pub(super) fn plan(topic: &NewTopic, planned: usize, around: &mut Around<'_>) -> Result<(Txn, i32), TopicError> {
    let config = check_topic_configs(&topic.configs).map_err(TopicError::InvalidConfig)?;
    let assignment = assignment(topic)?;
    let partitions = match topic.partitions {
        _ if !assignment.is_empty() => assignment.len() as i32,
        -1 => around.config.topics.partitions as i32,
        count => count,
    };
    let plan = TopicPlan {
        name: &topic.name,
        id: TopicId::random(around.rng),
        partitions,
        replication: defaulted_replication(topic.replication, around),
        assignment,
        config,
    };
    let room = around.config.memory.partitions_max.saturating_sub(planned);
    Ok((builders::create_topic(around.cluster, &plan, room)?, partitions))
}

/// The number of copies that was asked for; -1: by the configuration, or else by the number of boards.
pub(super) fn defaulted_replication(asked: i16, around: &Around<'_>) -> i16 {
    let default = || around.config.topics.replication_for(around.cluster.boards().len()).min(i16::MAX as usize) as i16;
    if asked == -1 { default() } else { asked }
}

/// The replicas by partition, which must name the partitions 0, 1, 2, ... in any order.
fn assignment(topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, TopicError> {
    if topic.assignment.is_empty() {
        return Ok(Vec::new());
    }
    if topic.partitions != -1 || topic.replication != -1 {
        return Err(TopicError::InvalidRequest(
            "a number of partitions or replicas and an assignment exclude each other".into(),
        ));
    }
    let mut sorted = topic.assignment.clone();
    sorted.sort_by_key(|(index, _)| *index);
    let is_dense = sorted.iter().enumerate().all(|(at, (index, _))| *index == PartitionIndex(at as i32));
    if !is_dense {
        return Err(TopicError::InvalidAssignment("partitions are numbered from 0 without gaps".into()));
    }
    Ok(sorted.into_iter().map(|(_, replicas)| replicas).collect())
}
