//! Properties files, the environment and `--set` become one `Config`: parse, don't validate.
//!
//! Reading files and the environment is the shell's work; this room gets texts with their names, and answers with a
//! `Config` or with sentences that name file, line, value and what is allowed.
//! Called by the shell at start and reload, and by the command line; every other room sees only `Config`.

mod typed;
mod endpoint;
mod size;
pub mod keys;
mod properties;
mod dotenv;
mod layers;
mod values;
mod shares;
mod ensemble;
mod compaction;
mod groups;
mod listeners;
mod build;

pub use build::{is_loopback, resolve};
pub use endpoint::Endpoint;
pub use keys::{Key, Kind, Use};
pub use layers::Layers;
pub use shares::{CONNECTION_BYTES, CountLimits, Shares};
pub use size::Size;
pub use typed::*;

/// What the shell finds out about the machine before `resolve`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What others call this machine; empty when nobody knows.
    pub hostname: String,
    /// The content of the file `Layers::myid_path`, when there is one.
    pub myid: Option<String>,
}

/// What came of all that was said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// There unless there are errors.
    pub config: Option<Config>,
    /// Why there is none: one sentence for each mistake.
    pub errors: Vec<String>,
    /// What somebody should look at: one sentence each.
    pub warnings: Vec<String>,
}

/// A key in use, as it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, numbers filled in.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// Who said it: `default`, `--set`, or a place such as `server.properties line 4`.
    pub source: String,
    /// Nobody said anything.
    pub is_default: bool,
    /// Its line of the table.
    pub key: &'static Key,
}
