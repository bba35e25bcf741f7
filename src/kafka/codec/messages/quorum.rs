//! DescribeQuorum (KIP-595): who votes on the metadata, and how far each has come.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, Offset, PartitionIndex, Timestamp, TopicId};

table! {
    /// The partition asked for is always `__cluster_metadata`, 0.
    struct DescribeQuorumRequest<'a>: DescribeQuorum {
        topics: Array<'a, DescribeQuorumTopic<'a>>, 0+;
    }

    /// A topic.
    struct DescribeQuorumTopic<'a> {
        topic_name: &'a str, 0+;
        partitions: Array<'a, DescribeQuorumPartition>, 0+;
    }

    /// A partition.
    struct DescribeQuorumPartition {
        partition_index: PartitionIndex, 0+;
    }

    /// The quorum.
    struct DescribeQuorumResponse<'a>: DescribeQuorum {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 2+;
        topics: Array<'a, DescribeQuorumTopicResult<'a>>, 0+;
        nodes: Array<'a, DescribeQuorumNode<'a>>, 2+;
    }

    /// A topic.
    struct DescribeQuorumTopicResult<'a> {
        topic_name: &'a str, 0+;
        partitions: Array<'a, DescribeQuorumPartitionResult<'a>>, 0+;
    }

    /// A partition; an epoch of the quorum is a term here, an offset an index of its log.
    struct DescribeQuorumPartitionResult<'a> {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 2+;
        /// -1 when unknown.
        leader_id: NodeId, 0+;
        leader_epoch: i32, 0+;
        high_watermark: Offset, 0+;
        current_voters: Array<'a, QuorumReplicaState>, 0+;
        observers: Array<'a, QuorumReplicaState>, 0+;
    }

    /// A member.
    struct QuorumReplicaState {
        replica_id: NodeId, 0+;
        replica_directory_id: TopicId, 2+;
        /// -1 when unknown.
        log_end_offset: Offset, 0+;
        last_fetch_timestamp: Timestamp, 1+, default Timestamp(-1);
        last_caught_up_timestamp: Timestamp, 1+, default Timestamp(-1);
    }

    /// How to reach a member.
    struct DescribeQuorumNode<'a> {
        node_id: NodeId, 2+;
        listeners: Array<'a, DescribeQuorumListener<'a>>, 2+;
    }

    /// One of its listeners.
    struct DescribeQuorumListener<'a> {
        name: &'a str, 2+;
        host: &'a str, 2+;
        port: u16, 2+;
    }
}
