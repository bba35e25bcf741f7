//! Metadata: brokers, topics, partitions and who leads them.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, TopicId};

table! {
    /// The topics asked for: null means all; in version 0, which has no null, an empty list does.
    struct MetadataRequest<'a>: Metadata {
        topics: Option<Array<'a, MetadataRequestTopic<'a>>>, 0+, null 1+;
        allow_auto_topic_creation: bool, 4+, default true;
        include_cluster_authorized_operations: bool, 8-10;
        include_topic_authorized_operations: bool, 8+;
    }

    /// A topic by name, or by id with a null name.
    struct MetadataRequestTopic<'a> {
        topic_id: TopicId, 10+;
        name: Option<&'a str>, 0+, null 10+;
    }

    /// The cluster as this node sees it.
    struct MetadataResponse<'a>: Metadata {
        throttle_time_ms: i32, 3+;
        brokers: Array<'a, MetadataResponseBroker<'a>>, 0+;
        cluster_id: Option<&'a str>, 2+;
        /// -1 when there is none.
        controller_id: NodeId, 1+, default NodeId(-1);
        topics: Array<'a, MetadataResponseTopic<'a>>, 0+;
        /// A bit set; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32, 8-10, default i32::MIN;
        error_code: ErrorCode, 13+;
    }

    /// A broker at the address of the listener that was asked.
    struct MetadataResponseBroker<'a> {
        node_id: NodeId, 0+;
        host: &'a str, 0+;
        port: i32, 0+;
        rack: Option<&'a str>, 1+;
    }

    /// A topic, or why there is none of that name or id.
    struct MetadataResponseTopic<'a> {
        error_code: ErrorCode, 0+;
        name: Option<&'a str>, 0+, null 12+;
        topic_id: TopicId, 10+;
        is_internal: bool, 1+;
        partitions: Array<'a, MetadataResponsePartition<'a>>, 0+;
        /// A bit set; `i32::MIN` when not asked for.
        topic_authorized_operations: i32, 8+, default i32::MIN;
    }

    /// One partition's leader and replicas.
    struct MetadataResponsePartition<'a> {
        error_code: ErrorCode, 0+;
        partition_index: PartitionIndex, 0+;
        /// -1 when there is none.
        leader_id: NodeId, 0+;
        leader_epoch: LeaderEpoch, 7+, default LeaderEpoch::NONE;
        replica_nodes: Array<'a, NodeId>, 0+;
        isr_nodes: Array<'a, NodeId>, 0+;
        offline_replicas: Array<'a, NodeId>, 5+;
    }
}
