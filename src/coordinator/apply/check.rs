//! `Op::Check`: the condition of a multi.

use super::{Apply, check_version};
use crate::coordinator::txn::{By, OpResult};
use crate::coordinator::{ErrorCode, acl, path};

impl Apply<'_> {
    pub(super) fn check(&mut self, by: &By, path: &str, version: i32) -> Result<OpResult, ErrorCode> {
        path::validate(path)?;
        let index = self.find(path)?;
        self.check_permission(by, index, acl::READ, path)?;
        check_version(version, self.tree.node(index).map_or(0, |node| node.version))?;
        Ok(OpResult::Done)
    }
}
