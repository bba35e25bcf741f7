//! The cluster's truth: a tree of znodes with sessions, changed only by `apply`, and the typed view that brokers read.
//!
//! Invariants: `apply` is a function of the state and its arguments, without a clock, chance or panic on any bytes, so
//! that every member of the quorum that applies the same entries has the same tree; a transaction that fails changes
//! nothing but the zxid. Imports neither `quorum` nor `broker`.

pub mod acl;
pub mod cluster;
mod error;
mod stat;
mod txn;

pub use cluster::{Broker, Change, Cluster, PartitionState, Topic};
pub use error::ErrorCode;
pub use stat::Stat;
pub use txn::{Body, By, CreateMode, Op, OpResult, Outcome, TXN_VERSION, Txn, TxnError, TxnResult};

use crate::types::{Timestamp, Zxid};

/// The tree, its sessions and the view, of one node.
#[derive(Debug, Default)]
pub struct Coordinator {
    cluster: Cluster,
    last_zxid: Zxid,
}

/// What one transaction changed, for those who act on it. Reused from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Every znode touched, in order: what fires watches.
    pub nodes: Vec<NodeChange>,
    /// What it means for brokers.
    pub cluster: Vec<Change>,
}

/// A znode came, went or got new data. Its parent's children changed with the first two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeChange {
    /// Its full path.
    pub path: String,
    /// What happened.
    pub kind: NodeChangeKind,
}

/// What happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeChangeKind {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was set, be it to the same.
    DataChanged,
}

impl Coordinator {
    /// The typed view.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The zxid applied last.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Applies the stored form of a transaction that the quorum has committed. `zxid` must be above the last one,
    /// `time` is the proposer's wall clock. Whatever the bytes are, this answers and consumes the zxid.
    pub fn apply(&mut self, zxid: Zxid, time: Timestamp, _txn: &[u8], _changes: &mut Changes) -> TxnResult {
        self.last_zxid = zxid;
        TxnResult { zxid, time, outcome: Err(TxnError { failed_op: 0, code: ErrorCode::Unimplemented }) }
    }
}
