//! DescribeTopicPartitions (KIP-966): topics in pages.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, TopicId};

table! {
    /// Topics to tell of; none means all.
    struct DescribeTopicPartitionsRequest<'a>: DescribeTopicPartitions {
        topics: Array<'a, DescribeTopicPartitionsTopic<'a>>, 0+;
        response_partition_limit: i32, 0+, default 2000;
        cursor: Option<TopicPartitionsCursor<'a>>, 0+;
    }

    /// A topic.
    struct DescribeTopicPartitionsTopic<'a> {
        name: &'a str, 0+;
    }

    /// Where a page begins.
    struct TopicPartitionsCursor<'a> {
        topic_name: &'a str, 0+;
        partition_index: PartitionIndex, 0+;
    }

    /// One page.
    struct DescribeTopicPartitionsResponse<'a>: DescribeTopicPartitions {
        throttle_time_ms: i32, 0+;
        topics: Array<'a, DescribeTopicPartitionsTopicResult<'a>>, 0+;
        /// Where the next begins; null after the last.
        next_cursor: Option<TopicPartitionsCursor<'a>>, 0+;
    }

    /// A topic.
    struct DescribeTopicPartitionsTopicResult<'a> {
        error_code: ErrorCode, 0+;
        name: Option<&'a str>, 0+;
        topic_id: TopicId, 0+;
        is_internal: bool, 0+;
        partitions: Array<'a, DescribeTopicPartitionsPartition<'a>>, 0+;
        /// A bit set; `i32::MIN` when not told.
        topic_authorized_operations: i32, 0+, default i32::MIN;
    }

    /// A partition.
    struct DescribeTopicPartitionsPartition<'a> {
        error_code: ErrorCode, 0+;
        partition_index: PartitionIndex, 0+;
        leader_id: NodeId, 0+;
        leader_epoch: LeaderEpoch, 0+, default LeaderEpoch::NONE;
        replica_nodes: Array<'a, NodeId>, 0+;
        isr_nodes: Array<'a, NodeId>, 0+;
        eligible_leader_replicas: Option<Array<'a, NodeId>>, 0+;
        last_known_elr: Option<Array<'a, NodeId>>, 0+;
        offline_replicas: Array<'a, NodeId>, 0+;
    }
}

optional_struct!(TopicPartitionsCursor);
