//! ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments: who leads and who copies.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex};

table! {
    /// Partitions whose leader is to be elected anew; null means all.
    struct ElectLeadersRequest<'a>: ElectLeaders {
        /// 0 the preferred one, 1 any that is alive.
        election_type: i8, 1+;
        topic_partitions: Option<Array<'a, ElectLeadersTopic<'a>>>, 0+;
        timeout_ms: i32, 0+, default 60000;
    }

    /// A topic.
    struct ElectLeadersTopic<'a> {
        topic: &'a str, 0+;
        partitions: Array<'a, PartitionIndex>, 0+;
    }

    /// What became of each election.
    struct ElectLeadersResponse<'a>: ElectLeaders {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 1+;
        replica_election_results: Array<'a, ReplicaElectionResult<'a>>, 0+;
    }

    /// A topic.
    struct ReplicaElectionResult<'a> {
        topic: &'a str, 0+;
        partition_result: Array<'a, ElectedPartition<'a>>, 0+;
    }

    /// A partition.
    struct ElectedPartition<'a> {
        partition_id: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
    }

    /// Where partitions are to move (KIP-455).
    struct AlterPartitionReassignmentsRequest<'a>: AlterPartitionReassignments {
        timeout_ms: i32, 0+, default 60000;
        allow_replication_factor_change: bool, 1+, default true;
        topics: Array<'a, ReassignableTopic<'a>>, 0+;
    }

    /// A topic.
    struct ReassignableTopic<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, ReassignablePartition<'a>>, 0+;
    }

    /// A partition and its replicas; null ends a reassignment that is under way.
    struct ReassignablePartition<'a> {
        partition_index: PartitionIndex, 0+;
        replicas: Option<Array<'a, NodeId>>, 0+;
    }

    /// What became of each.
    struct AlterPartitionReassignmentsResponse<'a>: AlterPartitionReassignments {
        throttle_time_ms: i32, 0+;
        allow_replication_factor_change: bool, 1+, default true;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        responses: Array<'a, ReassignableTopicResponse<'a>>, 0+;
    }

    /// A topic.
    struct ReassignableTopicResponse<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, ReassignablePartitionResponse<'a>>, 0+;
    }

    /// A partition.
    struct ReassignablePartitionResponse<'a> {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
    }

    /// Which reassignments to tell; null means all.
    struct ListPartitionReassignmentsRequest<'a>: ListPartitionReassignments {
        timeout_ms: i32, 0+, default 60000;
        topics: Option<Array<'a, ListPartitionReassignmentsTopics<'a>>>, 0+;
    }

    /// A topic.
    struct ListPartitionReassignmentsTopics<'a> {
        name: &'a str, 0+;
        partition_indexes: Array<'a, PartitionIndex>, 0+;
    }

    /// Those under way.
    struct ListPartitionReassignmentsResponse<'a>: ListPartitionReassignments {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        topics: Array<'a, OngoingTopicReassignment<'a>>, 0+;
    }

    /// A topic.
    struct OngoingTopicReassignment<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, OngoingPartitionReassignment<'a>>, 0+;
    }

    /// A partition on its way.
    struct OngoingPartitionReassignment<'a> {
        partition_index: PartitionIndex, 0+;
        replicas: Array<'a, NodeId>, 0+;
        adding_replicas: Array<'a, NodeId>, 0+;
        removing_replicas: Array<'a, NodeId>, 0+;
    }
}
