//! What a topic's configuration comes to: the values that the broker and the log obey.
//!
//! Invariant: every value is within its key's bounds and within what the node's memory allows; a value in the tree that
//! is not (a ZooKeeper client can write anything) counts as absent.

use std::collections::BTreeSet;

use super::topic_keys::{self, TOPIC_KEYS, TopicKey};
use crate::config::{TimestampType, TopicDefaults};
use crate::coordinator::cluster::{Cluster, ConfigMap};
use crate::log::{CompactionConfig, LogConfig, SEGMENT_BYTES_MAX};
use crate::types::{NodeId, PartitionIndex};

/// The effective configuration of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// The largest batch, in bytes.
    pub message_bytes_max: usize,
    /// Whose time records carry.
    pub timestamp_type: TimestampType,
    /// How far behind the clock a timestamp may lie; none: any.
    pub timestamp_before_ms_max: Option<i64>,
    /// How far ahead of it; none: any.
    pub timestamp_after_ms_max: Option<i64>,
    /// For acks=all; none: nobody says so, and it follows from the number of replicas.
    pub min_insync_replicas: Option<usize>,
    /// Replicas from which others catch up no faster than the board's rate.
    pub leaders_throttled: Throttled,
    /// Replicas that catch up no faster than the board's rate.
    pub followers_throttled: Throttled,
    /// Records need keys.
    pub is_compacted: bool,
    /// Old records may go.
    pub is_deleted: bool,
    /// What the log obeys.
    pub log: LogConfig,
}

/// Which replicas of a topic a rate holds for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    is_all: bool,
    pairs: BTreeSet<(PartitionIndex, NodeId)>,
}

impl Throttled {
    /// Reads a list of partition:broker pairs, or `*`, that was checked.
    fn parse(value: Option<&str>) -> Throttled {
        let entries = || topic_keys::list(value.unwrap_or_default());
        let pair = |entry: &str| {
            let (partition, broker) = entry.split_once(':')?;
            Some((PartitionIndex(partition.parse().ok()?), NodeId(broker.parse().ok()?)))
        };
        Throttled { is_all: entries().any(|entry| entry == "*"), pairs: entries().filter_map(pair).collect() }
    }

    /// True when it holds for that replica.
    pub fn has(&self, index: PartitionIndex, node: NodeId) -> bool {
        self.is_all || self.pairs.contains(&(index, node))
    }
}

impl TopicSettings {
    /// What `set`, where it says nothing `overrides`, and where they say nothing `defaults` come to. No batch is larger
    /// than `message_bytes_limit`.
    pub fn new(
        set: &ConfigMap,
        overrides: &ConfigMap,
        defaults: &TopicDefaults,
        message_bytes_limit: usize,
    ) -> TopicSettings {
        let values = Values { set, overrides, defaults };
        let policies = values.text("cleanup.policy");
        let is_deleted = topic_keys::list(&policies).any(|policy| policy == "delete");
        let is_compacted = topic_keys::list(&policies).any(|policy| policy == "compact");
        let bound = |name: &str| Some(values.number(name)).filter(|&value| value < i64::MAX);
        let retention = |name: &str| u64::try_from(values.number(name)).ok().filter(|_| is_deleted);
        TopicSettings {
            message_bytes_max: (values.number("max.message.bytes").max(0) as usize).min(message_bytes_limit),
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_ms_max: bound("message.timestamp.before.max.ms"),
            timestamp_after_ms_max: bound("message.timestamp.after.max.ms"),
            min_insync_replicas: match values.said("min.insync.replicas") {
                Some(said) => said.parse().ok(),
                None => defaults.min_insync_replicas.map(usize::from),
            },
            leaders_throttled: Throttled::parse(values.said("leader.replication.throttled.replicas")),
            followers_throttled: Throttled::parse(values.said("follower.replication.throttled.replicas")),
            is_deleted,
            is_compacted,
            log: LogConfig {
                segment_bytes: values.number("segment.bytes").clamp(14, SEGMENT_BYTES_MAX as i64) as u32,
                segment_ms: values.number("segment.ms").max(1) as u64,
                index_interval_bytes: values.number("index.interval.bytes").clamp(0, i32::MAX as i64) as u32,
                retention_bytes: retention("retention.bytes"),
                retention_ms: retention("retention.ms"),
                flush_messages: values.number("flush.messages").max(1) as u64,
                flush_ms: bound("flush.ms").map(|ms| ms as u64),
                producers: true,
                compaction: is_compacted.then(|| CompactionConfig {
                    min_lag_ms: values.number("min.compaction.lag.ms").max(0) as u64,
                    max_lag_ms: bound("max.compaction.lag.ms").map(|ms| ms as u64),
                    dirty_parts_per_million: values.millionths("min.cleanable.dirty.ratio"),
                    tombstones_ms: values.number("delete.retention.ms").max(0) as u64,
                    producers_ms: defaults.producer_expiration_ms,
                }),
                ..LogConfig::default()
            },
        }
    }
}

