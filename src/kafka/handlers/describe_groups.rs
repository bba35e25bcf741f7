//! DescribeGroups: state and members of each group asked for.

use super::groups::{AUTHORIZED_OPERATIONS, group_code};
use super::{Answer, Context, Reply};
use crate::engine::{Engine, Group, GroupState};
use crate::kafka::codec::{
    Array, DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// Before it, a group that does not exist is one that is dead.
const NOT_FOUND_FROM: i16 = 6;

const GROUP_BYTES: usize = 160;

/// The reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeGroupsRequest<'_> = request.body()?;
    let described = |name: &str| cx.engine.group(name).ok().flatten().map_or(0, Group::described_bytes);
    Ok(256 + frame_bytes + body.groups.iter().map(|name| GROUP_BYTES + described(name)).sum::<usize>())
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeGroupsRequest<'_> = request.body()?;
    let (engine, version) = (&*cx.engine, request.version);
    let operations = if body.include_authorized_operations { AUTHORIZED_OPERATIONS } else { i32::MIN };
    let each = |out: &mut Elements<'_, '_, DescribedGroup<'static>>| {
        body.groups.iter().for_each(|name| put_group(out, engine, version, name, operations));
    };
    let groups = Array::counted(body.groups.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeGroupsResponse { groups, ..Default::default() }))
}

fn put_group(
    out: &mut Elements<'_, '_, DescribedGroup<'static>>,
    engine: &Engine,
    version: i16,
    group_id: &str,
    authorized_operations: i32,
) {
    let none = DescribedGroup { group_id, authorized_operations, ..Default::default() };
    match engine.group(group_id) {
        Err(error) => out.put(DescribedGroup { error_code: group_code(error), ..none }),
        Ok(found) if version >= NOT_FOUND_FROM && !found.is_some_and(is_classic) => {
            let message = match found {
                Some(_) => format!("Group {group_id} is not a classic group."),
                None => format!("Group {group_id} not found."),
            };
            let (error_code, group_state) = (ErrorCode::GROUP_ID_NOT_FOUND, GroupState::Dead.name());
            out.put(DescribedGroup { error_code, group_state, error_message: Some(&message), ..none });
        }
        Ok(Some(group)) if is_classic(group) => {
            let protocol = group.protocol().filter(|_| group.state() == GroupState::Stable);
            let each = |out: &mut Elements<'_, '_, _>| put_members(out, group, protocol);
            out.put(DescribedGroup {
                group_state: group.state().name(),
                protocol_type: group.protocol_type().unwrap_or_default(),
                protocol_data: protocol.unwrap_or_default(),
                members: Array::counted(group.members().len(), &each),
                ..none
            });
        }
        Ok(_) => out.put(DescribedGroup { group_state: GroupState::Dead.name(), ..none }),
    }
}

fn is_classic(group: &Group) -> bool {
    group.consumer().is_none()
}

fn put_members(out: &mut Elements<'_, '_, DescribedGroupMember<'static>>, group: &Group, protocol: Option<&str>) {
    for (member_id, member) in group.members() {
        let metadata = protocol.and_then(|protocol| member.metadata(protocol));
        out.put(DescribedGroupMember {
            member_id,
            group_instance_id: member.instance.as_deref(),
            client_id: &member.client_id,
            client_host: &member.client_host,
            member_metadata: metadata.map_or(&[], |metadata| metadata),
            member_assignment: &member.assignment,
        });
    }
}
