//! DescribeQuorum (KIP-595): the members of the metadata's quorum, its leader and its term.
//!
//! The quorum's log is no topic here; it answers under the name that Kafka's has.

use super::{Answer, Context, Reply};
use crate::engine::{QuorumMember, QuorumState};
use crate::kafka::codec::{
    Array, DescribeQuorumListener, DescribeQuorumNode, DescribeQuorumPartitionResult, DescribeQuorumRequest,
    DescribeQuorumResponse, DescribeQuorumTopicResult, Elements, QuorumReplicaState, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, Offset, PartitionIndex, ReadError, Timestamp, TopicId};

const TOPIC: &str = "__cluster_metadata";
const PARTITION: PartitionIndex = PartitionIndex(0);

const MEMBER_BYTES: usize = 512;

/// The reply.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeQuorumRequest<'_> = request.body()?;
    let partitions: usize = body.topics.iter().map(|topic| topic.partitions.len()).sum();
    // Only one of them is described, the others have an error.
    Ok(1024 + 2 * frame_bytes + 64 * partitions + MEMBER_BYTES * cx.engine.describe_quorum().members.len())
}

/// Answers at once.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeQuorumRequest<'_> = request.body()?;
    let quorum = cx.engine.describe_quorum();
    let now = cx.now.wall;
    let first = body.topics.iter().position(|topic| topic.topic_name == TOPIC);
    let topics = |out: &mut Elements<'_, '_, DescribeQuorumTopicResult<'static>>| {
        for (place, topic) in body.topics.iter().enumerate() {
            let partitions = |out: &mut Elements<'_, '_, DescribeQuorumPartitionResult<'static>>| {
                let described = topic.partitions.iter().position(|one| one.partition_index == PARTITION);
                for (at, asked) in topic.partitions.iter().enumerate() {
                    if Some(place) == first && Some(at) == described {
                        put_quorum(out, &quorum, now);
                    } else {
                        out.put(DescribeQuorumPartitionResult {
                            partition_index: asked.partition_index,
                            error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                            leader_id: NodeId(-1),
                            ..Default::default()
                        });
                    }
                }
            };
            out.put(DescribeQuorumTopicResult { topic_name: topic.topic_name, partitions: Array::each(&partitions) });
        }
    };
    let engine = &*cx.engine;
    let nodes = |out: &mut Elements<'_, '_, DescribeQuorumNode<'static>>| {
        for (node_id, host, port) in engine.quorum_endpoints() {
            let listener = [DescribeQuorumListener { name: "QUORUM", host, port }];
            out.put(DescribeQuorumNode { node_id, listeners: Array::of(&listener) });
        }
    };
    let response = DescribeQuorumResponse {
        topics: Array::counted(body.topics.len(), &topics),
        nodes: Array::each(&nodes),
        ..Default::default()
    };
    Ok(reply.send(&mut cx.out, &response))
}

fn put_quorum(
    out: &mut Elements<'_, '_, DescribeQuorumPartitionResult<'static>>,
    quorum: &QuorumState,
    now: Timestamp,
) {
    let put = |out: &mut Elements<'_, '_, QuorumReplicaState>, is_voter: bool| {
        for member in quorum.members.iter().filter(|member| member.is_voter == is_voter) {
            out.put(replica(quorum, member, now));
        }
    };
    let voters = |out: &mut Elements<'_, '_, QuorumReplicaState>| put(out, true);
    let observers = |out: &mut Elements<'_, '_, QuorumReplicaState>| put(out, false);
    out.put(DescribeQuorumPartitionResult {
        partition_index: PARTITION,
        leader_id: quorum.leader.unwrap_or(NodeId(-1)),
        leader_epoch: quorum.term.0.min(i32::MAX as u64) as i32,
        high_watermark: offset(quorum.committed),
        current_voters: Array::each(&voters),
        observers: Array::each(&observers),
        ..Default::default()
    });
}

fn replica(quorum: &QuorumState, member: &QuorumMember, now: Timestamp) -> QuorumReplicaState {
    // The leader has everything at every moment, as Kafka tells it; of others no times are kept.
    let time = if Some(member.node) == quorum.leader { now } else { Timestamp(-1) };
    QuorumReplicaState {
        replica_id: member.node,
        replica_directory_id: directory(member.raft_id),
        log_end_offset: member.last_entry.map_or(Offset(-1), offset),
        last_fetch_timestamp: time,
        last_caught_up_timestamp: time,
    }
}

/// The incarnation of a member's disk, which tells a replaced one from the one before.
fn directory(raft_id: u64) -> TopicId {
    TopicId(u128::from(raft_id >> 32).to_be_bytes())
}

/// Entries are numbered from 1: the offset after the last one.
fn offset(last_entry: u64) -> Offset {
    Offset(last_entry.saturating_add(1).min(i64::MAX as u64) as i64)
}
