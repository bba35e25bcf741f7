//! A ZooKeeper client without threads: encodes requests with the codec's other half, and takes replies apart.

use tern::types::ConnId;
use tern::zookeeper::codec::{
    AclEntry, ConnectRequest, ConnectResponse, Create, Jute, Opcode, PASSWORD_BYTES, ReplyHeader, Request,
    RequestHeader, WatchedEvent, XID_EVENT, begin_frame, end_frame, split_frame,
};

use crate::world::World;

/// Everybody may do everything.
pub const OPEN: AclEntry<'static> = AclEntry { perms: 31, scheme: "world", id: "anyone" };

/// What came in one frame after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    Event {
        kind: i32,
        path: String,
    },
    /// The header, and the whole frame for `Reply::decode`.
    Reply(ReplyHeader, Vec<u8>),
}

/// One connection of a client.
pub struct Client {
    pub conn: ConnId,
    pub hello: Option<ConnectResponse>,
    last_xid: i32,
}

/// A frame around what `write` appends.
pub fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out);
    write(&mut out);
    end_frame(&mut out, start);
    out
}

/// A request's whole frame.
pub fn request(xid: i32, request: &Request<'_>) -> Vec<u8> {
    framed(|out| {
        RequestHeader { xid, opcode: request.opcode().code() }.encode(out);
        request.encode(out);
    })
}

/// A create of any kind that has no time to live.
pub fn create<'a>(path: &'a str, data: &'a [u8], flags: i32) -> Request<'a> {
    Request::Create(Opcode::Create, Create { path, data: Some(data), acl: vec![OPEN], flags, ttl_ms: None })
}

pub fn set<'a>(path: &'a str, data: &'a [u8], version: i32) -> Request<'a> {
    Request::SetData { path, data: Some(data), version }
}

impl Client {
    /// Connects and asks for a new session, or for the one of that id and password.
    pub fn dial(world: &mut World, session: i64, password: &[u8], timeout_ms: i32, last_zxid_seen: i64) -> Client {
        let conn = world.connect();
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout_ms,
            session_id: session,
            password: password.to_vec(),
            read_only: Some(false),
        };
        world.send(conn, &framed(|out| hello.encode(out)));
        Client { conn, hello: None, last_xid: 0 }
    }

    /// A new session, there when this returns.
    pub fn open(world: &mut World) -> Client {
        let mut client = Client::dial(world, 0, &[0; PASSWORD_BYTES], 6000, 0);
        world.settle();
        assert_eq!(client.poll(world), []);
        assert!(client.hello.is_some());
        client
    }

    pub fn session(&self) -> i64 {
        self.hello.as_ref().map_or(0, |hello| hello.session_id)
    }

    /// Sends a request; its xid.
    pub fn send(&mut self, world: &mut World, what: &Request<'_>) -> i32 {
        self.last_xid += 1;
        world.send(self.conn, &request(self.last_xid, what));
        self.last_xid
    }

    /// Sends, waits until nothing moves, and expects a single reply.
    pub fn call(&mut self, world: &mut World, what: &Request<'_>) -> (ReplyHeader, Vec<u8>) {
        let xid = self.send(world, what);
        world.settle();
        let mut all = self.poll(world);
        match all.pop() {
            Some(Incoming::Reply(header, frame)) if header.xid == xid && all.is_empty() => (header, frame),
            other => panic!("{what:?}: {other:?} after {all:?}"),
        }
    }

    /// The error of a call, 0 for none.
    pub fn code(&mut self, world: &mut World, what: &Request<'_>) -> i32 {
        self.call(world, what).0.error
    }

    /// What has come.
    pub fn poll(&mut self, world: &mut World) -> Vec<Incoming> {
        let mut incoming = Vec::new();
        let received = &mut world.socket(self.conn).received;
        let mut used = 0;
        while let Some((frame, taken)) = split_frame(&received[used..], 8 << 20).unwrap() {
            used += taken;
            if self.hello.is_none() {
                self.hello = Some(ConnectResponse::decode(frame).unwrap());
                continue;
            }
            let mut jute = Jute::new(frame);
            let header = ReplyHeader::decode(&mut jute).unwrap();
            incoming.push(if header.xid == XID_EVENT {
                let event = WatchedEvent::decode(&mut jute).unwrap();
                assert_eq!((header.zxid, header.error, event.state), (-1, 0, 3));
                Incoming::Event { kind: event.kind, path: event.path.to_owned() }
            } else {
                Incoming::Reply(header, frame.to_vec())
            });
        }
        received.drain(..used);
        incoming
    }
}
