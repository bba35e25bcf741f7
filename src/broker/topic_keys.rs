//! The configuration keys of topics: type, default, what they mean, which broker key stands behind them.
//!
//! Invariant: the table is ascending by name and says of each key whether this broker acts on it. Callers: `settings`,
//! which turns values into what the log and the broker obey, and the engine, which describes and checks them.

use crate::config::{TimestampType, TopicDefaults};
use crate::limits::CONFIG_VALUE_BYTES_MAX;

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

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Allowed {
    Boolean,
    Int(i64, i64),
    Long(i64),
    /// From 0 to 1.
    Fraction,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    /// Broker and partition pairs, or `*`.
    Throttle,
}

/// One key of a topic's configuration.
#[derive(Debug)]
pub struct TopicKey {
    /// Its name.
    pub name: &'static str,
    /// The broker's key whose value is the default, when there is one.
    pub synonym: Option<&'static str>,
    /// What it means.
    pub documentation: &'static str,
    allowed: Allowed,
    default: fn(&TopicDefaults) -> String,
}

impl TopicKey {
    /// The key of that name.
    pub fn find(name: &str) -> Option<&'static TopicKey> {
        TOPIC_KEYS.binary_search_by(|key| key.name.cmp(name)).ok().and_then(|at| TOPIC_KEYS.get(at))
    }

    /// The value where the topic says nothing.
    pub fn default_value(&self, defaults: &TopicDefaults) -> String {
        (self.default)(defaults)
    }

    /// What kind of value.
    pub fn config_type(&self) -> ConfigType {
        match self.allowed {
            Allowed::Boolean => ConfigType::Boolean,
            Allowed::Int(..) => ConfigType::Int,
            Allowed::Long(_) => ConfigType::Long,
            Allowed::Fraction => ConfigType::Double,
            Allowed::OneOf(_) => ConfigType::String,
            Allowed::ListOf(_) | Allowed::Throttle => ConfigType::List,
        }
    }

    /// True when a value is a list, to which entries can be added.
    pub fn is_list(&self) -> bool {
        self.config_type() == ConfigType::List
    }

    /// Says what is wrong with `value`, in the words of Kafka's ConfigException.
    pub fn check(&self, value: &str) -> Result<(), String> {
        self.check_as(self.name, value)
    }

    /// Says whether `value` is longer than any value may be.
    pub fn check_length(&self, name: &str, value: &str) -> Result<(), String> {
        match value.len() > CONFIG_VALUE_BYTES_MAX {
            true => {
                Err(format!("Invalid value for configuration {name}: it has more than {CONFIG_VALUE_BYTES_MAX} bytes"))
            }
            false => Ok(()),
        }
    }

    /// The same for the broker's key behind this one, whose name is `name`.
    pub fn check_as(&self, name: &str, value: &str) -> Result<(), String> {
        self.check_length(name, value)?;
        let wrong = |what: String| {
            let shown: String = value.chars().take(SHOWN_CHARACTERS_MAX).collect();
            Err(format!("Invalid value {shown} for configuration {name}: {what}"))
        };
        let trimmed = value.trim();
        match self.allowed {
            Allowed::Boolean if matches!(trimmed.to_ascii_lowercase().as_str(), "true" | "false") => Ok(()),
            Allowed::Boolean => wrong("Expected value to be either true or false".into()),
            Allowed::Int(least, most) => match trimmed.parse::<i32>() {
                Ok(number) if (number as i64) < least => wrong(format!("Value must be at least {least}")),
                Ok(number) if number as i64 > most => wrong(format!("Value must be no more than {most}")),
                Ok(_) => Ok(()),
                Err(_) => wrong("Not a number of type INT".into()),
            },
            Allowed::Long(least) => match trimmed.parse::<i64>() {
                Ok(number) if number < least => wrong(format!("Value must be at least {least}")),
                Ok(_) => Ok(()),
                Err(_) => wrong("Not a number of type LONG".into()),
            },
            Allowed::Fraction => match trimmed.parse::<f64>() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(()),
                Ok(_) => wrong("Value must be between 0 and 1".into()),
                Err(_) => wrong("Not a number of type DOUBLE".into()),
            },
            Allowed::OneOf(all) if all.contains(&trimmed) => Ok(()),
            Allowed::OneOf(all) => wrong(format!("String must be one of: {}", all.join(", "))),
            Allowed::ListOf(all) => match list(value).find(|entry| !all.contains(entry)) {
                Some(_) => wrong(format!("String must be one of: {}", all.join(", "))),
                None if list(value).next().is_none() => wrong("The list is empty".into()),
                None => Ok(()),
            },
            Allowed::Throttle => match list(value).all(is_throttle) {
                true => Ok(()),
                false => wrong("must be the literal '*' or a list of partition:broker pairs".into()),
            },
        }
    }
}

