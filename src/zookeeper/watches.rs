//! Who watches what.
//!
//! Watches belong to a connection, as in ZooKeeper; of one kind on one path a connection has at most one. `data` watches
//! fire when the znode comes, goes or changes, `child` watches when it goes or its children come or go, both once;
//! `persistent` ones do both and stay; `recursive` ones fire for the znode and everything below, but never for children
//! as such. Invariant: a change is told to a connection at most once for each path it is told under.
//! Memory: `ZOOKEEPER_WATCH_BYTES` and twice the path for each path of a connection, from the account; when that is used
//! up a watch is refused, and with it the read that would set it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::EventType;
use crate::limits::ZOOKEEPER_WATCH_BYTES;
use crate::memory::{Account, Grant};
use crate::types::ConnId;

/// Kinds of watches, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Of `getData` and `exists`.
    pub const DATA: Kinds = Kinds(1);
    /// Of `getChildren`.
    pub const CHILD: Kinds = Kinds(2);
    /// Of `addWatch`, mode 0.
    pub const PERSISTENT: Kinds = Kinds(4);
    /// Of `addWatch`, mode 1.
    pub const RECURSIVE: Kinds = Kinds(8);
    /// All of them.
    pub const ALL: Kinds = Kinds(15);

    /// Both.
    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    const fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }
}

/// All watches of the door.
#[derive(Debug)]
pub struct Watches {
    account: Account,
    grant: Grant,
    by_path: BTreeMap<Arc<str>, Vec<(ConnId, Kinds)>>,
    by_conn: BTreeMap<ConnId, BTreeMap<Arc<str>, ()>>,
    /// Watches that are recursive: without any, parents need not be looked at.
    recursive: usize,
    count: usize,
}

/// Somebody is to be told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fired {
    /// Whom.
    pub conn: ConnId,
    /// What.
    pub kind: EventType,
}

impl Watches {
    /// None yet.
    pub fn new(account: Account) -> Watches {
        Watches {
            account,
            grant: Grant::none(),
            by_path: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            recursive: 0,
            count: 0,
        }
    }

    /// True when nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Sets a watch; false when there is no memory for it.
    pub fn add(&mut self, conn: ConnId, path: &str, kinds: Kinds) -> bool {
        let is_new = !self.by_conn.get(&conn).is_some_and(|paths| paths.contains_key(path));
        if is_new {
            let Some(grant) = self.account.take(cost(path)) else { return false };
            self.grant.join(grant);
            let shared: Arc<str> = match self.by_path.get_key_value(path) {
                Some((shared, _)) => shared.clone(),
                None => path.into(),
            };
            self.by_conn.entry(conn).or_default().insert(shared.clone(), ());
            self.by_path.entry(shared).or_default().push((conn, Kinds(0)));
            self.count += 1;
        }
        let watchers = self.by_path.get_mut(path);
        if let Some((_, had)) = watchers.and_then(|list| list.iter_mut().find(|(other, _)| *other == conn)) {
            self.recursive += (kinds.meets(Kinds::RECURSIVE) && !had.meets(Kinds::RECURSIVE)) as usize;
            *had = had.and(kinds);
        }
        true
    }

    /// True when the connection has a watch of one of these kinds there.
    pub fn contains(&self, conn: ConnId, path: &str, kinds: Kinds) -> bool {
        let watchers = self.by_path.get(path);
        watchers.is_some_and(|list| list.iter().any(|(other, has)| *other == conn && has.meets(kinds)))
    }

    /// Takes watches of these kinds away; false when there was none.
    pub fn remove(&mut self, conn: ConnId, path: &str, kinds: Kinds) -> bool {
        if !self.contains(conn, path, kinds) {
            return false;
        }
        self.take(path, kinds, Some(conn), |_| {});
        true
    }

