//! `tern serve`: a configuration, a word about it, and the runtime.

use std::process::ExitCode;
use std::sync::Arc;

use crate::metrics::METRICS;
use crate::runtime::disk::FILES_MAX;
use crate::runtime::{self, Fault, descriptors, diagnostics};

use super::arguments::ConfigArguments;
use super::{FAULT, WRONG_CONFIGURATION, complain, load};

/// Runs a node until it is told to stop.
pub fn run(arguments: &ConfigArguments) -> ExitCode {
    let loaded = match load::load(arguments) {
        Ok(loaded) => loaded,
        Err(sentence) => return complain(&sentence, WRONG_CONFIGURATION),
    };
    let Some(config) = loaded.outcome.config else {
        for error in &loaded.outcome.errors {
            eprintln!("{}tern: {error}", diagnostics::error_prefix());
        }
        return ExitCode::from(WRONG_CONFIGURATION);
    };
    diagnostics::init(config.log_level);
    for warning in &loaded.outcome.warnings {
        tracing::warn!("{warning}");
    }
    match load::check(&config) {
        Ok(table) => tracing::info!("{}; memory:\n{table}", loaded.board.sentence()),
        Err(sentence) => return complain(&sentence, WRONG_CONFIGURATION),
    }
    raise_descriptors(config.memory.connections_max);
    let again = arguments.clone();
    let read = Arc::new(move || load::again(&again));
    match runtime::run(config, read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault(sentence)) => complain(&sentence, FAULT),
    }
}

/// Descriptors beside those of connections and logs: listeners, directories, locks, standard streams.
const OTHER_DESCRIPTORS: usize = 64;

fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max + FILES_MAX + OTHER_DESCRIPTORS;
    let raised = descriptors::raise(wanted as u64);
    METRICS.runtime.open_files_max.set(*raised.as_ref().unwrap_or(&0) as i64);
    match raised {
        Ok(limit) if limit < wanted as u64 => {
            tracing::warn!(
                "the system allows {limit} open files, max.connections={connections_max} and the logs want {wanted}"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!("the limit of open files cannot be raised: {error}"),
    }
}
