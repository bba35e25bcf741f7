//! The client side of the command line: everyday commands, the demonstration and the load generator.
//!
//! Programs of their own that reach a node only through its doors; blocking sockets and threads are fine here. `serve`
//! and `check-config` are here only as far as they read files and print.

mod arguments;
pub mod bench;
mod check_config;
mod completions;
mod connect;
mod consume;
pub mod demo;
mod groups;
mod http;
mod inspect;
mod interrupt;
pub mod kafka;
mod load;
mod moment;
mod nodes;
mod place;
mod produce;
mod serve;
mod status;
mod table;
mod topics;
mod zk;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::runtime::diagnostics;
use arguments::{Arguments, Command};

/// Exit code of a fault.
const FAULT: u8 = 1;

/// Exit code of a wrong configuration or usage.
const WRONG_CONFIGURATION: u8 = 2;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Demo(options) => match demo::run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAULT),
            Err(error) => complain_of(&error),
        },
        Command::Bench { load } => finish(bench::run(load)),
        Command::Status(arguments) => finish(quietly(|| status::run(&arguments))),
        Command::Topic(arguments) => finish(quietly(|| topics::run(&arguments.command))),
        Command::Group(arguments) => finish(quietly(|| groups::run(&arguments.command))),
        Command::Node(arguments) => finish(quietly(|| nodes::run(&arguments))),
        Command::Produce(arguments) => finish(quietly(|| produce::run(&arguments))),
        Command::Consume(arguments) => finish(quietly(|| consume::run(&arguments))),
        Command::Zk(arguments) => finish(quietly(|| zk::run(&arguments))),
        Command::Completions(options) => finish(quietly(|| completions::run(&options))),
        Command::Complete(question) => {
            let mut root = Arguments::command();
            root.build();
            quietly(|| completions::answer(&question, &root));
            ExitCode::SUCCESS
        }
        Command::Inspect(arguments) => match quietly(|| inspect::run(&arguments)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAULT),
            Err(error) => complain_of(&error),
        },
    }
}

/// Prints one sentence on standard error.
fn complain(sentence: &str, code: u8) -> ExitCode {
    eprintln!("{}tern: {sentence}", diagnostics::error_prefix());
    ExitCode::from(code)
}

fn finish(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain_of(&error),
    }
}

/// Prints an error; whoever typed it can mend what `usage` made.
fn complain_of(error: &io::Error) -> ExitCode {
    let code = if error.kind() == io::ErrorKind::InvalidInput { WRONG_CONFIGURATION } else { FAULT };
    complain(&error.to_string(), code)
}

/// An error of whoever typed the command: exit code 2.
fn usage(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

/// Lets `tern ... | head` end without a word, as other programs do.
fn quietly<T>(command: impl FnOnce() -> T) -> T {
    // SAFETY: sets a signal's disposition before any other thread exists; sockets are written with MSG_NOSIGNAL.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    command()
}
