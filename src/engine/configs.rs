//! Configuration as `DescribeConfigs` shows it: value, where it comes from, and what it means.

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

/// The type of a value, as Kafka's `ConfigDef` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A fraction.
    Double,
    /// Comma-separated texts.
    List,
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
