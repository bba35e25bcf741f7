//! A ZooKeeper client: registers that all share, ephemerals of its own, and a session that moves between boards and now and
//! then is left to expire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tern::node::Listener;
use tern::zookeeper::codec::{
    AclEntry, Body, ConnectRequest, ConnectResponse, Create, Jute, Opcode, PASSWORD_BYTES, Reply, ReplyHeader, Request,
    RequestHeader, WatchedEvent, XID_EVENT, begin_frame, end_frame, split_frame,
};

use super::{Client, ClientEvent, Io, Phase};
use crate::invariants::ephemerals::TIMEOUT_MS;
use crate::invariants::registers::Written;

const SILENCE_MICROS_MAX: u64 = 2_500_000;
const IN_FLIGHT_MAX: usize = 4;
const REGISTERS: u64 = 4;
const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;
const BAD_VERSION: i32 = -103;
const OPEN: AclEntry<'static> = AclEntry { perms: 31, scheme: "world", id: "anyone" };

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Make(String),
    Set {
        path: String,
        value: Vec<u8>,
        expected: i32,
    },
    /// True: behind a sync that was asked at that moment.
    Get {
        path: String,
        synced: Option<u64>,
        watch: bool,
    },
    Sync,
    Ephemeral(String),
    Look(String),
    Remove(String),
    Ping,
}

#[derive(Debug)]
struct Pending {
    xid: i32,
    at: u64,
    asked: Asked,
}

/// The client.
pub struct ZooKeeper {
    number: u32,
    dialed: Option<u64>,
    is_greeted: bool,
    inbox: Vec<u8>,
    session: i64,
    password: Vec<u8>,
    last_zxid: i64,
    last_xid: i32,
    pending: VecDeque<Pending>,
    versions: BTreeMap<String, i32>,
    /// Watched paths on this connection, with the mzxid that was seen.
    watched: BTreeMap<String, i64>,
    own: BTreeSet<String>,
    next: u64,
    silent_until: u64,
    done: u64,
}

impl ZooKeeper {
    pub fn new() -> ZooKeeper {
        ZooKeeper {
            number: 0,
            dialed: None,
            is_greeted: false,
            inbox: Vec::new(),
            session: 0,
            password: vec![0; PASSWORD_BYTES],
            last_zxid: 0,
            last_xid: 0,
            pending: VecDeque::new(),
            versions: BTreeMap::new(),
            watched: BTreeMap::new(),
            own: BTreeSet::new(),
            next: 0,
            silent_until: 0,
            done: 0,
        }
    }

    fn lose(&mut self, io: &mut Io<'_>) {
        if self.dialed.take().is_some() {
            io.close(self.number);
        }
        self.pending.clear();
        self.is_greeted = false;
        self.inbox.clear();
        self.watched.clear();
    }

    /// Goes on as somebody new.
    fn forget(&mut self) {
        self.session = 0;
        self.password = vec![0; PASSWORD_BYTES];
        self.own.clear();
    }

    fn work(&mut self, io: &mut Io<'_>) {
        let Some(dialed) = self.dialed else {
            self.number += 1;
            self.dialed = Some(io.now);
            let board = io.rng.below(io.boards as u64) as usize;
            return io.dial(self.number, board, Listener::ZooKeeper);
        };
        let oldest = self.pending.front().map(|pending| pending.at);
        let since = if self.is_greeted { oldest } else { Some(dialed) };
        if since.is_some_and(|since| io.now - since > SILENCE_MICROS_MAX) {
            return self.lose(io);
        }
        if self.is_greeted && self.pending.len() < IN_FLIGHT_MAX {
            self.ask_something(io);
        }
        if io.phase == Phase::Breaking && io.rng.one_in(400) {
            // Nobody hears of it for longer than its session lives, or never again.
            self.lose(io);
            if io.rng.one_in(2) {
                io.history.ephemerals.abandoned(self.session);
                self.forget();
            } else {
                self.silent_until = io.now + 2 * TIMEOUT_MS * 1000;
            }
        }
    }

