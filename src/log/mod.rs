//! Segmented logs in Kafka's own files: append, read, recover, retain.
//!
//! Two halves: `Logs` decides, without touching a disk; `job::run` carries out what it decided, on a disk lane, against
//! a `Storage`. The log knows batches and offsets, and no protocol.

mod config;
mod event;
pub mod job;
mod logs;
pub mod storage;

pub use config::{Lanes, LogConfig, LogsConfig, SEGMENT_BYTES_MAX};
pub use event::{AppendError, Appended, LogEvent, LogReadError, Marks, Opened};
pub use logs::{LogKey, Logs};
