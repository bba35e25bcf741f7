//! What breaks, and how it is mended: the second half of a run mends everything.
//!
//! A board is off, pauses or is cut off for less than three seconds mostly; disks fill up, stall, become slow, lose what was
//! not synced and refuse a sync; clocks jump and drift. The mix follows from the seed.

use tern::node::Input;

use super::World;
use crate::clients::Phase;
use crate::disk::SimDisk;
use crate::event::Event;

/// What is broken now.
#[derive(Clone, Debug)]
enum Trouble {
    Blocked(Vec<(usize, usize)>),
    Full(usize),
    SlowDisk(usize),
    SlowNetwork,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub faults: u32,
    pub power_cuts: u32,
    pub kills: u32,
    pub stopped: u32,
    pub ended: u32,
    pub paused: u32,
    pub blocked: u32,
    pub full: u32,
    pub stalled: u32,
    pub jumped: u32,
    pub lost_disks: u32,
}

/// The troubles of a run.
#[derive(Default)]
pub struct Faults {
    troubles: Vec<Option<Trouble>>,
    pub counts: Counts,
    /// Milliseconds between two faults, at most.
    pause_ms: u64,
}

impl World {
    /// From now on things break.
    pub fn begin_faults(&mut self, pause_ms: u64) {
        self.faults.pause_ms = pause_ms;
        self.queue.push(self.now, Event::Fault);
    }

    /// From now on nothing breaks, and everything is mended.
    pub fn heal(&mut self) {
        self.phase = Phase::Healing;
        for trouble in 0..self.faults.troubles.len() {
            self.mend(trouble);
        }
        self.network.unblock_all();
        for board in 0..self.boards.len() {
            self.boards[board].disk.calls_until_power_cut = None;
            self.boards[board].disk.syncs_until_error = None;
            self.boards[board].disk.capacity_bytes = None;
            self.boards[board].is_held = false;
            if self.boards[board].node.is_none() {
                self.start_again(board, 1_000_000);
            }
        }
    }

    fn trouble(&mut self, trouble: Trouble, lasts_ms: u64) {
        let number = self.faults.troubles.len();
        self.faults.troubles.push(Some(trouble));
        self.queue.push(self.now + lasts_ms * 1000, Event::Mend(number));
    }

    pub(super) fn mend(&mut self, number: usize) {
        match self.faults.troubles[number].take() {
            Some(Trouble::Blocked(ways)) => ways.iter().for_each(|(from, to)| self.network.unblock(*from, *to)),
            Some(Trouble::Full(board)) => self.boards[board].disk.capacity_bytes = None,
            Some(Trouble::SlowDisk(board)) => self.boards[board].disk_micros = 150,
            Some(Trouble::SlowNetwork) => self.network.delay_micros = (80, 200),
            None => {}
        }
    }

    pub(super) fn fault(&mut self) {
        if self.phase != Phase::Breaking {
            return;
        }
        let after = self.rng.below(self.faults.pause_ms * 1000) + 50_000;
        self.queue.push(self.now + after, Event::Fault);
        self.faults.counts.faults += 1;
        let board = self.rng.below(self.boards.len() as u64) as usize;
        let is_on = self.boards[board].node.is_some();
        match self.rng.below(40) {
            0..=2 if is_on => self.fail_power(board),
            3 => (0..self.boards.len()).for_each(|board| self.fail_power(board)),
            4..=7 if is_on => {
                self.faults.counts.kills += 1;
                self.kill(board);
                self.start_again(board, 2_500_000);
            }
            8..=11 => self.boards[board].disk.calls_until_power_cut = Some(self.rng.below(80)),
            12..=13 if is_on => self.step(board, Input::Stop),
            14..=16 => self.pause(board),
            17..=18 => {
                self.faults.counts.stalled += 1;
                self.boards[board].stalled_until = self.now + 100_000 + self.rng.below(2_800_000);
            }
            19..=21 => self.block_one_way(board),
            22..=24 => self.isolate(board),
            25..=26 => self.cut_some_wire(),
            27..=29 => self.cut_some_clients(),
            30..=32 => self.fill(board),
            33..=34 => self.jump(board),
            35 => {
                self.boards[board].disk_micros = 2_000 + self.rng.below(12_000);
                self.trouble(Trouble::SlowDisk(board), 2_000);
            }
            36..=37 => {
                self.network.delay_micros = (500 + self.rng.below(5_000), 2_000 + self.rng.below(40_000));
                self.trouble(Trouble::SlowNetwork, 1_500);
            }
            38 if is_on => {
                self.boards[board].disk.syncs_until_error = Some(self.rng.below(30));
                self.boards[board].may_end = true;
            }
            _ => self.cut_some_wire(),
        }
    }

