//! Members of both protocols that join, report, leave, die and come back at random, against what must hold whatever
//! they do.
//!
//! Invariants: in the coordinator's view no partition is read by, or being taken from, two members at once; nobody who
//! is a member reads what the coordinator does not know it to read; nothing that was told is lost by a crash; when
//! everything heals, all members read all partitions, each partition once. Same seed, same run.
//!
//! `TERN_SEEDS=N` multiplies the number of runs.

use std::collections::{BTreeMap, BTreeSet};

use super::embedded::{decode_assignment, encode_assignment};
use super::heartbeat_test::{at, indexes, set};
use super::*;
use crate::broker::groups::fixture_test::{Fixture, SUBSCRIPTION, request};
use crate::broker::groups::{GroupAnswer, JoinRefusal, JoinRequest, MemberOf, SyncRequest};
use crate::config::Config;
use crate::types::{PartitionIndex, Rng, TopicId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Out,
    /// A classic member that has a generation and no assignment.
    Syncing,
    In,
}

/// What a client believes.
#[derive(Clone, Debug)]
struct Client {
    is_classic: bool,
    instance: Option<String>,
    id: String,
    epoch: i32,
    phase: Phase,
    owned: Vec<i32>,
    waits: Option<u32>,
    is_dead: bool,
    /// Members that a classic leader must assign to.
    leads: Vec<String>,
    lives: u32,
    /// An answer was lost: the next heartbeat says everything.
    says_all: bool,
}

struct Run {
    f: Fixture,
    rng: Rng,
    clients: Vec<Client>,
    partitions: i32,
    /// What kinds of clients there may be.
    kinds: Vec<bool>,
    upgrades: u32,
    story: Vec<String>,
}

impl Run {
    fn new(seed: u64, kinds: &[bool]) -> Run {
        let mut config = Config::default().groups;
        config.initial_rebalance_delay_ms = 100;
        config.consumer_session_timeout_ms = 6_000;
        let mut rng = Rng::new(seed);
        let clients = (0..6)
            .map(|number| Client {
                is_classic: kinds[rng.below(kinds.len() as u64) as usize],
                instance: (number % 3 == 0).then(|| format!("i{number}")),
                id: format!("m{number}-0"),
                epoch: 0,
                phase: Phase::Out,
                owned: Vec::new(),
                waits: None,
                is_dead: false,
                leads: Vec::new(),
                lives: 0,
                says_all: false,
            })
            .collect();
        let f = Fixture::with(config, 1 << 20);
        Run { f, rng, clients, partitions: 4, kinds: kinds.to_vec(), upgrades: 0, story: Vec::new() }
    }

    fn step(&mut self) {
        let number = self.rng.below(self.clients.len() as u64) as usize;
        match self.rng.below(60) {
            0 => {
                self.f.restart();
                self.f.answers.clear();
                self.clients.iter_mut().for_each(|client| (client.waits, client.says_all) = (None, true));
            }
            1 => self.f.fail(),
            2..8 => self.f.store(),
            8..14 => {
                let milliseconds = self.rng.below(2_000);
                self.f.pass(milliseconds);
            }
            14 => self.clients[number].is_dead ^= true,
            15 => self.leave(number),
            16 | 17 => self.reborn(number),
            18 if self.partitions < 12 => {
                self.partitions += 1;
                self.f.topics.put("t", 1, self.partitions);
            }
            19 => {
                // The answer is lost: the client tries again.
                if let Some(slot) = self.clients[number].waits.filter(|slot| self.f.answers.contains_key(slot)) {
                    self.f.answers.remove(&slot);
                    (self.clients[number].waits, self.clients[number].says_all) = (None, true);
                }
            }
            _ if self.clients[number].is_dead => {}
            _ => self.act(number),
        }
        self.hear();
        self.check();
    }

    /// A new process, perhaps of the other protocol.
    fn reborn(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.lives += 1;
        client.is_classic = self.kinds[self.rng.below(self.kinds.len() as u64) as usize];
        client.id = if client.is_classic { String::new() } else { format!("m{number}-{}", client.lives) };
        (client.epoch, client.phase, client.waits) = (0, Phase::Out, None);
        (client.owned, client.leads) = (Vec::new(), Vec::new());
    }

    fn fenced(&mut self, number: usize) {
        let client = &mut self.clients[number];
        (client.epoch, client.phase, client.owned, client.leads) = (0, Phase::Out, Vec::new(), Vec::new());
    }

