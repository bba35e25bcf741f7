//! What the disk has done since the start, counted by the lanes and read by the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that all lanes add to.
#[derive(Debug, Default)]
pub struct Stats {
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
    syncs: AtomicU64,
    sync_micros: AtomicU64,
    sync_micros_longest: AtomicU64,
}

/// The counters at one moment. All but the longest only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Handed to the kernel.
    pub bytes_written: u64,
    /// Taken from the kernel by reads; bytes seen through maps are not counted.
    pub bytes_read: u64,
    /// Of files and directories.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_micros: u64,
    /// The longest of them.
    pub sync_micros_longest: u64,
}

impl Stats {
    pub(super) fn wrote(&self, bytes: usize) {
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn read_from_disk(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn synced(&self, took: Duration) {
        let micros = took.as_micros().min(u64::MAX as u128) as u64;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        self.sync_micros_longest.fetch_max(micros, Ordering::Relaxed);
    }

    /// The counters now; they may be a moment apart from each other.
    pub fn read(&self) -> DiskStats {
        DiskStats {
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_micros: self.sync_micros.load(Ordering::Relaxed),
            sync_micros_longest: self.sync_micros_longest.load(Ordering::Relaxed),
        }
    }
}
