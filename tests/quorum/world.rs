//! Members, their disks and the wire between them, driven one small step at a time; checks what must hold on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tern::effect::{DiskOp, Effect, Effects, Lane};
use tern::log::job;
use tern::memory::Account;
use tern::quorum::{PeerMessage, ProposalId, Quorum, QuorumConfig, QuorumEvent, Role, SnapshotProgress};
use tern::types::{Instant, NodeId, Now, Rng, Ticket, Timestamp, crc32c};

use super::disk::SimDisk;

/// What a node's state machine knows: a checksum over everything it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub index: u64,
    crc: u32,
}

impl Machine {
    fn apply(&mut self, index: u64, bytes: &[u8]) {
        assert!(index > self.index, "entry {index} after {}", self.index);
        self.index = index;
        self.crc = crc32c::append(self.crc, bytes);
    }

    fn bytes(self) -> Vec<u8> {
        [&self.index.to_be_bytes()[..], &self.crc.to_be_bytes()[..]].concat()
    }

    fn parse(bytes: &[u8]) -> Machine {
        Machine {
            index: u64::from_be_bytes(bytes[..8].try_into().unwrap()),
            crc: u32::from_be_bytes(bytes[8..12].try_into().unwrap()),
        }
    }
}

pub struct Member {
    pub id: i32,
    pub quorum: Option<Quorum>,
    pub disk: SimDisk,
    /// Operations of one lane are carried out in order, lanes independently of each other.
    pub lanes: BTreeMap<Lane, VecDeque<(Ticket, DiskOp)>>,
    pub machine: Machine,
    pub restoring: Vec<u8>,
    /// The snapshot under way, slice by slice.
    pub snapshot: Option<VecDeque<Vec<u8>>>,
    pub proposed: BTreeMap<ProposalId, Vec<u8>>,
    pub is_recovered: bool,
    /// How far this member's clock is ahead.
    pub ahead_ms: u64,
}

impl Member {
    /// Nothing is asked of its disk.
    pub fn is_disk_idle(&self) -> bool {
        self.lanes.values().all(VecDeque::is_empty)
    }
}

pub struct World {
    pub rng: Rng,
    pub now: u64,
    pub members: Vec<Member>,
    pub wire: Vec<(NodeId, NodeId, Vec<u8>)>,
    pub log_bytes_max: u64,
    pub account: Account,
    /// What was delivered at each index, by anybody, and the checksum after it.
    pub delivered: BTreeMap<u64, (Vec<u8>, u32)>,
    pub acknowledged: BTreeSet<Vec<u8>>,
    pub next_value: u64,
    pub trace: u32,
    pub snapshots: u32,
    pub restored: u32,
    pub cuts: u32,
    pub fatal: Option<String>,
    /// Messages from the first to the second get lost.
    pub cut_off: BTreeSet<(i32, i32)>,
    /// Who led in each term, by raft id.
    pub leaders: BTreeMap<u64, u64>,
    /// Whom each voter has given its vote, by raft id and term.
    pub votes: BTreeMap<(u64, u64), u64>,
    /// Raft ids of disks that are gone.
    pub gone: BTreeSet<u64>,
    pub wipes: u32,
    /// Snapshots that a running member took over from another.
    pub received: u32,
    /// A member shall crash the moment after it has given its vote.
    crashes_after_vote: bool,
    /// The member that is driven finds its disk full at its start, and ends itself.
    has_no_room: bool,
    /// Disks that had no room for a while.
    pub full: u32,
}

impl World {
    pub fn new(seed: u64, members: i32, log_bytes_max: u64) -> World {
        let member = |id| Member {
            id,
            quorum: None,
            disk: SimDisk::new(seed),
            lanes: BTreeMap::new(),
            machine: Machine::default(),
            restoring: Vec::new(),
            snapshot: None,
            proposed: BTreeMap::new(),
            is_recovered: false,
            ahead_ms: 0,
        };
        World {
            rng: Rng::new(seed),
            now: 0,
            members: (0..members).map(member).collect(),
            wire: Vec::new(),
            log_bytes_max,
            account: Account::new(4 << 20),
            delivered: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            next_value: 0,
            trace: 0,
            snapshots: 0,
            restored: 0,
            cuts: 0,
            fatal: None,
            cut_off: BTreeSet::new(),
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            gone: BTreeSet::new(),
            wipes: 0,
            received: 0,
            crashes_after_vote: false,
            has_no_room: false,
            full: 0,
        }
    }

    pub fn at(&self, which: usize) -> Now {
        let now = self.now + self.members[which].ahead_ms;
        Now { mono: Instant(now * 1000), wall: Timestamp(1_800_000_000_000 + now as i64) }
    }

