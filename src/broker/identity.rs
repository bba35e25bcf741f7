//! Whose directories these are: Kafka's `meta.properties` in `log.dirs` names the cluster and the broker, and gives the
//! directory an identity of its own (KIP-858's `directory.id`).
//!
//! A directory of another cluster, or of another board, must not be opened: its topics are not those of our tree, and
//! what the tree does not know is deleted. The file is written at the first start and compared at every other one. A disk
//! that was replaced or emptied has no such file: its directory gets another identity, by which the tree knows that what
//! this broker had in sync is gone.
//!
//! Invariant: an identity is told only when it is on the disk.

use std::sync::Arc;

use bytes::Bytes;

use super::Broker;
use super::opening::FileTask;
use crate::effect::{DiskDone, DiskError, DiskOp, Effect, Effects, Lane, Root};
use crate::types::{NodeId, Now, TopicId};

const FILE: &str = "meta.properties";
const FILE_BYTES_MAX: usize = 4096;
const DIRECTORY_KEY: &str = "directory.id";

impl Broker {
    /// Compares the directories with the cluster whose tree this is; partitions open once they match. `fresh` becomes
    /// the identity of directories that have none: no two may ever be the same. Only the first call does anything.
    pub fn identify(&mut self, cluster_id: &str, fresh: impl FnOnce() -> TopicId, fx: &mut Effects) {
        if !std::mem::replace(&mut self.is_identifying, true) {
            let op = DiskOp::ReadFile { root: Root::Topics, name: FILE.into(), max_bytes: FILE_BYTES_MAX };
            let fresh = fresh().to_string().into();
            self.file_task(Lane::Read, op, FileTask::Identity { cluster_id: cluster_id.into(), fresh }, fx);
        }
    }

    /// True when the directories are known to be this cluster's.
    pub fn is_identified(&self) -> bool {
        self.is_identified
    }

    /// The identity of the directories; `None` before `is_identified`, or when the disk did not take it.
    pub fn directory_id(&self) -> Option<&str> {
        self.directory_id.as_deref()
    }

    pub(super) fn identity_read(
        &mut self,
        now: Now,
        cluster_id: Arc<str>,
        fresh: Arc<str>,
        result: &Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) {
        let sentence = match result {
            Ok(DiskDone::File(bytes)) => match (mismatch(bytes, &cluster_id, self.node), directory_of(bytes)) {
                (None, Some(id)) => {
                    self.directory_id = Some(id.into());
                    return self.identified_at_last(now, fx);
                }
                (None, None) => {
                    let before = String::from_utf8_lossy(bytes);
                    return self.give_identity(format!("{}\n", before.trim_end()), fresh, fx);
                }
                (sentence, _) => sentence,
            },
            Err(DiskError::NotFound) => {
                let content = format!("version=0\nbroker.id={}\ncluster.id={cluster_id}\n", self.node);
                return self.give_identity(content, fresh, fx);
            }
            Ok(_) => Some(format!("{FILE} in log.dirs cannot be read")),
            Err(error) => Some(format!("{FILE} in log.dirs cannot be read: {error}")),
        };
        if let Some(sentence) = sentence {
            fx.push(Effect::Fatal { sentence });
        }
    }

    fn give_identity(&mut self, before: String, fresh: Arc<str>, fx: &mut Effects) {
        let bytes = Bytes::from(format!("{before}{DIRECTORY_KEY}={fresh}\n"));
        let op = DiskOp::WriteFile { root: Root::Topics, name: FILE.into(), bytes };
        self.file_task(Lane::Janitor, op, FileTask::Identified(fresh), fx);
    }

    pub(super) fn identity_written(
        &mut self,
        now: Now,
        id: Arc<str>,
        result: &Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) {
        match result {
            Ok(_) => self.directory_id = Some(id),
            // Told now and drawn anew at the next start, it would say that the logs are lost.
            Err(error) => {
                tracing::warn!("{FILE} in log.dirs cannot be written, the directory has no identity: {error}")
            }
        }
        self.identified_at_last(now, fx);
    }

    fn identified_at_last(&mut self, now: Now, fx: &mut Effects) {
        self.is_identified = true;
        self.open_all(now, fx);
    }
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')).map(str::trim)
}

/// The identity that the file gives.
fn directory_of(bytes: &[u8]) -> Option<String> {
    value(&String::from_utf8_lossy(bytes), DIRECTORY_KEY).filter(|id| !id.is_empty()).map(str::to_string)
}

/// The sentence that says what does not match. A key that the file lacks matches anything.
fn mismatch(bytes: &[u8], cluster_id: &str, node: NodeId) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let value = |key: &str| value(&text, key);
    if let Some(found) = value("cluster.id").filter(|found| *found != cluster_id) {
        return Some(format!(
            "log.dirs belongs to cluster {found}, dataDir to cluster {cluster_id}: give both directories of one cluster, \
             or delete {FILE} in log.dirs if its topics are to be dropped"
        ));
    }
    let own = node.to_string();
    let found = value("broker.id").or_else(|| value("node.id")).filter(|found| *found != own)?;
    Some(format!(
        "log.dirs belongs to broker {found}, this is broker {own}: set broker.id={found}, or another log.dirs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The own file matches; another cluster's and another board's are told apart; Kafka's own forms are understood.
    #[test]
    fn compare() {
        let own = b"version=0\nbroker.id=1\ncluster.id=abc\n";
        assert_eq!((mismatch(own, "abc", NodeId(1)), directory_of(own)), (None, None));
        assert!(mismatch(own, "abd", NodeId(1)).unwrap().contains("cluster abc"));
        assert!(mismatch(own, "abc", NodeId(2)).unwrap().contains("broker 1"));
        let kraft = b"#\n#Tue Nov 04\nnode.id=3\ndirectory.id=x\nversion=1\ncluster.id=abc\n";
        assert_eq!(mismatch(kraft, "abc", NodeId(3)), None);
        assert_eq!(directory_of(kraft).as_deref(), Some("x"));
        assert_eq!(mismatch(b"", "abc", NodeId(3)), None);
    }
}
