//! No acknowledged record is lost or changed: what a producer was told to lie at an offset, and what a consumer has read
//! there, lies there for ever.

use std::collections::BTreeMap;

use tern::record::{Batches, open};
use tern::types::Offset;

/// A partition of a topic.
pub type Place = (&'static str, i32);

/// What clients know to lie where.
#[derive(Default)]
pub struct Records {
    known: BTreeMap<(Place, i64), Vec<u8>>,
    /// Where each acknowledged value lies: an idempotent producer's is there once.
    places: BTreeMap<(Place, Vec<u8>), i64>,
    pub acknowledged: u64,
    pub read: u64,
}

impl Records {
    /// A producer was told that its batch is durable.
    pub fn acknowledged(&mut self, place: Place, base: Offset, values: &[Vec<u8>]) {
        // A duplicate of a batch that is no longer remembered has no place.
        if base.0 < 0 {
            return;
        }
        for (at, value) in values.iter().enumerate() {
            self.acknowledged += 1;
            self.knows(place, base.0 + at as i64, value.clone());
        }
    }

    /// A consumer was given a record.
    pub fn read(&mut self, place: Place, offset: i64, value: Vec<u8>) {
        self.read += 1;
        self.knows(place, offset, value);
    }

    fn knows(&mut self, place: Place, offset: i64, value: Vec<u8>) {
        let text = String::from_utf8_lossy(&value).into_owned();
        let at = *self.places.entry((place, value.clone())).or_insert(offset);
        assert_eq!(at, offset, "{place:?}: the record {text:?} of an idempotent producer lies there twice");
        let known = self.known.entry((place, offset)).or_insert_with(|| value.clone());
        let before = String::from_utf8_lossy(known);
        assert!(*known == value, "{place:?} offset {offset}: {before:?} has become {text:?}");
    }

    /// The partition as it lies on a disk when everything has healed.
    pub fn check(&self, place: Place, content: &[u8]) {
        let found: BTreeMap<i64, Vec<u8>> = open_batches(content).into_iter().collect();
        for ((_, offset), value) in self.known.range((place, i64::MIN)..=(place, i64::MAX)) {
            let text = String::from_utf8_lossy(value);
            let there = found.get(offset).map(|there| String::from_utf8_lossy(there));
            assert!(
                found.get(offset) == Some(value),
                "{place:?} offset {offset}: {text:?} is lost, there is {there:?}"
            );
        }
        let mut once = BTreeMap::new();
        for (offset, value) in &found {
            let text = String::from_utf8_lossy(value);
            let before = once.insert(value, offset);
            assert!(before.is_none(), "{place:?}: {text:?} lies at {before:?} and at {offset}");
        }
    }
}

/// Offsets and values of all records in whole batches.
pub fn open_batches(bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut scratch = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        for record in open(&batch, &mut scratch, 1 << 20).expect("a whole batch") {
            let record = record.expect("a whole record");
            all.push((record.offset.0, record.value.unwrap_or_default().to_vec()));
        }
    }
    all
}
