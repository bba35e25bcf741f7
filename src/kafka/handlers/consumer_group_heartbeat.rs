//! ConsumerGroupHeartbeat: a member joins, reports or leaves; answered when what it is told is durable.

use super::groups::{client_host, group_code, group_sentence};
use super::metadata::is_legal_name;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, ConsumerHeartbeat, ConsumerStanding, GroupError};
use crate::kafka::codec::{
    Array, ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

/// From here on clients make their own member ids.
const OWN_ID_FROM: i16 = 1;

const JOINING: i32 = 0;
const LEAVING_FOR_A_WHILE: i32 = -2;

/// A partition in the request and in the answer.
const PARTITION_BYTES: usize = 48;

/// A member that waits for the log.
#[derive(Debug)]
struct Heartbeat {
    reply: Reply,
}

/// What the request takes while it is handled; the reply is reserved when it is written.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: ConsumerGroupHeartbeatRequest<'_> = request.body()?;
    let owned = body.topic_partitions.into_iter().flatten().map(|topic| topic.partitions.len()).sum::<usize>();
    let names = body.subscribed_topic_names.map_or(0, |names| names.len());
    Ok(1024 + 2 * frame_bytes + PARTITION_BYTES * owned + size_of::<&str>() * names)
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ConsumerGroupHeartbeatRequest<'_> = request.body()?;
    if let Err(sentence) = check(&body, request.version) {
        return Ok(refuse(cx, reply, ErrorCode::INVALID_REQUEST, sentence));
    }
    let host = client_host(cx);
    let heartbeat = ConsumerHeartbeat {
        group: body.group_id,
        member: body.member_id,
        epoch: body.member_epoch,
        instance: body.instance_id,
        rack: body.rack_id,
        rebalance_timeout_ms: Some(body.rebalance_timeout_ms).filter(|ms| *ms >= 0),
        topics: body.subscribed_topic_names.map(|names| names.iter().collect()),
        regex: body.subscribed_topic_regex,
        assignor: body.server_assignor,
        owned: body.topic_partitions.map(|topics| {
            let of = |topic: ConsumerGroupHeartbeatTopicPartitions<'_>| {
                let topic_id = topic.topic_id;
                topic.partitions.iter().map(move |partition| (topic_id, partition)).collect::<Vec<_>>()
            };
            topics.iter().flat_map(of).collect()
        }),
        client_id: request.client_id.unwrap_or_default(),
        client_host: &host,
    };
    let waiter = cx.waiter(0);
    cx.engine.consumer_heartbeat(cx.now, &heartbeat, waiter);
    Ok(Answer::Later(Box::new(Heartbeat { reply })))
}

/// What the protocol demands of any such request.
fn check(body: &ConsumerGroupHeartbeatRequest<'_>, version: i16) -> Result<(), &'static str> {
    let is_first = body.member_epoch == JOINING;
    let has_topics = body.subscribed_topic_names.is_some_and(|names| !names.is_empty());
    let has_regex = body.subscribed_topic_regex.is_some_and(|regex| !regex.is_empty());
    let must = |is_so: bool, sentence: &'static str| if is_so { Ok(()) } else { Err(sentence) };
    must(!body.group_id.is_empty(), "GroupId can't be empty.")?;
    must(body.instance_id.is_none_or(is_legal_name), "InstanceId is no legal name.")?;
    must(body.rack_id != Some(""), "RackId can't be empty.")?;
    must(body.member_epoch >= LEAVING_FOR_A_WHILE, "MemberEpoch is invalid.")?;
    must(!body.member_id.is_empty() || is_first && version < OWN_ID_FROM, "MemberId can't be empty.")?;
    must(body.member_epoch != LEAVING_FOR_A_WHILE || body.instance_id.is_some(), "InstanceId can't be null.")?;
    if !is_first {
        return Ok(());
    }
    must(body.rebalance_timeout_ms >= 0, "RebalanceTimeoutMs must be provided in first request.")?;
    must(
        body.topic_partitions.is_some_and(|topics| topics.is_empty()),
        "TopicPartitions must be empty when (re-)joining.",
    )?;
    must(
        has_topics || has_regex,
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-empty when (re-)joining.",
    )
}

fn refuse(cx: &mut Context<'_>, reply: Reply, error_code: ErrorCode, sentence: &str) -> Answer {
    let response = ConsumerGroupHeartbeatResponse { error_code, error_message: Some(sentence), ..Default::default() };
    reply.send(&mut cx.out, &response)
}

fn send(cx: &mut Context<'_>, reply: Reply, standing: &ConsumerStanding) -> Answer {
    let assigned = standing.assignment.as_ref();
    let each = |topics: &mut Elements<'_, '_, ConsumerGroupHeartbeatTopicPartitions<'static>>| {
        for (topic_id, run) in assigned.into_iter().flat_map(|assigned| assigned.by_topic()) {
            let each = |out: &mut Elements<'_, '_, PartitionIndex>| run.iter().for_each(|one| out.put(one.1));
            topics
                .put(ConsumerGroupHeartbeatTopicPartitions { topic_id, partitions: Array::counted(run.len(), &each) });
        }
    };
    let response = ConsumerGroupHeartbeatResponse {
        member_id: Some(&standing.member),
        member_epoch: standing.epoch,
        heartbeat_interval_ms: cx.settings.consumer_heartbeat_interval_ms,
        assignment: assigned.map(|_| ConsumerGroupHeartbeatAssignment { topic_partitions: Array::each(&each) }),
        ..Default::default()
    };
    reply.send(&mut cx.out, &response)
}

impl Pending for Heartbeat {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::Reported(Ok(standing)) => send(cx, self.reply, &standing),
            Completion::Reported(Err(error)) => refuse_group(cx, self.reply, error),
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn refuse_group(cx: &mut Context<'_>, reply: Reply, error: GroupError) -> Answer {
    refuse(cx, reply, group_code(error), group_sentence(error))
}
