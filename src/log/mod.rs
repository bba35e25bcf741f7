//! Segmented logs in Kafka's own files: append, read, recover, retain, compact.
//!
//! Two halves: `Logs` decides, without touching a disk; `job::run` carries out what it decided, on a disk lane, against
//! a `Storage`. The log knows batches and offsets, and no protocol.
//!
//! # How a write round becomes durable
//!
//! A round appends to several partitions, and a sync is per file. `cargo bench --bench sync_ways` compares three ways:
//! fdatasync of each segment; one `syncfs`; one journal of preallocated blocks that holds the round's bytes again and
//! alone is synced, while the segments, equal in the page cache, are synced when half of it is full. Milliseconds a
//! round, median and (worst) on a virtual disk with ext4, and reckoned for a card of 6 ms a sync and 20 MB/s, the
//! journal's checkpoints included:
//!
//! | partitions x batch      | per file    | syncfs    | journal  | card: per file | syncfs | journal |
//! |-------------------------|-------------|-----------|----------|----------------|--------|---------|
//! | 1 x 512 B               |   4.0  (18) | 4.0 (199) | 4.0 (14) |              6 |      6 |       6 |
//! | 16 x 512 B              |  68.0 (119) | 4.3  (49) | 4.0 (15) |             96 |      6 |       7 |
//! | 50 x 512 B              | 216.0 (320) | 4.0  (61) | 4.0  (8) |            301 |      7 |      10 |
//! | 1 x 64 KiB              |   8.0  (24) | 4.8  (48) | 4.0 (12) |              9 |      9 |      13 |
//! | 16 x 64 KiB             |  66.2 (159) | 4.0  (48) | 8.0 (24) |            148 |     58 |     123 |
//! | 50 x 64 KiB             | 178.7 (404) | 8.0 (146) | 5.7 (13) |            464 |    170 |     484 |
//! | 16 x 512 B, a neighbour |  50.3  (74) | 3.8 (148) | 4.0 (11) |             96 |      6 |       7 |
//!
//! `syncfs` has the best median and is not used: it waits for what every other program has written to the file system
//! (the worst rounds above; a neighbour's 200 MB are ten seconds on a card), and before Linux 5.8 it reports no write
//! errors at all. So: each file by itself when there is one, or when its bytes are so many that writing them twice, and
//! their share of the journal's checkpoints, cost more than a sync; the journal for all others (`round`).

mod append;
mod change;
mod checkpoint;
mod cleaner;
mod cleaning;
mod clock;
mod config;
mod dirty;
mod event;
mod janitor;
pub mod job;
mod journal;
mod leader_epochs;
mod log_file;
mod logs;
mod lookup;
mod replica;
mod retention;
mod round;
mod segment;
mod space;
mod state;
pub mod storage;

pub use config::{CleanerConfig, CompactionConfig, Lanes, LogConfig, LogsConfig, SEGMENT_BYTES_MAX};
pub use event::{AppendError, Appended, LogEvent, LogReadError, Marks, Opened};
pub use journal::{BLOCK_BYTES, HALF_HEAD_BYTES, HalfHead, RECORD_HEAD_BYTES, RecordHead, parse_half_head};
pub use log_file::{LOG_FILE, LogFile};
pub use logs::{LogKey, Logs};