    fn leave(&mut self, number: usize) {
        let client = self.clients[number].clone();
        if client.is_classic {
            let _ = self.f.leave(&client.id, client.instance.as_deref());
        } else {
            let epoch = if client.instance.is_some() && self.rng.one_in(2) { LEAVING_FOR_A_WHILE } else { LEAVING };
            let _ = self.f.beat(&ConsumerHeartbeat { instance: client.instance.as_deref(), ..at(&client.id, epoch) });
        }
        self.reborn(number);
    }

    fn act(&mut self, number: usize) {
        if self.clients[number].waits.is_some() {
            return;
        }
        match self.clients[number].is_classic {
            true => self.act_classic(number),
            false => self.act_consumer(number),
        }
    }

    fn act_consumer(&mut self, number: usize) {
        let client = self.clients[number].clone();
        let mut request = at(&client.id, client.epoch);
        request.instance = client.instance.as_deref();
        if client.phase == Phase::In && client.says_all {
            (request.rebalance_timeout_ms, request.topics) = (Some(4_000), Some(vec!["t"]));
            request.owned = Some(set(&client.owned));
        } else if client.phase == Phase::Out {
            (request.epoch, request.owned) = (JOINING, Some(Partitions::default()));
            (request.rebalance_timeout_ms, request.topics) = (Some(4_000), Some(vec!["t"]));
        } else {
            request.owned = self.rng.one_in(2).then(|| set(&client.owned));
        }
        let slot = self.f.beat(&request);
        self.clients[number].waits = Some(slot);
    }

    fn act_classic(&mut self, number: usize) {
        let client = self.clients[number].clone();
        let from =
            MemberOf { group: "g", member: &client.id, instance: client.instance.as_deref(), generation: client.epoch };
        match client.phase {
            Phase::Out => {
                self.clients[number].owned.clear(); // an eager consumer
                let join = JoinRequest {
                    instance: client.instance.as_deref(),
                    session_timeout_ms: 6_000,
                    rebalance_timeout_ms: 4_000,
                    takes_member_id: client.instance.is_none(),
                    protocols: vec![("range", SUBSCRIPTION)],
                    ..request(&client.id)
                };
                self.clients[number].waits = Some(self.f.join(&join));
            }
            Phase::Syncing => {
                let shares: BTreeMap<&str, Vec<u8>> = (0..client.leads.len())
                    .map(|place| {
                        let mine = |index: &i32| *index as usize % client.leads.len() == place;
                        let share: Vec<i32> = (0..self.partitions).filter(mine).collect();
                        let bytes = encode_assignment(0, &set(&share), self.f.topics.view().topics);
                        (&*client.leads[place], bytes)
                    })
                    .collect();
                let assignments = shares.iter().map(|(id, bytes)| (*id, &bytes[..])).collect();
                let sync = SyncRequest { from, protocol_type: None, protocol: None, assignments };
                let waiter = self.f.waiter();
                self.f.groups.sync(self.f.now(), self.f.topics.view(), &sync, waiter);
                self.f.collect();
                self.clients[number].waits = Some(waiter.slot.0);
            }
            Phase::In => {
                let result = self.f.groups.heartbeat(self.f.now(), &from);
                self.f.collect();
                match result {
                    Ok(()) | Err(GroupError::Unavailable) => {}
                    Err(GroupError::RebalanceInProgress) => {
                        self.clients[number].owned.clear();
                        self.clients[number].phase = Phase::Out;
                    }
                    Err(_) => self.fenced(number),
                }
            }
        }
    }

