//! DeleteRecords: moves the start of partitions up, to an offset or to the high watermark (-1).
//!
//! Answered when the new starts are noted on the disk, so the request's timeout has nothing to bound. At most
//! `KAFKA_OFFSET_SEARCHES_MAX` deletions of a request are with the engine at once.

use std::sync::Arc;

use super::metadata::INTERNAL_TOPICS;
use super::partitions::{locate, read_code};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, ReadError as EngineError};
use crate::kafka::codec::{
    Array, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
    Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::KAFKA_OFFSET_SEARCHES_MAX;
use crate::types::{Offset, PartitionIndex, ReadError};

/// A request whose partitions are being shortened.
#[derive(Debug)]
struct DeleteRecords {
    reply: Reply,
    parts: Vec<Part>,
    /// Parts before this one have been asked for.
    next: usize,
    /// Deletions that the engine has not answered yet.
    running: usize,
}

#[derive(Debug)]
struct Part {
    topic: Arc<str>,
    index: PartitionIndex,
    before: Offset,
    result: Result<Offset, ErrorCode>,
}

/// Parts and reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DeleteRecordsRequest<'_> = request.body()?;
    let part_bytes = size_of::<Part>() + 32;
    let topics = body.topics.iter().map(|topic| 64 + 2 * topic.name.len() + part_bytes * topic.partitions.len());
    Ok(256 + topics.sum::<usize>())
}

/// Begins the deletions.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DeleteRecordsRequest<'_> = request.body()?;
    let mut parts = Vec::with_capacity(body.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in body.topics {
        let name: Arc<str> = topic.name.into();
        for partition in topic.partitions {
            let (index, before) = (partition.partition_index, partition.offset);
            parts.push(Part { topic: name.clone(), index, before, result: Ok(Offset(-1)) });
        }
    }
    Ok(Box::new(DeleteRecords { reply, parts, next: 0, running: 0 }).go_on(cx))
}

impl DeleteRecords {
    /// Asks for what has not been asked for, as far as that is allowed at once; answers when all is known.
    fn go_on(mut self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        while self.running < KAFKA_OFFSET_SEARCHES_MAX
            && let Some(part) = self.parts.get_mut(self.next)
        {
            match part.ask(cx, self.next as u32) {
                Ok(()) => self.running += 1,
                Err(Refusal::Busy) => {
                    cx.wake_at_turn_end();
                    return Answer::Later(self);
                }
                Err(Refusal::Code(code)) => part.result = Err(code),
            }
            self.next += 1;
        }
        if self.running > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let DeleteRecords { reply, parts, .. } = self;
        let each = |topics: &mut Elements<'_, '_, DeleteRecordsTopicResult<'static>>| {
            for group in parts.chunk_by(|a, b| Arc::ptr_eq(&a.topic, &b.topic)) {
                let Some(Part { topic, .. }) = group.first() else { continue };
                let each = |out: &mut Elements<'_, '_, DeleteRecordsPartitionResult>| {
                    group.iter().for_each(|part| out.put(part.response()));
                };
                topics.put(DeleteRecordsTopicResult { name: topic, partitions: Array::counted(group.len(), &each) });
            }
        };
        reply.send(&mut cx.out, &DeleteRecordsResponse { topics: Array::each(&each), ..Default::default() })
    }
}

impl Pending for DeleteRecords {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::RecordsDeleted { result, .. } = completion else { return Answer::Later(self) };
        self.running = self.running.saturating_sub(1);
        if let Some(part) = self.parts.get_mut(item as usize) {
            part.result = result.map_err(|error| read_code(&error));
        }
        self.go_on(cx)
    }

    fn wake(self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        self.go_on(cx)
    }
}

enum Refusal {
    /// Ask again at the end of the turn.
    Busy,
    Code(ErrorCode),
}

impl Part {
    fn ask(&self, cx: &mut Context<'_>, item: u32) -> Result<(), Refusal> {
        if INTERNAL_TOPICS.contains(&&*self.topic) {
            return Err(Refusal::Code(ErrorCode::INVALID_TOPIC_EXCEPTION));
        }
        let key = locate(cx.engine, &self.topic, self.index).map_err(Refusal::Code)?;
        let waiter = cx.waiter(item);
        cx.engine.delete_records(cx.now, key, self.before, waiter, cx.out.fx).map_err(|error| match error {
            EngineError::Busy => Refusal::Busy,
            error => Refusal::Code(read_code(&error)),
        })
    }

    fn response(&self) -> DeleteRecordsPartitionResult {
        DeleteRecordsPartitionResult {
            partition_index: self.index,
            low_watermark: *self.result.as_ref().unwrap_or(&Offset(-1)),
            error_code: self.result.err().unwrap_or(ErrorCode::NONE),
        }
    }
}
