//! Metadata: brokers, topics, partitions and who leads them; creates topics on the way when that is allowed.
//!
//! Brokers are told at the address of the listener through which the question came in. A topic that is created here is
//! in the answer already: the request waits for its creation, so that clients need not ask again.

use super::brokers::{Reachable, reachable};
use super::partitions::topic_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Cluster, Completion, PartitionState, Topic, TopicError};
use crate::kafka::admission::Purpose;
use crate::kafka::codec::{
    Array, Elements, MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::kafka::settings::ListenerSettings;
use crate::limits::{KAFKA_TOPICS_CREATED_AT_ONCE_MAX, TOPIC_NAME_BYTES_MAX};
use crate::types::{NodeId, PartitionIndex, ReadError, TopicId};

/// Topics that belong to the brokers themselves.
pub const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// A broker in the answer: name, host, rack.
const BROKER_BYTES: usize = 600;

/// A topic in the answer, but its name and partitions.
const TOPIC_BYTES: usize = 40;

/// A partition in the answer, but its replicas, each of which may stand in three lists.
const PARTITION_BYTES: usize = 32;
const REPLICA_BYTES: usize = 12;

/// A request some of whose topics are being created.
#[derive(Debug)]
struct Metadata {
    reply: Reply,
    topics: Vec<(TopicId, Option<Box<str>>)>,
    creations: Creations,
}

/// Topics that this request has asked the engine to create.
#[derive(Debug, Default)]
struct Creations {
    /// Those that the engine has not answered yet.
    running: usize,
    /// Those that failed.
    failed: Vec<(Box<str>, ErrorCode)>,
}

/// The names, kept while topics are created, and the reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: MetadataRequest<'_> = request.body()?;
    let cluster = cx.engine.view();
    let mut bytes = 256 + 2 * frame_bytes + BROKER_BYTES * (cluster.brokers.len() + 1);
    let Some(topics) = asked(request.version, &body) else {
        return Ok(bytes + cluster.topics.values().map(topic_bytes).sum::<usize>());
    };
    let limit = cx.out.admission.limit_bytes(Purpose::State);
    for topic in topics {
        bytes += TOPIC_BYTES + find(cluster, &topic).map_or(0, topic_bytes);
        if bytes > limit {
            break; // refused, however much more there is
        }
    }
    Ok(bytes)
}

fn topic_bytes(topic: &Topic) -> usize {
    let partitions = topic.partitions.iter().map(|state| PARTITION_BYTES + REPLICA_BYTES * state.replicas.len());
    TOPIC_BYTES + topic.name.len() + partitions.sum::<usize>()
}

/// Answers, or creates what is missing first.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: MetadataRequest<'_> = request.body()?;
    let topics = asked(request.version, &body);
    let mut creations = Creations::default();
    if cx.settings.auto_create_topics && body.allow_auto_topic_creation {
        creations.begin(cx, topics);
    }
    if creations.running == 0 {
        return Ok(answer(cx, reply, topics, &creations.failed));
    }
    let owned = |topic: MetadataRequestTopic<'_>| (topic.topic_id, topic.name.map(Box::from));
    let topics = topics.into_iter().flatten().map(owned).collect();
    Ok(Answer::Later(Box::new(Metadata { reply, topics, creations })))
}

/// The topics asked for; `None` for all of them.
fn asked<'a>(version: i16, body: &MetadataRequest<'a>) -> Option<Array<'a, MetadataRequestTopic<'a>>> {
    body.topics.filter(|topics| version > 0 || !topics.is_empty())
}

fn find<'c>(cluster: &'c Cluster, asked: &MetadataRequestTopic<'_>) -> Option<&'c Topic> {
    match name_of(asked) {
        Some(name) => cluster.topic(name),
        None => cluster.topic_by_id(asked.topic_id),
    }
}

/// The name that is asked for. Who asks by id may send a name that means nothing: Java's client sends an empty one.
fn name_of<'a>(asked: &MetadataRequestTopic<'a>) -> Option<&'a str> {
    asked.name.filter(|_| asked.topic_id == TopicId::ZERO)
}

impl Creations {
    fn begin<'a>(&mut self, cx: &mut Context<'_>, topics: Option<Array<'a, MetadataRequestTopic<'a>>>) {
        for topic in topics.into_iter().flatten() {
            let Some(name) = name_of(&topic) else { continue };
            if INTERNAL_TOPICS.contains(&name) || cx.engine.view().topic(name).is_some() {
                continue;
            }
            if self.running + self.failed.len() >= KAFKA_TOPICS_CREATED_AT_ONCE_MAX {
                break; // the client asks again for those that are missing
            }
            let waiter = cx.waiter(0);
            match cx.engine.auto_create_topic(cx.now, name, Some(waiter), cx.out.fx) {
                Ok(is_running) => self.running += is_running as usize,
                Err(error) => self.failed.push((name.into(), creation_code(&error))),
            }
        }
    }
}

