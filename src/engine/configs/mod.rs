//! Configuration as `DescribeConfigs` shows it: value, where it comes from, and what it means.
//!
//! The nearest word wins: the topic's, this broker's in the tree, all brokers' in the tree, the files', the default.

mod alter;
mod broker_keys;
mod quotas;

use crate::broker::topic_keys::{TOPIC_KEYS, TopicKey};
use crate::config::{Config, Kind, LogLevel, Setting, TopicDefaults, Use};
use crate::coordinator::cluster::ConfigMap;
use crate::coordinator::{Cluster, Topic};

pub use crate::broker::topic_keys::ConfigType;
pub use alter::{ConfigChange, ConfigError, ConfigOperation, ConfigResource, ConfigScope};
pub(super) use alter::{Known, alter};
pub(super) use quotas::alter_quota;
pub use quotas::{QuotaChange, QuotaOwner};

/// The version of Kafka whose calls are answered here, for clients that look for it among the settings.
const PROTOCOL_VERSION: (&str, &str) = ("inter.broker.protocol.version", "3.9");

/// Where an effective value comes from; the nearest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// `/config/topics/T` in the tree.
    Topic,
    /// `/config/brokers/N` in the tree.
    Broker,
    /// `/config/brokers/<default>` in the tree.
    AllBrokers,
    /// A file, an environment variable or `--set`.
    StaticBroker,
    /// Nobody said anything.
    Default,
    /// The level of what is logged.
    Logger,
}

/// A place that names a value: key, value, source.
pub type Synonym = (String, Option<String>, ConfigSource);

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key.
    pub name: String,
    /// In force now; `None` is null, never a secret.
    pub value: Option<String>,
    /// Where `value` comes from.
    pub source: ConfigSource,
    /// What kind of value.
    pub config_type: ConfigType,
    /// Cannot be altered while the node runs.
    pub read_only: bool,
    /// Its value is not shown.
    pub sensitive: bool,
    /// All places that name a value, the one in force first.
    pub synonyms: Vec<Synonym>,
    /// What it means, in a sentence.
    pub documentation: &'static str,
}

/// The effective configuration of a topic that sets `set` and has so many copies, in the order of names. `pristine` is
/// what it would inherit from nobody.
pub(super) fn describe_topic(
    config: &Config,
    pristine: &TopicDefaults,
    cluster: &Cluster,
    set: &ConfigMap,
    copies: usize,
) -> Vec<ConfigEntry> {
    TOPIC_KEYS.iter().map(|key| topic_entry(config, pristine, cluster, set, copies, key)).collect()
}

fn topic_entry(
    config: &Config,
    pristine: &TopicDefaults,
    cluster: &Cluster,
    set: &ConfigMap,
    copies: usize,
    key: &'static TopicKey,
) -> ConfigEntry {
    let mut synonyms = Vec::new();
    if let Some(value) = set.get(key.name).filter(|value| key.check(value).is_ok()) {
        synonyms.push((key.name.to_string(), Some(value.clone()), ConfigSource::Topic));
    }
    synonyms.extend(broker_synonyms(config, pristine, cluster, copies, key));
    let (value, source) = match synonyms.first() {
        Some((_, value, source)) => (value.clone(), *source),
        None => (Some(key.default_value(&config.topics)), ConfigSource::Default),
    };
    ConfigEntry {
        name: key.name.into(),
        value,
        source,
        config_type: key.config_type(),
        read_only: false,
        sensitive: false,
        synonyms,
        documentation: key.documentation,
    }
}

/// What a topic inherits that says nothing itself.
fn inherited(config: &Config, cluster: &Cluster, key: &'static TopicKey) -> String {
    let told = tree_synonyms(config, cluster, key).next().and_then(|(_, value, _)| value);
    told.unwrap_or_else(|| key.default_value(&config.topics))
}

/// Whether a replica of the topic that is not in sync may lead when no other is left.
pub(super) fn is_unclean_allowed(config: &Config, cluster: &Cluster, topic: &Topic) -> bool {
    let Some(key) = TopicKey::find("unclean.leader.election.enable") else { return false };
    let set = topic.config.get(key.name).filter(|value| key.check(value).is_ok()).cloned();
    set.unwrap_or_else(|| inherited(config, cluster, key)).trim().eq_ignore_ascii_case("true")
}

