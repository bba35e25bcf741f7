//! The cluster's truth: a tree of znodes with sessions, changed only by `apply`, and the typed view that brokers read.
//!
//! Invariants: `apply` is a function of the state and its arguments, without a clock, chance or panic on any bytes, so
//! that every member of the quorum that applies the same entries has the same tree; a transaction that fails changes
//! nothing but the zxid. Imports neither `quorum` nor `broker`.

pub mod acl;
mod apply;
pub mod builders;
pub mod cluster;
mod error;
pub mod features;
pub mod members;
#[cfg(test)]
mod model_test;
mod path;
pub mod placement;
mod quota;
mod sessions;
mod snapshot;
mod stat;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod administration_test;
#[cfg(test)]
mod reassignment_test;
#[cfg(test)]
mod transactions_test;
mod tree;
mod txn;

use std::sync::Arc;

use apply::Apply;

pub use builders::TopicError;
pub use cluster::{Broker, Change, Cluster, PartitionState, Topic};
pub use error::ErrorCode;
pub use sessions::{Session, Sessions};
pub use snapshot::{OVERLAY_BYTES_MAX, Restore, RestoreError};
pub use stat::Stat;
pub use tree::{Owner, Tree, TreeLimits, Znode};
pub use txn::{Body, By, CreateMode, Op, OpResult, Outcome, TXN_VERSION, Txn, TxnError, TxnResult, Verdict};

use crate::limits::BURIED_AT_ONCE_MAX;
use crate::types::{NodeId, SessionId, Term, Timestamp, Zxid};

/// The tree, its sessions and the view, of one node.
#[derive(Debug)]
pub struct Coordinator {
    tree: Tree,
    sessions: Sessions,
    cluster: Cluster,
    last_zxid: Zxid,
    snapshot: Option<snapshot::Progress>,
    burial: Option<Burial>,
}

/// A session that has ended and whose ephemerals are going.
#[derive(Clone, Copy, Debug)]
struct Burial {
    session: SessionId,
    time: Timestamp,
    count: usize,
}

/// What one transaction changed, for those who act on it. Reused from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Every znode touched, in order: what fires watches.
    pub nodes: Vec<NodeChange>,
    /// What it means for brokers.
    pub cluster: Vec<Change>,
    /// Sessions that began, moved or ended, in order.
    pub sessions: Vec<SessionChange>,
}

/// A znode came, went or got new data. Its parent's children changed with the first two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeChange {
    /// Its full path.
    pub path: String,
    /// What happened.
    pub kind: NodeChangeKind,
    /// The transaction that did it.
    pub zxid: Zxid,
    /// Who may do what with it, or could while it was there.
    pub acl: Arc<[acl::Acl]>,
}

/// A session began, moved or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// Which.
    pub session: SessionId,
    /// What it is from now on; `None`: it ended.
    pub now: Option<Session>,
    /// The node where its client has taken it up again.
    pub moved_to: Option<NodeId>,
    /// The transaction that did it.
    pub zxid: Zxid,
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

impl Changes {
    /// True when nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.cluster.is_empty() && self.sessions.is_empty()
    }
}

impl Coordinator {
    /// What a new ensemble starts from. `seed` is any number that clients cannot guess; it never shows in a result.
    pub fn new(limits: TreeLimits, seed: u64) -> Coordinator {
        Coordinator {
            tree: Tree::new(limits, seed),
            sessions: Sessions::new(limits.sessions),
            cluster: Cluster::default(),
            last_zxid: Zxid(0),
            snapshot: None,
            burial: None,
        }
    }

    /// The typed view.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The znodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The sessions alive.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The zxid applied last.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The zxid of the next transaction when its entry was proposed in `term`; `None` when the term has no more, so
    /// that the quorum must begin another first.
    pub fn next_zxid(&self, term: Term) -> Option<Zxid> {
        if self.last_zxid.term() == term && self.last_zxid != Zxid(0) {
            self.last_zxid.count().checked_add(1).map(|count| Zxid::new(term, count))
        } else {
            Some(Zxid::new(term, 1))
        }
    }

    /// Applies the stored form of a transaction that the quorum has committed. `zxid` is what `next_zxid` said, `time`
    /// the proposer's wall clock. Whatever the bytes are, this answers and consumes the zxid. `changes` is added to.
    ///
    /// The end of a session with more than `BURIED_AT_ONCE_MAX` ephemerals is not complete with this: while `is_burying`,
    /// nothing else may be applied, and no snapshot begun, before `continue_burial` has given the result again.
    pub fn apply(&mut self, zxid: Zxid, time: Timestamp, txn: &[u8], changes: &mut Changes) -> TxnResult {
        self.last_zxid = zxid;
        let txn = match Txn::decode(txn) {
            Ok(txn) => txn,
            Err(code) => return TxnResult { zxid, time, outcome: Err(TxnError { failed_op: 0, code }) },
        };
        let closing = if let Body::CloseSession { session } = txn.body { Some(session) } else { None };
        let outcome = self.with_apply(zxid, time, changes, |apply| apply.run(txn));
        if let Some(session) = closing.filter(|_| outcome.is_ok()) {
            self.burial = Some(Burial { session, time, count: 0 });
            if let Some(result) = self.continue_burial(changes) {
                return result;
            }
        }
        TxnResult { zxid, time, outcome }
    }

    /// True while a session's ephemerals are going.
    pub fn is_burying(&self) -> bool {
        self.burial.is_some()
    }

    /// The next of them go, at most `BURIED_AT_ONCE_MAX`; the transaction's result with the last.
    pub fn continue_burial(&mut self, changes: &mut Changes) -> Option<TxnResult> {
        let Burial { session, time, count } = self.burial.take()?;
        let zxid = self.last_zxid;
        let buried = self.with_apply(zxid, time, changes, |apply| {
            let buried = apply.bury_ephemerals(session, BURIED_AT_ONCE_MAX);
            if buried < BURIED_AT_ONCE_MAX {
                apply.note_end(session);
            }
            buried
        });
        let count = count + buried;
        if buried == BURIED_AT_ONCE_MAX {
            self.burial = Some(Burial { session, time, count });
            return None;
        }
        Some(TxnResult { zxid, time, outcome: Ok(Outcome::SessionClosed { ephemerals: count }) })
    }

    /// Changes the tree under one zxid, and then the view.
    fn with_apply<T>(
        &mut self,
        zxid: Zxid,
        time: Timestamp,
        changes: &mut Changes,
        act: impl FnOnce(&mut Apply<'_>) -> T,
    ) -> T {
        let first = changes.nodes.len();
        let done = act(&mut Apply {
            tree: &mut self.tree,
            sessions: &mut self.sessions,
            cluster: &self.cluster,
            zxid,
            time,
            changed: &mut changes.nodes,
            sessions_changed: &mut changes.sessions,
        });
        if let Some(touched) = changes.nodes.get(first..) {
            self.cluster.update(&self.tree, touched, &mut changes.cluster);
        }
        done
    }
}