impl Pending for Metadata {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Topics(results) = completion else { return Answer::Later(self) };
        for (name, result) in results {
            if let Err(error) = result {
                self.creations.failed.push((name.as_ref().into(), creation_code(&error)));
            }
        }
        self.creations.running = self.creations.running.saturating_sub(1);
        if self.creations.running > 0 {
            return Answer::Later(self);
        }
        let Metadata { reply, topics, creations } = *self;
        let topics: Vec<MetadataRequestTopic<'_>> = topics
            .iter()
            .map(|(topic_id, name)| MetadataRequestTopic { topic_id: *topic_id, name: name.as_deref() })
            .collect();
        answer(cx, reply, Some(Array::of(&topics)), &creations.failed)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn creation_code(error: &TopicError) -> ErrorCode {
    match error {
        // A name that differs from another one only in `.` and `_`.
        TopicError::AlreadyExists => ErrorCode::INVALID_TOPIC_EXCEPTION,
        TopicError::Unavailable(_) => ErrorCode::LEADER_NOT_AVAILABLE,
        error => topic_code(error),
    }
}

fn answer<'a>(
    cx: &mut Context<'_>,
    reply: Reply,
    topics: Option<Array<'a, MetadataRequestTopic<'a>>>,
    failed: &[(Box<str>, ErrorCode)],
) -> Answer {
    let view = View {
        cluster: cx.engine.view(),
        node_id: cx.engine.node_id(),
        listener: cx.settings.listeners.get(cx.listener as usize),
        failed,
    };
    reply.send(
        &mut cx.out,
        &MetadataResponse {
            brokers: Array::each(&|brokers| view.put_brokers(brokers)),
            cluster_id: view.cluster.cluster_id.as_deref(),
            controller_id: view.cluster.controller.map_or(NodeId(-1), |controller| controller.broker),
            topics: Array::each(&|out| match topics {
                None => view.cluster.topics.values().for_each(|topic| view.put_topic(out, topic)),
                Some(topics) => topics.iter().for_each(|asked| match find(view.cluster, &asked) {
                    Some(topic) => view.put_topic(out, topic),
                    None => view.put_missing(out, &asked),
                }),
            }),
            ..Default::default()
        },
    )
}

/// What the answer is written from.
struct View<'a> {
    cluster: &'a Cluster,
    node_id: NodeId,
    listener: Option<&'a ListenerSettings>,
    failed: &'a [(Box<str>, ErrorCode)],
}

impl View<'_> {
    fn put_brokers(&self, out: &mut Elements<'_, '_, MetadataResponseBroker<'static>>) {
        for Reachable { node_id, host, port, rack } in reachable(self.cluster, self.node_id, self.listener) {
            out.put(MetadataResponseBroker { node_id, host, port: port.into(), rack });
        }
    }

    fn put_topic(&self, out: &mut Elements<'_, '_, MetadataResponseTopic<'static>>, topic: &Topic) {
        out.put(MetadataResponseTopic {
            name: Some(&topic.name),
            topic_id: topic.id,
            is_internal: INTERNAL_TOPICS.contains(&&*topic.name),
            partitions: Array::each(&|out| {
                for (index, state) in topic.partitions.iter().enumerate() {
                    self.put_partition(out, PartitionIndex(index as i32), state);
                }
            }),
            ..Default::default()
        });
    }

    fn put_partition(
        &self,
        out: &mut Elements<'_, '_, MetadataResponsePartition<'static>>,
        partition_index: PartitionIndex,
        state: &PartitionState,
    ) {
        let leader = state.leader.filter(|&leader| self.is_alive(leader));
        out.put(MetadataResponsePartition {
            error_code: if leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
            partition_index,
            leader_id: leader.unwrap_or(NodeId(-1)),
            leader_epoch: state.leader_epoch,
            replica_nodes: Array::of(&state.replicas),
            isr_nodes: Array::of(&state.isr),
            offline_replicas: Array::each(&|out| {
                state.replicas.iter().filter(|&&replica| !self.is_alive(replica)).for_each(|&replica| out.put(replica));
            }),
        });
    }

    fn put_missing(
        &self,
        out: &mut Elements<'_, '_, MetadataResponseTopic<'static>>,
        asked: &MetadataRequestTopic<'_>,
    ) {
        let error_code = match name_of(asked) {
            None => ErrorCode::UNKNOWN_TOPIC_ID,
            Some(name) => match self.failed.iter().find(|(failed, _)| **failed == *name) {
                Some((_, code)) => *code,
                None if !is_legal_name(name) => ErrorCode::INVALID_TOPIC_EXCEPTION,
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            },
        };
        let (name, topic_id) = (name_of(asked), asked.topic_id);
        out.put(MetadataResponseTopic { error_code, name, topic_id, ..Default::default() });
    }

    fn is_alive(&self, node: NodeId) -> bool {
        node == self.node_id || self.cluster.brokers.contains_key(&node)
    }
}

/// Kafka's rule for topic names.
pub fn is_legal_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len()) && !matches!(name, "." | "..") && name.bytes().all(is_legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asks by an id asks for that topic, whatever stands beside it.
    #[test]
    fn ids_come_first() {
        let id = TopicId([7; 16]);
        assert_eq!(name_of(&MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some("t") }), Some("t"));
        assert_eq!(name_of(&MetadataRequestTopic { topic_id: id, name: Some("") }), None);
        assert_eq!(name_of(&MetadataRequestTopic { topic_id: id, name: None }), None);
    }

    /// Names that Kafka takes, and names that it does not.
    #[test]
    fn names() {
        for name in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert!(is_legal_name(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(!is_legal_name(name), "{name}");
        }
    }
}
