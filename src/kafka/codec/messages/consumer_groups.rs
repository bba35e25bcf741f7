//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups whose coordinator assigns (KIP-848).

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{PartitionIndex, TopicId};

table! {
    /// A member joins, tells what has changed since its last heartbeat, or leaves.
    struct ConsumerGroupHeartbeatRequest<'a>: ConsumerGroupHeartbeat {
        group_id: &'a str, 0+;
        /// Made by the client from version 1 on; before, empty at first.
        member_id: &'a str, 0+;
        /// 0 to join, -1 to leave, -2 for a static member that leaves for a while.
        member_epoch: i32, 0+;
        instance_id: Option<&'a str>, 0+;
        rack_id: Option<&'a str>, 0+;
        /// -1: as before.
        rebalance_timeout_ms: i32, 0+, default -1;
        /// Null: as before.
        subscribed_topic_names: Option<Array<'a, &'a str>>, 0+, default None;
        /// Null: as before; empty: none.
        subscribed_topic_regex: Option<&'a str>, 1+;
        /// Null: as before, at first the group's.
        server_assignor: Option<&'a str>, 0+;
        /// Null: as before.
        topic_partitions: Option<Array<'a, ConsumerGroupHeartbeatTopicPartitions<'a>>>, 0+, default None;
    }

    /// Partitions of a topic that a member reads or shall read.
    struct ConsumerGroupHeartbeatTopicPartitions<'a> {
        topic_id: TopicId, 0+;
        partitions: Array<'a, PartitionIndex>, 0+;
    }

    /// Where the member stands now.
    struct ConsumerGroupHeartbeatResponse<'a>: ConsumerGroupHeartbeat {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        member_id: Option<&'a str>, 0+;
        member_epoch: i32, 0+;
        heartbeat_interval_ms: i32, 0+;
        /// Null: as before.
        assignment: Option<ConsumerGroupHeartbeatAssignment<'a>>, 0+, default None;
    }

    /// What the member shall read.
    struct ConsumerGroupHeartbeatAssignment<'a> {
        topic_partitions: Array<'a, ConsumerGroupHeartbeatTopicPartitions<'a>>, 0+;
    }

    /// Groups to describe.
    struct ConsumerGroupDescribeRequest<'a>: ConsumerGroupDescribe {
        group_ids: Array<'a, &'a str>, 0+;
        include_authorized_operations: bool, 0+;
    }

    /// Each group.
    struct ConsumerGroupDescribeResponse<'a>: ConsumerGroupDescribe {
        throttle_time_ms: i32, 0+;
        groups: Array<'a, ConsumerGroupDescribedGroup<'a>>, 0+;
    }

    /// One group.
    struct ConsumerGroupDescribedGroup<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        group_id: &'a str, 0+;
        /// `Empty`, `Assigning`, `Reconciling`, `Stable` or `Dead`.
        group_state: &'a str, 0+;
        group_epoch: i32, 0+;
        assignment_epoch: i32, 0+;
        assignor_name: &'a str, 0+;
        members: Array<'a, ConsumerGroupDescribedMember<'a>>, 0+;
        /// A bit set; `i32::MIN` when not asked for.
        authorized_operations: i32, 0+, default i32::MIN;
    }

    /// One member, what it reads and what it shall read.
    struct ConsumerGroupDescribedMember<'a> {
        member_id: &'a str, 0+;
        instance_id: Option<&'a str>, 0+;
        rack_id: Option<&'a str>, 0+;
        member_epoch: i32, 0+;
        client_id: &'a str, 0+;
        client_host: &'a str, 0+;
        subscribed_topic_names: Array<'a, &'a str>, 0+;
        subscribed_topic_regex: Option<&'a str>, 0+;
        assignment: ConsumerGroupDescribedAssignment<'a>, 0+;
        target_assignment: ConsumerGroupDescribedAssignment<'a>, 0+;
        /// 0 for a member of the classic protocol, 1 for one of the consumer protocol.
        member_type: i8, 1+, default -1;
    }

    /// Partitions by topic.
    struct ConsumerGroupDescribedAssignment<'a> {
        topic_partitions: Array<'a, ConsumerGroupDescribedTopicPartitions<'a>>, 0+;
    }

    /// Partitions of a topic.
    struct ConsumerGroupDescribedTopicPartitions<'a> {
        topic_id: TopicId, 0+;
        topic_name: &'a str, 0+;
        partitions: Array<'a, PartitionIndex>, 0+;
    }
}

optional_struct!(ConsumerGroupHeartbeatAssignment);
