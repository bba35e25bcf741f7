//! Sizes of partitions on the disks of their leaders, from DescribeLogDirs.

use std::collections::BTreeMap;
use std::io;

use crate::cli::kafka::{Client, Cluster, Topic, check};
use crate::kafka::codec::{Api, Array, DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse};
use crate::types::PartitionIndex;

/// What leaders told of their partitions.
#[derive(Debug, Default)]
pub struct Sizes(BTreeMap<(String, PartitionIndex), i64>);

impl Sizes {
    /// Asks the leaders of the partitions of `topics`; a broker that cannot answer leaves its sizes unknown.
    pub fn ask(cluster: &mut Cluster, topics: &[Topic]) -> Sizes {
        let mut sizes = Sizes::default();
        let mut leaders: Vec<_> = topics.iter().flat_map(|topic| topic.by_leader().into_keys()).collect();
        leaders.sort_unstable();
        leaders.dedup();
        for leader in leaders {
            let led: Vec<_> = topics.iter().map(|topic| (&topic.name, topic.by_leader().remove(&leader))).collect();
            let wanted: Vec<DescribableLogDirTopic<'_>> = led
                .iter()
                .filter_map(|(topic, partitions)| {
                    Some(DescribableLogDirTopic { topic, partitions: Array::of(partitions.as_deref()?) })
                })
                .collect();
            let told = cluster.ask(leader, |client| sizes_at(client, &wanted));
            sizes.0.extend(told.unwrap_or_default());
        }
        sizes
    }

    /// Bytes of a partition's segments on its leader's disk.
    pub fn partition(&self, topic: &str, partition: PartitionIndex) -> Option<i64> {
        self.0.get(&(topic.to_owned(), partition)).copied()
    }

    /// Their sum over a topic, if all are known.
    pub fn topic(&self, topic: &Topic) -> Option<i64> {
        topic.partitions.iter().map(|partition| self.partition(&topic.name, partition.index)).sum()
    }
}

/// What one broker tells; nothing when it is too old for the question.
fn sizes_at(
    client: &mut Client,
    wanted: &[DescribableLogDirTopic<'_>],
) -> io::Result<Vec<((String, PartitionIndex), i64)>> {
    let mut sizes = Vec::new();
    if !client.has(Api::DescribeLogDirs, 1)? {
        return Ok(sizes);
    }
    let request = DescribeLogDirsRequest { topics: Some(Array::of(wanted)) };
    let response: DescribeLogDirsResponse<'_> = client.call(1, &request)?;
    for directory in response.results.iter() {
        check(directory.error_code, directory.log_dir)?;
        for topic in directory.topics.iter() {
            for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
                sizes.push(((topic.name.to_owned(), partition.partition_index), partition.partition_size));
            }
        }
    }
    Ok(sizes)
}