/// The entries of a comma-separated list, blank ones left out.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn is_throttle(entry: &str) -> bool {
    let number = |text: &str| text.parse::<i32>().is_ok_and(|number| number >= 0);
    entry == "*" || entry.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
}

/// As much of a wrong value as is worth repeating.
const SHOWN_CHARACTERS_MAX: usize = 100;

const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const INT_MAX: i64 = i32::MAX as i64;
const NEVER: &str = "9223372036854775807";

fn or_minus_one(value: Option<u64>) -> String {
    value.map_or("-1".into(), |value| value.to_string())
}

/// Kafka's default of "never" is the largest number.
fn or_never(value: Option<u64>) -> String {
    value.map_or(NEVER.into(), |value| value.min(i64::MAX as u64).to_string())
}

/// Every key, ascending by name.
pub static TOPIC_KEYS: &[TopicKey] = &[
    TopicKey {
        name: "cleanup.policy",
        synonym: Some("log.cleanup.policy"),
        documentation: "What happens to old segments: delete drops them by retention.ms and retention.bytes, compact \
                        keeps the last record of each key.",
        allowed: Allowed::ListOf(&["compact", "delete"]),
        default: |defaults| match (defaults.cleanup.compact, defaults.cleanup.delete) {
            (true, true) => "compact,delete".into(),
            (true, false) => "compact".into(),
            (false, _) => "delete".into(),
        },
    },
    TopicKey {
        name: "compression.type",
        synonym: Some("compression.type"),
        documentation: "Batches stay as their producers compressed them, whatever is said here.",
        allowed: Allowed::OneOf(COMPRESSIONS),
        default: |_| "producer".into(),
    },
    TopicKey {
        name: "delete.retention.ms",
        synonym: Some("log.cleaner.delete.retention.ms"),
        documentation: "How long a compacted topic keeps the tombstones of deleted keys.",
        allowed: Allowed::Long(0),
        default: |defaults| defaults.compaction.tombstones_ms.to_string(),
    },
    TopicKey {
        name: "file.delete.delay.ms",
        synonym: Some("log.segment.delete.delay.ms"),
        documentation: "How long the files of a dropped segment stay. They go at once, whatever is said here.",
        allowed: Allowed::Long(0),
        default: |defaults| defaults.delete_delay_ms.to_string(),
    },
    TopicKey {
        name: "flush.messages",
        synonym: Some("log.flush.interval.messages"),
        documentation: "How many records may be acknowledged before they are synced; 1 syncs every acknowledged write.",
        allowed: Allowed::Long(1),
        default: |defaults| defaults.flush_messages.min(i64::MAX as u64).to_string(),
    },
    TopicKey {
        name: "flush.ms",
        synonym: Some("log.flush.interval.ms"),
        documentation: "How long acknowledged records may stay unsynced, where flush.messages allows it.",
        allowed: Allowed::Long(0),
        default: |defaults| or_never(defaults.flush_ms),
    },
    TopicKey {
        name: "follower.replication.throttled.replicas",
        synonym: None,
        documentation: "Replicas whose fetching is slowed down while they catch up: partition:broker pairs, or *.",
        allowed: Allowed::Throttle,
        default: |_| String::new(),
    },
    TopicKey {
        name: "index.interval.bytes",
        synonym: Some("log.index.interval.bytes"),
        documentation: "How many bytes of records lie between two entries of the offset index.",
        allowed: Allowed::Int(0, INT_MAX),
        default: |defaults| defaults.index_interval_bytes.to_string(),
    },
    TopicKey {
        name: "leader.replication.throttled.replicas",
        synonym: None,
        documentation: "Replicas that are slowed down when others catch up from them: partition:broker pairs, or *.",
        allowed: Allowed::Throttle,
        default: |_| String::new(),
    },
    TopicKey {
        name: "max.compaction.lag.ms",
        synonym: Some("log.cleaner.max.compaction.lag.ms"),
        documentation: "A record of a compacted topic is compacted after so long at the latest.",
        allowed: Allowed::Long(1),
        default: |defaults| or_never(defaults.compaction.max_lag_ms),
    },
    TopicKey {
        name: "max.message.bytes",
        synonym: Some("message.max.bytes"),
        documentation: "The largest record batch that is taken, as it is sent, compressed or not. Lowered to what the \
                        memory budget allows.",
        allowed: Allowed::Int(0, INT_MAX),
        default: |defaults| defaults.message_bytes_max.to_string(),
    },
    TopicKey {
        name: "message.timestamp.after.max.ms",
        synonym: Some("log.message.timestamp.after.max.ms"),
        documentation: "How far a record's timestamp may lie ahead of the broker's clock, with CreateTime.",
        allowed: Allowed::Long(0),
        default: |_| NEVER.into(),
    },
    TopicKey {
        name: "message.timestamp.before.max.ms",
        synonym: Some("log.message.timestamp.before.max.ms"),
        documentation: "How far a record's timestamp may lie behind the broker's clock, with CreateTime.",
        allowed: Allowed::Long(0),
        default: |_| NEVER.into(),
    },
    TopicKey {
        name: "message.timestamp.type",
        synonym: Some("log.message.timestamp.type"),
        documentation: "Whose time a record carries: CreateTime the producer's, LogAppendTime the broker's.",
        allowed: Allowed::OneOf(&["CreateTime", "LogAppendTime"]),
        default: |defaults| match defaults.timestamp_type {
            TimestampType::CreateTime => "CreateTime".into(),
            TimestampType::LogAppendTime => "LogAppendTime".into(),
        },
    },
    TopicKey {
        name: "min.cleanable.dirty.ratio",
        synonym: Some("log.cleaner.min.cleanable.ratio"),
        documentation: "Which share of a compacted log must be uncompacted before it is worth another round.",
        allowed: Allowed::Fraction,
        default: |defaults| (defaults.compaction.dirty_parts_per_million as f64 / 1e6).to_string(),
    },
    TopicKey {
        name: "min.compaction.lag.ms",
        synonym: Some("log.cleaner.min.compaction.lag.ms"),
        documentation: "A record of a compacted topic stays uncompacted for at least so long.",
        allowed: Allowed::Long(0),
        default: |defaults| defaults.compaction.min_lag_ms.to_string(),
    },
    TopicKey {
        name: "min.insync.replicas",
        synonym: Some("min.insync.replicas"),
        documentation: "How many replicas must be in sync before a write with acks=all is taken; at most as many as the \
                        partition has. Unless it is set, 2 of 3 or more replicas, else 1.",
        allowed: Allowed::Int(1, INT_MAX),
        default: |defaults| defaults.min_insync_for(0).to_string(), // of a topic without partitions
    },
    TopicKey {
        name: "preallocate",
        synonym: Some("log.preallocate"),
        documentation: "Whether segments are given their size when they are made. They are not, whatever is said here.",
        allowed: Allowed::Boolean,
        default: |_| "false".into(),
    },
    TopicKey {
        name: "retention.bytes",
        synonym: Some("log.retention.bytes"),
        documentation: "The oldest segments of a partition go while the others hold that much; -1 is no bound.",
        allowed: Allowed::Long(-1),
        default: |defaults| or_minus_one(defaults.retention_bytes),
    },
    TopicKey {
        name: "retention.ms",
        synonym: Some("log.retention.ms"),
        documentation: "A segment goes when nothing was appended to it for so long; -1 is for ever.",
        allowed: Allowed::Long(-1),
        default: |defaults| or_minus_one(defaults.retention_ms),
    },
    TopicKey {
        name: "segment.bytes",
        synonym: Some("log.segment.bytes"),
        documentation: "The size at which a segment is complete and the next begins.",
        allowed: Allowed::Int(14, INT_MAX),
        default: |defaults| defaults.segment_bytes.min(INT_MAX as u64).to_string(),
    },
    TopicKey {
        name: "segment.index.bytes",
        synonym: Some("log.index.size.max.bytes"),
        documentation: "The largest offset index of a segment. Indexes grow as they need, whatever is said here.",
        allowed: Allowed::Int(4, INT_MAX),
        default: |defaults| defaults.index_bytes_max.min(INT_MAX as u64).to_string(),
    },
    TopicKey {
        name: "segment.jitter.ms",
        synonym: Some("log.roll.jitter.ms"),
        documentation: "Spreads segment.ms so that not all segments end at once. Has no effect here.",
        allowed: Allowed::Long(0),
        default: |_| "0".into(),
    },
    TopicKey {
        name: "segment.ms",
        synonym: Some("log.roll.ms"),
        documentation: "The age at which a segment is complete, full or not, so that retention can drop it.",
        allowed: Allowed::Long(1),
        default: |defaults| defaults.segment_ms.min(i64::MAX as u64).to_string(),
    },
    TopicKey {
        name: "unclean.leader.election.enable",
        synonym: Some("unclean.leader.election.enable"),
        documentation: "Whether a replica that is not in sync may lead when no other is left, which loses records.",
        allowed: Allowed::Boolean,
        default: |defaults| defaults.unclean_election.to_string(),
    },
];