/// What the tree says of this broker and of all, under the broker's name of the key.
fn tree_synonyms(config: &Config, cluster: &Cluster, key: &'static TopicKey) -> impl Iterator<Item = Synonym> {
    let levels = [(Some(config.node_id), ConfigSource::Broker), (None, ConfigSource::AllBrokers)];
    levels.into_iter().filter_map(move |(level, source)| {
        let name = key.synonym?;
        let value = cluster.broker_configs.get(&level)?.get(name).filter(|value| key.check(value).is_ok())?;
        Some((name.to_string(), Some(value.clone()), source))
    })
}

/// Every place beyond the topic itself. `copies` is what a default may depend on.
fn broker_synonyms(
    config: &Config,
    pristine: &TopicDefaults,
    cluster: &Cluster,
    copies: usize,
    key: &'static TopicKey,
) -> Vec<Synonym> {
    let Some(name) = key.synonym else { return Vec::new() };
    let mut synonyms: Vec<Synonym> = tree_synonyms(config, cluster, key).collect();
    let told = |defaults: &TopicDefaults| match name {
        "min.insync.replicas" => defaults.min_insync_for(copies).to_string(),
        _ => key.default_value(defaults),
    };
    if is_said(config, name) {
        synonyms.push((name.to_string(), Some(told(&config.topics)), ConfigSource::StaticBroker));
        synonyms.push((name.to_string(), Some(told(pristine)), ConfigSource::Default));
    } else {
        synonyms.push((name.to_string(), Some(told(&config.topics)), ConfigSource::Default));
    }
    synonyms
}

/// True when somebody set the broker's key, or the same in minutes or hours.
fn is_said(config: &Config, name: &str) -> bool {
    let stem = name.strip_suffix(".ms");
    let is_same = |other: &str| {
        other == name || stem.is_some_and(|stem| matches!(other.strip_prefix(stem), Some(".minutes" | ".hours")))
    };
    config.settings.iter().any(|setting| !setting.is_default && is_same(&setting.name))
}

/// The effective configuration of this node, in the order of names.
pub(super) fn describe_broker(config: &Config, pristine: &TopicDefaults, cluster: &Cluster) -> Vec<ConfigEntry> {
    let boards = cluster.boards().len();
    let fixed = config.settings.iter().filter(|setting| broker_keys::find(&setting.name).is_none());
    let mut entries: Vec<ConfigEntry> = fixed.map(|setting| fixed_entry(config, boards, setting)).collect();
    entries.extend(broker_keys::all().map(|(name, key)| {
        let synonyms = broker_synonyms(config, pristine, cluster, boards, key);
        let (value, source) =
            synonyms.first().map_or((None, ConfigSource::Default), |(_, value, source)| (value.clone(), *source));
        ConfigEntry {
            name: name.into(),
            value,
            source,
            config_type: key.config_type(),
            read_only: false,
            sensitive: false,
            synonyms,
            documentation: key.documentation,
        }
    }));
    let (name, version) = PROTOCOL_VERSION;
    let documentation = "The version of Kafka whose administrative calls are answered here.";
    entries.push(read_only(name, version.into(), ConfigSource::Default, ConfigType::String, documentation));
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    entries
}

fn fixed_entry(config: &Config, boards: usize, setting: &Setting) -> ConfigEntry {
    let source = if setting.is_default { ConfigSource::Default } else { ConfigSource::StaticBroker };
    let name = setting.name.clone();
    let value = match name.as_str() {
        // The files may name other boards than there are.
        "default.replication.factor" => Some(config.topics.replication_for(boards).to_string()),
        _ => Some(setting.value.clone()).filter(|value| !value.is_empty()),
    };
    let mut synonyms = vec![(name.clone(), value.clone(), source)];
    if let (false, Use::Default(text)) = (setting.is_default, setting.key.usage)
        && !text.is_empty()
    {
        synonyms.push((name.clone(), Some(text.to_string()), ConfigSource::Default));
    }
    ConfigEntry {
        name,
        value,
        source,
        config_type: match setting.key.kind {
            Kind::Bool => ConfigType::Boolean,
            Kind::Int { max, .. } if max <= i32::MAX as i64 => ConfigType::Int,
            Kind::Int { .. } => ConfigType::Long,
            Kind::Size { .. } | Kind::OneOf(_) | Kind::Text => ConfigType::String,
        },
        read_only: true,
        sensitive: false,
        synonyms,
        documentation: setting.key.meaning,
    }
}

