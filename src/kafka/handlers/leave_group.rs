//! LeaveGroup: one member until version 2, from 3 on several, also by an administrator.

use super::groups::{group_code, result_code};
use super::{Answer, Context, Reply};
use crate::engine::Leaving;
use crate::kafka::codec::{Array, Elements, LeaveGroupRequest, LeaveGroupResponse, MemberResponse, Request};
use crate::types::ReadError;

const SEVERAL_FROM: i16 = 3;

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: LeaveGroupRequest<'_> = request.body()?;
    if request.version < SEVERAL_FROM {
        let leaving = Leaving { member: body.member_id, instance: None };
        let results = cx.engine.leave_group(cx.now, body.group_id, std::iter::once(leaving));
        let result = results.and_then(|results| results.into_iter().next().unwrap_or(Ok(())));
        let response = LeaveGroupResponse { error_code: result_code(result), ..Default::default() };
        return Ok(reply.send(&mut cx.out, &response));
    }
    let leaving = body.members.iter().map(|one| Leaving { member: one.member_id, instance: one.group_instance_id });
    let results = match cx.engine.leave_group(cx.now, body.group_id, leaving) {
        Ok(results) => results,
        Err(error) => {
            let response = LeaveGroupResponse { error_code: group_code(error), ..Default::default() };
            return Ok(reply.send(&mut cx.out, &response));
        }
    };
    let each = |out: &mut Elements<'_, '_, MemberResponse<'static>>| {
        for (one, result) in body.members.iter().zip(&results) {
            let (member_id, group_instance_id) = (one.member_id, one.group_instance_id);
            out.put(MemberResponse { member_id, group_instance_id, error_code: result_code(*result) });
        }
    };
    let response = LeaveGroupResponse { members: Array::counted(results.len(), &each), ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}
