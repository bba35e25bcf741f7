//! What a lane runs its jobs on: the real files, counted, and for tests slowed down or made forgetful.
//!
//! One type for all three, so that the log's jobs are compiled once.

use std::sync::Arc;
use std::time::Instant;

use crate::config::TestDisk;
use crate::effect::{DiskError, DiskSpace, Root};
use crate::log::storage::{DirEntry, FileName, FilePath, Storage};
use crate::metrics::METRICS;

use super::DiskConfig;
use super::emulate::{Card, Overlay};
use super::files::Files;

/// The disk of a node, as each lane holds it. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Device {
    files: Files,
    card: Option<Arc<Card>>,
    overlay: Option<Arc<Overlay>>,
}

impl Device {
    /// The directories of `config` exist.
    pub fn new(config: &DiskConfig) -> Device {
        let card = |is_steady| Some(Arc::new(Card::new(is_steady)));
        Device {
            files: Files::new(&config.coordinator_dir, &config.topics_dir),
            card: match config.emulate {
                TestDisk::Card => card(false),
                TestDisk::SteadyCard => card(true),
                TestDisk::None | TestDisk::Discard => None,
            },
            overlay: (config.emulate == TestDisk::Discard).then(Arc::default),
        }
    }

    /// Does a sync, timed and counted.
    fn timed(&mut self, sync: impl FnOnce(&mut Device) -> Result<(), DiskError>) -> Result<(), DiskError> {
        let start = Instant::now();
        let result = sync(self);
        METRICS.disk.sync_micros.observe_duration(start.elapsed());
        result
    }
}

