//! `tern zk`: znodes through the ZooKeeper door of a node, or through any ZooKeeper.

mod client;
mod commands;
mod editor;
mod history;
mod keys;
mod operations;
mod shell;
mod stat;
mod terminal;
mod walk;
mod watch;

use std::io::{self, Write};
use std::time::Duration;

use super::arguments::{ZkArguments, ZkCommand, ZkTask};
use super::interrupt;
use client::{error_code, is_lost};

pub use client::Client;
pub use operations::names_below;

/// Does what was asked, and closes the session.
pub fn run(arguments: &ZkArguments) -> io::Result<()> {
    let mut client = Client::connect(&arguments.server, None)?;
    let command = match &arguments.command {
        ZkTask::One(command) => command,
        ZkTask::Shell => return shell::run(client),
    };
    interrupt::catch();
    let mut out = io::stdout().lock();
    let result = commands::run(&mut client, command, false, &mut out);
    let result = match (result, command) {
        (Ok(()), ZkCommand::Create(create)) if create.ephemeral => out.flush().and_then(|()| hold(&mut client)),
        (result, _) => result,
    };
    out.flush()?;
    match result {
        Err(error) if is_lost(&error) => Err(error),
        result => result.and(client.close()),
    }
}

/// Keeps the session until somebody says stop: an ephemeral znode is for as long as that.
fn hold(client: &mut Client) -> io::Result<()> {
    eprintln!("the znode lives until this command is stopped (Ctrl-C)");
    while !interrupt::is_asked() {
        match client.event(Duration::from_secs(1)) {
            Err(error) if is_lost(&error) => client.reconnect()?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
            other => {
                other?;
            }
        }
    }
    Ok(())
}
