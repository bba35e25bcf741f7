//! The four primitives that change znodes, and how a transaction takes them back.
//!
//! The caller has checked everything: primitives do not fail. While a transaction that may fail runs, each leaves a
//! record of what was; `roll_back` plays them in reverse, `commit` forgets them.

use super::slab::{Index, Links, NONE, Node};
use super::{ROOT, Tree, list_of};

/// What a znode is born with.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    pub name: &'a str,
    pub data: Option<&'a [u8]>,
    /// From `take_acl`.
    pub acl: u32,
    /// Stored form.
    pub owner: i64,
    pub zxid: i64,
    pub time: i64,
}

/// What was before a primitive.
#[derive(Debug)]
pub(super) enum Undo {
    Insert { index: Index, parent_creates: i32, parent_pzxid: i64 },
    Remove { node: Node, parent_pzxid: i64 },
    Data { index: Index, content: Box<[u8]>, has_data: bool, mzxid: i64, mtime: i64, version: i32 },
    Acl { index: Index, acl: u32, aversion: i32 },
}

impl Node {
    pub(super) fn root() -> Node {
        Node {
            czxid: 0,
            mzxid: 0,
            ctime: 0,
            mtime: 0,
            pzxid: 0,
            owner: 0,
            version: 0,
            aversion: 0,
            creates: 0,
            parent: NONE,
            acl: 0,
            name_bytes: 0,
            has_data: true,
            content: Box::default(),
            links: Links::NONE,
        }
    }
}

impl Tree {
    /// From here on changes can be taken back.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Takes back every change since `begin`.
    pub fn roll_back(&mut self) {
        for undo in self.undo.take().unwrap_or_default().into_iter().rev() {
            self.take_back(undo);
        }
    }

    /// Keeps every change since `begin`.
    pub fn commit(&mut self) {
        for undo in self.undo.take().unwrap_or_default() {
            match undo {
                Undo::Remove { node: Node { acl, .. }, .. } | Undo::Acl { acl, .. } => self.acls.release(acl),
                Undo::Insert { .. } | Undo::Data { .. } => {}
            }
        }
    }

    /// The number of an ACL list for `insert` and `set_acl`, which consume it.
    pub fn take_acl(&mut self, list: &[super::super::acl::Acl]) -> u32 {
        self.acls.take(list)
    }

    /// A new child of `parent`, which has none of that name.
    pub fn insert(&mut self, parent: Index, new: NewNode<'_>) -> Index {
        self.touch(self.slab.next());
        self.touch(parent);
        let content = content(new.name.as_bytes(), new.data);
        self.content_bytes += content.len();
        let index = self.slab.insert(Node {
            czxid: new.zxid,
            mzxid: new.zxid,
            ctime: new.time,
            mtime: new.time,
            pzxid: new.zxid,
            owner: new.owner,
            version: 0,
            aversion: 0,
            creates: 0,
            parent,
            acl: new.acl,
            name_bytes: new.name.len() as u32,
            has_data: new.data.is_some(),
            content,
            links: Links::NONE,
        });
        self.link(index);
        if let Some(above) = self.slab.get_mut(parent) {
            let undo = Undo::Insert { index, parent_creates: above.creates, parent_pzxid: above.pzxid };
            above.creates = above.creates.wrapping_add(1);
            above.pzxid = new.zxid;
            self.remember(undo);
        }
        index
    }

    /// Removes a znode that has no children.
    pub fn remove(&mut self, index: Index, zxid: i64) {
        self.touch(index);
        self.unlink(index);
        let Some(node) = self.slab.remove(index) else { return };
        self.content_bytes -= node.content.len();
        self.touch(node.parent);
        let mut parent_pzxid = 0;
        if let Some(above) = self.slab.get_mut(node.parent) {
            parent_pzxid = std::mem::replace(&mut above.pzxid, zxid);
        }
        if self.undo.is_some() {
            self.remember(Undo::Remove { node, parent_pzxid });
        } else {
            self.acls.release(node.acl);
        }
    }

    /// New data, another version.
    pub fn set_data(&mut self, index: Index, data: Option<&[u8]>, zxid: i64, time: i64) {
        self.touch(index);
        let Some(node) = self.slab.get_mut(index) else { return };
        let new = content(node.name(), data);
        self.content_bytes = self.content_bytes + new.len() - node.content.len();
        let undo = Undo::Data {
            index,
            content: std::mem::replace(&mut node.content, new),
            has_data: std::mem::replace(&mut node.has_data, data.is_some()),
            mzxid: std::mem::replace(&mut node.mzxid, zxid),
            mtime: std::mem::replace(&mut node.mtime, time),
            version: node.version,
        };
        node.version = node.version.wrapping_add(1);
        self.remember(undo);
    }

    /// Other data with the same Stat: what the tree itself counts.
    pub fn replace_data(&mut self, index: Index, data: &[u8]) {
        self.touch(index);
        let Some(node) = self.slab.get_mut(index) else { return };
        let new = content(node.name(), Some(data));
        self.content_bytes = self.content_bytes + new.len() - node.content.len();
        let undo = Undo::Data {
            index,
            content: std::mem::replace(&mut node.content, new),
            has_data: std::mem::replace(&mut node.has_data, true),
            mzxid: node.mzxid,
            mtime: node.mtime,
            version: node.version,
        };
        self.remember(undo);
    }

