//! OffsetFetch: what a group has committed; from version 8 on of several groups. Written straight from the engine's
//! view.

use std::collections::BTreeMap;

use super::groups::group_code;
use super::{Answer, Context, Reply};
use crate::engine::{Committed, Engine, GroupError, Offsets};
use crate::kafka::codec::{
    Array, Elements, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex, ReadError};

const SEVERAL_FROM: i16 = 8;

/// The first version with a code for the whole group.
const GROUP_CODE_FROM: i16 = 2;

/// A partition in the answer, but its note.
const PARTITION_BYTES: usize = 32;

type Topics<'a> = Option<Array<'a, OffsetFetchRequestTopic<'a>>>;

/// The reply, notes included.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: OffsetFetchRequest<'_> = request.body()?;
    let bytes = match request.version {
        SEVERAL_FROM.. => body.groups.iter().map(|group| group_bytes(cx.engine, group.group_id, group.topics)).sum(),
        _ => group_bytes(cx.engine, body.group_id, body.topics),
    };
    Ok(256 + 2 * frame_bytes + bytes)
}

fn group_bytes(engine: &Engine, group: &str, topics: Topics<'_>) -> usize {
    let offsets = engine.group(group).ok().flatten().map(|group| group.offsets());
    let Some(topics) = topics else { return 64 + offsets.map_or(0, Offsets::held_bytes) };
    let note =
        |topic: &str, index| offsets.and_then(|offsets| offsets.get(topic, index)).map_or(0, |c| c.metadata.len());
    let topic_bytes = |topic: OffsetFetchRequestTopic<'_>| {
        topic.partition_indexes.iter().map(|index| PARTITION_BYTES + note(topic.name, index)).sum::<usize>()
    };
    64 + topics.iter().map(topic_bytes).sum::<usize>()
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: OffsetFetchRequest<'_> = request.body()?;
    let engine = &*cx.engine;
    if request.version >= SEVERAL_FROM {
        let each = |groups: &mut Elements<'_, '_, OffsetFetchResponseGroup<'static>>| {
            for asked in body.groups {
                let view = View::of(engine, asked.group_id, asked.topics).checked(engine, &asked);
                let each = |out: &mut Elements<'_, '_, _>| view.put(out, ErrorCode::NONE);
                groups.put(OffsetFetchResponseGroup {
                    group_id: asked.group_id,
                    topics: Array::each(&each),
                    error_code: view.error_code,
                });
            }
        };
        let groups = Array::counted(body.groups.len(), &each);
        return Ok(reply.send(&mut cx.out, &OffsetFetchResponse { groups, ..Default::default() }));
    }
    let mut view = View::of(engine, body.group_id, body.topics);
    // Before there was a code for the group, it stood with each partition.
    let each_code = if request.version < GROUP_CODE_FROM { view.error_code } else { ErrorCode::NONE };
    if !each_code.is_none() {
        view.tells_topics = true;
    }
    let each = |out: &mut Elements<'_, '_, _>| view.put(out, each_code);
    let response =
        OffsetFetchResponse { topics: Array::each(&each), error_code: view.error_code, ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}

/// What one group's answer is written from.
struct View<'a> {
    offsets: Option<&'a Offsets>,
    asked: Topics<'a>,
    error_code: ErrorCode,
    tells_topics: bool,
}

impl<'a> View<'a> {
    fn of(engine: &'a Engine, group: &str, asked: Topics<'a>) -> View<'a> {
        let found: Result<_, GroupError> = engine.group(group);
        View {
            offsets: found.ok().flatten().map(|group| group.offsets()),
            asked,
            error_code: found.map_or_else(group_code, |_| ErrorCode::NONE),
            tells_topics: found.is_ok(),
        }
    }

    /// A member of a consumer group is told nothing unless it stands where it believes to.
    fn checked(self, engine: &Engine, asked: &OffsetFetchRequestGroup<'_>) -> View<'a> {
        let group = engine.group(asked.group_id).ok().flatten();
        match group.map_or(Ok(()), |group| group.check_look(asked.member_id, asked.member_epoch)) {
            Ok(()) => self,
            Err(error) => View { error_code: group_code(error), tells_topics: false, ..self },
        }
    }

    fn put(&self, out: &mut Elements<'_, '_, OffsetFetchResponseTopic<'static>>, error_code: ErrorCode) {
        if !self.tells_topics {
            return;
        }
        let Some(asked) = self.asked else {
            for (name, partitions) in self.offsets.into_iter().flat_map(Offsets::topics) {
                put_all(out, name, partitions);
            }
            return;
        };
        for topic in asked {
            let each = |out: &mut Elements<'_, '_, OffsetFetchResponsePartition<'static>>| {
                for index in topic.partition_indexes {
                    let committed = self.offsets.and_then(|offsets| offsets.get(topic.name, index));
                    out.put(partition(index, committed, error_code));
                }
            };
            let partitions = Array::counted(topic.partition_indexes.len(), &each);
            out.put(OffsetFetchResponseTopic { name: topic.name, partitions });
        }
    }
}

fn put_all(
    out: &mut Elements<'_, '_, OffsetFetchResponseTopic<'static>>,
    name: &str,
    partitions: &BTreeMap<PartitionIndex, Committed>,
) {
    let each = |out: &mut Elements<'_, '_, OffsetFetchResponsePartition<'static>>| {
        partitions.iter().for_each(|(&index, committed)| out.put(partition(index, Some(committed), ErrorCode::NONE)));
    };
    out.put(OffsetFetchResponseTopic { name, partitions: Array::counted(partitions.len(), &each) });
}

fn partition(
    partition_index: PartitionIndex,
    committed: Option<&Committed>,
    error_code: ErrorCode,
) -> OffsetFetchResponsePartition<'_> {
    match committed {
        Some(committed) => OffsetFetchResponsePartition {
            partition_index,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            metadata: Some(&committed.metadata),
            error_code,
        },
        None => OffsetFetchResponsePartition {
            partition_index,
            committed_offset: Offset(-1),
            metadata: Some(""),
            error_code,
            ..Default::default()
        },
    }
}
