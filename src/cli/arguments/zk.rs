//! `tern zk`: options and help, shared by the command line and the lines of its shell.

use clap::{Args, Parser, Subcommand};

/// `tern zk`.
#[derive(Args, Debug)]
pub struct ZkArguments {
    #[command(flatten)]
    pub server: ZkServer,
    /// What to do
    #[command(subcommand)]
    pub command: ZkTask,
}

/// The server that is asked, and as whom.
#[derive(Args, Clone, Debug)]
pub struct ZkServer {
    /// ZooKeeper port of any node; of several, the first that answers
    #[arg(long, default_value = "127.0.0.1:2181", value_name = "HOST:PORT[,...]", global = true)]
    pub server: String,
    /// Credentials, such as digest:USER:PASSWORD
    #[arg(long, value_name = "SCHEME:TEXT", global = true)]
    pub auth: Vec<String>,
    /// Session timeout in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", global = true)]
    pub timeout: u32,
    /// Be content with a server that has no quorum, for reads
    #[arg(long, global = true)]
    pub read_only: bool,
}

/// What to do with znodes, from the command line.
#[derive(Subcommand, Debug)]
pub enum ZkTask {
    #[command(flatten)]
    One(ZkCommand),
    /// Type commands, with history and completion of paths; reads a script when standard input is no terminal
    #[command(after_help = "Examples:
  tern zk shell
  tern zk shell --server 192.168.1.20 --auth digest:me:secret
  tern zk shell < script.txt                    ends at the first line that fails")]
    Shell,
}

/// A line of the shell.
#[derive(Parser, Debug)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = false, disable_help_flag = false)]
#[command(help_template = "{subcommands}\n\nTab completes, COMMAND --help tells more, Ctrl-D leaves.\n")]
pub struct ZkLine {
    #[command(subcommand)]
    pub command: ZkLineCommand,
}

/// What to do with znodes, in the shell.
#[derive(Subcommand, Debug)]
pub enum ZkLineCommand {
    #[command(flatten)]
    One(ZkCommand),
    /// Add credentials to the session
    #[command(after_help = "Example:
  addauth digest:me:secret")]
    Addauth {
        /// Such as digest:USER:PASSWORD
        #[arg(value_name = "SCHEME:TEXT")]
        credentials: String,
    },
    /// Print the session's id, timeout and server
    Session,
    /// Print the lines typed so far
    History,
    /// Close the session and leave
    #[command(visible_aliases = ["exit", "close"])]
    Quit,
}

