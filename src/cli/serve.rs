//! `tern serve`: a configuration, a word about it, and the runtime.

use std::process::ExitCode;

use crate::memory::Table;
use crate::runtime::diagnostics;

use super::arguments::ConfigArguments;
use super::{WRONG_CONFIGURATION, complain, load};

/// Runs a node until it is told to stop.
pub fn run(arguments: &ConfigArguments) -> ExitCode {
    let loaded = match load::load(arguments) {
        Ok(loaded) => loaded,
        Err(sentence) => return complain(&sentence, WRONG_CONFIGURATION),
    };
    let Some(config) = loaded.outcome.config else {
        for error in &loaded.outcome.errors {
            eprintln!("tern: {error}");
        }
        return ExitCode::from(WRONG_CONFIGURATION);
    };
    diagnostics::init(config.log_level);
    for warning in &loaded.outcome.warnings {
        tracing::warn!("{warning}");
    }
    match Table::new(&config) {
        Ok((table, _)) => tracing::info!("{}; memory:\n{table}", loaded.board.sentence()),
        Err(sentence) => return complain(&sentence, WRONG_CONFIGURATION),
    }
    complain("this build has no runtime yet", 1)
}
