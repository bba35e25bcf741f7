//! `tern group delete`: whole groups, or their offsets of some topics.

use std::io;

use crate::cli::kafka::{Cluster, check};
use crate::kafka::codec::{
    Array, DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic, OffsetDeleteResponse,
};

/// Deletes groups one after the other; the first error ends it.
pub(super) fn run(cluster: &mut Cluster, names: &[String], topics: &[String]) -> io::Result<()> {
    for name in names {
        match topics {
            [] => group(cluster, name)?,
            topics => offsets(cluster, name, topics)?,
        }
    }
    Ok(())
}

fn group(cluster: &mut Cluster, name: &str) -> io::Result<()> {
    let names = [name];
    let request = DeleteGroupsRequest { groups_names: Array::of(&names) };
    let response: DeleteGroupsResponse<'_> = cluster.coordinator(name)?.call(1, &request)?;
    for result in response.results.iter() {
        check(result.error_code, &format!("group {name}"))?;
    }
    println!("deleted {name}");
    Ok(())
}

fn offsets(cluster: &mut Cluster, name: &str, topics: &[String]) -> io::Result<()> {
    for topic in topics {
        let found = cluster.topic(topic, false)?;
        let partitions: Vec<OffsetDeleteRequestPartition> = found
            .partitions
            .iter()
            .map(|partition| OffsetDeleteRequestPartition { partition_index: partition.index })
            .collect();
        let wanted = [OffsetDeleteRequestTopic { name: topic, partitions: Array::of(&partitions) }];
        let request = OffsetDeleteRequest { group_id: name, topics: Array::of(&wanted) };
        let response: OffsetDeleteResponse<'_> = cluster.coordinator(name)?.call(0, &request)?;
        check(response.error_code, &format!("group {name}"))?;
        for partition in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            check(partition.error_code, &format!("group {name}, {topic}-{}", partition.partition_index))?;
        }
        println!("deleted the offsets of {topic} in {name}");
    }
    Ok(())
}
