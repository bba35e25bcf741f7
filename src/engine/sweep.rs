//! The sweep: containers that have become empty, znodes whose time to live is over, notifications that everybody has
//! read. The quorum's leader looks and proposes; what was used again meanwhile stays, because the transaction asks anew.
//!
//! Invariants: nothing is looked at while there is nothing to sweep; one sweep finds at most `SWEPT_AT_ONCE_MAX`, and the
//! next comes no earlier than `znode.container.maxPerMinute` allows; wall time that is not believed ends nothing.
//! Called by the engine only.

use super::Engine;
use super::proposals::Purpose;
use crate::config::ZooKeeperConfig;
use crate::coordinator::{Op, Owner, Tree, Txn, Znode};
use crate::limits::{CLOCK_FLOOR_MS, SWEPT_AT_ONCE_MAX};
use crate::types::{Instant, Now};

/// Where tools tell brokers of changed configurations; Kafka's brokers remove what is older than this, too.
const NOTIFICATIONS: &str = "/config/changes";
const NOTIFICATION_AGE_MS: i64 = 15 * 60 * 1000;

/// When to look next.
#[derive(Debug)]
pub(super) struct Sweep {
    interval_ms: u64,
    per_minute: u64,
    unused_ms: Option<u64>,
    next: Option<Instant>,
}

impl Sweep {
    /// Nothing to sweep is known.
    pub fn new(config: &ZooKeeperConfig) -> Sweep {
        Sweep {
            interval_ms: config.sweep_ms.max(1),
            per_minute: config.swept_per_minute.max(1),
            unused_ms: config.unused_container_ms,
            next: None,
        }
    }

    /// The tree may have changed, or the leader: there is something to look for, or not any more.
    pub fn look(&mut self, now: Now, is_leading: bool, tree: &Tree) {
        let has_notifications = || tree.get(NOTIFICATIONS).is_some_and(|znode| znode.child_count() > 0);
        if !is_leading || !(tree.has_sweepable() || has_notifications()) {
            self.next = None;
        } else if self.next.is_none() {
            self.next = Some(now.mono.plus_millis(self.interval_ms));
        }
    }

    /// When to look.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// What is due, when it is time to look.
    pub fn due(&mut self, now: Now, tree: &Tree) -> Vec<Txn> {
        if self.next.is_none_or(|at| at > now.mono) {
            return Vec::new();
        }
        let swept = tree.sweepable().filter_map(|znode| self.end_of(now, znode));
        let notifications = tree.get(NOTIFICATIONS).into_iter().flat_map(|parent| parent.children());
        let read = notifications.filter(|znode| is_old(now, znode)).map(|znode| delete(&znode));
        let found: Vec<Txn> = swept.chain(read).take(SWEPT_AT_ONCE_MAX).map(Txn::by_node).collect();
        let pace_ms = found.len() as u64 * 60_000 / self.per_minute;
        let pause_ms = if found.len() < SWEPT_AT_ONCE_MAX { self.interval_ms } else { 0 };
        self.next = Some(now.mono.plus_millis(pause_ms.max(pace_ms).max(1)));
        found
    }

    /// How a container or TTL znode ends, when it should.
    fn end_of(&self, now: Now, znode: Znode<'_>) -> Option<Op> {
        if znode.child_count() > 0 {
            return None;
        }
        let age_ms = now.wall.0.saturating_sub(znode.stat().mtime.0);
        let is_clock_sane = now.wall.0 >= CLOCK_FLOOR_MS;
        match znode.owner() {
            Owner::Container if znode.creates() != 0 => Some(Op::DeleteContainer { path: znode.path() }),
            Owner::Container => {
                let is_unused = |ms: u64| is_clock_sane && age_ms > ms as i64;
                self.unused_ms.is_some_and(is_unused).then(|| delete(&znode))
            }
            Owner::Ttl { ttl_ms } if is_clock_sane && age_ms > ttl_ms as i64 => {
                Some(Op::DeleteContainer { path: znode.path() })
            }
            _ => None,
        }
    }
}

fn is_old(now: Now, znode: &Znode<'_>) -> bool {
    now.wall.0 >= CLOCK_FLOOR_MS
        && znode.name().starts_with("config_change_")
        && now.wall.0.saturating_sub(znode.stat().ctime.0) > NOTIFICATION_AGE_MS
}

fn delete(znode: &Znode<'_>) -> Op {
    Op::Delete { path: znode.path(), version: znode.stat().version }
}

