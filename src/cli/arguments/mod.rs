//! The tree of commands: names, options, help and examples. What they do lies in one file or directory each.

mod group;
mod node;
mod records;
mod topic;
mod zk;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{bench, completions, demo};

pub use group::{GroupArguments, GroupCommand, ResetGroup};
pub use node::{NodeArguments, NodeCommand};
pub use records::{Compression, ConsumeArguments, InputFormat, ProduceArguments};
pub use topic::{AlterTopic, CreateTopic, ReassignTopics, TopicArguments, TopicCommand};
pub use zk::{ZkArguments, ZkCommand, ZkCreate, ZkLine, ZkLineCommand, ZkServer, ZkSet, ZkTask};

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
    /// See three nodes killed, paused and cut off under simulated sensors; exits 0 only if nothing was lost
    #[command(after_help = "Examples:
  tern demo
  tern demo --nodes 5 --seconds 60
  tern demo --nodes 1 --keep ./demo-data")]
    Demo(demo::Options),
    /// Show every node (role, partitions, memory, disk, clock), every topic with its size, every group with its lag; exits 1
    /// when a node is away or a partition offline
    #[command(after_help = "Examples:
  tern status
  tern status --http 192.168.1.20:8080
  tern status --bootstrap 192.168.1.20:9092")]
    Status(StatusArguments),
    /// Create, list, describe, alter and delete topics
    #[command(after_help = "Examples:
  tern topic create readings --partitions 3
  tern topic list
  tern topic describe readings
  tern topic alter readings --config retention.ms=86400000
  tern topic delete readings")]
    Topic(TopicArguments),
    /// List, describe, reset and delete consumer groups
    #[command(after_help = "Examples:
  tern group list
  tern group describe dashboard
  tern group reset dashboard --topic readings --to-earliest --execute
  tern group delete dashboard")]
    Group(GroupArguments),
    /// List, add, remove and replace the members of an ensemble
    #[command(after_help = "Examples:
  tern node list
  tern node add server.4=board4:2888:3888
  tern node remove 3
  tern node replace 2")]
    Node(NodeArguments),
    /// Append lines of standard input to a topic; each is on disk when the command ends
    #[command(after_help = "Examples:
  echo hello | tern produce notes
  tern produce notes --key-separator : < pairs.txt
  tern produce notes --key kitchen --header source=shell --compression lz4
  tern consume notes -f json -e | tern produce copy -f json")]
    Produce(ProduceArguments),
    /// Print the records of a topic and follow it
    #[command(after_help = "Examples:
  tern consume notes
  tern consume notes -o end
  tern consume notes -o beginning -c 10 -f json
  tern consume notes -o @-1h -f '%D %k = %s\\n'
  tern consume notes -p 0 -o 1000 --exit
  tern consume notes --group dashboard")]
    Consume(ConsumeArguments),
    /// Znodes through the ZooKeeper port of a node: ls, get, set, create, delete, stat, watch, acl, tree, shell
    #[command(after_help = "Examples:
  tern zk ls /brokers/topics
  tern zk tree --data
  tern zk watch -R /
  tern zk shell")]
    Zk(ZkArguments),
    /// Read files of a node: segment, index, checkpoint, journal, quorum, snapshot; says what is broken and where
    #[command(after_help = "Examples:
  tern inspect tern-data
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
    /// Print a script that completes commands, options, topics, groups and znodes at Tab
    #[command(after_help = "Examples:
  source <(tern completions bash)               in ~/.bashrc
  source <(tern completions zsh)                in ~/.zshrc, behind compinit
  tern completions fish > ~/.config/fish/completions/tern.fish")]
    Completions(completions::Options),
    /// What the scripts of `completions` ask
    #[command(hide = true)]
    Complete(completions::Question),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArguments {
    /// Properties files, read in order, later keys win; a directory stands for all of its *.properties; a file that ends
    /// in .env holds variables of containers
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A key and its value, above files and environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What is told on standard error: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Found the ensemble of the server lines without waiting for its other members
    #[arg(long)]
    pub form: bool,
}

/// The broker that a command asks first.
#[derive(Args, Debug)]
pub struct Bootstrap {
    /// Kafka listener of any node
    #[arg(short, long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT", visible_alias = "bootstrap-server")]
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

/// `tern inspect`.
#[derive(Args, Debug)]
pub struct InspectArguments {
    /// A file, or a directory of files
    pub path: PathBuf,
    /// Print each record, not only each batch
    #[arg(long)]
    pub records: bool,
}