    pub fn start(&mut self, which: usize) {
        let members = self.members.iter().map(|member| (NodeId(member.id), true)).collect();
        let config = QuorumConfig {
            node: NodeId(self.members[which].id),
            members,
            lines_crc: 0,
            forms_alone: false,
            // Short, so that a run sees many elections and votes meet each other.
            tick_ms: 10,
            election_ticks: 5,
            account: self.account.clone(),
            log_bytes_max: self.log_bytes_max,
            snapshots_kept: 1,
            clock_floor: Timestamp(1_700_000_000_000),
        };
        let mut quorum = Quorum::new(config, Rng::new(self.rng.next()));
        let mut fx = Effects::default();
        quorum.start(self.at(which), &mut fx);
        quorum.set_members(self.members.iter().map(|member| (NodeId(member.id), true)).collect());
        for other in 0..self.members.len() as i32 {
            if other != which as i32 {
                quorum.peer_up(self.at(which), NodeId(other), &mut fx);
            }
        }
        let member = &mut self.members[which];
        member.quorum = Some(quorum);
        member.machine = Machine::default();
        member.restoring.clear();
        member.snapshot = None;
        member.is_recovered = false;
        self.follow(which, fx);
    }

    fn crash(&mut self, which: usize) {
        let member = &mut self.members[which];
        member.quorum = None;
        member.lanes.clear();
        member.proposed.clear(); // nobody will ever hear of them
        member.disk.power_cut(&mut self.rng);
    }

    /// A member's disk is lost, and a new one takes its place. Only when nobody would lose by it: all vote, none is new.
    fn wipe(&mut self, which: usize) {
        let current: BTreeSet<u64> =
            self.members.iter().filter_map(|member| member.quorum.as_ref()).map(|quorum| quorum.raft_id()).collect();
        let sees_all = |member: &Member| {
            member.quorum.as_ref().is_some_and(|quorum| {
                let ids: BTreeSet<u64> = quorum.describe().members.iter().map(|member| member.raft_id).collect();
                quorum.role() != Role::Absent && ids == current && !quorum.is_learner()
            })
        };
        if current.len() < self.members.len() || !self.members.iter().all(sees_all) {
            return;
        }
        self.gone.extend(self.members[which].quorum.as_ref().map(|quorum| quorum.raft_id()));
        self.crash(which);
        // Connections end with their board: what comes later would be taken for a second one of its number.
        self.wire.retain(|(from, ..)| from.0 as usize != which);
        self.members[which].disk = SimDisk::new(self.rng.next());
        self.wipes += 1;
    }

    /// What must hold of everything that is said.
    fn hear(&mut self, which: usize, message: &PeerMessage) {
        let PeerMessage::Raft(message) = message else { return };
        assert!(!self.gone.contains(&message.from), "a disk that is gone speaks");
        if message.grants_vote() {
            let vote = self.votes.entry((message.from, message.term())).or_insert(message.to);
            assert_eq!(*vote, message.to, "{} votes twice in term {}", message.from, message.term());
            self.crashes_after_vote |= self.rng.one_in(3);
        }
        let quorum = self.members[which].quorum.as_ref();
        assert_eq!(quorum.map(|quorum| quorum.raft_id()), Some(message.from));
    }

