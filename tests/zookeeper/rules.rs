//! What a client may rely on, over schedules with power cuts, lost connections, pauses and slow disks: replies in order,
//! zxids that never fall, events before the change is seen, writes that stay, sessions that end when they should and not
//! before, ephemerals that live exactly as long as their session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tern::types::SessionId;
use tern::zookeeper::codec::{Body, PASSWORD_BYTES, Reply, Request};

use crate::client::{Client, Incoming, create, set};
use crate::world::World;

const ACTORS: usize = 4;
const PATHS: u64 = 6;
const TIMEOUT_MS: u64 = 6000;
const TICK_MS: u64 = 2000;
const _: () = assert!(12_000 > TIMEOUT_MS + 2 * TICK_MS); // what the end of a schedule waits
const NO_NODE: i32 = -101;

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Create(String),
    Set(String),
    Delete(String),
    /// Whether it watches.
    Get(String, bool),
    Exists(String, bool),
    Children(String),
    Ping,
}

/// One client with its session, over all its connections.
#[derive(Default)]
struct Actor {
    client: Option<Client>,
    session: i64,
    password: Vec<u8>,
    last_zxid: i64,
    asked: VecDeque<(i32, Asked)>,
    /// Watched paths with the mzxid that was seen, 0 for a znode that is not there.
    armed: BTreeMap<String, i64>,
    /// When the node last heard of it.
    heard_ms: u64,
    /// It was silent for its timeout: its end may be decided, and nothing that it says later changes that.
    was_silent: bool,
}

/// What all clients together were told.
#[derive(Default)]
struct Told {
    /// The newest acknowledged change of each path, and whether it left a znode.
    changes: BTreeMap<String, (i64, bool)>,
    /// Paths with a change whose fate nobody knows.
    uncertain: BTreeSet<String>,
    /// Ephemerals with the session that created them.
    ephemerals: BTreeMap<String, i64>,
    restarted_ms: u64,
    expired: u64,
    reattached: u64,
    events: u64,
}

struct Schedule {
    world: World,
    actors: Vec<Actor>,
    told: Told,
    lives: u32,
}

impl Told {
    fn changed(&mut self, path: &str, zxid: i64, is_there: bool) {
        let newest = self.changes.entry(path.to_owned()).or_insert((zxid, is_there));
        if newest.0 <= zxid {
            *newest = (zxid, is_there);
        }
        if !is_there {
            self.ephemerals.remove(path);
        }
    }
}

fn is_ephemeral(path: &str) -> bool {
    path.starts_with("/e")
}

impl Schedule {
    fn new(seed: u64) -> Schedule {
        let actors = (0..ACTORS).map(|_| Actor::default()).collect();
        Schedule { world: World::new(seed), actors, told: Told::default(), lives: 0 }
    }

    fn path(&mut self) -> String {
        let kind = if self.world.rng.one_in(3) { 'e' } else { 'n' };
        format!("/{kind}{}", self.world.rng.below(PATHS))
    }

    fn dial(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        let password = if actor.session == 0 { vec![0; PASSWORD_BYTES] } else { actor.password.clone() };
        let client = Client::dial(&mut self.world, actor.session, &password, TIMEOUT_MS as i32, actor.last_zxid);
        self.actors[who].client = Some(client);
    }

    /// The connection is gone: nobody knows what became of what was not answered.
    fn lost(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        if let Some(client) = actor.client.take() {
            self.world.disconnect(client.conn);
        }
        actor.armed.clear();
        for (_, asked) in actor.asked.drain(..) {
            if let Asked::Create(path) | Asked::Set(path) | Asked::Delete(path) = asked {
                self.told.uncertain.insert(path);
            }
        }
    }