    /// Forgets a connection.
    pub fn drop_connection(&mut self, conn: ConnId) {
        for path in self.by_conn.remove(&conn).unwrap_or_default().into_keys() {
            let Some(list) = self.by_path.get_mut(&path) else { continue };
            if let Some(place) = list.iter().position(|(other, _)| *other == conn) {
                let (_, kinds) = list.swap_remove(place);
                self.recursive -= kinds.meets(Kinds::RECURSIVE) as usize;
                self.count -= 1;
                drop(self.grant.split(cost(&path)));
            }
            if list.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }

    /// What the birth of a znode fires under its own path; its parent's children have changed as well.
    pub fn created(&mut self, path: &str, fired: &mut Vec<Fired>) {
        self.node(path, EventType::Created, Kinds::DATA, fired);
    }

    /// What new data fire.
    pub fn data_changed(&mut self, path: &str, fired: &mut Vec<Fired>) {
        self.node(path, EventType::DataChanged, Kinds::DATA, fired);
    }

    /// What the end of a znode fires under its own path; its parent's children have changed as well.
    pub fn deleted(&mut self, path: &str, fired: &mut Vec<Fired>) {
        self.node(path, EventType::Deleted, Kinds::DATA.and(Kinds::CHILD), fired);
    }

    /// What a child that came or went fires under its parent's path.
    pub fn children_changed(&mut self, path: &str, fired: &mut Vec<Fired>) {
        let kinds = Kinds::CHILD.and(Kinds::PERSISTENT);
        self.take(path, kinds, None, |conn| fired.push(Fired { conn, kind: EventType::ChildrenChanged }));
    }

    /// Connections with watches, paths, and watches.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.by_conn.len(), self.by_path.len(), self.count)
    }

    /// Every path with the connections that watch its data, in the order of paths; some have none.
    pub fn data_paths(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = ConnId> + '_)> {
        let watching = |(conn, kinds): &(ConnId, Kinds)| (*kinds != Kinds::CHILD).then_some(*conn);
        self.by_path.iter().map(move |(path, list)| (&**path, list.iter().filter_map(watching)))
    }

    /// Every connection with the paths whose data it watches; some have none.
    pub fn data_connections(&self) -> impl Iterator<Item = (ConnId, impl Iterator<Item = &str> + '_)> {
        let kinds = Kinds::ALL.without(Kinds::CHILD);
        self.by_conn.iter().map(move |(&conn, paths)| {
            (conn, paths.keys().map(|path| &**path).filter(move |path| self.contains(conn, path, kinds)))
        })
    }

    fn node(&mut self, path: &str, kind: EventType, once: Kinds, fired: &mut Vec<Fired>) {
        let first = fired.len();
        let kinds = once.and(Kinds::PERSISTENT).and(Kinds::RECURSIVE);
        self.take(path, kinds, None, |conn| fired.push(Fired { conn, kind }));
        if self.recursive == 0 {
            return;
        }
        let mut above = path;
        while let Some((parent, name)) = above.rsplit_once('/').filter(|_| above != "/") {
            let at = if parent.is_empty() { "/" } else { parent };
            let _ = name;
            for (conn, kinds) in self.by_path.get(at).into_iter().flatten() {
                let is_told = fired.iter().skip(first).any(|fired| fired.conn == *conn);
                if kinds.meets(Kinds::RECURSIVE) && !is_told {
                    fired.push(Fired { conn: *conn, kind });
                }
            }
            above = at;
        }
    }

    /// Tells `met` every connection that has one of `kinds` there, and takes away those that fire once (all of them
    /// when a connection is named).
    fn take(&mut self, path: &str, kinds: Kinds, only: Option<ConnId>, mut met: impl FnMut(ConnId)) {
        let Some(list) = self.by_path.get_mut(path) else { return };
        let stays = if only.is_some() { Kinds(0) } else { Kinds::PERSISTENT.and(Kinds::RECURSIVE) };
        let (by_conn, grant) = (&mut self.by_conn, &mut self.grant);
        let (recursive, count) = (&mut self.recursive, &mut self.count);
        list.retain_mut(|(conn, has)| {
            if !has.meets(kinds) || only.is_some_and(|only| only != *conn) {
                return true;
            }
            met(*conn);
            let left = has.without(kinds.without(stays));
            *recursive -= (has.meets(Kinds::RECURSIVE) && !left.meets(Kinds::RECURSIVE)) as usize;
            *has = left;
            if left.0 != 0 {
                return true;
            }
            *count -= 1;
            drop(grant.split(cost(path)));
            if let Some(paths) = by_conn.get_mut(conn) {
                paths.remove(path);
                if paths.is_empty() {
                    by_conn.remove(conn);
                }
            }
            false
        });
        if list.is_empty() {
            self.by_path.remove(path);
        }
    }
}

