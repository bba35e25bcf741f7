//! ListOffsets: the offset at a time, or at an end.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};

table! {
    /// Partitions and the times asked for.
    struct ListOffsetsRequest<'a>: ListOffsets {
        /// A consumer writes -1, which is not the default.
        replica_id: NodeId, 0+;
        isolation_level: i8, 2+;
        topics: Array<'a, ListOffsetsTopic<'a>>, 0+;
        timeout_ms: i32, 10+;
    }

    /// A topic.
    struct ListOffsetsTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, ListOffsetsPartition>, 0+;
    }

    /// One question.
    struct ListOffsetsPartition {
        partition_index: PartitionIndex, 0+;
        /// What the client believes; -1 switches the check off.
        current_leader_epoch: LeaderEpoch, 4+, default LeaderEpoch::NONE;
        /// Milliseconds, or -1 the end, -2 the start, -3 the largest timestamp (7+), -4 the local start (8+),
        /// -5 the end of what is tiered (9+).
        timestamp: i64, 0+;
    }

    /// The answers.
    struct ListOffsetsResponse<'a>: ListOffsets {
        throttle_time_ms: i32, 2+;
        topics: Array<'a, ListOffsetsTopicResponse<'a>>, 0+;
    }

    /// A topic.
    struct ListOffsetsTopicResponse<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, ListOffsetsPartitionResponse>, 0+;
    }

    /// One answer: -1 where nothing was found.
    struct ListOffsetsPartitionResponse {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        timestamp: Timestamp, 1+, default Timestamp(-1);
        offset: Offset, 1+, default Offset(-1);
        leader_epoch: LeaderEpoch, 4+, default LeaderEpoch::NONE;
    }
}
