//! JoinGroup: answered when the generation begins; the leader learns who is in it.

use super::groups::{client_host, group_code};
use super::metadata::is_legal_name;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, JoinRefusal, JoinRequest, Joined, JoinedMember};
use crate::kafka::codec::{Array, Elements, JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember, Request};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// Before it the rebalance timeout is the session timeout.
const REBALANCE_TIMEOUT_FROM: i16 = 1;

/// From here on members join a second time with the id that they are given.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// From here on a leader that comes back need not assign.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// A member that waits for its generation.
#[derive(Debug)]
struct JoinGroup {
    reply: Reply,
}

/// What the request itself takes while it waits; the roster for a leader is reserved when it is written.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: JoinGroupRequest<'_> = request.body()?;
    Ok(1024 + 2 * body.member_id.len() + size_of::<(&str, &[u8])>() * body.protocols.len())
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: JoinGroupRequest<'_> = request.body()?;
    if body.group_instance_id.is_some_and(|instance| !is_legal_name(instance)) {
        let refusal = JoinGroupResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
        return Ok(reply.send(&mut cx.out, &refusal));
    }
    let host = client_host(cx);
    let join = JoinRequest {
        group: body.group_id,
        member: body.member_id,
        instance: body.group_instance_id,
        client_id: request.client_id.unwrap_or_default(),
        client_host: &host,
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms: match request.version {
            REBALANCE_TIMEOUT_FROM.. if body.rebalance_timeout_ms >= 0 => body.rebalance_timeout_ms,
            _ => body.session_timeout_ms,
        },
        protocol_type: body.protocol_type,
        protocols: body.protocols.iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
        takes_member_id: request.version >= MEMBER_ID_REQUIRED_FROM,
        may_skip_assignment: request.version >= SKIP_ASSIGNMENT_FROM,
    };
    let waiter = cx.waiter(0);
    cx.engine.join_group(cx.now, &join, waiter);
    Ok(Answer::Later(Box::new(JoinGroup { reply })))
}

impl Pending for JoinGroup {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::Joined(Ok(joined)) => send(cx, self.reply, &joined),
            Completion::Joined(Err(refusal)) => send_refusal(cx, self.reply, &refusal),
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn send(cx: &mut Context<'_>, reply: Reply, joined: &Joined) -> Answer {
    let each = |out: &mut Elements<'_, '_, JoinGroupResponseMember<'static>>| {
        for JoinedMember { member, instance, metadata } in &joined.members {
            out.put(JoinGroupResponseMember { member_id: member, group_instance_id: instance.as_deref(), metadata });
        }
    };
    let response = JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_deref(),
        protocol_name: joined.protocol.as_deref(),
        leader: &joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: &joined.member,
        members: Array::counted(joined.members.len(), &each),
        ..Default::default()
    };
    reply.send(&mut cx.out, &response)
}

fn send_refusal(cx: &mut Context<'_>, reply: Reply, refusal: &JoinRefusal) -> Answer {
    let response =
        JoinGroupResponse { error_code: group_code(refusal.error), member_id: &refusal.member, ..Default::default() };
    reply.send(&mut cx.out, &response)
}
