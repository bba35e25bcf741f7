//! CreateTopics: answered when the topics exist and their partitions on this node are open.
//!
//! The engine checks names, numbers and configurations; the brokers' own topics are refused here. From version 5 on the
//! answer tells what the new topic is like.

use std::sync::Arc;

use super::describe_configs::source_number;
use super::metadata::INTERNAL_TOPICS;
use super::partitions::topic_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, ConfigEntry, Engine, NewTopic, TopicDone, TopicError};
use crate::kafka::codec::{
    Array, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
    Elements, Request,
};
use crate::types::ReadError;

/// The configuration that a version tells of a topic.
const CONFIGS_FROM_VERSION: i16 = 5;

/// A topic in the answer without its configuration, and while it is being created.
const TOPIC_BYTES: usize = 512;

/// A topic's configuration in the answer.
const CONFIGS_BYTES: usize = 3 * 1024;

/// A request whose topics are being created.
#[derive(Debug)]
struct CreateTopics {
    reply: Reply,
    refused: Refused,
}

/// Names of the brokers' own topics among those asked for.
pub type Refused = Vec<Arc<str>>;

/// What the engine is given, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: CreateTopicsRequest<'_> = request.body()?;
    let configs_bytes = if request.version >= CONFIGS_FROM_VERSION { CONFIGS_BYTES } else { 0 };
    Ok(8 * frame_bytes + body.topics.len() * (TOPIC_BYTES + configs_bytes))
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: CreateTopicsRequest<'_> = request.body()?;
    let (internal, topics): (Vec<_>, Vec<_>) =
        body.topics.iter().partition(|topic| INTERNAL_TOPICS.contains(&topic.name));
    let refused = internal.iter().map(|topic| Arc::from(topic.name)).collect();
    let topics = topics.into_iter().map(new_topic).collect();
    let waiter = cx.waiter(0);
    cx.engine.create_topics(cx.now, topics, body.validate_only, waiter, cx.out.fx);
    Ok(Answer::Later(Box::new(CreateTopics { reply, refused })))
}

fn new_topic(topic: CreatableTopic<'_>) -> NewTopic {
    let assignment = topic.assignments.iter().map(|one| (one.partition_index, one.broker_ids.iter().collect()));
    let configs = topic.configs.iter().map(|config| (config.name.to_owned(), config.value.map(str::to_owned)));
    NewTopic {
        name: topic.name.into(),
        partitions: topic.num_partitions,
        replication: topic.replication_factor,
        assignment: assignment.collect(),
        configs: configs.collect(),
    }
}

impl Pending for CreateTopics {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Topics(results) = completion else { return Answer::Later(self) };
        let CreateTopics { reply, refused } = *self;
        let results = with_refused(results, refused);
        let engine = &*cx.engine;
        let tells_configs = reply.version() >= CONFIGS_FROM_VERSION;
        let each = |out: &mut Elements<'_, '_, _>| {
            for (name, result) in &results {
                match result {
                    Ok(done) => put_created(out, engine, name, done, tells_configs),
                    Err(error) => put_failed(out, name, error),
                }
            }
        };
        let response = CreateTopicsResponse { topics: Array::counted(results.len(), &each), ..Default::default() };
        reply.send(&mut cx.out, &response)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

/// What a command on topics came to, a name each.
pub type Results = Vec<(Arc<str>, Result<TopicDone, TopicError>)>;

/// Adds what was refused before the engine was asked.
pub fn with_refused(mut results: Results, refused: Refused) -> Results {
    let internal = || TopicError::InvalidName("the name belongs to a topic of the brokers themselves".to_owned());
    results.extend(refused.into_iter().map(|name| (name, Err(internal()))));
    results
}

fn put_created(
    out: &mut Elements<'_, '_, CreatableTopicResult<'static>>,
    engine: &Engine,
    name: &str,
    done: &TopicDone,
    tells_configs: bool,
) {
    let configs =
        if tells_configs && !out.is_full() { engine.describe_topic(name).unwrap_or_default() } else { Vec::new() };
    let each = |out: &mut Elements<'_, '_, _>| configs.iter().for_each(|entry| out.put(config(entry)));
    out.put(CreatableTopicResult {
        name,
        topic_id: done.id,
        num_partitions: done.partitions,
        replication_factor: done.replication,
        configs: Some(Array::counted(configs.len(), &each)),
        ..Default::default()
    });
}

fn config(entry: &ConfigEntry) -> CreatableTopicConfigs<'_> {
    CreatableTopicConfigs {
        name: &entry.name,
        value: entry.value.as_deref(),
        read_only: entry.read_only,
        config_source: source_number(entry.source),
        is_sensitive: entry.sensitive,
    }
}

fn put_failed(out: &mut Elements<'_, '_, CreatableTopicResult<'static>>, name: &str, error: &TopicError) {
    out.put(CreatableTopicResult {
        name,
        error_code: topic_code(error),
        error_message: Some(&error.to_string()),
        configs: Some(Array::default()), // null would need a reason of its own
        ..Default::default()
    });
}
