//! Configuration of topics, brokers and clients.

use super::{create, set_data};
use crate::coordinator::cluster::{ConfigMap, json};
use crate::coordinator::tree::Tree;
use crate::coordinator::txn::{Body, By, Op, Txn};

/// Replaces what `path` sets, provided that nobody has changed it since `tree` was looked at, and that `owner`, when
/// there is one, exists. Parents that are missing are created. Keys and values have been checked by whoever knows them.
pub fn alter_config(tree: &Tree, path: String, owner: Option<String>, config: &ConfigMap) -> Txn {
    let mut ops: Vec<Op> = owner.map(|path| Op::Check { path, version: -1 }).into_iter().collect();
    for (end, _) in path.match_indices('/').skip(1) {
        let parent = path.get(..end).unwrap_or_default();
        if tree.get(parent).is_none() {
            ops.push(create(parent.to_string(), None));
        }
    }
    let data = json::config(config);
    ops.push(match tree.get(&path) {
        Some(znode) => {
            let version = znode.stat().version;
            set_data(path, data, version)
        }
        None => create(path, Some(data)),
    });
    Txn { by: By::NODE, body: Body::Multi(ops) }
}