    /// The disk is gone, and an empty one takes its place. Only one that all others can do without is lost: what makes
    /// that sure is that everything was in order before.
    pub fn lose_disk(&mut self, board: usize) {
        self.fail_power(board);
        self.boards[board].disk = SimDisk::new(self.rng.next());
        self.faults.counts.lost_disks += 1;
    }

    /// A board without power, for a moment.
    pub fn fail_power(&mut self, board: usize) {
        if self.boards[board].node.is_some() {
            self.faults.counts.power_cuts += 1;
            self.crash(board);
            self.start_again(board, 2_500_000);
        }
    }

    fn pause(&mut self, board: usize) {
        self.faults.counts.paused += 1;
        let longest = if self.rng.one_in(4) { 4_000_000 } else { 800_000 };
        let until = self.now + self.rng.below(longest);
        self.boards[board].paused_until = self.boards[board].paused_until.max(until);
    }

    fn block_one_way(&mut self, board: usize) {
        self.faults.counts.blocked += 1;
        let other = (board + 1 + self.rng.below(self.boards.len() as u64 - 1) as usize) % self.boards.len();
        self.block(board, other);
        let lasts = 100 + self.rng.below(2_400);
        self.trouble(Trouble::Blocked(vec![(board, other)]), lasts);
    }

    /// Nothing comes out of a board, or into it, or neither.
    fn isolate(&mut self, board: usize) {
        self.faults.counts.blocked += 1;
        let (out, into) = [(true, true), (true, true), (true, false), (false, true)][self.rng.below(4) as usize];
        let mut ways = Vec::new();
        for other in (0..self.boards.len()).filter(|other| *other != board) {
            ways.extend(out.then_some((board, other)));
            ways.extend(into.then_some((other, board)));
        }
        ways.iter().for_each(|(from, to)| self.block(*from, *to));
        let lasts = 100 + self.rng.below(2_400);
        self.trouble(Trouble::Blocked(ways), lasts);
    }

    fn cut_some_wire(&mut self) {
        let count = self.network.wires.len() as u64;
        let at = self.rng.below(count) as usize;
        let id = self.network.wires.keys().nth(at).copied();
        id.into_iter().for_each(|id| self.break_wire(id, 20_000));
    }

    fn cut_some_clients(&mut self) {
        let sockets: Vec<usize> = self.open_sockets.values().copied().collect();
        for socket in sockets {
            if self.rng.one_in(3) {
                self.cut(socket);
            }
        }
    }

    fn fill(&mut self, board: usize) {
        self.faults.counts.full += 1;
        let used = self.boards[board].disk.used_bytes();
        self.boards[board].disk.capacity_bytes = Some(used + self.rng.below(3_000));
        let lasts = 300 + self.rng.below(3_000);
        self.trouble(Trouble::Full(board), lasts);
    }

    fn jump(&mut self, board: usize) {
        self.faults.counts.jumped += 1;
        let days = self.rng.below(20) as i64 - 10;
        self.boards[board].clock.wrong_ms = if self.rng.one_in(2) { days * 86_400_000 } else { days * 500 };
    }
}
