//! A disk that a test can hurt: power cuts that lose unsynced writes in any combination, torn writes, a full or
//! read-only disk, rot, a sync that fails. Everything follows from the seed of the generator that is handed in.
//!
//! What is promised is exactly what `Storage` promises: content is durable after `sync`, names after `sync_dir`, nothing
//! else. After a power cut each unsynced change of a name happened or did not, and of each unsynced write any set of
//! sectors arrived, or a prefix that ends at any byte.

use std::collections::{BTreeMap, BTreeSet};

use tern::effect::{DiskError, DiskSpace, Root};
use tern::log::storage::{DirEntry, FileName, FilePath, Storage};
use tern::types::{Rng, crc32c};

#[path = "file.rs"]
mod file;

use file::{Change, File};

type Dir = (Root, Option<String>);
type Names = BTreeMap<Dir, BTreeMap<String, usize>>;

/// A change of names that is not synced, in one directory.
#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

/// The disk of one node; cloned, it is another disk with the same content.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: Vec<File>,
    names: Names,
    durable_names: Names,
    unsynced_names: BTreeMap<Dir, Vec<NameChange>>,
    /// Directories of the roots: live, and whether that is durable.
    dirs: BTreeMap<(Root, String), bool>,
    /// Renamings and removals of directories that are not durable: what would come back.
    dir_changes: Vec<DirChange>,
    /// Bytes that all files may have together.
    pub capacity_bytes: Option<u64>,
    pub is_read_only: bool,
    /// The sync after so many more fails.
    pub syncs_until_error: Option<u64>,
    /// The power fails at the call after so many more.
    pub calls_until_power_cut: Option<u64>,
    pub is_off: bool,
    pub syncs: u64,
    pub calls: u64,
    pub bytes_read: u64,
    torn: Option<Rng>,
    /// A checksum over everything that was written.
    pub trace: u32,
}

#[derive(Clone, Debug)]
enum DirChange {
    Rename { root: Root, from: String, to: String },
    Remove { root: Root, dir: String },
}