    fn ask_something(&mut self, io: &mut Io<'_>) {
        if io.phase == Phase::Silent {
            return self.ask(io, Asked::Ping);
        }
        let path = format!("/r{}", io.rng.below(REGISTERS));
        if !self.versions.contains_key(&path) {
            return self.ask(io, Asked::Make(path));
        }
        self.next += 1;
        let value = format!("{} {}", io.client, self.next).into_bytes();
        let version = self.versions[&path];
        let asked = match io.rng.below(14) {
            0..=3 => Asked::Set { path, value, expected: -1 },
            4..=5 => Asked::Set { path, value, expected: version },
            6..=7 => Asked::Get { path, synced: None, watch: io.rng.one_in(3) },
            8 => {
                self.ask(io, Asked::Sync);
                Asked::Get { path, synced: Some(io.now), watch: false }
            }
            9 if self.own.len() < 5 => Asked::Ephemeral(format!("/e{}-{}", io.client, self.next)),
            10 => match self.own.pop_first() {
                Some(path) => Asked::Remove(path),
                None => Asked::Ping,
            },
            11..=12 => match io.history.ephemerals.any(io.rng) {
                Some(path) => Asked::Look(path),
                None => Asked::Ping,
            },
            _ => Asked::Ping,
        };
        self.ask(io, asked);
    }

    fn ask(&mut self, io: &mut Io<'_>, asked: Asked) {
        let made = |path, flags| {
            let create = Create { path, data: Some(b"new".as_slice()), acl: vec![OPEN], flags, ttl_ms: None };
            Request::Create(Opcode::Create, create)
        };
        let request = match &asked {
            Asked::Make(path) => made(path, 0),
            Asked::Ephemeral(path) => made(path, 1),
            Asked::Set { path, value, expected } => {
                io.history.registers.attempted(path, value);
                Request::SetData { path, data: Some(value), version: *expected }
            }
            Asked::Get { path, watch, .. } => Request::GetData { path, watch: *watch },
            Asked::Look(path) => Request::GetData { path, watch: false },
            Asked::Remove(path) => {
                io.history.ephemerals.removed(path);
                Request::Delete { path, version: -1 }
            }
            Asked::Sync => Request::Sync { path: "/" },
            Asked::Ping => Request::Ping,
        };
        self.last_xid += 1;
        let mut bytes = Vec::new();
        let start = begin_frame(&mut bytes);
        RequestHeader { xid: self.last_xid, opcode: request.opcode().code() }.encode(&mut bytes);
        request.encode(&mut bytes);
        end_frame(&mut bytes, start);
        io.send(self.number, bytes);
        self.pending.push_back(Pending { xid: self.last_xid, at: io.now, asked });
    }

