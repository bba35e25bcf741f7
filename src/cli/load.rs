//! From the command line's files, the environment and the machine to a configuration: the reading that the pure room
//! `config` leaves to others.

use std::path::{Path, PathBuf};

use crate::config::{Config, Facts, Layers, Outcome, resolve};
use crate::memory::Table;
use crate::mqtt;
use crate::runtime::board::Board;

use super::arguments::ConfigArguments;

/// A configuration file larger than this is none.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Properties files that one directory may hold.
const FILES_OF_DIRECTORY_MAX: usize = 64;

/// What was read.
pub struct Loaded {
    /// The machine, whose profile is the lowest layer.
    pub board: Board,
    /// What came of it.
    pub outcome: Outcome,
}

/// Reads everything. The error is one sentence: a file that cannot be read.
pub fn load(arguments: &ConfigArguments) -> Result<Loaded, String> {
    load_beside(arguments, Board::free_bytes())
}

/// Reads everything once more for a node that runs, and checks it, so that the next start accepts what this accepts. What
/// is free now tells nothing: the node itself holds its budget.
pub fn again(arguments: &ConfigArguments) -> Result<Outcome, String> {
    let mut outcome = load_beside(arguments, 0)?.outcome;
    if let Some(Err(sentence)) = outcome.config.as_ref().map(check) {
        outcome.errors.push(sentence);
        outcome.config = None;
    }
    Ok(outcome)
}

fn load_beside(arguments: &ConfigArguments, free_bytes: u64) -> Result<Loaded, String> {
    let board = Board::detect();
    let mut layers = Layers::default();
    if let Some(profile) = board.profile {
        layers.add_file(&format!("profile {}", profile.name), profile.text);
    }
    let files = expand(&arguments.files)?;
    for file in &files {
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
        match board.judge(budget_bytes, free_bytes, &profiles_named(&files)) {
            Ok(warnings) => outcome.warnings.extend(warnings),
            Err(sentence) => {
                outcome.errors.push(sentence);
                outcome.config = None;
            }
        }
    }
    Ok(Loaded { board, outcome })
}

/// Files as they are, and of each directory those that end in `.properties`, in the order of their names.
fn expand(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let name = path.display();
        let entries = std::fs::read_dir(path).map_err(|error| format!("{name}: it cannot be read: {error}"))?;
        let is_properties = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "properties");
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_properties).collect();
        if inside.is_empty() {
            return Err(format!("{name}: no file in this directory ends in .properties"));
        }
        if inside.len() > FILES_OF_DIRECTORY_MAX {
            return Err(format!("{name}: it has {} files; allowed: {FILES_OF_DIRECTORY_MAX}", inside.len()));
        }
        inside.sort_unstable();
        files.append(&mut inside);
    }
    Ok(files)
}

/// The names of files without their ending, as profiles have them.
fn profiles_named(files: &[PathBuf]) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory stands for its properties files in the order of their names, and an empty one is a mistake.
    #[test]
    fn directories() {
        let root = std::env::temp_dir().join(format!("tern-load-{}", std::process::id()));
        std::fs::create_dir_all(root.join("empty")).unwrap();
        for name in ["tern.properties", "ensemble.properties", "secret", "a.properties.dpkg-old"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let files = expand(&[PathBuf::from("zoo.cfg"), root.clone()]).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert_eq!(names, ["zoo.cfg", "ensemble.properties", "tern.properties"]);
        let sentence = expand(&[root.join("empty")]).unwrap_err();
        assert!(sentence.ends_with("empty: no file in this directory ends in .properties"), "{sentence}");
        std::fs::remove_dir_all(root).unwrap();
    }

    /// What the next start would refuse is refused while the node runs, with the same sentence.
    #[test]
    fn again_is_as_strict_as_a_start() {
        let arguments = |rule: &str| ConfigArguments { set: vec![format!("mqtt.map.1={rule}")], ..Default::default() };
        let outcome = again(&arguments("garbage ->")).unwrap();
        assert!(outcome.config.is_none(), "{:?}", outcome.errors);
        assert!(outcome.errors[0].contains("mqtt.map.1"), "{:?}", outcome.errors);
        let outcome = again(&arguments("sensors/# -> sensors")).unwrap();
        assert!(outcome.config.is_some(), "{:?}", outcome.errors);
    }
}
