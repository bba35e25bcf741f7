//! OffsetCommit, OffsetFetch, OffsetDelete: where a group has read to.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, Offset, PartitionIndex};

table! {
    /// Offsets that a group has read up to.
    struct OffsetCommitRequest<'a>: OffsetCommit {
        group_id: &'a str, 0+;
        /// -1 with an empty member id: an administrator, or a consumer without a group.
        generation_id_or_member_epoch: i32, 1+, default -1;
        member_id: &'a str, 1+;
        group_instance_id: Option<&'a str>, 7+;
        /// -1: the broker's retention.
        retention_time_ms: i64, 2-4, default -1;
        topics: Array<'a, OffsetCommitRequestTopic<'a>>, 0+;
    }

    /// A topic.
    struct OffsetCommitRequestTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OffsetCommitRequestPartition<'a>>, 0+;
    }

    /// The next offset to read of one partition.
    struct OffsetCommitRequestPartition<'a> {
        partition_index: PartitionIndex, 0+;
        committed_offset: Offset, 0+;
        committed_leader_epoch: LeaderEpoch, 6+, default LeaderEpoch::NONE;
        committed_metadata: Option<&'a str>, 0+;
    }

    /// What became of each.
    struct OffsetCommitResponse<'a>: OffsetCommit {
        throttle_time_ms: i32, 3+;
        topics: Array<'a, OffsetCommitResponseTopic<'a>>, 0+;
    }

    /// A topic.
    struct OffsetCommitResponseTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OffsetCommitResponsePartition>, 0+;
    }

    /// One partition.
    struct OffsetCommitResponsePartition {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
    }

    /// One group until version 7, several from 8. Null topics mean all that have an offset.
    struct OffsetFetchRequest<'a>: OffsetFetch {
        group_id: &'a str, 0-7;
        topics: Option<Array<'a, OffsetFetchRequestTopic<'a>>>, 0-7, null 2-7;
        groups: Array<'a, OffsetFetchRequestGroup<'a>>, 8+;
        require_stable: bool, 7+;
    }

    /// One group. Null topics mean all that have an offset.
    struct OffsetFetchRequestGroup<'a> {
        group_id: &'a str, 8+;
        member_id: Option<&'a str>, 9+;
        member_epoch: i32, 9+, default -1;
        topics: Option<Array<'a, OffsetFetchRequestTopic<'a>>>, 8+;
    }

    /// A topic.
    struct OffsetFetchRequestTopic<'a> {
        name: &'a str, 0+;
        partition_indexes: Array<'a, PartitionIndex>, 0+;
    }

    /// The answer for one group until version 7, for several from 8.
    struct OffsetFetchResponse<'a>: OffsetFetch {
        throttle_time_ms: i32, 3+;
        topics: Array<'a, OffsetFetchResponseTopic<'a>>, 0-7;
        error_code: ErrorCode, 2-7;
        groups: Array<'a, OffsetFetchResponseGroup<'a>>, 8+;
    }

    /// One group.
    struct OffsetFetchResponseGroup<'a> {
        group_id: &'a str, 8+;
        topics: Array<'a, OffsetFetchResponseTopic<'a>>, 8+;
        error_code: ErrorCode, 8+;
    }

    /// A topic.
    struct OffsetFetchResponseTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OffsetFetchResponsePartition<'a>>, 0+;
    }

    /// One partition; offset -1 when none was committed.
    struct OffsetFetchResponsePartition<'a> {
        partition_index: PartitionIndex, 0+;
        committed_offset: Offset, 0+;
        committed_leader_epoch: LeaderEpoch, 5+, default LeaderEpoch::NONE;
        metadata: Option<&'a str>, 0+;
        error_code: ErrorCode, 0+;
    }

    /// Offsets to forget.
    struct OffsetDeleteRequest<'a>: OffsetDelete {
        group_id: &'a str, 0+;
        topics: Array<'a, OffsetDeleteRequestTopic<'a>>, 0+;
    }

    /// A topic.
    struct OffsetDeleteRequestTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OffsetDeleteRequestPartition>, 0+;
    }

    /// One partition.
    struct OffsetDeleteRequestPartition {
        partition_index: PartitionIndex, 0+;
    }

    /// What became of them.
    struct OffsetDeleteResponse<'a>: OffsetDelete {
        error_code: ErrorCode, 0+;
        throttle_time_ms: i32, 0+;
        topics: Array<'a, OffsetDeleteResponseTopic<'a>>, 0+;
    }

    /// A topic.
    struct OffsetDeleteResponseTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OffsetDeleteResponsePartition>, 0+;
    }

    /// One partition.
    struct OffsetDeleteResponsePartition {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
    }
}
