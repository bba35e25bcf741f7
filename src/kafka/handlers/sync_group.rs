//! SyncGroup: the leader brings the assignment; everybody is answered when it is durable.

use super::groups::{group_code, member_of};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, GroupError, SyncRequest};
use crate::kafka::codec::{Request, SyncGroupRequest, SyncGroupResponse};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// From here on the request names the group's protocol type and assignor.
const PROTOCOL_FROM: i16 = 5;

/// A member that waits for its assignment.
#[derive(Debug)]
struct SyncGroup {
    reply: Reply,
}

/// What the request itself takes; the assignments are the engine's.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: SyncGroupRequest<'_> = request.body()?;
    Ok(1024 + size_of::<(&str, &[u8])>() * body.assignments.len())
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: SyncGroupRequest<'_> = request.body()?;
    if request.version >= PROTOCOL_FROM && (body.protocol_type.is_none() || body.protocol_name.is_none()) {
        let error_code = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
        return Ok(reply.send(&mut cx.out, &SyncGroupResponse { error_code, ..Default::default() }));
    }
    let sync = SyncRequest {
        from: member_of(body.group_id, body.generation_id, body.member_id, body.group_instance_id),
        protocol_type: body.protocol_type,
        protocol: body.protocol_name,
        assignments: body.assignments.iter().map(|one| (one.member_id, one.assignment)).collect(),
    };
    let waiter = cx.waiter(0);
    cx.engine.sync_group(cx.now, &sync, waiter);
    Ok(Answer::Later(Box::new(SyncGroup { reply })))
}

impl Pending for SyncGroup {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Synced(result) = completion else { return Answer::Later(self) };
        let response = match &result {
            Ok(synced) => SyncGroupResponse {
                protocol_type: synced.protocol_type.as_deref(),
                protocol_name: synced.protocol.as_deref(),
                assignment: &synced.assignment,
                ..Default::default()
            },
            // What no log takes is nothing that a client could try again.
            Err(GroupError::TooLarge) => {
                SyncGroupResponse { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..Default::default() }
            }
            Err(error) => SyncGroupResponse { error_code: group_code(*error), ..Default::default() },
        };
        self.reply.send(&mut cx.out, &response)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
