//! Members that join, leave, die and come back at random, against what must hold whatever they do.
//!
//! Invariants: all members that get an assignment in a generation get what that generation's leader made for them, and
//! no generation has two leaders' assignments; nobody commits in a generation that is over; offsets never go back over
//! a crash of the coordinator; when everything heals, everybody ends in one stable generation. Same seed, same run.
//!
//! `TERN_SEEDS=N` multiplies the number of runs.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture_test::*;
use super::*;
use crate::config::Config;

/// What a client believes.
#[derive(Clone, Debug, Default)]
struct Client {
    instance: Option<String>,
    id: String,
    generation: i32,
    /// The slot that it waits for, and whether as JoinGroup.
    waits: Option<(u32, bool)>,
    is_member: bool,
    is_dead: bool,
    leads: Option<Vec<String>>,
}

struct Run {
    f: Fixture,
    rng: Rng,
    clients: Vec<Client>,
    /// By generation and member: what it was told to read.
    told: BTreeMap<(i32, String), Vec<u8>>,
    /// By generation: the mark of the leader's assignment that somebody was told.
    marks: BTreeMap<i32, BTreeSet<Vec<u8>>>,
    committed: i64,
    newest: i32,
    story: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut config = Config::default().groups;
        config.initial_rebalance_delay_ms = 100;
        let clients = (0..8)
            .map(|number| Client { instance: (number % 3 == 0).then(|| format!("i{number}")), ..Client::default() })
            .collect();
        Run {
            f: Fixture::with(config, 1 << 20),
            rng: Rng::new(seed),
            clients,
            told: BTreeMap::new(),
            marks: BTreeMap::new(),
            committed: 0,
            newest: 0,
            story: Vec::new(),
        }
    }

    /// One thing happens.
    fn step(&mut self) {
        match self.rng.below(40) {
            0 => self.crash(),
            1 => self.f.fail(),
            2..6 => self.f.store(),
            6..12 => {
                let milliseconds = self.rng.below(3_000);
                self.f.pass(milliseconds);
            }
            12 => {
                let client = self.any();
                self.clients[client].is_dead ^= true;
            }
            13 => {
                let client = self.any();
                let (id, instance) = (self.clients[client].id.clone(), self.clients[client].instance.clone());
                let _ = self.f.leave(&id, instance.as_deref());
                self.forget(client);
            }
            14 => {
                let client = self.any();
                self.forget(client); // it restarts without a word
            }
            _ => {
                let client = self.any();
                if !self.clients[client].is_dead {
                    self.act(client);
                }
            }
        }
        self.hear();
        let state = self.f.groups.get("g").map(|group| (group.state, group.generation, group.members.len()));
        self.story.push(format!("{state:?}"));
    }

    fn any(&mut self) -> usize {
        self.rng.below(self.clients.len() as u64) as usize
    }

    /// The coordinator's process dies and starts again.
    fn crash(&mut self) {
        self.f.restart();
        self.f.answers.clear();
        self.clients.iter_mut().for_each(|client| client.waits = None);
        assert!(self.f.committed("g").unwrap_or(0) >= self.committed, "an acknowledged offset is gone");
    }

    fn forget(&mut self, client: usize) {
        let instance = self.clients[client].instance.clone();
        self.clients[client] = Client { instance, ..Client::default() };
    }

    /// A client does what a client does next.
    fn act(&mut self, number: usize) {
        let client = self.clients[number].clone();
        if client.waits.is_some() {
            return;
        }
        if !client.is_member {
            let request = JoinRequest {
                instance: client.instance.as_deref(),
                session_timeout_ms: 6_000,
                rebalance_timeout_ms: 4_000,
                takes_member_id: client.instance.is_none(),
                ..request(&client.id)
            };
            let slot = self.f.join(&request);
            self.clients[number].waits = Some((slot, true));
        } else if let Some(members) = client.leads.clone() {
            // The mark says who made this assignment; no two are the same.
            let mark = format!("{}/{}", client.generation, self.rng.next());
            let assignments: Vec<(String, Vec<u8>)> =
                members.iter().map(|id| (id.clone(), format!("{mark}/{id}").into_bytes())).collect();
            let borrowed: Vec<(&str, &[u8])> = assignments.iter().map(|(id, bytes)| (&**id, &bytes[..])).collect();
            let slot = self.sync(&client, &borrowed);
            self.clients[number].waits = Some((slot, false));
            self.clients[number].leads = None;
        } else if self.told.contains_key(&(client.generation, client.id.clone())) {
            self.work(number);
        } else {
            let slot = self.sync(&client, &[]);
            self.clients[number].waits = Some((slot, false));
        }
    }

    fn sync(&mut self, client: &Client, assignments: &[(&str, &[u8])]) -> u32 {
        let waiter = self.f.waiter();
        let from = of(client);
        let request = SyncRequest { from, protocol_type: None, protocol: None, assignments: assignments.to_vec() };
        self.f.groups.sync(self.f.now(), self.f.topics.view(), &request, waiter);
        self.f.collect();
        waiter.slot.0
    }

    /// A member with an assignment: a heartbeat or a commit.
    fn work(&mut self, number: usize) {
        let client = self.clients[number].clone();
        let current = self.f.groups.get("g").map_or(0, |group| group.generation);
        let result = match self.rng.one_in(2) {
            true => self.f.groups.heartbeat(self.f.now(), &of(&client)),
            false => {
                let waiter = self.f.waiter();
                let offset = self.committed + 1;
                let begun = self.f.groups.commit(self.f.now(), PLACE, &of(&client), &[to_commit(offset)], waiter);
                self.f.collect();
                assert!(begun.is_err() || client.generation == current, "a commit of a generation that is over");
                if begun.is_ok() && self.rng.below(4) > 0 {
                    self.f.store();
                    if self.f.answers.remove(&waiter.slot.0) == Some(GroupAnswer::Stored(Ok(()))) {
                        self.committed = offset;
                    }
                }
                begun
            }
        };
        self.f.collect();
        match result {
            Ok(()) | Err(GroupError::Unavailable) => {}
            Err(GroupError::RebalanceInProgress) => self.clients[number].is_member = false,
            Err(_) => self.forget(number),
        }
    }

    /// Clients hear what they were answered.
    fn hear(&mut self) {
        for number in 0..self.clients.len() {
            let Some((slot, _)) = self.clients[number].waits else { continue };
            let Some(answer) = self.f.answers.remove(&slot) else { continue };
            self.clients[number].waits = None;
            match answer {
                GroupAnswer::Joined(Ok(joined)) => self.joined(number, &joined),
                GroupAnswer::Joined(Err(JoinRefusal { error: GroupError::MemberIdRequired, member })) => {
                    self.clients[number].id = member.to_string();
                }
                GroupAnswer::Synced(Ok(synced)) => self.synced(number, synced.assignment.to_vec()),
                GroupAnswer::Synced(Err(GroupError::RebalanceInProgress | GroupError::Unavailable)) => {
                    self.clients[number].is_member = false;
                }
                GroupAnswer::Joined(Err(JoinRefusal {
                    error: GroupError::RebalanceInProgress | GroupError::Unavailable,
                    ..
                })) => {}
                _ => self.forget(number),
            }
        }
        self.f.answers.retain(|_, answer| !matches!(answer, GroupAnswer::Stored(_)));
    }

    fn joined(&mut self, number: usize, joined: &Joined) {
        assert!(joined.generation > 0);
        self.newest = self.newest.max(joined.generation);
        let client = &mut self.clients[number];
        client.is_member = true;
        client.id = joined.member.to_string();
        client.generation = joined.generation;
        let members: Vec<String> = joined.members.iter().map(|member| member.member.to_string()).collect();
        client.leads = (!members.is_empty()).then_some(members);
        assert_eq!(client.leads.is_some(), joined.leader == joined.member, "the leader alone learns of all");
    }

    fn synced(&mut self, number: usize, assignment: Vec<u8>) {
        let client = &self.clients[number];
        let key = (client.generation, client.id.clone());
        if assignment.is_empty() {
            return; // a leader that did not know of it
        }
        let text = String::from_utf8(assignment.clone()).unwrap();
        let mut parts = text.splitn(3, '/');
        let (generation, made, id) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(generation, client.generation.to_string(), "an assignment of another generation");
        assert!(id == client.id || client.instance.is_some(), "somebody else's assignment: {id}, not {}", client.id);
        let marks = self.marks.entry(client.generation).or_default();
        marks.insert(made.as_bytes().to_vec());
        assert_eq!(marks.len(), 1, "two assignments in one generation");
        self.told.insert(key, assignment);
    }

    /// Nothing fails any more: everybody ends up in one stable generation.
    fn heal(&mut self) {
        self.clients.iter_mut().for_each(|client| client.is_dead = false);
        for _ in 0..400 {
            for number in 0..self.clients.len() {
                self.act(number);
                self.f.store();
                self.hear();
            }
            self.f.pass(100);
            self.hear();
            if self.is_settled() {
                return;
            }
        }
        panic!("never settled: {:#?} {:#?}", self.f.groups.get("g"), self.clients);
    }

    fn is_settled(&self) -> bool {
        let Some(group) = self.f.groups.get("g") else { return false };
        let is_in = |client: &Client| {
            client.is_member && client.generation == group.generation && group.members.contains_key(&*client.id)
        };
        group.state == State::Stable && group.members.len() == self.clients.len() && self.clients.iter().all(is_in)
    }
}