    fn ask(&mut self, who: usize) {
        let path = self.path();
        let choice = self.world.rng.below(12);
        let watch = self.world.rng.one_in(2);
        let actor = &mut self.actors[who];
        let Some(client) = actor.client.as_mut().filter(|client| client.hello.is_some()) else { return };
        let data = [choice as u8; 20];
        let (request, asked) = match choice {
            0..=2 => (create(&path, &data, i32::from(is_ephemeral(&path))), Asked::Create(path.clone())),
            3..=4 => (set(&path, &data, -1), Asked::Set(path.clone())),
            5 => (Request::Delete { path: &path, version: -1 }, Asked::Delete(path.clone())),
            6..=7 => (Request::GetData { path: &path, watch }, Asked::Get(path.clone(), watch)),
            8..=9 => (Request::Exists { path: &path, watch }, Asked::Exists(path.clone(), watch)),
            10 => (Request::GetChildren2 { path: "/", watch: false }, Asked::Children("/".to_owned())),
            _ => (Request::Ping, Asked::Ping),
        };
        let xid = client.send(&mut self.world, &request);
        actor.asked.push_back((xid, asked));
        let now = self.world.now_ms();
        actor.was_silent |= now - actor.heard_ms.max(self.told.restarted_ms) >= TIMEOUT_MS;
        actor.heard_ms = now;
    }

    fn listen(&mut self, who: usize) {
        let Some(mut client) = self.actors[who].client.take() else { return };
        let was_greeted = client.hello.is_some();
        let incoming = client.poll(&mut self.world);
        let hello = client.hello.clone();
        let conn = client.conn;
        self.actors[who].client = Some(client);
        if let Some(hello) = hello.filter(|_| !was_greeted) {
            self.greeted(who, hello.session_id, &hello.password);
        }
        for message in incoming {
            match message {
                Incoming::Event { kind, path } => self.told_of(who, kind, &path),
                Incoming::Reply(header, frame) => {
                    let (xid, asked) = self.actors[who].asked.pop_front().expect("somebody asked");
                    assert_eq!(header.xid, xid, "replies out of order");
                    let opcode = match &asked {
                        Asked::Create(_) => tern::zookeeper::codec::Opcode::Create,
                        Asked::Set(_) => tern::zookeeper::codec::Opcode::SetData,
                        Asked::Delete(_) => tern::zookeeper::codec::Opcode::Delete,
                        Asked::Get(..) => tern::zookeeper::codec::Opcode::GetData,
                        Asked::Exists(..) => tern::zookeeper::codec::Opcode::Exists,
                        Asked::Children(_) => tern::zookeeper::codec::Opcode::GetChildren2,
                        Asked::Ping => tern::zookeeper::codec::Opcode::Ping,
                    };
                    self.answered(who, &asked, &Reply::decode(opcode, &frame).unwrap());
                }
            }
        }
        if self.world.is_closed(conn) {
            self.lost(who);
        }
    }

    fn greeted(&mut self, who: usize, session: i64, password: &[u8]) {
        let now = self.world.now_ms();
        let actor = &mut self.actors[who];
        if session == 0 {
            let since = now - actor.heard_ms.max(self.told.restarted_ms);
            let is_due = since >= TIMEOUT_MS || actor.was_silent;
            assert!(is_due, "session 0x{:x} expired after {since} ms", actor.session);
            let ended = actor.session;
            *actor = Actor { last_zxid: actor.last_zxid, client: actor.client.take(), ..Actor::default() };
            let own: Vec<String> =
                self.told.ephemerals.iter().filter(|(_, of)| **of == ended).map(|(p, _)| p.clone()).collect();
            for path in own {
                assert!(self.node_of(&path).is_none_or(|(owner, _)| owner != ended), "{path} outlives its session");
                self.told.ephemerals.remove(&path);
                self.told.changes.remove(&path);
            }
            self.told.expired += 1;
            self.lost(who);
            return;
        }
        if actor.session != 0 {
            assert_eq!((actor.session, &actor.password[..]), (session, password));
            self.told.reattached += 1;
            actor.was_silent |= now - actor.heard_ms.max(self.told.restarted_ms) >= TIMEOUT_MS;
        }
        (actor.session, actor.password, actor.heard_ms) = (session, password.to_vec(), now);
    }