impl Engine {
    /// Proposes the end of what is due.
    pub(super) fn sweep_znodes(&mut self, now: Now) {
        if !self.metadata.is_leading() {
            return;
        }
        for txn in self.sweep.due(now, self.metadata.coordinator().tree()) {
            self.begin_proposal(now, &txn, Purpose::Sweep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::coordinator::acl::Acl;
    use crate::coordinator::{Changes, Coordinator, CreateMode, TreeLimits};
    use crate::types::{Term, Timestamp};

    struct Fixture {
        coordinator: Coordinator,
        sweep: Sweep,
    }

    fn at(ms: u64) -> Now {
        Now { mono: Instant(ms * 1000), wall: Timestamp(CLOCK_FLOOR_MS + ms as i64) }
    }

    impl Fixture {
        fn new(unused_ms: Option<u64>) -> Fixture {
            let limits = TreeLimits { bytes: 4 << 20, sessions: 10 };
            let zookeeper = ZooKeeperConfig { unused_container_ms: unused_ms, ..Config::default().zookeeper };
            Fixture { coordinator: Coordinator::new(limits, 1), sweep: Sweep::new(&zookeeper) }
        }

        fn apply(&mut self, now: Now, op: Op) -> bool {
            let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
            let txn = Txn::by_node(op).encode();
            self.coordinator.apply(zxid, now.wall, &txn, &mut Changes::default()).outcome.is_ok()
        }

        fn create(&mut self, now: Now, path: &str, mode: CreateMode) {
            assert!(self.apply(now, Op::Create { path: path.into(), data: None, acl: Acl::open(), mode }));
        }

        /// Looks and sweeps as the engine does; the number of znodes that are left.
        fn sweep(&mut self, now: Now) -> usize {
            self.sweep.look(now, true, self.coordinator.tree());
            for txn in self.sweep.due(now, self.coordinator.tree()) {
                let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
                let result = self.coordinator.apply(zxid, now.wall, &txn.encode(), &mut Changes::default());
                assert!(result.outcome.is_ok());
            }
            self.sweep.look(now, true, self.coordinator.tree());
            self.coordinator.tree().node_count()
        }
    }

    /// Empty containers that were used and TTL znodes that are old go with the sweep, others stay; then nobody looks.
    #[test]
    fn what_is_due_goes() {
        let mut fixture = Fixture::new(None);
        let before = fixture.coordinator.tree().node_count();
        for (path, mode) in [
            ("/used", CreateMode::Container),
            ("/unused", CreateMode::Container),
            ("/used/child", CreateMode::Persistent),
            ("/brief", CreateMode::Ttl { ttl_ms: 70_000 }),
        ] {
            fixture.create(at(0), path, mode);
        }
        assert_eq!(fixture.sweep(at(0)), before + 4);
        assert_eq!(fixture.sweep.next_deadline(), Some(at(60_000).mono));
        assert_eq!(fixture.sweep(at(60_000)), before + 4);
        assert!(fixture.apply(at(61_000), Op::Delete { path: "/used/child".into(), version: -1 }));
        assert_eq!(fixture.sweep(at(120_000)), before + 1);
        assert!(fixture.coordinator.tree().get("/unused").is_some());
        assert!(fixture.apply(at(121_000), Op::Delete { path: "/unused".into(), version: -1 }));
        fixture.sweep(at(121_000));
        assert_eq!(fixture.sweep.next_deadline(), None);
    }

    /// Containers that nobody used go when that was asked for, and old notifications of changed configurations.
    #[test]
    fn unused_containers_and_notifications() {
        let mut fixture = Fixture::new(Some(1000));
        fixture.create(at(0), "/unused", CreateMode::Container);
        for path in ["/config", "/config/changes", "/config/changes/other"] {
            fixture.create(at(0), path, CreateMode::Persistent);
        }
        fixture.create(at(0), "/config/changes/config_change_", CreateMode::PersistentSequential);
        let before = fixture.coordinator.tree().node_count();
        fixture.sweep(at(0));
        assert_eq!(fixture.sweep(at(60_000)), before - 1);
        assert_eq!(fixture.sweep(at(20 * 60_000)), before - 2);
    }

    /// More than one sweep takes is left for the next, which comes soon; not faster than allowed.
    #[test]
    fn paced() {
        let mut fixture = Fixture::new(None);
        let before = fixture.coordinator.tree().node_count();
        for number in 0..SWEPT_AT_ONCE_MAX + 10 {
            fixture.create(at(0), &format!("/{number}"), CreateMode::Ttl { ttl_ms: 1 });
        }
        fixture.sweep(at(0));
        assert_eq!(fixture.sweep(at(60_000)), before + 10);
        assert_eq!(fixture.sweep.next_deadline(), Some(at(63_000).mono));
        assert_eq!(fixture.sweep(at(63_000)), before);
    }
}
