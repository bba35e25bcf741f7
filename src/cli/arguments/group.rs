//! `tern group`: options and help.

use clap::{ArgGroup, Args, Subcommand};

use super::Bootstrap;

/// `tern group`.
#[derive(Args, Debug)]
pub struct GroupArguments {
    /// What to do
    #[command(subcommand)]
    pub command: GroupCommand,
}

/// What to do with consumer groups.
#[derive(Subcommand, Debug)]
pub enum GroupCommand {
    /// Print every group: state, members, lag
    #[command(after_help = "Example:
  tern group list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print how far a group has read each partition, its lag, and who reads it
    #[command(after_help = "Examples:
  tern group describe dashboard
  tern group describe dashboard --members")]
    Describe {
        /// Names
        #[arg(value_name = "GROUP", required = true)]
        names: Vec<String>,
        /// A line for each member instead of each partition
        #[arg(long)]
        members: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Move the offsets of a group that nobody is a member of; shows what would change unless --execute is given
    #[command(after_help = "Examples:
  tern group reset dashboard --topic readings --to-earliest
  tern group reset dashboard --all-topics --to-datetime 2026-05-01T12:00:00Z --execute
  tern group reset dashboard --topic readings:0,1 --shift-by -100 --execute")]
    Reset(ResetGroup),
    /// Delete groups with their offsets, or a group's offsets of some topics
    #[command(after_help = "Examples:
  tern group delete dashboard
  tern group delete dashboard --topic readings")]
    Delete {
        /// Names
        #[arg(value_name = "GROUP", required = true)]
        names: Vec<String>,
        /// Forget only the offsets of this topic
        #[arg(short, long, value_name = "TOPIC")]
        topic: Vec<String>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// `tern group reset`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("place").required(true))]
#[command(group = ArgGroup::new("scope").required(true).multiple(true))]
pub struct ResetGroup {
    /// Name; a group that does not exist comes into being with --execute
    #[arg(value_name = "GROUP")]
    pub name: String,
    /// A topic, or some of its partitions
    #[arg(short, long, value_name = "TOPIC[:N,N]", group = "scope")]
    pub topic: Vec<String>,
    /// Every topic that the group has offsets of
    #[arg(long, group = "scope")]
    pub all_topics: bool,
    /// To the first record
    #[arg(long, group = "place")]
    pub to_earliest: bool,
    /// Behind the last record
    #[arg(long, group = "place")]
    pub to_latest: bool,
    /// To that offset
    #[arg(long, value_name = "N", group = "place")]
    pub to_offset: Option<i64>,
    /// By so many records, back if negative
    #[arg(long, value_name = "N", group = "place", allow_negative_numbers = true)]
    pub shift_by: Option<i64>,
    /// To the first record at or after a time: 2026-05-01T12:00:00Z, 2026-05-01, -2h, milliseconds since 1970
    #[arg(long, value_name = "TIME", group = "place", allow_hyphen_values = true, alias = "to-time")]
    pub to_datetime: Option<String>,
    /// Do it
    #[arg(long, conflicts_with = "dry_run")]
    pub execute: bool,
    /// Only show what would change; so it is without --execute
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}
