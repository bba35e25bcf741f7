//! DescribeProducers (KIP-664): which idempotent producers a partition remembers.

use super::partitions::locate;
use super::{Answer, Context, Reply};
use crate::engine::{Engine, PartitionKey};
use crate::kafka::codec::{
    ActiveProducer, Array, DescribeProducersPartition, DescribeProducersRequest, DescribeProducersResponse,
    DescribeProducersTopicResult, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex, ReadError, Timestamp};

const PARTITION_BYTES: usize = 64;
const PRODUCER_BYTES: usize = 48;

/// The reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeProducersRequest<'_> = request.body()?;
    let mut bytes = 256 + 2 * frame_bytes;
    let limit = cx.out.admission.limit_bytes(crate::kafka::admission::Purpose::State);
    for topic in body.topics {
        for index in topic.partition_indexes {
            let key = cx.engine.partition(topic.name, index);
            let producers = key.map_or(0, |key| cx.engine.producers(key).count());
            bytes += PARTITION_BYTES + PRODUCER_BYTES * producers;
            if bytes > limit {
                return Ok(bytes); // refused, however much more there is
            }
        }
    }
    Ok(bytes)
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeProducersRequest<'_> = request.body()?;
    let engine = &*cx.engine;
    let each = |out: &mut Elements<'_, '_, DescribeProducersTopicResult<'static>>| {
        for topic in body.topics {
            let each = |out: &mut Elements<'_, '_, DescribeProducersPartition<'static>>| {
                for index in topic.partition_indexes {
                    put_partition(out, engine, index, locate(engine, topic.name, index));
                }
            };
            let partitions = Array::counted(topic.partition_indexes.len(), &each);
            out.put(DescribeProducersTopicResult { name: topic.name, partitions });
        }
    };
    let topics = Array::counted(body.topics.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeProducersResponse { topics, ..Default::default() }))
}

fn put_partition(
    out: &mut Elements<'_, '_, DescribeProducersPartition<'static>>,
    engine: &Engine,
    partition_index: PartitionIndex,
    found: Result<PartitionKey, ErrorCode>,
) {
    let each = |out: &mut Elements<'_, '_, ActiveProducer>| {
        let Ok(key) = found else { return };
        for producer in engine.producers(key) {
            out.put(ActiveProducer {
                producer_id: producer.id,
                producer_epoch: producer.epoch.0.into(),
                last_sequence: producer.last_sequence.unwrap_or(-1),
                last_timestamp: producer.last_timestamp.unwrap_or(Timestamp(-1)),
                coordinator_epoch: -1,
                current_txn_start_offset: Offset(-1),
            });
        }
    };
    let error_code = found.err().unwrap_or(ErrorCode::NONE);
    let active_producers = Array::each(&each);
    out.put(DescribeProducersPartition { partition_index, error_code, error_message: None, active_producers });
}
