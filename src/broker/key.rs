//! `PartitionKey`, the handle by which callers name a partition after looking it up once, and the table behind it.

/// A partition for as long as it exists. A key whose partition was deleted names nothing, never its successor (until
/// its place has been used 65,536 times).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(pub(crate) u32);

impl PartitionKey {
    /// The smallest key.
    pub(crate) const FIRST: PartitionKey = PartitionKey(0);

    const fn new(index: u16, generation: u16) -> PartitionKey {
        PartitionKey((index as u32) << 16 | generation as u32)
    }

    /// The same place in the table of lanes, whose keys are not those of partitions.
    pub(super) const fn published(self) -> PartitionKey {
        PartitionKey(self.0 | PUBLISHED)
    }

    /// The key in the table itself.
    pub(super) const fn local(self) -> PartitionKey {
        PartitionKey(self.0 & !PUBLISHED)
    }

    /// Names a lane (`Broker::publish_key`), no partition.
    pub(super) const fn is_published(self) -> bool {
        self.0 & PUBLISHED != 0
    }

    const fn index(self) -> usize {
        (self.0 >> 16) as usize
    }

    const fn generation(self) -> u16 {
        self.0 as u16
    }
}

/// Tables have at most half of the places, so that this bit is free.
const PUBLISHED: u32 = 1 << 31;

/// Values by `PartitionKey`: looked up by index, checked by generation.
#[derive(Debug)]
pub struct KeyTable<T> {
    places: Vec<(u16, Option<T>)>,
    free: Vec<u16>,
}

impl<T> Default for KeyTable<T> {
    fn default() -> Self {
        KeyTable { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> KeyTable<T> {
    /// Adds a value; `None` when all 32,768 places are taken.
    pub fn insert(&mut self, value: T) -> Option<PartitionKey> {
        if let Some(index) = self.free.pop() {
            let (generation, place) = self.places.get_mut(index as usize)?;
            *place = Some(value);
            return Some(PartitionKey::new(index, *generation));
        }
        let index = u16::try_from(self.places.len()).ok().filter(|index| *index < 1 << 15)?;
        self.places.push((0, Some(value)));
        Some(PartitionKey::new(index, 0))
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&self, key: PartitionKey) -> Option<&T> {
        let (generation, place) = self.places.get(key.index())?;
        place.as_ref().filter(|_| *generation == key.generation())
    }

    /// The value of `key`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, key: PartitionKey) -> Option<&mut T> {
        let (generation, place) = self.places.get_mut(key.index())?;
        place.as_mut().filter(|_| *generation == key.generation())
    }

    /// Takes the value of `key` out; the key names nothing from now on.
    pub fn remove(&mut self, key: PartitionKey) -> Option<T> {
        let (generation, place) = self.places.get_mut(key.index())?;
        let value = place.take_if(|_| *generation == key.generation())?;
        *generation = generation.wrapping_add(1);
        self.free.push(key.index() as u16); // below 65,536 by construction
        Some(value)
    }

    /// All of them, in no order that means anything, yet the same in every run.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionKey, &T)> {
        self.places.iter().enumerate().filter_map(|(index, (generation, place))| {
            Some((PartitionKey::new(index as u16, *generation), place.as_ref()?))
        })
    }

    /// All of them, to be changed, in the same order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PartitionKey, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(index, (generation, place))| {
            Some((PartitionKey::new(index as u16, *generation), place.as_mut()?))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key outlives its value without naming another.
    #[test]
    fn stale_keys() {
        let mut table = KeyTable::default();
        let first = table.insert("a").unwrap();
        let second = table.insert("b").unwrap();
        assert_eq!(table.remove(first), Some("a"));
        let third = table.insert("c").unwrap();
        assert_eq!((table.get(first), table.get(second), table.get(third)), (None, Some(&"b"), Some(&"c")));
        assert_eq!((table.remove(first), table.len(), first == third), (None, 2, false));
        assert_eq!(table.iter().map(|(key, _)| key).collect::<Vec<_>>(), [third, second]);
        assert_eq!(table.get(PartitionKey(u32::MAX)), None);
    }
}
