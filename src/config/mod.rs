//! Properties files, the environment and `--set` become one `Config`: parse, don't validate.
//!
//! Reading files and the environment is the shell's work; this room gets texts with their names.
//! Called by the shell at start and reload, and by the command line; every other room sees only `Config`.

mod endpoint;
mod typed;

pub use endpoint::Endpoint;
pub use typed::*;
