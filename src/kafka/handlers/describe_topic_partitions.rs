//! DescribeTopicPartitions (KIP-966): topics by name in pages of so many partitions, the next page by a cursor.

use super::metadata::{INTERNAL_TOPICS, is_legal_name};
use super::{Answer, Context, Reply};
use crate::engine::{Cluster, PartitionState, Topic};
use crate::kafka::codec::{
    Array, DescribeTopicPartitionsPartition, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsTopicResult, Elements, Request, TopicPartitionsCursor,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex, ReadError, TopicId};

/// Partitions of one page, whatever the client says: Kafka's `max.request.partition.size.limit`.
const PAGE_PARTITIONS_MAX: usize = 2000;

const TOPIC_BYTES: usize = 40;

/// A partition in the answer, but its replicas, each of which may stand in three lists.
const PARTITION_BYTES: usize = 40;
const REPLICA_BYTES: usize = 12;

/// The names asked for, sorted, and the reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeTopicPartitionsRequest<'_> = request.body()?;
    let cluster = cx.engine.view();
    let asked = body.topics.len() * (size_of::<&str>() + TOPIC_BYTES);
    let known: usize = cluster.topics.values().map(topic_bytes).sum();
    Ok(1024 + 3 * frame_bytes + asked + known)
}

fn topic_bytes(topic: &Topic) -> usize {
    let partitions = topic.partitions.iter().map(|state| PARTITION_BYTES + REPLICA_BYTES * state.replicas.len());
    TOPIC_BYTES + topic.name.len() + partitions.sum::<usize>()
}

/// One topic of the page: its partitions from the first number up to, not including, the second.
struct Part<'a> {
    name: &'a str,
    topic: Option<&'a Topic>,
    from: usize,
    to: usize,
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeTopicPartitionsRequest<'_> = request.body()?;
    let (cluster, node_id) = (cx.engine.view(), cx.engine.node_id());
    if body.cursor.is_some_and(|cursor| cursor.partition_index.0 < 0) {
        let each = |out: &mut Elements<'_, '_, DescribeTopicPartitionsTopicResult<'static>>| {
            for topic in body.topics {
                let error_code = ErrorCode::INVALID_REQUEST;
                let name = Some(topic.name);
                out.put(DescribeTopicPartitionsTopicResult { error_code, name, ..Default::default() });
            }
        };
        let response = DescribeTopicPartitionsResponse { topics: Array::each(&each), ..Default::default() };
        return Ok(reply.send(&mut cx.out, &response));
    }
    let (parts, next_cursor) = page(cluster, &body);
    let each = |out: &mut Elements<'_, '_, DescribeTopicPartitionsTopicResult<'static>>| {
        parts.iter().for_each(|part| put_topic(out, cluster, node_id, part));
    };
    let topics = Array::counted(parts.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeTopicPartitionsResponse { topics, next_cursor, ..Default::default() }))
}