/// What the tree sets for all brokers, in the order of names.
pub(super) fn describe_all_brokers(cluster: &Cluster) -> Vec<ConfigEntry> {
    let set = cluster.broker_configs.get(&None).into_iter().flatten();
    let entry = |(name, value): (&String, &String)| {
        let key = broker_keys::find(name).filter(|key| key.check(value).is_ok())?;
        Some(ConfigEntry {
            name: name.clone(),
            value: Some(value.clone()),
            source: ConfigSource::AllBrokers,
            config_type: key.config_type(),
            read_only: false,
            sensitive: false,
            synonyms: vec![(name.clone(), Some(value.clone()), ConfigSource::AllBrokers)],
            documentation: key.documentation,
        })
    };
    set.filter_map(entry).collect()
}

/// What is told on standard error, under the one name that loggers have here.
pub(super) fn describe_logger(config: &Config) -> Vec<ConfigEntry> {
    let level = match config.log_level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    };
    let documentation = "What is told on standard error; set by log.level when the broker starts.";
    vec![read_only("root", level.into(), ConfigSource::Logger, ConfigType::String, documentation)]
}

/// What a group obeys whose assignments the broker makes (KIP-848): the same for all of them.
pub(super) fn describe_group(config: &Config) -> Vec<ConfigEntry> {
    let groups = &config.groups;
    let entry = |name: &str, value: String, documentation: &'static str| {
        let is_said = is_said(config, &format!("group.{name}"));
        let source = if is_said { ConfigSource::StaticBroker } else { ConfigSource::Default };
        read_only(name, value, source, ConfigType::Int, documentation)
    };
    vec![
        entry(
            "consumer.heartbeat.interval.ms",
            groups.consumer_heartbeat_interval_ms.to_string(),
            "How often a member is asked to report; group.consumer.heartbeat.interval.ms sets it for all groups.",
        ),
        entry(
            "consumer.session.timeout.ms",
            groups.consumer_session_timeout_ms.to_string(),
            "Silence after which a member is gone; group.consumer.session.timeout.ms sets it for all groups.",
        ),
    ]
}

fn read_only(
    name: &str,
    value: String,
    source: ConfigSource,
    config_type: ConfigType,
    documentation: &'static str,
) -> ConfigEntry {
    ConfigEntry {
        name: name.into(),
        value: Some(value.clone()),
        source,
        config_type,
        read_only: true,
        sensitive: false,
        synonyms: vec![(name.into(), Some(value), source)],
        documentation,
    }
}