    fn told_of(&mut self, who: usize, kind: i32, path: &str) {
        self.told.events += 1;
        let armed = self.actors[who].armed.remove(path);
        let armed = armed.unwrap_or_else(|| panic!("event {kind} for {path}, which is not watched"));
        assert_eq!(kind == 1, armed == 0, "event {kind} for {path} as of {armed}");
    }

    fn answered(&mut self, who: usize, asked: &Asked, reply: &Reply<'_>) {
        let (zxid, error) = (reply.header.zxid, reply.header.error);
        let actor = &mut self.actors[who];
        assert!(zxid >= actor.last_zxid, "zxid {zxid:x} after {:x}", actor.last_zxid);
        actor.last_zxid = zxid;
        let mut looked = |path: &str, mzxid: i64, watch: bool| {
            if let Some(armed) = actor.armed.get(path) {
                assert_eq!(*armed, mzxid, "{path} was seen to change before its event");
            }
            if watch {
                actor.armed.insert(path.to_owned(), mzxid);
            }
        };
        match (asked, &reply.body) {
            (Asked::Create(path), Body::Path(made)) => {
                assert_eq!(made, path);
                assert!(!actor.armed.contains_key(path), "own creation of {path} before its event");
                self.told.changed(path, zxid, true);
                if is_ephemeral(path) {
                    self.told.ephemerals.insert(path.clone(), self.actors[who].session);
                }
            }
            (Asked::Set(path), Body::Stat(stat)) => {
                assert_eq!(stat.mzxid.0, zxid);
                assert!(!actor.armed.contains_key(path), "own change of {path} before its event");
                self.told.changed(path, zxid, true);
            }
            (Asked::Delete(path), Body::Empty) if error == 0 => {
                assert!(!actor.armed.contains_key(path), "own deletion of {path} before its event");
                self.told.changed(path, zxid, false);
            }
            (Asked::Get(path, watch), Body::Data { stat, .. }) => looked(path, stat.mzxid.0, *watch),
            (Asked::Get(path, _), _) if error == NO_NODE => looked(path, 0, false),
            (Asked::Exists(path, watch), Body::Stat(stat)) => looked(path, stat.mzxid.0, *watch),
            (Asked::Exists(path, watch), _) if error == NO_NODE => looked(path, 0, *watch),
            (Asked::Children(_), Body::Children { names, stat }) => {
                assert_eq!(names.len(), stat.num_children as usize);
                for (path, armed) in &actor.armed {
                    let is_there = names.contains(&&path[1..]);
                    assert_eq!(is_there, *armed != 0, "{path} came or went before its event");
                }
            }
            (Asked::Ping, Body::Empty) => {}
            (Asked::Create(_) | Asked::Set(_) | Asked::Delete(_), _) => {
                assert!(matches!(error, NO_NODE | -110), "{asked:?}: {error}");
            }
            other => panic!("{other:?}: {reply:?}"),
        }
    }

    /// Owner and mzxid of a znode as the node has it.
    fn node_of(&self, path: &str) -> Option<(i64, i64)> {
        let stat = self.world.node.engine().tree().get(path)?.stat();
        Some((stat.ephemeral_owner.0, stat.mzxid.0))
    }

    /// Nobody asks and nothing moves: the tree is what clients were told.
    fn check(&mut self) {
        for (path, (zxid, is_there)) in self.told.changes.clone() {
            let found = self.node_of(&path);
            let session = self.told.ephemerals.get(&path).copied().unwrap_or(0);
            let is_alive = session == 0 || self.world.node.engine().sessions().get(SessionId(session)).is_some();
            if self.told.uncertain.contains(&path) || is_ephemeral(&path) && !is_alive {
                assert!(found.is_none_or(|(_, mzxid)| mzxid >= zxid || !is_there), "{path} is older than was told");
                self.told.changes.remove(&path);
                self.told.ephemerals.remove(&path);
            } else {
                assert_eq!(found.map(|(_, mzxid)| mzxid), is_there.then_some(zxid), "{path}");
            }
        }
        self.told.uncertain.clear();
    }