    fn hear(&mut self) {
        for number in 0..self.clients.len() {
            let Some(answer) = self.clients[number].waits.and_then(|slot| self.f.answers.remove(&slot)) else {
                continue;
            };
            let client = &mut self.clients[number];
            client.waits = None;
            match answer {
                GroupAnswer::Reported(Ok(standing)) => {
                    (client.epoch, client.phase, client.says_all) = (standing.epoch, Phase::In, false);
                    if let Some(assignment) = standing.assignment {
                        client.owned = indexes(&assignment);
                    }
                }
                GroupAnswer::Reported(Err(GroupError::Unavailable)) => {}
                GroupAnswer::Joined(Ok(joined)) => {
                    (client.id, client.epoch) = (joined.member.to_string(), joined.generation);
                    client.phase = Phase::Syncing;
                    client.leads = joined.members.iter().map(|member| member.member.to_string()).collect();
                }
                GroupAnswer::Joined(Err(JoinRefusal { error: GroupError::MemberIdRequired, member })) => {
                    client.id = member.to_string();
                }
                GroupAnswer::Joined(Err(JoinRefusal {
                    error: GroupError::RebalanceInProgress | GroupError::Unavailable,
                    ..
                })) => {}
                GroupAnswer::Joined(Err(_)) => client.id.clear(),
                GroupAnswer::Synced(Ok(synced)) => {
                    let assigned = decode_assignment(&synced.assignment, self.f.topics.view().topics).unwrap();
                    (client.owned, client.phase) = (indexes(&assigned), Phase::In);
                    client.leads.clear();
                }
                GroupAnswer::Synced(Err(GroupError::RebalanceInProgress | GroupError::Unavailable)) => {
                    client.phase = Phase::Out;
                }
                _ => self.fenced(number),
            }
        }
        self.f.answers.retain(|_, answer| !matches!(answer, GroupAnswer::Stored(_)));
    }

    fn check(&mut self) {
        let Some(group) = self.f.groups.get("g") else { return };
        self.story.push(format!("{:?} {:?}", group.state, group.consumer.as_ref().map(|consumer| consumer.epoch)));
        let Some(consumer) = group.consumer() else { return };
        self.upgrades += u32::from(consumer.members().any(|(_, member)| member.classic.is_some()));
        let mut taken = BTreeSet::new();
        for (id, member) in consumer.members() {
            for one in member.assigned.iter().chain(member.revoking.iter()) {
                assert!(taken.insert(*one), "{one:?} has two readers: {consumer:?}");
            }
            let Some(client) = self.clients.iter().find(|client| *client.id == *id) else { continue };
            let is_known = |index: &i32| {
                let one = (TopicId([1; 16]), PartitionIndex(*index));
                member.assigned.contains(&one) || member.revoking.contains(&one)
            };
            let reads_unknown = client.phase == Phase::In && !client.owned.iter().all(is_known);
            assert!(!reads_unknown, "{id} reads what it may not: {client:?} {member:?}");
        }
    }

    /// Nothing fails any more: all partitions are read, each by one.
    fn heal(&mut self) {
        self.clients.iter_mut().for_each(|client| client.is_dead = false);
        for _ in 0..600 {
            for number in 0..self.clients.len() {
                self.act(number);
                self.f.store();
                self.hear();
                self.check();
            }
            self.f.pass(100);
            self.f.store();
            self.hear();
            if self.is_settled() {
                return;
            }
        }
        let group = self.f.groups.get("g").map(|group| (group.state, &group.consumer, &group.members));
        panic!("never settled: {:?} {group:?}", self.clients);
    }

    fn is_settled(&self) -> bool {
        let Some(group) = self.f.groups.get("g") else { return false };
        let mut read: Vec<i32> = self.clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        read.sort_unstable();
        group.state == State::Stable
            && self.clients.iter().all(|client| client.phase == Phase::In)
            && (read == (0..self.partitions).collect::<Vec<_>>() || group.consumer.is_none())
    }
}

fn seeds() -> u64 {
    let factor: u64 = std::env::var("TERN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    150 * factor
}

fn run(kinds: &[bool]) -> u32 {
    let mut upgrades = 0;
    for seed in 0..seeds() {
        let mut run = Run::new(seed, kinds);
        println!("seed {seed}");
        for _ in 0..500 {
            run.step();
        }
        run.heal();
        upgrades += run.upgrades;
        run.f.restart();
        run.check();
        run.f.groups.unload(crate::broker::groups::fixture_test::PLACE);
        assert_eq!(run.f.account.used_bytes(), 0);
    }
    upgrades
}

/// Members whose group the coordinator assigns.
#[test]
fn consumers_at_random() {
    assert_eq!(run(&[false]), 0);
}

/// Members of both protocols, in groups that go from one to the other and back.
#[test]
fn both_protocols_at_random() {
    assert!(run(&[false, true]) > 1000, "classic members were in consumer groups");
}

/// The same seed tells the same story.
#[test]
fn repeats() {
    let story = |seed| {
        let mut run = Run::new(seed, &[false, true]);
        (0..300).for_each(|_| run.step());
        run.story
    };
    assert_eq!(story(3), story(3));
    assert_ne!(story(3), story(4));
}
