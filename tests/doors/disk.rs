//! A disk that never fails: files in memory.

use std::collections::{BTreeMap, BTreeSet};

use tern::effect::{DiskError, DiskSpace, Root};
use tern::log::storage::{DirEntry, FileName, FilePath, Storage};

type Dir = (Root, Option<String>);

/// Files by directory and name.
#[derive(Default)]
pub struct Disk {
    files: BTreeMap<(Dir, String), Vec<u8>>,
    dirs: BTreeSet<(Root, String)>,
}

fn key(file: FilePath<'_>) -> (Dir, String) {
    ((file.root, file.dir.map(str::to_owned)), file.name.to_string())
}

/// Extends with zeros, fast in debug builds too.
fn extend(bytes: &mut Vec<u8>, length: usize) {
    if length > bytes.len() {
        let mut longer = vec![0; length];
        longer[..bytes.len()].copy_from_slice(bytes);
        *bytes = longer;
    }
}

impl Disk {
    fn file(&mut self, file: FilePath<'_>) -> Result<&mut Vec<u8>, DiskError> {
        self.files.get_mut(&key(file)).ok_or(DiskError::NotFound)
    }

    fn part(&mut self, file: FilePath<'_>, position: u64, bytes: usize) -> Result<&[u8], DiskError> {
        let content = self.file(file)?;
        let start = (position as usize).min(content.len());
        Ok(&content[start..(start + bytes).min(content.len())])
    }
}

impl Storage for Disk {
    fn read_at(&mut self, file: FilePath<'_>, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let part = self.part(file, position, buffer.len())?;
        buffer[..part.len()].copy_from_slice(part);
        Ok(part.len())
    }

    fn map_read<R>(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, DiskError> {
        self.part(file, position, bytes).map(look)
    }

    fn create(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.files.insert(key(file), Vec::new());
        Ok(())
    }

    fn write_at(&mut self, file: FilePath<'_>, position: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        let content = self.file(file)?;
        let mut at = position as usize;
        for part in parts {
            extend(content, at + part.len());
            content[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    }

    fn len(&mut self, file: FilePath<'_>) -> Result<u64, DiskError> {
        self.file(file).map(|content| content.len() as u64)
    }

    fn set_len(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        let content = self.file(file)?;
        extend(content, bytes as usize);
        content.truncate(bytes as usize);
        Ok(())
    }

    fn allocate(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        self.file(file).map(|content| extend(content, bytes as usize))
    }

    fn sync(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.file(file).map(|_| ())
    }

    fn sync_dir(&mut self, _root: Root, _dir: Option<&str>) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: FilePath<'_>, to: FileName<'_>) -> Result<(), DiskError> {
        let content = self.files.remove(&key(from)).ok_or(DiskError::NotFound)?;
        self.files.insert(key(from.beside(to)), content);
        Ok(())
    }

    fn remove(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.files.remove(&key(file)).map(|_| ()).ok_or(DiskError::NotFound)
    }

    fn create_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        self.dirs.insert((root, dir.to_owned()));
        Ok(())
    }

    fn rename_dir(&mut self, root: Root, from: &str, to: &str) -> Result<(), DiskError> {
        if !self.dirs.remove(&(root, from.to_owned())) {
            return Err(DiskError::NotFound);
        }
        self.dirs.insert((root, to.to_owned()));
        let inside = |dir: &Dir| dir.0 == root && dir.1.as_deref() == Some(from);
        let moved: Vec<_> = self.files.keys().filter(|(dir, _)| inside(dir)).cloned().collect();
        for (dir, name) in moved {
            if let Some(content) = self.files.remove(&(dir, name.clone())) {
                self.files.insert(((root, Some(to.to_owned())), name), content);
            }
        }
        Ok(())
    }

    fn remove_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        if self.dirs.remove(&(root, dir.to_owned())) { Ok(()) } else { Err(DiskError::NotFound) }
    }

    fn list(&mut self, root: Root, dir: Option<&str>) -> Result<Vec<DirEntry>, DiskError> {
        if dir.is_some_and(|dir| !self.dirs.contains(&(root, dir.to_owned()))) {
            return Err(DiskError::NotFound);
        }
        let here = (root, dir.map(str::to_owned));
        let files = self.files.keys().filter(|(dir, _)| *dir == here).map(|(_, name)| (name.clone(), false));
        let dirs = self.dirs.iter().filter(|(in_root, _)| *in_root == root && dir.is_none());
        let entries: BTreeMap<String, bool> = files.chain(dirs.map(|(_, name)| (name.clone(), true))).collect();
        Ok(entries.into_iter().map(|(name, is_dir)| DirEntry { name, is_dir }).collect())
    }

    fn space(&mut self, _root: Root) -> Result<DiskSpace, DiskError> {
        Ok(DiskSpace { total_bytes: 1 << 41, usable_bytes: 1 << 40 })
    }
}
