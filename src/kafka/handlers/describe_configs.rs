//! DescribeConfigs: the effective configuration of topics, of this broker, of its logger and of consumer groups, and
//! where each value comes from.

use super::alter_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Answer, Context, Reply};
use crate::engine::{ConfigEntry, ConfigSource, ConfigType, Engine};
use crate::kafka::codec::{
    Array, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym, Elements, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::KAFKA_CONFIG_RESOURCES_MAX;
use crate::types::{NodeId, ReadError};

/// A resource's configuration in the answer, all keys and nothing beside the values.
const TOPIC_BYTES: usize = 3 * 1024;
const BROKER_BYTES: usize = 16 * 1024;

/// How much larger synonyms, and documentation, make an answer.
const SYNONYMS_FACTOR: usize = 3;
const DOCUMENTATION_FACTOR: usize = 2;

const ELSEWHERE: Refusal = (ErrorCode::INVALID_REQUEST, "only this broker's own configuration is known here");
const TOO_MANY: Refusal = (ErrorCode::INVALID_REQUEST, "too many resources in one request");

/// Why a resource is not described.
type Refusal = (ErrorCode, &'static str);

/// What was asked about every resource.
#[derive(Clone, Copy)]
struct Wishes {
    synonyms: bool,
    documentation: bool,
}

/// The reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeConfigsRequest<'_> = request.body()?;
    let resource_bytes = |resource: DescribeConfigsResource<'_>| match resource.resource_type {
        TOPIC => TOPIC_BYTES,
        _ => BROKER_BYTES,
    };
    let synonyms = if body.include_synonyms { SYNONYMS_FACTOR } else { 1 };
    let documentation = if body.include_documentation { DOCUMENTATION_FACTOR } else { 1 };
    let resources = body.resources.iter().map(resource_bytes).sum::<usize>();
    Ok(1024 + 2 * frame_bytes + resources * synonyms * documentation)
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeConfigsRequest<'_> = request.body()?;
    let wishes = Wishes { synonyms: body.include_synonyms, documentation: body.include_documentation };
    let engine = &*cx.engine;
    let each = |out: &mut Elements<'_, '_, _>| {
        for (index, resource) in body.resources.iter().enumerate() {
            if out.is_full() {
                break;
            }
            let described =
                if index < KAFKA_CONFIG_RESOURCES_MAX { describe(engine, &resource) } else { Err(TOO_MANY) };
            put_resource(out, resource, described, wishes);
        }
    };
    let results = Array::counted(body.resources.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeConfigsResponse { results, ..Default::default() }))
}

/// One resource at a time, so that no more than one configuration is in memory beside the reply.
fn put_resource(
    out: &mut Elements<'_, '_, DescribeConfigsResult<'static>>,
    resource: DescribeConfigsResource<'_>,
    described: Result<Vec<ConfigEntry>, Refusal>,
    wishes: Wishes,
) {
    let entries = described.as_ref().map(Vec::as_slice).unwrap_or_default();
    let keys = resource.configuration_keys.filter(|keys| !keys.is_empty());
    let is_asked = |entry: &&ConfigEntry| keys.is_none_or(|keys| keys.iter().any(|key| key == entry.name));
    let (error_code, error_message) = match &described {
        Ok(_) => (ErrorCode::NONE, None),
        Err((code, sentence)) => (*code, Some(*sentence)),
    };
    out.put(DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs: Array::each(&|out| {
            entries.iter().filter(is_asked).for_each(|entry| put_entry(out, entry, wishes));
        }),
    });
}

fn describe(engine: &Engine, resource: &DescribeConfigsResource<'_>) -> Result<Vec<ConfigEntry>, Refusal> {
    match (resource.resource_type, resource.resource_name) {
        (TOPIC, name) => {
            engine.describe_topic(name).ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "the topic does not exist"))
        }
        (BROKER, "") => engine.describe_broker(None).ok_or(ELSEWHERE),
        (BROKER, name) => {
            let id = name.parse().map_err(|_| ELSEWHERE)?;
            engine.describe_broker(Some(NodeId(id))).ok_or(ELSEWHERE)
        }
        (BROKER_LOGGER, name) => match name.parse().is_ok_and(|id| NodeId(id) == engine.node_id()) {
            true => Ok(engine.describe_logger()),
            false => Err(ELSEWHERE),
        },
        (GROUP, "") => Err((ErrorCode::INVALID_REQUEST, "a group has a name")),
        (GROUP, _) => Ok(engine.describe_group()),
        (CLIENT_METRICS, _) => Err((ErrorCode::INVALID_REQUEST, "no metrics of clients are collected here")),
        _ => Err((ErrorCode::INVALID_REQUEST, "the type of resource is unknown")),
    }
}

fn put_entry(out: &mut Elements<'_, '_, DescribeConfigsResourceResult<'static>>, entry: &ConfigEntry, wishes: Wishes) {
    let synonyms = if wishes.synonyms { entry.synonyms.as_slice() } else { &[] };
    out.put(DescribeConfigsResourceResult {
        name: &entry.name,
        value: entry.value.as_deref().filter(|_| !entry.sensitive),
        read_only: entry.read_only,
        config_source: source_number(entry.source),
        is_sensitive: entry.sensitive,
        synonyms: Array::counted(synonyms.len(), &|out| {
            for (name, value, source) in synonyms {
                let value = value.as_deref().filter(|_| !entry.sensitive);
                out.put(DescribeConfigsSynonym { name, value, source: source_number(*source) });
            }
        }),
        config_type: type_number(entry.config_type),
        documentation: Some(entry.documentation).filter(|_| wishes.documentation),
    });
}

/// The protocol's number for where a value comes from.
pub fn source_number(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::Broker => 2,
        ConfigSource::AllBrokers => 3,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
        ConfigSource::Logger => 6,
    }
}

fn type_number(config_type: ConfigType) -> i8 {
    match config_type {
        ConfigType::Boolean => 1,
        ConfigType::String => 2,
        ConfigType::Int => 3,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
    }
}
