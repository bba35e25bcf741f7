//! Copy on write for a snapshot that is taken in slices while transactions go on: what a znode was when the snapshot
//! began, for those that changed before their slice was taken.
//!
//! Invariants: a place is saved at most once, and only while the snapshot has yet to come by; what has been passed, and
//! what lies beyond the end that the tree had then, is never saved.

use std::collections::BTreeMap;

use super::Tree;
use super::slab::{Index, Node};
use crate::coordinator::snapshot::encode_node;

/// A running snapshot's place and the old znodes.
#[derive(Debug)]
pub struct Overlay {
    next: Index,
    end: Index,
    saved: BTreeMap<Index, Option<Box<[u8]>>>,
    bytes: usize,
}

/// What the map needs for one entry, rounded up.
const ENTRY_BYTES: usize = 64;

impl Overlay {
    pub(super) fn save(&mut self, index: Index, node: Option<&Node>) {
        if index < self.next || index >= self.end || self.saved.contains_key(&index) {
            return;
        }
        let old = node.map(|node| {
            let mut bytes = Vec::new();
            encode_node(index, node, &mut bytes);
            bytes.into_boxed_slice()
        });
        self.bytes += ENTRY_BYTES + old.as_ref().map_or(0, |old| old.len());
        self.saved.insert(index, old);
    }
}

impl Tree {
    /// From here on the tree remembers what it is now, until `end_snapshot`.
    pub(in crate::coordinator) fn begin_snapshot(&mut self) {
        self.overlay = Some(Overlay { next: 0, end: self.slab.end(), saved: BTreeMap::new(), bytes: 0 });
    }

    /// Appends the next znodes, as they were at `begin_snapshot`, until `out` holds `max_bytes` (the last one may pass
    /// it) or `max_places` were looked at. False when there are no more.
    pub(in crate::coordinator) fn snapshot_slice(
        &mut self,
        out: &mut Vec<u8>,
        max_bytes: usize,
        max_places: u32,
    ) -> bool {
        let Some(overlay) = &mut self.overlay else { return false };
        let stop = overlay.end.min(overlay.next.saturating_add(max_places));
        while overlay.next < stop && out.len() < max_bytes {
            let index = overlay.next;
            overlay.next += 1;
            match overlay.saved.remove(&index) {
                Some(old) => {
                    let old = old.unwrap_or_default();
                    overlay.bytes -= ENTRY_BYTES + old.len();
                    out.extend_from_slice(&old);
                }
                None => {
                    if let Some(node) = self.slab.get(index) {
                        encode_node(index, node, out);
                    }
                }
            }
        }
        overlay.next < overlay.end
    }

    /// Forgets the snapshot, complete or not.
    pub(in crate::coordinator) fn end_snapshot(&mut self) {
        self.overlay = None;
    }

    /// Bytes of old znodes kept for the running snapshot.
    pub(in crate::coordinator) fn overlay_bytes(&self) -> usize {
        self.overlay.as_ref().map_or(0, |overlay| overlay.bytes)
    }
}
