//! The four-letter words and the admin commands: what monitoring asks, in ZooKeeper's own forms.
//!
//! A word comes as the first four bytes of a connection, which is answered once and closed; a command comes by HTTP and
//! is answered with JSON. Both show the same numbers. `4lw.commands.whitelist` binds the words only, as in ZooKeeper.
//!
//! | file | words | commands |
//! |---|---|---|
//! | `stat` | srvr, stat, cons | stats, connections |
//! | `numbers` | mntr | monitor |
//! | `conf` | conf, envi, dirs | configuration, environment, dirs |
//! | `watching` | wchs, wchc, wchp, dump | watch_summary, watches, watches_by_path, dump |
//! | here | ruok, isro, gtmk, stmk, srst, crst, hash | |
//! | `commands` | | all of them, by both their names |
//!
//! Invariant: an answer is rendered only under a grant for its exact length.

mod commands;
mod conf;
mod date;
mod json;
mod numbers;
mod stat;
mod watching;

use std::fmt::{self, Write};

use bytes::Bytes;

use super::{Latency, ServerStats, ZooKeeperDoor};
use crate::effect::Effects;
use crate::engine::{Engine, QuorumRole};
use crate::limits::CLOCK_FLOOR_MS;
use crate::memory::Grant;
use crate::types::{ConnId, Now, Timestamp};

/// The version of ZooKeeper whose protocol is spoken: what clients and exporters look for.
const SPOKEN: &str = "3.8.4";