impl SimDisk {
    /// An empty disk whose torn writes follow `seed`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk { torn: Some(Rng::new(seed)), ..SimDisk::default() }
    }

    /// The power comes back: what arrived is what there is.
    pub fn power_cut(&mut self, rng: &mut Rng) {
        self.is_off = false;
        self.calls_until_power_cut = None;
        self.syncs_until_error = None;
        self.revert_dirs(rng);
        for (dir, changes) in std::mem::take(&mut self.unsynced_names) {
            let names = self.durable_names.entry(dir).or_default();
            let keep = rng.below(4);
            for change in changes {
                let happened = keep == 0 || (keep != 1 && rng.one_in(2));
                if happened {
                    change.apply(names);
                }
            }
        }
        self.durable_names.retain(|(root, dir), _| match dir {
            Some(dir) => self.dirs.contains_key(&(*root, dir.clone())),
            None => true,
        });
        self.names = self.durable_names.clone();
        let alive: BTreeSet<usize> = self.names.values().flat_map(|names| names.values().copied()).collect();
        for (id, file) in self.files.iter_mut().enumerate() {
            if alive.contains(&id) {
                file.lose(rng);
            } else {
                *file = File::default();
            }
        }
    }

    /// The process is killed: every write it made stays, none of them is more durable than before.
    pub fn kill(&mut self) {
        self.is_off = false;
        self.calls_until_power_cut = None;
        self.syncs_until_error = None;
    }

    /// Flips a bit where a file is durable.
    pub fn rot(&mut self, file: FilePath<'_>, position: u64) {
        let id = self.find(file).expect("the file exists");
        let file = &mut self.files[id];
        for content in [&mut file.live, &mut file.durable] {
            if position < content.length {
                let mut byte = [0];
                content.read(position, &mut byte);
                content.write(position, &[byte[0] ^ 0x40]);
            }
        }
    }

    /// The whole content, as a reader sees it.
    pub fn content(&self, file: FilePath<'_>) -> Option<Vec<u8>> {
        self.find(file).ok().map(|id| self.files[id].live.all())
    }

    /// The names in a directory.
    pub fn names(&self, root: Root, dir: &str) -> Vec<String> {
        let names = self.names.get(&(root, Some(dir.to_string())));
        names.into_iter().flat_map(|names| names.keys().cloned()).collect()
    }

    /// Every file with its content, for comparing two disks.
    pub fn image(&self) -> Vec<(String, Vec<u8>)> {
        let mut image = Vec::new();
        for ((root, dir), names) in &self.names {
            for (name, &id) in names {
                let path = format!("{root:?}/{}/{name}", dir.as_deref().unwrap_or("."));
                image.push((path, self.files[id].live.all()));
            }
        }
        image
    }

    /// Bytes that all files have together.
    pub fn used_bytes(&self) -> u64 {
        let ids = self.names.values().flat_map(|names| names.values());
        ids.map(|&id| self.files[id].live.length).sum()
    }

    fn revert_dirs(&mut self, rng: &mut Rng) {
        let keep_all = rng.one_in(2);
        for change in std::mem::take(&mut self.dir_changes).into_iter().rev() {
            if keep_all {
                break;
            }
            match change {
                DirChange::Rename { root, from, to } => {
                    self.dirs.remove(&(root, to.clone()));
                    self.dirs.insert((root, from.clone()), true);
                    for names in [&mut self.durable_names, &mut self.names] {
                        if let Some(moved) = names.remove(&(root, Some(to.clone()))) {
                            names.insert((root, Some(from.clone())), moved);
                        }
                    }
                    if let Some(changes) = self.unsynced_names.remove(&(root, Some(to))) {
                        self.unsynced_names.insert((root, Some(from)), changes);
                    }
                }
                DirChange::Remove { root, dir } => {
                    self.dirs.insert((root, dir), true);
                }
            }
        }
        let lost: Vec<_> = self.dirs.iter().filter(|(_, durable)| !**durable).map(|(dir, _)| dir.clone()).collect();
        for dir in lost {
            if rng.one_in(2) {
                self.dirs.remove(&dir);
                self.durable_names.remove(&(dir.0, Some(dir.1)));
            } else {
                self.dirs.insert(dir, true);
            }
        }
    }

    /// One call: may be the one at which the power fails.
    fn call(&mut self) -> Result<(), DiskError> {
        self.calls += 1;
        if self.is_off {
            return Err(DiskError::Io("no power".into()));
        }
        if let Some(left) = &mut self.calls_until_power_cut {
            if *left == 0 {
                self.is_off = true;
                return Err(DiskError::Io("no power".into()));
            }
            *left -= 1;
        }
        Ok(())
    }

    fn change(&mut self) -> Result<(), DiskError> {
        self.call()?;
        if self.is_read_only { Err(DiskError::ReadOnly) } else { Ok(()) }
    }

    fn find(&self, file: FilePath<'_>) -> Result<usize, DiskError> {
        let names = self.names.get(&dir_of(file)).ok_or(DiskError::NotFound)?;
        names.get(&file.name.to_string()).copied().ok_or(DiskError::NotFound)
    }

    fn names_of(&mut self, file: FilePath<'_>) -> Result<&mut BTreeMap<String, usize>, DiskError> {
        if let Some(dir) = file.dir
            && !self.dirs.contains_key(&(file.root, dir.to_string()))
        {
            return Err(DiskError::NotFound);
        }
        Ok(self.names.entry(dir_of(file)).or_default())
    }

    fn name_change(&mut self, dir: Dir, change: NameChange) {
        change.apply(self.names.entry(dir.clone()).or_default());
        self.unsynced_names.entry(dir).or_default().push(change);
    }

    /// Room for `wanted` more bytes: how many there are.
    fn room(&self, wanted: u64) -> u64 {
        let Some(capacity) = self.capacity_bytes else { return wanted };
        capacity.saturating_sub(self.used_bytes()).min(wanted)
    }

    fn set_len_of(&mut self, id: usize, bytes: u64) {
        let file = &mut self.files[id];
        file.live.set_length(bytes);
        file.unsynced.push(Change::Length(bytes));
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Set(name, id) => {
                names.insert(name.clone(), *id);
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
            NameChange::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
        }
    }
}

fn dir_of(file: FilePath<'_>) -> Dir {
    (file.root, file.dir.map(str::to_string))
}

impl Storage for SimDisk {
    fn read_at(&mut self, file: FilePath<'_>, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.call()?;
        let id = self.find(file)?;
        let count = self.files[id].live.read(position, buffer);
        self.bytes_read += count as u64;
        Ok(count)
    }