/// Keys of brokers that can be altered while they run and that no topic inherits, ascending by name.
pub static BROKER_KEYS: &[TopicKey] = &[
    TopicKey {
        name: "follower.replication.throttled.rate",
        synonym: Some("follower.replication.throttled.rate"),
        documentation: "Bytes a second at which this broker's replicas catch up that \
                        follower.replication.throttled.replicas names.",
        allowed: Allowed::Long(0),
        default: |_| NEVER.into(),
    },
    TopicKey {
        name: "leader.replication.throttled.rate",
        synonym: Some("leader.replication.throttled.rate"),
        documentation: "Bytes a second at which others catch up from this broker's replicas that \
                        leader.replication.throttled.replicas names.",
        allowed: Allowed::Long(0),
        default: |_| NEVER.into(),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key is found by its name, and its default passes its own check.
    #[test]
    fn table() {
        let defaults = crate::config::Config::default().topics;
        assert!(TOPIC_KEYS.is_sorted_by(|a, b| a.name < b.name));
        for key in TOPIC_KEYS {
            assert!(std::ptr::eq(TopicKey::find(key.name).unwrap(), key));
            assert_eq!(key.check(&key.default_value(&defaults)), Ok(()), "{}", key.name);
        }
        assert!(TopicKey::find("retention").is_none());
    }

    /// Nonsense is refused with a sentence that names key and value.
    #[test]
    fn nonsense() {
        for (name, value) in [
            ("cleanup.policy", "shred"),
            ("cleanup.policy", ","),
            ("retention.ms", "-2"),
            ("retention.ms", "a week"),
            ("segment.bytes", "3000000000"),
            ("segment.bytes", "13"),
            ("min.insync.replicas", "0"),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("min.cleanable.dirty.ratio", "NaN"),
            ("preallocate", "yes"),
            ("message.timestamp.type", "createtime"),
            ("leader.replication.throttled.replicas", "0-1"),
        ] {
            let sentence = TopicKey::find(name).unwrap().check(value).unwrap_err();
            assert!(sentence.contains(name) && sentence.contains(value), "{sentence}");
        }
        assert_eq!(TopicKey::find("cleanup.policy").unwrap().check("compact, delete"), Ok(()));
        assert_eq!(TopicKey::find("leader.replication.throttled.replicas").unwrap().check("0:1,1:2"), Ok(()));
    }
}
