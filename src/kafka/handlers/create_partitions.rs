//! CreatePartitions: a topic can only grow. The brokers' own topics are refused here.

use std::sync::Arc;

use super::create_topics::{Refused, with_refused};
use super::metadata::INTERNAL_TOPICS;
use super::partitions::topic_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, NewPartitions};
use crate::kafka::codec::{
    Array, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
    Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// A topic in the answer, and while it grows.
const TOPIC_BYTES: usize = 512;

/// A request whose topics are growing.
#[derive(Debug)]
struct CreatePartitions {
    reply: Reply,
    refused: Refused,
}

/// What the engine is given, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: CreatePartitionsRequest<'_> = request.body()?;
    Ok(8 * frame_bytes + TOPIC_BYTES * body.topics.len())
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: CreatePartitionsRequest<'_> = request.body()?;
    let (internal, topics): (Vec<_>, Vec<_>) =
        body.topics.iter().partition(|topic| INTERNAL_TOPICS.contains(&topic.name));
    let refused = internal.iter().map(|topic| Arc::from(topic.name)).collect();
    let topics = topics.into_iter().map(new_partitions).collect();
    let waiter = cx.waiter(0);
    cx.engine.create_partitions(cx.now, topics, body.validate_only, waiter, cx.out.fx);
    Ok(Answer::Later(Box::new(CreatePartitions { reply, refused })))
}

fn new_partitions(topic: CreatePartitionsTopic<'_>) -> NewPartitions {
    let assignments = topic.assignments.unwrap_or_default();
    NewPartitions {
        name: topic.name.into(),
        count: topic.count,
        assignment: assignments.iter().map(|one| one.broker_ids.iter().collect()).collect(),
    }
}

impl Pending for CreatePartitions {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Topics(results) = completion else { return Answer::Later(self) };
        let CreatePartitions { reply, refused } = *self;
        let results = with_refused(results, refused);
        let each = |out: &mut Elements<'_, '_, _>| {
            for (name, result) in &results {
                out.put(CreatePartitionsTopicResult {
                    name,
                    error_code: result.as_ref().err().map_or(ErrorCode::NONE, topic_code),
                    error_message: result.as_ref().err().map(ToString::to_string).as_deref(),
                });
            }
        };
        let response = CreatePartitionsResponse { results: Array::counted(results.len(), &each), ..Default::default() };
        reply.send(&mut cx.out, &response)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
