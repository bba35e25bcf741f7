//! `tern topic`: create, list, describe, delete, over the Kafka door.

use std::io;
use std::time::{Duration, Instant};

use super::arguments::TopicCommand;
use super::kafka::{Client, check};
use crate::kafka::codec::{
    Array, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse, MetadataRequest,
    MetadataRequestTopic, MetadataResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex};

/// How long the broker may take for a change.
const TIMEOUT_MS: i32 = 30_000;

/// How long a topic that comes into being may take.
const CREATION: Duration = Duration::from_secs(10);

/// `DescribeConfigs`: the resource type of a topic, and the source of what a topic itself sets.
const TOPIC_RESOURCE: i8 = 2;
const TOPIC_SOURCE: i8 = 1;

/// Does what was asked.
pub fn run(command: &TopicCommand) -> io::Result<()> {
    match command {
        TopicCommand::Create { name, partitions, replication_factor, config, bootstrap } => {
            create(&bootstrap.bootstrap, name, *partitions, *replication_factor, config)
        }
        TopicCommand::List { internal, bootstrap } => list(&bootstrap.bootstrap, *internal),
        TopicCommand::Describe { name, bootstrap } => describe(&bootstrap.bootstrap, name),
        TopicCommand::Delete { name, bootstrap } => delete(&bootstrap.bootstrap, name),
    }
}

/// The partitions of a topic, waiting while it comes into being; `create` asks for that.
pub fn partitions(client: &mut Client, topic: &str, create: bool) -> io::Result<Vec<PartitionIndex>> {
    let started = Instant::now();
    loop {
        let topics = [MetadataRequestTopic { name: Some(topic), ..Default::default() }];
        let allow_auto_topic_creation = create;
        let request =
            MetadataRequest { topics: Some(Array::of(&topics)), allow_auto_topic_creation, ..Default::default() };
        let response: MetadataResponse<'_> = client.call(8, &request)?;
        let Some(found) = response.topics.iter().next() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker's answer names no topic"));
        };
        let mut partitions: Vec<_> = found.partitions.iter().map(|partition| partition.partition_index).collect();
        let has_leaders = found.partitions.iter().all(|partition| partition.leader_id.0 >= 0);
        partitions.sort_unstable();
        match found.error_code {
            ErrorCode::NONE if has_leaders && !partitions.is_empty() => return Ok(partitions),
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE if started.elapsed() < CREATION => {}
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if create && started.elapsed() < CREATION => {}
            code => check(code, &format!("topic {topic}"))?,
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn create(bootstrap: &str, name: &str, partitions: i32, replication: i16, configs: &[String]) -> io::Result<()> {
    let configs: Vec<CreatableTopicConfig<'_>> = configs
        .iter()
        .map(|config| match config.split_once('=') {
            Some((name, value)) => Ok(CreatableTopicConfig { name, value: Some(value) }),
            None => Err(io::Error::other(format!("--config {config}: there is no value; allowed: KEY=VALUE"))),
        })
        .collect::<io::Result<_>>()?;
    let topic = CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: replication,
        configs: Array::of(&configs),
        ..Default::default()
    };
    let topics = [topic];
    let request = CreateTopicsRequest { topics: Array::of(&topics), timeout_ms: TIMEOUT_MS, ..Default::default() };
    let mut client = Client::connect(bootstrap)?;
    let response: CreateTopicsResponse<'_> = client.call(4, &request)?;
    for result in response.topics.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
    }
    println!("created {name}");
    Ok(())
}

/// An error code with the broker's own words, when it has some.
fn explain(code: ErrorCode, message: Option<&str>, what: &str) -> io::Result<()> {
    match message.filter(|message| !code.is_none() && !message.is_empty()) {
        Some(message) => Err(io::Error::other(format!("{what}: {message} ({})", code.name()))),
        None => check(code, what),
    }
}

fn list(bootstrap: &str, internal: bool) -> io::Result<()> {
    let mut client = Client::connect(bootstrap)?;
    let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    let response: MetadataResponse<'_> = client.call(8, &request)?;
    let topics = response.topics.iter().filter(|topic| internal || !topic.is_internal);
    let mut names: Vec<&str> = topics.filter_map(|topic| topic.name).collect();
    names.sort_unstable();
    for name in names {
        println!("{name}");
    }
    Ok(())
}

/// One line of `describe`, copied out of the answer so that the connection is free again.
struct Row {
    partition: PartitionIndex,
    leader: NodeId,
    epoch: i32,
    replicas: Vec<NodeId>,
    isr: Vec<NodeId>,
}

fn describe(bootstrap: &str, name: &str) -> io::Result<()> {
    let mut client = Client::connect(bootstrap)?;
    let topics = [MetadataRequestTopic { name: Some(name), ..Default::default() }];
    let request =
        MetadataRequest { topics: Some(Array::of(&topics)), allow_auto_topic_creation: false, ..Default::default() };
    let response: MetadataResponse<'_> = client.call(8, &request)?;
    let Some(topic) = response.topics.iter().next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker's answer names no topic"));
    };
    check(topic.error_code, &format!("topic {name}"))?;
    let rows = topic.partitions.iter().map(|partition| Row {
        partition: partition.partition_index,
        leader: partition.leader_id,
        epoch: partition.leader_epoch.0,
        replicas: partition.replica_nodes.iter().collect(),
        isr: partition.isr_nodes.iter().collect(),
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by_key(|row| row.partition);
    let replication = rows.first().map_or(0, |row| row.replicas.len());
    println!("{name}: partitions={} replication-factor={replication}{}", rows.len(), configs(&mut client, name)?);
    println!("{:>9} {:>7} {:>6} {:>12} {:>12}  replicas / in sync", "partition", "leader", "epoch", "begin", "end");
    for row in rows {
        let (begin, end) = match row.leader.0 {
            -1 => ("-".to_owned(), "-".to_owned()),
            _ => (
                client.offset_at(name, row.partition, -2)?.to_string(),
                client.offset_at(name, row.partition, -1)?.to_string(),
            ),
        };
        println!(
            "{:>9} {:>7} {:>6} {begin:>12} {end:>12}  {} / {}",
            row.partition,
            row.leader,
            row.epoch,
            ids(&row.replicas),
            ids(&row.isr)
        );
    }
    Ok(())
}

fn ids(list: &[NodeId]) -> String {
    list.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}

/// What the topic itself sets, as ` KEY=VALUE ...`.
fn configs(client: &mut Client, name: &str) -> io::Result<String> {
    let resource = DescribeConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: name, ..Default::default() };
    let resources = [resource];
    let request = DescribeConfigsRequest { resources: Array::of(&resources), ..Default::default() };
    let response: DescribeConfigsResponse<'_> = client.call(1, &request)?;
    let mut out = String::new();
    for result in response.results.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
        for config in result.configs.iter().filter(|config| config.config_source == TOPIC_SOURCE) {
            out.push_str(&format!(" {}={}", config.name, config.value.unwrap_or("null")));
        }
    }
    Ok(out)
}

fn delete(bootstrap: &str, name: &str) -> io::Result<()> {
    let names = [name];
    let request = DeleteTopicsRequest { topic_names: Array::of(&names), timeout_ms: TIMEOUT_MS, ..Default::default() };
    let mut client = Client::connect(bootstrap)?;
    let response: DeleteTopicsResponse<'_> = client.call(3, &request)?;
    for result in response.responses.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
    }
    println!("deleted {name}");
    Ok(())
}
