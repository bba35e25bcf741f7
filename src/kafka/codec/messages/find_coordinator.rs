//! FindCoordinator: which node to ask about a group or a transactional id.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::NodeId;

table! {
    /// One key until version 3, several from 4.
    struct FindCoordinatorRequest<'a>: FindCoordinator {
        key: &'a str, 0-3;
        /// 0 a group, 1 a transactional id, 2 a share group.
        key_type: i8, 1+;
        coordinator_keys: Array<'a, &'a str>, 4+;
    }

    /// One node until version 3, one a key from 4.
    struct FindCoordinatorResponse<'a>: FindCoordinator {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 0-3;
        error_message: Option<&'a str>, 1-3;
        /// -1 with an error.
        node_id: NodeId, 0-3;
        host: &'a str, 0-3;
        port: i32, 0-3;
        coordinators: Array<'a, Coordinator<'a>>, 4+;
    }

    /// The coordinator of one key.
    struct Coordinator<'a> {
        key: &'a str, 4+;
        node_id: NodeId, 4+;
        host: &'a str, 4+;
        port: i32, 4+;
        error_code: ErrorCode, 4+;
        error_message: Option<&'a str>, 4+;
    }
}