    fn map_read<R>(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, DiskError> {
        self.call()?;
        let id = self.find(file)?;
        let live = &self.files[id].live;
        let count = (bytes as u64).min(live.length.saturating_sub(position)) as usize;
        self.bytes_read += count as u64;
        let from = position as usize;
        if let Some(here) = live.bytes.get(from..from + count) {
            return Ok(look(here));
        }
        let mut zeroed = vec![0; count];
        live.read(position, &mut zeroed);
        Ok(look(&zeroed))
    }

    fn create(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.change()?;
        match self.names_of(file)?.get(&file.name.to_string()).copied() {
            Some(id) => self.set_len_of(id, 0),
            None => {
                let id = self.files.len();
                self.files.push(File::default());
                self.name_change(dir_of(file), NameChange::Set(file.name.to_string(), id));
            }
        }
        Ok(())
    }

    fn write_at(&mut self, file: FilePath<'_>, position: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        let called = self.change();
        let bytes = parts.concat();
        self.trace = crc32c::append(self.trace, &bytes);
        if let Err(DiskError::Io(error)) = called {
            // what was under way when the power failed may have begun
            let count = self.torn.as_mut().map_or(0, |torn| torn.below(bytes.len() as u64 + 1)) as usize;
            if let (Ok(id), true) = (self.find(file), self.is_off) {
                self.files[id].write(position, &bytes[..count]);
            }
            return Err(DiskError::Io(error));
        }
        called?;
        let id = self.find(file)?;
        let end = position + bytes.len() as u64;
        let growth = end.saturating_sub(self.files[id].live.length);
        let room = self.room(growth);
        let fits = bytes.len() - (growth - room) as usize;
        self.files[id].write(position, &bytes[..fits]);
        if room < growth { Err(DiskError::Full) } else { Ok(()) }
    }

    fn len(&mut self, file: FilePath<'_>) -> Result<u64, DiskError> {
        self.call()?;
        self.find(file).map(|id| self.files[id].live.length)
    }

    fn set_len(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        self.change()?;
        let id = self.find(file)?;
        self.set_len_of(id, bytes);
        Ok(())
    }

    fn allocate(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        self.change()?;
        let id = self.find(file)?;
        let growth = bytes.saturating_sub(self.files[id].live.length);
        if self.room(growth) < growth {
            return Err(DiskError::Full);
        }
        if growth > 0 {
            self.set_len_of(id, bytes);
        }
        Ok(())
    }

    fn sync(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.call()?;
        let id = self.find(file)?;
        if let Some(left) = &mut self.syncs_until_error {
            if *left == 0 {
                return Err(DiskError::SyncFailed("simulated".into()));
            }
            *left -= 1;
        }
        self.syncs += 1;
        let file = &mut self.files[id];
        for change in std::mem::take(&mut file.unsynced) {
            match change {
                Change::Write { position, bytes } => file.durable.write(position, &bytes),
                Change::Length(bytes) => file.durable.set_length(bytes),
            }
        }
        assert!(file.durable.length == file.live.length);
        Ok(())
    }

    fn sync_dir(&mut self, root: Root, dir: Option<&str>) -> Result<(), DiskError> {
        self.call()?;
        self.syncs += 1;
        let dir: Dir = (root, dir.map(str::to_string));
        if dir.1.is_none() {
            self.dirs.iter_mut().filter(|((of, _), _)| *of == root).for_each(|(_, durable)| *durable = true);
            self.dir_changes.clear();
        }
        let names = self.durable_names.entry(dir.clone()).or_default();
        for change in self.unsynced_names.remove(&dir).unwrap_or_default() {
            change.apply(names);
        }
        Ok(())
    }

    fn rename(&mut self, from: FilePath<'_>, to: FileName<'_>) -> Result<(), DiskError> {
        self.change()?;
        let id = self.find(from)?;
        self.name_change(dir_of(from), NameChange::Rename(from.name.to_string(), to.to_string(), id));
        Ok(())
    }

    fn remove(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.change()?;
        self.find(file)?;
        self.name_change(dir_of(file), NameChange::Remove(file.name.to_string()));
        Ok(())
    }

    fn create_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        self.change()?;
        self.dirs.entry((root, dir.to_string())).or_insert(false);
        self.names.entry((root, Some(dir.to_string()))).or_default();
        Ok(())
    }

    fn rename_dir(&mut self, root: Root, from: &str, to: &str) -> Result<(), DiskError> {
        self.change()?;
        let durable = self.dirs.remove(&(root, from.to_string())).ok_or(DiskError::NotFound)?;
        self.dirs.insert((root, to.to_string()), durable);
        let (from, to) = ((root, Some(from.to_string())), (root, Some(to.to_string())));
        for names in [&mut self.names, &mut self.durable_names] {
            if let Some(moved) = names.remove(&from) {
                names.insert(to.clone(), moved);
            }
        }
        if let Some(changes) = self.unsynced_names.remove(&from) {
            self.unsynced_names.insert(to.clone(), changes);
        }
        let (from, to) = (from.1.unwrap_or_default(), to.1.unwrap_or_default());
        self.dir_changes.push(DirChange::Rename { root, from, to });
        Ok(())
    }

    fn remove_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        self.change()?;
        let key = (root, Some(dir.to_string()));
        if self.names.get(&key).is_some_and(|names| !names.is_empty()) {
            return Err(DiskError::Io("the directory is not empty".into()));
        }
        self.dirs.remove(&(root, dir.to_string())).ok_or(DiskError::NotFound)?;
        self.dir_changes.push(DirChange::Remove { root, dir: dir.to_string() });
        Ok(())
    }

    fn list(&mut self, root: Root, dir: Option<&str>) -> Result<Vec<DirEntry>, DiskError> {
        self.call()?;
        if let Some(dir) = dir
            && !self.dirs.contains_key(&(root, dir.to_string()))
        {
            return Err(DiskError::NotFound);
        }
        let key = (root, dir.map(str::to_string));
        let files = self.names.get(&key).into_iter().flat_map(|names| names.keys());
        let mut entries: Vec<DirEntry> = files.map(|name| DirEntry { name: name.clone(), is_dir: false }).collect();
        if dir.is_none() {
            let dirs = self.dirs.keys().filter(|(of, _)| *of == root);
            entries.extend(dirs.map(|(_, name)| DirEntry { name: name.clone(), is_dir: true }));
        }
        entries.sort();
        Ok(entries)
    }

    fn space(&mut self, _root: Root) -> Result<DiskSpace, DiskError> {
        self.call()?;
        Ok(DiskSpace { total_bytes: u64::MAX, usable_bytes: self.room(u64::MAX) })
    }
}
