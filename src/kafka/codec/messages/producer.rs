//! InitProducerId: an identity for an idempotent producer.

use crate::kafka::errors::ErrorCode;
use crate::types::{ProducerEpoch, ProducerId};

table! {
    /// Null transactional id: any node gives a producer id.
    struct InitProducerIdRequest<'a>: InitProducerId {
        transactional_id: Option<&'a str>, 0+;
        transaction_timeout_ms: i32, 0+;
        /// What the producer had, to have its epoch raised; -1 at first.
        producer_id: ProducerId, 3+, default ProducerId::NONE;
        producer_epoch: ProducerEpoch, 3+, default ProducerEpoch(-1);
    }

    /// The identity given.
    struct InitProducerIdResponse: InitProducerId {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        producer_id: ProducerId, 0+, default ProducerId::NONE;
        producer_epoch: ProducerEpoch, 0+;
    }
}
