//! Filling an empty tree from a snapshot: znodes first, in any order, then the lists that run through them.

use super::slab::{Index, NONE, Node};
use super::{Owner, ROOT, Tree};
use crate::types::SessionId;

impl Tree {
    /// Puts a znode of a snapshot into its place; says what is wrong with it. `finish_restore` must follow the last.
    pub(in crate::coordinator) fn restore_node(&mut self, index: Index, node: Node) -> Result<(), &'static str> {
        self.content_bytes += node.content.len();
        self.slab.restore(index, node)
    }

    /// Links what was put into places; says why it is no tree.
    pub(in crate::coordinator) fn finish_restore(
        &mut self,
        is_alive: impl Fn(SessionId) -> bool,
    ) -> Result<(), &'static str> {
        self.slab.finish_restore();
        if self.slab.get(ROOT).is_none() {
            return Err("it has no root");
        }
        for index in 1..self.slab.end() {
            let Some(node) = self.slab.get(index) else { continue };
            if self.slab.get(node.parent).is_none() {
                return Err("a znode has no parent");
            }
            if self.child(node.parent, node.name()).is_some() {
                return Err("two znodes have the same path");
            }
            self.link(index);
        }
        if self.owned.keys().any(|&owner| matches!(Owner::of(owner), Owner::Session(id) if !is_alive(id))) {
            return Err("a znode belongs to a session that is not alive");
        }
        if self.count_reachable() == self.slab.len() { Ok(()) } else { Err("its znodes run in a circle") }
    }

    /// Walks the lists in depth-first order.
    fn count_reachable(&self) -> u32 {
        let mut count = 0;
        let mut index = ROOT;
        while let Some(node) = self.slab.get(index) {
            count += 1;
            index = node.links.first_child;
            let mut at = if index == NONE { Some(node) } else { None };
            while let Some(leaf) = at {
                index = leaf.links.next_sibling;
                at = if index == NONE { self.slab.get(leaf.parent) } else { None };
            }
        }
        count
    }

    pub(in crate::coordinator) fn retain_acl(&mut self, number: u32) {
        self.acls.retain(number);
    }

    pub(in crate::coordinator) fn release_acl(&mut self, number: u32) {
        self.acls.release(number);
    }
}
