//! OffsetForLeaderEpoch (KIP-320): where an epoch ended, so that a consumer sees whether its position was truncated
//! away.

use super::partitions::{locate, read_code};
use super::{Answer, Context, Reply};
use crate::engine::Engine;
use crate::kafka::codec::{
    Array, Elements, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderPartitionResult, OffsetForLeaderTopicResult, Request,
};
use crate::types::{LeaderEpoch, Offset, ReadError};

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: OffsetForLeaderEpochRequest<'_> = request.body()?;
    let engine = &*cx.engine;
    let each = |out: &mut Elements<'_, '_, OffsetForLeaderTopicResult<'static>>| {
        for topic in body.topics {
            let each = |out: &mut Elements<'_, '_, OffsetForLeaderPartitionResult>| {
                topic.partitions.iter().for_each(|asked| out.put(end(engine, topic.topic, &asked)));
            };
            let partitions = Array::counted(topic.partitions.len(), &each);
            out.put(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
        }
    };
    let topics = Array::counted(body.topics.len(), &each);
    Ok(reply.send(&mut cx.out, &OffsetForLeaderEpochResponse { topics, ..Default::default() }))
}

fn end(engine: &Engine, topic: &str, asked: &OffsetForLeaderPartition) -> OffsetForLeaderPartitionResult {
    let (partition, none) = (asked.partition, LeaderEpoch::NONE);
    let nothing =
        OffsetForLeaderPartitionResult { partition, leader_epoch: none, end_offset: Offset(-1), ..Default::default() };
    let found = locate(engine, topic, partition).and_then(|key| {
        engine
            .check_leader_epoch(key, asked.current_leader_epoch)
            .and_then(|()| engine.epoch_end(key, asked.leader_epoch))
            .map_err(|error| read_code(&error))
    });
    match found {
        Ok((leader_epoch, end_offset)) => OffsetForLeaderPartitionResult { leader_epoch, end_offset, ..nothing },
        Err(error_code) => OffsetForLeaderPartitionResult { error_code, ..nothing },
    }
}
