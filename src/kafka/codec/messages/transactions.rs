//! DescribeProducers, DescribeTransactions, ListTransactions (KIP-664): who writes, and under which transaction.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};

table! {
    /// Partitions whose producers to tell.
    struct DescribeProducersRequest<'a>: DescribeProducers {
        topics: Array<'a, DescribeProducersTopic<'a>>, 0+;
    }

    /// A topic.
    struct DescribeProducersTopic<'a> {
        name: &'a str, 0+;
        partition_indexes: Array<'a, PartitionIndex>, 0+;
    }

    /// The producers by partition.
    struct DescribeProducersResponse<'a>: DescribeProducers {
        throttle_time_ms: i32, 0+;
        topics: Array<'a, DescribeProducersTopicResult<'a>>, 0+;
    }

    /// A topic.
    struct DescribeProducersTopicResult<'a> {
        name: &'a str, 0+;
        partitions: Array<'a, DescribeProducersPartition<'a>>, 0+;
    }

    /// A partition.
    struct DescribeProducersPartition<'a> {
        partition_index: PartitionIndex, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        active_producers: Array<'a, ActiveProducer>, 0+;
    }

    /// A producer that the partition remembers.
    struct ActiveProducer {
        producer_id: ProducerId, 0+;
        producer_epoch: i32, 0+;
        last_sequence: i32, 0+, default -1;
        last_timestamp: Timestamp, 0+, default Timestamp(-1);
        coordinator_epoch: i32, 0+;
        current_txn_start_offset: Offset, 0+, default Offset(-1);
    }

    /// Transactional ids to tell of.
    struct DescribeTransactionsRequest<'a>: DescribeTransactions {
        transactional_ids: Array<'a, &'a str>, 0+;
    }

    /// Their states.
    struct DescribeTransactionsResponse<'a>: DescribeTransactions {
        throttle_time_ms: i32, 0+;
        transaction_states: Array<'a, DescribedTransaction<'a>>, 0+;
    }

    /// One of them.
    struct DescribedTransaction<'a> {
        error_code: ErrorCode, 0+;
        transactional_id: &'a str, 0+;
        transaction_state: &'a str, 0+;
        transaction_timeout_ms: i32, 0+;
        transaction_start_time_ms: Timestamp, 0+;
        producer_id: ProducerId, 0+;
        producer_epoch: ProducerEpoch, 0+;
        topics: Array<'a, DescribedTransactionTopic<'a>>, 0+;
    }

    /// A topic that it has written to.
    struct DescribedTransactionTopic<'a> {
        topic: &'a str, 0+;
        partitions: Array<'a, PartitionIndex>, 0+;
    }

    /// Which transactions to list.
    struct ListTransactionsRequest<'a>: ListTransactions {
        state_filters: Array<'a, &'a str>, 0+;
        producer_id_filters: Array<'a, ProducerId>, 0+;
        duration_filter: i64, 1+, default -1;
        transactional_id_pattern: Option<&'a str>, 2+;
    }

    /// The transactions.
    struct ListTransactionsResponse<'a>: ListTransactions {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        unknown_state_filters: Array<'a, &'a str>, 0+;
        transaction_states: Array<'a, ListedTransaction<'a>>, 0+;
    }

    /// One of them.
    struct ListedTransaction<'a> {
        transactional_id: &'a str, 0+;
        producer_id: ProducerId, 0+;
        transaction_state: &'a str, 0+;
    }
}
