//! The disk as the node sees it: four lanes that carry out operations, each a thread, all over the same files.
//!
//! Everything that can wait for a disk happens here: writes, syncs, cold reads, page faults of maps, the CRC of cold
//! data. The thread of the runtime only queues and is told.
//!
//! Invariants: operations of one lane are carried out in order, each answered exactly once; a lane that panics ends
//! the process, because nobody knows what it left half done. Callers: the runtime; `tern inspect` uses `Storage` alone.

mod device;
mod emulate;
mod files;
mod lanes;
mod lock;
mod open_files;
mod system;

use std::path::PathBuf;

use crate::config::{Config, TestDisk};
use crate::effect::{DiskDone, DiskError, DiskOp, Lane, Root};
use crate::log::storage::Storage;
use crate::types::Ticket;

pub use device::Device;
pub use open_files::FILES_MAX;

use lanes::Lanes;
use lock::DirLock;

/// Where the files lie, and how the disk behaves.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// `dataDir`: the coordinator's files. Created when missing.
    pub coordinator_dir: PathBuf,
    /// `log.dirs`: the topics' files. Created when missing.
    pub topics_dir: PathBuf,
    /// For tests.
    pub emulate: TestDisk,
}

impl From<&Config> for DiskConfig {
    fn from(config: &Config) -> DiskConfig {
        DiskConfig {
            coordinator_dir: config.directories.coordinator.clone(),
            topics_dir: config.directories.topics.clone(),
            emulate: config.test_disk,
        }
    }
}

/// The running lanes. Dropping it waits for what is queued, as `stop` does.
pub struct Disk {
    lanes: Lanes,
    _locks: Vec<DirLock>,
}

impl Disk {
    /// Creates and locks both directories and starts the lanes. `answer` is called on a lane's thread, once for each
    /// operation. The error is a sentence for the operator.
    pub fn start(
        config: DiskConfig,
        answer: impl Fn(Ticket, Result<DiskDone, DiskError>) + Send + Clone + 'static,
    ) -> Result<Disk, String> {
        let locks = lock::lock_all(&[&config.coordinator_dir, &config.topics_dir])?;
        let mut device = Device::new(&config);
        let _ = device.free_bytes(Root::Topics); // only for the metrics, which it sets
        let lanes = Lanes::start(&device, answer)?;
        Ok(Disk { lanes, _locks: locks })
    }

    /// Queues an operation behind the others of its lane. Never blocks; a lane whose queue is full answers at once
    /// with an error.
    pub fn submit(&self, lane: Lane, ticket: Ticket, op: DiskOp) {
        self.lanes.submit(lane, ticket, op);
    }

    /// Waits until every queued operation is answered, then ends the threads and unlocks the directories.
    pub fn stop(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Root;
    use bytes::Bytes;
    use files::tests::TestDir;
    use std::sync::mpsc;

    /// Operations are answered once each, in the order of their lane; a second start on the directory is refused
    /// until the first has stopped, and stopping answers everything.
    #[test]
    fn lanes_answer() {
        let dir = TestDir::new("disk");
        let config = DiskConfig {
            coordinator_dir: dir.path().join("data"),
            topics_dir: dir.path().join("data/topics"),
            emulate: TestDisk::None,
        };
        let (sender, answers) = mpsc::channel();
        let answer = move |ticket, result| sender.send((ticket, result)).unwrap();
        let disk = Disk::start(config.clone(), answer.clone()).unwrap();
        assert!(Disk::start(config.clone(), |_, _| {}).is_err_and(|sentence| sentence.contains("in use")));
        for ticket in 0..100 {
            let bytes = Bytes::from(format!("{ticket}"));
            disk.submit(
                Lane::Quorum,
                Ticket(ticket),
                DiskOp::WriteFile { root: Root::Coordinator, name: "x".into(), bytes },
            );
        }
        let read = DiskOp::ReadFile { root: Root::Coordinator, name: "x".into(), max_bytes: 10 };
        disk.submit(Lane::Quorum, Ticket(100), read);
        disk.stop();
        let answers: Vec<_> = answers.try_iter().collect();
        assert_eq!(answers.len(), 101);
        for (index, (ticket, _)) in answers.iter().enumerate() {
            assert_eq!(ticket.0, index as u64);
        }
        Disk::start(config, answer).unwrap();
    }
}
