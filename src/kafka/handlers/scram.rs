//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554): nobody authenticates here, so there are no
//! users, and none is made who would believe himself protected.

use std::collections::BTreeSet;

use super::{Answer, Context, Reply};
use crate::kafka::codec::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult, Array,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
    Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

const NOT_THERE: (ErrorCode, &str) = (ErrorCode::RESOURCE_NOT_FOUND, "the user has no credentials");
const TWICE: (ErrorCode, &str) = (ErrorCode::DUPLICATE_RESOURCE, "the request names the user twice");
const NO_USERS: (ErrorCode, &str) =
    (ErrorCode::SECURITY_DISABLED, "SASL is not served here: credentials would protect nothing");

/// A user in the answer, and while the names are sorted.
const USER_BYTES: usize = 192;

/// The reply: a user takes two bytes at least.
pub fn estimate_describe(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeUserScramCredentialsRequest<'_> = request.body()?;
    Ok(256 + 2 * frame_bytes + USER_BYTES * body.users.map_or(0, |users| users.len()))
}

/// The reply.
pub fn estimate_alter(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: AlterUserScramCredentialsRequest<'_> = request.body()?;
    Ok(256 + 2 * frame_bytes + USER_BYTES * (body.deletions.len() + body.upsertions.len()))
}

/// DescribeUserScramCredentials.
pub fn describe(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeUserScramCredentialsRequest<'_> = request.body()?;
    let (mut users, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for user in body.users.into_iter().flatten() {
        if !users.insert(user.name) {
            twice.insert(user.name);
        }
    }
    let each = |out: &mut Elements<'_, '_, DescribeUserScramCredentialsResult<'static>>| {
        for user in &users {
            let (error_code, sentence) = if twice.contains(user) { TWICE } else { NOT_THERE };
            out.put(DescribeUserScramCredentialsResult {
                user,
                error_code,
                error_message: Some(sentence),
                ..Default::default()
            });
        }
    };
    let results = Array::counted(users.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeUserScramCredentialsResponse { results, ..Default::default() }))
}

/// AlterUserScramCredentials.
pub fn alter(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: AlterUserScramCredentialsRequest<'_> = request.body()?;
    let upserted: BTreeSet<&str> = body.upsertions.iter().map(|upsertion| upsertion.name).collect();
    let deleted: BTreeSet<&str> = body.deletions.iter().map(|deletion| deletion.name).collect();
    let users: BTreeSet<&str> = upserted.union(&deleted).copied().collect();
    let each = |out: &mut Elements<'_, '_, AlterUserScramCredentialsResult<'static>>| {
        for user in &users {
            let (error_code, sentence) = if upserted.contains(user) { NO_USERS } else { NOT_THERE };
            out.put(AlterUserScramCredentialsResult { user, error_code, error_message: Some(sentence) });
        }
    };
    let results = Array::counted(users.len(), &each);
    Ok(reply.send(&mut cx.out, &AlterUserScramCredentialsResponse { results, ..Default::default() }))
}
