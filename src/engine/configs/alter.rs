//! Altering configurations: from what somebody asks to what the tree shall say, or the sentence why not.
//!
//! What is written is the whole of what a resource sets. It is written only if nobody else wrote it since it was read,
//! so that of two changes at once none is lost; whoever was second is told `Conflict` and asks again.

use std::collections::BTreeSet;

use super::{TopicKey, broker_keys};
use crate::broker::topic_keys::list;
use crate::config::Config;
use crate::coordinator::cluster::ConfigMap;
use crate::coordinator::{Cluster, Tree, Txn, builders};
use crate::types::NodeId;

/// Whose configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic's.
    Topic(String),
    /// A broker's; `None`: what all brokers do that say nothing of their own.
    Broker(Option<NodeId>),
}

/// What to do with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// This value from now on.
    Set,
    /// Back to what holds without a word.
    Delete,
    /// Add entries to a list.
    Append,
    /// Take entries out of a list.
    Subtract,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// What to do.
    pub operation: ConfigOperation,
    /// With what; `None` only to delete.
    pub value: Option<String>,
}

/// How the changes of one resource belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigScope {
    /// What is not named stays.
    Incremental,
    /// What is not named goes.
    Whole,
}

/// Why a configuration was not altered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Client: there is no such topic.
    UnknownTopic,
    /// Client: a key or value of a topic breaks the rules; the sentence says which.
    Invalid(String),
    /// Client: the request makes no sense, or the key cannot be altered while a broker runs.
    Request(String),
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::UnknownTopic => f.write_str("the topic does not exist"),
            ConfigError::Invalid(sentence) | ConfigError::Request(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for ConfigError {}

/// What an alteration may know.
pub(in crate::engine) struct Known<'a> {
    pub config: &'a Config,
    pub cluster: &'a Cluster,
    pub tree: &'a Tree,
}

/// The transaction that alters a resource's configuration; `None` when it says that already.
pub(in crate::engine) fn alter(
    known: &Known<'_>,
    resource: &ConfigResource,
    scope: ConfigScope,
    changes: &[ConfigChange],
) -> Result<Option<Txn>, ConfigError> {
    check_changes(changes)?;
    let empty = ConfigMap::new();
    let (path, owner, set) = match resource {
        ConfigResource::Topic(name) if name.is_empty() => {
            return Err(ConfigError::Request("Default topic resources are not allowed.".into()));
        }
        ConfigResource::Topic(name) => {
            let topic = known.cluster.topic(name).ok_or(ConfigError::UnknownTopic)?;
            (format!("/config/topics/{name}"), Some(format!("/brokers/topics/{name}")), &topic.config)
        }
        ConfigResource::Broker(node) => {
            if let Some(node) = node.filter(|node| *node != known.config.node_id) {
                let (own, node) = (known.config.node_id.0, node.0);
                let sentence = format!("Unexpected broker id, expected {own} or an empty name, but received {node}");
                return Err(ConfigError::Request(sentence));
            }
            let name = node.map_or("<default>".to_string(), |node| node.0.to_string());
            (format!("/config/brokers/{name}"), None, known.cluster.broker_configs.get(node).unwrap_or(&empty))
        }
    };
    let mut next = if scope == ConfigScope::Whole { ConfigMap::new() } else { set.clone() };
    for change in changes {
        let value = match resource {
            ConfigResource::Topic(_) => topic_value(known, set, change)?,
            ConfigResource::Broker(_) => broker_value(known, set, change)?,
        };
        match value {
            Some(value) => next.insert(change.name.clone(), value),
            None => next.remove(&change.name),
        };
    }
    if matches!(resource, ConfigResource::Topic(_)) {
        check_lags(&next).map_err(ConfigError::Invalid)?;
    }
    Ok((next != *set).then(|| builders::alter_config(known.tree, path, owner, &next)))
}

/// Nobody can mean a key that is named twice, or null.
fn check_changes(changes: &[ConfigChange]) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for ConfigChange { name, operation, value } in changes {
        if !seen.insert(name) {
            return Err(ConfigError::Request(format!("Error due to duplicate config keys: {}", cut(name))));
        }
        if value.is_none() && *operation != ConfigOperation::Delete {
            return Err(ConfigError::Request(format!("Null value not supported for : {}", cut(name))));
        }
    }
    Ok(())
}

/// What a topic shall say under a key; `None`: nothing.
fn topic_value(known: &Known<'_>, set: &ConfigMap, change: &ConfigChange) -> Result<Option<String>, ConfigError> {
    let name = &change.name;
    let unknown = || ConfigError::Invalid(format!("Unknown topic config name: {}", cut(name)));
    if change.operation == ConfigOperation::Delete && set.contains_key(name) {
        return Ok(None); // whatever a tool has written there can be taken away
    }
    let key = TopicKey::find(name).ok_or_else(unknown)?;
    let before = || match set.get(name) {
        Some(value) => value.clone(),
        None => super::inherited(known.config, known.cluster, key),
    };
    let value = combine(key, name, change, before).map_err(ConfigError::Invalid)?;
    if let Some(value) = &value {
        key.check(value).map_err(ConfigError::Invalid)?;
    }
    Ok(value)
}

