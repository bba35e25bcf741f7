//! `tern node`: who belongs to the ensemble, through the ZooKeeper door (`reconfig`) and, for what only brokers know,
//! through the Kafka door of any member that the tree names.

mod add;
mod ask;
mod list;
mod remove;
mod replace;
mod upgrade;

use std::io;

use super::arguments::{NodeArguments, NodeCommand};
use super::{interrupt, usage};
use ask::Ensemble;

/// Does what was asked.
pub fn run(arguments: &NodeArguments) -> io::Result<()> {
    let mut ensemble = Ensemble::connect(&arguments.server)?;
    interrupt::catch();
    match &arguments.command {
        NodeCommand::List { json } => list::run(&mut ensemble, *json),
        NodeCommand::Add { line, wait } => add::run(&mut ensemble, line, wait.wait),
        NodeCommand::Remove { id, force, wait } => remove::run(&mut ensemble, *id, *force, wait.wait),
        NodeCommand::Replace { id, line, force, wait } => {
            replace::run(&mut ensemble, *id, line.as_deref(), *force, wait.wait)
        }
        NodeCommand::Upgrade { dry_run } => upgrade::run(&mut ensemble, *dry_run),
    }
}
