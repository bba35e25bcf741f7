//! ListOffsets: the first offset at or after a time, or one of the ends of a partition.
//!
//! At most `KAFKA_OFFSET_SEARCHES_MAX` searches of a request are with the engine at once; the next begins when one ends.
//! The isolation level changes nothing while there are no transactions.

use super::partitions::{TopicKey, read_code};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, FoundOffset, OffsetSpec, ReadError as EngineError};
use crate::kafka::codec::{
    Array, ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::KAFKA_OFFSET_SEARCHES_MAX;
use crate::types::{LeaderEpoch, ReadError, Timestamp};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// A request that is being searched for.
#[derive(Debug)]
struct ListOffsets {
    reply: Reply,
    parts: Vec<Part>,
    /// Parts before this one have been asked for.
    next: usize,
    /// Searches that the engine has not answered yet.
    running: usize,
}

#[derive(Debug)]
struct Part {
    topic: TopicKey,
    asked: ListOffsetsPartition,
    answer: ListOffsetsPartitionResponse,
}

/// Parts and reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: ListOffsetsRequest<'_> = request.body()?;
    let part_bytes = size_of::<Part>() + 32;
    Ok(64 + body.topics.iter().map(|topic| 2 * topic.name.len() + part_bytes * topic.partitions.len()).sum::<usize>())
}

/// Begins the searches.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListOffsetsRequest<'_> = request.body()?;
    let mut parts = Vec::with_capacity(body.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in body.topics {
        let key = TopicKey::named(cx.engine, topic.name);
        for asked in topic.partitions {
            let answer = ListOffsetsPartitionResponse { partition_index: asked.partition_index, ..Default::default() };
            parts.push(Part { topic: key.clone(), asked, answer });
        }
    }
    Ok(Box::new(ListOffsets { reply, parts, next: 0, running: 0 }).go_on(cx))
}

impl ListOffsets {
    /// Asks for what has not been asked for, as far as that is allowed at once; answers when all is known.
    fn go_on(mut self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        while self.running < KAFKA_OFFSET_SEARCHES_MAX
            && let Some(part) = self.parts.get_mut(self.next)
        {
            match part.ask(cx, self.next as u32) {
                Ok(is_running) => self.running += is_running as usize,
                Err(EngineError::Busy) => {
                    cx.wake_at_turn_end();
                    return Answer::Later(self);
                }
                Err(error) => part.answer.error_code = read_code(&error),
            }
            self.next += 1;
        }
        if self.running > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let ListOffsets { reply, parts, .. } = self;
        reply.send(
            &mut cx.out,
            &ListOffsetsResponse {
                topics: Array::each(&|topics| {
                    for group in parts.chunk_by(|a, b| a.topic == b.topic) {
                        let Some(Part { topic, .. }) = group.first() else { continue };
                        topics.put(ListOffsetsTopicResponse {
                            name: topic.name(),
                            partitions: Array::each(&|partitions| {
                                group.iter().for_each(|part| partitions.put(part.answer))
                            }),
                        });
                    }
                }),
                ..Default::default()
            },
        )
    }
}

impl Pending for ListOffsets {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Offset { result, .. } = completion else { return Answer::Later(self) };
        self.running = self.running.saturating_sub(1);
        if let Some(part) = self.parts.get_mut(item as usize) {
            part.found(result);
        }
        self.go_on(cx)
    }

    fn wake(self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        self.go_on(cx)
    }
}

impl Part {
    /// True when the engine will answer, false when the answer is known.
    fn ask(&mut self, cx: &mut Context<'_>, item: u32) -> Result<bool, EngineError> {
        let spec = match self.asked.timestamp {
            LATEST => OffsetSpec::Latest,
            EARLIEST | EARLIEST_LOCAL => OffsetSpec::Earliest,
            MAX_TIMESTAMP => OffsetSpec::MaxTimestamp,
            LATEST_TIERED => return Ok(false), // nothing is tiered: unknown
            time if time >= 0 => OffsetSpec::AtOrAfter(Timestamp(time)),
            _ => {
                self.answer.error_code = ErrorCode::UNSUPPORTED_VERSION;
                return Ok(false);
            }
        };
        let key = match self.topic.locate(cx.engine, self.asked.partition_index) {
            Ok(key) => key,
            Err(code) => {
                self.answer.error_code = code;
                return Ok(false);
            }
        };
        cx.engine.check_leader_epoch(key, self.asked.current_leader_epoch)?;
        let waiter = cx.waiter(item);
        cx.engine.find_offset(cx.now, key, spec, waiter, cx.out.fx).map(|()| true)
    }

    fn found(&mut self, result: Result<Option<FoundOffset>, EngineError>) {
        match result {
            Ok(Some(found)) => {
                self.answer.offset = found.offset;
                self.answer.timestamp = found.timestamp;
                self.answer.leader_epoch = found.leader_epoch;
            }
            Ok(None) => self.answer.leader_epoch = LeaderEpoch::NONE,
            Err(error) => self.answer.error_code = read_code(&error),
        }
    }
}
