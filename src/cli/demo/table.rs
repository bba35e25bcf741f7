//! What the demonstration shows: events as lines that stay, and below them, on a terminal, a table of the nodes that is
//! drawn anew in place. Where the output is no terminal there are the events alone, and the table once at the end.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::monitor::Whole;
use super::node::{Condition, Node};

/// Between two drawings.
const RHYTHM: Duration = Duration::from_millis(200);

/// A reading that was acknowledged so long ago and has not come out counts as lost while the table is live.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Draws the state of the demonstration.
pub struct Table {
    is_terminal: bool,
    is_coloured: bool,
    started: Instant,
    drawn_at: Option<Instant>,
    /// Lines of the table that stand on the terminal.
    lines: usize,
    /// What each sensor had acknowledged, and when.
    history: VecDeque<(Instant, Vec<u64>)>,
}

impl Table {
    /// Nothing is drawn yet; times are counted from now.
    pub fn new() -> Table {
        let is_terminal = stdout().is_terminal();
        let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Table { is_terminal, is_coloured, started: Instant::now(), drawn_at: None, lines: 0, history: VecDeque::new() }
    }

    /// Says something that stays.
    pub fn event(&mut self, text: &str) {
        self.erase();
        println!("{:>7.1} s  {text}", self.started.elapsed().as_secs_f64());
        self.drawn_at = None;
    }

    /// Draws the table again, if it is time and somebody sees it.
    pub fn refresh(&mut self, nodes: &[Node], whole: &Whole, ledger: &Ledger) {
        let is_due = self.drawn_at.is_none_or(|at| at.elapsed() >= RHYTHM);
        if self.is_terminal && is_due {
            self.draw(nodes, whole, ledger);
        }
    }

    /// Draws it for the last time.
    pub fn finish(&mut self, nodes: &[Node], whole: &Whole, ledger: &Ledger) {
        self.draw(nodes, whole, ledger);
        self.lines = 0;
    }

    fn draw(&mut self, nodes: &[Node], whole: &Whole, ledger: &Ledger) {
        self.drawn_at = Some(Instant::now());
        let lost = self.lost(ledger);
        let mut text = String::from("\n");
        text.push_str(&self.emphasis("1", "   NODE  ROLE        LEADS  IN SYNC     LAG  MEMORY / BUDGET"));
        text.push('\n');
        for (index, node) in nodes.iter().enumerate() {
            text.push_str(&self.row(node, whole, whole.lags.get(index).copied().unwrap_or(0)));
            text.push('\n');
        }
        let (_, doubled) = ledger.again();
        let wrong = format!("lost {lost}   doubled {doubled}   overtaken {}", ledger.overtaken());
        let is_wrong = lost + doubled + ledger.overtaken() > 0;
        text.push_str(&format!(
            "\n{:>7.1} s  sent {}   acknowledged {}   read {}\n           {}   slowest answer {:.1} s\n",
            self.started.elapsed().as_secs_f64(),
            ledger.sent(),
            ledger.acknowledged(),
            ledger.out(),
            self.emphasis(if is_wrong { "31" } else { "32" }, &wrong),
            ledger.longest_wait().as_secs_f64(),
        ));
        self.erase();
        self.lines = text.lines().count();
        print!("{text}");
        let _ = stdout().flush(); // a terminal that is gone has nobody to tell
    }

    fn row(&self, node: &Node, whole: &Whole, lag: i64) -> String {
        let number = node.number;
        let (role, colour) = match node.condition {
            Condition::Killed => ("killed", "31"),
            Condition::Paused => ("paused", "33"),
            Condition::CutOff => ("cut off", "33"),
            Condition::Running if whole.controller == number as i32 => ("controller", "32"),
            Condition::Running => ("follower", "0"),
        };
        let role = self.emphasis(colour, &format!("{role:<10}"));
        let in_sync = format!("{}/{}", whole.in_sync(number), whole.partitions.len());
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let (resident, budget) = (mib(node.resident_bytes()), mib(node.budget_bytes));
        let led = whole.led_by(number);
        format!("   {number:>4}  {role}  {led:>5}  {in_sync:>7}  {lag:>6}  {resident:.1} / {budget:.0} MiB")
    }

    /// Text in one of the terminal's colours, where it has any.
    fn emphasis(&self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Takes the table from the terminal.
    fn erase(&mut self) {
        if self.is_terminal && self.lines > 0 {
            print!("\x1b[{}A\x1b[J", self.lines);
        }
        self.lines = 0;
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
}