impl Storage for Device {
    fn read_at(&mut self, file: FilePath<'_>, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let count = match &self.overlay {
            Some(overlay) => overlay.read_at(&mut self.files, file, position, buffer)?,
            None => self.files.read_at(file, position, buffer)?,
        };
        METRICS.disk.bytes_read.add(count as u64);
        if let Some(card) = &self.card {
            card.read(&Files::key(file), position, count);
        }
        Ok(count)
    }

    fn read_new(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        if self.overlay.is_some() || self.card.is_some() {
            *buffer = vec![0; bytes];
            let read = self.read_at(file, position, buffer)?;
            buffer.truncate(read);
            return Ok(());
        }
        self.files.read_new(file, position, bytes, buffer)?;
        METRICS.disk.bytes_read.add(buffer.len() as u64);
        Ok(())
    }

    fn map_read<R>(
        &mut self,
        file: FilePath<'_>,
        position: u64,
        bytes: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, DiskError> {
        if let Some(card) = &self.card {
            let there = self.files.len(file)?.saturating_sub(position);
            card.read(&Files::key(file), position, there.min(bytes as u64) as usize);
        }
        match &self.overlay {
            Some(overlay) if overlay.has(file) => {
                let end = overlay.len(&mut self.files, file)?;
                let mut copy = vec![0; (bytes as u64).min(end.saturating_sub(position)) as usize];
                overlay.read_at(&mut self.files, file, position, &mut copy)?;
                Ok(look(&copy))
            }
            _ => self.files.map_read(file, position, bytes, look),
        }
    }

    fn create(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        if let Some(card) = &self.card {
            card.forget(|key| key == Files::key(file));
        }
        match &self.overlay {
            Some(overlay) => overlay.create(&mut self.files, file),
            None => self.files.create(file),
        }
    }

    fn write_at(&mut self, file: FilePath<'_>, position: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        match &self.overlay {
            Some(overlay) => overlay.write_at(&mut self.files, file, position, parts)?,
            None => self.files.write_at(file, position, parts)?,
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        METRICS.disk.bytes_written.add(bytes as u64);
        if let Some(card) = &self.card {
            card.wrote(&Files::key(file), position, bytes);
        }
        Ok(())
    }

    fn len(&mut self, file: FilePath<'_>) -> Result<u64, DiskError> {
        match &self.overlay {
            Some(overlay) => overlay.len(&mut self.files, file),
            None => self.files.len(file),
        }
    }

    fn set_len(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        match &self.overlay {
            Some(overlay) => overlay.set_len(&mut self.files, file, bytes),
            None => self.files.set_len(file, bytes),
        }
    }

    fn allocate(&mut self, file: FilePath<'_>, bytes: u64) -> Result<(), DiskError> {
        match &self.overlay {
            Some(overlay) => overlay.allocate(&mut self.files, file, bytes),
            None => self.files.allocate(file, bytes),
        }
    }

    fn sync(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.timed(|device| {
            match &device.overlay {
                Some(overlay) => overlay.sync(&mut device.files, file)?,
                None if device.card.is_none() => device.files.sync(file)?,
                None => drop(device.files.len(file)?), // the time is the card's, not that of the disk beneath
            }
            if let Some(card) = &device.card {
                card.sync(Some(&Files::key(file)));
            }
            Ok(())
        })
    }

    fn sync_dir(&mut self, root: Root, dir: Option<&str>) -> Result<(), DiskError> {
        self.timed(|device| match &device.card {
            Some(card) => {
                card.sync(None);
                Ok(())
            }
            None => device.files.sync_dir(root, dir),
        })
    }

    fn rename(&mut self, from: FilePath<'_>, to: FileName<'_>) -> Result<(), DiskError> {
        self.files.rename(from, to)?;
        let (old, new) = (Files::key(from), Files::key(from.beside(to)));
        let renamed = |key: &str| (key == old).then(|| new.clone());
        if let Some(overlay) = &self.overlay {
            overlay.forget(|key| key == new);
            overlay.rename(renamed);
        }
        if let Some(card) = &self.card {
            card.forget(|key| key == new);
            card.rename(renamed);
        }
        Ok(())
    }

    fn remove(&mut self, file: FilePath<'_>) -> Result<(), DiskError> {
        self.files.remove(file)?;
        let removed = Files::key(file);
        if let Some(overlay) = &self.overlay {
            overlay.forget(|key| key == removed);
        }
        if let Some(card) = &self.card {
            card.forget(|key| key == removed);
        }
        Ok(())
    }

    fn create_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        self.files.create_dir(root, dir)
    }

    fn rename_dir(&mut self, root: Root, from: &str, to: &str) -> Result<(), DiskError> {
        self.files.rename_dir(root, from, to)?;
        let (old, new) = (Files::dir_key(root, from), Files::dir_key(root, to));
        let renamed = |key: &str| key.strip_prefix(&old).map(|name| format!("{new}{name}"));
        if let Some(overlay) = &self.overlay {
            overlay.rename(renamed);
        }
        if let Some(card) = &self.card {
            card.rename(renamed);
        }
        Ok(())
    }

    fn remove_dir(&mut self, root: Root, dir: &str) -> Result<(), DiskError> {
        self.files.remove_dir(root, dir)
    }

    fn list(&mut self, root: Root, dir: Option<&str>) -> Result<Vec<DirEntry>, DiskError> {
        self.files.list(root, dir)
    }

    fn space(&mut self, root: Root) -> Result<DiskSpace, DiskError> {
        self.files.space(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::disk::files::tests::TestDir;
    use crate::types::{Offset, Rng};
    use std::collections::BTreeMap;

    const NAMES: [FileName<'static>; 4] =
        [FileName::Log(Offset(0)), FileName::OffsetIndex(Offset(7)), FileName::Other("a"), FileName::Other("b")];

    fn file(index: usize) -> FilePath<'static> {
        FilePath { root: Root::Topics, dir: Some("t-0"), name: NAMES[index] }
    }

    fn device(dir: &TestDir, emulate: TestDisk) -> Device {
        let config = DiskConfig { coordinator_dir: dir.path().to_owned(), topics_dir: dir.path().to_owned(), emulate };
        Device::new(&config)
    }

    /// A file of the model: what a reader sees, and what a power cut would leave.
    #[derive(Clone, Default)]
    struct Model {
        seen: Vec<u8>,
        synced: Vec<u8>,
    }

    /// One random operation on both the device and the model.
    fn step(rng: &mut Rng, device: &mut Device, model: &mut BTreeMap<usize, Model>) {
        let index = rng.below(NAMES.len() as u64) as usize;
        let path = file(index);
        let Some(known) = model.get_mut(&index) else {
            assert_eq!(device.len(path), Err(DiskError::NotFound));
            assert_eq!(device.sync(path), Err(DiskError::NotFound));
            device.create(path).unwrap();
            model.insert(index, Model::default());
            return;
        };
        let position = rng.below(known.seen.len() as u64 + 20) as usize;
        match rng.below(40) {
            0 => {
                device.create(path).unwrap();
                known.seen.clear();
            }
            1 => {
                device.remove(path).unwrap();
                model.remove(&index);
            }
            2 => {
                let to = (index + 1) % NAMES.len();
                device.rename(path, NAMES[to]).unwrap();
                let moved = model.remove(&index).unwrap();
                model.insert(to, moved);
            }
            3 => {
                device.set_len(path, position as u64).unwrap();
                known.seen.resize(position, 0);
            }
            4 => {
                device.allocate(path, position as u64 + 1).unwrap();
                let length = known.seen.len().max(position + 1);
                known.seen.resize(length, 0);
            }
            5..=8 => {
                device.sync(path).unwrap();
                known.synced = known.seen.clone();
            }
            9..=24 => write(rng, device, path, position, known),
            _ => read(rng, device, path, position, &known.seen),
        }
    }

    fn write(rng: &mut Rng, device: &mut Device, path: FilePath<'_>, position: usize, known: &mut Model) {
        let mut bytes = vec![0; rng.below(300) as usize];
        rng.fill(&mut bytes);
        let (a, b) = bytes.split_at(bytes.len() / 3);
        device.write_at(path, position as u64, &[a, &[], b]).unwrap();
        if !bytes.is_empty() {
            let length = known.seen.len().max(position + bytes.len());
            known.seen.resize(length, 0);
            known.seen[position..position + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn read(rng: &mut Rng, device: &mut Device, path: FilePath<'_>, position: usize, seen: &[u8]) {
        let mut buffer = vec![1; rng.below(400) as usize];
        let end = (position + buffer.len()).min(seen.len());
        let expected = seen.get(position..end).unwrap_or_default();
        assert_eq!(device.read_at(path, position as u64, &mut buffer), Ok(expected.len()));
        assert_eq!(&buffer[..expected.len()], expected);
        let same = device.map_read(path, position as u64, buffer.len(), |shown| shown == expected);
        assert_eq!(same, Ok(true));
        assert_eq!(device.len(path), Ok(seen.len() as u64));
    }

    /// Random operations give what a model of files gives, on real files and under the forgetful disk.
    #[test]
    fn agrees_with_a_model() {
        for (seed, emulate) in [(1, TestDisk::None), (2, TestDisk::Discard)] {
            let dir = TestDir::new("device-model");
            let mut device = device(&dir, emulate);
            device.create_dir(Root::Topics, "t-0").unwrap();
            device.create_dir(Root::Topics, "t-0").unwrap();
            let mut rng = Rng::new(seed);
            let mut model = BTreeMap::new();
            for _ in 0..3000 {
                step(&mut rng, &mut device, &mut model);
            }
            let names: Vec<String> =
                device.list(Root::Topics, Some("t-0")).unwrap().into_iter().map(|entry| entry.name).collect();
            let mut expected: Vec<String> = model.keys().map(|&index| NAMES[index].to_string()).collect();
            expected.sort();
            assert_eq!(names, expected);
        }
    }

    /// What a killed process leaves on the forgetful disk is what each file was at its last sync.
    #[test]
    fn discards_what_was_not_synced() {
        for seed in 0..20 {
            let dir = TestDir::new("device-discard");
            let mut forgetful = device(&dir, TestDisk::Discard);
            forgetful.create_dir(Root::Topics, "t-0").unwrap();
            let mut rng = Rng::new(seed);
            let mut model = BTreeMap::new();
            for _ in 0..200 {
                step(&mut rng, &mut forgetful, &mut model);
            }
            drop(forgetful);
            let mut after = device(&dir, TestDisk::None);
            for (&index, known) in &model {
                let mut bytes = vec![0; 1 << 16];
                let count = after.read_at(file(index), 0, &mut bytes).unwrap();
                assert_eq!(&bytes[..count], &known.synced);
            }
        }
    }

    /// A directory under a new name brings its unsynced files along; syncs are counted for the process.
    #[test]
    fn rename_directory() {
        for emulate in [TestDisk::None, TestDisk::Discard, TestDisk::Card] {
            let dir = TestDir::new("device-rename");
            let mut device = device(&dir, emulate);
            device.create_dir(Root::Topics, "t-0").unwrap();
            device.create(file(0)).unwrap();
            device.write_at(file(0), 0, &[b"hello"]).unwrap();
            device.rename_dir(Root::Topics, "t-0", "u-0").unwrap();
            assert_eq!(device.len(file(0)), Err(DiskError::NotFound));
            let moved = FilePath { dir: Some("u-0"), ..file(0) };
            assert_eq!(device.len(moved), Ok(5));
            device.sync(moved).unwrap();
            device.sync_dir(Root::Topics, None).unwrap();
            assert!(METRICS.disk.sync_micros.count() >= 2 && METRICS.disk.bytes_written.get() >= 5);
            device.remove(moved).unwrap();
            device.remove_dir(Root::Topics, "u-0").unwrap();
            assert_eq!(device.list(Root::Topics, Some("u-0")), Err(DiskError::NotFound));
            assert!(device.free_bytes(Root::Topics).unwrap() > 0);
        }
    }
}
