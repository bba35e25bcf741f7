//! `tern completions SHELL` prints a script; what it completes, the binary itself says, from its own tree of commands.
//!
//! The script asks `tern complete --line LINE` at each Tab, so that it never grows old, and so that names of topics,
//! groups and znodes come from the node that the line names. Whoever does not answer within a moment is left out.

mod line;
mod names;
mod suggest;

use std::io;

use clap::{Args, ValueEnum};

pub use line::Line;
pub use suggest::{Place, suggest};

/// `tern completions`.
#[derive(Args, Debug)]
pub struct Options {
    /// The shell that shall read the script
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Shells that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What the scripts ask.
#[derive(Args, Debug)]
pub struct Question {
    /// The line up to the cursor
    #[arg(long, allow_hyphen_values = true)]
    line: String,
}

/// Prints the script.
pub fn run(options: &Options) -> io::Result<()> {
    print!(
        "{}",
        match options.shell {
            Shell::Bash => include_str!("bash.sh"),
            Shell::Zsh => include_str!("zsh.sh"),
            Shell::Fish => include_str!("fish.fish"),
        }
    );
    Ok(())
}

/// Prints what may stand at the end of a line, one a line, descriptions behind tabs. `:files` asks the shell for its
/// files, `:nospace` to stay at the end of the word.
pub fn answer(question: &Question, root: &clap::Command) {
    let line = Line::read(&question.line);
    let suggestions = suggest(root, &line, &mut |place, typed| match place {
        Place::Topic => names::topics(&line),
        Place::Group => names::groups(&line),
        Place::Znode => names::znodes(&line, typed),
    });
    if suggestions.wants_files {
        println!(":files");
    }
    if suggestions.words.iter().any(|(word, _)| word.ends_with(['/', '='])) {
        println!(":nospace");
    }
    for (word, meaning) in &suggestions.words {
        println!("{word}\t{meaning}");
    }
}