/// What was said about this broker in the tree, or else about all brokers, by the keys of the topics that inherit it.
pub fn overrides(cluster: &Cluster, node: NodeId) -> ConfigMap {
    let said = |key: &TopicKey| {
        let name = key.synonym?;
        let levels = [Some(node), None].into_iter().filter_map(|level| cluster.broker_configs.get(&level)?.get(name));
        let value = levels.into_iter().find(|value| key.check(value).is_ok())?;
        Some((key.name.to_string(), value.clone()))
    };
    TOPIC_KEYS.iter().filter_map(said).collect()
}

/// Values by key: what was set when it is sound, else the default.
struct Values<'a> {
    set: &'a ConfigMap,
    overrides: &'a ConfigMap,
    defaults: &'a TopicDefaults,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let default = || TopicKey::find(name).map(|key| key.default_value(self.defaults)).unwrap_or_default();
        self.said(name).map_or_else(default, str::to_string)
    }

    /// What the tree says.
    fn said(&self, name: &str) -> Option<&str> {
        let key = TopicKey::find(name)?;
        let mut said = [self.set, self.overrides].into_iter().filter_map(|map| map.get(name));
        said.find(|value| key.check(value).is_ok()).map(|value| value.trim())
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// A fraction from 0 to 1.
    fn millionths(&self, name: &str) -> u32 {
        (self.text(name).parse::<f64>().unwrap_or_default().clamp(0.0, 1.0) * 1e6) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[(&str, &str)]) -> TopicSettings {
        let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        TopicSettings::new(&set, &ConfigMap::new(), &crate::config::Config::default().topics, 2 << 20)
    }

    /// What the tree says of this broker comes before what it says of all, and nonsense counts as not said.
    #[test]
    fn levels() {
        let map = |pairs: &[(&str, &str)]| -> ConfigMap {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let mut cluster = Cluster::default();
        let own = map(&[("log.retention.ms", "5"), ("message.max.bytes", "much"), ("broker.id", "9")]);
        cluster.broker_configs.insert(Some(NodeId(1)), own);
        let all = map(&[("log.retention.ms", "6"), ("message.max.bytes", "7000"), ("retention.bytes", "1")]);
        cluster.broker_configs.insert(None, all);
        let expected = map(&[("retention.ms", "5"), ("max.message.bytes", "7000")]);
        assert_eq!(overrides(&cluster, NodeId(1)), expected);
        assert_eq!(overrides(&cluster, NodeId(2)).get("retention.ms").map(String::as_str), Some("6"));
        let set = map(&[("retention.ms", "4")]);
        let settings = TopicSettings::new(&set, &expected, &crate::config::Config::default().topics, 2 << 20);
        assert_eq!((settings.log.retention_ms, settings.message_bytes_max), (Some(4), 7000));
    }

    /// Without a word the broker's defaults hold, and they are Kafka's except that every write is synced.
    #[test]
    fn defaults() {
        let expected = TopicSettings {
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: None,
            timestamp_after_ms_max: None,
            min_insync_replicas: None,
            leaders_throttled: Throttled::default(),
            followers_throttled: Throttled::default(),
            is_compacted: false,
            is_deleted: true,
            log: LogConfig { retention_ms: Some(604_800_000), producers: true, ..LogConfig::default() },
        };
        assert_eq!(settings(&[]), expected);
    }

    /// What the topic says wins, within the memory's bound; nonsense counts as not said.
    #[test]
    fn set() {
        let set = settings(&[
            ("max.message.bytes", "10000000"),
            ("retention.ms", "-1"),
            ("retention.bytes", " 5000 "),
            ("segment.bytes", "many"),
            ("message.timestamp.type", "LogAppendTime"),
            ("message.timestamp.after.max.ms", "3600000"),
        ]);
        assert_eq!((set.message_bytes_max, set.log.segment_bytes), (2 << 20, 1 << 30));
        assert_eq!((set.log.retention_ms, set.log.retention_bytes), (None, Some(5000)));
        assert_eq!((set.timestamp_type, set.timestamp_after_ms_max), (TimestampType::LogAppendTime, Some(3_600_000)));
    }

    /// Throttled replicas are pairs, or all.
    #[test]
    fn throttled() {
        let key = "leader.replication.throttled.replicas";
        let has = |value: &str, partition, broker| {
            settings(&[(key, value)]).leaders_throttled.has(PartitionIndex(partition), NodeId(broker))
        };
        assert!(has("0:1, 3:2", 3, 2) && !has("0:1,3:2", 3, 1) && has("*", 9, 9) && !has("nonsense", 0, 0));
        assert!(!settings(&[(key, "*")]).followers_throttled.has(PartitionIndex(0), NodeId(1)));
    }

    /// A topic that is only compacted loses nothing to age or size.
    #[test]
    fn compact() {
        let compacted = settings(&[("cleanup.policy", "compact"), ("retention.bytes", "1")]);
        assert_eq!((compacted.log.retention_ms, compacted.log.retention_bytes), (None, None));
        let expected = CompactionConfig {
            min_lag_ms: 0,
            max_lag_ms: None,
            dirty_parts_per_million: 500_000,
            tombstones_ms: 86_400_000,
            producers_ms: 86_400_000,
        };
        assert_eq!(compacted.log.compaction, Some(expected));
        let eager = settings(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]).log.compaction;
        assert_eq!(eager.map(|eager| eager.dirty_parts_per_million), Some(10_000));
        assert!(compacted.is_compacted && settings(&[("cleanup.policy", "delete,compact")]).is_compacted);
    }
}
