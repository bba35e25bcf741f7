//! DescribeCluster: the brokers, at their addresses for the listener that was asked, and the controller.

use super::brokers::reachable;
use super::{Answer, Context, Reply};
use crate::kafka::codec::{
    Array, DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, ReadError};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// A broker in the answer: name, host, rack.
const BROKER_BYTES: usize = 600;

/// What a client may do to the cluster, without access control: create, alter, describe, cluster action, describe and
/// alter configurations, write idempotently. A bit for the protocol's number of each.
const ALL_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// The reply.
pub fn estimate(cx: &Context<'_>, _request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    Ok(256 + BROKER_BYTES * (cx.engine.view().brokers.len() + 1))
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeClusterRequest = request.body()?;
    let refusal = match body.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((ErrorCode::MISMATCHED_ENDPOINT_TYPE, "this is a listener of brokers")),
        _ => Some((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, "brokers are 1, controllers are 2")),
    };
    if let Some((error_code, sentence)) = refusal {
        let response = DescribeClusterResponse { error_code, error_message: Some(sentence), ..Default::default() };
        return Ok(reply.send(&mut cx.out, &response));
    }
    let listener = cx.settings.listeners.get(cx.listener as usize);
    let cluster = cx.engine.view();
    let node_id = cx.engine.node_id();
    let each = |out: &mut Elements<'_, '_, _>| {
        for broker in reachable(cluster, node_id, listener) {
            out.put(DescribeClusterBroker {
                broker_id: broker.node_id,
                host: broker.host,
                port: broker.port.into(),
                rack: broker.rack,
                is_fenced: false,
            });
        }
    };
    let response = DescribeClusterResponse {
        cluster_id: cx.engine.cluster_id(),
        controller_id: cluster.controller.as_ref().map_or(NodeId(-1), |controller| controller.broker),
        brokers: Array::each(&each),
        cluster_authorized_operations: match body.include_cluster_authorized_operations {
            true => ALL_OPERATIONS,
            false => i32::MIN,
        },
        ..Default::default()
    };
    Ok(reply.send(&mut cx.out, &response))
}
