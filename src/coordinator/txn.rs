//! Transactions: what is proposed to the quorum, stored in its log and applied to the tree, and what comes of it.
//!
//! Stored form: one version byte, then postcard. A change that older members cannot read takes a new version byte and a
//! feature level. Nesting is two levels deep by type, so that no bytes can make the decoder recurse.

use serde::{Deserialize, Serialize};

use super::acl::{Acl, Id};
use super::{ErrorCode, Stat};
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId, Timestamp, Zxid};

/// The first byte of every stored transaction.
pub const TXN_VERSION: u8 = 1;

/// One transaction: all of it happens, or nothing but its zxid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// On whose behalf.
    pub by: By,
    /// What.
    pub body: Body,
}

/// Whose permissions a transaction has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// The node itself: every permission. Ephemerals that it creates belong to `session`, 0 for none.
    Node { session: SessionId },
    /// A ZooKeeper client: the session must be alive, ACLs apply, and what only brokers may write is refused.
    Client { session: SessionId, ids: Vec<Id> },
}

impl By {
    /// The node without a session.
    pub const NODE: By = By::Node { session: SessionId(0) };

    /// The session that owns what is created.
    pub fn session(&self) -> SessionId {
        match self {
            By::Node { session } | By::Client { session, .. } => *session,
        }
    }
}

/// What a transaction does. The order of variants is the stored format: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A new session. Ids are unique because the proposer's node id is in the top byte; an id that exists is renewed.
    CreateSession { session: SessionId, timeout_ms: u32 },
    /// The end of a session and of its ephemerals, asked for or by expiry.
    CloseSession { session: SessionId },
    /// A single operation.
    One(Op),
    /// Several that succeed or fail together, sharing a zxid; later ones see earlier ones.
    Multi(Vec<Op>),
    /// A broker's registration: ends the session that held `/brokers/ids/N`, begins `session`, creates the ephemeral
    /// and raises the leader epoch of every partition that the broker led.
    RegisterBroker { broker: NodeId, session: SessionId, timeout_ms: u32, registration: Vec<u8> },
    /// A client has taken its session up again at `node`, with another timeout perhaps: other nodes let it go.
    MoveSession { session: SessionId, timeout_ms: u32, node: NodeId },
    /// `RegisterBroker` that also says which directory the broker's logs are in (`features::DIRECTORIES`). When that is
    /// another one than before, the old logs are gone: the broker leaves every ISR.
    RegisterBrokerIn { broker: NodeId, session: SessionId, timeout_ms: u32, registration: Vec<u8>, directory: String },
    /// The members of the ensemble change (`features::RECONFIG`); see `members::Wish`. `from` is the version that they
    /// must have, -1 for any.
    Reconfig { joining: Option<String>, leaving: Option<String>, members: Option<String>, from: i64, verdict: Verdict },
}

/// What the leader, who alone knows who is there and in step, says of a `Reconfig` when it proposes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing: it was not proposed yet.
    Open,
    /// It may be done.
    Accepted,
    /// The change before it is not complete.
    InProgress,
    /// Too few of those who would vote are there and in step.
    NoQuorum,
}

/// One operation on one znode. The order of variants is the stored format: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A new znode; null data (`None`) and empty data differ.
    Create { path: String, data: Option<Vec<u8>>, acl: Vec<Acl>, mode: CreateMode },
    /// Removes a znode without children; `version` -1 is any.
    Delete { path: String, version: i32 },
    /// Replaces the data; `version` -1 is any.
    SetData { path: String, data: Option<Vec<u8>>, version: i32 },
    /// Replaces the ACL; `version` (of the ACL) -1 is any.
    SetAcl { path: String, acl: Vec<Acl>, version: i32 },
    /// Only checks the version; -1 checks existence.
    Check { path: String, version: i32 },
    /// Removes a container or TTL znode that is due; changes nothing (BadVersion) when it is not.
    DeleteContainer { path: String },
}

/// How a znode lives and is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreateMode {
    /// Until deleted.
    Persistent,
    /// Until its session ends.
    Ephemeral,
    /// `Persistent`, its name completed by the parent's counter.
    PersistentSequential,
    /// `Ephemeral`, its name completed by the parent's counter.
    EphemeralSequential,
    /// Until the sweep finds that it has had children and has none.
    Container,
    /// Until the sweep finds it childless and unmodified for `ttl_ms`, 1 to 2^40 - 1.
    Ttl { ttl_ms: u64 },
    /// `Ttl`, its name completed by the parent's counter.
    TtlSequential { ttl_ms: u64 },
}

impl CreateMode {
    /// The parent's counter becomes part of the name.
    pub fn is_sequential(self) -> bool {
        matches!(
            self,
            CreateMode::PersistentSequential | CreateMode::EphemeralSequential | CreateMode::TtlSequential { .. }
        )
    }

    /// The znode belongs to a session.
    pub fn is_ephemeral(self) -> bool {
        matches!(self, CreateMode::Ephemeral | CreateMode::EphemeralSequential)
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// The zxid it took, failed or not.
    pub zxid: Zxid,
    /// The proposer's wall clock: `ctime` and `mtime` of what it touched.
    pub time: Timestamp,
    /// What it did, or why nothing.
    pub outcome: Result<Outcome, TxnError>,
}

/// What a transaction that succeeded did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A session began.
    SessionCreated,
    /// A session has moved.
    SessionMoved,
    /// A session ended; so many ephemerals went with it.
    SessionClosed { ephemerals: usize },
    /// The single operation's result.
    One(OpResult),
    /// One result an operation, in order.
    Multi(Vec<OpResult>),
    /// The members are these, as `/zookeeper/config` says.
    Reconfigured { data: Vec<u8>, stat: Stat },
    /// The broker is registered; its epoch is the czxid of the registration. These partitions got a new leader epoch.
    BrokerRegistered {
        epoch: Zxid,
        raised: Vec<(String, PartitionIndex, LeaderEpoch)>,
        /// It came with another directory than before: these partitions have no replica in sync any more.
        lost: Vec<(String, PartitionIndex)>,
    },
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// The full path, sequence number included, and the newborn's Stat.
    Created { path: String, stat: Stat },
    /// The Stat after `SetData` or `SetAcl`.
    Stat(Stat),
    /// `Delete`, `Check`, `DeleteContainer`.
    Done,
}

/// Why a transaction did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnError {
    /// Which operation of a multi failed; 0 otherwise. Those before it report 0, those after it RuntimeInconsistency.
    pub failed_op: usize,
    /// Why.
    pub code: ErrorCode,
}

impl Txn {
    /// A single operation by the node itself.
    pub fn by_node(op: Op) -> Txn {
        Txn { by: By::NODE, body: Body::One(op) }
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_onto(Vec::new())
    }

    /// The stored form behind `bytes`.
    pub fn encode_onto(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.push(TXN_VERSION);
        // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
        postcard::to_extend(self, bytes).unwrap_or_default()
    }

    /// Reads the stored form; never panics, and allocates no more than a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Txn, ErrorCode> {
        match bytes.split_first() {
            Some((&TXN_VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((txn, [])) => Ok(txn),
                Ok(_) | Err(_) => Err(ErrorCode::Marshalling),
            },
            Some(_) => Err(ErrorCode::Unimplemented),
            None => Err(ErrorCode::Marshalling),
        }
    }
}
