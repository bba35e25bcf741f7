//! Configuration as `DescribeConfigs` shows it: value, where it comes from, and what it means.

use crate::broker::topic_keys::{TOPIC_KEYS, TopicKey};
use crate::config::{Config, Kind, Setting};
use crate::coordinator::cluster::ConfigMap;

pub use crate::broker::topic_keys::ConfigType;

/// Where an effective value comes from; the nearest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// `/config/topics/T` in the tree.
    Topic,
    /// A file, an environment variable or `--set`.
    StaticBroker,
    /// Nobody said anything.
    Default,
}

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
    /// All places that name a value, the one in force first: key, value, source.
    pub synonyms: Vec<(String, Option<String>, ConfigSource)>,
    /// What it means, in a sentence.
    pub documentation: &'static str,
}

/// The effective configuration of a topic that sets `set`, in the order of names.
pub(super) fn describe_topic(config: &Config, set: &ConfigMap) -> Vec<ConfigEntry> {
    TOPIC_KEYS.iter().map(|key| topic_entry(config, set, key)).collect()
}

fn topic_entry(config: &Config, set: &ConfigMap, key: &'static TopicKey) -> ConfigEntry {
    let mut synonyms = Vec::new();
    if let Some(value) = set.get(key.name).filter(|value| key.check(value).is_ok()) {
        synonyms.push(synonym(key.name, value.clone(), ConfigSource::Topic));
    }
    let inherited = key.default_value(&config.topics);
    if let Some(name) = key.synonym {
        let source = if is_said(config, name) { ConfigSource::StaticBroker } else { ConfigSource::Default };
        synonyms.push(synonym(name, inherited.clone(), source));
    }
    let (value, source) = match synonyms.first() {
        Some((_, value, source)) => (value.clone(), *source),
        None => (Some(inherited), ConfigSource::Default),
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

/// True when somebody set the broker's key, or the same in minutes or hours.
fn is_said(config: &Config, name: &str) -> bool {
    let stem = name.strip_suffix(".ms");
    let is_same = |other: &str| {
        other == name || stem.is_some_and(|stem| matches!(other.strip_prefix(stem), Some(".minutes" | ".hours")))
    };
    config.settings.iter().any(|setting| !setting.is_default && is_same(&setting.name))
}

fn synonym(name: &str, value: String, source: ConfigSource) -> (String, Option<String>, ConfigSource) {
    (name.to_string(), Some(value), source)
}

/// The effective configuration of this node, in the order of names.
pub(super) fn describe_broker(config: &Config) -> Vec<ConfigEntry> {
    let mut entries: Vec<ConfigEntry> = config.settings.iter().map(broker_entry).collect();
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    entries
}

fn broker_entry(setting: &Setting) -> ConfigEntry {
    let source = if setting.is_default { ConfigSource::Default } else { ConfigSource::StaticBroker };
    let name = setting.name.clone();
    let value = Some(setting.value.clone()).filter(|value| !value.is_empty());
    ConfigEntry {
        name: name.clone(),
        value: value.clone(),
        source,
        config_type: match setting.key.kind {
            Kind::Bool => ConfigType::Boolean,
            Kind::Int { max, .. } if max <= i32::MAX as i64 => ConfigType::Int,
            Kind::Int { .. } => ConfigType::Long,
            Kind::Size { .. } | Kind::OneOf(_) | Kind::Text => ConfigType::String,
        },
        read_only: true,
        sensitive: false,
        synonyms: vec![(name, value, source)],
        documentation: setting.key.meaning,
    }
}

/// What a topic that is to be created sets, or the sentence that says which entry is wrong. `None` values are left to
/// the default.
pub(super) fn check_topic_configs(configs: &[(String, Option<String>)]) -> Result<ConfigMap, String> {
    let mut set = ConfigMap::new();
    for (name, value) in configs {
        let key = TopicKey::find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        let Some(value) = value else { continue };
        key.check(value)?;
        if set.insert(name.clone(), value.clone()).is_some() {
            return Err(format!("Topic config {name} is given twice"));
        }
    }
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
        let entries = describe_topic(&config, &set);
        let retention = entry(&entries, "retention.ms");
        assert_eq!((retention.value.as_deref(), retention.source), (Some("7000"), ConfigSource::Topic));
        let sources: Vec<_> = retention.synonyms.iter().map(|(name, _, source)| (&**name, *source)).collect();
        assert_eq!(sources, [("retention.ms", ConfigSource::Topic), ("log.retention.ms", ConfigSource::StaticBroker)]);
        let segment = entry(&entries, "segment.bytes");
        assert_eq!((segment.value.as_deref(), segment.source), (Some("1048576"), ConfigSource::StaticBroker));
        let flush = entry(&entries, "flush.messages");
        assert_eq!((flush.value.as_deref(), flush.source), (Some("1"), ConfigSource::Default));
        assert!(entries.iter().all(|entry| !entry.documentation.is_empty() && entry.value.is_some()));
    }

    /// A broker describes every key in use, by name, with what it means.
    #[test]
    fn broker() {
        let config = Config::default();
        let entries = describe_broker(&config);
        assert!(entries.len() == config.settings.len() && entries.is_sorted_by(|a, b| a.name <= b.name));
        assert_eq!(entry(&entries, "delete.topic.enable").value.as_deref(), Some("true"));
        assert!(entries.iter().all(|entry| !entry.documentation.is_empty()));
    }

    /// Unknown keys, wrong values and repetitions are refused; null means the default.
    #[test]
    fn checks() {
        let pair = |name: &str, value: Option<&str>| (name.to_string(), value.map(str::to_string));
        assert_eq!(
            check_topic_configs(&[pair("retention", Some("1"))]),
            Err("Unknown topic config name: retention".to_string())
        );
        assert!(check_topic_configs(&[pair("retention.ms", Some("soon"))]).is_err());
        assert!(check_topic_configs(&[pair("retention.ms", Some("1")), pair("retention.ms", Some("2"))]).is_err());
        let set = check_topic_configs(&[pair("retention.ms", None), pair("segment.bytes", Some("1000"))]).unwrap();
        assert_eq!(set.len(), 1);
    }
}
