//! Offsets that nobody needs any more (KIP-211), and groups that are left with none.
//!
//! A group's offsets stay while it has members that read their topics, and `offsets.retention.minutes` longer. For an
//! empty group that time begins when it became empty; for one that never had members, and for topics that the members
//! of a group do not subscribe to, with the commit. All of it in broker time, which never runs ahead.

use std::sync::Arc;

use super::group::CONSUMER;
use super::stores::Store;
use super::{Committed, Group, Groups, State};
use crate::types::{Now, PartitionIndex, Timestamp};

impl Groups {
    /// Forgets what has expired.
    pub(super) fn expire_offsets(&mut self, now: Now) {
        let retention_ms = self.cx.config.offsets_retention_ms;
        let mut left_empty = Vec::new();
        for group in self.by_name.values_mut() {
            let expired = group.expired(now.wall, retention_ms);
            let records = group.forget_offsets(&mut self.cx, &expired);
            if !records.is_empty() {
                self.cx.append(group.partition, records, Store::Nobody);
            }
            let is_over = group.state == State::Empty && group.offsets.is_empty() && group.given.is_empty();
            if is_over && group.commits_under_way == 0 {
                left_empty.push(group.name.clone());
            }
        }
        for name in left_empty {
            if let Some(group) = self.forget(&name) {
                self.cx.append(group.partition, group.tombstones(), Store::Nobody);
            }
        }
    }
}

impl Group {
    fn expired(&self, now: Timestamp, retention_ms: u64) -> Vec<(Arc<str>, PartitionIndex)> {
        let is_over = |since: Timestamp| now.0.saturating_sub(since.0) >= retention_ms.min(i64::MAX as u64) as i64;
        let is_expired = |topic: &str, committed: &Committed| {
            let since = match (self.state, self.protocol_type()) {
                (State::Empty, Some(_)) => committed.committed_at.max(self.state_since),
                (State::Empty, None) => committed.committed_at,
                (State::Stable | State::Assigning | State::Reconciling, Some(CONSUMER)) if !self.subscribes(topic) => {
                    committed.committed_at
                }
                _ => return false,
            };
            match committed.expires_at {
                Some(at) => now >= at,
                None => is_over(since),
            }
        };
        self.offsets.select(is_expired)
    }
}