/// How fast replicas move between directories: a board has one, but who reassigns partitions takes the rate away, set or
/// not.
const RATE_BETWEEN_DIRECTORIES: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// What a broker shall say under a key; `None`: nothing.
fn broker_value(known: &Known<'_>, set: &ConfigMap, change: &ConfigChange) -> Result<Option<String>, ConfigError> {
    let name = &change.name;
    if change.operation == ConfigOperation::Delete && (set.contains_key(name) || name == RATE_BETWEEN_DIRECTORIES) {
        return Ok(None);
    }
    let fixed = || ConfigError::Request(format!("Cannot update these configs dynamically: Set({})", cut(name)));
    let key = broker_keys::find(name).ok_or_else(fixed)?;
    let before = || match set.get(name) {
        Some(value) => value.clone(),
        None => super::inherited(known.config, known.cluster, key),
    };
    let value = combine(key, name, change, before).map_err(ConfigError::Request)?;
    if let Some(value) = &value {
        key.check_as(name, value).map_err(ConfigError::Request)?;
    }
    Ok(value)
}

/// The value after one change of a key that is known.
fn combine(
    key: &TopicKey,
    name: &str,
    change: &ConfigChange,
    before: impl FnOnce() -> String,
) -> Result<Option<String>, String> {
    let value = change.value.as_deref().unwrap_or_default();
    let word = match change.operation {
        ConfigOperation::Set => return Ok(Some(value.to_string())),
        ConfigOperation::Delete => return Ok(None),
        ConfigOperation::Append => "APPEND to",
        ConfigOperation::Subtract => "SUBTRACT from",
    };
    if !key.is_list() {
        return Err(format!("Can't {word} key {name} because its type is not LIST."));
    }
    key.check_length(name, value)?;
    let before = before();
    let mut entries: Vec<&str> = list(&before).collect();
    for entry in list(value) {
        match change.operation {
            ConfigOperation::Append if !entries.contains(&entry) => entries.push(entry),
            ConfigOperation::Append => {}
            _ => entries.retain(|kept| *kept != entry),
        }
    }
    Ok(Some(entries.join(",")))
}

/// What two keys say together, as Kafka checks it.
pub(super) fn check_lags(set: &ConfigMap) -> Result<(), String> {
    let number = |name: &str| set.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    match (number("min.compaction.lag.ms"), number("max.compaction.lag.ms")) {
        (Some(min), Some(max)) if min > max => {
            Err(format!("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"))
        }
        _ => Ok(()),
    }
}

