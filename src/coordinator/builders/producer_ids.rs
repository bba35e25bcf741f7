//! Producer ids are given out in blocks, so that most `InitProducerId` need no transaction.

use super::set_data;
use crate::coordinator::cluster::{Cluster, ProducerIdBlock, json};
use crate::coordinator::txn::Txn;
use crate::types::NodeId;

/// Ids in one block, as in Kafka.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// The next block, which is `broker`'s once the transaction has succeeded; `None` after 2^63 ids.
pub fn next_producer_ids(cluster: &Cluster, broker: NodeId) -> Option<(ProducerIdBlock, Txn)> {
    let last = cluster.producer_ids;
    let start = last.map_or(Some(0), |last| last.end.checked_add(1))?;
    let end = start.checked_add(PRODUCER_ID_BLOCK - 1)?;
    let version = last.map_or(0, |last| last.version);
    let block = ProducerIdBlock { broker, start, end, version: version.wrapping_add(1) };
    Some((block, Txn::by_node(set_data("/latest_producer_id_block".to_string(), json::producer_ids(&block), version))))
}
