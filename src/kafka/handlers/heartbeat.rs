//! Heartbeat: a member is alive, and learns whether its generation is.

use super::groups::{member_of, result_code};
use super::{Answer, Context, Reply};
use crate::kafka::codec::{HeartbeatRequest, HeartbeatResponse, Request};
use crate::types::ReadError;

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: HeartbeatRequest<'_> = request.body()?;
    let from = member_of(body.group_id, body.generation_id, body.member_id, body.group_instance_id);
    let error_code = result_code(cx.engine.heartbeat(cx.now, &from));
    Ok(reply.send(&mut cx.out, &HeartbeatResponse { error_code, ..Default::default() }))
}
