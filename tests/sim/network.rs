//! What lies between the boards: for each pair two connections each way, as the shell keeps them.
//!
//! They are TCP, so that a message is never lost, doubled or overtaken on its connection: what gets lost is the connection
//! with everything that was queued on it, and `PeerDown` tells the sender, sooner or later. A way that is blocked delays
//! what is on it, until the sender's kernel gives up. Connections of two channels overtake each other at will.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use tern::effect::{CHANNELS, Channel};
use tern::limits::PEER_QUEUE_MESSAGES_MAX;
use tern::memory::Grant;
use tern::node::Input;
use tern::types::crc32c;

use super::World;
use crate::event::{Event, WireId};

/// What is sent and not acknowledged for so long ends a connection, as in `runtime/peers`.
const UNACKNOWLEDGED_MICROS: u64 = 5_000_000;

/// How soon a blocked message is tried again.
const RETRY_MICROS: u64 = 25_000;

/// One connection from its dialer's side.
#[derive(Default)]
pub struct Wire {
    pub generation: u32,
    /// The sender believes in it.
    pub is_up: bool,
    /// It is gone in truth: what is sent goes nowhere.
    is_broken: bool,
    queue: VecDeque<(Bytes, Grant)>,
    /// Nothing arrives before this.
    last_at: u64,
    is_dialing: bool,
}

/// All of them, and what is blocked.
pub struct Network {
    pub wires: BTreeMap<WireId, Wire>,
    /// Nothing arrives on the way from the first to the second; counted, because troubles overlap.
    blocked: BTreeMap<(usize, usize), u32>,
    /// Nothing arrives on these connections, whatever else passes between the two boards.
    silent: BTreeSet<WireId>,
    /// What a message takes at least, and at most beyond that.
    pub delay_micros: (u64, u64),
    pub lost: u64,
}

impl Network {
    pub fn new(boards: usize) -> Network {
        let mut wires = BTreeMap::new();
        for from in 0..boards {
            for to in (0..boards).filter(|to| *to != from) {
                for channel in CHANNELS {
                    wires.insert(WireId { from, to, channel }, Wire::default());
                }
            }
        }
        Network { wires, blocked: BTreeMap::new(), silent: BTreeSet::new(), delay_micros: (80, 200), lost: 0 }
    }

    pub fn block(&mut self, from: usize, to: usize) {
        *self.blocked.entry((from, to)).or_default() += 1;
    }

    pub fn unblock(&mut self, from: usize, to: usize) {
        if let Some(count) = self.blocked.get_mut(&(from, to)) {
            *count = count.saturating_sub(1);
        }
    }

    pub fn unblock_all(&mut self) {
        self.blocked.clear();
        self.silent.clear();
    }

    fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    fn is_whole(&self, wire: WireId) -> bool {
        !self.is_blocked(wire.from, wire.to) && !self.is_blocked(wire.to, wire.from) && !self.silent.contains(&wire)
    }
}

impl World {
    /// The node of a board wants to be connected to these.
    pub(super) fn want_peers(&mut self, board: usize, wanted: Vec<usize>) {
        let gone: BTreeSet<usize> = self.boards[board].wanted.iter().copied().collect();
        self.boards[board].wanted = wanted.clone();
        for to in gone.into_iter().filter(|to| !wanted.contains(to)) {
            CHANNELS.into_iter().for_each(|channel| self.break_wire(WireId { from: board, to, channel }, 0));
        }
        for to in wanted {
            CHANNELS.into_iter().for_each(|channel| self.redial(WireId { from: board, to, channel }, 500));
        }
    }

    fn redial(&mut self, id: WireId, within_micros: u64) {
        let after = within_micros / 2 + self.rng.below(within_micros / 2 + 1);
        let life = self.boards[id.from].life;
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        if !wire.is_up && !wire.is_dialing {
            wire.is_dialing = true;
            self.queue.push(self.now + after, Event::Dial { wire: id, life });
        }
    }

    pub(super) fn dial(&mut self, id: WireId, life: u32) {
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        wire.is_dialing = false;
        if self.boards[id.from].life != life || !self.boards[id.from].wanted.contains(&id.to) || wire.is_up {
            return;
        }
        // A process that stands still does not answer, and its own attempts stand still as well.
        let answers = |board: usize| self.boards[board].node.is_some() && self.boards[board].paused_until <= self.now;
        if !answers(id.from) || !answers(id.to) || !self.network.is_whole(id) {
            return self.redial(id, 600_000);
        }
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        (wire.is_up, wire.is_broken, wire.generation, wire.last_at) = (true, false, wire.generation + 1, self.now);
        wire.queue.clear();
        let peer = self.boards[id.to].id;
        self.step(id.from, Input::PeerUp { peer, channel: id.channel });
    }

