//! ElectLeaders: says for each partition whether there is anything to elect.
//!
//! A partition whose leader is the one asked for needs no election. Partitions without a leader are elected by the
//! controller as soon as one of their replicas lives, without being asked; so what is not led now cannot be.

use super::{Answer, Context, Reply};
use crate::engine::{PartitionState, Topic};
use crate::kafka::codec::{
    Array, ElectLeadersRequest, ElectLeadersResponse, ElectedPartition, Elements, ReplicaElectionResult, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

const PARTITION_BYTES: usize = 128;

type Refusal = (ErrorCode, &'static str);

/// The reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: ElectLeadersRequest<'_> = request.body()?;
    let partitions: usize = match body.topic_partitions {
        Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
        None => cx.engine.view().topics.values().map(|topic| topic.partitions.len() + topic.name.len()).sum(),
    };
    Ok(1024 + 2 * frame_bytes + PARTITION_BYTES * partitions)
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ElectLeadersRequest<'_> = request.body()?;
    let kind = body.election_type;
    if !matches!(kind, PREFERRED | UNCLEAN) {
        let response = ElectLeadersResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
        return Ok(reply.send(&mut cx.out, &response));
    }
    let cluster = cx.engine.view();
    let asked = |out: &mut Elements<'_, '_, ReplicaElectionResult<'static>>| {
        for topic in body.topic_partitions.into_iter().flatten() {
            let each = |out: &mut Elements<'_, '_, ElectedPartition<'static>>| {
                for index in topic.partitions {
                    put(out, index, elect(cluster.partition(topic.topic, index), kind));
                }
            };
            let partition_result = Array::counted(topic.partitions.len(), &each);
            out.put(ReplicaElectionResult { topic: topic.topic, partition_result });
        }
    };
    // Of all partitions only those are told that lack their leader, as Kafka does.
    let all = |out: &mut Elements<'_, '_, ReplicaElectionResult<'static>>| {
        for topic in cluster.topics.values().filter(|topic| unled(topic, kind).next().is_some()) {
            let each = |out: &mut Elements<'_, '_, ElectedPartition<'static>>| {
                unled(topic, kind).for_each(|(index, refusal)| put(out, index, refusal));
            };
            out.put(ReplicaElectionResult { topic: &topic.name, partition_result: Array::each(&each) });
        }
    };
    let replica_election_results = match body.topic_partitions {
        Some(_) => Array::each(&asked),
        None => Array::each(&all),
    };
    Ok(reply.send(&mut cx.out, &ElectLeadersResponse { replica_election_results, ..Default::default() }))
}

fn unled(topic: &Topic, kind: i8) -> impl Iterator<Item = (PartitionIndex, Refusal)> {
    let all = topic.partitions.iter().enumerate();
    all.map(move |(index, state)| (PartitionIndex(index as i32), elect(Some(state), kind)))
        .filter(|(_, (code, _))| *code != ErrorCode::ELECTION_NOT_NEEDED)
}

fn elect(state: Option<&PartitionState>, kind: i8) -> Refusal {
    let Some(state) = state else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "the partition does not exist");
    };
    let is_led = match kind {
        PREFERRED => state.leader.is_some() && state.leader == state.replicas.first().copied(),
        _ => state.leader.is_some(),
    };
    match kind {
        _ if is_led => (ErrorCode::ELECTION_NOT_NEEDED, "the partition has that leader"),
        PREFERRED => (ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, "the preferred leader is not in sync"),
        _ => (ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, "no replica of the partition is alive"),
    }
}

fn put(out: &mut Elements<'_, '_, ElectedPartition<'static>>, index: PartitionIndex, (code, sentence): Refusal) {
    out.put(ElectedPartition { partition_id: index, error_code: code, error_message: Some(sentence) });
}
