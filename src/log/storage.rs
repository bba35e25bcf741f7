//! What a job needs of a disk: the seam between `log::job` and real files (`runtime/disk`) or simulated ones.
//!
//! Everything is named by place, not by handle; an implementation may keep files open between calls, as long as
//! `remove`, `rename` and `rename_dir` make that forgotten in every lane. Each call does one thing to the disk, so that a
//! simulated disk can lose power between any two of them.
//!
//! Invariants: a write is durable after a `sync` of its file, a name (creation, renaming, removal) after a `sync_dir` of
//! its directory, not before; a failed sync is `DiskError::SyncFailed`; `NotFound`, `Full` and `ReadOnly` are told
//! apart from all other errors.

use crate::effect::{DiskError, DiskSpace, Root};
use crate::types::Offset;

/// A file of a root, at most one directory down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath<'a> {
    /// Which tree.
    pub root: Root,
    /// A directory in the root; `None`: the root itself.
    pub dir: Option<&'a str>,
    /// The last component.
    pub name: FileName<'a>,
}

/// Names of files, Kafka's where Kafka has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName<'a> {
    /// `00000000000000000000.log`: the batches of the segment that starts at the offset.
    Log(Offset),
    /// `.index`: its offset index.
    OffsetIndex(Offset),
    /// `.timeindex`: its time index.
    TimeIndex(Offset),
    /// Any other.
    Other(&'a str),
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Its name.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
}

/// A disk, as one lane uses it.
pub trait Storage {
    /// Fills `buffer` from `position` on; less only at the end of the file.
    fn read_at(&mut self, file: FilePath<'_>, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Puts up to `bytes` from `position` on into `buffer` instead of what it holds; less only at the end of the file.
    fn read_new(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        *buffer = vec![0; bytes];
        let read = self.read_at(file, position, buffer)?;
        buffer.truncate(read);
        Ok(())
    }

    /// Shows `bytes` bytes at `position` to `look`, fewer at the end of the file: a memory map where that is possible.
    /// Only files that nobody shortens meanwhile.
    fn map_read<R>(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, DiskError>;

    /// Creates an empty file, or empties the one that is there.
    fn create(&mut self, file: FilePath<'_>) -> Result<(), DiskError>;

    /// Writes `parts` one after the other from `position` on; all or an error, after which any of it may be there.
    /// The file exists.
    fn write_at(&mut self, file: FilePath<'_>, position: u64, parts: &[&[u8]]) -> Result<(), DiskError>;

    /// The file's length in bytes.
    fn len(&mut self, file: FilePath<'_>) -> Result<u64, DiskError>;

    /// Cuts or extends (with zeros, without reserving room) to `bytes`.
    fn set_len(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError>;

    /// Reserves room for `bytes` from the file's start, reading as zeros where nothing was written; the file exists.
    fn allocate(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError>;

    /// Makes the file's content and length durable (fdatasync).
    fn sync(&mut self, file: FilePath<'_>) -> Result<(), DiskError>;

    /// Makes names durable: those in `dir`, or those in the root itself.
    fn sync_dir(&mut self, root: Root, dir: Option<&str>) -> Result<(), DiskError>;

    /// Renames within one directory, replacing what bears the new name.
    fn rename(&mut self, from: FilePath<'_>, to: FileName<'_>) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&mut self, file: FilePath<'_>) -> Result<(), DiskError>;

    /// Creates a directory in the root; one that exists is no error.
    fn create_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError>;

    /// Renames a directory of the root.
    fn rename_dir(&mut self, root: Root, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes an empty directory of the root.
    fn remove_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError>;

    /// What a directory holds, ascending by name.
    fn list(&mut self, root: Root, dir: Option<&str>) -> Result<Vec<DirEntry>, DiskError>;

    /// Bytes that this process could still write.
    fn free_bytes(&mut self, root: Root) -> Result<u64, DiskError> {
        self.space(root).map(|space| space.usable_bytes)
    }

    /// How large the file system of a root is, and what is free.
    fn space(&mut self, root: Root) -> Result<DiskSpace, DiskError>;
}

impl<'a> FilePath<'a> {
    /// A file in a log's directory.
    pub fn in_log(dir: &'a crate::effect::LogDir, name: FileName<'a>) -> FilePath<'a> {
        FilePath { root: dir.root, dir: Some(&dir.name), name }
    }

    /// `name` relative to the root, with at most one `/`.
    pub fn in_root(root: Root, name: &'a str) -> FilePath<'a> {
        match name.split_once('/') {
            Some((dir, name)) => FilePath { root, dir: Some(dir), name: FileName::Other(name) },
            None => FilePath { root, dir: None, name: FileName::Other(name) },
        }
    }

    /// Another file beside this one.
    pub fn beside<'b>(self, name: FileName<'b>) -> FilePath<'b>
    where
        'a: 'b,
    {
        FilePath { root: self.root, dir: self.dir, name }
    }
}

impl std::fmt::Display for FileName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileName::Log(base) => write!(f, "{:020}.log", base.0),
            FileName::OffsetIndex(base) => write!(f, "{:020}.index", base.0),
            FileName::TimeIndex(base) => write!(f, "{:020}.timeindex", base.0),
            FileName::Other(name) => f.write_str(name),
        }
    }
}

impl std::fmt::Display for FilePath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.dir {
            Some(dir) => write!(f, "{dir}/{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}