fn of(client: &Client) -> MemberOf<'_> {
    MemberOf { group: "g", member: &client.id, instance: client.instance.as_deref(), generation: client.generation }
}

fn seeds() -> u64 {
    let factor: u64 = std::env::var("TERN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    200 * factor
}

/// Whatever members do, the invariants hold, and at the end all is well and all memory accounted for.
#[test]
fn members_at_random() {
    for seed in 0..seeds() {
        let mut run = Run::new(seed);
        println!("seed {seed}");
        for _ in 0..400 {
            run.step();
        }
        run.heal();
        assert!(run.f.committed("g").unwrap_or(0) >= run.committed);
        run.f.restart();
        assert!(run.f.committed("g").unwrap_or(0) >= run.committed);
        assert!(run.f.groups.get("g").is_some_and(|group| group.state == State::Stable));
        run.f.groups.unload(PLACE);
        assert_eq!(run.f.account.used_bytes(), 0);
    }
}

/// The same seed tells the same story.
#[test]
fn repeats() {
    let story = |seed| {
        let mut run = Run::new(seed);
        (0..300).for_each(|_| run.step());
        run.story
    };
    assert_eq!(story(3), story(3));
    assert_ne!(story(3), story(4));
}

/// A thousand members form a generation, get their assignments and all fall silent.
#[test]
fn thousand_members() {
    let mut f = Fixture::with(Config::default().groups, 4 << 20);
    let joining: Vec<(String, u32)> = (0..1000).map(|_| f.newcomer()).collect();
    f.pass(6_001);
    let joined: Vec<Joined> = joining.iter().map(|(_, slot)| f.joined(*slot)).collect();
    assert_eq!(joined.iter().map(|joined| joined.members.len()).sum::<usize>(), 1000);
    let leader = joined[0].leader.to_string();
    let mut ids: Vec<String> = joining.into_iter().map(|(id, _)| id).collect();
    ids.sort_by_key(|id| *id != leader);
    f.settle(&ids, 1);
    f.pass(200_000);
    f.store();
    assert_eq!(f.state(), Some(State::Empty));
    f.restart();
    assert_eq!(f.state(), Some(State::Empty));
}
