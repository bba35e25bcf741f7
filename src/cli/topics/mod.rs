//! `tern topic`: create, list, describe, alter, reassign, delete, truncate, over the Kafka door.

mod alter;
mod describe;
mod reassign;
mod sizes;
mod truncate;

use std::io;

use super::arguments::{CreateTopic, TopicCommand};
use super::kafka::{Cluster, explain};
use super::usage;
use crate::kafka::codec::{
    Array, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse,
};
use crate::kafka::errors::ErrorCode;

pub use describe::{offline, overview};

/// How long the broker may take for a change.
const TIMEOUT_MS: i32 = 30_000;

/// Does what was asked.
pub fn run(command: &TopicCommand) -> io::Result<()> {
    match command {
        TopicCommand::Create(arguments) => create(arguments),
        TopicCommand::List { internal, long, json, bootstrap } => {
            describe::list(&mut Cluster::connect_leniently(&bootstrap.bootstrap)?, *internal, *long, *json)
        }
        TopicCommand::Describe { names, configs, json, bootstrap } => {
            describe::describe(&mut Cluster::connect_leniently(&bootstrap.bootstrap)?, names, *configs, *json)
        }
        TopicCommand::Alter(arguments) => alter::run(arguments),
        TopicCommand::Reassign(arguments) => reassign::run(arguments),
        TopicCommand::Delete { names, bootstrap } => delete(&mut Cluster::connect(&bootstrap.bootstrap)?, names),
        TopicCommand::Truncate { name, before, partition, bootstrap } => {
            truncate::run(&mut Cluster::connect(&bootstrap.bootstrap)?, name, before, *partition)
        }
    }
}

/// Name and value of `--option NAME=VALUE`.
pub fn pair<'a>(option: &str, text: &'a str) -> io::Result<(&'a str, &'a str)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(usage(format!("{option} {text}: there is no name and value; allowed: NAME=VALUE"))),
    }
}

fn create(arguments: &CreateTopic) -> io::Result<()> {
    let name = arguments.name.as_str();
    let configs: Vec<CreatableTopicConfig<'_>> = arguments
        .config
        .iter()
        .map(|config| pair("--config", config).map(|(name, value)| CreatableTopicConfig { name, value: Some(value) }))
        .collect::<io::Result<_>>()?;
    let topics = [CreatableTopic {
        name,
        num_partitions: arguments.partitions,
        replication_factor: arguments.replication_factor,
        configs: Array::of(&configs),
        ..Default::default()
    }];
    let request =
        CreateTopicsRequest { topics: Array::of(&topics), timeout_ms: TIMEOUT_MS, validate_only: arguments.dry_run };
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    let response: CreateTopicsResponse<'_> = cluster.controller()?.call(4, &request)?;
    let mut is_new = true;
    for result in response.topics.iter() {
        if result.error_code == ErrorCode::TOPIC_ALREADY_EXISTS && arguments.if_not_exists {
            is_new = false;
        } else {
            explain(result.error_code, result.error_message, &format!("topic {name}"))?;
        }
    }
    match (is_new, arguments.dry_run) {
        (true, false) => println!("created {name}"),
        (true, true) => println!("{name} could be created"),
        (false, _) => println!("{name} exists"),
    }
    Ok(())
}

fn delete(cluster: &mut Cluster, names: &[String]) -> io::Result<()> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = DeleteTopicsRequest { topic_names: Array::of(&names), timeout_ms: TIMEOUT_MS, ..Default::default() };
    let response: DeleteTopicsResponse<'_> = cluster.controller()?.call(3, &request)?;
    let mut failed = None;
    for result in response.responses.iter() {
        let name = result.name.unwrap_or_default();
        match explain(result.error_code, result.error_message, &format!("topic {name}")) {
            Ok(()) => println!("deleted {name}"),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value may be empty or hold `=`; a name may not be missing.
    #[test]
    fn pairs() {
        assert_eq!(pair("--config", "a=b=c").unwrap(), ("a", "b=c"));
        assert_eq!(pair("--config", "a=").unwrap(), ("a", ""));
        for wrong in ["a", "=b", ""] {
            assert_eq!(pair("--config", wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