    /// A message leaves.
    pub(super) fn peer_send(&mut self, from: usize, to: usize, channel: Channel, bytes: Bytes, grant: Grant) {
        let id = WireId { from, to, channel };
        let (least, spread) = self.network.delay_micros;
        let jitter = self.rng.below(spread + 1) + if self.rng.one_in(400) { 20 * spread } else { 0 };
        let Some(wire) = self.network.wires.get_mut(&id) else { return };
        if !wire.is_up || wire.queue.len() >= PEER_QUEUE_MESSAGES_MAX {
            return;
        }
        if wire.is_broken {
            self.network.lost += 1;
            return;
        }
        wire.last_at = wire.last_at.max(self.now + least + jitter);
        wire.queue.push_back((bytes, grant));
        self.queue.push(wire.last_at, Event::Deliver { wire: id, generation: wire.generation });
    }

    pub(super) fn deliver(&mut self, id: WireId, generation: u32) {
        let again = |world: &mut World, after: u64| {
            world.queue.push(world.now + after, Event::Deliver { wire: id, generation });
        };
        let is_blocked = self.network.is_blocked(id.from, id.to) || self.network.silent.contains(&id);
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        if wire.generation != generation || wire.is_broken {
            return;
        }
        let Some((bytes, _)) = wire.queue.front() else { return };
        if is_blocked {
            return again(self, RETRY_MICROS);
        }
        // The shell stops reading when there is no memory for a message.
        let Some(grant) = self.boards[id.to].accounts.peers.take(bytes.len()) else { return again(self, 5_000) };
        let (bytes, sent_grant) = wire.queue.pop_front().expect("there is a first one");
        drop(sent_grant);
        let bytes = Bytes::copy_from_slice(&bytes);
        self.trace = crc32c::append(self.trace, &bytes);
        let from = self.boards[id.from].id;
        self.step(id.to, Input::PeerMessage { from, channel: id.channel, bytes, grant });
    }

    /// The connection ends now; its sender learns of it within `micros`.
    pub(super) fn break_wire(&mut self, id: WireId, micros: u64) {
        let after = if micros == 0 { 0 } else { self.rng.below(micros) };
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        if !wire.is_up {
            return;
        }
        wire.is_broken = true;
        self.network.lost += wire.queue.len() as u64;
        wire.queue.clear();
        let generation = wire.generation;
        self.queue.push(self.now + after, Event::WireLost { wire: id, generation });
    }

    pub(super) fn wire_lost(&mut self, id: WireId, generation: u32) {
        let wire = self.network.wires.get_mut(&id).expect("all wires are there");
        if wire.generation != generation || !wire.is_up {
            return;
        }
        wire.is_up = false;
        wire.is_broken = true;
        wire.queue.clear();
        if self.boards[id.from].node.is_some() {
            let peer = self.boards[id.to].id;
            self.step(id.from, Input::PeerDown { peer, channel: id.channel });
            self.redial(id, 50_000);
        }
    }

    /// A board's process ends: its own connections with it, and those to it once their senders notice. Without power
    /// nobody hangs up for it.
    pub(super) fn cut_wires_of(&mut self, board: usize, hangs_up: bool) {
        let ids: Vec<WireId> = self.network.wires.keys().copied().collect();
        for id in ids {
            if id.from == board {
                let wire = self.network.wires.get_mut(&id).expect("all wires are there");
                (wire.is_up, wire.is_broken) = (false, true);
                wire.is_dialing = false;
                wire.queue.clear();
            } else if id.to == board {
                self.break_wire(id, if hangs_up { 2_000 } else { UNACKNOWLEDGED_MICROS });
            }
        }
    }

    /// Nothing of a board's comes through on one channel, to it or from it.
    pub fn silence(&mut self, board: usize, channel: Channel) {
        let ids = self.network.wires.keys().filter(|id| id.channel == channel && (id.from == board || id.to == board));
        self.network.silent.extend(ids);
    }

    /// Nothing comes through from one board to another any more; connections end when it stays so.
    pub fn block(&mut self, from: usize, to: usize) {
        self.network.block(from, to);
        for channel in CHANNELS {
            for id in [WireId { from, to, channel }, WireId { from: to, to: from, channel }] {
                let generation = self.network.wires[&id].generation;
                let after = UNACKNOWLEDGED_MICROS + self.rng.below(1_000_000);
                self.queue.push(self.now + after, Event::GiveUp { wire: id, generation });
            }
        }
    }

    /// The kernel gives up on a connection, unless it was mended meanwhile.
    pub(super) fn wire_given_up(&mut self, id: WireId, generation: u32) {
        let is_broken = self.network.wires[&id].is_broken;
        if is_broken || !self.network.is_whole(id) {
            self.wire_lost(id, generation);
        }
    }
}
