//! Three ways to make one round of appends to several partitions durable, measured on the disk beneath the temporary
//! directory and reckoned for a card of 6 ms a sync and 20 MB/s: what `src/log/mod.rs` decides by.
//!
//!     cargo bench --bench sync_ways              TMPDIR chooses the disk
//!
//! per file   write to each segment, fdatasync each
//! syncfs     write to each segment, one syncfs
//! journal    write to each segment and to a journal of two halves of 8 MiB, fdatasync the journal alone; when a half
//!            is full its segments are synced, which is measured apart, as another thread does it in the node
//!
//! Figures are milliseconds: the median round, the worst round, the median checkpoint. The last lines are taken beside a
//! neighbour, another program on the same file system that writes 64 MB every second and never syncs.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PARTITIONS: [usize; 3] = [1, 16, 50];
const BATCH_BYTES: [usize; 2] = [512, 64 * 1024];
const HALF_BYTES: u64 = 8 << 20;
const BLOCK_BYTES: u64 = 4096;
const TIME_MAX: Duration = Duration::from_secs(4);
const ROUNDS: std::ops::Range<usize> = 20..300;
const CARD_SYNC_MS: f64 = 6.0;
const CARD_BYTES_PER_MS: f64 = 20_000.0;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    PerFile,
    SyncFs,
    Journal,
}

struct Bench {
    segments: Vec<File>,
    journal: File,
    /// Where the next round goes in the journal.
    position: u64,
    /// Of the segments.
    end: u64,
    /// Times of the checkpoints.
    checkpoints: Vec<Duration>,
}

impl Bench {
    fn new(dir: &Path, partitions: usize) -> Bench {
        let open = |name: String| {
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(dir.join(name)).unwrap()
        };
        let journal = open("journal".into());
        for half in 0..2 {
            journal.write_all_at(&vec![0; HALF_BYTES as usize], half * HALF_BYTES).unwrap();
        }
        journal.sync_all().unwrap();
        let segments: Vec<File> = (0..partitions).map(|n| open(format!("segment-{n}"))).collect();
        segments.iter().for_each(|segment| segment.sync_all().unwrap());
        Bench { segments, journal, position: 0, end: 0, checkpoints: Vec::new() }
    }

    fn round(&mut self, way: Way, batch: &[u8]) -> Duration {
        let start = Instant::now();
        for segment in &self.segments {
            segment.write_all_at(batch, self.end).unwrap();
        }
        self.end += batch.len() as u64;
        match way {
            Way::PerFile => self.segments.iter().for_each(|segment| segment.sync_data().unwrap()),
            // SAFETY: takes no pointers; the descriptor is open.
            Way::SyncFs => assert_eq!(unsafe { libc::syncfs(self.journal.as_raw_fd()) }, 0),
            Way::Journal => return self.journal_round(batch, start),
        }
        start.elapsed()
    }

    fn journal_round(&mut self, batch: &[u8], start: Instant) -> Duration {
        let bytes = batch.repeat(self.segments.len());
        let padded = (bytes.len() as u64).div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
        let half = self.position / HALF_BYTES;
        let full = (self.position + padded).div_ceil(HALF_BYTES) > half + 1;
        if full {
            self.position = (half + 1) % 2 * HALF_BYTES;
        }
        self.journal.write_all_at(&bytes, self.position).unwrap();
        self.journal.sync_data().unwrap();
        self.position += padded;
        let took = start.elapsed();
        if full {
            let start = Instant::now();
            self.segments.iter().for_each(|segment| segment.sync_data().unwrap());
            self.checkpoints.push(start.elapsed());
        }
        took
    }
}

fn median(times: &mut [Duration]) -> Option<f64> {
    times.sort();
    times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1000.0)
}

/// Milliseconds of a round, of a checkpoint, and rounds a checkpoint, on a card.
fn card(way: Way, partitions: usize, bytes: usize) -> (f64, f64, f64) {
    let transfer = bytes as f64 / CARD_BYTES_PER_MS;
    match way {
        Way::PerFile => (partitions as f64 * CARD_SYNC_MS + transfer, 0.0, f64::INFINITY),
        Way::SyncFs => (CARD_SYNC_MS + transfer, 0.0, f64::INFINITY),
        Way::Journal => {
            let padded = bytes.div_ceil(BLOCK_BYTES as usize) * BLOCK_BYTES as usize;
            let rounds = (HALF_BYTES as usize / padded).max(1) as f64;
            let checkpoint = partitions as f64 * CARD_SYNC_MS + rounds * transfer;
            (CARD_SYNC_MS + padded as f64 / CARD_BYTES_PER_MS, checkpoint, rounds)
        }
    }
}

fn measure(dir: &Path, way: Way, partitions: usize, batch_bytes: usize) -> [Option<f64>; 3] {
    let mut bench = Bench::new(dir, partitions);
    let batch = vec![0x5a; batch_bytes];
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < ROUNDS.start || (times.len() < ROUNDS.end && start.elapsed() < TIME_MAX) {
        times.push(bench.round(way, &batch));
    }
    let median_round = median(&mut times);
    [median_round, median(&mut times.split_off(times.len() - 1)), median(&mut bench.checkpoints)]
}

/// Writes a file of its own in bursts until told to stop.
fn neighbour(dir: &Path, stop: &AtomicBool) {
    let file = File::create(dir.join("neighbour")).unwrap();
    let bytes = vec![1; 1 << 20];
    while !stop.load(Ordering::Relaxed) {
        (0..64).for_each(|n| file.write_all_at(&bytes, n << 20).unwrap());
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn line(dir: &Path, partitions: usize, batch_bytes: usize) {
    for (way, name) in [(Way::PerFile, "per file"), (Way::SyncFs, "syncfs"), (Way::Journal, "journal")] {
        let measured = measure(dir, way, partitions, batch_bytes);
        let (card_round, card_checkpoint, rounds) = card(way, partitions, partitions * batch_bytes);
        let amortized = card_round + card_checkpoint / rounds;
        let show = |figure: Option<f64>| figure.map_or("-".into(), |figure| format!("{figure:.1}"));
        let [round, worst, checkpoint] = measured.map(show);
        println!(
            "{partitions:>10} {batch_bytes:>7} {name:<10} {round:>8} {worst:>8} {checkpoint:>12} {card_round:>8.1} {amortized:>17.1}"
        );
    }
}

fn main() {
    let dir: PathBuf = std::env::temp_dir().join(format!("tern-sync-ways-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    println!("partitions   batch way            here    worst   checkpoint     card  with checkpoints");
    for batch_bytes in BATCH_BYTES {
        for partitions in PARTITIONS {
            line(&dir, partitions, batch_bytes);
        }
    }
    println!("beside a neighbour:");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| neighbour(&dir, &stop));
        std::thread::sleep(Duration::from_secs(2));
        line(&dir, 16, BATCH_BYTES[0]);
        stop.store(true, Ordering::Relaxed);
    });
    std::fs::remove_dir_all(&dir).unwrap();
}
