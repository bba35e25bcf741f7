//! Fetch: read batches, now or when they arrive.

use super::{LeaderIdAndEpoch, NodeEndpoint};
use crate::kafka::codec::{Array, Records};
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, TopicId};

table! {
    /// Partitions to read and how long to wait for how much. Sessions (KIP-227) from version 7.
    struct FetchRequest<'a>: Fetch {
        cluster_id: Option<&'a str>, 12+, tag 0;
        /// -1 for a consumer.
        replica_id: NodeId, 0-14, default NodeId(-1);
        replica_state: ReplicaState, 15+, tag 1;
        max_wait_ms: i32, 0+;
        min_bytes: i32, 0+;
        max_bytes: i32, 3+, default i32::MAX;
        /// 0 all records, 1 only those of committed transactions.
        isolation_level: i8, 4+;
        session_id: i32, 7+;
        /// -1 for a fetch without a session.
        session_epoch: i32, 7+, default -1;
        topics: Array<'a, FetchTopic<'a>>, 0+;
        forgotten_topics_data: Array<'a, ForgottenTopic<'a>>, 7+;
        rack_id: &'a str, 11+;
    }

    /// Which follower asks, if one does.
    struct ReplicaState {
        replica_id: NodeId, 15+, default NodeId(-1);
        replica_epoch: i64, 15+, default -1;
    }

    /// A topic, by name or by id.
    struct FetchTopic<'a> {
        topic: &'a str, 0-12;
        topic_id: TopicId, 13+;
        partitions: Array<'a, FetchPartition>, 0+;
    }

    /// From where to read one partition.
    struct FetchPartition {
        partition: PartitionIndex, 0+;
        /// What the client believes; -1 switches the check off.
        current_leader_epoch: LeaderEpoch, 9+, default LeaderEpoch::NONE;
        fetch_offset: Offset, 0+;
        last_fetched_epoch: LeaderEpoch, 12+, default LeaderEpoch::NONE;
        /// A follower's own log start; -1 from a consumer.
        log_start_offset: Offset, 5+, default Offset(-1);
        partition_max_bytes: i32, 0+;
        replica_directory_id: TopicId, 17+, tag 0;
        high_watermark: Offset, 18+, tag 1, default Offset(i64::MAX);
    }

    /// Partitions that leave the session.
    struct ForgottenTopic<'a> {
        topic: &'a str, 7-12;
        topic_id: TopicId, 13+;
        partitions: Array<'a, PartitionIndex>, 7+;
    }

    /// What was read.
    struct FetchResponse<'a>: Fetch {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 7+;
        /// 0 when the fetch belongs to no session.
        session_id: i32, 7+;
        responses: Array<'a, FetchableTopicResponse<'a>>, 0+;
        node_endpoints: Array<'a, NodeEndpoint<'a>>, 16+, tag 0;
    }

    /// A topic, named as the request named it.
    struct FetchableTopicResponse<'a> {
        topic: &'a str, 0-12;
        topic_id: TopicId, 13+;
        partitions: Array<'a, PartitionData<'a>>, 0+;
    }

    /// One partition's batches and marks.
    struct PartitionData<'a> {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        /// -1 with an error.
        high_watermark: Offset, 0+;
        last_stable_offset: Offset, 4+, default Offset(-1);
        log_start_offset: Offset, 5+, default Offset(-1);
        aborted_transactions: Option<Array<'a, AbortedTransaction>>, 4+;
        preferred_read_replica: NodeId, 11+, default NodeId(-1);
        records: Records<'a>, 0+;
        diverging_epoch: EpochEndOffset, 12+, tag 0;
        current_leader: LeaderIdAndEpoch, 12+, tag 1;
        snapshot_id: SnapshotId, 12+, tag 2;
    }

    /// A transaction whose records a read-committed consumer skips.
    struct AbortedTransaction {
        producer_id: ProducerId, 4+;
        first_offset: Offset, 4+;
    }

    /// The largest epoch and its end, when a follower's log has diverged.
    struct EpochEndOffset {
        epoch: LeaderEpoch, 12+, default LeaderEpoch::NONE;
        end_offset: Offset, 12+, default Offset(-1);
    }

    /// A snapshot of Kafka's metadata log; nobody has one here.
    struct SnapshotId {
        end_offset: Offset, 0+, default Offset(-1);
        epoch: LeaderEpoch, 0+, default LeaderEpoch::NONE;
    }
}
