//! The tree of commands: names, options, help and examples. What they do lies in one file each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{bench, demo};

/// Kafka, ZooKeeper and MQTT for boards of 512 MB, in one small binary
#[derive(Parser, Debug)]
#[command(name = "tern", version, disable_help_subcommand = true)]
#[command(after_help = "Examples:
  tern demo                                     see it work, nothing else installed
  tern serve                                    a node on this machine's loopback
  tern serve zoo.cfg server.properties          the same from files")]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a node
    #[command(after_help = "Examples:
  tern serve
  tern serve zoo.cfg server.properties
  tern serve boards/pi-4.properties my.properties --set memory.budget=96MiB
  TERN_MQTT_LISTENERS=tcp://:1883 tern serve")]
    Serve(ConfigArguments),
    /// Show what serve would use: every effective key, its source, the memory table
    #[command(after_help = "Examples:
  tern check-config
  tern check-config zoo.cfg server.properties --set memory.budget=32MiB")]
    CheckConfig(ConfigArguments),
    /// See a node, simulated sensors and a power cut; exits 0 only if nothing was lost
    #[command(after_help = "Examples:
  tern demo
  tern demo --seconds 60 --keep ./demo-data")]
    Demo(demo::Options),
    /// Show every node: role, partitions, memory, disk, clock
    #[command(after_help = "Examples:
  tern status
  tern status --http 192.168.1.20:8080
  tern status --bootstrap 192.168.1.20:9092")]
    Status(StatusArguments),
    /// Create, list, describe and delete topics
    #[command(after_help = "Examples:
  tern topic create readings --partitions 3
  tern topic list
  tern topic describe readings
  tern topic delete readings")]
    Topic(TopicArguments),
    /// Append lines of standard input to a topic; each is on disk when the command ends
    #[command(after_help = "Examples:
  echo hello | tern produce notes
  tern produce notes --key-separator : < pairs.txt
  tern produce notes --header source=shell --partition 0")]
    Produce(ProduceArguments),
    /// Print the records of a topic and follow it
    #[command(after_help = "Examples:
  tern consume notes
  tern consume notes -o end
  tern consume notes -o beginning -c 10 --format json
  tern consume notes -p 0 -o 1000 --exit")]
    Consume(ConsumeArguments),
    /// Read a file of a node: segment, index, checkpoint, quorum; says what is broken and where
    #[command(after_help = "Examples:
  tern inspect tern-data/topics/notes-0
  tern inspect tern-data/topics/notes-0/00000000000000000000.log --records")]
    Inspect(InspectArguments),
    /// Put a load on a node's doors and show latencies
    #[command(after_help = "Examples:
  tern bench mqtt --publishers 50
  tern bench produce --topic bench --connections 4
  tern bench consume --topic bench")]
    Bench {
        /// Which load
        #[command(subcommand)]
        load: bench::Load,
    },
}

/// Where the configuration comes from.
#[derive(Args, Debug, Default)]
pub struct ConfigArguments {
    /// Properties files, read in order, later keys win; a file that ends in .env holds variables of containers
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A key and its value, above files and environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What is told on standard error: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The broker that a command asks first.
#[derive(Args, Debug)]
pub struct Bootstrap {
    /// Kafka listener of any node
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub bootstrap: String,
}

/// `tern status`.
#[derive(Args, Debug)]
pub struct StatusArguments {
    /// HTTP listener of a node
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub http: String,
    /// Kafka listener of any node; asks every node it knows, at the port of --http
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// Print what the nodes answered, as JSON
    #[arg(long)]
    pub json: bool,
}

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
    #[command(after_help = "Example:
  tern topic create readings --partitions 3 --config retention.ms=86400000")]
    Create {
        /// Name
        name: String,
        /// Partitions; the broker's num.partitions when left out
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        partitions: i32,
        /// Copies of each partition; the broker's default when left out
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        replication_factor: i16,
        /// A configuration of the topic's own
        #[arg(long, value_name = "KEY=VALUE")]
        config: Vec<String>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print the names of all topics
    #[command(after_help = "Example:
  tern topic list")]
    List {
        /// Internal topics as well
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print partitions, leaders, replicas, offsets and what was configured
    #[command(after_help = "Example:
  tern topic describe readings")]
    Describe {
        /// Name
        name: String,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Delete a topic and its records
    #[command(after_help = "Example:
  tern topic delete readings")]
    Delete {
        /// Name
        name: String,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// `tern produce`.
#[derive(Args, Debug)]
pub struct ProduceArguments {
    /// Topic; it is created when the broker allows that
    pub topic: String,
    /// What separates key and value in a line; without it, keys are null
    #[arg(short = 'K', long, alias = "key", value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// A header for every record
    #[arg(short = 'H', long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// Partition; by key, or in turn, when left out
    #[arg(short, long)]
    pub partition: Option<i32>,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// `tern consume`.
#[derive(Args, Debug)]
pub struct ConsumeArguments {
    /// Topic
    pub topic: String,
    /// Where to begin: beginning, end, an offset, or -N for the last N records of each partition
    #[arg(short, long, default_value = "beginning", allow_hyphen_values = true)]
    pub offset: String,
    /// Partition; all when left out
    #[arg(short, long)]
    pub partition: Option<i32>,
    /// How many records to print at most
    #[arg(short, long)]
    pub count: Option<u64>,
    /// End at the end of the topic instead of waiting for more
    #[arg(short, long)]
    pub exit: bool,
    /// How to print a record
    #[arg(short, long, value_enum, default_value_t = Format::Value)]
    pub format: Format,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The value and a newline
    Value,
    /// One JSON object a line, with place, time, key and headers
    Json,
}

/// `tern inspect`.
#[derive(Args, Debug)]
pub struct InspectArguments {
    /// A file, or a directory of files
    pub path: PathBuf,
    /// Print each record, not only each batch
    #[arg(long)]
    pub records: bool,
}