    /// Another ACL list, another version of it.
    pub fn set_acl(&mut self, index: Index, acl: u32) {
        self.touch(index);
        let Some(node) = self.slab.get_mut(index) else { return };
        let old = std::mem::replace(&mut node.acl, acl);
        let aversion = node.aversion;
        node.aversion = aversion.wrapping_add(1);
        if self.undo.is_some() {
            self.remember(Undo::Acl { index, acl: old, aversion });
        } else {
            self.acls.release(old);
        }
    }

    /// Znodes that a new ZooKeeper has were never counted as created.
    pub(super) fn set_birth_counters(&mut self, parent: Index, index: Index, aversion: i32) {
        if let Some(above) = self.slab.get_mut(parent) {
            above.creates = 0;
        }
        if let Some(node) = self.slab.get_mut(index) {
            node.aversion = aversion;
        }
    }

    /// Puts a znode that is in its place into every list it belongs to.
    pub(super) fn link(&mut self, index: Index) {
        let Some(node) = self.slab.get(index) else { return };
        let (parent, owner) = (node.parent, node.owner);
        let bucket = self.bucket(parent, node.name());
        let mut links =
            Links { child_count: node.links.child_count, first_child: node.links.first_child, ..Links::NONE };
        links.bucket_next = std::mem::replace(&mut self.buckets[bucket], index); // bucket() is below their number
        if let Some(above) = self.slab.get_mut(parent) {
            links.next_sibling = std::mem::replace(&mut above.links.first_child, index);
            above.links.child_count += 1;
        }
        if owner != 0 {
            links.next_owned = self.owned.insert(list_of(owner), index).unwrap_or(NONE);
        }
        self.set_links(links.next_sibling, |next| next.prev_sibling = index);
        self.set_links(links.next_owned, |next| next.prev_owned = index);
        self.set_links(index, |own| *own = links);
    }

    fn unlink(&mut self, index: Index) {
        let Some(node) = self.slab.get(index) else { return };
        let (links, parent, owner) = (node.links, node.parent, node.owner);
        let bucket = self.bucket(parent, node.name());
        self.unlink_bucket(bucket, index, links.bucket_next);
        if let Some(above) = self.slab.get_mut(parent) {
            above.links.child_count -= 1;
            if links.prev_sibling == NONE {
                above.links.first_child = links.next_sibling;
            }
        }
        self.set_links(links.prev_sibling, |prev| prev.next_sibling = links.next_sibling);
        self.set_links(links.next_sibling, |next| next.prev_sibling = links.prev_sibling);
        self.set_links(links.prev_owned, |prev| prev.next_owned = links.next_owned);
        self.set_links(links.next_owned, |next| next.prev_owned = links.prev_owned);
        if owner != 0 && links.prev_owned == NONE {
            if links.next_owned == NONE {
                self.owned.remove(&list_of(owner));
            } else {
                self.owned.insert(list_of(owner), links.next_owned);
            }
        }
    }

    fn unlink_bucket(&mut self, bucket: usize, index: Index, next: Index) {
        let mut before = self.buckets[bucket]; // bucket() is below their number
        if before == index {
            self.buckets[bucket] = next;
            return;
        }
        while let Some(node) = self.slab.get_mut(before) {
            if node.links.bucket_next == index {
                node.links.bucket_next = next;
                return;
            }
            before = node.links.bucket_next;
            if before == ROOT {
                return;
            }
        }
    }

    fn set_links(&mut self, index: Index, change: impl FnOnce(&mut Links)) {
        if let Some(node) = self.slab.get_mut(index) {
            change(&mut node.links);
        }
    }

    fn remember(&mut self, what: Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push(what);
        }
    }

    /// A running snapshot keeps what the znode was when it began.
    fn touch(&mut self, index: Index) {
        if let Some(overlay) = &mut self.overlay {
            overlay.save(index, self.slab.get(index));
        }
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Insert { index, parent_creates, parent_pzxid } => {
                self.unlink(index);
                let Some(node) = self.slab.remove(index) else { return };
                self.content_bytes -= node.content.len();
                self.acls.release(node.acl);
                if let Some(above) = self.slab.get_mut(node.parent) {
                    above.creates = parent_creates;
                    above.pzxid = parent_pzxid;
                }
            }
            Undo::Remove { node, parent_pzxid } => {
                let parent = node.parent;
                self.content_bytes += node.content.len();
                // Its old place: whatever took it since has been taken back before.
                let index = self.slab.insert(node);
                self.link(index);
                if let Some(above) = self.slab.get_mut(parent) {
                    above.pzxid = parent_pzxid;
                }
            }
            Undo::Data { index, content, has_data, mzxid, mtime, version } => {
                let Some(node) = self.slab.get_mut(index) else { return };
                self.content_bytes = self.content_bytes + content.len() - node.content.len();
                node.content = content;
                node.has_data = has_data;
                node.mzxid = mzxid;
                node.mtime = mtime;
                node.version = version;
            }
            Undo::Acl { index, acl, aversion } => {
                let Some(node) = self.slab.get_mut(index) else { return };
                let taken = std::mem::replace(&mut node.acl, acl);
                node.aversion = aversion;
                self.acls.release(taken);
            }
        }
    }
}

fn content(name: &[u8], data: Option<&[u8]>) -> Box<[u8]> {
    let data = data.unwrap_or_default();
    let mut content = Vec::with_capacity(name.len() + data.len());
    content.extend_from_slice(name);
    content.extend_from_slice(data);
    content.into_boxed_slice()
}
