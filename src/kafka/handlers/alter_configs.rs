//! AlterConfigs and IncrementalAlterConfigs (KIP-339): what topics and brokers set, in force when the answer leaves.
//!
//! Each resource is a transaction of its own: one may fail while another succeeds. A resource that somebody else altered
//! meanwhile is read and altered again, so that no change is lost. Nothing is copied out of a request before it has
//! passed every check, however much it brings.

use super::{Answer, Context, Pending, Reply};
use crate::engine::{
    Completion, ConfigChange, ConfigError, ConfigOperation, ConfigResource, ConfigScope, ProposeError, TreeError,
};
use crate::kafka::codec::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse, Array, Elements,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::{
    CONFIG_VALUE_BYTES_MAX, KAFKA_CONFIG_CHANGES_MAX, KAFKA_CONFIG_CONFLICTS_MAX, KAFKA_CONFIG_RESOURCES_MAX,
};
use crate::types::{NodeId, ReadError};

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const BROKER_LOGGER: i8 = 8;
pub const CLIENT_METRICS: i8 = 16;
pub const GROUP: i8 = 32;

/// A resource in the request and the answer, its sentence included.
const RESOURCE_BYTES: usize = 1024;

type Refusal = (ErrorCode, Box<str>);

/// A request whose resources are being altered.
#[derive(Debug)]
struct AlterConfigs {
    reply: Reply,
    scope: ConfigScope,
    parts: Vec<Part>,
    /// Parts that the engine has not answered.
    missing: usize,
}

#[derive(Debug)]
struct Part {
    resource_type: i8,
    resource_name: Box<str>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Done,
    Refused(Refusal),
    /// Proposed for so many times.
    Waits {
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
        tries: u32,
    },
}

/// One resource of either request.
struct Asked<'a, C> {
    resource_type: i8,
    resource_name: &'a str,
    changes: C,
}

/// A change as it stands in the request: key, operation, value.
type Wire<'a> = (&'a str, i8, Option<&'a str>);

const SET: i8 = 0;

/// For AlterConfigs: what is kept, and the reply.
pub fn estimate_whole(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: AlterConfigsRequest<'_> = request.body()?;
    let resources = body.resources.iter().map(|resource| {
        let changes = resource.configs.iter().map(|config| (config.name, SET, config.value));
        resource_bytes(resource.resource_name, changes)
    });
    Ok(256 + resources.sum::<usize>())
}

/// For IncrementalAlterConfigs, likewise.
pub fn estimate_incremental(_cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: IncrementalAlterConfigsRequest<'_> = request.body()?;
    let resources = body.resources.iter().map(|resource| {
        let changes = resource.configs.iter().map(|config| (config.name, config.config_operation, config.value));
        resource_bytes(resource.resource_name, changes)
    });
    Ok(256 + resources.sum::<usize>())
}

fn resource_bytes<'a>(name: &str, changes: impl Iterator<Item = Wire<'a>>) -> usize {
    let change_bytes = |(name, _, value): Wire<'_>| {
        size_of::<ConfigChange>() + kept(name).len() + value.map_or(0, |value| kept(value).len())
    };
    RESOURCE_BYTES + 3 * name.len() + changes.take(KAFKA_CONFIG_CHANGES_MAX).map(change_bytes).sum::<usize>()
}

