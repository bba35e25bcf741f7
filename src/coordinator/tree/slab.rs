//! Znodes in pages of fixed size: places that never move, growth without copying, and at most one page of slack.

/// A place in the slab. 0 is the root for the tree's whole life.
pub type Index = u32;

/// No place: the end of a list.
pub const NONE: Index = Index::MAX;

const PAGE: usize = 256;

/// No tree that fits a memory budget has so many places.
const RESTORED_INDEX_MAX: Index = 1 << 24;

/// One znode. The links (siblings, bucket, owner's list) are the tree's business; the rest is what a snapshot keeps.
#[derive(Debug)]
pub struct Node {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub pzxid: i64,
    /// 0, a session, `CONTAINER` or a TTL.
    pub owner: i64,
    pub version: i32,
    pub aversion: i32,
    /// Children ever created: the number of the next sequential one.
    pub creates: i32,
    pub parent: Index,
    /// Index into the ACL table.
    pub acl: u32,
    /// Bytes of `content` that are the name; the data follows.
    pub name_bytes: u32,
    pub has_data: bool,
    /// Name, then data, in one allocation.
    pub content: Box<[u8]>,
    pub links: Links,
}

/// A znode's places in the lists that run through all of them.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    pub child_count: u32,
    pub first_child: Index,
    pub next_sibling: Index,
    pub prev_sibling: Index,
    /// Next with the same hash of (parent, name).
    pub bucket_next: Index,
    pub next_owned: Index,
    pub prev_owned: Index,
}

impl Links {
    pub const NONE: Links = Links {
        child_count: 0,
        first_child: NONE,
        next_sibling: NONE,
        prev_sibling: NONE,
        bucket_next: NONE,
        next_owned: NONE,
        prev_owned: NONE,
    };
}

impl Node {
    /// The last part of its path.
    pub fn name(&self) -> &[u8] {
        self.content.get(..self.name_bytes as usize).unwrap_or_default()
    }

    /// Its data; null and empty differ.
    pub fn data(&self) -> Option<&[u8]> {
        if self.has_data { self.content.get(self.name_bytes as usize..) } else { None }
    }
}

#[derive(Debug)]
enum Place {
    Free { next: Index },
    Used(Node),
}

// What a znode costs besides name and data: its place, its share of the buckets, and the allocator's rounding.
const _: () = assert!(size_of::<Place>() + 4 + 16 <= crate::limits::ZNODE_BYTES);

/// The pages.
#[derive(Debug)]
pub struct Slab {
    pages: Vec<Box<[Place]>>,
    free: Index,
    used: u32,
}

impl Slab {
    /// No page yet.
    pub const fn new() -> Slab {
        Slab { pages: Vec::new(), free: NONE, used: 0 }
    }

    /// Znodes in it.
    pub const fn len(&self) -> u32 {
        self.used
    }

    /// One above the highest place that may be in use.
    pub fn end(&self) -> Index {
        (self.pages.len() * PAGE) as Index
    }

    /// The znode at a place, if one is there.
    pub fn get(&self, index: Index) -> Option<&Node> {
        match self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)? {
            Place::Used(node) => Some(node),
            Place::Free { .. } => None,
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: Index) -> Option<&mut Node> {
        match self.place_mut(index)? {
            Place::Used(node) => Some(node),
            Place::Free { .. } => None,
        }
    }

    /// The place that `insert` takes next.
    pub fn next(&self) -> Index {
        if self.free == NONE { self.end() } else { self.free }
    }

    /// Puts a znode where `next` said.
    pub fn insert(&mut self, node: Node) -> Index {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        if let Some(place) = self.place_mut(index)
            && let Place::Free { next } = *place
        {
            *place = Place::Used(node);
            self.free = next;
            self.used += 1;
        }
        index
    }

    /// Takes a znode out; its place is the next to be used.
    pub fn remove(&mut self, index: Index) -> Option<Node> {
        let free = self.free;
        let place = self.place_mut(index)?;
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        let taken = std::mem::replace(place, Place::Free { next: free });
        self.free = index;
        self.used -= 1;
        match taken {
            Place::Used(node) => Some(node),
            Place::Free { .. } => None,
        }
    }

    /// Puts a znode at a place of a snapshot; pages without any stay away. `finish_restore` must follow the last one.
    pub fn restore(&mut self, index: Index, node: Node) -> Result<(), &'static str> {
        if index >= RESTORED_INDEX_MAX {
            return Err("a znode's place is beyond every tree");
        }
        let page = index as usize / PAGE;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Box::default);
        }
        let places = &mut self.pages[page]; // made just above
        if places.is_empty() {
            *places = (0..PAGE).map(|_| Place::Free { next: NONE }).collect();
        }
        let place = &mut places[index as usize % PAGE]; // a page has PAGE places
        if matches!(place, Place::Used(_)) {
            return Err("two znodes have the same place");
        }
        *place = Place::Used(node);
        self.used += 1;
        Ok(())
    }

    /// Makes the places that `restore` left free usable.
    pub fn finish_restore(&mut self) {
        let mut next = NONE;
        for index in (0..self.end()).rev() {
            if let Some(place @ Place::Free { .. }) = self.place_mut(index) {
                *place = Place::Free { next };
                next = index;
            }
        }
        self.free = next;
    }

    fn place_mut(&mut self, index: Index) -> Option<&mut Place> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }

    /// One more page, its places in front of the free list in rising order.
    fn grow(&mut self) {
        let first = self.end();
        let mut next = self.free;
        let mut page: Vec<Place> = Vec::with_capacity(PAGE);
        for i in (0..PAGE as Index).rev() {
            page.push(Place::Free { next });
            next = first + i;
        }
        page.reverse();
        self.free = first;
        self.pages.push(page.into_boxed_slice());
    }
}

#[cfg(test)]
pub(super) fn blank(name: &[u8]) -> Node {
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
        parent: 0,
        acl: 0,
        name_bytes: name.len() as u32,
        has_data: false,
        content: name.into(),
        links: Links::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    /// Places are unique while used, and the last one freed is the next one used, which rolling back relies on.
    #[test]
    fn places_are_unique_and_last_in_first_out() {
        let mut slab = Slab::new();
        let mut rng = Rng::new(3);
        let mut used = std::collections::BTreeMap::new();
        for step in 0..5_000u32 {
            if rng.one_in(3) && !used.is_empty() {
                let nth = rng.below(used.len() as u64) as usize;
                let index = *used.keys().nth(nth).unwrap();
                let node = slab.remove(index).unwrap();
                assert_eq!(node.name(), used.remove(&index).unwrap());
                assert_eq!(slab.next(), index);
            } else {
                let name = step.to_be_bytes().to_vec();
                let expected = slab.next();
                let index = slab.insert(blank(&name));
                assert_eq!(index, expected);
                assert!(used.insert(index, name).is_none());
            }
            assert_eq!(slab.len() as usize, used.len());
        }
        assert!(slab.get(NONE).is_none() && slab.remove(NONE).is_none());
    }
}
