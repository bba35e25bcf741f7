//! `tern node`: options and help.

use clap::{Args, Subcommand};

use super::ZkServer;

/// `tern node`.
#[derive(Args, Debug)]
pub struct NodeArguments {
    #[command(flatten)]
    pub server: ZkServer,
    /// What to do
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// What to do with the members of an ensemble.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Print every member: address, role, whether it votes, how far it is behind, its broker
    #[command(after_help = "Example:
  tern node list --server 192.168.1.20")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take a new board into the ensemble: it copies, and votes when it has caught up
    #[command(after_help = "Examples:
  tern node add server.4=board4:2888:3888
  tern node add 'server.4=board4:2888:3888:observer;2181'")]
    Add {
        /// Its line, as all members' files shall have it
        #[arg(value_name = "server.N=HOST:2888:3888")]
        line: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take a board out of the ensemble; refuses while a partition has no other copy in sync
    #[command(after_help = "Examples:
  tern topic reassign --without 3               first, when it has replicas
  tern node remove 3
  tern node remove 3 --force                    when it is gone for good, with what only it had")]
    Remove {
        /// The N of its server.N line
        #[arg(value_name = "N")]
        id: i32,
        /// Even if partitions go offline
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Let a new disk, or a new board at another address, take the place of a member that is stopped
    #[command(after_help = "Examples:
  tern node replace 3
  tern node replace 3 server.3=board5:2888:3888")]
    Replace {
        /// The N of its server.N line
        #[arg(value_name = "N")]
        id: i32,
        /// Its new line, when its address is another one
        #[arg(value_name = "server.N=HOST:2888:3888")]
        line: Option<String>,
        /// Even if partitions lose what only the old disk had
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Use what the programs of all members understand, once the last board runs the new one; there is no way back then
    #[command(after_help = "Examples:
  tern node upgrade --dry-run                   which feature level is in use, and which could be
  tern node upgrade")]
    Upgrade {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// How long to look on.
#[derive(Args, Clone, Copy, Debug)]
pub struct Wait {
    /// Wait so many seconds until it is done; 0: only ask for it
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub wait: u64,
}
