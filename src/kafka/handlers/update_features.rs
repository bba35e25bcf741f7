//! UpdateFeatures (KIP-584): raises the level that all members speak, once every one of them understands it. It never
//! falls again: what was written by a level is in the log.

use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, FeatureError, features};
use crate::kafka::codec::{Array, Request, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// A request whose level is being written down.
#[derive(Debug)]
struct UpdateFeatures {
    reply: Reply,
}

/// Checks what is wanted, and writes it into the tree.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: UpdateFeaturesRequest<'_> = request.body()?;
    let mut wanted = body.feature_updates.iter();
    let (Some(update), None) = (wanted.next(), wanted.next()) else {
        return Ok(refuse(cx, reply, ErrorCode::INVALID_REQUEST, "there is one feature, tern.version: name it once"));
    };
    if update.feature != features::NAME {
        let sentence = "there is no such feature, only tern.version";
        return Ok(refuse(cx, reply, ErrorCode::FEATURE_UPDATE_FAILED, sentence));
    }
    let level = u16::try_from(update.max_version_level).unwrap_or(0);
    let waiter = cx.waiter(0);
    match cx.engine.raise_feature_level(cx.now, level, body.validate_only, waiter) {
        Ok(true) => Ok(Answer::Later(Box::new(UpdateFeatures { reply }))),
        Ok(false) => Ok(answer(cx, reply, ErrorCode::NONE, None)),
        Err(error) => {
            let code = match error {
                FeatureError::Lower { .. } | FeatureError::Unknown { .. } => ErrorCode::INVALID_UPDATE_VERSION,
                FeatureError::NotUnderstood { .. } | FeatureError::Busy => ErrorCode::FEATURE_UPDATE_FAILED,
            };
            Ok(refuse(cx, reply, code, &error.to_string()))
        }
    }
}

impl Pending for UpdateFeatures {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Proposed(result) = completion else { return Answer::Later(self) };
        if result.is_ok_and(|result| result.outcome.is_ok()) {
            return answer(cx, self.reply, ErrorCode::NONE, None);
        }
        refuse(cx, self.reply, ErrorCode::FEATURE_UPDATE_FAILED, "it met another change: try again")
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn refuse(cx: &mut Context<'_>, reply: Reply, code: ErrorCode, sentence: &str) -> Answer {
    answer(cx, reply, code, Some(sentence))
}

fn answer(cx: &mut Context<'_>, reply: Reply, error_code: ErrorCode, error_message: Option<&str>) -> Answer {
    let results = [UpdatableFeatureResult { feature: features::NAME, error_code, error_message }];
    let response =
        UpdateFeaturesResponse { error_code, error_message, results: Array::of(&results), ..Default::default() };
    reply.send(&mut cx.out, &response)
}
