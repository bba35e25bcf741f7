//! A znode as readers see it.

use super::{CONTAINER, Index, Node, TTL, TTL_MS_MAX, Tree};
use crate::coordinator::Stat;
use crate::coordinator::acl::Acl;
use crate::types::{SessionId, Timestamp, Zxid};

/// Who decides when a znode goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: it stays until deleted.
    Persistent,
    /// Its session.
    Session(SessionId),
    /// The sweep, once it has had children and has none.
    Container,
    /// The sweep, once it has no children and was not modified for so long.
    Ttl { ttl_ms: u64 },
}

impl Owner {
    /// Reads the stored form, which is ZooKeeper's.
    pub(in crate::coordinator) fn of(stored: i64) -> Owner {
        match stored {
            0 => Owner::Persistent,
            CONTAINER => Owner::Container,
            ttl if ttl & TTL == TTL => Owner::Ttl { ttl_ms: ttl as u64 & TTL_MS_MAX },
            session => Owner::Session(SessionId(session)),
        }
    }
}

/// One znode, borrowed from the tree.
#[derive(Clone, Copy, Debug)]
pub struct Znode<'a> {
    tree: &'a Tree,
    index: Index,
    node: &'a Node,
}

impl<'a> Znode<'a> {
    pub(super) fn new(tree: &'a Tree, index: Index, node: &'a Node) -> Znode<'a> {
        Znode { tree, index, node }
    }

    /// The last part of its path; empty for the root.
    pub fn name(&self) -> &'a str {
        name(self.node)
    }

    /// The whole path.
    pub fn path(&self) -> String {
        if self.index == super::ROOT {
            return "/".to_string();
        }
        let mut names = Vec::new();
        let mut index = self.index;
        while index != super::ROOT {
            let Some(node) = self.tree.slab.get(index) else { break };
            names.push(name(node));
            index = node.parent;
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// Its data; null and empty differ.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.node.data()
    }

    /// Its access control list.
    pub fn acl(&self) -> &'a [Acl] {
        self.tree.acls.get(self.node.acl)
    }

    /// Who decides when it goes.
    pub fn owner(&self) -> Owner {
        Owner::of(self.node.owner)
    }

    /// Children ever created: the number of the next sequential one.
    pub fn creates(&self) -> i32 {
        self.node.creates
    }

    /// Children now.
    pub fn child_count(&self) -> usize {
        self.node.links.child_count as usize
    }

    /// The children, in no order.
    pub fn children(&self) -> impl Iterator<Item = Znode<'a>> + use<'a> {
        let tree = self.tree;
        tree.children(self.index).filter_map(move |index| tree.znode(index))
    }

    /// Znodes below, at every depth.
    pub fn descendant_count(&self) -> usize {
        self.subtree_size().0 - 1
    }

    /// Znodes, this one and all below, and the bytes of their data.
    pub fn subtree_size(&self) -> (usize, usize) {
        let size = |node: &Node| node.data().map_or(0, <[u8]>::len);
        let (mut count, mut bytes) = (1, size(self.node));
        let mut next = self.node.links.first_child;
        while let Some(mut node) = self.tree.slab.get(next) {
            count += 1;
            bytes += size(node);
            next = node.links.first_child;
            while next == super::NONE {
                next = node.links.next_sibling;
                if next == super::NONE {
                    match self.tree.slab.get(node.parent) {
                        Some(_) if node.parent == self.index => return (count, bytes),
                        Some(parent) => node = parent,
                        None => return (count, bytes),
                    }
                }
            }
        }
        (count, bytes)
    }

    /// Everything else that ZooKeeper tells.
    pub fn stat(&self) -> Stat {
        let node = self.node;
        let children = node.links.child_count as i32;
        Stat {
            czxid: Zxid(node.czxid),
            mzxid: Zxid(node.mzxid),
            ctime: Timestamp(node.ctime),
            mtime: Timestamp(node.mtime),
            version: node.version,
            cversion: node.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: node.aversion,
            ephemeral_owner: match self.owner() {
                Owner::Session(session) => session,
                _ => SessionId(0),
            },
            data_length: node.data().map_or(0, |data| data.len() as i32),
            num_children: children,
            pzxid: Zxid(node.pzxid),
        }
    }
}

/// Names come from `String`s, and snapshots are checked for it.
fn name(node: &Node) -> &str {
    std::str::from_utf8(node.name()).unwrap_or_default()
}
