//! DescribeCluster: brokers and controller, without topics.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;
use crate::types::NodeId;

table! {
    /// What to tell beyond the brokers.
    struct DescribeClusterRequest: DescribeCluster {
        include_cluster_authorized_operations: bool, 0+;
        /// 1 brokers, 2 controllers.
        endpoint_type: i8, 1+, default 1;
        include_fenced_brokers: bool, 2+;
    }

    /// The cluster.
    struct DescribeClusterResponse<'a>: DescribeCluster {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        endpoint_type: i8, 1+, default 1;
        cluster_id: &'a str, 0+;
        /// -1 when there is none.
        controller_id: NodeId, 0+, default NodeId(-1);
        brokers: Array<'a, DescribeClusterBroker<'a>>, 0+;
        /// A bit set; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32, 0+, default i32::MIN;
    }

    /// A broker at the address of the listener that was asked.
    struct DescribeClusterBroker<'a> {
        broker_id: NodeId, 0+;
        host: &'a str, 0+;
        port: i32, 0+;
        rack: Option<&'a str>, 0+;
        is_fenced: bool, 2+;
    }
}
