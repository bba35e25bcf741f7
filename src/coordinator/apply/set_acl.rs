//! `Op::SetAcl`: who may do what from now on. Watches do not fire.

use super::{Apply, check_version};
use crate::coordinator::acl::{self, Acl};
use crate::coordinator::txn::{By, OpResult};
use crate::coordinator::{ErrorCode, path};

impl Apply<'_> {
    pub(super) fn set_acl(&mut self, by: &By, path: &str, acl: Vec<Acl>, version: i32) -> Result<OpResult, ErrorCode> {
        path::validate(path)?;
        let acl = self.fix_up(by, acl)?;
        let index = self.find(path)?;
        self.check_permission(by, index, acl::ADMIN, path)?;
        check_version(version, self.tree.node(index).map_or(0, |node| node.aversion))?;
        if !self.tree.has_room(0, self.tree.acls().cost(&acl), matches!(by, By::Node { .. })) {
            return Err(ErrorCode::TreeFull);
        }
        let acl = self.tree.take_acl(&acl);
        self.tree.set_acl(index, acl);
        Ok(OpResult::Stat(self.stat(index)))
    }
}