/// What is on the page, and where the next one begins.
fn page<'a>(
    cluster: &'a Cluster,
    body: &DescribeTopicPartitionsRequest<'a>,
) -> (Vec<Part<'a>>, Option<TopicPartitionsCursor<'a>>) {
    let mut names: Vec<&str> = match body.topics.is_empty() {
        true => cluster.topics.keys().map(|name| &**name).collect(),
        false => body.topics.iter().map(|topic| topic.name).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let start = body.cursor.unwrap_or_default();
    let mut room = (body.response_partition_limit.max(1) as usize).min(PAGE_PARTITIONS_MAX);
    let mut parts = Vec::new();
    for name in names.into_iter().filter(|name| *name >= start.topic_name) {
        let topic = cluster.topic(name);
        let from = if name == start.topic_name { start.partition_index.0 as usize } else { 0 };
        let count = topic.map_or(0, |topic| topic.partitions.len());
        if room == 0 && count > 0 {
            let cursor = TopicPartitionsCursor { topic_name: name, partition_index: PartitionIndex(from as i32) };
            return (parts, Some(cursor));
        }
        let from = from.min(count);
        let to = count.min(from + room);
        room -= to - from;
        parts.push(Part { name, topic, from, to });
        if to < count {
            return (
                parts,
                Some(TopicPartitionsCursor { topic_name: name, partition_index: PartitionIndex(to as i32) }),
            );
        }
    }
    (parts, None)
}

fn put_topic(
    out: &mut Elements<'_, '_, DescribeTopicPartitionsTopicResult<'static>>,
    cluster: &Cluster,
    node_id: NodeId,
    part: &Part<'_>,
) {
    let error_code = match part.topic {
        Some(_) => ErrorCode::NONE,
        None if !is_legal_name(part.name) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    let states = part.topic.and_then(|topic| topic.partitions.get(part.from..part.to)).unwrap_or_default();
    let each = |out: &mut Elements<'_, '_, DescribeTopicPartitionsPartition<'static>>| {
        for (place, state) in states.iter().enumerate() {
            put_partition(out, cluster, node_id, PartitionIndex((part.from + place) as i32), state);
        }
    };
    out.put(DescribeTopicPartitionsTopicResult {
        error_code,
        name: Some(part.name),
        topic_id: part.topic.map_or(TopicId::ZERO, |topic| topic.id),
        is_internal: INTERNAL_TOPICS.contains(&part.name),
        partitions: Array::counted(states.len(), &each),
        ..Default::default()
    });
}

fn put_partition(
    out: &mut Elements<'_, '_, DescribeTopicPartitionsPartition<'static>>,
    cluster: &Cluster,
    node_id: NodeId,
    partition_index: PartitionIndex,
    state: &PartitionState,
) {
    let is_alive = |node: NodeId| node == node_id || cluster.brokers.contains_key(&node);
    let leader = state.leader.filter(|&leader| is_alive(leader));
    let offline = |out: &mut Elements<'_, '_, NodeId>| {
        state.replicas.iter().filter(|&&replica| !is_alive(replica)).for_each(|&replica| out.put(replica));
    };
    out.put(DescribeTopicPartitionsPartition {
        error_code: if leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
        partition_index,
        leader_id: leader.unwrap_or(NodeId(-1)),
        leader_epoch: state.leader_epoch,
        replica_nodes: Array::of(&state.replicas),
        isr_nodes: Array::of(&state.isr),
        // None are kept outside the ISR. The format allows null, Kafka's Java client 4.1 does not take it.
        eligible_leader_replicas: Some(Array::default()),
        last_known_elr: Some(Array::default()),
        offline_replicas: Array::each(&offline),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::codec::DescribeTopicPartitionsTopic;

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        for (name, partitions) in [("a", 3), ("b", 1), ("c", 2)] {
            let topic = Topic {
                name: name.into(),
                id: TopicId::ZERO,
                partitions: vec![PartitionState::default(); partitions],
                config: Default::default(),
                version: 0,
            };
            cluster.topics.insert(name.into(), topic);
        }
        cluster
    }

    fn pages(limit: i32, topics: &[&str]) -> Vec<Vec<(String, usize, usize)>> {
        let cluster = cluster();
        let topics: Vec<_> = topics.iter().map(|name| DescribeTopicPartitionsTopic { name }).collect();
        let mut cursor: Option<TopicPartitionsCursor<'_>> = None;
        let mut pages = Vec::new();
        loop {
            let body =
                DescribeTopicPartitionsRequest { topics: Array::of(&topics), response_partition_limit: limit, cursor };
            let (parts, next) = page(&cluster, &body);
            pages.push(parts.iter().map(|part| (part.name.to_owned(), part.from, part.to)).collect());
            assert!(pages.len() < 10);
            let Some(next) = next else { return pages };
            let name = cluster.topics.get_key_value(next.topic_name).unwrap().0;
            let partition_index = next.partition_index;
            cursor = Some(TopicPartitionsCursor { topic_name: name.to_string().leak(), partition_index });
        }
    }

    fn part(name: &str, from: usize, to: usize) -> (String, usize, usize) {
        (name.to_owned(), from, to)
    }

    /// Pages follow each other without gap or repetition, whatever their size, and a limit of nonsense is one.
    #[test]
    fn cursors() {
        assert_eq!(pages(100, &[]), [[part("a", 0, 3), part("b", 0, 1), part("c", 0, 2)]]);
        assert_eq!(
            pages(2, &[]),
            [vec![part("a", 0, 2)], vec![part("a", 2, 3), part("b", 0, 1)], vec![part("c", 0, 2)]]
        );
        assert_eq!(pages(-7, &["c", "a", "c"]).len(), 5);
        assert_eq!(pages(1, &["b", "zebra"]), [[part("b", 0, 1), part("zebra", 0, 0)]]);
    }
}
