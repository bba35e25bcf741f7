//! `tern topic truncate`: deletes the oldest records of a topic, by DeleteRecords.

use std::io;

use super::TIMEOUT_MS;
use crate::cli::kafka::{Cluster, check};
use crate::cli::place::Place;
use crate::cli::table::Table;
use crate::kafka::codec::{
    Array, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};

/// Deletes what lies before a place in each partition, and prints where each begins now.
pub(super) fn run(cluster: &mut Cluster, name: &str, before: &str, only: Option<i32>) -> io::Result<()> {
    let mut topic = cluster.topic(name, false)?;
    topic.keep(only)?;
    let firsts = Place::parse("--before", before)?.find(cluster, &topic)?;
    let mut table = Table::new(&["topic", "partition", "begin"]);
    for (leader, indexes) in topic.by_leader() {
        let partitions: Vec<DeleteRecordsPartition> = indexes
            .iter()
            .filter_map(|index| Some(DeleteRecordsPartition { partition_index: *index, offset: *firsts.get(index)? }))
            .collect();
        let topics = [DeleteRecordsTopic { name, partitions: Array::of(&partitions) }];
        let request = DeleteRecordsRequest { topics: Array::of(&topics), timeout_ms: TIMEOUT_MS };
        let response: DeleteRecordsResponse<'_> = cluster.broker(leader)?.call(0, &request)?;
        for result in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            check(result.error_code, &format!("{name}-{}", result.partition_index))?;
            let (index, begin) = (i64::from(result.partition_index.0), result.low_watermark.0);
            table.row(vec![name.into(), index.into(), begin.into()]);
        }
    }
    table.print(false);
    Ok(())
}
