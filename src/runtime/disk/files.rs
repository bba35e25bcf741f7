//! `Storage` on real files: names below two roots, descriptors and map windows kept open between calls.
//!
//! Invariants: no call leaves one of the two roots; a descriptor is kept only for the file that bears the name now; an
//! error names the file and what was tried. Opens for reading and writing, and for reading alone where the file system
//! refuses writes, so that a disk turned read-only can still be read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use crate::effect::{DiskError, DiskSpace, Root};
use crate::log::storage::{DirEntry, FileName, FilePath, Storage};
use crate::metrics::METRICS;

use super::open_files::{OpenFiles, WINDOW_BYTES};
use super::system::{self, disk_error};

/// Window starts are multiples of this, which every page size divides.
const WINDOW_ALIGN: u64 = 64 * 1024;

/// The files of a node. Clones share everything.
#[derive(Clone, Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    coordinator: PathBuf,
    topics: PathBuf,
    open: OpenFiles,
}

impl Files {
    /// Both directories exist.
    pub fn new(coordinator: &Path, topics: &Path) -> Files {
        let (coordinator, topics) = (coordinator.to_owned(), topics.to_owned());
        Files { shared: Arc::new(Shared { coordinator, topics, open: OpenFiles::default() }) }
    }

    /// What a file is called among all files of the node.
    pub fn key(file: FilePath<'_>) -> String {
        format!("{}{file}", root_key(file.root))
    }

    /// What every key in a directory starts with.
    pub fn dir_key(root: Root, dir: &str) -> String {
        format!("{}{dir}/", root_key(root))
    }

    fn root(&self, root: Root) -> &Path {
        match root {
            Root::Coordinator => &self.shared.coordinator,
            Root::Topics => &self.shared.topics,
        }
    }

    fn path(&self, file: FilePath<'_>) -> PathBuf {
        self.root(file.root).join(file.to_string())
    }

    fn dir(&self, root: Root, dir: Option<&str>) -> PathBuf {
        dir.map_or_else(|| self.root(root).to_owned(), |dir| self.root(root).join(dir))
    }

    fn open(&self, key: &str, file: FilePath<'_>, write: bool) -> Result<Arc<File>, DiskError> {
        let generation = match self.shared.open.get(key, write) {
            Ok(file) => return Ok(file),
            Err(generation) => generation,
        };
        let path = self.path(file);
        let opened = self.open_path(&path, write).map_err(|error| said("open", file, &error))?;
        let (opened, writable) = (Arc::new(opened.0), opened.1);
        self.shared.open.keep(key, &opened, writable, generation);
        Ok(opened)
    }

    /// Opens for both where that is allowed; the answer says whether it was.
    fn open_path(&self, path: &Path, write: bool) -> io::Result<(File, bool)> {
        let both = self.retry(|| OpenOptions::new().read(true).write(true).open(path));
        match both {
            Err(error) if !write && matches!(error.raw_os_error(), Some(libc::EROFS | libc::EACCES)) => {
                Ok((self.retry(|| File::open(path))?, false))
            }
            result => Ok((result?, true)),
        }
    }

    /// Tries again with fewer files open when descriptors have run out.
    fn retry(&self, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
        match open() {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                self.shared.open.shrink();
                open()
            }
            result => result,
        }
    }

    fn forget(&self, file: FilePath<'_>) {
        let forgotten = Files::key(file);
        self.shared.open.forget(|key| key == forgotten);
    }

    fn forget_dir(&self, root: Root, dir: &str) {
        let prefix = Files::dir_key(root, dir);
        self.shared.open.forget(|key| key.starts_with(&prefix));
    }

    /// A window that shows the range, which lies within the file of `length` bytes.
    fn map(&self, key: &str, file: &File, position: u64, bytes: usize, length: u64) -> io::Result<(u64, Arc<Mmap>)> {
        if let Some(found) = self.shared.open.window(key, position, bytes) {
            return Ok(found);
        }
        let generation = self.shared.open.generation();
        let start = position - position % WINDOW_ALIGN;
        let wanted = (position - start) + bytes as u64;
        let size = wanted.max(WINDOW_BYTES.min(length - start));
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: the range lies within the file, and `map_read` is only for files that nobody shortens meanwhile;
        // other writers change bytes at most, and what is read is checked like any input.
        let map = Arc::new(unsafe { MmapOptions::new().offset(start).len(size).map(file)? });
        self.shared.open.keep_window(key, start, &map, generation);
        Ok((start, map))
    }
}

