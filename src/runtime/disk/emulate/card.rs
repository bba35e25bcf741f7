//! An SD card: one slow device that all lanes share.
//!
//! A sync takes 6 ms and the time of the bytes that were written to its file since the last one, every 500th 400 ms
//! more; a cold read takes the time of its bytes. "Cold" is what this process has neither written nor read before. The
//! device is held meanwhile: a sync of one lane delays the syncs and cold reads of the others, as a card does, and no
//! write, which the page cache takes. Who comes first is served first.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const SYNC: Duration = Duration::from_millis(6);
const STALL: Duration = Duration::from_millis(400);
const STALL_EVERY_SYNCS: u64 = 500;
const BYTES_PER_SECOND: u64 = 20_000_000;
/// What the kernel reads ahead at least, and the grain of what is warm.
const READ_BYTES: u64 = 64 * 1024;

/// The card. Its page cache is never full.
#[derive(Debug, Default)]
pub struct Card {
    /// It never stalls.
    is_steady: bool,
    device: Mutex<Device>,
    was_served: Condvar,
    cache: Mutex<HashMap<String, Cached>>,
}

#[derive(Debug, Default)]
struct Device {
    syncs: u64,
    /// How many have come, and how many of them are done.
    came: u64,
    served: u64,
}

#[derive(Debug, Default)]
struct Cached {
    dirty_bytes: u64,
    warm: HashSet<u64>,
}

impl Card {
    /// A card, one that never stalls if that is wanted.
    pub fn new(is_steady: bool) -> Card {
        Card { is_steady, ..Default::default() }
    }

    /// Bytes went into the page cache.
    pub fn wrote(&self, key: &str, position: u64, bytes: usize) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.entry(key.to_owned()).or_default();
        cached.dirty_bytes += bytes as u64;
        cached.warm.extend(chunks(position, bytes));
    }

    /// Bytes are read: takes the time of the chunks that are cold.
    pub fn read(&self, key: &str, position: u64, bytes: usize) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let warm = &mut cache.entry(key.to_owned()).or_default().warm;
        let cold = chunks(position, bytes).filter(|&chunk| warm.insert(chunk)).count();
        drop(cache);
        if cold > 0 {
            self.hold(|_| transfer(cold as u64 * READ_BYTES));
        }
    }

    /// A sync of one file, or of a directory.
    pub fn sync(&self, key: Option<&str>) {
        self.hold(|device| {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let dirty =
                key.and_then(|key| cache.get_mut(key)).map_or(0, |cached| std::mem::take(&mut cached.dirty_bytes));
            device.syncs += 1;
            let stalls = !self.is_steady && device.syncs.is_multiple_of(STALL_EVERY_SYNCS);
            SYNC + transfer(dirty) + if stalls { STALL } else { Duration::ZERO }
        });
    }

    /// Waits for its turn, then holds the device for as long as `work` says.
    fn hold(&self, work: impl FnOnce(&mut Device) -> Duration) {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = device.came;
        device.came += 1;
        while device.served != turn {
            device = self.was_served.wait(device).unwrap_or_else(PoisonError::into_inner);
        }
        let time = work(&mut device);
        drop(device);
        std::thread::sleep(time);
        self.device.lock().unwrap_or_else(PoisonError::into_inner).served += 1;
        self.was_served.notify_all();
    }

    /// Removed or emptied files have nothing to be written, and nothing warm.
    pub fn forget(&self, chosen: impl Fn(&str) -> bool) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|key, _| !chosen(key));
    }

    /// Files under a new name stay dirty and warm.
    pub fn rename(&self, renamed: impl Fn(&str) -> Option<String>) {
        super::discard::rename_keys(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner), renamed);
    }
}

fn transfer(bytes: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000 / BYTES_PER_SECOND))
}

fn chunks(position: u64, bytes: usize) -> impl Iterator<Item = u64> {
    let end = position + bytes as u64;
    position / READ_BYTES..end.div_ceil(READ_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A sync costs its base and its file's bytes, once; a cold read costs its chunks, once; lanes wait for each other.
    #[test]
    fn costs() {
        let card = Card::default();
        let timed = |work: &dyn Fn()| {
            let start = Instant::now();
            work();
            start.elapsed()
        };
        card.wrote("a", 0, 400_000); // 20 ms
        assert!(timed(&|| card.sync(Some("b"))) < Duration::from_millis(20));
        assert!(timed(&|| card.sync(Some("a"))) >= Duration::from_millis(26));
        assert!(timed(&|| card.sync(Some("a"))) < Duration::from_millis(20));
        assert!(timed(&|| card.read("a", 0, 400_000)) < Duration::from_millis(5));
        assert!(timed(&|| card.read("c", 0, 400_000)) >= Duration::from_millis(20));
        assert!(timed(&|| card.read("c", 1000, 1000)) < Duration::from_millis(5));
        let both = timed(&|| {
            std::thread::scope(|scope| {
                scope.spawn(|| card.sync(None));
                scope.spawn(|| card.sync(None));
            });
        });
        assert!(both >= Duration::from_millis(12));
    }
}