/// The trace mask that a ZooKeeper starts with.
pub(super) const TRACE_MASK: i64 = 0o462;

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Words that are answered: `4lw.commands.whitelist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whitelist(Vec<Word>);

macro_rules! words {
    ($($name:ident $text:literal),* $(,)?) => {
        /// What the first four bytes of a connection may be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Word {
            $($name),*
        }

        impl Word {
            const ALL: &[Word] = &[$(Word::$name),*];

            const fn text(self) -> &'static str {
                match self {
                    $(Word::$name => $text),*
                }
            }
        }
    };
}

words! {
    Ruok "ruok", Stat "stat", Srvr "srvr", Mntr "mntr", Conf "conf", Cons "cons", Crst "crst", Srst "srst", Dump "dump",
    Envi "envi", Wchs "wchs", Wchc "wchc", Wchp "wchp", Isro "isro", Dirs "dirs", Gtmk "gtmk", Stmk "stmk", Hash "hash",
}

impl Word {
    fn of(bytes: [u8; 4]) -> Option<Word> {
        Word::ALL.iter().copied().find(|word| word.text().as_bytes() == bytes)
    }
}

impl Whitelist {
    /// From a list with commas; `*` is every word. The words that do not exist come back.
    pub fn parse(text: &str) -> (Whitelist, Vec<&str>) {
        let mut words = Vec::new();
        let mut unknown = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Word::ALL.iter().find(|word| word.text() == name) {
                _ if name == "*" => words.extend_from_slice(Word::ALL),
                Some(word) => words.push(*word),
                None => unknown.push(name),
            }
        }
        (Whitelist(words), unknown)
    }
}

/// What a page may look at.
struct Around<'a> {
    door: &'a ZooKeeperDoor,
    engine: &'a Engine,
    now: Now,
}

/// Learns a page's length without keeping it.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

type Page<'p> = &'p dyn Fn(&mut dyn Write) -> fmt::Result;

impl ZooKeeperDoor {
    /// Answers the word that a new connection begins with; false when its bytes are a frame.
    pub(super) fn answer_word(&mut self, now: Now, conn: ConnId, engine: &Engine, fx: &mut Effects) -> bool {
        let Some(connection) = self.get(conn) else { return false };
        let Some(word) = connection.input.first_chunk::<4>().copied().and_then(Word::of) else { return false };
        let mask = connection.input.get(4..).and_then(|rest| rest.first_chunk::<8>()).copied();
        if word == Word::Stmk && mask.is_none() && self.shared.settings.words.0.contains(&word) {
            return true; // its argument is on the way
        }
        self.shared.stats.received += 1;
        match (word, mask) {
            _ if !self.shared.settings.words.0.contains(&word) => {
                let text = format!("{} is not executed because it is not in the whitelist.\n", word.text());
                fx.send_copy(conn, text.as_bytes());
            }
            (Word::Stmk, Some(mask)) => {
                self.shared.trace_mask = i64::from_be_bytes(mask);
                fx.send_copy(conn, self.shared.trace_mask.to_string().as_bytes());
            }
            (Word::Srst, _) => {
                self.reset_server_stats();
                fx.send_copy(conn, b"Server stats reset.\n");
            }
            (Word::Crst, _) => {
                self.reset_connection_stats();
                fx.send_copy(conn, b"Connection stats reset.\n");
            }
            _ => {
                let around = Around { door: self, engine, now };
                if let Some((bytes, grant)) = self.render(&|out| around.word(word, out)) {
                    fx.send(conn, bytes, grant);
                }
            }
        }
        self.close(conn, fx);
        true
    }

    /// The answer to an admin command; `None` when there is no memory for it now.
    pub(super) fn answer_command(&mut self, now: Now, command: &str, engine: &Engine) -> Option<Bytes> {
        match command {
            "server_stats_reset" | "stat_reset" | "srst" => self.reset_server_stats(),
            "connection_stat_reset" | "crst" => self.reset_connection_stats(),
            _ => {}
        }
        let around = Around { door: self, engine, now };
        let (bytes, _) = self.render(&|out| around.command(command, out))?;
        Some(bytes)
    }

    fn reset_server_stats(&mut self) {
        self.shared.stats = ServerStats::default();
    }

    fn reset_connection_stats(&mut self) {
        self.connections.iter_mut().flatten().for_each(|connection| connection.stats.reset());
    }

    /// Renders twice: for the length, and under a grant for it.
    fn render(&self, page: Page<'_>) -> Option<(Bytes, Grant)> {
        let mut length = Length(0);
        let _ = page(&mut length); // neither Length nor String can fail
        let grant = self.shared.responses.take(length.0)?;
        let mut text = String::with_capacity(length.0);
        let _ = page(&mut text);
        Some((Bytes::from(text), grant))
    }
}

impl Around<'_> {
    fn word(&self, word: Word, out: &mut dyn Write) -> fmt::Result {
        match word {
            Word::Ruok => return out.write_str("imok"),
            Word::Isro if !self.engine.is_ready() => return out.write_str("null"),
            Word::Isro => return out.write_str(if self.is_read_only() { "ro" } else { "rw" }),
            Word::Gtmk => return write!(out, "{}", self.door.shared.trace_mask),
            Word::Envi => return self.envi(out),
            Word::Hash => return Ok(()), // digests of old transactions are not kept
            _ if !self.engine.is_ready() || self.is_read_only() => return out.write_str(NOT_SERVING),
            _ => {}
        }
        match word {
            Word::Srvr => self.srvr(false, out),
            Word::Stat => self.srvr(true, out),
            Word::Cons => self.cons(out),
            Word::Mntr => self.mntr(out),
            Word::Conf => self.conf(out),
            Word::Dirs => self.dirs(out),
            Word::Wchs => self.wchs(out),
            Word::Wchc => self.wchc(out),
            Word::Wchp => self.wchp(out),
            Word::Dump => self.dump(out),
            _ => Ok(()),
        }
    }

    fn is_read_only(&self) -> bool {
        !self.engine.has_quorum()
    }

    /// `standalone`, `leader`, `follower`, `observer` or, without a quorum, `read-only`.
    fn mode(&self) -> &'static str {
        match self.engine.quorum_role() {
            QuorumRole::Standalone => "standalone",
            QuorumRole::Leader => "leader",
            QuorumRole::Follower => "follower",
            QuorumRole::Observer => "observer",
            QuorumRole::Looking => "read-only",
        }
    }

    fn latency(&self) -> Latency {
        self.door.shared.stats.latency
    }

    /// Requests that are taken and not answered, of all connections.
    fn outstanding(&self) -> usize {
        self.door.connections().map(|connection| connection.outstanding()).sum()
    }
}

/// `3.8.4-tern-0.1.0, built on 2026-11-01 00:00 UTC`.
fn version() -> String {
    let built = date::minute(Timestamp(CLOCK_FLOOR_MS));
    format!("{SPOKEN}-tern-{}, built on {built}", env!("CARGO_PKG_VERSION"))
}

/// As Java prints a double that was rounded to four places.
fn decimal(number: f64) -> String {
    let text = format!("{number:.4}");
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list is read with spaces, `*` is everything, and what is no word is told.
    #[test]
    fn whitelist() {
        assert_eq!(Whitelist::parse("srvr, stat,"), (Whitelist(vec![Word::Srvr, Word::Stat]), vec![]));
        assert_eq!(Whitelist::parse("*").0.0.len(), 18);
        assert_eq!(Whitelist::parse("ruok,what"), (Whitelist(vec![Word::Ruok]), vec!["what"]));
    }

    /// Java's shortest form: at least one decimal place, at most four.
    #[test]
    fn decimals() {
        for (number, text) in [(0.0, "0.0"), (5.5, "5.5"), (1.0 / 3.0, "0.3333"), (12.0, "12.0")] {
            assert_eq!(decimal(number), text);
        }
        assert!(version().starts_with("3.8.4-tern-") && version().ends_with(" 00:00 UTC"), "{}", version());
    }
}
