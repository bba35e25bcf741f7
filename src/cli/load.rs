//! From the command line's files, the environment and the machine to a configuration: the reading that the pure room
//! `config` leaves to others.

use std::path::Path;

use crate::config::{Config, Facts, Layers, Outcome, resolve};
use crate::memory::Table;
use crate::mqtt;
use crate::runtime::board::Board;

use super::arguments::ConfigArguments;

/// A configuration file larger than this is none.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What was read.
pub struct Loaded {
    /// The machine, whose profile is the lowest layer.
    pub board: Board,
    /// What came of it.
    pub outcome: Outcome,
}

/// Reads everything. The error is one sentence: a file that cannot be read.
pub fn load(arguments: &ConfigArguments) -> Result<Loaded, String> {
    let board = Board::detect();
    let mut layers = Layers::default();
    if let Some(profile) = board.profile {
        layers.add_file(&format!("profile {}", profile.name), profile.text);
    }
    for file in &arguments.files {
        layers.add_file(&file.display().to_string(), &read(file)?);
    }
    // What is not UTF-8 can be no key or value of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    layers.add_environment(variables);
    for set in &arguments.set {
        layers.add_set(set);
    }
    if arguments.form {
        layers.add_set("tern.ensemble.form=true");
    }
    if let Some(level) = &arguments.log_level {
        layers.add_set(&format!("log.level={level}"));
    }
    let myid = layers.myid_path();
    let facts = Facts { hostname: hostname(), myid: if myid.exists() { Some(read(&myid)?) } else { None } };
    let mut outcome = resolve(&layers, &facts);
    if let Some(config) = &mut outcome.config {
        config.board = board.sentence();
        let budget_bytes = config.memory.budget_bytes as u64;
        match board.judge(budget_bytes, Board::free_bytes(), &profiles_named(&arguments.files)) {
            Ok(warnings) => outcome.warnings.extend(warnings),
            Err(sentence) => {
                outcome.errors.push(sentence);
                outcome.config = None;
            }
        }
    }
    Ok(Loaded { board, outcome })
}

/// The names of files without their ending, as profiles have them.
fn profiles_named(files: &[std::path::PathBuf]) -> Vec<String> {
    files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
}

/// What only the rooms above `config` can tell of a configuration: that the memory table fits and the rules are rules.
pub fn check(config: &Config) -> Result<Table, String> {
    let (table, accounts) = Table::new(config)?;
    mqtt::Settings::new(config, &accounts).map_err(|error| error.to_string())?;
    Ok(table)
}

fn read(path: &Path) -> Result<String, String> {
    let name = path.display();
    let size = std::fs::metadata(path).map(|metadata| metadata.len()).unwrap_or(0);
    if size > FILE_BYTES_MAX {
        return Err(format!("{name}: it has {size} bytes; allowed: a configuration file of at most 1 MiB"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: it cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{name}: it is not UTF-8 text"))
}

fn hostname() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}
