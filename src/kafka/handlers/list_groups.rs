//! ListGroups: the groups that this node coordinates, filtered by state and type.

use super::{Answer, Context, Reply};
use crate::engine::{Engine, Group};
use crate::kafka::codec::{Array, Elements, ListGroupsRequest, ListGroupsResponse, ListedGroup, Request};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// The reply, unfiltered.
pub fn estimate(cx: &Context<'_>, _request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let (groups, _) = cx.engine.groups();
    Ok(256 + groups.map(|group| 48 + group.name().len() + group.protocol_type().map_or(0, str::len)).sum::<usize>())
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListGroupsRequest<'_> = request.body()?;
    let (_, is_partial) = cx.engine.groups();
    let engine = &*cx.engine;
    let each = |out: &mut Elements<'_, '_, ListedGroup<'static>>| {
        wanted(engine, &body).for_each(|group| {
            out.put(ListedGroup {
                group_id: group.name(),
                protocol_type: group.protocol_type().unwrap_or_default(),
                group_state: group.state().name(),
                group_type: group.kind(),
            });
        });
    };
    let error_code = if is_partial { ErrorCode::COORDINATOR_LOAD_IN_PROGRESS } else { ErrorCode::NONE };
    Ok(reply.send(&mut cx.out, &ListGroupsResponse { error_code, groups: Array::each(&each), ..Default::default() }))
}

fn wanted<'e>(engine: &'e Engine, body: &ListGroupsRequest<'_>) -> impl Iterator<Item = &'e Group> {
    let (states, types) = (body.states_filter, body.types_filter);
    let (groups, _) = engine.groups();
    groups.filter(move |group| passes(&types, group.kind()) && passes(&states, group.state().name()))
}

fn passes<'a>(filter: &Array<'a, &'a str>, value: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}