    fn step(&mut self) {
        let who = self.world.rng.below(ACTORS as u64) as usize;
        match self.world.rng.below(40) {
            0..=13 => self.ask(who),
            14..=21 => self.world.turn_end(),
            22..=33 => _ = self.world.disk_step(),
            34..=37 if self.actors[who].client.is_none() => self.dial(who),
            38 => {
                let ms = self.world.rng.below(1500);
                self.world.pass_ms(ms);
            }
            39 if self.world.rng.one_in(6) => self.lost(who),
            39 if self.world.rng.one_in(12) => self.world.disk.calls_until_power_cut = Some(self.world.rng.below(60)),
            _ => {}
        }
        if self.world.lives != self.lives {
            self.lives = self.world.lives;
            let (now, before) = (self.world.now_ms(), self.told.restarted_ms);
            for actor in &mut self.actors {
                // What was decided before the power failed may be on the disk.
                actor.was_silent |= now - actor.heard_ms.max(before) >= TIMEOUT_MS;
            }
            self.told.restarted_ms = now;
            (0..ACTORS).for_each(|who| self.lost(who));
        }
        (0..ACTORS).for_each(|who| self.listen(who));
    }

    /// Two stay, and ping; the others are never heard of again.
    fn end(&mut self) {
        self.world.disk.calls_until_power_cut = None;
        self.world.settle();
        (0..ACTORS).for_each(|who| self.listen(who));
        self.check();
        (2..ACTORS).for_each(|who| self.lost(who));
        for _ in 0..12 {
            for who in 0..2 {
                if self.actors[who].client.is_none() {
                    self.dial(who);
                }
                let actor = &mut self.actors[who];
                if let Some(client) = actor.client.as_mut().filter(|client| client.hello.is_some()) {
                    let xid = client.send(&mut self.world, &Request::Ping);
                    actor.asked.push_back((xid, Asked::Ping));
                    actor.heard_ms = self.world.now_ms();
                }
            }
            self.world.settle();
            (0..ACTORS).for_each(|who| self.listen(who));
            self.world.pass_ms(1000);
            self.world.settle();
        }

        let sessions = self.world.node.engine().sessions();
        for (who, actor) in self.actors.iter().enumerate().filter(|(_, actor)| actor.session != 0) {
            let is_alive = sessions.get(SessionId(actor.session)).is_some();
            assert_eq!(is_alive, who < 2, "session 0x{:x} of client {who}", actor.session);
        }
        for (path, session) in &self.told.ephemerals {
            let is_alive = sessions.get(SessionId(*session)).is_some();
            assert_eq!(self.node_of(path).is_some_and(|(owner, _)| owner == *session), is_alive, "{path}");
        }
    }
}

/// Twelve schedules, or as many as `TERN_SEEDS` says.
#[test]
fn sessions_watches_ephemerals() {
    let (mut expired, mut reattached, mut events, mut lives) = (0, 0, 0, 0);
    let seeds = crate::seeds(12);
    for seed in 0..seeds {
        println!("seed {seed}"); // shown when it fails
        let mut schedule = Schedule::new(seed);
        for _ in 0..2500 {
            schedule.step();
        }
        schedule.end();
        expired += schedule.told.expired;
        reattached += schedule.told.reattached;
        events += schedule.told.events;
        lives += u64::from(schedule.lives);
    }
    assert!(
        reattached > seeds && events > 20 * seeds && lives > seeds / 2 && expired > 0,
        "{expired} {reattached} {events} {lives}"
    );
}