fn root_key(root: Root) -> char {
    match root {
        Root::Coordinator => 'c',
        Root::Topics => 't',
    }
}

fn said(tried: &str, file: FilePath<'_>, error: &io::Error) -> DiskError {
    disk_error(error, || format!("cannot {tried} {file}"))
}

fn said_dir(tried: &str, dir: Option<&str>, error: &io::Error) -> DiskError {
    disk_error(error, || format!("cannot {tried} the directory {}", dir.unwrap_or(".")))
}

fn sync_failed(what: &str, error: &io::Error) -> DiskError {
    DiskError::SyncFailed(format!("{what}: {error}"))
}

impl Storage for Files {
    fn read_at(&mut self, file: FilePath<'_>, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let open = self.open(&Files::key(file), file, false)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match open.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(said("read", file, &error)),
            }
        }
        Ok(filled)
    }

    fn read_new(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        let open = self.open(&Files::key(file), file, false)?;
        *buffer = Vec::with_capacity(bytes);
        while buffer.len() < bytes {
            let missing = bytes - buffer.len();
            match system::append_from(&open, position + buffer.len() as u64, missing, buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(said("read", file, &error)),
            }
        }
        Ok(())
    }

    fn map_read<R>(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, DiskError> {
        let key = Files::key(file);
        let open = self.open(&key, file, false)?;
        let length = open.metadata().map_err(|error| said("read", file, &error))?.len();
        let bytes = (bytes as u64).min(length.saturating_sub(position)) as usize; // at most what was asked
        if bytes == 0 {
            return Ok(look(&[]));
        }
        if let Ok((start, map)) = self.map(&key, &open, position, bytes, length) {
            let from = (position - start) as usize; // within the window
            return Ok(look(map.get(from..from + bytes).unwrap_or_default()));
        }
        let mut copy = vec![0; bytes]; // no room to map: a full 32-bit address space
        let count = self.read_at(file, position, &mut copy)?;
        Ok(look(&copy[..count]))
    }

    fn create(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        let path = self.path(file);
        let create = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let created = self.retry(create).map_err(|error| said("create", file, &error))?;
        self.forget(file);
        let key = Files::key(file);
        if let Err(generation) = self.shared.open.get(&key, true) {
            self.shared.open.keep(&key, &Arc::new(created), true, generation);
        }
        Ok(())
    }

    fn write_at(&mut self, file: FilePath<'_>, position: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        let open = self.open(&Files::key(file), file, true)?;
        system::write_all_at(&open, position, parts).map_err(|error| said("write", file, &error))
    }

    fn len(&mut self, file: FilePath<'_>) -> Result<u64, DiskError> {
        let open = self.open(&Files::key(file), file, false)?;
        Ok(open.metadata().map_err(|error| said("read", file, &error))?.len())
    }

    fn set_len(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        let open = self.open(&Files::key(file), file, true)?;
        open.set_len(bytes).map_err(|error| said("cut", file, &error))?;
        let forgotten = Files::key(file);
        self.shared.open.forget(|key| key == forgotten); // its windows may show what is cut now
        Ok(())
    }

    fn allocate(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        let open = self.open(&Files::key(file), file, true)?;
        system::allocate(&open, bytes).map_err(|error| said("reserve room for", file, &error))
    }

    fn sync(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        let open = self.open(&Files::key(file), file, false)?;
        open.sync_data().map_err(|error| sync_failed(&file.to_string(), &error))
    }

    fn sync_dir(&mut self, root: Root, dir: Option<&str>) -> Result<(), DiskError> {
        match system::sync_dir(&self.dir(root, dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DiskError::NotFound),
            result => result.map_err(|error| sync_failed(&format!("the directory {}", dir.unwrap_or(".")), &error)),
        }
    }

    fn rename(&mut self, from: FilePath<'_>, to: FileName<'_>) -> Result<(), DiskError> {
        let to = from.beside(to);
        fs::rename(self.path(from), self.path(to)).map_err(|error| said("rename", from, &error))?;
        self.forget(from);
        self.forget(to);
        Ok(())
    }

    fn remove(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        fs::remove_file(self.path(file)).map_err(|error| said("remove", file, &error))?;
        self.forget(file);
        Ok(())
    }

    fn create_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        match fs::create_dir(self.dir(root, Some(dir))) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(said_dir("create", Some(dir), &error)),
            _ => Ok(()),
        }
    }

    fn rename_dir(&mut self, root: Root, from: &str, to: &str) -> Result<(), DiskError> {
        let (old, new) = (self.dir(root, Some(from)), self.dir(root, Some(to)));
        fs::rename(old, new).map_err(|error| said_dir("rename", Some(from), &error))?;
        self.forget_dir(root, from);
        self.forget_dir(root, to);
        Ok(())
    }

    fn remove_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        fs::remove_dir(self.dir(root, Some(dir))).map_err(|error| said_dir("remove", Some(dir), &error))?;
        self.forget_dir(root, dir);
        Ok(())
    }

    fn list(&mut self, root: Root, dir: Option<&str>) -> Result<Vec<DirEntry>, DiskError> {
        let read = || -> io::Result<Vec<DirEntry>> {
            let mut entries = Vec::new();
            for entry in fs::read_dir(self.dir(root, dir))? {
                let entry = entry?;
                if let Ok(name) = entry.file_name().into_string() {
                    entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
                }
            }
            entries.sort();
            Ok(entries)
        };
        read().map_err(|error| said_dir("list", dir, &error))
    }

    fn space(&mut self, root: Root) -> Result<DiskSpace, DiskError> {
        let space = system::space(self.root(root)).map_err(|error| said_dir("measure", None, &error))?;
        if root == Root::Topics {
            METRICS.disk.free_bytes.set(space.usable_bytes as i64);
            METRICS.runtime.open_files.set(crate::runtime::descriptors::count_open() as i64);
            METRICS.disk.total_bytes.set(space.total_bytes as i64);
        }
        Ok(space)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::runtime::disk::open_files::FILES_MAX;
    use crate::types::Offset;

    /// A directory of its own for one test, removed with it.
    pub struct TestDir(PathBuf);

    impl TestDir {
        pub fn new(name: &str) -> TestDir {
            use std::sync::atomic::{AtomicU32, Ordering};
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let unique = format!("tern-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(unique);
            fs::create_dir(&path).unwrap();
            TestDir(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TestDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn log(base: i64) -> FilePath<'static> {
        FilePath { root: Root::Topics, dir: None, name: FileName::Log(Offset(base)) }
    }

    fn open_descriptors(below: &Path) -> usize {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|target| target.starts_with(below)).count()
    }

    /// Fresh room holds exactly what was read: all, what is left at the end, or nothing behind it.
    #[test]
    fn fresh_room() {
        let directory = TestDir::new("fresh");
        let mut files = Files::new(directory.path(), directory.path());
        files.create(log(0)).unwrap();
        files.write_at(log(0), 0, &[b"abcdef"]).unwrap();
        let mut buffer = b"former".to_vec();
        for (position, bytes, expected) in
            [(0, 6, &b"abcdef"[..]), (2, 3, b"cde"), (4, 100, b"ef"), (6, 1, b""), (0, 0, b"")]
        {
            files.read_new(log(0), position, bytes, &mut buffer).unwrap();
            assert_eq!(buffer, expected);
        }
        assert!(files.read_new(log(1), 0, 1, &mut buffer).is_err());
    }

    /// Many files never keep more descriptors than the bound, and every one still reads right.
    #[test]
    fn descriptors_are_bounded() {
        let dir = TestDir::new("files-bounded");
        let mut files = Files::new(dir.path(), dir.path());
        for base in 0..FILES_MAX as i64 * 2 {
            files.create(log(base)).unwrap();
            files.write_at(log(base), 0, &[&base.to_be_bytes()]).unwrap();
        }
        assert!(open_descriptors(dir.path()) <= FILES_MAX);
        for base in (0..FILES_MAX as i64 * 2).rev() {
            let shown = files.map_read(log(base), 0, 100, |bytes| bytes.to_vec()).unwrap();
            assert_eq!(shown, base.to_be_bytes());
        }
        assert!(open_descriptors(dir.path()) <= FILES_MAX);
    }

    /// A file that one lane removes is closed for all, so that its blocks are free; its name starts anew.
    #[test]
    fn removal_closes() {
        let dir = TestDir::new("files-removal");
        let mut files = Files::new(dir.path(), dir.path());
        let mut other_lane = files.clone();
        files.create(log(0)).unwrap();
        files.write_at(log(0), 0, &[&[7; 100]]).unwrap();
        other_lane.map_read(log(0), 0, 100, |bytes| assert_eq!(bytes, [7; 100])).unwrap();
        assert_eq!(open_descriptors(dir.path()), 1);
        other_lane.remove(log(0)).unwrap();
        assert_eq!(open_descriptors(dir.path()), 0);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(&*dir.path().to_string_lossy()));
        assert_eq!(files.len(log(0)), Err(DiskError::NotFound));
        files.create(log(0)).unwrap();
        assert_eq!(other_lane.len(log(0)), Ok(0));
    }

    /// Windows show what is appended after they were made, ranges over several windows, and nothing behind the end.
    #[test]
    fn windows() {
        let dir = TestDir::new("files-windows");
        let mut files = Files::new(dir.path(), dir.path());
        files.create(log(0)).unwrap();
        let bytes: Vec<u8> = (0..WINDOW_BYTES * 3 + 10).map(|n| (n / 7) as u8).collect();
        for part in bytes.chunks(50_000) {
            let end = files.len(log(0)).unwrap();
            files.write_at(log(0), end, &[part]).unwrap();
            let shown = files.map_read(log(0), end, 50_000, |shown| shown.to_vec()).unwrap();
            assert_eq!(shown, part);
        }
        let all = files.map_read(log(0), 5, usize::MAX, |shown| shown == &bytes[5..]).unwrap();
        assert!(all);
        assert!(files.map_read(log(0), bytes.len() as u64, 1, |shown| shown.is_empty()).unwrap());
        assert!(files.map_read(log(0), u64::MAX, 1, |shown| shown.is_empty()).unwrap());
        files.set_len(log(0), 10).unwrap();
        assert_eq!(files.map_read(log(0), 0, 100, |shown| shown.len()), Ok(10));
    }

    /// More parts than one system call takes arrive in order.
    #[test]
    fn many_parts() {
        let dir = TestDir::new("files-parts");
        let mut files = Files::new(dir.path(), dir.path());
        files.create(log(0)).unwrap();
        let bytes: Vec<u8> = (0..5000).map(|n| n as u8).collect();
        let parts: Vec<&[u8]> = bytes.chunks(1).collect();
        files.write_at(log(0), 3, &parts).unwrap();
        let mut read = vec![0; 6000];
        assert_eq!(files.read_at(log(0), 0, &mut read), Ok(5003));
        assert_eq!(&read[3..5003], bytes);
    }
}
