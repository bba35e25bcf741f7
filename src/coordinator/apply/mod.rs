//! What each transaction does, one file for each. An operation checks everything before it changes anything, in the
//! order in which ZooKeeper checks, because the order decides which error a client sees.

mod check;
mod create;
mod delete;
mod guard;
mod quota;
mod reconfig;
mod register_broker;
mod session;
mod set_acl;
mod set_data;

use super::acl::{self, Acl, Id};
use super::members::Wish;
use super::sessions::{Session, Sessions};
use super::tree::{Index, Tree};
use super::txn::{Body, By, Op, OpResult, Outcome, Txn, TxnError};
use super::{Cluster, ErrorCode, NodeChange, NodeChangeKind, SessionChange, features, path};
use crate::types::{SessionId, Timestamp, Zxid};

/// A transaction at work.
pub(super) struct Apply<'a> {
    pub tree: &'a mut Tree,
    pub sessions: &'a mut Sessions,
    pub cluster: &'a Cluster,
    pub zxid: Zxid,
    pub time: Timestamp,
    /// Every znode touched so far.
    pub changed: &'a mut Vec<NodeChange>,
    /// Every session that began or ended so far.
    pub sessions_changed: &'a mut Vec<SessionChange>,
}

impl Apply<'_> {
    /// Does it, or changes nothing.
    pub fn run(&mut self, txn: Txn) -> Result<Outcome, TxnError> {
        let by = txn.by;
        let single = |code| TxnError { failed_op: 0, code };
        match txn.body {
            Body::CreateSession { session, timeout_ms } => self.create_session(session, timeout_ms).map_err(single),
            Body::MoveSession { session, timeout_ms, node } => {
                self.move_session(session, timeout_ms, node).map_err(single)
            }
            Body::CloseSession { session } => self.close_session(session).map_err(single),
            Body::One(op) => self.op(&by, op).map(Outcome::One).map_err(single),
            Body::Multi(ops) => self.multi(&by, ops),
            Body::RegisterBroker { broker, session, timeout_ms, registration } => {
                self.register_broker(broker, session, timeout_ms, &registration, None).map_err(single)
            }
            Body::RegisterBrokerIn { broker, session, timeout_ms, registration, directory } => {
                self.register_broker(broker, session, timeout_ms, &registration, Some(&directory)).map_err(single)
            }
            Body::Reconfig { joining, leaving, members, from, verdict } => {
                let wish =
                    Wish { joining: joining.as_deref(), leaving: leaving.as_deref(), members: members.as_deref() };
                self.reconfig(&by, wish, from, verdict).map_err(single)
            }
        }
    }

    fn multi(&mut self, by: &By, ops: Vec<Op>) -> Result<Outcome, TxnError> {
        let before = self.changed.len();
        let mut results = Vec::with_capacity(ops.len());
        self.tree.begin();
        for op in ops {
            match self.op(by, op) {
                Ok(result) => results.push(result),
                Err(code) => {
                    self.tree.roll_back();
                    self.changed.truncate(before);
                    return Err(TxnError { failed_op: results.len(), code });
                }
            }
        }
        self.tree.commit();
        Ok(Outcome::Multi(results))
    }

    fn op(&mut self, by: &By, op: Op) -> Result<OpResult, ErrorCode> {
        self.check_session(by)?;
        match op {
            Op::Create { path, data, acl, mode } => self.create(by, path, data.as_deref(), acl, mode),
            Op::Delete { path, version } => self.delete(by, &path, version),
            Op::SetData { path, data, version } => self.set_data(by, &path, data.as_deref(), version),
            Op::SetAcl { path, acl, version } => self.set_acl(by, &path, acl, version),
            Op::Check { path, version } => self.check(by, &path, version),
            Op::DeleteContainer { path } => self.delete_container(&path),
        }
    }

    fn find(&self, path: &str) -> Result<Index, ErrorCode> {
        self.tree.find(path).ok_or(ErrorCode::NoNode)
    }

    /// A client's session must be alive; the node itself needs none unless it names one.
    fn check_session(&self, by: &By) -> Result<(), ErrorCode> {
        let session = by.session();
        let is_needed = matches!(by, By::Client { .. }) || session != SessionId(0);
        if is_needed && self.sessions.get(session).is_none() { Err(ErrorCode::SessionExpired) } else { Ok(()) }
    }

    /// `index` is the znode whose list decides, `path` the one that would change.
    fn check_permission(&self, by: &By, index: Index, perm: u8, path: &str) -> Result<(), ErrorCode> {
        let By::Client { ids, .. } = by else { return Ok(()) };
        let list = self.tree.node(index).map_or(&[][..], |node| self.tree.acls().get(node.acl));
        let is_write = perm & (acl::WRITE | acl::CREATE | acl::DELETE | acl::ADMIN) != 0;
        let is_owned = path::is_broker_owned(path)
            || self.cluster.feature_level >= features::DIRECTORIES && path::is_broker_owned_since_directories(path);
        if acl::permits(list, perm, ids) && !(is_write && is_owned) { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    fn fix_up(&self, by: &By, list: Vec<Acl>) -> Result<Vec<Acl>, ErrorCode> {
        let ids: &[Id] = match by {
            By::Node { .. } => &[],
            By::Client { ids, .. } => ids,
        };
        acl::fix_up(list, ids)
    }

    /// `acl` is the number of the znode's list.
    fn note(&mut self, path: String, kind: NodeChangeKind, acl: u32) {
        self.changed.push(NodeChange { path, kind, zxid: self.zxid, acl: self.tree.acls().shared(acl) });
    }

    fn begin_session(&mut self, id: SessionId, session: Session) -> Result<(), ErrorCode> {
        self.sessions.open(id, session)?;
        self.sessions_changed.push(SessionChange { session: id, now: Some(session), moved_to: None, zxid: self.zxid });
        Ok(())
    }

    /// A broker's session and everything that lived with it, which is little.
    fn end_session(&mut self, id: SessionId) {
        if self.sessions.close(id).is_some() {
            self.bury_ephemerals(id, usize::MAX);
            self.note_end(id);
        }
    }

    fn stat(&self, index: Index) -> super::Stat {
        self.tree.znode(index).map(|znode| znode.stat()).unwrap_or_default()
    }
}

fn check_version(expected: i32, current: i32) -> Result<(), ErrorCode> {
    if expected == -1 || expected == current { Ok(()) } else { Err(ErrorCode::BadVersion) }
}
