//! DescribeAcls, CreateAcls, DeleteAcls: there is no authorizer, and each call says so in the protocol's own code.

use super::{Answer, Context, Reply};
use crate::kafka::codec::{
    AclCreationResult, Array, CreateAclsRequest, CreateAclsResponse, DeleteAclsFilterResult, DeleteAclsRequest,
    DeleteAclsResponse, DescribeAclsRequest, DescribeAclsResponse, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

const REFUSAL: ErrorCode = ErrorCode::SECURITY_DISABLED;
const SENTENCE: Option<&str> = Some("No Authorizer is configured.");

/// A creation or filter in the answer.
const RESULT_BYTES: usize = 48;

/// The reply to a request on that many ACLs: none is shorter than four bytes.
pub fn estimate(_cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    Ok(256 + frame_bytes / 4 * RESULT_BYTES)
}

/// DescribeAcls.
pub fn describe(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let _: DescribeAclsRequest<'_> = request.body()?;
    let response = DescribeAclsResponse { error_code: REFUSAL, error_message: SENTENCE, ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}

/// CreateAcls.
pub fn create(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: CreateAclsRequest<'_> = request.body()?;
    let each = |out: &mut Elements<'_, '_, _>| {
        for _ in body.creations {
            out.put(AclCreationResult { error_code: REFUSAL, error_message: SENTENCE });
        }
    };
    let results = Array::counted(body.creations.len(), &each);
    Ok(reply.send(&mut cx.out, &CreateAclsResponse { results, ..Default::default() }))
}

/// DeleteAcls.
pub fn delete(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DeleteAclsRequest<'_> = request.body()?;
    let each = |out: &mut Elements<'_, '_, _>| {
        for _ in body.filters {
            out.put(DeleteAclsFilterResult { error_code: REFUSAL, error_message: SENTENCE, ..Default::default() });
        }
    };
    let filter_results = Array::counted(body.filters.len(), &each);
    Ok(reply.send(&mut cx.out, &DeleteAclsResponse { filter_results, ..Default::default() }))
}
