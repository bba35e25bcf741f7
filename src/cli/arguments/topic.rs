//! `tern topic`: options and help.

use clap::{Args, Subcommand};

use super::Bootstrap;

/// `tern topic`.
#[derive(Args, Debug)]
pub struct TopicArguments {
    /// What to do
    #[command(subcommand)]
    pub command: TopicCommand,
}

/// What to do with topics.
#[derive(Subcommand, Debug)]
pub enum TopicCommand {
    /// Create a topic
    #[command(after_help = "Examples:
  tern topic create readings --partitions 3
  tern topic create state --config cleanup.policy=compact --if-not-exists")]
    Create(CreateTopic),
    /// Print the names of all topics, or a line on each
    #[command(after_help = "Examples:
  tern topic list
  tern topic list --long")]
    List {
        /// Internal topics as well
        #[arg(long)]
        internal: bool,
        /// Partitions, replicas, records and size of each
        #[arg(short, long)]
        long: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print partitions, leaders, replicas, offsets, sizes and what was configured
    #[command(after_help = "Examples:
  tern topic describe readings
  tern topic describe readings --configs")]
    Describe {
        /// Names
        #[arg(value_name = "TOPIC", required = true)]
        names: Vec<String>,
        /// Every configuration in force and where it comes from, instead of the partitions
        #[arg(long)]
        configs: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Change configurations, or add partitions
    #[command(after_help = "Examples:
  tern topic alter readings --config retention.ms=86400000 --config retention.bytes=100000000
  tern topic alter readings --delete-config retention.ms
  tern topic alter readings --partitions 6")]
    Alter(AlterTopic),
    /// Move copies between boards, or change their number
    #[command(after_help = "Examples:
  tern topic reassign --all --replication 3 --wait
  tern topic reassign readings --to 2,3,4 --throttle 1MiB
  tern topic reassign --without 3 --dry-run
  tern topic reassign --all --cancel
  tern topic reassign --wait      (for what is under way; takes the rates away)")]
    Reassign(ReassignTopics),
    /// Delete topics and their records
    #[command(after_help = "Example:
  tern topic delete readings")]
    Delete {
        /// Names
        #[arg(value_name = "TOPIC", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Delete the oldest records of a topic
    #[command(after_help = "Examples:
  tern topic truncate readings --before @2026-05-01
  tern topic truncate readings --before 1000 --partition 0
  tern topic truncate readings --before end")]
    Truncate {
        /// Name
        #[arg(value_name = "TOPIC")]
        name: String,
        /// The first record to keep: an offset, end, or @TIME (2026-05-01T12:00:00Z, -2h, milliseconds)
        #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
        before: String,
        /// Partition; all when left out
        #[arg(short, long)]
        partition: Option<i32>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// `tern topic create`.
#[derive(Args, Debug)]
pub struct CreateTopic {
    /// Name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Partitions; the broker's num.partitions when left out
    #[arg(long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    pub partitions: i32,
    /// Copies of each partition; the broker's default when left out
    #[arg(long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    pub replication_factor: i16,
    /// A configuration of the topic's own
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Leave a topic of that name as it is
    #[arg(long)]
    pub if_not_exists: bool,
    /// Only say whether it could be created
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// `tern topic reassign`.
#[derive(Args, Debug)]
pub struct ReassignTopics {
    /// Names
    #[arg(value_name = "TOPIC", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All topics, the brokers' own as well
    #[arg(long)]
    pub all: bool,
    /// Copies of each partition; as many as it has when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub replication: Option<u8>,
    /// The boards that may hold copies; all when left out
    #[arg(long, value_name = "ID[,ID...]", value_delimiter = ',')]
    pub to: Vec<i32>,
    /// A board that shall hold none; of all topics when none is named
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub without: Vec<i32>,
    /// Bytes a second at which copies are made on each board; waits, and takes the rate away at the end
    #[arg(long, value_name = "BYTES")]
    pub throttle: Option<String>,
    /// Only show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the copies are made
    #[arg(long)]
    pub wait: bool,
    /// Take back what is under way
    #[arg(long, conflicts_with_all = ["replication", "to", "without", "throttle", "dry_run"])]
    pub cancel: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// `tern topic alter`.
#[derive(Args, Debug)]
pub struct AlterTopic {
    /// Name
    #[arg(value_name = "TOPIC")]
    pub name: String,
    /// A configuration of the topic's own
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// A configuration that goes back to the broker's
    #[arg(long, value_name = "KEY")]
    pub delete_config: Vec<String>,
    /// How many partitions there shall be in all; never fewer than now
    #[arg(long)]
    pub partitions: Option<i32>,
    /// Only say whether it could be done
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}
