//! `tern zk shell`: commands typed one after the other, in one session. Without a terminal it runs a script: the first
//! line that fails ends it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::client::{Client, is_lost};
use super::commands;
use super::editor::{Editor, Step};
use super::history::History;
use super::keys::Keys;
use super::operations::names_below;
use super::terminal::{self, Raw};
use super::watch::words;
use crate::cli::arguments::{ZkLine, ZkLineCommand};
use crate::cli::completions::{Line, Place, suggest};
use crate::cli::{interrupt, usage};

/// How many completions are listed.
const LISTED_MAX: usize = 200;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Leave,
}

/// Runs until its input ends or somebody leaves.
pub(super) fn run(mut client: Client) -> io::Result<()> {
    interrupt::catch();
    let result = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => Shell::new(&mut client).talk(),
        false => script(&mut client),
    };
    match result {
        Err(error) if is_lost(&error) => Err(error),
        result => result.and(client.close()),
    }
}

fn script(client: &mut Client) -> io::Result<()> {
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line?;
        let done =
            if line.trim_start().starts_with('#') { Ok(Then::GoOn) } else { obey(client, &line, &History::default()) };
        match done {
            Ok(Then::GoOn) => {}
            Ok(Then::Leave) => break,
            Err(error) => return Err(io::Error::new(error.kind(), format!("line {number}: {error}"))),
        }
    }
    Ok(())
}

/// Does what a line says.
fn obey(client: &mut Client, line: &str, history: &History) -> io::Result<Then> {
    let line_words = Line::read(line).into_words();
    if line_words.is_empty() {
        return Ok(Then::GoOn);
    }
    let parsed = match ZkLine::try_parse_from(line_words) {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => {
            print!("{error}");
            return Ok(Then::GoOn);
        }
        Err(error) => {
            let text = error.to_string();
            let first = text.split("\n\nUsage").next().unwrap_or_default();
            return Err(usage(first.trim_start_matches("error: ").trim().replace("\n", " ")));
        }
    };
    let mut out = io::stdout().lock();
    match parsed.command {
        ZkLineCommand::One(command) => commands::run(client, &command, true, &mut out)?,
        ZkLineCommand::Addauth { credentials } => client.authenticate(&credentials)?,
        ZkLineCommand::Session => {
            let (id, timeout, server) = client.session();
            writeln!(out, "session {id:#x} at {server}, timeout {} ms", timeout.as_millis())?;
        }
        ZkLineCommand::History => history.lines().iter().try_for_each(|line| writeln!(out, "{line}"))?,
        ZkLineCommand::Quit => return Ok(Then::Leave),
    }
    out.flush()?;
    Ok(Then::GoOn)
}

/// A shell at a terminal.
struct Shell<'c> {
    client: &'c mut Client,
    history: History,
    keys: Keys,
    editor: Editor,
}