/// As much of a client's word as is worth repeating.
pub(super) fn cut(word: &str) -> &str {
    let end = (0..=word.len().min(128)).rev().find(|&end| word.is_char_boundary(end));
    word.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::cluster::Topic;
    use crate::coordinator::{Coordinator, TreeLimits};
    use crate::types::TopicId;

    struct Fixture {
        config: Config,
        cluster: Cluster,
        coordinator: Coordinator,
    }

    fn fixture(set: &[(&str, &str)]) -> Fixture {
        let set: ConfigMap = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let name: std::sync::Arc<str> = "t".into();
        let topic =
            Topic { name: name.clone(), id: TopicId::ZERO, partitions: Vec::new(), config: set.clone(), version: 0 };
        let mut cluster = Cluster::default();
        cluster.topics.insert(name, topic);
        cluster.broker_configs.insert(Some(NodeId(1)), set);
        let coordinator = Coordinator::new(TreeLimits { bytes: 1 << 20, sessions: 10 }, 1);
        Fixture { config: Config::default(), cluster, coordinator }
    }

    fn change(name: &str, operation: ConfigOperation, value: &str) -> ConfigChange {
        let value = (operation != ConfigOperation::Delete).then(|| value.to_string());
        ConfigChange { name: name.into(), operation, value }
    }

    impl Fixture {
        /// What the tree would say afterwards; `None` when it says that already.
        fn alter(
            &self,
            resource: &ConfigResource,
            scope: ConfigScope,
            changes: &[ConfigChange],
        ) -> Result<Option<String>, ConfigError> {
            let known = Known { config: &self.config, cluster: &self.cluster, tree: self.coordinator.tree() };
            let txn = alter(&known, resource, scope, changes)?;
            Ok(txn.map(|txn| {
                let crate::coordinator::Body::Multi(mut ops) = txn.body else { panic!() };
                let Some(crate::coordinator::Op::Create { data: Some(data), .. }) = ops.pop() else { panic!() };
                String::from_utf8(data).unwrap()
            }))
        }

        fn topic(&self, changes: &[ConfigChange]) -> Result<Option<String>, ConfigError> {
            self.alter(&ConfigResource::Topic("t".into()), ConfigScope::Incremental, changes)
        }

        fn broker(&self, changes: &[ConfigChange]) -> Result<Option<String>, ConfigError> {
            self.alter(&ConfigResource::Broker(Some(NodeId(1))), ConfigScope::Incremental, changes)
        }
    }

    use ConfigOperation::{Append, Delete, Set, Subtract};

    /// Changes leave what they do not name; a whole configuration replaces everything; what changes nothing is nothing.
    #[test]
    fn scopes() {
        let fixture = fixture(&[("retention.ms", "5"), ("segment.bytes", "1000")]);
        let changes = [change("retention.ms", Set, "7"), change("flush.ms", Delete, "")];
        let after = r#"{"version":1,"config":{"retention.ms":"7","segment.bytes":"1000"}}"#;
        assert_eq!(fixture.topic(&changes), Ok(Some(after.into())));
        let whole = fixture.alter(&ConfigResource::Topic("t".into()), ConfigScope::Whole, &changes[..1]);
        assert_eq!(whole, Ok(Some(r#"{"version":1,"config":{"retention.ms":"7"}}"#.into())));
        assert_eq!(fixture.topic(&[change("retention.ms", Set, "5")]), Ok(None));
        assert_eq!(fixture.topic(&[]), Ok(None));
    }

    /// Lists grow and shrink from what is in force, inherited or set; other types do not.
    #[test]
    fn lists() {
        let fixture = fixture(&[]);
        let after = |changes: &[ConfigChange]| fixture.topic(changes).unwrap().unwrap();
        assert!(after(&[change("cleanup.policy", Append, "compact")]).contains(r#""delete,compact""#));
        let throttled = change("leader.replication.throttled.replicas", Append, "0:1, 1:2,0:1");
        assert!(after(&[throttled]).contains(r#""0:1,1:2""#));
        let emptied = fixture.topic(&[change("cleanup.policy", Subtract, "delete")]);
        assert!(matches!(emptied, Err(ConfigError::Invalid(_))), "{emptied:?}");
        let number = fixture.topic(&[change("retention.ms", Append, "7")]);
        let sentence = "Can't APPEND to key retention.ms because its type is not LIST.";
        assert_eq!(number, Err(ConfigError::Invalid(sentence.into())));
    }

    /// Nonsense is refused in Kafka's words, and no word of a client makes a long sentence.
    #[test]
    fn refusals() {
        let fixture = fixture(&[("written.by.a.tool", "x"), ("min.compaction.lag.ms", "100")]);
        let long = "x".repeat(1 << 20);
        for changes in [
            vec![change(&long, Set, "1")],
            vec![change("retention.ms", Set, &long)],
            vec![change("leader.replication.throttled.replicas", Append, &"1:1,".repeat(100_000))],
            vec![change("retention.ms", Set, "1"), change("retention.ms", Set, "1")],
            vec![ConfigChange { name: long.clone(), operation: Set, value: None }],
            vec![change("max.compaction.lag.ms", Set, "99")],
            vec![change("not.there", Delete, "")],
        ] {
            let sentence = fixture.topic(&changes).unwrap_err().to_string();
            assert!(sentence.len() < 500, "{sentence}");
        }
        let after = fixture.topic(&[change("written.by.a.tool", Delete, "")]).unwrap().unwrap();
        assert!(!after.contains("tool"), "what a tool wrote can be taken away");
        let nowhere = ConfigResource::Topic("u".into());
        assert_eq!(fixture.alter(&nowhere, ConfigScope::Incremental, &[]), Err(ConfigError::UnknownTopic));
        for resource in [ConfigResource::Topic(String::new()), ConfigResource::Broker(Some(NodeId(2)))] {
            assert!(matches!(fixture.alter(&resource, ConfigScope::Whole, &[]), Err(ConfigError::Request(_))));
        }
    }

    /// A broker takes the keys behind the topics' while it runs, under their own names, and no others.
    #[test]
    fn brokers() {
        let fixture = fixture(&[]);
        let after = fixture.broker(&[change("log.retention.ms", Set, "1000")]).unwrap().unwrap();
        assert_eq!(after, r#"{"version":1,"config":{"log.retention.ms":"1000"}}"#);
        let refused = |name: &str, value: &str| fixture.broker(&[change(name, Set, value)]).unwrap_err().to_string();
        assert_eq!(refused("broker.id", "7"), "Cannot update these configs dynamically: Set(broker.id)");
        assert_eq!(refused("retention.ms", "7"), "Cannot update these configs dynamically: Set(retention.ms)");
        assert!(refused("log.retention.ms", "soon").contains("for configuration log.retention.ms"));
        for (name, takes) in [(RATE_BETWEEN_DIRECTORIES, false), ("leader.replication.throttled.rate", true)] {
            assert!(fixture.broker(&[change(name, Delete, "")]).is_ok());
            assert_eq!(fixture.broker(&[change(name, Set, "1")]).is_ok(), takes, "{name}");
        }
    }
}
