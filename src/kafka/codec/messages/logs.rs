//! DeleteRecords, OffsetForLeaderEpoch, DescribeLogDirs.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex};

table! {
    /// Partitions to shorten at their front.
    struct DeleteRecordsRequest<'a>: DeleteRecords {
        topics: Array<'a, DeleteRecordsTopic<'a>>, 0+;
        timeout_ms: i32, 0+;
    }

    /// A topic.
    struct DeleteRecordsTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, DeleteRecordsPartition>, 0+;
    }

    /// The first offset to keep; -1 keeps nothing below the high watermark.
    struct DeleteRecordsPartition {
        partition_index: PartitionIndex, 0+;
        offset: Offset, 0+;
    }

    /// What became of each.
    struct DeleteRecordsResponse<'a>: DeleteRecords {
        throttle_time_ms: i32, 0+;
        topics: Array<'a, DeleteRecordsTopicResult<'a>>, 0+;
    }

    /// A topic.
    struct DeleteRecordsTopicResult<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, DeleteRecordsPartitionResult>, 0+;
    }

    /// One partition and its new log start offset, -1 with an error.
    struct DeleteRecordsPartitionResult {
        partition_index: PartitionIndex, 0+;
        low_watermark: Offset, 0+;
        error_code: ErrorCode, 0+;
    }

    /// Leader epochs whose ends are asked for (KIP-320).
    struct OffsetForLeaderEpochRequest<'a>: OffsetForLeaderEpoch {
        /// A consumer writes -1.
        replica_id: NodeId, 3+, default NodeId(-2);
        topics: Array<'a, OffsetForLeaderTopic<'a>>, 0+;
    }

    /// A topic.
    struct OffsetForLeaderTopic<'a> {
        topic: &'a str, 0+;
        partitions: Array<'a, OffsetForLeaderPartition>, 0+;
    }

    /// One question.
    struct OffsetForLeaderPartition {
        partition: PartitionIndex, 0+;
        /// What the client believes; -1 switches the check off.
        current_leader_epoch: LeaderEpoch, 2+, default LeaderEpoch::NONE;
        leader_epoch: LeaderEpoch, 0+;
    }

    /// The answers.
    struct OffsetForLeaderEpochResponse<'a>: OffsetForLeaderEpoch {
        throttle_time_ms: i32, 2+;
        topics: Array<'a, OffsetForLeaderTopicResult<'a>>, 0+;
    }

    /// A topic.
    struct OffsetForLeaderTopicResult<'a> {
        topic: &'a str, 0+;
        partitions: Array<'a, OffsetForLeaderPartitionResult>, 0+;
    }

    /// The largest epoch up to the one asked for, and the offset after its last record.
    struct OffsetForLeaderPartitionResult {
        error_code: ErrorCode, 0+;
        partition: PartitionIndex, 0+;
        leader_epoch: LeaderEpoch, 1+, default LeaderEpoch::NONE;
        end_offset: Offset, 0+, default Offset(-1);
    }

    /// Partitions whose sizes are asked for; null means all.
    struct DescribeLogDirsRequest<'a>: DescribeLogDirs {
        topics: Option<Array<'a, DescribableLogDirTopic<'a>>>, 0+;
    }

    /// A topic.
    struct DescribableLogDirTopic<'a> {
        topic: &'a str, 0+;
        partitions: Array<'a, PartitionIndex>, 0+;
    }

    /// Each directory of logs.
    struct DescribeLogDirsResponse<'a>: DescribeLogDirs {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 3+;
        results: Array<'a, DescribeLogDirsResult<'a>>, 0+;
    }

    /// One directory; -1 bytes when unknown.
    struct DescribeLogDirsResult<'a> {
        error_code: ErrorCode, 0+;
        log_dir: &'a str, 0+;
        topics: Array<'a, DescribeLogDirsTopic<'a>>, 0+;
        total_bytes: i64, 4+, default -1;
        usable_bytes: i64, 4+, default -1;
    }

    /// A topic.
    struct DescribeLogDirsTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, DescribeLogDirsPartition>, 0+;
    }

    /// One partition's replica here.
    struct DescribeLogDirsPartition {
        partition_index: PartitionIndex, 0+;
        /// Bytes of its segments.
        partition_size: i64, 0+;
        /// Records that it lacks of what is acknowledged.
        offset_lag: i64, 0+;
        is_future_key: bool, 0+;
    }
}
