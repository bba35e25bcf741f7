//! SIGHUP: the configuration is read again, off the runtime's thread, and compared with the one in force.
//!
//! `log.level` takes effect at once. Every other key that has changed gets one line which says that it waits for the next
//! start; a configuration with a mistake, and any that a start would refuse, changes nothing. Warnings are told as at a
//! start.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{spawn_blocking, spawn_local};

use super::{diagnostics, systemd};
use crate::config::{Config, Outcome, Setting};

/// Reads what `serve` had read, once more. The error is one sentence.
pub type Read = Arc<dyn Fn() -> Result<Outcome, String> + Send + Sync>;

/// Lines of a kind, at most; the others are counted.
const LINES_MAX: usize = 32;

/// What a node can read again.
pub struct Reload {
    read: Read,
    /// What is in force, by key.
    settings: BTreeMap<String, String>,
    is_running: Cell<bool>,
}

impl Reload {
    /// `config` is in force.
    pub fn new(config: &Config, read: Read) -> Rc<Reload> {
        Rc::new(Reload { read, settings: by_name(&config.settings), is_running: Cell::new(false) })
    }

    /// Reads and compares in a task of its own; a second request meanwhile is none.
    pub fn start(self: &Rc<Reload>) {
        if self.is_running.replace(true) {
            return;
        }
        let reload = self.clone();
        spawn_local(async move {
            systemd::notify(systemd::RELOADING);
            let read = reload.read.clone();
            match spawn_blocking(move || read()).await {
                Ok(result) => reload.take(result),
                Err(_) => tracing::warn!("SIGHUP: the configuration could not be read"),
            }
            systemd::notify(systemd::RELOADED);
            reload.is_running.set(false);
        });
    }

    fn take(&self, result: Result<Outcome, String>) {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(sentence) => return tracing::warn!("SIGHUP: nothing is changed: {sentence}"),
        };
        tell("", &outcome.warnings);
        tell("nothing is changed: ", &outcome.errors);
        let Some(config) = outcome.config else { return };
        diagnostics::set_level(config.log_level);
        let waiting = waiting(&self.settings, &by_name(&config.settings));
        tracing::info!("SIGHUP: log.level={:?} is in force", config.log_level);
        tell("", &waiting);
    }
}

fn tell(what: &str, lines: &[String]) {
    for line in lines.iter().take(LINES_MAX) {
        tracing::warn!("SIGHUP: {what}{line}");
    }
    if let Some(more @ 1..) = lines.len().checked_sub(LINES_MAX) {
        tracing::warn!("SIGHUP: {more} more lines like the last one; `tern check-config` prints all");
    }
}

fn by_name(settings: &[Setting]) -> BTreeMap<String, String> {
    settings.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

/// One sentence for each key that differs and is not in force at once.
fn waiting(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |key: &&String| key.as_str() != "log.level" && old.get(*key) != new.get(*key);
    let line = |key: &String| {
        let shown = |value: Option<&String>| value.map_or("nothing".to_owned(), |value| format!("\"{value}\""));
        let (old, new) = (shown(old.get(key)), shown(new.get(key)));
        format!("{key} is {new} now and takes effect at the next start; {old} stays in force until then")
    };
    keys.into_iter().filter(differs).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that came, went or changed is told; one that takes effect at once, or is the same, is not.
    #[test]
    fn differences() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<BTreeMap<_, _>>()
        };
        let old = map(&[("a", "1"), ("b", "2"), ("gone", "3"), ("log.level", "info")]);
        let new = map(&[("a", "1"), ("b", "4"), ("come", "5"), ("log.level", "debug")]);
        let lines = waiting(&old, &new);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "b is \"4\" now and takes effect at the next start; \"2\" stays in force until then");
        assert!(lines[1].starts_with("come is \"5\"") && lines[2].starts_with("gone is nothing"), "{lines:?}");
    }
}
