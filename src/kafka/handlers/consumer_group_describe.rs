//! ConsumerGroupDescribe: state, epochs and members of groups whose coordinator assigns.

use super::groups::{AUTHORIZED_OPERATIONS, group_code, group_sentence};
use super::{Answer, Context, Reply};
use crate::engine::{Consumer, ConsumerMember, Engine, Group, GroupState, Partitions};
use crate::kafka::codec::{
    Array, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescribedAssignment,
    ConsumerGroupDescribedGroup, ConsumerGroupDescribedMember, ConsumerGroupDescribedTopicPartitions, Elements,
    Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, ReadError};

const GROUP_BYTES: usize = 160;

/// What kind of member is told.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// The reply: names of topics stand with each member's partitions.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: ConsumerGroupDescribeRequest<'_> = request.body()?;
    let described = |name: &str| cx.engine.group(name).ok().flatten().map_or(0, |group| bytes_of(cx.engine, group));
    Ok(256 + 2 * frame_bytes + body.group_ids.iter().map(|name| GROUP_BYTES + described(name)).sum::<usize>())
}

fn bytes_of(engine: &Engine, group: &Group) -> usize {
    let names = |set: &Partitions| {
        let name = |id| engine.view().topic_names.get(&id).map_or(0, |name| name.len());
        set.by_topic().map(|(id, _)| 32 + name(id)).sum::<usize>()
    };
    let members = group.consumer().into_iter().flat_map(Consumer::members);
    group.described_bytes() + members.map(|(_, member)| names(&member.assigned) + names(&member.target)).sum::<usize>()
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ConsumerGroupDescribeRequest<'_> = request.body()?;
    let engine = &*cx.engine;
    let operations = if body.include_authorized_operations { AUTHORIZED_OPERATIONS } else { i32::MIN };
    let each = |out: &mut Elements<'_, '_, ConsumerGroupDescribedGroup<'static>>| {
        body.group_ids.iter().for_each(|name| put_group(out, engine, name, operations));
    };
    let groups = Array::counted(body.group_ids.len(), &each);
    Ok(reply.send(&mut cx.out, &ConsumerGroupDescribeResponse { groups, ..Default::default() }))
}

fn put_group(
    out: &mut Elements<'_, '_, ConsumerGroupDescribedGroup<'static>>,
    engine: &Engine,
    group_id: &str,
    authorized_operations: i32,
) {
    let none = ConsumerGroupDescribedGroup { group_id, authorized_operations, ..Default::default() };
    let found = match engine.group(group_id) {
        Err(error) => {
            let error_message = Some(group_sentence(error));
            return out.put(ConsumerGroupDescribedGroup { error_code: group_code(error), error_message, ..none });
        }
        Ok(found) => found.and_then(|group| Some((group, group.consumer()?))),
    };
    let Some((group, consumer)) = found else {
        let message = match engine.group(group_id) {
            Ok(Some(_)) => format!("Group {group_id} is not a consumer group."),
            _ => format!("Group {group_id} not found."),
        };
        let (error_code, group_state) = (ErrorCode::GROUP_ID_NOT_FOUND, GroupState::Dead.name());
        return out.put(ConsumerGroupDescribedGroup { error_code, group_state, error_message: Some(&message), ..none });
    };
    let each = |out: &mut Elements<'_, '_, ConsumerGroupDescribedMember<'static>>| {
        consumer.members().for_each(|(member_id, member)| put_member(out, engine, member_id, member));
    };
    out.put(ConsumerGroupDescribedGroup {
        group_state: group.state().name(),
        group_epoch: consumer.epoch(),
        assignment_epoch: consumer.assignment_epoch(),
        assignor_name: consumer.assignor().name(),
        members: Array::counted(consumer.members().len(), &each),
        ..none
    });
}

fn put_member(
    out: &mut Elements<'_, '_, ConsumerGroupDescribedMember<'static>>,
    engine: &Engine,
    member_id: &str,
    member: &ConsumerMember,
) {
    let each = |out: &mut Elements<'_, '_, &'static str>| member.topics.iter().for_each(|topic| out.put(&**topic));
    let assigned = |out: &mut Elements<'_, '_, _>| put_partitions(out, engine, &member.assigned);
    let target = |out: &mut Elements<'_, '_, _>| put_partitions(out, engine, &member.target);
    out.put(ConsumerGroupDescribedMember {
        member_id,
        instance_id: member.instance.as_deref(),
        rack_id: member.rack.as_deref(),
        member_epoch: member.epoch,
        client_id: &member.client_id,
        client_host: &member.client_host,
        subscribed_topic_names: Array::counted(member.topics.len(), &each),
        subscribed_topic_regex: Some(member.regex.as_deref().unwrap_or_default()),
        assignment: ConsumerGroupDescribedAssignment { topic_partitions: Array::each(&assigned) },
        target_assignment: ConsumerGroupDescribedAssignment { topic_partitions: Array::each(&target) },
        member_type: if member.classic.is_some() { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
    });
}

/// Topics that do not exist any more have no name, and are left out.
fn put_partitions(
    out: &mut Elements<'_, '_, ConsumerGroupDescribedTopicPartitions<'static>>,
    engine: &Engine,
    set: &Partitions,
) {
    for (topic_id, run) in set.by_topic() {
        let Some(topic_name) = engine.view().topic_names.get(&topic_id) else { continue };
        let each = |out: &mut Elements<'_, '_, PartitionIndex>| run.iter().for_each(|one| out.put(one.1));
        let partitions = Array::counted(run.len(), &each);
        out.put(ConsumerGroupDescribedTopicPartitions { topic_id, topic_name, partitions });
    }
}
