//! `tern group`: list, describe with lag, reset offsets, delete, over the Kafka door.

mod ask;
mod delete;
mod describe;
mod reset;

use std::io;

use super::arguments::GroupCommand;
use super::kafka::Cluster;

pub use describe::overview;

/// Does what was asked.
pub fn run(command: &GroupCommand) -> io::Result<()> {
    match command {
        GroupCommand::List { json, bootstrap } => {
            let mut cluster = Cluster::connect_leniently(&bootstrap.bootstrap)?;
            overview(&mut cluster)?.print(*json);
            cluster.all_answered()
        }
        GroupCommand::Describe { names, members, json, bootstrap } => {
            describe::run(&mut Cluster::connect(&bootstrap.bootstrap)?, names, *members, *json)
        }
        GroupCommand::Reset(arguments) => reset::run(arguments),
        GroupCommand::Delete { names, topic, bootstrap } => {
            delete::run(&mut Cluster::connect(&bootstrap.bootstrap)?, names, topic)
        }
    }
}
