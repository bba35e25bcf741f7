//! The znodes: found by path, changed by four primitives, each of which can be taken back within one transaction.
//!
//! Invariants: every znode but the root is in its parent's list of children, in one bucket, and, if it has an owner, in
//! the owner's list; the account counts `ZNODE_BYTES` for each znode, the bytes of names and data, and the ACL lists.
//! Memory: this account (`TreeLimits::bytes`) and nothing else; the buckets are allocated once, from it.
//! Called by `apply` for changes, by doors through `Znode` for reads, by `snapshot`.

mod change;
mod overlay;
mod restore;
mod slab;
mod znode;

use std::collections::BTreeMap;

use super::acl::{Acl, AclTable};
use crate::limits::ZNODE_BYTES;

pub use change::NewNode;
pub(super) use overlay::Overlay;
pub(super) use slab::{Index, Links, NONE, Node};
pub use znode::{Owner, Znode};

pub(super) const ROOT: Index = 0;

/// The stored owner of a container.
pub(super) const CONTAINER: i64 = i64::MIN;
/// The stored owner of a TTL znode, its time to live in the lower 40 bits.
pub(super) const TTL: i64 = 0xff00_0000_0000_0000_u64 as i64;
/// The longest time to live, in ms.
pub(super) const TTL_MS_MAX: u64 = (1 << 40) - 1;

/// The tree's line of the memory table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Everything that znodes cost. Clients are refused earlier than brokers, so that the brokers' own words fit.
    pub bytes: usize,
    /// Sessions alive.
    pub sessions: usize,
}

/// All znodes.
#[derive(Debug)]
pub struct Tree {
    slab: slab::Slab,
    /// Heads of the lists of znodes with the same hash; 0, the root, which is in none, means empty.
    buckets: Box<[Index]>,
    seed: u64,
    acls: AclTable,
    /// Heads of the lists of znodes with the same owner: sessions, containers, TTL.
    owned: BTreeMap<i64, Index>,
    content_bytes: usize,
    limit_bytes: usize,
    undo: Option<Vec<change::Undo>>,
    overlay: Option<Overlay>,
}

impl Tree {
    /// A new tree as a new ZooKeeper has it. `seed` scatters the buckets, so that nobody can choose names that collide.
    pub fn new(limits: TreeLimits, seed: u64) -> Tree {
        let mut tree = Tree::empty(limits, seed);
        tree.slab.insert(Node::root());
        for (path, acl) in
            [("/zookeeper", Acl::open()), ("/zookeeper/config", Acl::readable()), ("/zookeeper/quota", Acl::open())]
        {
            let Some((parent, name)) = super::path::split(path) else { continue };
            let Some(parent) = tree.find(parent) else { continue };
            let acl = tree.acls.take(&acl);
            let index = tree.insert(parent, NewNode { name, data: Some(&[]), acl, owner: 0, zxid: 0, time: 0 });
            tree.set_birth_counters(parent, index, if acl == 0 { 0 } else { -1 });
        }
        tree
    }

    /// Not even a root: for a snapshot to fill.
    pub(super) fn empty(limits: TreeLimits, seed: u64) -> Tree {
        let nodes_max = limits.bytes / (ZNODE_BYTES + 16);
        let buckets = (nodes_max.next_power_of_two() / 2).clamp(64, 1 << 30);
        Tree {
            slab: slab::Slab::new(),
            buckets: vec![0; buckets].into_boxed_slice(),
            seed,
            acls: AclTable::new(),
            owned: BTreeMap::new(),
            content_bytes: 0,
            limit_bytes: limits.bytes,
            undo: None,
            overlay: None,
        }
    }

