//! ApiVersions: what may be asked here, and in which versions. The first request of nearly every connection.
//!
//! Never a reason to close: a version from the future is answered in version 0 with UNSUPPORTED_VERSION and the range
//! of this API, from which the client learns how to ask again. The name and version of the client's software (KIP-511)
//! are checked and not kept.

use super::{Answer, Context, ROWS, Reply};
use crate::engine::features;
use crate::kafka::codec::{
    Api, ApiVersion, ApiVersionsRequest, ApiVersionsResponse, Array, FinalizedFeatureKey, Request, SupportedFeatureKey,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

/// A client's name or version longer than this is none.
const SOFTWARE_TEXT_BYTES_MAX: usize = 256;

/// Lists the registry.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let is_named = request.body().is_ok_and(|body: ApiVersionsRequest<'_>| {
        is_software_text(body.client_software_name) && is_software_text(body.client_software_version)
    });
    if request.version >= 3 && !is_named {
        let refusal = ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
        return Ok(reply.send(&mut cx.out, &refusal));
    }
    let (level, epoch) = cx.engine.feature_level();
    let supported = [SupportedFeatureKey {
        name: features::NAME,
        min_version: features::FIRST as i16,
        max_version: features::LEVEL as i16,
    }];
    let level = i16::try_from(level).unwrap_or(i16::MAX);
    let finalized = [FinalizedFeatureKey { name: features::NAME, max_version_level: level, min_version_level: level }];
    let is_known = epoch >= 0 && level > 0;
    Ok(reply.send(
        &mut cx.out,
        &ApiVersionsResponse {
            supported_features: Array::of(&supported),
            finalized_features_epoch: if is_known { epoch } else { -1 },
            finalized_features: if is_known { Array::of(&finalized) } else { Array::default() },
            api_keys: Array::each(&|keys| {
                keys.put(range(Api::Produce));
                ROWS.iter().for_each(|row| keys.put(range(row.api)));
            }),
            ..Default::default()
        },
    ))
}

/// Answers a request of this API in a version that nobody knows here.
pub fn refuse(cx: &mut Context<'_>, reply: Reply) -> Answer {
    reply.send_as(
        &mut cx.out,
        0,
        &ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            api_keys: Array::of(&[range(Api::ApiVersions)]),
            ..Default::default()
        },
    )
}

fn range(api: Api) -> ApiVersion {
    let versions = api.versions();
    ApiVersion { api_key: api.key(), min_version: *versions.start(), max_version: *versions.end() }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    text.len() <= SOFTWARE_TEXT_BYTES_MAX
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that clients give themselves pass; empty, odd and endless ones do not.
    #[test]
    fn software_text() {
        for text in ["librdkafka", "apache-kafka-java", "2.16.0", "a"] {
            assert!(is_software_text(text), "{text}");
        }
        for text in ["", "-a", "a-", "a b", "a_b", "ä", &"a".repeat(257)] {
            assert!(!is_software_text(text), "{text}");
        }
    }
}
