//! The bytes of one simulated file: what a reader sees, what is durable, and what lies between the two.

use std::collections::BTreeMap;

use tern::types::Rng;

const SECTOR_BYTES: u64 = 512;

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
pub enum Change {
    Write { position: u64, bytes: Vec<u8> },
    Length(u64),
}

/// Content of which the zeros at the end need no memory: logs and journals set much of it aside.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub length: u64,
}

impl Content {
    pub fn write(&mut self, position: u64, bytes: &[u8]) {
        let end = position as usize + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[position as usize..end].copy_from_slice(bytes);
        self.length = self.length.max(end as u64);
    }

    pub fn set_length(&mut self, length: u64) {
        self.bytes.truncate(length as usize);
        self.length = length;
    }

    /// What lies there; fewer bytes at the end.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        let count = (buffer.len() as u64).min(self.length.saturating_sub(position)) as usize;
        let from = (position as usize).min(self.bytes.len());
        let here = count.min(self.bytes.len() - from);
        buffer[..here].copy_from_slice(&self.bytes[from..from + here]);
        buffer[here..count].fill(0);
        count
    }

    pub fn all(&self) -> Vec<u8> {
        let mut all = self.bytes.clone();
        all.resize(self.length as usize, 0);
        all
    }
}

#[derive(Clone, Debug, Default)]
pub struct File {
    pub live: Content,
    pub durable: Content,
    pub unsynced: Vec<Change>,
}

impl File {
    pub fn write(&mut self, position: u64, bytes: &[u8]) {
        self.live.write(position, bytes);
        self.unsynced.push(Change::Write { position, bytes: bytes.to_vec() });
    }

    /// The power failed.
    pub fn lose(&mut self, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        let only_writes = changes.iter().all(|change| matches!(change, Change::Write { .. }));
        match rng.below(4) {
            0 => {}
            1 => self.tear(&changes, rng),
            2 if only_writes => self.lose_sectors(&changes, rng),
            _ => changes.iter().for_each(|change| self.arrive(change)),
        }
        self.live = self.durable.clone();
    }

    fn arrive(&mut self, change: &Change) {
        match change {
            Change::Write { position, bytes } => self.durable.write(*position, bytes),
            Change::Length(bytes) => self.durable.set_length(*bytes),
        }
    }

    /// The first changes arrive, and of the next one the first bytes.
    fn tear(&mut self, changes: &[Change], rng: &mut Rng) {
        let count = rng.below(changes.len() as u64 + 1) as usize;
        changes[..count].iter().for_each(|change| self.arrive(change));
        if let Some(Change::Write { position, bytes }) = changes.get(count) {
            let cut = rng.below(bytes.len() as u64 + 1) as usize;
            self.durable.write(*position, &bytes[..cut]);
        }
    }

    /// Of each sector, the state after any of the writes to it arrives, on its own.
    fn lose_sectors(&mut self, changes: &[Change], rng: &mut Rng) {
        let mut sectors: BTreeMap<u64, Vec<(u64, &[u8])>> = BTreeMap::new();
        for change in changes {
            let Change::Write { position, bytes } = change else { continue };
            let mut done = 0;
            while done < bytes.len() {
                let at = position + done as u64;
                let left = (SECTOR_BYTES - at % SECTOR_BYTES) as usize;
                let piece = &bytes[done..bytes.len().min(done + left)];
                sectors.entry(at / SECTOR_BYTES).or_default().push((at, piece));
                done += piece.len();
            }
        }
        for pieces in sectors.values() {
            let count = if rng.one_in(3) { rng.below(pieces.len() as u64 + 1) as usize } else { pieces.len() };
            pieces[..count].iter().for_each(|(at, piece)| self.durable.write(*at, piece));
        }
    }
}
