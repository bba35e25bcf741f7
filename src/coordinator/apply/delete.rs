//! `Op::Delete` and `Op::DeleteContainer`: a znode without children goes.

use super::{Apply, check_version};
use crate::coordinator::tree::{Index, Owner};
use crate::coordinator::txn::{By, OpResult};
use crate::coordinator::{ErrorCode, NodeChangeKind, acl, path};

impl Apply<'_> {
    pub(super) fn delete(&mut self, by: &By, path: &str, version: i32) -> Result<OpResult, ErrorCode> {
        let parent = self.find(parent_path(path)?)?;
        self.check_permission(by, parent, acl::DELETE, path)?;
        let index = self.find(path)?;
        check_version(version, self.tree.node(index).map_or(0, |node| node.version))?;
        self.check_childless(index)?;
        self.bury(path.to_string(), index);
        Ok(OpResult::Done)
    }

    /// The sweep proposes what it saw; what has changed since then stays.
    pub(super) fn delete_container(&mut self, path: &str) -> Result<OpResult, ErrorCode> {
        parent_path(path)?;
        let index = self.find(path)?;
        self.check_childless(index)?;
        let Some(node) = self.tree.node(index) else { return Err(ErrorCode::NoNode) };
        let is_due = match Owner::of(node.owner) {
            Owner::Container => node.creates != 0,
            Owner::Ttl { ttl_ms } => self.time.0.saturating_sub(node.mtime) > ttl_ms as i64,
            Owner::Persistent | Owner::Session(_) => false,
        };
        if !is_due {
            return Err(ErrorCode::BadVersion);
        }
        self.bury(path.to_string(), index);
        Ok(OpResult::Done)
    }

    pub(super) fn bury(&mut self, path: String, index: Index) {
        let (acl, bytes) = self.tree.node(index).map_or((0, 0), |node| (node.acl, node.data().map_or(0, <[u8]>::len)));
        self.count_quota(&path, -1, -(bytes as i64));
        self.note(path, NodeChangeKind::Deleted, acl);
        self.tree.remove(index, self.zxid.0);
    }

    fn check_childless(&self, index: Index) -> Result<(), ErrorCode> {
        match self.tree.node(index) {
            Some(node) if node.links.child_count > 0 => Err(ErrorCode::NotEmpty),
            _ => Ok(()),
        }
    }
}

fn parent_path(path: &str) -> Result<&str, ErrorCode> {
    match path::split(path) {
        Some((parent, _)) if !path.contains('\0') && !path::is_special(path) => Ok(parent),
        _ => Err(ErrorCode::BadArguments),
    }
}