    /// Drives a member and takes what it asks for.
    fn follow(&mut self, which: usize, mut fx: Effects) {
        let now = self.at(which);
        while self.next_event(which, now, &mut fx) {}
        if std::mem::take(&mut self.has_no_room) {
            return self.crash(which);
        }
        let member = &mut self.members[which];
        let Some(quorum) = &mut member.quorum else { return };
        let mut said = Vec::new();
        while let Some(message) = quorum.next_message() {
            said.push(message);
        }
        let id = NodeId(member.id);
        for (to, message) in said {
            self.hear(which, &message);
            self.wire.push((id, to, message.encode()));
        }
        let member = &mut self.members[which];
        for effect in fx.take() {
            match effect {
                Effect::Disk { lane, ticket, op } => {
                    self.trace = crc32c::append(self.trace, format!("{which} {ticket:?} {op:?}").as_bytes());
                    member.lanes.entry(lane).or_default().push_back((ticket, op));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn next_event(&mut self, which: usize, now: Now, fx: &mut Effects) -> bool {
        let member = &mut self.members[which];
        let Some(quorum) = &mut member.quorum else { return false };
        if let Some(slices) = &mut member.snapshot {
            match quorum.snapshot_progress() {
                SnapshotProgress::WantsSlice => match slices.pop_front() {
                    Some(slice) => quorum.snapshot_slice(&slice, fx),
                    None => quorum.finish_snapshot(fx),
                },
                SnapshotProgress::Writing => {}
                SnapshotProgress::None => {
                    member.snapshot = None;
                    self.snapshots += 1;
                }
            }
        }
        let Some(event) = quorum.next_event(now, fx) else { return false };
        match event {
            QuorumEvent::SnapshotSlice(slice) => member.restoring.extend_from_slice(&slice),
            QuorumEvent::SnapshotRestored => {
                member.machine = Machine::parse(&std::mem::take(&mut member.restoring));
                self.restored += 1;
                self.received += member.is_recovered as u32;
                let crc = self.delivered.get(&member.machine.index).map_or(0, |(_, crc)| *crc);
                assert_eq!(member.machine.crc, crc);
            }
            QuorumEvent::Committed(committed) => {
                let bytes = committed.bytes.to_vec();
                member.machine.apply(committed.index, &bytes);
                let crc = member.machine.crc;
                let known = self.delivered.entry(committed.index).or_insert((bytes.clone(), crc));
                assert_eq!(*known, (bytes, crc), "member {} entry {}", member.id, committed.index);
                if let Some(proposal) = committed.proposal {
                    let value = member.proposed.remove(&proposal).unwrap();
                    assert_eq!(value, known.0);
                    self.acknowledged.insert(value);
                }
            }
            QuorumEvent::Lost(proposal) => assert!(member.proposed.remove(&proposal).is_some()),
            QuorumEvent::Recovered => member.is_recovered = true,
            QuorumEvent::SnapshotWanted => {
                let state = member.machine.bytes();
                if quorum.begin_snapshot(fx) {
                    member.snapshot = Some(state.chunks(5).map(<[u8]>::to_vec).collect());
                }
            }
            QuorumEvent::Leading(term) => {
                let id = quorum.raft_id();
                let leader = *self.leaders.entry(term.0).or_insert(id);
                assert_eq!(leader, id, "two leaders in term {}", term.0);
                assert!(!quorum.is_learner());
            }
            QuorumEvent::Following
            | QuorumEvent::Forming
            | QuorumEvent::MembershipChanged
            | QuorumEvent::CaughtUp(_)
            | QuorumEvent::Stopped => {}
            QuorumEvent::Warning(sentence) => self.cuts += sentence.contains("never synced") as u32,
            QuorumEvent::Fatal(sentence)
                if member.disk.capacity_bytes.is_some() && sentence.contains("disk is full") =>
            {
                self.has_no_room = true; // to start on
            }
            QuorumEvent::Fatal(sentence) => self.fatal = Some(format!("member {}: {sentence}", member.id)),
        }
        true
    }

    pub fn disk_step(&mut self, which: usize) {
        let member = &mut self.members[which];
        let busy: Vec<Lane> = member.lanes.iter().filter(|(_, ops)| !ops.is_empty()).map(|(lane, _)| *lane).collect();
        if busy.is_empty() {
            return;
        }
        let lane = busy[self.rng.below(busy.len() as u64) as usize];
        let (ticket, op) = member.lanes.get_mut(&lane).unwrap().pop_front().unwrap();
        let result = job::run(op, &mut member.disk);
        if member.disk.is_off {
            return self.crash(which);
        }
        let mut fx = Effects::default();
        let now = self.at(which);
        if let Some(quorum) = &mut self.members[which].quorum {
            assert!(quorum.disk_done(now, ticket, result, &mut fx));
        }
        self.follow(which, fx);
    }

    pub fn propose(&mut self, which: usize) {
        let value = format!("value {} {}", self.next_value, "x".repeat(self.rng.below(200) as usize)).into_bytes();
        let member = &mut self.members[which];
        let Some(quorum) = &mut member.quorum else { return };
        if let Ok(proposal) = quorum.propose(value.clone()) {
            self.next_value += 1;
            member.proposed.insert(proposal, value);
        }
    }

    pub fn turn_end(&mut self, which: usize) {
        let now = self.at(which);
        let mut fx = Effects::default();
        if let Some(quorum) = &mut self.members[which].quorum {
            quorum.turn_end(now, &mut fx);
        }
        self.follow(which, fx);
    }

    pub fn pass_time(&mut self, which: usize) {
        let now = self.at(which);
        let mut fx = Effects::default();
        if let Some(quorum) = &mut self.members[which].quorum
            && quorum.next_deadline().is_some_and(|at| at <= now.mono)
        {
            quorum.on_time(now, &mut fx);
        }
        self.follow(which, fx);
    }

    fn receive(&mut self, faults: bool) {
        if self.wire.is_empty() {
            return;
        }
        let place = self.rng.below(self.wire.len() as u64) as usize;
        let (from, to, bytes) = self.wire.swap_remove(place);
        if faults && (self.rng.one_in(10) || self.cut_off.contains(&(from.0, to.0))) {
            return;
        }
        if faults && self.rng.one_in(20) {
            self.wire.push((from, to, bytes.clone()));
        }
        let which = to.0 as usize;
        let now = self.at(which);
        let mut fx = Effects::default();
        if let Some(quorum) = &mut self.members[which].quorum {
            quorum.step_peer(now, from, PeerMessage::decode(&bytes).unwrap(), &mut fx);
        }
        self.follow(which, fx);
    }

    pub fn step(&mut self, faults: bool) {
        if std::mem::take(&mut self.crashes_after_vote) && faults {
            // Mostly the message is out and the disk has not been asked yet.
            let voter = self.wire.last().map(|(from, _, _)| from.0 as usize);
            voter.into_iter().for_each(|voter| self.crash(voter));
        }
        let which = self.rng.below(self.members.len() as u64) as usize;
        if self.members[which].quorum.is_none() {
            if !faults || self.rng.one_in(20) {
                self.start(which);
            }
            return;
        }
        match self.rng.below(20) {
            0 => {
                self.now += self.rng.below(20);
                (0..self.members.len()).for_each(|which| self.pass_time(which));
            }
            1..=3 => self.propose(which),
            4..=7 => self.turn_end(which),
            8..=13 => self.disk_step(which),
            14..=18 => self.receive(faults),
            _ if faults && self.members.len() > 1 && self.rng.one_in(3) => self.trouble(which),
            _ if faults && self.rng.one_in(8) => self.crash(which),
            _ if faults && self.rng.one_in(4) => {
                self.members[which].disk.calls_until_power_cut = Some(self.rng.below(60))
            }
            _ => {}
        }
    }

    /// What happens to members that have others.
    fn trouble(&mut self, which: usize) {
        let other = self.rng.below(self.members.len() as u64) as i32;
        let id = which as i32;
        match self.rng.below(40) {
            0..=5 => drop(self.cut_off.insert((id, other))),
            6..=8 => self.cut_off.extend([(id, other), (other, id)]),
            9..=20 => self.cut_off.clear(),
            21..=24 => self.members[which].ahead_ms += self.rng.below(1000),
            25 => self.wipe(which),
            26..=28 => self.now += 400 + self.rng.below(400),
            29 => {
                self.full += 1;
                let used = self.members[which].disk.used_bytes();
                self.members[which].disk.capacity_bytes = Some(used + self.rng.below(300));
            }
            30..=37 => self.members[which].disk.capacity_bytes = None,
            _ => {}
        }
    }

    pub fn settle(&mut self) {
        self.cut_off.clear();
        for member in &mut self.members {
            member.disk.calls_until_power_cut = None;
            member.disk.capacity_bytes = None;
        }
        (0..2000).for_each(|_| self.step(false));
        for round in 0..40_000 {
            let which = self.rng.below(self.members.len() as u64) as usize;
            self.now += 1;
            self.pass_time(which);
            self.turn_end(which);
            self.disk_step(which);
            (0..4).for_each(|_| self.receive(false));
            if round % 200 == 0 && self.is_settled() {
                if round > 2000 {
                    return;
                }
                // A leader that nobody contests takes new proposals.
                let leader = self.members.iter().position(|member| member.quorum.as_ref().unwrap().is_leader());
                leader.into_iter().for_each(|leader| self.propose(leader));
            }
        }
    }

    fn is_settled(&self) -> bool {
        let first = self.members[0].machine;
        let is_idle = |member: &Member| member.proposed.is_empty() && member.is_disk_idle() && member.is_recovered;
        let votes = |member: &Member| member.quorum.as_ref().is_some_and(|quorum| !quorum.is_learner());
        self.members.iter().all(|member| member.machine == first && votes(member) && is_idle(member))
    }

    pub fn check(&self) {
        assert_eq!(self.fatal, None);
        let delivered: BTreeSet<&Vec<u8>> = self.delivered.values().map(|(value, _)| value).collect();
        for value in &self.acknowledged {
            assert!(delivered.contains(value));
        }
        let first = self.members[0].machine;
        for member in &self.members {
            assert!(member.quorum.is_some() && member.is_recovered, "member {}", member.id);
            assert_eq!(member.machine, first, "member {}", member.id);
            assert!(member.proposed.is_empty(), "member {}", member.id);
            assert!(!member.quorum.as_ref().unwrap().is_learner(), "member {}", member.id);
        }
        assert_eq!(self.delivered.keys().next_back(), Some(&first.index));
    }
}
