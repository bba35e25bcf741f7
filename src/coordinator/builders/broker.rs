//! A broker's registration.

use crate::coordinator::cluster::{Endpoint, json};
use crate::coordinator::txn::{Body, By, Txn};
use crate::types::{NodeId, SessionId, Timestamp};

/// Begins a new life of `broker` under `session`: see `Body::RegisterBroker` for all that it does.
pub fn register_broker(
    broker: NodeId,
    session: SessionId,
    timeout_ms: u32,
    endpoints: &[Endpoint],
    rack: Option<&str>,
    now: Timestamp,
) -> Txn {
    let registration = json::broker(endpoints, rack, now);
    Txn { by: By::NODE, body: Body::RegisterBroker { broker, session, timeout_ms, registration } }
}
