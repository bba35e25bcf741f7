//! ListConfigResources (KIP-1142): what DescribeConfigs can be asked about.
//!
//! Version 0 knew subscriptions to clients' metrics only, of which there are none.

use super::alter_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Answer, Context, Reply};
use crate::kafka::codec::{
    Array, Elements, ListConfigResourcesRequest, ListConfigResourcesResponse, ListedConfigResource, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::ReadError;

const KNOWN: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

const TYPES_FROM_VERSION: i16 = 1;

/// The reply.
pub fn estimate(cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let cluster = cx.engine.view();
    let topics: usize = cluster.topics.keys().map(|name| 8 + name.len()).sum();
    Ok(256 + frame_bytes + topics + 32 * (cluster.brokers.len() + 1))
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListConfigResourcesRequest<'_> = request.body()?;
    if body.resource_types.iter().any(|asked| !KNOWN.contains(&asked)) {
        let refusal = ListConfigResourcesResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
        return Ok(reply.send(&mut cx.out, &refusal));
    }
    let cluster = cx.engine.view();
    let is_asked = |kind: i8| {
        let types = body.resource_types;
        request.version >= TYPES_FROM_VERSION && (types.is_empty() || types.iter().any(|asked| asked == kind))
    };
    let each = |out: &mut Elements<'_, '_, ListedConfigResource<'static>>| {
        if is_asked(TOPIC) {
            for name in cluster.topics.keys() {
                out.put(ListedConfigResource { resource_name: name, resource_type: TOPIC });
            }
        }
        for kind in [BROKER, BROKER_LOGGER].into_iter().filter(|&kind| is_asked(kind)) {
            for id in cluster.brokers.keys() {
                out.put(ListedConfigResource { resource_name: &id.0.to_string(), resource_type: kind });
            }
        }
    };
    let config_resources = Array::each(&each);
    Ok(reply.send(&mut cx.out, &ListConfigResourcesResponse { config_resources, ..Default::default() }))
}