    fn greet(&mut self, io: &mut Io<'_>) {
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: TIMEOUT_MS as i32,
            session_id: self.session,
            password: self.password.clone(),
            read_only: Some(false),
        };
        let mut bytes = Vec::new();
        let start = begin_frame(&mut bytes);
        hello.encode(&mut bytes);
        end_frame(&mut bytes, start);
        io.send(self.number, bytes);
    }

    fn greeted(&mut self, hello: ConnectResponse, io: &mut Io<'_>) {
        if hello.session_id == 0 {
            io.history.ephemerals.expired(self.session, io.now);
            self.forget();
            return self.lose(io);
        }
        assert!(self.session == 0 || self.session == hello.session_id, "another session than was asked for");
        assert_eq!(hello.timeout_ms as u64, TIMEOUT_MS);
        self.session = hello.session_id;
        self.password = hello.password.to_vec();
        self.is_greeted = true;
        io.history.ephemerals.heard(self.session, self.dialed.unwrap_or(io.now));
    }

    fn frame(&mut self, frame: &[u8], io: &mut Io<'_>) {
        if !self.is_greeted {
            return self.greeted(ConnectResponse::decode(frame).expect("a greeting"), io);
        }
        let mut jute = Jute::new(frame);
        let header = ReplyHeader::decode(&mut jute).expect("a header");
        if header.xid == XID_EVENT {
            let event = WatchedEvent::decode(&mut jute).expect("an event");
            self.watched.remove(event.path);
            return;
        }
        let Pending { xid, at, asked } = self.pending.pop_front().expect("somebody asked");
        assert_eq!(header.xid, xid, "replies of a session out of order");
        if header.zxid > 0 {
            io.history.zxids.seen(io.client, &mut self.last_zxid, header.zxid);
        }
        io.history.ephemerals.heard(self.session, at);
        self.answered(&asked, at, &Reply::decode(opcode_of(&asked), frame).expect("a reply"), io);
    }

    fn answered(&mut self, asked: &Asked, at: u64, reply: &Reply<'_>, io: &mut Io<'_>) {
        let (zxid, error) = (reply.header.zxid, reply.header.error);
        let is_write = !matches!(asked, Asked::Get { .. } | Asked::Look(_) | Asked::Sync | Asked::Ping);
        if is_write && error == 0 {
            io.history.zxids.wrote(zxid, at, io.now);
        }
        match (asked, &reply.body) {
            (Asked::Make(path), _) if error == 0 || error == NODE_EXISTS => {
                self.versions.entry(path.clone()).or_insert(0);
            }
            (Asked::Set { path, value, .. }, Body::Stat(stat)) => {
                let written = Written { version: stat.version, mzxid: stat.mzxid.0 };
                assert_eq!(written.mzxid, zxid, "a write has the zxid of its reply");
                io.history.registers.wrote(path, value, written, (at, io.now));
                self.saw(path, written, false);
            }
            (Asked::Set { expected: 0.., .. }, _) if error == BAD_VERSION => {}
            (Asked::Get { path, synced, watch }, Body::Data { data, stat }) => {
                let written = Written { version: stat.version, mzxid: stat.mzxid.0 };
                io.history.registers.read(path, data.unwrap_or_default(), written, *synced);
                self.saw(path, written, *watch);
            }
            (Asked::Ephemeral(path), Body::Path(_)) => {
                io.history.ephemerals.created(path, self.session, zxid);
                self.own.insert(path.clone());
            }
            (Asked::Look(path), Body::Data { stat, .. }) => {
                io.history.ephemerals.found(path, stat.ephemeral_owner.0);
            }
            (Asked::Look(path), _) if error == NO_NODE => io.history.ephemerals.missing(path, zxid, io.now),
            (Asked::Remove(_), _) if error == 0 || error == NO_NODE => {}
            (Asked::Sync, Body::Path(_)) | (Asked::Ping, _) if error == 0 => {}
            other => panic!("{other:?}: {reply:?}"),
        }
        self.done += 1;
        io.history.operations += 1;
    }

    /// A register as this session sees it never goes back, and an event comes before the change that it tells.
    fn saw(&mut self, path: &str, written: Written, watch: bool) {
        let before = self.versions.insert(path.to_owned(), written.version);
        assert!(before <= Some(written.version), "{path} goes back from {before:?} to {written:?} within a session");
        if let Some(armed) = self.watched.get(path) {
            assert_eq!(*armed, written.mzxid, "{path} was seen to change before its event");
        }
        if watch {
            self.watched.insert(path.to_owned(), written.mzxid);
        }
    }
}

fn opcode_of(asked: &Asked) -> Opcode {
    match asked {
        Asked::Make(_) | Asked::Ephemeral(_) => Opcode::Create,
        Asked::Set { .. } => Opcode::SetData,
        Asked::Get { .. } | Asked::Look(_) => Opcode::GetData,
        Asked::Remove(_) => Opcode::Delete,
        Asked::Sync => Opcode::Sync,
        Asked::Ping => Opcode::Ping,
    }
}

impl Client for ZooKeeper {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        match event {
            ClientEvent::Wake if self.silent_until > io.now && io.phase == Phase::Breaking => {
                io.wake_in_ms(100, 100);
            }
            ClientEvent::Wake => {
                self.work(io);
                io.wake_in_ms(40, 100);
            }
            ClientEvent::Opened(number) if number == self.number && self.dialed.is_some() => self.greet(io),
            ClientEvent::Bytes(number, bytes) if number == self.number && self.dialed.is_some() => {
                self.inbox.extend(bytes);
                while let Some((frame, taken)) = split_frame(&self.inbox, 1 << 20).expect("a frame") {
                    let frame = frame.to_vec();
                    self.inbox.drain(..taken);
                    self.frame(&frame, io);
                }
            }
            ClientEvent::Closed(number) if number == self.number => self.lose(io),
            _ => {}
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!(
            "ZooKeeper client: session {:x}, connection {} since {:?}, asks {:?}",
            self.session, self.number, self.dialed, self.pending
        )
    }
}
