//! OffsetCommit: answered when the offsets are durable. Partitions that do not exist and notes that are too long are
//! refused one by one, the rest is committed.

use std::sync::Arc;

use super::groups::{member_of, result_code};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, GroupError, OffsetToCommit};
use crate::kafka::codec::{
    Array, Elements, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

/// A request whose offsets are being written.
#[derive(Debug)]
struct OffsetCommit {
    reply: Reply,
    parts: Vec<Part>,
}

/// One partition, and why it is refused.
#[derive(Debug)]
struct Part {
    topic: Arc<str>,
    index: PartitionIndex,
    error_code: ErrorCode,
}

/// Parts, what the engine is given, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: OffsetCommitRequest<'_> = request.body()?;
    let part_bytes = size_of::<Part>() + size_of::<OffsetToCommit<'_>>() + 16;
    let topics = body.topics.iter().map(|topic| 64 + 2 * topic.name.len() + part_bytes * topic.partitions.len());
    Ok(256 + topics.sum::<usize>())
}

/// Hands what can be committed to the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: OffsetCommitRequest<'_> = request.body()?;
    let (mut parts, mut offsets) = (Vec::new(), Vec::new());
    for topic in body.topics {
        let name: Arc<str> = match cx.engine.view().topic(topic.name) {
            Some(known) => known.name.clone(),
            None => topic.name.into(),
        };
        for asked in topic.partitions {
            let error_code = check(cx, topic.name, &asked);
            if error_code.is_none() {
                offsets.push(to_commit(topic.name, &asked, body.retention_time_ms));
            }
            parts.push(Part { topic: name.clone(), index: asked.partition_index, error_code });
        }
    }
    let generation = body.generation_id_or_member_epoch;
    let from = member_of(body.group_id, generation, body.member_id, body.group_instance_id);
    let waiter = cx.waiter(0);
    let commit = OffsetCommit { reply, parts };
    match cx.engine.commit_offsets(cx.now, &from, &offsets, waiter) {
        Ok(()) => Ok(Answer::Later(Box::new(commit))),
        Err(error) => Ok(commit.answer(cx, Err(error))),
    }
}

fn check(cx: &Context<'_>, topic: &str, asked: &OffsetCommitRequestPartition<'_>) -> ErrorCode {
    if cx.engine.view().partition(topic, asked.partition_index).is_none() {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    } else if asked.committed_metadata.is_some_and(|note| note.len() > cx.settings.offset_metadata_bytes_max) {
        ErrorCode::OFFSET_METADATA_TOO_LARGE
    } else {
        ErrorCode::NONE
    }
}

fn to_commit<'a>(topic: &'a str, asked: &OffsetCommitRequestPartition<'a>, retention_ms: i64) -> OffsetToCommit<'a> {
    OffsetToCommit {
        topic,
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: asked.committed_metadata.unwrap_or_default(),
        retention_ms: u64::try_from(retention_ms).ok(),
    }
}

impl OffsetCommit {
    fn answer(self, cx: &mut Context<'_>, result: Result<(), GroupError>) -> Answer {
        let OffsetCommit { reply, parts } = self;
        let code = |part: &Part| if part.error_code.is_none() { result_code(result) } else { part.error_code };
        let each = |topics: &mut Elements<'_, '_, OffsetCommitResponseTopic<'static>>| {
            for group in parts.chunk_by(|a, b| Arc::ptr_eq(&a.topic, &b.topic)) {
                let Some(Part { topic, .. }) = group.first() else { continue };
                let each = |out: &mut Elements<'_, '_, OffsetCommitResponsePartition>| {
                    for part in group {
                        let error_code = code(part);
                        out.put(OffsetCommitResponsePartition { partition_index: part.index, error_code });
                    }
                };
                topics.put(OffsetCommitResponseTopic { name: topic, partitions: Array::counted(group.len(), &each) });
            }
        };
        reply.send(&mut cx.out, &OffsetCommitResponse { topics: Array::each(&each), ..Default::default() })
    }
}

impl Pending for OffsetCommit {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::Stored(result) => self.answer(cx, result),
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
