//! Produce: append batches.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicId};

table! {
    /// Batches to append, grouped by topic.
    struct ProduceRequest<'a>: Produce {
        transactional_id: Option<&'a str>, 3+;
        /// 0 none (no response either), 1 or -1 when durable.
        acks: i16, 0+;
        timeout_ms: i32, 0+;
        topic_data: Array<'a, TopicProduceData<'a>>, 0+;
    }

    /// A topic, by name or by id.
    struct TopicProduceData<'a> {
        name: &'a str, 0-12;
        topic_id: TopicId, 13+;
        partition_data: Array<'a, PartitionProduceData<'a>>, 0+;
    }

    /// Exactly one batch for one partition.
    struct PartitionProduceData<'a> {
        index: PartitionIndex, 0+;
        records: Option<&'a [u8]>, 0+;
    }

    /// Where the batches went.
    struct ProduceResponse<'a>: Produce {
        responses: Array<'a, TopicProduceResponse<'a>>, 0+;
        throttle_time_ms: i32, 1+;
        node_endpoints: Array<'a, NodeEndpoint<'a>>, 10+, tag 0;
    }

    /// A topic, named as the request named it.
    struct TopicProduceResponse<'a> {
        name: &'a str, 0-12;
        topic_id: TopicId, 13+;
        partition_responses: Array<'a, PartitionProduceResponse<'a>>, 0+;
    }

    /// What became of one partition's batch.
    struct PartitionProduceResponse<'a> {
        index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        /// Of the batch's first record; -1 with an error.
        base_offset: Offset, 0+;
        /// -1 unless the topic stamps its records itself.
        log_append_time_ms: Timestamp, 2+, default Timestamp(-1);
        log_start_offset: Offset, 5+, default Offset(-1);
        record_errors: Array<'a, BatchIndexAndErrorMessage<'a>>, 8+;
        error_message: Option<&'a str>, 8+;
        current_leader: LeaderIdAndEpoch, 10+, tag 0;
    }

    /// A record that made its batch fail.
    struct BatchIndexAndErrorMessage<'a> {
        batch_index: i32, 8+;
        batch_index_error_message: Option<&'a str>, 8+;
    }

    /// Who leads a partition now, for a client that asked the wrong node. Also in fetch responses.
    struct LeaderIdAndEpoch {
        leader_id: NodeId, 0+, default NodeId(-1);
        leader_epoch: LeaderEpoch, 0+, default LeaderEpoch::NONE;
    }

    /// The address of a node that a `LeaderIdAndEpoch` named. Also in fetch responses.
    struct NodeEndpoint<'a> {
        node_id: NodeId, 0+;
        host: &'a str, 0+;
        port: i32, 0+;
        rack: Option<&'a str>, 0+;
    }
}
