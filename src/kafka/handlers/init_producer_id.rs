//! InitProducerId: an identity under which duplicates of an idempotent producer are known. Transactions are refused.

use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, ProducerIdError};
use crate::kafka::codec::{InitProducerIdRequest, InitProducerIdResponse, Request};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// A request that waits for its id.
#[derive(Debug)]
struct InitProducerId {
    reply: Reply,
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: InitProducerIdRequest<'_> = request.body()?;
    let error_code = match body.transactional_id {
        None => {
            let waiter = cx.waiter(0);
            cx.engine.init_producer_id(cx.now, waiter, cx.out.fx);
            return Ok(Answer::Later(Box::new(InitProducerId { reply })));
        }
        Some("") => ErrorCode::INVALID_REQUEST,
        // Fatal to every client: it would ask again upon anything that sounds temporary.
        Some(_) => ErrorCode::UNSUPPORTED_VERSION,
    };
    Ok(reply.send(&mut cx.out, &InitProducerIdResponse { error_code, ..Default::default() }))
}

impl Pending for InitProducerId {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::ProducerId(result) = completion else { return Answer::Later(self) };
        let response = match result {
            Ok((producer_id, producer_epoch)) => {
                InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
            }
            // The one refusal upon which clients ask again for an id without a transaction.
            Err(ProducerIdError::Unavailable) => {
                InitProducerIdResponse { error_code: ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ..Default::default() }
            }
        };
        self.reply.send(&mut cx.out, &response)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
