//! `tern produce` and `tern consume`: options and help.

use clap::{Args, ValueEnum};

use super::Bootstrap;

/// `tern produce`.
#[derive(Args, Debug)]
pub struct ProduceArguments {
    /// Topic; it is created when the broker allows that
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// What a line is
    #[arg(short, long, value_enum, default_value_t = InputFormat::Value)]
    pub format: InputFormat,
    /// A key for every record
    #[arg(short, long, value_name = "TEXT", conflicts_with = "key_separator")]
    pub key: Option<String>,
    /// What separates key and value in a line; \t is a tab
    #[arg(short = 'K', long, value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// A header for every record
    #[arg(short = 'H', long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// Partition; by key, or in turn, when left out
    #[arg(short, long)]
    pub partition: Option<i32>,
    /// An empty value is null: a tombstone in a compacted topic
    #[arg(short = 'Z', long)]
    pub empty_is_null: bool,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value_t = Compression::None)]
    pub compression: Compression,
    /// Say on standard error how many records were acknowledged
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// What a line of `tern produce` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// The value, with the key before it when there is a separator
    Value,
    /// A JSON object as `tern consume -f json` prints it
    Json,
    /// The same as value, each byte in two hexadecimal digits
    Hex,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all
    None,
    /// Gzip
    Gzip,
    /// Snappy
    Snappy,
    /// LZ4
    Lz4,
}

/// `tern consume`.
#[derive(Args, Debug)]
pub struct ConsumeArguments {
    /// Topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Where to begin: beginning, end, an offset, -N for the last N records of each partition, @TIME for the first at or
    /// after a time (2026-05-01T12:00:00Z, -2h for two hours ago, milliseconds since 1970). Without it: beginning, or
    /// where the group has read to
    #[arg(short, long, value_name = "PLACE", allow_hyphen_values = true)]
    pub offset: Option<String>,
    /// Partition; all when left out
    #[arg(short, long, conflicts_with = "group")]
    pub partition: Option<i32>,
    /// How many records to print at most
    #[arg(short, long)]
    pub count: Option<u64>,
    /// End at the end of the topic instead of waiting for more
    #[arg(short, long)]
    pub exit: bool,
    /// How to print a record: value, json, hex, or a text in which %t is the topic, %p the partition, %o the offset, %k
    /// the key, %s the value, %h the headers, %T the time in milliseconds, %D the same as a date, %K and %S the sizes of
    /// key and value, \n and \t what they are everywhere
    #[arg(short, long, default_value = "value")]
    pub format: String,
    /// What to print between key and value
    #[arg(short = 'K', long, value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// Read as a member of this consumer group, and commit what was printed
    #[arg(short, long)]
    pub group: Option<String>,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}
