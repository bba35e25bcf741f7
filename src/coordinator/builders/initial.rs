//! The znodes that a cluster has before its first broker.

use super::create;
use crate::coordinator::cluster::json;
use crate::coordinator::features;
use crate::coordinator::tree::Tree;
use crate::coordinator::txn::{Body, By, Txn};

/// Parents before children. ZooKeeper's own are there from the tree's birth.
const PATHS: [&str; 22] = [
    "/brokers",
    "/brokers/ids",
    "/brokers/directories",
    "/brokers/topics",
    "/brokers/seqid",
    "/config",
    "/config/topics",
    "/config/brokers",
    "/config/clients",
    "/config/users",
    "/config/ips",
    "/config/changes",
    "/admin",
    "/admin/delete_topics",
    "/consumers",
    "/controller_epoch",
    "/isr_change_notification",
    "/log_dir_event_notification",
    "/latest_producer_id_block",
    "/feature",
    "/cluster",
    "/cluster/id",
];

/// The first parts of all paths that brokers keep or act on.
pub const FIRST_NAMES: [&str; 10] = [
    "admin",
    "brokers",
    "cluster",
    "config",
    "consumers",
    "controller",
    "controller_epoch",
    "feature",
    "isr_change_notification",
    "latest_producer_id_block",
];

/// True when nothing of it is missing.
pub fn is_formatted(tree: &Tree) -> bool {
    PATHS.iter().all(|path| tree.get(path).is_some())
}

/// Creates what is missing. `cluster_id` (22 characters of base64) counts only when there is none yet.
pub fn format_cluster(tree: &Tree, cluster_id: &str) -> Txn {
    let missing = PATHS.iter().filter(|path| tree.get(path).is_none());
    let ops = missing.map(|&path| create(path.to_string(), data_of(path, cluster_id))).collect();
    Txn { by: By::NODE, body: Body::Multi(ops) }
}

fn data_of(path: &str, cluster_id: &str) -> Option<Vec<u8>> {
    match path {
        "/cluster/id" => Some(json::cluster_id(cluster_id)),
        "/controller_epoch" => Some(b"0".to_vec()),
        "/feature" => Some(json::features(features::LEVEL)),
        _ => None,
    }
}
