//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).
//!
//! A partition that shall be where it is already is answered with success; data is not moved to other brokers here, and
//! whoever asks for that is told so.

use super::{Answer, Context, Reply};
use crate::engine::Cluster;
use crate::kafka::codec::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, Array, Elements,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment, ReassignablePartition, ReassignablePartitionResponse, ReassignableTopicResponse, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex, ReadError};

const PARTITION_BYTES: usize = 160;

type Refusal = (ErrorCode, &'static str);

/// The reply to AlterPartitionReassignments.
pub fn estimate_alter(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: AlterPartitionReassignmentsRequest<'_> = request.body()?;
    let partitions: usize = body.topics.iter().map(|topic| topic.partitions.len()).sum();
    Ok(1024 + 2 * frame_bytes + PARTITION_BYTES * partitions)
}

/// AlterPartitionReassignments, answered at once.
pub fn alter(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: AlterPartitionReassignmentsRequest<'_> = request.body()?;
    let cluster = cx.engine.view();
    let each = |out: &mut Elements<'_, '_, ReassignableTopicResponse<'static>>| {
        for topic in body.topics {
            let each = |out: &mut Elements<'_, '_, ReassignablePartitionResponse<'static>>| {
                for asked in topic.partitions {
                    let refusal = reassign(cluster, topic.name, &asked).err();
                    out.put(ReassignablePartitionResponse {
                        partition_index: asked.partition_index,
                        error_code: refusal.map_or(ErrorCode::NONE, |(code, _)| code),
                        error_message: refusal.map(|(_, sentence)| sentence),
                    });
                }
            };
            let partitions = Array::counted(topic.partitions.len(), &each);
            out.put(ReassignableTopicResponse { name: topic.name, partitions });
        }
    };
    let responses = Array::counted(body.topics.len(), &each);
    let allow_replication_factor_change = body.allow_replication_factor_change;
    let response =
        AlterPartitionReassignmentsResponse { allow_replication_factor_change, responses, ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}

fn reassign(cluster: &Cluster, topic: &str, asked: &ReassignablePartition<'_>) -> Result<(), Refusal> {
    let wrong = |sentence| Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, sentence));
    let state = cluster
        .partition(topic, asked.partition_index)
        .ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "the partition does not exist"))?;
    let Some(replicas) = asked.replicas else {
        return match state.adding.is_empty() && state.removing.is_empty() {
            true => Err((ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, "no reassignment of this partition is under way")),
            false => wrong("replicas are not moved by this broker"),
        };
    };
    let is_twice = |(at, id): (usize, NodeId)| replicas.iter().take(at).any(|before| before == id);
    if replicas.is_empty() {
        return wrong("a partition has at least one replica");
    }
    // As many as there are brokers are looked at: more than that name one twice, or one that is not there.
    if replicas.iter().take(cluster.brokers.len() + 1).any(|id| !cluster.brokers.contains_key(&id)) {
        return wrong("the assignment includes a broker that is not registered");
    }
    if replicas.iter().take(cluster.brokers.len() + 1).enumerate().any(is_twice) {
        return wrong("the assignment names a broker twice");
    }
    match replicas.iter().eq(state.replicas.iter().copied()) {
        true => Ok(()),
        false => wrong("replicas are not moved by this broker"),
    }
}

/// The reply to ListPartitionReassignments.
pub fn estimate_list(cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let moving = cx.engine.view().topics.values().flat_map(|topic| {
        let moving = topic.partitions.iter().filter(|state| !state.adding.is_empty() || !state.removing.is_empty());
        moving.map(|_| PARTITION_BYTES + topic.name.len())
    });
    Ok(1024 + 2 * frame_bytes + moving.sum::<usize>())
}

/// ListPartitionReassignments, answered at once from the tree.
pub fn list(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListPartitionReassignmentsRequest<'_> = request.body()?;
    let cluster = cx.engine.view();
    let is_asked = |topic: &str, index: PartitionIndex| {
        body.topics.is_none_or(|topics| {
            topics.iter().any(|asked| asked.name == topic && asked.partition_indexes.iter().any(|one| one == index))
        })
    };
    let each = |out: &mut Elements<'_, '_, OngoingTopicReassignment<'static>>| {
        for topic in cluster.topics.values() {
            let all = topic.partitions.iter().enumerate().map(|(index, state)| (PartitionIndex(index as i32), state));
            let moving = || {
                let moving = all.clone().filter(|(_, state)| !state.adding.is_empty() || !state.removing.is_empty());
                moving.filter(|(index, _)| is_asked(&topic.name, *index))
            };
            if moving().next().is_none() {
                continue;
            }
            let each = |out: &mut Elements<'_, '_, OngoingPartitionReassignment<'static>>| {
                for (partition_index, state) in moving() {
                    out.put(OngoingPartitionReassignment {
                        partition_index,
                        replicas: Array::of(&state.replicas),
                        adding_replicas: Array::of(&state.adding),
                        removing_replicas: Array::of(&state.removing),
                    });
                }
            };
            out.put(OngoingTopicReassignment { name: &topic.name, partitions: Array::each(&each) });
        }
    };
    let response = ListPartitionReassignmentsResponse { topics: Array::each(&each), ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}
