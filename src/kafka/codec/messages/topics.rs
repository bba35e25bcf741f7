//! CreateTopics, DeleteTopics, CreatePartitions.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex, TopicId};

table! {
    /// Topics to create.
    struct CreateTopicsRequest<'a>: CreateTopics {
        topics: Array<'a, CreatableTopic<'a>>, 0+;
        timeout_ms: i32, 0+, default 60_000;
        validate_only: bool, 1+;
    }

    /// One topic; -1 partitions or replicas mean the broker's default (4+), or that `assignments` tells.
    struct CreatableTopic<'a> {
        name: &'a str, 0+;
        num_partitions: i32, 0+;
        replication_factor: i16, 0+;
        assignments: Array<'a, CreatableReplicaAssignment<'a>>, 0+;
        configs: Array<'a, CreatableTopicConfig<'a>>, 0+;
    }

    /// Where one partition's replicas shall be.
    struct CreatableReplicaAssignment<'a> {
        partition_index: PartitionIndex, 0+;
        broker_ids: Array<'a, NodeId>, 0+;
    }

    /// A configuration of the topic's own.
    struct CreatableTopicConfig<'a> {
        name: &'a str, 0+;
        value: Option<&'a str>, 0+;
    }

    /// What became of each.
    struct CreateTopicsResponse<'a>: CreateTopics {
        throttle_time_ms: i32, 2+;
        topics: Array<'a, CreatableTopicResult<'a>>, 0+;
    }

    /// One topic, as it is now.
    struct CreatableTopicResult<'a> {
        name: &'a str, 0+;
        topic_id: TopicId, 7+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 1+;
        /// Why `configs` is null.
        topic_config_error_code: ErrorCode, 5+, tag 0;
        num_partitions: i32, 5+, default -1;
        replication_factor: i16, 5+, default -1;
        configs: Option<Array<'a, CreatableTopicConfigs<'a>>>, 5+;
    }

    /// An effective configuration of the new topic. For `config_source` see `DescribeConfigsResourceResult`.
    struct CreatableTopicConfigs<'a> {
        name: &'a str, 5+;
        value: Option<&'a str>, 5+;
        read_only: bool, 5+;
        config_source: i8, 5+, default -1;
        is_sensitive: bool, 5+;
    }

    /// Topics to delete: by name until version 5, by name or id from 6.
    struct DeleteTopicsRequest<'a>: DeleteTopics {
        topics: Array<'a, DeleteTopicState<'a>>, 6+;
        topic_names: Array<'a, &'a str>, 0-5;
        timeout_ms: i32, 0+;
    }

    /// A topic by name, or by id with a null name.
    struct DeleteTopicState<'a> {
        name: Option<&'a str>, 6+;
        topic_id: TopicId, 6+;
    }

    /// What became of each.
    struct DeleteTopicsResponse<'a>: DeleteTopics {
        throttle_time_ms: i32, 1+;
        responses: Array<'a, DeletableTopicResult<'a>>, 0+;
    }

    /// One topic.
    struct DeletableTopicResult<'a> {
        name: Option<&'a str>, 0+, null 6+;
        topic_id: TopicId, 6+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 5+;
    }

    /// Topics to give more partitions.
    struct CreatePartitionsRequest<'a>: CreatePartitions {
        topics: Array<'a, CreatePartitionsTopic<'a>>, 0+;
        timeout_ms: i32, 0+;
        validate_only: bool, 0+;
    }

    /// One topic and the number of partitions it shall have in all.
    struct CreatePartitionsTopic<'a> {
        name: &'a str, 0+;
        count: i32, 0+;
        /// Where the new ones shall be; null lets the cluster choose.
        assignments: Option<Array<'a, CreatePartitionsAssignment<'a>>>, 0+;
    }

    /// Where one new partition's replicas shall be.
    struct CreatePartitionsAssignment<'a> {
        broker_ids: Array<'a, NodeId>, 0+;
    }

    /// What became of each.
    struct CreatePartitionsResponse<'a>: CreatePartitions {
        throttle_time_ms: i32, 0+;
        results: Array<'a, CreatePartitionsTopicResult<'a>>, 0+;
    }

    /// One topic.
    struct CreatePartitionsTopicResult<'a> {
        name: &'a str, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
    }
}