    /// The znode at `path`; `""` is the root.
    pub fn get(&self, path: &str) -> Option<Znode<'_>> {
        self.znode(self.find(path)?)
    }

    /// Znodes, the root included.
    pub fn node_count(&self) -> usize {
        self.slab.len() as usize
    }

    /// Bytes of names and data.
    pub fn content_bytes(&self) -> usize {
        self.content_bytes
    }

    /// Bytes of the account in use.
    pub fn used_bytes(&self) -> usize {
        self.slab.len() as usize * ZNODE_BYTES + self.content_bytes + self.acls.bytes()
    }

    /// Znodes that belong to sessions.
    pub fn ephemeral_count(&self) -> usize {
        let sessions = self.owned.keys().filter(|&&owner| matches!(Owner::of(owner), Owner::Session(_)));
        sessions.map(|&owner| self.owned_by(owner).count()).sum()
    }

    /// The znodes of one session, in no order.
    pub fn ephemerals(&self, session: crate::types::SessionId) -> impl Iterator<Item = Znode<'_>> {
        self.owned_by(session.0).filter_map(|index| self.znode(index))
    }

    /// True when there is a container or a TTL znode.
    pub fn has_sweepable(&self) -> bool {
        self.owned.contains_key(&CONTAINER) || self.owned.contains_key(&TTL)
    }

    /// Containers and TTL znodes, in no order: what the sweep looks at.
    pub fn sweepable(&self) -> impl Iterator<Item = Znode<'_>> {
        self.owned_by(CONTAINER).chain(self.owned_by(TTL)).filter_map(|index| self.znode(index))
    }

    pub(super) fn find(&self, path: &str) -> Option<Index> {
        if path.is_empty() || path == "/" {
            return self.slab.get(ROOT).map(|_| ROOT);
        }
        path.strip_prefix('/')?.split('/').try_fold(ROOT, |parent, name| self.child(parent, name.as_bytes()))
    }

    pub(super) fn node(&self, index: Index) -> Option<&Node> {
        self.slab.get(index)
    }

    pub(super) fn znode(&self, index: Index) -> Option<Znode<'_>> {
        Some(Znode::new(self, index, self.slab.get(index)?))
    }

    pub(super) fn acls(&self) -> &AclTable {
        &self.acls
    }

    /// Whether so much more fits. Brokers have the last sixteenth for themselves.
    pub(super) fn has_room(&self, nodes: usize, bytes: usize, is_broker: bool) -> bool {
        let limit = if is_broker { self.limit_bytes } else { self.limit_bytes - self.limit_bytes / 16 };
        let buckets = self.buckets.len() * size_of::<Index>();
        self.used_bytes().saturating_add(buckets).saturating_add(nodes * ZNODE_BYTES).saturating_add(bytes) <= limit
    }

    pub(super) fn child(&self, parent: Index, name: &[u8]) -> Option<Index> {
        let mut index = *self.buckets.get(self.bucket(parent, name))?;
        while index != 0 {
            let node = self.slab.get(index)?;
            if node.parent == parent && node.name() == name {
                return Some(index);
            }
            index = node.links.bucket_next;
        }
        None
    }

    pub(super) fn children(&self, index: Index) -> impl Iterator<Item = Index> + '_ {
        let first = self.slab.get(index).map_or(NONE, |node| node.links.first_child);
        self.list(first, |links| links.next_sibling)
    }

    pub(super) fn owned_by(&self, owner: i64) -> impl Iterator<Item = Index> + '_ {
        let first = self.owned.get(&list_of(owner)).copied().unwrap_or(NONE);
        self.list(first, |links| links.next_owned)
    }

    fn list(&self, first: Index, next: fn(&Links) -> Index) -> impl Iterator<Item = Index> + '_ {
        std::iter::successors(Some(first), move |&index| self.slab.get(index).map(|node| next(&node.links)))
            .take_while(|&index| index != NONE)
    }

    fn bucket(&self, parent: Index, name: &[u8]) -> usize {
        let mut hash = fold(self.seed ^ parent as u64, 0x9e37_79b9_7f4a_7c15);
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = fold(hash ^ u64::from_le_bytes(word), 0xbf58_476d_1ce4_e5b9 ^ self.seed.rotate_left(32) | 1);
        }
        fold(hash ^ name.len() as u64, 0x94d0_49bb_1331_11eb) as usize & (self.buckets.len() - 1)
    }
}

/// Both halves of the product: every bit of either factor moves every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The list that znodes of this owner are in: all TTL znodes share one.
fn list_of(owner: i64) -> i64 {
    if matches!(Owner::of(owner), Owner::Ttl { .. }) { TTL } else { owner }
}
