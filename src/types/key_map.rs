//! The last offset of each key, in a table of a fixed size: what compaction knows of the keys of a log.
//!
//! Keys stand as 128 bits of hash, as Kafka's cleaner has them; the hash is seeded, so that nobody can choose keys that
//! collide. Twenty bytes a slot, open addressing, full at four fifths. Invariant: memory is allocated once, by `new`, and
//! is at most what its caller named.

use std::hash::{DefaultHasher, Hasher};

use super::Offset;

/// Words of a slot: four of the hash, then the offset relative to the table's base, plus one; 0 is an empty slot.
const SLOT_WORDS: usize = 5;
const SLOT_BYTES: usize = SLOT_WORDS * 4;

/// Last offsets by key.
#[derive(Debug)]
pub struct KeyMap {
    words: Vec<u32>,
    slots: usize,
    count: usize,
    seed: u64,
    base: Offset,
}

/// Why a key was not noted: the table is full, or the offset lies too far from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMapFull;

impl KeyMap {
    /// A table for offsets from `base` on, for up to `keys` keys, of at most `bytes` bytes; a table of no bytes takes no
    /// key.
    pub fn new(base: Offset, keys: u64, bytes: usize, seed: u64) -> KeyMap {
        let slots = KeyMap::bytes_for(keys).min(bytes) / SLOT_BYTES;
        KeyMap { words: vec![0; slots * SLOT_WORDS], slots, count: 0, seed, base }
    }

    /// What a table of `keys` keys takes.
    pub fn bytes_for(keys: u64) -> usize {
        let slots = usize::try_from(keys.saturating_add(keys / 4).saturating_add(5)).unwrap_or(usize::MAX);
        slots.saturating_mul(SLOT_BYTES)
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.words.len() * 4
    }

    /// Keys noted.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Notes that `key` stands at `offset`; the highest offset of a key counts.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), KeyMapFull> {
        let hash = self.hash(key);
        let relative = offset.0.checked_sub(self.base.0).and_then(|relative| u32::try_from(relative).ok());
        let mark = relative.and_then(|relative| relative.checked_add(1)).ok_or(KeyMapFull)?;
        let is_full = self.count >= self.slots * 4 / 5;
        let Some(slot) = self.find(&hash) else { return Err(KeyMapFull) };
        let words = self.words.get_mut(slot * SLOT_WORDS..(slot + 1) * SLOT_WORDS).ok_or(KeyMapFull)?;
        let [head @ .., at] = words else { return Err(KeyMapFull) };
        if *at == 0 {
            if is_full {
                return Err(KeyMapFull);
            }
            head.copy_from_slice(&hash); // both of four words
            self.count += 1;
        }
        *at = mark.max(*at);
        Ok(())
    }

    /// The highest offset of `key`; `None` when it was never noted.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.find(&self.hash(key))?;
        let mark = *self.words.get(slot * SLOT_WORDS + 4)?;
        (mark > 0).then(|| self.base.plus(mark as i64 - 1))
    }

    /// The slot of `hash`, or the empty one where it would go.
    fn find(&self, hash: &[u32; 4]) -> Option<usize> {
        let start = (hash[0] as u64 | (hash[1] as u64) << 32) % (self.slots as u64).max(1);
        let order = (start as usize..self.slots).chain(0..start as usize);
        for slot in order {
            let words = self.words.get(slot * SLOT_WORDS..(slot + 1) * SLOT_WORDS)?;
            if words.get(4) == Some(&0) || words.get(..4) == Some(&hash[..]) {
                return Some(slot);
            }
        }
        None
    }

    fn hash(&self, key: &[u8]) -> [u32; 4] {
        let half = |number: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(self.seed ^ number);
            hasher.write(key);
            hasher.finish()
        };
        let (low, high) = (half(0), half(0x9e37_79b9_7f4a_7c15));
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;
    use std::collections::BTreeMap;

    /// Against a plain map: the highest offset of each key, until the table is full, within its bytes.
    #[test]
    fn against_a_map() {
        let mut rng = Rng::new(8);
        for _ in 0..50 {
            let bytes = rng.below(20_000) as usize;
            let mut map = KeyMap::new(Offset(1 << 40), 1 << 30, bytes, rng.next());
            assert!(map.bytes() <= bytes);
            let mut model = BTreeMap::new();
            for _ in 0..2000 {
                let key = rng.below(1500).to_string();
                let offset = Offset((1 << 40) + rng.below(100_000) as i64);
                match map.put(key.as_bytes(), offset) {
                    Ok(()) => {
                        let known = model.entry(key).or_insert(offset);
                        *known = offset.max(*known);
                    }
                    Err(KeyMapFull) => {
                        assert!(!model.contains_key(&key), "a known key always has its place");
                        assert!(model.len() >= bytes / SLOT_BYTES * 4 / 5);
                    }
                }
            }
            assert_eq!(map.len(), model.len());
            for number in 0..1500u64 {
                let key = number.to_string();
                assert_eq!(map.get(key.as_bytes()), model.get(&key).copied());
            }
        }
    }

    /// A table is no larger than its keys need; offsets outside of its reach are refused.
    #[test]
    fn bounds() {
        let mut map = KeyMap::new(Offset(10), 100, 1 << 20, 1);
        assert!(map.bytes() < 3000);
        assert_eq!(map.put(b"a", Offset(9)), Err(KeyMapFull));
        assert_eq!(map.put(b"a", Offset(10 + u32::MAX as i64)), Err(KeyMapFull));
        assert_eq!(map.put(b"a", Offset(10 + u32::MAX as i64 - 1)), Ok(()));
        assert_eq!(map.get(b"a"), Some(Offset(10 + u32::MAX as i64 - 1)));
        assert_eq!(KeyMap::new(Offset(0), 10, 0, 1).put(b"a", Offset(0)), Err(KeyMapFull));
    }
}
