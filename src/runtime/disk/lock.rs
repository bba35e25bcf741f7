//! One process a directory: `.lock`, as Kafka names it, locked for as long as the process lives.
//!
//! The kernel lets go of the lock when the process ends, however it ends, so a stale file locks nobody out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::system;

const NAME: &str = ".lock";

/// The lock of one directory, held until this is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Creates each directory when it is missing and locks it; directories that are the same one are locked once.
pub fn lock_all(dirs: &[&Path]) -> Result<Vec<DirLock>, String> {
    let mut seen = Vec::new();
    let mut locks = Vec::new();
    for dir in dirs {
        create(dir).map_err(|error| sentence(dir, &error))?;
        let real = fs::canonicalize(dir).map_err(|error| sentence(dir, &error))?;
        if !seen.contains(&real) {
            locks.push(lock(dir)?);
            seen.push(real);
        }
    }
    Ok(locks)
}

/// Creates `dir` and what is missing above it, durably.
fn create(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    if let Some(parent) = parent {
        create(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), system::sync_dir)
}

fn lock(dir: &Path) -> Result<DirLock, String> {
    let path = dir.join(NAME);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(|error| sentence(dir, &error))?;
    if system::try_lock(&file).map_err(|error| sentence(dir, &error))? {
        note_process(&mut file).map_err(|error| sentence(dir, &error))?;
        return Ok(DirLock { _file: file });
    }
    let mut process = String::new();
    let _ = file.take(20).read_to_string(&mut process); // only to be told to people
    let process = if process.trim().is_empty() { String::new() } else { format!(", process {}", process.trim()) };
    Err(format!("{} is in use by another node{process}: stop that one or choose another directory", dir.display()))
}

fn note_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn sentence(dir: &Path, error: &io::Error) -> String {
    let why = match error.raw_os_error() {
        Some(libc::EROFS) => "its file system is read-only".to_owned(),
        Some(libc::ENOSPC | libc::EDQUOT) => "its disk is full".to_owned(),
        Some(libc::EACCES | libc::EPERM) => "this user may not write there".to_owned(),
        Some(libc::ENOTDIR | libc::EEXIST) => "a part of its path is not a directory".to_owned(),
        _ => error.to_string(),
    };
    format!("{} cannot be used: {why}", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::disk::files::tests::TestDir;

    /// A second lock on a directory is one clear sentence, the same directory twice is one lock, and a lock that is
    /// dropped is free.
    #[test]
    fn one_process_a_directory() {
        let root = TestDir::new("lock");
        let (a, b) = (root.path().join("a/deep"), root.path().join("a"));
        let held = lock_all(&[&a, &b, &a]).unwrap();
        assert_eq!(held.len(), 2);
        let refused = lock_all(&[&a]).unwrap_err();
        assert!(refused.contains("in use") && refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        lock_all(&[&a]).unwrap();
    }

    /// A path through a file is one sentence.
    #[test]
    fn impossible_directory() {
        let root = TestDir::new("lock-file");
        fs::write(root.path().join("file"), b"").unwrap();
        let refused = lock_all(&[&root.path().join("file/below")]).unwrap_err();
        assert!(refused.contains("not a directory"), "{refused}");
    }
}
