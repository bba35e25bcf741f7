//! What may stand at the end of a line: sub-commands, options, and values by the name of their place in the help.

use clap::{Arg, ArgAction, Command};

use super::line::Line;
use crate::config::keys;

/// What may stand there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// Words with what they mean.
    pub words: Vec<(String, String)>,
    /// The shell's own files may stand there as well.
    pub wants_files: bool,
}

/// Where the line has led to.
struct State<'c> {
    command: &'c Command,
    /// An option that waits for its value.
    waits: Option<&'c Arg>,
    positionals: usize,
    /// Only positionals follow.
    is_raw: bool,
}

/// A place for names that only a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Topic,
    Group,
    Znode,
}

/// Tells names that may stand in a place and begin as the word does.
pub type Names<'n> = &'n mut dyn FnMut(Place, &str) -> Vec<String>;

/// Walks the finished words and suggests the last.
pub fn suggest(root: &Command, line: &Line, names: Names<'_>) -> Suggestions {
    let mut state = State { command: root, waits: None, positionals: 0, is_raw: false };
    for word in line.words.iter().skip(1) {
        state.step(word);
    }
    let last = line.last.as_str();
    let mut found = Suggestions::default();
    if let Some(option) = state.waits {
        values(option, ("", last), names, &mut found);
    } else if let Some((name, value)) = last.split_once('=').filter(|_| last.starts_with("--") && !state.is_raw) {
        if let Some(option) = option_of(state.command, name) {
            values(option, (&format!("{name}="), value), names, &mut found);
        }
    } else {
        if last.starts_with('-') && !state.is_raw {
            options(state.command, line, &mut found);
        }
        for command in state.command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            found.words.push((command.get_name().to_owned(), about));
        }
        if let Some(positional) = state.positional() {
            values(positional, ("", last), names, &mut found);
        }
    }
    found.words.retain(|(word, _)| word.starts_with(last));
    found
}

impl<'c> State<'c> {
    fn step(&mut self, word: &str) {
        if self.waits.take().is_some() {
            return;
        }
        if word == "--" && !self.is_raw {
            self.is_raw = true;
        } else if word.starts_with('-') && word.len() > 1 && !self.is_raw {
            let option = option_of(self.command, word);
            self.waits = option.filter(|option| takes_value(option) && !is_whole(word));
        } else if let Some(command) = self.command.find_subcommand(word).filter(|_| self.positionals == 0) {
            *self = State { command, waits: None, positionals: 0, is_raw: self.is_raw };
        } else {
            self.positionals += 1;
        }
    }

    /// The argument at the next position; the last one may take several.
    fn positional(&self) -> Option<&'c Arg> {
        let all: Vec<&Arg> = self.command.get_positionals().collect();
        let repeats = |arg: &&&Arg| matches!(arg.get_action(), ArgAction::Append);
        all.get(self.positionals).or_else(|| all.last().filter(repeats)).copied()
    }
}

/// True when the word holds the option's value, too: `--name=value`, `-nvalue`.
fn is_whole(word: &str) -> bool {
    word.contains('=') || (!word.starts_with("--") && word.chars().count() > 2)
}

fn option_of<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|names| names.contains(&long)),
        None => arg.get_short().is_some() && name.chars().nth(1) == arg.get_short(),
    })
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

fn options(command: &Command, line: &Line, found: &mut Suggestions) {
    for option in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(long) = option.get_long() else { continue };
        let name = format!("--{long}");
        let repeats = matches!(option.get_action(), ArgAction::Append);
        if repeats || !line.words.contains(&name) {
            found.words.push((name, option.get_help().map(ToString::to_string).unwrap_or_default()));
        }
    }
}

/// Values of an argument: those it names itself, or those that the name of its place stands for.
fn values(arg: &Arg, (prefix, typed): (&str, &str), names: Names<'_>, found: &mut Suggestions) {
    let mut add = |word: &str, meaning: &str| found.words.push((format!("{prefix}{word}"), meaning.to_owned()));
    for value in arg.get_possible_values().iter().filter(|_| takes_value(arg)) {
        add(value.get_name(), &value.get_help().map(ToString::to_string).unwrap_or_default());
    }
    let place = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match place {
        "TOPIC" | "TOPIC[:N,N]" => names(Place::Topic, typed).iter().for_each(|topic| add(topic, "")),
        "GROUP" => names(Place::Group, typed).iter().for_each(|group| add(group, "")),
        "ZNODE" => names(Place::Znode, typed).iter().for_each(|path| add(path, "")),
        "KEY=VALUE" if arg.get_id() == "set" => {
            keys::used().iter().filter(|key| !key.name.contains(['#', '*'])).for_each(|key| {
                add(&format!("{}=", key.name), key.meaning);
            });
        }
        "FILE" | "DIR" | "PATH" => found.wants_files = true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::Arguments;
    use clap::CommandFactory;

    fn root() -> Command {
        let mut root = Arguments::command();
        root.build();
        root
    }

    fn words(line: &str) -> Vec<String> {
        let found = suggest(&root(), &Line::read(line), &mut |_, _| vec!["name".to_owned()]);
        found.words.into_iter().map(|(word, _)| word).collect()
    }

    /// Commands, their sub-commands, options of the one at hand, and values of options.
    #[test]
    fn from_the_tree() {
        assert_eq!(words("tern chec"), ["check-config"]);
        assert!(words("tern topic ").starts_with(&["create".to_owned()]));
        assert_eq!(words("tern topic create --part"), ["--partitions"]);
        assert_eq!(words("tern produce t -z "), ["none", "gzip", "snappy", "lz4"]);
        assert_eq!(words("tern produce t --compression=l"), ["--compression=lz4"]);
        assert!(words("tern serve --set dataD").contains(&"dataDir=".to_owned()));
        assert!(words("tern topic create x --config a=b --conf").contains(&"--config".to_owned()));
        assert!(!words("tern consume t --exit --ex").contains(&"--exit".to_owned()));
        assert_eq!(words("tern zk get "), ["name"]);
        assert_eq!(words("tern zk get /a --serv"), ["--server"]);
        assert_eq!(words("tern group reset g --topic=n"), ["--topic=name"]);
        assert!(!words("tern ").contains(&"complete".to_owned()), "what is only for scripts is not shown");
    }

    /// Files where files are meant.
    #[test]
    fn files() {
        let wants = |line: &str| suggest(&root(), &Line::read(line), &mut |_, _| Vec::new()).wants_files;
        assert!(wants("tern serve ") && wants("tern serve a.properties b") && wants("tern demo --keep "));
        assert!(!wants("tern serve --set ") && !wants("tern topic create "));
    }
}
