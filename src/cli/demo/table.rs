//! The live table: redrawn in place on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use super::ledger::Ledger;

/// Between two lines when the output is not a terminal.
const LINE_RHYTHM: Duration = Duration::from_secs(1);

/// Draws the state of the demonstration.
pub struct Table {
    terminal: bool,
    last_line: Option<Instant>,
}

impl Table {
    /// Prints the head.
    pub fn new() -> Table {
        println!(
            "{:>8} {:>9} {:>13} {:>9} {:>8} {:>11}   {:<16}",
            "seconds", "messages", "acknowledged", "out", "on way", "reconnects", "memory / budget"
        );
        Table { terminal: stdout().is_terminal(), last_line: None }
    }

    /// Shows where things stand; `event` is said in the same line.
    pub fn show(&mut self, elapsed: Duration, ledger: &Ledger, resident: u64, budget: u64, event: &str) {
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_RHYTHM);
        if !self.terminal && !due && event.is_empty() {
            return;
        }
        self.last_line = Some(Instant::now());
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let line = format!(
            "{:>8.1} {:>9} {:>13} {:>9} {:>8} {:>11}   {:.1} / {:.0} MiB {event}",
            elapsed.as_secs_f64(),
            ledger.sent(),
            ledger.acknowledged(),
            ledger.out(),
            ledger.lost(),
            ledger.reconnects(),
            mib(resident),
            mib(budget)
        );
        if self.terminal {
            print!("\r{line}\x1b[K");
            let _ = stdout().flush(); // a terminal that is gone has nobody to tell
        } else {
            println!("{line}");
        }
    }

    /// Says something that stays.
    pub fn note(&mut self, text: &str) {
        if self.terminal {
            println!();
        }
        println!("         {text}");
        self.last_line = None;
    }
}
