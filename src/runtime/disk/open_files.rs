//! Files and map windows that stay open between operations, shared by all lanes, bounded in number.
//!
//! Invariants: at most `FILES_MAX` files and `WINDOWS_MAX` windows; what `forget` names is closed as soon as nobody uses
//! it, so that removing a file frees its space; a file opened before it was forgotten is never kept afterwards.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;

/// Descriptors beside those of connections: a hundred active partitions with three files each, and some.
pub const FILES_MAX: usize = 384;
/// With `WINDOW_BYTES`, what maps may add to the resident size and to a 32-bit address space.
const WINDOWS_MAX: usize = 8;
/// Bytes of one map window; larger only when one look wants more.
pub const WINDOW_BYTES: u64 = 256 * 1024;

/// The cache. One lock, held for a look-up and never during a call to the kernel that could wait for a disk.
#[derive(Debug, Default)]
pub struct OpenFiles {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Box<str>, Kept>,
    windows: Vec<Window>,
    /// Counts uses, for the choice of what to close.
    clock: u64,
    /// Counts `forget`s.
    generation: u64,
}

#[derive(Debug)]
struct Kept {
    file: Arc<File>,
    writable: bool,
    used: u64,
}

#[derive(Debug)]
struct Window {
    key: Box<str>,
    start: u64,
    map: Arc<Mmap>,
    used: u64,
}

/// The state of the cache when a file was not found in it; `keep` wants it back.
#[derive(Clone, Copy, Debug)]
pub struct Generation(u64);

impl OpenFiles {
    /// The open file of that key, writable if need be; else what `keep` must be given.
    pub fn get(&self, key: &str, write: bool) -> Result<Arc<File>, Generation> {
        let mut inner = self.lock();
        let used = inner.tick();
        match inner.files.get_mut(key) {
            Some(kept) if kept.writable || !write => {
                kept.used = used;
                Ok(kept.file.clone())
            }
            _ => Err(Generation(inner.generation)),
        }
    }

    /// Keeps a file that was opened after `get` said no, unless something was forgotten in between.
    pub fn keep(&self, key: &str, file: &Arc<File>, writable: bool, generation: Generation) {
        let mut inner = self.lock();
        if inner.generation != generation.0 {
            return;
        }
        if inner.files.len() >= FILES_MAX && !inner.files.contains_key(key) {
            inner.close_oldest(1);
        }
        let used = inner.tick();
        inner.files.insert(key.into(), Kept { file: file.clone(), writable, used });
    }

    /// A window that shows `bytes` bytes at `position`, and where it starts.
    pub fn window(&self, key: &str, position: u64, bytes: usize) -> Option<(u64, Arc<Mmap>)> {
        let mut inner = self.lock();
        let used = inner.tick();
        let end = position.checked_add(bytes as u64)?;
        let shows = |w: &Window| *w.key == *key && w.start <= position && end <= w.start + w.map.len() as u64;
        let window = inner.windows.iter_mut().find(|window| shows(window))?;
        window.used = used;
        Some((window.start, window.map.clone()))
    }

    /// Keeps a window in the place of the one that was not used for longest. `generation` as for `keep`.
    pub fn keep_window(&self, key: &str, start: u64, map: &Arc<Mmap>, generation: Generation) {
        let mut inner = self.lock();
        if inner.generation != generation.0 {
            return;
        }
        inner.windows.retain(|window| !(window.start == start && *window.key == *key));
        if inner.windows.len() >= WINDOWS_MAX {
            let oldest = inner.windows.iter().enumerate().min_by_key(|(_, window)| window.used);
            if let Some(index) = oldest.map(|(index, _)| index) {
                inner.windows.swap_remove(index);
            }
        }
        let used = inner.tick();
        inner.windows.push(Window { key: key.into(), start, map: map.clone(), used });
    }

    /// The state of the cache, for `keep_window`.
    pub fn generation(&self) -> Generation {
        Generation(self.lock().generation)
    }

    /// Closes everything whose key is chosen. After the file was removed, renamed or cut, not before.
    pub fn forget(&self, chosen: impl Fn(&str) -> bool) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.files.retain(|key, _| !chosen(key));
        inner.windows.retain(|window| !chosen(&window.key));
    }

    /// Closes half of the files: the process has run out of descriptors.
    pub fn shrink(&self) {
        let mut inner = self.lock();
        let half = inner.files.len().div_ceil(2);
        inner.close_oldest(half);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn close_oldest(&mut self, count: usize) {
        let mut ages: Vec<u64> = self.files.values().map(|kept| kept.used).collect();
        if count == 0 || ages.is_empty() {
            return;
        }
        let last = count.min(ages.len()) - 1;
        let (_, &mut limit, _) = ages.select_nth_unstable(last); // `last` is an index: not empty, count above 0
        self.files.retain(|_, kept| kept.used > limit);
    }
}
