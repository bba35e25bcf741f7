//! Whose directories these are: Kafka's `meta.properties` in `log.dirs` names the cluster and the broker.
//!
//! A directory of another cluster, or of another board, must not be opened: its topics are not those of our tree, and
//! what the tree does not know is deleted. The file is written at the first start and compared at every other one.

use std::sync::Arc;

use bytes::Bytes;

use super::Broker;
use super::opening::FileTask;
use crate::effect::{DiskDone, DiskError, DiskOp, Effect, Effects, Lane, Root};
use crate::types::{NodeId, Now};

const FILE: &str = "meta.properties";
const FILE_BYTES_MAX: usize = 4096;

impl Broker {
    /// Compares the directories with the cluster whose tree this is; partitions open once they match. Only the first
    /// call does anything.
    pub fn identify(&mut self, cluster_id: &str, fx: &mut Effects) {
        if !std::mem::replace(&mut self.is_identifying, true) {
            let op = DiskOp::ReadFile { root: Root::Topics, name: FILE.into(), max_bytes: FILE_BYTES_MAX };
            self.file_task(Lane::Read, op, FileTask::Identity(cluster_id.into()), fx);
        }
    }

    pub(super) fn identity_read(
        &mut self,
        now: Now,
        cluster_id: Arc<str>,
        result: &Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) {
        let sentence = match result {
            Ok(DiskDone::File(bytes)) => mismatch(bytes, &cluster_id, self.node),
            Err(DiskError::NotFound) => {
                self.write_file(FILE.into(), content(&cluster_id, self.node), fx);
                None
            }
            Ok(_) => Some(format!("{FILE} in log.dirs cannot be read")),
            Err(error) => Some(format!("{FILE} in log.dirs cannot be read: {error}")),
        };
        match sentence {
            Some(sentence) => fx.push(Effect::Fatal { sentence }),
            None => {
                self.is_identified = true;
                self.open_all(now, fx);
            }
        }
    }
}

fn content(cluster_id: &str, node: NodeId) -> Bytes {
    format!("version=0\nbroker.id={node}\ncluster.id={cluster_id}\n").into()
}

/// The sentence that says what does not match. A key that the file lacks matches anything.
fn mismatch(bytes: &[u8], cluster_id: &str, node: NodeId) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let value = |key: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')).map(str::trim)
    };
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
        let own = content("abc", NodeId(1));
        assert_eq!(mismatch(&own, "abc", NodeId(1)), None);
        assert!(mismatch(&own, "abd", NodeId(1)).unwrap().contains("cluster abc"));
        assert!(mismatch(&own, "abc", NodeId(2)).unwrap().contains("broker 1"));
        let kraft = b"#\n#Tue Nov 04\nnode.id=3\ndirectory.id=x\nversion=1\ncluster.id=abc\n";
        assert_eq!(mismatch(kraft, "abc", NodeId(3)), None);
        assert_eq!(mismatch(b"", "abc", NodeId(3)), None);
    }
}