/// What a topic that is to be created sets, or the sentence that says which entry is wrong.
pub(super) fn check_topic_configs(configs: &[(String, Option<String>)]) -> Result<ConfigMap, String> {
    let mut set = ConfigMap::new();
    for (name, value) in configs {
        let name = alter::cut(name);
        let key = TopicKey::find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        let value = value.as_ref().ok_or_else(|| format!("Null value not supported for topic configs: {name}"))?;
        key.check(value)?;
        if set.insert(name.to_string(), value.clone()).is_some() {
            return Err(format!("Topic config {name} is given twice"));
        }
    }
    alter::check_lags(&set)?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Layers, resolve};

    fn entry(entries: &[ConfigEntry], name: &str) -> ConfigEntry {
        entries.iter().find(|entry| entry.name == name).unwrap().clone()
    }

    /// The topic's word wins over the file's, the file's over the default, and every word is shown.
    #[test]
    fn sources() {
        let mut layers = Layers::default();
        layers.add_file("server.properties", "log.retention.hours=1\nlog.segment.bytes=1048576\n");
        let config = resolve(&layers, &Facts::default()).config.unwrap();
        let set = ConfigMap::from([("retention.ms".to_string(), "7000".to_string())]);
        let pristine = Config::default().topics;
        let mut cluster = Cluster::default();
        let entries = describe_topic(&config, &pristine, &cluster, &set, 1);
        let retention = entry(&entries, "retention.ms");
        assert_eq!((retention.value.as_deref(), retention.source), (Some("7000"), ConfigSource::Topic));
        let sources: Vec<_> = retention.synonyms.iter().map(|(name, _, source)| (&**name, *source)).collect();
        let expected = [
            ("retention.ms", ConfigSource::Topic),
            ("log.retention.ms", ConfigSource::StaticBroker),
            ("log.retention.ms", ConfigSource::Default),
        ];
        assert_eq!(sources, expected);
        let segment = entry(&entries, "segment.bytes");
        assert_eq!((segment.value.as_deref(), segment.source), (Some("1048576"), ConfigSource::StaticBroker));
        let flush = entry(&entries, "flush.messages");
        assert_eq!((flush.value.as_deref(), flush.source), (Some("1"), ConfigSource::Default));
        assert!(entries.iter().all(|entry| !entry.documentation.is_empty() && entry.value.is_some()));
        let told = |value: &str| ConfigMap::from([("log.segment.bytes".to_string(), value.to_string())]);
        cluster.broker_configs.insert(None, told("2000"));
        cluster.broker_configs.insert(Some(config.node_id), told("nonsense"));
        let segment = entry(&describe_topic(&config, &pristine, &cluster, &set, 1), "segment.bytes");
        assert_eq!((segment.value.as_deref(), segment.source), (Some("2000"), ConfigSource::AllBrokers));
        cluster.broker_configs.insert(Some(config.node_id), told("3000"));
        let segment = entry(&describe_topic(&config, &pristine, &cluster, &set, 1), "segment.bytes");
        let sources: Vec<_> = segment.synonyms.iter().map(|(_, _, source)| *source).collect();
        use ConfigSource::{AllBrokers, Broker, Default, StaticBroker};
        assert_eq!(sources, [Broker, AllBrokers, StaticBroker, Default]);
        let broker = entry(&describe_broker(&config, &pristine, &cluster), "log.segment.bytes");
        assert_eq!((broker.value.as_deref(), broker.source, broker.read_only), (Some("3000"), Broker, false));
        let all = describe_all_brokers(&cluster);
        assert_eq!((all.len(), all[0].value.as_deref()), (1, Some("2000")));
    }

    /// Copies follow from the boards and what must be in sync from the copies, unless somebody says more.
    #[test]
    fn copies() {
        let config = Config::default();
        let mut cluster = Cluster { members: [1, 2, 3, 4].map(crate::types::NodeId).into(), ..Cluster::default() };
        let value = |entries: &[ConfigEntry], name: &str| {
            let entry = entry(entries, name);
            (entry.value.unwrap(), entry.source)
        };
        let broker = describe_broker(&config, &config.topics, &cluster);
        assert_eq!(value(&broker, "default.replication.factor"), ("3".into(), ConfigSource::Default));
        assert_eq!(value(&broker, "min.insync.replicas"), ("2".into(), ConfigSource::Default));
        let none = ConfigMap::new();
        for (copies, expected) in [(1, "1"), (2, "1"), (3, "2")] {
            let topic = describe_topic(&config, &config.topics, &cluster, &none, copies);
            assert_eq!(value(&topic, "min.insync.replicas"), (expected.into(), ConfigSource::Default));
        }
        cluster.members.clear();
        let broker = describe_broker(&config, &config.topics, &cluster);
        assert_eq!(value(&broker, "default.replication.factor").0, "1");
        let mut layers = Layers::default();
        layers.add_file("server.properties", "default.replication.factor=2\nmin.insync.replicas=1\n");
        let config = resolve(&layers, &Facts::default()).config.unwrap();
        let broker = describe_broker(&config, &Config::default().topics, &cluster);
        assert_eq!(value(&broker, "default.replication.factor"), ("2".into(), ConfigSource::StaticBroker));
        let topic = describe_topic(&config, &Config::default().topics, &cluster, &none, 3);
        assert_eq!(value(&topic, "min.insync.replicas"), ("1".into(), ConfigSource::StaticBroker));
    }

    /// A broker describes every key in use, by name, with what it means.
    #[test]
    fn broker() {
        let config = Config::default();
        let entries = describe_broker(&config, &config.topics, &Cluster::default());
        assert!(entries.len() > config.settings.len() && entries.is_sorted_by(|a, b| a.name < b.name));
        for setting in &config.settings {
            let shown = entry(&entries, &setting.name);
            assert_eq!(shown.read_only, broker_keys::find(&setting.name).is_none(), "{}", setting.name);
        }
        assert_eq!(entry(&entries, "delete.topic.enable").value.as_deref(), Some("true"));
        assert!(entries.iter().all(|entry| !entry.documentation.is_empty()));
    }

    /// Unknown keys, wrong values, null and repetitions are refused.
    #[test]
    fn checks() {
        let pair = |name: &str, value: Option<&str>| (name.to_string(), value.map(str::to_string));
        assert_eq!(
            check_topic_configs(&[pair("retention", Some("1"))]),
            Err("Unknown topic config name: retention".to_string())
        );
        assert!(check_topic_configs(&[pair("retention.ms", Some("soon"))]).is_err());
        assert!(check_topic_configs(&[pair("retention.ms", Some("1")), pair("retention.ms", Some("2"))]).is_err());
        assert!(check_topic_configs(&[pair("retention.ms", None)]).is_err());
        let set = check_topic_configs(&[pair("flush.ms", Some("1")), pair("segment.bytes", Some("1000"))]).unwrap();
        assert_eq!(set.len(), 2);
    }
}
