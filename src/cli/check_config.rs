//! `tern check-config`: what `serve` would use, and why.

use std::process::ExitCode;

use super::arguments::ConfigArguments;
use super::{WRONG_CONFIGURATION, complain, load};

/// Prints every key in force with its source, warnings, and the memory table. Exit code 2 on an error.
pub fn run(arguments: &ConfigArguments) -> ExitCode {
    let loaded = match load::load(arguments) {
        Ok(loaded) => loaded,
        Err(sentence) => return complain(&sentence, WRONG_CONFIGURATION),
    };
    for warning in &loaded.outcome.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &loaded.outcome.errors {
        eprintln!("error: {error}");
    }
    let Some(config) = loaded.outcome.config else { return ExitCode::from(WRONG_CONFIGURATION) };
    println!("# {}", loaded.board.sentence());
    let width = config.settings.iter().map(|setting| setting.name.len() + setting.value.len() + 1).max().unwrap_or(0);
    for setting in &config.settings {
        let line = format!("{}={}", setting.name, setting.value);
        println!("{line:<0$}  # {1}", width.min(60), setting.source);
    }
    match load::check(&config) {
        Ok(table) => {
            println!("\n{table}");
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(WRONG_CONFIGURATION)
        }
    }
}
