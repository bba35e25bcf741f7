//! Quotas: what changes below a path that has limits is counted beside them, and refused beyond the hard ones.
//!
//! Limits bind ZooKeeper clients; what the node itself writes is counted too, never refused. The nearest limits above a
//! znode are the only ones that count, as in ZooKeeper. Counting changes the data of the stats znode and nothing of its
//! Stat, and fires no watch.

use super::Apply;
use crate::coordinator::ErrorCode;
use crate::coordinator::quota::Quota;
use crate::coordinator::tree::Index;
use crate::coordinator::txn::By;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

impl Apply<'_> {
    /// Refuses so many more znodes and bytes at `path` when a hard limit is against it.
    pub(super) fn check_quota(&self, by: &By, path: &str, count: i64, bytes: i64) -> Result<(), ErrorCode> {
        let Some(place) = self.quota_of(path) else { return Ok(()) };
        let limits = self.quota_at(place, LIMITS);
        let used = self.quota_at(place, STATS);
        let (count_after, bytes_after) = (used.count.saturating_add(count), used.bytes.saturating_add(bytes));
        let beyond = |limit: i64, before: i64, after: i64| limit >= 0 && after > limit && after > before;
        let is_refused =
            beyond(limits.count_hard, used.count, count_after) || beyond(limits.bytes_hard, used.bytes, bytes_after);
        if is_refused && matches!(by, By::Client { .. }) {
            return Err(ErrorCode::QuotaExceeded);
        }
        let crosses = |limit: i64, before: i64, after: i64| before <= limit && beyond(limit, before, after);
        if crosses(limits.count, used.count, count_after) || crosses(limits.bytes, used.bytes, bytes_after) {
            tracing::warn!(
                "{path} exceeds its quota ({limits}): there are {count_after} znodes of {bytes_after} bytes"
            );
        }
        Ok(())
    }

    /// Counts what happened at `path`.
    pub(super) fn count_quota(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(place) = self.quota_of(path) else { return };
        if let Some(stats) = self.tree.child(place, STATS.as_bytes()) {
            let used = self.quota_at(place, STATS);
            let after = Quota::used(used.count.saturating_add(count), used.bytes.saturating_add(bytes));
            self.tree.replace_data(stats, after.to_string().as_bytes());
        }
    }

    /// A stats znode that was just created, at `index`, is filled with what there is.
    pub(super) fn begin_quota(&mut self, path: &str, index: Index) {
        let Some(counted) = path.strip_prefix(ROOT).and_then(|rest| rest.strip_suffix(STATS)) else { return };
        let Some(counted) = counted.strip_suffix('/') else { return };
        let top = self.tree.get(counted);
        let (count, bytes) = top.map_or((0, 0), |top| top.subtree_size());
        self.tree.replace_data(index, Quota::used(count as i64, bytes as i64).to_string().as_bytes());
    }

    /// The place under `/zookeeper/quota` of the nearest limits at or above `path`.
    fn quota_of(&self, path: &str) -> Option<Index> {
        let mut place = self.tree.find(ROOT)?;
        if self.tree.node(place)?.links.child_count == 0 {
            return None; // nobody has limits: the usual case
        }
        let mut nearest = None;
        for name in path.split('/').skip(1) {
            let Some(below) = self.tree.child(place, name.as_bytes()) else { break };
            place = below;
            if self.tree.child(place, LIMITS.as_bytes()).is_some() {
                nearest = Some(place);
            }
        }
        nearest
    }

    fn quota_at(&self, place: Index, name: &str) -> Quota {
        let index = self.tree.child(place, name.as_bytes());
        Quota::parse(index.and_then(|index| self.tree.node(index)).and_then(|node| node.data()))
    }
}
