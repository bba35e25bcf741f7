//! ElectLeaders: makes the preferred replica of a partition its leader again, where that is needed and possible, or any
//! living replica the leader of a partition that has none (an unclean election, which loses what that replica has not).
//!
//! Partitions without a leader are elected by the controller as soon as one of their replicas in sync lives, without
//! being asked; one that is not in sync becomes leader without being asked only where `unclean.leader.election.enable`
//! says so.

use std::sync::Arc;

use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, ElectionError};
use crate::kafka::codec::{
    Array, ElectLeadersRequest, ElectLeadersResponse, ElectedPartition, Elements, ReplicaElectionResult, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// A partition in the answer, beside its part.
const PARTITION_BYTES: usize = 128;

type Refusal = (ErrorCode, &'static str);

/// A request whose leaders are being elected.
#[derive(Debug)]
struct ElectLeaders {
    reply: Reply,
    parts: Vec<Part>,
    /// Parts that the engine has not answered.
    missing: usize,
    /// All partitions were asked for: those that need no election are not told, as Kafka does.
    is_all: bool,
}

#[derive(Debug)]
struct Part {
    topic: Arc<str>,
    index: PartitionIndex,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Waits,
    Elected,
    Refused(Refusal),
}

/// Parts and reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: ElectLeadersRequest<'_> = request.body()?;
    let partitions: usize = match body.topic_partitions {
        Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
        None => cx.engine.view().topics.values().map(|topic| topic.partitions.len() + topic.name.len()).sum(),
    };
    Ok(1024 + 3 * frame_bytes + (PARTITION_BYTES + size_of::<Part>()) * partitions)
}

/// Begins the elections.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ElectLeadersRequest<'_> = request.body()?;
    let kind = body.election_type;
    if !matches!(kind, PREFERRED | UNCLEAN) {
        let response = ElectLeadersResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
        return Ok(reply.send(&mut cx.out, &response));
    }
    let mut asked: Vec<(Arc<str>, PartitionIndex)> = Vec::new();
    match body.topic_partitions {
        Some(topics) => {
            for topic in topics {
                let name: Arc<str> = topic.topic.into();
                asked.extend(topic.partitions.iter().map(|index| (name.clone(), index)));
            }
        }
        None => {
            for topic in cx.engine.view().topics.values() {
                let indexes = (0..topic.partitions.len() as i32).map(PartitionIndex);
                asked.extend(indexes.map(|index| (topic.name.clone(), index)));
            }
        }
    }
    let (is_all, mut missing) = (body.topic_partitions.is_none(), 0);
    let mut parts = Vec::with_capacity(asked.len());
    for (at, (topic, index)) in asked.into_iter().enumerate() {
        let outcome = elect(cx, at as u32, &topic, index, kind);
        missing += matches!(outcome, Outcome::Waits) as usize;
        parts.push(Part { topic, index, outcome });
    }
    let pending = ElectLeaders { reply, parts, missing, is_all };
    Ok(if missing > 0 { Answer::Later(Box::new(pending)) } else { pending.answer(cx) })
}

fn elect(cx: &mut Context<'_>, item: u32, topic: &str, index: PartitionIndex, kind: i8) -> Outcome {
    let not_there = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "the partition does not exist");
    let not_needed = (ErrorCode::ELECTION_NOT_NEEDED, "the partition has that leader");
    let waiter = cx.waiter(item);
    let begun = match kind {
        UNCLEAN => cx.engine.elect_unclean(cx.now, topic, index, waiter),
        _ => cx.engine.elect_preferred(cx.now, topic, index, waiter),
    };
    let not_in_sync = (ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, "the preferred leader is not alive and in sync");
    match begun {
        Ok(()) => Outcome::Waits,
        Err(ElectionError::UnknownPartition) => Outcome::Refused(not_there),
        Err(ElectionError::NotNeeded) => Outcome::Refused(not_needed),
        Err(ElectionError::NotInSync) => Outcome::Refused(not_in_sync),
        Err(ElectionError::NobodyAlive) => {
            Outcome::Refused((ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, "no replica is alive"))
        }
    }
}

impl Pending for ElectLeaders {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Proposed(result) = completion else { return Answer::Later(self) };
        if let Some(part) = self.parts.get_mut(item as usize)
            && matches!(part.outcome, Outcome::Waits)
        {
            part.outcome = match result {
                Ok(result) if result.outcome.is_ok() => Outcome::Elected,
                _ => Outcome::Refused((ErrorCode::REQUEST_TIMED_OUT, "the election met another change: try again")),
            };
            self.missing = self.missing.saturating_sub(1);
        }
        if self.missing > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

impl ElectLeaders {
    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let ElectLeaders { reply, parts, is_all, .. } = self;
        let is_told = |part: &&Part| {
            let is_idle = matches!(part.outcome, Outcome::Refused((ErrorCode::ELECTION_NOT_NEEDED, _)));
            !(is_all && is_idle)
        };
        let each = |out: &mut Elements<'_, '_, ReplicaElectionResult<'static>>| {
            for group in parts.chunk_by(|a, b| a.topic == b.topic) {
                let Some(Part { topic, .. }) = group.iter().find(is_told) else { continue };
                let each = |out: &mut Elements<'_, '_, ElectedPartition<'static>>| {
                    group.iter().filter(is_told).for_each(|part| out.put(part.response()));
                };
                out.put(ReplicaElectionResult { topic, partition_result: Array::each(&each) });
            }
        };
        let replica_election_results = Array::each(&each);
        reply.send(&mut cx.out, &ElectLeadersResponse { replica_election_results, ..Default::default() })
    }
}

impl Part {
    fn response(&self) -> ElectedPartition<'_> {
        let (error_code, error_message) = match self.outcome {
            Outcome::Refused((code, sentence)) => (code, Some(sentence)),
            Outcome::Elected | Outcome::Waits => (ErrorCode::NONE, None),
        };
        ElectedPartition { partition_id: self.index, error_code, error_message }
    }
}
