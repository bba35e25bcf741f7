//! FindCoordinator: there is none yet, for groups nor for transactions, and the answer says so.
//!
//! For a group it is COORDINATOR_NOT_AVAILABLE, upon which clients go on without one (a consumer with assigned
//! partitions reads) and ask again. A transactional producer can do nothing without one, therefore it is refused for
//! good, instead of being left to ask until its time runs out.

use super::{Answer, Context, Reply};
use crate::kafka::codec::{Array, Coordinator, Elements, FindCoordinatorRequest, FindCoordinatorResponse, Request};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, ReadError};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The version from which several keys are asked for at once.
const KEYS_FROM_VERSION: i16 = 4;

/// A key in the answer, but its text.
const KEY_BYTES: usize = 128;

/// The reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: FindCoordinatorRequest<'_> = request.body()?;
    Ok(256 + frame_bytes + KEY_BYTES * body.coordinator_keys.len())
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: FindCoordinatorRequest<'_> = request.body()?;
    let (error_code, sentence) = refusal(body.key_type);
    let nowhere =
        Coordinator { node_id: NodeId(-1), port: -1, error_code, error_message: Some(sentence), ..Default::default() };
    if request.version >= KEYS_FROM_VERSION {
        let each = |out: &mut Elements<'_, '_, _>| {
            body.coordinator_keys.iter().for_each(|key| out.put(Coordinator { key, ..nowhere }));
        };
        let coordinators = Array::counted(body.coordinator_keys.len(), &each);
        return Ok(reply.send(&mut cx.out, &FindCoordinatorResponse { coordinators, ..Default::default() }));
    }
    let response = FindCoordinatorResponse {
        error_code,
        error_message: Some(sentence),
        node_id: nowhere.node_id,
        port: nowhere.port,
        ..Default::default()
    };
    Ok(reply.send(&mut cx.out, &response))
}

fn refusal(key_type: i8) -> (ErrorCode, &'static str) {
    match key_type {
        GROUP => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "consumer groups are not served yet"),
        TRANSACTION => (ErrorCode::UNSUPPORTED_VERSION, "transactions are not served yet"),
        _ => (ErrorCode::INVALID_REQUEST, "a group is 0, a transactional id is 1"),
    }
}
