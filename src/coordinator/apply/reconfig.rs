//! `Body::Reconfig`: the members of the ensemble change, as ZooKeeper's `reconfig` has it. Checks stand in ZooKeeper's
//! order; what only the leader can know, who is there and in step, it has said in the transaction.

use super::Apply;
use crate::coordinator::members::{CONFIG_PATH, Wish, changed, members_of, render, version_of};
use crate::coordinator::txn::{By, Outcome, Verdict};
use crate::coordinator::{ErrorCode, NodeChangeKind};

impl Apply<'_> {
    /// `from` is the version that the members must have, -1 for any.
    pub(super) fn reconfig(
        &mut self,
        by: &By,
        wish: Wish<'_>,
        from: i64,
        verdict: Verdict,
    ) -> Result<Outcome, ErrorCode> {
        self.check_session(by)?;
        let index = self.find(CONFIG_PATH)?;
        let before = members_of(self.tree);
        if before.is_empty() {
            return Err(ErrorCode::Unimplemented); // a node alone has no members to change
        }
        if verdict == Verdict::InProgress {
            return Err(ErrorCode::ReconfigInProgress);
        }
        if from != -1 && from != version_of(self.tree) {
            return Err(ErrorCode::BadVersion);
        }
        let after = changed(&before, wish)?;
        if verdict != Verdict::Accepted {
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        let data = render(&after, self.zxid.0 as u64).into_bytes();
        if !self.tree.has_room(0, data.len(), true) {
            return Err(ErrorCode::TreeFull);
        }
        let acl = self.tree.node(index).map_or(0, |node| node.acl);
        self.tree.set_data(index, Some(&data), self.zxid.0, self.time.0);
        self.note(CONFIG_PATH.to_string(), NodeChangeKind::DataChanged, acl);
        Ok(Outcome::Reconfigured { stat: self.stat(index), data })
    }
}