/// A path is in two maps when a single connection watches it.
fn cost(path: &str) -> usize {
    ZOOKEEPER_WATCH_BYTES + 2 * path.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    const fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    fn fired(act: impl FnOnce(&mut Vec<Fired>)) -> Vec<(u32, EventType)> {
        let mut list = Vec::new();
        act(&mut list);
        list.into_iter().map(|fired| (fired.conn.index, fired.kind)).collect()
    }

    /// One-shot watches fire once and at most once for a deletion; setting one twice is setting it once.
    #[test]
    fn once() {
        let mut watches = Watches::new(Account::new(1 << 20));
        for kinds in [Kinds::DATA, Kinds::DATA, Kinds::CHILD] {
            assert!(watches.add(conn(1), "/a", kinds));
        }
        assert_eq!(fired(|list| watches.deleted("/a", list)), [(1, EventType::Deleted)]);
        assert_eq!(fired(|list| watches.deleted("/a", list)), []);
        assert!(watches.add(conn(1), "/a", Kinds::DATA) && watches.add(conn(1), "/a", Kinds::CHILD));
        assert_eq!(fired(|list| watches.data_changed("/a", list)), [(1, EventType::DataChanged)]);
        assert_eq!(fired(|list| watches.data_changed("/a", list)), []);
        assert_eq!(fired(|list| watches.children_changed("/a", list)), [(1, EventType::ChildrenChanged)]);
        assert!(watches.is_empty() && watches.account.used_bytes() == 0);
    }

    /// Persistent watches stay and see both kinds; recursive ones see everything below, once, and no children as such.
    #[test]
    fn for_good() {
        let mut watches = Watches::new(Account::new(1 << 20));
        watches.add(conn(1), "/a", Kinds::PERSISTENT);
        watches.add(conn(2), "/a", Kinds::RECURSIVE);
        watches.add(conn(2), "/", Kinds::RECURSIVE);
        for _ in 0..2 {
            assert_eq!(fired(|list| watches.children_changed("/a", list)), [(1, EventType::ChildrenChanged)]);
            assert_eq!(fired(|list| watches.created("/a/b/c", list)), [(2, EventType::Created)]);
            let both = [(1, EventType::Deleted), (2, EventType::Deleted)];
            assert_eq!(fired(|list| watches.deleted("/a", list)), both);
        }
        assert!(watches.remove(conn(2), "/a", Kinds::ALL) && !watches.remove(conn(2), "/a", Kinds::ALL));
        assert_eq!(fired(|list| watches.data_changed("/a/b", list)), [(2, EventType::DataChanged)]);
        watches.drop_connection(conn(2));
        assert_eq!(fired(|list| watches.data_changed("/a/b", list)), []);
        assert_eq!((watches.counts(), watches.recursive), ((1, 1, 1), 0));
    }

    /// Whatever is set, fired and dropped, the account and the two maps agree, and nothing is left in the end.
    #[test]
    fn account_is_exact() {
        let account = Account::new(40 * (ZOOKEEPER_WATCH_BYTES + 8));
        let mut watches = Watches::new(account.clone());
        let mut rng = Rng::new(5);
        let mut refused = 0;
        for _ in 0..20_000 {
            let (who, path) = (conn(rng.below(20) as u32), ["/", "/a", "/a/b", "/a/b/c", "/d"][rng.below(5) as usize]);
            match rng.below(7) {
                0 => watches.drop_connection(who),
                1 => watches.deleted(path, &mut Vec::new()),
                2 => watches.children_changed(path, &mut Vec::new()),
                3 => _ = watches.remove(who, path, Kinds(1 << rng.below(4))),
                _ => refused += !watches.add(who, path, Kinds(1 << rng.below(4))) as usize,
            }
            let costs: usize = watches.by_conn.values().flat_map(|paths| paths.keys().map(|path| cost(path))).sum();
            let recursive =
                |list: &Vec<(ConnId, Kinds)>| list.iter().filter(|(_, k)| k.meets(Kinds::RECURSIVE)).count();
            assert_eq!(account.used_bytes(), costs);
            assert_eq!(watches.recursive, watches.by_path.values().map(recursive).sum::<usize>());
            assert_eq!(watches.count, watches.by_path.values().map(Vec::len).sum::<usize>());
        }
        assert!(refused > 0);
        (0..20).for_each(|index| watches.drop_connection(conn(index)));
        assert_eq!((account.used_bytes(), watches.counts(), watches.recursive), (0, (0, 0, 0), 0));
    }
}