/// What to do with znodes.
#[derive(Subcommand, Debug)]
pub enum ZkCommand {
    /// Print the children of a znode
    #[command(after_help = "Examples:
  tern zk ls /
  tern zk ls -R /brokers
  tern zk ls -l /config")]
    Ls {
        /// Where to look
        #[arg(default_value = "/", value_name = "ZNODE")]
        path: String,
        /// The whole tree below it, as paths
        #[arg(short = 'R', long)]
        recursive: bool,
        /// Version, children, size, time and owner of each
        #[arg(short, long)]
        long: bool,
        /// Say when the children change; in the shell
        #[arg(short, long)]
        watch: bool,
    },
    /// Print the data of a znode
    #[command(after_help = "Examples:
  tern zk get /brokers/topics/readings
  tern zk get --stat /controller")]
    Get {
        /// Which
        #[arg(value_name = "ZNODE")]
        path: String,
        /// Its Stat as well
        #[arg(short, long)]
        stat: bool,
        /// Each byte in two hexadecimal digits
        #[arg(long)]
        hex: bool,
        /// Say when it changes; in the shell
        #[arg(short, long)]
        watch: bool,
    },
    /// Replace the data of a znode
    #[command(after_help = "Examples:
  tern zk set /app1 'Hello, app1'
  tern zk set /app1 -v 3 'only if its version is 3'
  tern zk set /app1 - < file")]
    Set(ZkSet),
    /// Create a znode
    #[command(after_help = "Examples:
  tern zk create /app1 'Hello, app1'
  tern zk create -p /a/b/c                      its parents as well
  tern zk create -e /alive                      lives until this command is stopped
  tern zk create --sequential /queue/item-      prints the name with its number
  tern zk create --ttl 60000 /cache/entry
  tern zk create /secret x --acl digest:me:HASH:cdrwa")]
    Create(ZkCreate),
    /// Delete a znode
    #[command(after_help = "Examples:
  tern zk delete /app1
  tern zk delete -R /tree                       with everything below it")]
    Delete {
        /// Which
        #[arg(value_name = "ZNODE")]
        path: String,
        /// Only if its version is this
        #[arg(short, long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
        version: i32,
        /// Everything below it as well
        #[arg(short = 'R', long, conflicts_with = "version")]
        recursive: bool,
    },
    /// Print the Stat of a znode
    #[command(after_help = "Example:
  tern zk stat /brokers/ids/1")]
    Stat {
        /// Which
        #[arg(value_name = "ZNODE")]
        path: String,
        /// Say when it comes, goes or changes; in the shell
        #[arg(short, long)]
        watch: bool,
    },
    /// Print every change of a znode as it happens
    #[command(after_help = "Examples:
  tern zk watch /controller
  tern zk watch -R /brokers -c 10")]
    Watch {
        /// Which; it need not exist yet
        #[arg(value_name = "ZNODE")]
        path: String,
        /// Everything below it as well
        #[arg(short = 'R', long)]
        recursive: bool,
        /// How many changes to print at most
        #[arg(short, long)]
        count: Option<u64>,
        /// The data as well, each time it is set
        #[arg(short, long)]
        data: bool,
    },
    /// Print who may do what with a znode, or replace that
    #[command(after_help = "Examples:
  tern zk acl /app1
  tern zk acl /app1 --set world:anyone:r --set auth::cdrwa --auth digest:me:secret")]
    Acl {
        /// Which
        #[arg(value_name = "ZNODE")]
        path: String,
        /// An entry of the new list; rights are of c create, d delete, r read, w write, a admin
        #[arg(long, value_name = "SCHEME:ID:RIGHTS")]
        set: Vec<String>,
        /// Only if the version of the list is this
        #[arg(short, long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
        version: i32,
    },
    /// Print a znode and everything below it as a tree
    #[command(after_help = "Examples:
  tern zk tree
  tern zk tree /brokers --data --depth 2")]
    Tree {
        /// Where to begin
        #[arg(default_value = "/", value_name = "ZNODE")]
        path: String,
        /// How far down
        #[arg(long)]
        depth: Option<usize>,
        /// The data as well, if it is short text
        #[arg(long)]
        data: bool,
    },
    /// Wait until the server has what the quorum has agreed on
    #[command(after_help = "Example:
  tern zk sync /")]
    Sync {
        /// Any
        #[arg(default_value = "/", value_name = "ZNODE")]
        path: String,
    },
    /// Print the ephemeral znodes of this session
    #[command(after_help = "Example:
  ephemerals /services                          in the shell, whose session has some")]
    Ephemerals {
        /// Below this path
        #[arg(default_value = "/", value_name = "ZNODE")]
        path: String,
    },
    /// Print as whom the server knows this session
    #[command(after_help = "Example:
  tern zk whoami --auth digest:me:secret")]
    Whoami,
}

/// `tern zk set`.
#[derive(Args, Debug)]
pub struct ZkSet {
    /// Which
    #[arg(value_name = "ZNODE")]
    pub path: String,
    /// The data; - reads standard input
    #[arg(allow_hyphen_values = true)]
    pub data: String,
    /// Only if its version is this
    #[arg(short, long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    pub version: i32,
    /// Print its Stat afterwards
    #[arg(short, long)]
    pub stat: bool,
}

/// `tern zk create`.
#[derive(Args, Debug)]
pub struct ZkCreate {
    /// Which
    #[arg(value_name = "ZNODE")]
    pub path: String,
    /// The data; - reads standard input; null when left out
    pub data: Option<String>,
    /// Goes when its session ends
    #[arg(short, long, conflicts_with_all = ["container", "ttl"])]
    pub ephemeral: bool,
    /// Its name gets the next number
    #[arg(short, long, conflicts_with = "container")]
    pub sequential: bool,
    /// Goes some time after its last child
    #[arg(short, long, conflicts_with = "ttl")]
    pub container: bool,
    /// Goes when it has no children and was not set for so long
    #[arg(short, long, value_name = "MILLISECONDS")]
    pub ttl: Option<i64>,
    /// Missing parents as well
    #[arg(short, long)]
    pub parents: bool,
    /// Who may do what; everybody everything when left out
    #[arg(long, value_name = "SCHEME:ID:RIGHTS")]
    pub acl: Vec<String>,
}