/// As much of a key or value as is looked at: a little more than is allowed.
fn kept(text: &str) -> &str {
    let end = (0..=text.len().min(CONFIG_VALUE_BYTES_MAX + 4)).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// AlterConfigs.
pub fn whole(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: AlterConfigsRequest<'_> = request.body()?;
    let names = body.resources.iter().map(|resource| (resource.resource_type, resource.resource_name)).collect();
    let asked = body.resources.iter().map(|resource| Asked {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        changes: resource.configs.iter().map(|config| (config.name, SET, config.value)),
    });
    Ok(begin(cx, reply, ConfigScope::Whole, body.validate_only, names, asked))
}

/// IncrementalAlterConfigs.
pub fn incremental(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: IncrementalAlterConfigsRequest<'_> = request.body()?;
    let names = body.resources.iter().map(|resource| (resource.resource_type, resource.resource_name)).collect();
    let asked = body.resources.iter().map(|resource| Asked {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        changes: resource.configs.iter().map(|config| (config.name, config.config_operation, config.value)),
    });
    Ok(begin(cx, reply, ConfigScope::Incremental, body.validate_only, names, asked))
}

fn begin<'a, C: Iterator<Item = Wire<'a>>>(
    cx: &mut Context<'_>,
    reply: Reply,
    scope: ConfigScope,
    validate_only: bool,
    mut names: Vec<(i8, &'a str)>,
    asked: impl Iterator<Item = Asked<'a, C>>,
) -> Answer {
    names.sort_unstable();
    let is_twice = |name: &(i8, &str)| {
        let from = names.partition_point(|other| other < name);
        names.get(from + 1) == Some(name)
    };
    let mut parts = Vec::with_capacity(names.len());
    let mut missing = 0;
    for (at, one) in asked.enumerate() {
        let outcome = if at >= KAFKA_CONFIG_RESOURCES_MAX {
            refused(ErrorCode::INVALID_REQUEST, "too many resources in one request")
        } else if is_twice(&(one.resource_type, one.resource_name)) {
            refused(ErrorCode::INVALID_REQUEST, "Each resource must appear at most once.")
        } else {
            match read(one.resource_type, one.resource_name, one.changes) {
                Ok((resource, changes)) => ask(cx, at as u32, scope, resource, changes, validate_only, 0),
                Err(refusal) => Outcome::Refused(refusal),
            }
        };
        missing += matches!(outcome, Outcome::Waits { .. }) as usize;
        parts.push(Part { resource_type: one.resource_type, resource_name: one.resource_name.into(), outcome });
    }
    let pending = AlterConfigs { reply, scope, parts, missing };
    if missing > 0 { Answer::Later(Box::new(pending)) } else { pending.answer(cx) }
}

/// What a resource of the request means.
fn read<'a>(
    resource_type: i8,
    resource_name: &str,
    changes: impl Iterator<Item = Wire<'a>>,
) -> Result<(ConfigResource, Vec<ConfigChange>), Refusal> {
    let wrong = |sentence: String| (ErrorCode::INVALID_REQUEST, sentence.into());
    let resource = match resource_type {
        TOPIC => ConfigResource::Topic(resource_name.into()),
        BROKER if resource_name.is_empty() => ConfigResource::Broker(None),
        BROKER => match resource_name.parse() {
            Ok(id) => ConfigResource::Broker(Some(NodeId(id))),
            Err(_) => return Err(wrong(format!("Node id must be an integer, but it is: {:.100}", resource_name))),
        },
        BROKER_LOGGER => {
            return Err(wrong("what is logged is set by log.level when the broker starts".into()));
        }
        CLIENT_METRICS => return Err(wrong("no metrics of clients are collected here".into())),
        GROUP => return Err(wrong("groups have no configuration of their own here".into())),
        other => return Err(wrong(format!("Unknown resource type {other}"))),
    };
    let mut read = Vec::new();
    // Whoever sends more keys than there are is told about one of these.
    for (name, operation, value) in changes.take(KAFKA_CONFIG_CHANGES_MAX) {
        let operation = match operation {
            0 => ConfigOperation::Set,
            1 => ConfigOperation::Delete,
            2 => ConfigOperation::Append,
            3 => ConfigOperation::Subtract,
            other => return Err(wrong(format!("Unknown operation type {other}"))),
        };
        read.push(ConfigChange { name: kept(name).into(), operation, value: value.map(|value| kept(value).into()) });
    }
    Ok((resource, read))
}

fn ask(
    cx: &mut Context<'_>,
    item: u32,
    scope: ConfigScope,
    resource: ConfigResource,
    changes: Vec<ConfigChange>,
    validate_only: bool,
    tries: u32,
) -> Outcome {
    let waiter = cx.waiter(item);
    match cx.engine.alter_config(cx.now, &resource, scope, &changes, validate_only, waiter) {
        Ok(false) => Outcome::Done,
        Ok(true) => Outcome::Waits { resource, changes, tries: tries + 1 },
        Err(error) => refused(code(&error), &error.to_string()),
    }
}

fn refused(code: ErrorCode, sentence: &str) -> Outcome {
    Outcome::Refused((code, sentence.into()))
}

fn code(error: &ConfigError) -> ErrorCode {
    match error {
        ConfigError::UnknownTopic => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ConfigError::Invalid(_) => ErrorCode::INVALID_CONFIG,
        ConfigError::Request(_) => ErrorCode::INVALID_REQUEST,
    }
}

impl Pending for AlterConfigs {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Proposed(result) = completion else { return Answer::Later(self) };
        let scope = self.scope;
        let Some(part) = self.parts.get_mut(item as usize) else { return Answer::Later(self) };
        let Outcome::Waits { resource, changes, tries } = std::mem::replace(&mut part.outcome, Outcome::Done) else {
            return Answer::Later(self);
        };
        let error = result.map(|result| result.outcome.err().map(|error| error.code));
        part.outcome = match error {
            Ok(None) => Outcome::Done,
            Ok(Some(TreeError::BadVersion | TreeError::NodeExists | TreeError::NoNode))
                if tries < KAFKA_CONFIG_CONFLICTS_MAX =>
            {
                ask(cx, item, scope, resource, changes, false, tries)
            }
            Ok(Some(TreeError::TreeFull)) | Err(ProposeError::TooLarge) => {
                refused(ErrorCode::POLICY_VIOLATION, "the memory for configurations is used up")
            }
            _ => refused(ErrorCode::REQUEST_TIMED_OUT, "the change was not agreed upon: try again"),
        };
        if !matches!(part.outcome, Outcome::Waits { .. }) {
            self.missing = self.missing.saturating_sub(1);
        }
        if self.missing > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

impl AlterConfigs {
    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let (scope, parts) = (self.scope, self.parts);
        let each = |out: &mut Elements<'_, '_, AlterConfigsResourceResponse<'static>>| {
            parts.iter().for_each(|part| out.put(part.response()));
        };
        let responses = Array::counted(parts.len(), &each);
        match scope {
            ConfigScope::Whole => {
                self.reply.send(&mut cx.out, &AlterConfigsResponse { responses, ..Default::default() })
            }
            ConfigScope::Incremental => {
                self.reply.send(&mut cx.out, &IncrementalAlterConfigsResponse { responses, ..Default::default() })
            }
        }
    }
}

impl Part {
    fn response(&self) -> AlterConfigsResourceResponse<'_> {
        let (error_code, error_message) = match &self.outcome {
            Outcome::Refused((code, sentence)) => (*code, Some(&**sentence)),
            _ => (ErrorCode::NONE, None),
        };
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: self.resource_type,
            resource_name: &self.resource_name,
        }
    }
}
