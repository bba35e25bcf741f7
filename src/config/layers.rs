//! Files in order, then the environment, then `--set`: the later one wins, and each value remembers who said it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{dotenv, ensemble, properties};

/// A value and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub value: String,
    /// Such as `server.properties line 4` or `--set`: the beginning of a sentence.
    pub source: String,
    /// How many were said before it.
    pub order: usize,
}

/// Everything that was said, before anybody knows what it means.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    pub(super) assigned: BTreeMap<String, Assigned>,
    count: usize,
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Adds a file; a name that ends in `.env` holds variables of the container images.
    pub fn add_file(&mut self, name: &str, text: &str) {
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        let is_env = name.ends_with(".env");
        let (entries, bad) = if is_env {
            let (variables, bad) = dotenv::parse(text);
            (variables.into_iter().map(|variable| (Some(variable.name), variable.entry)).collect(), bad)
        } else {
            let (entries, bad) = properties::parse(text);
            (entries.into_iter().map(|entry| (None, entry)).collect::<Vec<_>>(), bad)
        };
        for (variable, entry) in entries {
            if let Some(first) = lines.insert(entry.key.clone(), entry.line) {
                let key = &entry.key;
                let line = entry.line;
                self.warnings
                    .push(format!("{name} line {line}: {key} is set on line {first} already; the later line counts"));
            }
            let source = match variable {
                Some(variable) => format!("{name} line {} ({variable})", entry.line),
                None => format!("{name} line {}", entry.line),
            };
            self.assign(entry.key, entry.value, source);
        }
        self.errors.extend(bad.into_iter().map(|bad| format!("{name} line {}: {}", bad.line, bad.sentence)));
    }

    /// Adds the variables `TERN_*`; those of tests and benches, `TERN_TEST_*` and `TERN_BENCH_*`, mean nothing here.
    pub fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let is_test = name.starts_with("TERN_TEST_") || name.starts_with("TERN_BENCH_");
            if name.starts_with("TERN_") && !is_test {
                for variable in dotenv::translate(&name, &value, 0) {
                    self.assign(variable.entry.key, variable.entry.value, format!("environment variable {name}"));
                }
            }
        }
    }

    /// Adds one `KEY=VALUE` of the command line.
    pub fn add_set(&mut self, argument: &str) {
        match argument.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                self.assign(key.trim().to_owned(), value.trim().to_owned(), "--set".to_owned());
            }
            _ => self.errors.push(format!("--set {argument}: there is no key; allowed: --set KEY=VALUE")),
        }
    }

    /// Where the shell looks for the file `myid` before it calls `resolve`.
    pub fn myid_path(&self) -> PathBuf {
        ensemble::directories(self).coordinator.join("myid")
    }

    pub(super) fn get(&self, key: &str) -> Option<&Assigned> {
        self.assigned.get(key)
    }

    fn assign(&mut self, key: String, value: String, source: String) {
        self.assigned.insert(key, Assigned { value, source, order: self.count });
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Later layers win, and every value knows its source.
    #[test]
    fn precedence() {
        let mut layers = Layers::default();
        layers.add_file("a.properties", "num.partitions=1\nlog.dirs=/a\n\nnum.partitions=2");
        layers.add_file("b.env", "KAFKA_NUM_PARTITIONS=3");
        let source =
            |layers: &Layers| layers.get("num.partitions").map(|a| format!("{} {}", a.value, a.source)).unwrap();
        assert_eq!(source(&layers), "3 b.env line 1 (KAFKA_NUM_PARTITIONS)");
        assert_eq!(
            layers.warnings,
            ["a.properties line 4: num.partitions is set on line 1 already; the later line counts"]
        );
        let variables = [("TERN_NUM_PARTITIONS", "4"), ("PATH", "/bin"), ("TERN_TEST_SEED", "1")];
        layers.add_environment(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(source(&layers), "4 environment variable TERN_NUM_PARTITIONS");
        layers.add_set("num.partitions = 5");
        assert_eq!(source(&layers), "5 --set");
        assert_eq!(layers.assigned.len(), 2);
        layers.add_set("num.partitions");
        assert_eq!(layers.errors, ["--set num.partitions: there is no key; allowed: --set KEY=VALUE"]);
    }
}