impl Shell<'_> {
    fn new(client: &mut Client) -> Shell<'_> {
        Shell { client, history: History::load(), keys: Keys::default(), editor: Editor::default() }
    }

    fn talk(&mut self) -> io::Result<()> {
        println!("Type help for the commands; Tab completes, Ctrl-D leaves.");
        while let Some(line) = self.read_line()? {
            self.history.add(&line);
            match obey(self.client, &line, &self.history) {
                Ok(Then::GoOn) => {}
                Ok(Then::Leave) => break,
                Err(error) if is_lost(&error) => {
                    eprintln!("{error}");
                    self.find_again()?;
                }
                Err(error) => eprintln!("{error}"),
            }
            interrupt::forget();
        }
        Ok(())
    }

    fn find_again(&mut self) -> io::Result<()> {
        eprintln!("looking for the server again");
        self.client.reconnect()?;
        eprintln!("the session goes on at {}", self.client.session().2);
        Ok(())
    }

    fn prompt(&self) -> String {
        format!("{}> ", self.client.session().2)
    }

    fn draw(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.editor.draw(&self.prompt(), terminal::width()).as_bytes())?;
        out.flush()
    }

    /// The next line; `None` when there are no more. Meanwhile events are printed and the session is kept.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        let raw = Raw::enter()?;
        self.listen(&raw)?;
        loop {
            while let Some(key) = self.keys.next() {
                match self.editor.press(key, self.history.lines()) {
                    Step::Changed => {}
                    Step::Complete => self.complete()?,
                    Step::Clear => print!("\x1b[2J\x1b[H"),
                    Step::Cancelled => print!("^C\r\n"),
                    Step::Line(line) => {
                        print!("\r\n");
                        return Ok(Some(line));
                    }
                    Step::End => {
                        print!("\r\n");
                        return Ok(None);
                    }
                }
                self.draw()?;
            }
            let woken = terminal::wait(self.client.descriptor(), self.client.ping_in())?;
            if woken.keys {
                let bytes = terminal::read()?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                self.keys.feed(&bytes);
            }
            if woken.other || !woken.keys {
                self.listen(&raw)?;
            }
        }
    }

    /// Prints events above the line, and pings when that is due.
    fn listen(&mut self, _raw: &Raw) -> io::Result<()> {
        interrupt::forget();
        loop {
            match self.client.event(Duration::ZERO) {
                Ok(Some(event)) => print!("\r\x1b[Kwatch: {}\r\n", words(&event)),
                Ok(None) => return self.draw(),
                Err(error) if is_lost(&error) => {
                    print!("\r\x1b[K");
                    self.find_again()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Completes the word at the cursor as far as it is clear, and lists what it may be when it is not.
    fn complete(&mut self) -> io::Result<()> {
        let before = self.editor.before();
        let line = Line::read(&format!("tern {before}"));
        let client = &mut *self.client;
        let mut root = ZkLine::command();
        root.build();
        let found = suggest(&root, &line, &mut |place, typed| match place {
            Place::Znode => names_below(client, typed).unwrap_or_default(),
            _ => Vec::new(),
        });
        let mut candidates: Vec<String> = found.words.into_iter().map(|(word, _)| word).collect();
        candidates.dedup();
        let Some(common) = common_prefix(&candidates) else { return Ok(()) };
        let start = before.chars().count() - line.last_letters;
        if common.len() > line.last.len() || candidates.len() == 1 {
            let is_open = candidates.len() > 1 || common.ends_with(['/', '=']);
            let end = if is_open { "" } else { " " };
            self.editor.replace(start, &format!("{}{end}", escaped(&common)));
        } else {
            let shown: Vec<&str> = candidates.iter().take(LISTED_MAX).map(String::as_str).collect();
            let more = candidates.len() - shown.len();
            let more = if more > 0 { format!("  and {more} more") } else { String::new() };
            print!("\r\n{}{more}\r\n", shown.join("  "));
        }
        Ok(())
    }
}

/// What all words begin with; `None` without words.
fn common_prefix(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let shared = |word: &String| first.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
    let count = rest.iter().map(shared).min().unwrap_or(usize::MAX);
    Some(first.chars().take(count).collect())
}

/// A word as it must be typed.
fn escaped(word: &str) -> String {
    let is_plain = |letter: char| !letter.is_whitespace() && !"'\"\\".contains(letter);
    word.chars().flat_map(|letter| (!is_plain(letter)).then_some('\\').into_iter().chain([letter])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is clear of several words, letter by letter.
    #[test]
    fn prefixes() {
        let of = |words: &[&str]| common_prefix(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["/brokers"]), Some("/brokers".to_owned()));
        assert_eq!(of(&["/bü", "/bür", "/bö"]), Some("/b".to_owned()));
        assert_eq!(escaped("a b'c"), "a\\ b\\'c");
    }

    /// Each command of the shell is understood, with quotes; a mistake is one sentence.
    #[test]
    fn lines() {
        let parse = |line: &str| ZkLine::try_parse_from(Line::read(line).into_words());
        for line in
            ["ls", "ls -R /", "get -s /a", "set /a 'b c'", "create -e -s /a/b x", "quit", "acl /a --set world:anyone:r"]
        {
            assert!(parse(line).is_ok(), "{line}");
        }
        assert!(parse("help").is_err_and(|error| !error.use_stderr()));
        assert!(parse("frobnicate").is_err_and(|error| error.use_stderr()));
    }
}
