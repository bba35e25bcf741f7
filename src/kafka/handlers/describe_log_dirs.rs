//! DescribeLogDirs: the one directory of logs, how large each partition in it is, and how much room is left.
//!
//! How much room there is the disk is asked for; when it does not say, the answer is -1, as the protocol has it.

use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, DiskSpace, Engine, PartitionView, Topic};
use crate::kafka::codec::{
    Array, DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

/// Room on the disk is told from this version on.
const SPACE_FROM_VERSION: i16 = 4;

const TOPIC_BYTES: usize = 32;
const PARTITION_BYTES: usize = 32;

/// A request that waits for the disk's word.
#[derive(Debug)]
struct DescribeLogDirs {
    reply: Reply,
    /// `None`: all of them.
    topics: Option<Vec<(Box<str>, Vec<PartitionIndex>)>>,
}

/// What was asked for, and the reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeLogDirsRequest<'_> = request.body()?;
    let fixed = 1024 + cx.engine.log_dir().len();
    Ok(fixed
        + match body.topics {
            // Each partition that is asked for is in the answer once at most, so the question bounds it.
            Some(topics) => {
                let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
                3 * frame_bytes + 64 * topics.len() + PARTITION_BYTES * partitions
            }
            None => {
                let topics = cx.engine.view().topics.values();
                topics.map(|topic| TOPIC_BYTES + topic.name.len() + PARTITION_BYTES * topic.partitions.len()).sum()
            }
        })
}

/// Asks the disk, if the version has a place for its answer.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeLogDirsRequest<'_> = request.body()?;
    let owned = |topic: DescribableLogDirTopic<'_>| (topic.topic.into(), topic.partitions.iter().collect());
    let pending = DescribeLogDirs { reply, topics: body.topics.map(|topics| topics.iter().map(owned).collect()) };
    let waiter = cx.waiter(0);
    if request.version >= SPACE_FROM_VERSION && cx.engine.ask_disk_space(waiter, cx.out.fx) {
        return Ok(Answer::Later(Box::new(pending)));
    }
    Ok(pending.answer(cx, None))
}

impl DescribeLogDirs {
    fn answer(self, cx: &mut Context<'_>, space: Option<DiskSpace>) -> Answer {
        let DescribeLogDirs { reply, topics } = self;
        let engine = &*cx.engine;
        let bytes = |bytes: Option<u64>| bytes.map_or(-1, |bytes| bytes.min(i64::MAX as u64) as i64);
        let each = |out: &mut Elements<'_, '_, DescribeLogDirsTopic<'static>>| match &topics {
            None => engine.view().topics.values().for_each(|topic| put_topic(out, engine, topic, None)),
            Some(asked) => {
                for (name, partitions) in asked {
                    if let Some(topic) = engine.view().topic(name) {
                        put_topic(out, engine, topic, Some(partitions));
                    }
                }
            }
        };
        let result = DescribeLogDirsResult {
            error_code: ErrorCode::NONE,
            log_dir: engine.log_dir(),
            topics: Array::each(&each),
            total_bytes: bytes(space.map(|space| space.total_bytes)),
            usable_bytes: bytes(space.map(|space| space.usable_bytes)),
        };
        let results = [result];
        let response = DescribeLogDirsResponse { results: Array::of(&results), ..Default::default() };
        reply.send(&mut cx.out, &response)
    }
}

impl Pending for DescribeLogDirs {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::DiskSpace(space) => self.answer(cx, space),
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

/// The partitions of a topic that lie here, of those asked for; a topic without one is left out.
fn put_topic(
    out: &mut Elements<'_, '_, DescribeLogDirsTopic<'static>>,
    engine: &Engine,
    topic: &Topic,
    asked: Option<&[PartitionIndex]>,
) {
    let view_of = |index: PartitionIndex| engine.partition_view(engine.partition(&topic.name, index)?);
    let all = 0..topic.partitions.len() as i32;
    let is_asked = |index: &PartitionIndex| asked.is_none_or(|asked| asked.contains(index));
    let here = || all.clone().map(PartitionIndex).filter(is_asked).filter_map(view_of);
    if here().next().is_some() {
        let each = |out: &mut Elements<'_, '_, _>| here().for_each(|view| out.put(partition(&view)));
        out.put(DescribeLogDirsTopic { name: &topic.name, partitions: Array::each(&each) });
    }
}

fn partition(view: &PartitionView) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: view.index,
        partition_size: view.size_bytes.min(i64::MAX as u64) as i64,
        offset_lag: (view.high_watermark.0 - view.log_end_offset.0).max(0),
        is_future_key: false,
    }
}
