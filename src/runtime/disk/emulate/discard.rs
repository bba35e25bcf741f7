//! A disk that forgets: writes stay in this process's memory until their file is synced, so that killing the process
//! loses exactly what a power cut would.
//!
//! Content and lengths are held back; names are not: creating, renaming and removing happen at once, which is what an
//! orderly file system tends to do and the harder case for whoever renames before syncing. `sync` writes through and
//! stops there, because a killed process does not lose the page cache.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::effect::DiskError;
use crate::log::storage::{FilePath, Storage};
use crate::runtime::disk::files::Files;

/// What is written and not synced, by file.
#[derive(Debug, Default)]
pub struct Overlay {
    files: Mutex<HashMap<String, Unsynced>>,
}

/// One file's unsynced state over its real one.
#[derive(Debug)]
struct Unsynced {
    /// The length as the process sees it.
    length: u64,
    /// Real bytes are valid below this; above it, what is not in `parts` is zeros.
    real: u64,
    /// Written bytes by position; they do not overlap.
    parts: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// True when something of the file is unsynced.
    pub fn has(&self, file: FilePath<'_>) -> bool {
        self.lock().contains_key(&Files::key(file))
    }

    /// `Storage::read_at`.
    pub fn read_at(
        &self,
        files: &mut Files,
        file: FilePath<'_>,
        position: u64,
        buffer: &mut [u8],
    ) -> Result<usize, DiskError> {
        match self.lock().get(&Files::key(file)) {
            Some(unsynced) => unsynced.read_at(files, file, position, buffer),
            None => files.read_at(file, position, buffer),
        }
    }

    /// `Storage::create`: a new name is there at once, an old content goes at the next sync.
    pub fn create(&self, files: &mut Files, file: FilePath<'_>) -> Result<(), DiskError> {
        if matches!(files.len(file), Err(DiskError::NotFound)) {
            return files.create(file);
        }
        self.set_len(files, file, 0)
    }

    /// `Storage::write_at`.
    pub fn write_at(
        &self,
        files: &mut Files,
        file: FilePath<'_>,
        mut position: u64,
        parts: &[&[u8]],
    ) -> Result<(), DiskError> {
        self.change(files, file, |unsynced| {
            for part in parts.iter().filter(|part| !part.is_empty()) {
                unsynced.write(position, part);
                position += part.len() as u64;
            }
        })
    }

    /// `Storage::len`.
    pub fn len(&self, files: &mut Files, file: FilePath<'_>) -> Result<u64, DiskError> {
        match self.lock().get(&Files::key(file)) {
            Some(unsynced) => Ok(unsynced.length),
            None => files.len(file),
        }
    }

    /// `Storage::set_len`.
    pub fn set_len(&self, files: &mut Files, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        self.change(files, file, |unsynced| unsynced.set_len(bytes))
    }

    /// `Storage::allocate`: only the length matters here.
    pub fn allocate(&self, files: &mut Files, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        self.change(files, file, |unsynced| unsynced.length = unsynced.length.max(bytes))
    }

    /// `Storage::sync`: writes through, while nobody else looks.
    pub fn sync(&self, files: &mut Files, file: FilePath<'_>) -> Result<(), DiskError> {
        let mut all = self.lock();
        let key = Files::key(file);
        match all.get(&key) {
            Some(unsynced) => unsynced.write_through(files, file)?,
            None => return files.len(file).map(drop), // only to say when there is no such file
        }
        all.remove(&key);
        Ok(())
    }

    /// Removed files have nothing unsynced.
    pub fn forget(&self, chosen: impl Fn(&str) -> bool) {
        self.lock().retain(|key, _| !chosen(key));
    }

    /// Renamed files keep what they have.
    pub fn rename(&self, renamed: impl Fn(&str) -> Option<String>) {
        rename_keys(&mut self.lock(), renamed);
    }

    fn change(
        &self,
        files: &mut Files,
        file: FilePath<'_>,
        change: impl FnOnce(&mut Unsynced),
    ) -> Result<(), DiskError> {
        let mut all = self.lock();
        let key = Files::key(file);
        if !all.contains_key(&key) {
            let length = files.len(file)?;
            all.insert(key.clone(), Unsynced { length, real: length, parts: BTreeMap::new() });
        }
        if let Some(unsynced) = all.get_mut(&key) {
            change(unsynced);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Unsynced>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unsynced {
    fn read_at(
        &self,
        files: &mut Files,
        file: FilePath<'_>,
        position: u64,
        buffer: &mut [u8],
    ) -> Result<usize, DiskError> {
        let count = (buffer.len() as u64).min(self.length.saturating_sub(position)) as usize;
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        let real = (count as u64).min(self.real.saturating_sub(position)) as usize;
        files.read_at(file, position, &mut buffer[..real])?;
        let end = position + count as u64;
        for (&start, part) in self.parts.range(..end) {
            let (from, to) = (start.max(position), (start + part.len() as u64).min(end));
            if from < to {
                let shown = &part[(from - start) as usize..(to - start) as usize];
                buffer[(from - position) as usize..(to - position) as usize].copy_from_slice(shown);
            }
        }
        Ok(count)
    }

    fn write_through(&self, files: &mut Files, file: FilePath<'_>) -> Result<(), DiskError> {
        if self.real < files.len(file)? {
            files.set_len(file, self.real)?;
        }
        for (&position, part) in &self.parts {
            files.write_at(file, position, &[part])?;
        }
        if files.len(file)? != self.length {
            files.set_len(file, self.length)?;
        }
        Ok(())
    }

    fn write(&mut self, position: u64, bytes: &[u8]) {
        let end = position + bytes.len() as u64;
        self.clear(position, end);
        self.length = self.length.max(end);
        // Appends grow the last part instead of making many small ones.
        if let Some((&start, part)) = self.parts.range_mut(..position).next_back()
            && start + part.len() as u64 == position
        {
            part.extend_from_slice(bytes);
            return;
        }
        self.parts.insert(position, bytes.to_vec());
    }

    fn set_len(&mut self, bytes: u64) {
        self.clear(bytes, u64::MAX);
        self.real = self.real.min(bytes);
        self.length = bytes;
    }

    /// Drops parts between two positions; what reaches over them stays.
    fn clear(&mut self, from: u64, to: u64) {
        let reaches_in = self.parts.range(..from).next_back();
        let touched = reaches_in.into_iter().chain(self.parts.range(from..to.max(from)));
        let touched: Vec<u64> = touched.map(|(&start, _)| start).collect();
        for start in touched {
            let Some(mut part) = self.parts.remove(&start) else { continue };
            let end = start + part.len() as u64;
            if end > to {
                self.parts.insert(to.max(start), part.split_off((to.max(start) - start) as usize));
            }
            if start < from {
                part.truncate((from - start) as usize);
                self.parts.insert(start, part);
            }
        }
    }
}

/// Moves the values of keys that get a new name.
pub fn rename_keys<V, S: BuildHasher>(map: &mut HashMap<String, V, S>, renamed: impl Fn(&str) -> Option<String>) {
    let moved: Vec<(String, String)> = map.keys().filter_map(|key| Some((key.clone(), renamed(key)?))).collect();
    for (old, new) in moved {
        if let Some(value) = map.remove(&old) {
            map.insert(new, value);
        }
    }
}
