//! `tern topic alter`: configurations, one by one, and more partitions.

use std::io;

use super::describe::TOPIC_RESOURCE;
use super::{TIMEOUT_MS, pair};
use crate::cli::arguments::AlterTopic;
use crate::cli::kafka::{Cluster, explain};
use crate::cli::usage;
use crate::kafka::codec::{
    Array, ConfigOperation, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterConfigsResponse,
};

/// `ConfigOperation`.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Changes what was asked for.
pub(super) fn run(arguments: &AlterTopic) -> io::Result<()> {
    let operations = operations(arguments)?;
    if operations.is_empty() && arguments.partitions.is_none() {
        return Err(usage("nothing to change: --config, --delete-config or --partitions say what".to_owned()));
    }
    let name = arguments.name.as_str();
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    if !operations.is_empty() {
        configure(&mut cluster, name, &operations, arguments.dry_run)?;
    }
    if let Some(count) = arguments.partitions {
        grow(&mut cluster, name, count, arguments.dry_run)?;
    }
    println!("{} {name}", if arguments.dry_run { "could alter" } else { "altered" });
    Ok(())
}

fn operations(arguments: &AlterTopic) -> io::Result<Vec<ConfigOperation<'_>>> {
    let set = arguments.config.iter().map(|config| {
        let (name, value) = pair("--config", config)?;
        Ok(ConfigOperation { name, config_operation: SET, value: Some(value) })
    });
    let delete =
        arguments.delete_config.iter().map(|name| Ok(ConfigOperation { name, config_operation: DELETE, value: None }));
    set.chain(delete).collect()
}

fn configure(cluster: &mut Cluster, name: &str, operations: &[ConfigOperation<'_>], dry_run: bool) -> io::Result<()> {
    let resources = [IncrementalAlterConfigsResource {
        resource_type: TOPIC_RESOURCE,
        resource_name: name,
        configs: Array::of(operations),
    }];
    let request = IncrementalAlterConfigsRequest { resources: Array::of(&resources), validate_only: dry_run };
    let response: IncrementalAlterConfigsResponse<'_> = cluster.controller()?.call(0, &request)?;
    for result in response.responses.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
    }
    Ok(())
}

fn grow(cluster: &mut Cluster, name: &str, count: i32, validate_only: bool) -> io::Result<()> {
    let topics = [CreatePartitionsTopic { name, count, assignments: None }];
    let request = CreatePartitionsRequest { topics: Array::of(&topics), timeout_ms: TIMEOUT_MS, validate_only };
    let response: CreatePartitionsResponse<'_> = cluster.controller()?.call(0, &request)?;
    for result in response.results.iter() {
        explain(result.error_code, result.error_message, &format!("topic {name}"))?;
    }
    Ok(())
}
