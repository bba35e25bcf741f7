//! A broker's registration.

use crate::coordinator::cluster::{Endpoint, json};
use crate::coordinator::txn::{Body, By, Txn};
use crate::types::{NodeId, SessionId, Timestamp};

/// Begins a new life of `broker` under `session`: see `Body::RegisterBroker` for all that it does.
/// `directory` names the one that its logs are in, when members understand that (`features::DIRECTORIES`).
pub fn register_broker(
    broker: NodeId,
    session: SessionId,
    timeout_ms: u32,
    endpoints: &[Endpoint],
    rack: Option<&str>,
    directory: Option<&str>,
    now: Timestamp,
) -> Txn {
    let registration = json::broker(endpoints, rack, now);
    let body = match directory {
        None => Body::RegisterBroker { broker, session, timeout_ms, registration },
        Some(directory) => {
            Body::RegisterBrokerIn { broker, session, timeout_ms, registration, directory: directory.to_string() }
        }
    };
    Txn { by: By::NODE, body }
}
