//! `tern topic list` and `describe`.

use std::collections::BTreeMap;
use std::io;

use super::sizes::Sizes;
use crate::cli::kafka::{Cluster, EARLIEST, LATEST, Topic, check, explain};
use crate::cli::table::{Cell, Table};
use crate::kafka::codec::{Array, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse};
use crate::types::{NodeId, Offset, PartitionIndex};

/// `DescribeConfigs` and its like: the resource type of a topic, and the source of what a topic itself sets.
pub(super) const TOPIC_RESOURCE: i8 = 2;
const TOPIC_SOURCE: i8 = 1;

/// Prints the topics, with what is in them when `long`.
pub(super) fn list(cluster: &mut Cluster, internal: bool, long: bool, json: bool) -> io::Result<()> {
    let mut topics = cluster.topics()?;
    topics.retain(|topic| internal || !topic.is_internal);
    if !long && !json {
        topics.iter().for_each(|topic| println!("{}", topic.name));
        return Ok(());
    }
    overview(cluster, &topics)?.print(json);
    cluster.all_answered()
}

/// How many partitions nobody leads who answers.
pub fn offline(cluster: &Cluster, topic: &Topic) -> usize {
    topic.partitions.iter().filter(|partition| partition.leader.0 < 0 || cluster.is_silent(partition.leader)).count()
}

/// A row a topic: partitions, replicas, records, size.
pub fn overview(cluster: &mut Cluster, topics: &[Topic]) -> io::Result<Table> {
    let sizes = Sizes::ask(cluster, topics);
    let columns = &["topic", "partitions", "replicas", "under-replicated", "offline", "records", "size"];
    let mut table = Table::new(columns);
    for topic in topics {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let behind = topic.partitions.iter().filter(|partition| partition.isr.len() < partition.replicas.len()).count();
        let (begin, end) = (cluster.offsets(topic, EARLIEST)?, cluster.offsets(topic, LATEST)?);
        // Known in all partitions or not at all.
        let indexes = topic.partitions.iter().map(|partition| partition.index);
        let records: Option<i64> = indexes.map(|index| Some(end.get(&index)?.0 - begin.get(&index)?.0)).sum();
        table.row(vec![
            topic.name.as_str().into(),
            (topic.partitions.len() as i64).into(),
            (replicas as i64).into(),
            (behind as i64).into(),
            (offline(cluster, topic) as i64).into(),
            records.into(),
            sizes.topic(topic).map_or(Cell::Absent, Cell::Bytes),
        ]);
    }
    Ok(table)
}

/// Prints topics, each by a line and a table.
pub(super) fn describe(cluster: &mut Cluster, names: &[String], configs: bool, json: bool) -> io::Result<()> {
    for (number, name) in names.iter().enumerate() {
        if number > 0 && !json {
            println!();
        }
        let (topic, code) = cluster
            .metadata(Some(&[name]), false)?
            .pop()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the broker's answer names no topic"))?;
        check(code, &format!("topic {name}"))?;
        let settings = settings(cluster, name)?;
        if !json {
            let replication = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
            let own = settings.iter().filter(|setting| setting.source == TOPIC_SOURCE);
            let own: String = own.map(|setting| format!(" {}={}", setting.name, setting.value)).collect();
            println!("{name}: partitions={} replication-factor={replication}{own}", topic.partitions.len());
        }
        match configs {
            true => settings_table(name, &settings).print(json),
            false => partitions_table(cluster, &topic)?.print(json),
        }
    }
    cluster.all_answered()
}

fn partitions_table(cluster: &mut Cluster, topic: &Topic) -> io::Result<Table> {
    let (begin, end) = (cluster.offsets(topic, EARLIEST)?, cluster.offsets(topic, LATEST)?);
    let sizes = Sizes::ask(cluster, std::slice::from_ref(topic));
    let offset = |offsets: &BTreeMap<PartitionIndex, Offset>, index| offsets.get(&index).map(|offset| offset.0);
    let columns = &["topic", "partition", "leader", "epoch", "begin", "end", "size", "replicas", "in-sync"];
    let mut table = Table::new(columns);
    for partition in &topic.partitions {
        table.row(vec![
            topic.name.as_str().into(),
            i64::from(partition.index.0).into(),
            Some(i64::from(partition.leader.0)).filter(|&leader| leader >= 0).into(),
            i64::from(partition.epoch.0).into(),
            offset(&begin, partition.index).into(),
            offset(&end, partition.index).into(),
            sizes.partition(&topic.name, partition.index).map_or(Cell::Absent, Cell::Bytes),
            ids(&partition.replicas).into(),
            ids(&partition.isr).into(),
        ]);
    }
    Ok(table)
}

fn ids(list: &[NodeId]) -> String {
    list.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}

/// A configuration in force.
struct ConfigLine {
    name: String,
    value: String,
    source: i8,
    read_only: bool,
}

fn settings(cluster: &mut Cluster, name: &str) -> io::Result<Vec<ConfigLine>> {
    let resources =
        [DescribeConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: name, ..Default::default() }];
    let request = DescribeConfigsRequest { resources: Array::of(&resources), ..Default::default() };
    let response: DescribeConfigsResponse<'_> = cluster.any()?.call(1, &request)?;
    let mut settings = Vec::new();
    for result in response.results.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
        settings.extend(result.configs.iter().map(|config| ConfigLine {
            name: config.name.to_owned(),
            value: config.value.unwrap_or(if config.is_sensitive { "(hidden)" } else { "null" }).to_owned(),
            source: config.config_source,
            read_only: config.read_only,
        }));
    }
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

fn settings_table(topic: &str, settings: &[ConfigLine]) -> Table {
    let mut table = Table::new(&["topic", "config", "value", "source"]);
    for setting in settings {
        let source = match setting.source {
            TOPIC_SOURCE => "topic",
            2 => "broker, dynamic",
            3 => "cluster, dynamic",
            4 => "broker's file",
            5 => "default",
            _ => "unknown",
        };
        let source = if setting.read_only { format!("{source}, read-only") } else { source.to_owned() };
        table.row(vec![topic.into(), setting.name.as_str().into(), setting.value.as_str().into(), source.into()]);
    }
    table
}
