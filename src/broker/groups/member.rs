//! One member of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use super::JoinRequest;
use crate::broker::Waiter;
use crate::memory::Grant;

/// What a member takes besides its texts and metadata: itself, its places in two maps, its timer, its answer's share.
const MEMBER_BYTES: usize = 512;

/// What an assignor of a member takes besides its name and metadata.
const PROTOCOL_BYTES: usize = 80;

/// An assignor that a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberProtocol {
    /// `range`, `cooperative-sticky`, ...
    pub name: Box<str>,
    /// What the leader's assignor is told about the member.
    pub metadata: Bytes,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    /// Names its timer.
    pub(super) number: u32,
    /// Given by the operator: a static member (KIP-345).
    pub instance: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it is.
    pub client_host: Arc<str>,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its assignors, best first.
    pub protocols: Vec<MemberProtocol>,
    /// What it reads in this generation.
    pub assignment: Bytes,
    /// Its JoinGroup that waits.
    pub(super) joining: Option<Waiter>,
    /// Its SyncGroup that waits.
    pub(super) syncing: Option<Waiter>,
    /// It has not been in a generation yet.
    pub(super) is_new: bool,
    /// It has asked for its assignment in this generation.
    pub(super) has_synced: bool,
    /// For itself.
    pub(super) held: Grant,
    /// For its assignment.
    pub(super) held_assignment: Grant,
}

impl Member {
    /// A member that joins for the first time.
    pub(super) fn new(number: u32, request: &JoinRequest<'_>, held: Grant) -> Member {
        Member {
            number,
            instance: request.instance.map(Arc::from),
            client_id: request.client_id.into(),
            client_host: request.client_host.into(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: owned_protocols(request),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: true,
            has_synced: false,
            held,
            held_assignment: Grant::none(),
        }
    }

    /// Takes over what a later request says.
    pub(super) fn update(&mut self, request: &JoinRequest<'_>, held: Grant) {
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
        self.session_timeout_ms = request.session_timeout_ms;
        self.protocols = owned_protocols(request);
        self.held = held;
    }

    /// True for a static member.
    pub fn is_static(&self) -> bool {
        self.instance.is_some()
    }

    /// Its metadata for an assignor.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|own| *own.name == *protocol).map(|own| &own.metadata)
    }

    /// True when the request says nothing new.
    pub(super) fn matches(&self, request: &JoinRequest<'_>) -> bool {
        self.protocols.len() == request.protocols.len()
            && self
                .protocols
                .iter()
                .zip(&request.protocols)
                .all(|(own, &(name, metadata))| *own.name == *name && own.metadata == metadata)
    }
}

/// What a member takes that joins with this request.
pub(super) fn member_bytes(request: &JoinRequest<'_>) -> usize {
    let protocols = request.protocols.iter().map(|(name, metadata)| PROTOCOL_BYTES + name.len() + metadata.len());
    // The member's id begins with the client's or the instance's, and stands in up to three places.
    let names = 3 * (request.instance.map_or(0, str::len) + request.client_id.len()) + request.client_host.len();
    MEMBER_BYTES + names + protocols.sum::<usize>()
}

fn owned_protocols(request: &JoinRequest<'_>) -> Vec<MemberProtocol> {
    let owned = |&(name, metadata): &(&str, &[u8])| MemberProtocol {
        name: name.into(),
        metadata: Bytes::copy_from_slice(metadata),
    };
    request.protocols.iter().map(owned).collect()
}
