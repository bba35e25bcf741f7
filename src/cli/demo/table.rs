//! The live table: redrawn in place on a terminal, a line now and then elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use super::ledger::Ledger;

/// Between two lines when the output is not a terminal.
const LINE_RHYTHM: Duration = Duration::from_secs(1);

/// A reading that was acknowledged so long ago and has not come out counts as lost while the table is live.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Draws the state of the demonstration.
pub struct Table {
    terminal: bool,
    last_line: Option<Instant>,
    /// What each sensor had acknowledged, and when.
    history: VecDeque<(Instant, Vec<u64>)>,
}

impl Table {
    /// Prints the head.
    pub fn new() -> Table {
        println!(
            "{:>8} {:>9} {:>13} {:>9} {:>8} {:>6} {:>11}   {:<16}",
            "seconds", "messages", "acknowledged", "out", "on way", "lost", "reconnects", "memory / budget"
        );
        Table { terminal: stdout().is_terminal(), last_line: None, history: VecDeque::new() }
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
            "{:>8.1} {:>9} {:>13} {:>9} {:>8} {:>6} {:>11}   {:.1} / {:.0} MiB {event}",
            elapsed.as_secs_f64(),
            ledger.sent(),
            ledger.acknowledged(),
            ledger.out(),
            ledger.on_the_way(),
            self.lost(ledger),
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

    fn lost(&mut self, ledger: &Ledger) -> u64 {
        self.history.push_back((Instant::now(), ledger.acknowledged_each()));
        while self.history.get(1).is_some_and(|(at, _)| at.elapsed() >= LOST_AFTER) {
            self.history.pop_front();
        }
        match self.history.front() {
            Some((at, acknowledged)) if at.elapsed() >= LOST_AFTER => ledger.missing_of(acknowledged),
            _ => 0,
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
