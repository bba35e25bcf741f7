//! Configuration of topics.

use super::{TopicError, create, set_data};
use crate::coordinator::cluster::{Cluster, ConfigMap, json};
use crate::coordinator::txn::Txn;

/// Replaces what is set for a topic. Keys and values have been checked by whoever knows them.
pub fn alter_topic_config(cluster: &Cluster, topic: &str, config: &ConfigMap) -> Result<Txn, TopicError> {
    if cluster.topic(topic).is_none() {
        return Err(TopicError::UnknownTopic);
    }
    let (path, data) = (format!("/config/topics/{topic}"), json::config(config));
    Ok(Txn::by_node(match cluster.topic_configs.get(topic) {
        Some(_) => set_data(path, data, -1),
        None => create(path, Some(data)),
    }))
}
