//! OffsetDelete: forgets offsets of topics that no member of the group subscribes to.

use std::sync::Arc;

use super::groups::{group_code, result_code};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, GroupError};
use crate::kafka::codec::{
    Array, Elements, OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

/// A request whose tombstones are being written.
#[derive(Debug)]
struct OffsetDelete {
    reply: Reply,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    topic: Arc<str>,
    index: PartitionIndex,
    error_code: ErrorCode,
}

/// Parts, what the engine is given, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: OffsetDeleteRequest<'_> = request.body()?;
    let part_bytes = size_of::<Part>() + 64;
    let topics = body.topics.iter().map(|topic| 64 + 2 * topic.name.len() + part_bytes * topic.partitions.len());
    Ok(256 + topics.sum::<usize>())
}

/// Asks the engine for those that exist.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: OffsetDeleteRequest<'_> = request.body()?;
    let (mut parts, mut asked) = (Vec::new(), Vec::new());
    for topic in body.topics {
        let name: Arc<str> = topic.name.into();
        for partition in topic.partitions {
            let index = partition.partition_index;
            let is_known = cx.engine.view().partition(topic.name, index).is_some();
            asked.extend(is_known.then_some((topic.name, index)));
            let error_code = if is_known { ErrorCode::NONE } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
            parts.push(Part { topic: name.clone(), index, error_code });
        }
    }
    let waiter = cx.waiter(0);
    let results = match cx.engine.delete_offsets(cx.now, body.group_id, &asked, waiter) {
        Ok(results) => results,
        Err(error) => return Ok(refuse(cx, reply, error)),
    };
    let known = parts.iter_mut().filter(|part| part.error_code.is_none());
    known.zip(results).for_each(|(part, result)| part.error_code = result_code(result));
    Ok(Answer::Later(Box::new(OffsetDelete { reply, parts })))
}

fn refuse(cx: &mut Context<'_>, reply: Reply, error: GroupError) -> Answer {
    let response = OffsetDeleteResponse { error_code: group_code(error), ..Default::default() };
    reply.send(&mut cx.out, &response)
}

impl Pending for OffsetDelete {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let OffsetDelete { reply, parts } = *match completion {
            Completion::Stored(Ok(())) => self,
            Completion::Stored(Err(error)) => return refuse(cx, self.reply, error),
            _ => return Answer::Later(self),
        };
        let each = |topics: &mut Elements<'_, '_, OffsetDeleteResponseTopic<'static>>| {
            for group in parts.chunk_by(|a, b| Arc::ptr_eq(&a.topic, &b.topic)) {
                let Some(Part { topic, .. }) = group.first() else { continue };
                let each = |out: &mut Elements<'_, '_, OffsetDeleteResponsePartition>| {
                    for Part { index, error_code, .. } in group {
                        let (partition_index, error_code) = (*index, *error_code);
                        out.put(OffsetDeleteResponsePartition { partition_index, error_code });
                    }
                };
                topics.put(OffsetDeleteResponseTopic { name: topic, partitions: Array::counted(group.len(), &each) });
            }
        };
        reply.send(&mut cx.out, &OffsetDeleteResponse { topics: Array::each(&each), ..Default::default() })
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
