//! `Op::SetData`: new data for a znode, the same size or not.

use super::{Apply, check_version, guard};
use crate::coordinator::txn::{By, OpResult};
use crate::coordinator::{ErrorCode, NodeChangeKind, acl, path};

impl Apply<'_> {
    pub(super) fn set_data(
        &mut self,
        by: &By,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
    ) -> Result<OpResult, ErrorCode> {
        path::validate(path)?;
        let index = self.find(path)?;
        self.check_permission(by, index, acl::WRITE, path)?;
        let Some(node) = self.tree.node(index) else { return Err(ErrorCode::NoNode) };
        let (current, list) = (node.version, node.acl);
        let data = guard::amend(by, path, Some(node.data()), data)?;
        let bytes = |data: Option<&[u8]>| data.map_or(0, <[u8]>::len);
        let grows = bytes(data.as_deref()).saturating_sub(bytes(node.data()));
        if grows > 0 && !self.tree.has_room(0, grows, matches!(by, By::Node { .. })) {
            return Err(ErrorCode::TreeFull);
        }
        let more = bytes(data.as_deref()) as i64 - bytes(node.data()) as i64;
        self.check_quota(by, path, 0, more)?;
        check_version(version, current)?;
        self.tree.set_data(index, data.as_deref(), self.zxid.0, self.time.0);
        self.count_quota(path, 0, more);
        self.note(path.to_string(), NodeChangeKind::DataChanged, list);
        Ok(OpResult::Stat(self.stat(index)))
    }
}
