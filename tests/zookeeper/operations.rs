//! Operations as ZooKeeper 3.8 does them: results, Stats, codes, sequence numbers, zxids, watches, rights, sessions.

use tern::zookeeper::codec::{AclEntry, Body, Create, MultiResult, Opcode, PASSWORD_BYTES, Reply, Request, SetWatches};

use crate::client::{Client, Incoming, OPEN, create, set};
use crate::world::World;

fn made(frame: &[u8]) -> String {
    match Reply::decode(Opcode::Create, frame).unwrap().body {
        Body::Path(path) => path.to_owned(),
        other => panic!("{other:?}"),
    }
}

fn stat(client: &mut Client, world: &mut World, path: &str) -> tern::engine::znodes::Stat {
    let (_, frame) = client.call(world, &Request::Exists { path, watch: false });
    match Reply::decode(Opcode::Exists, &frame).unwrap().body {
        Body::Stat(stat) => stat,
        other => panic!("{path}: {other:?}"),
    }
}

/// Sequence numbers count creations only, a failed write takes a zxid, and the parent's Stat tells of its children.
#[test]
fn numbers() {
    let mut world = World::new(1);
    let mut client = Client::open(&mut world);
    let first = client.call(&mut world, &create("/p", b"", 0)).0.zxid;
    assert_eq!(made(&client.call(&mut world, &create("/p/s-", b"", 2)).1), "/p/s-0000000000");
    assert_eq!(client.code(&mut world, &create("/p/s-0000000000", b"", 0)), -110);
    assert_eq!(client.code(&mut world, &Request::Delete { path: "/p/s-0000000000", version: -1 }), 0);
    assert_eq!(made(&client.call(&mut world, &create("/p/", b"", 3)).1), "/p/0000000001");
    let failed = client.call(&mut world, &set("/p", b"", 9)).0;
    assert_eq!((failed.error, failed.zxid), (-103, first + 5));
    let stat = stat(&mut client, &mut world, "/p");
    assert_eq!((stat.version, stat.cversion, stat.num_children), (0, 3, 1));
    assert_eq!((stat.czxid.0, stat.mzxid.0, stat.pzxid.0), (first, first, first + 4));
}

/// Flags, paths and bodies that mean nothing have ZooKeeper's codes, take a zxid, and leave the connection open.
#[test]
fn refusals() {
    let mut world = World::new(2);
    let mut client = Client::open(&mut world);
    let mut zxid = client.call(&mut world, &create("/p", b"", 0)).0.zxid;
    for (request, code) in [
        (create("/p/x", b"", 7), -8),
        (create("/p/x", b"", 5), -8),
        (create("/x//y", b"", 0), -101),
        (create("/p/.", b"", 0), -8),
        (create("/", b"", 0), -110),
        (Request::Delete { path: "/", version: -1 }, -8),
        (Request::Delete { path: "/zookeeper/quota", version: -1 }, -8),
        (Request::SetAcl { path: "/p", acl: vec![], version: -1 }, -114),
        (Request::Reconfig { joining: None, leaving: None, members: None, config_id: -1 }, -6), // a server alone, as in ZooKeeper
        (create("/controller_epoch/x", b"", 0), 0),
        (set("/controller_epoch", b"9", -1), -102),
    ] {
        let header = client.call(&mut world, &request).0;
        zxid += 1;
        assert_eq!((header.error, header.zxid), (code, zxid), "{request:?}");
    }
    assert_eq!(client.code(&mut world, &Request::GetData { path: "/none", watch: false }), -101);
    assert_eq!(client.code(&mut world, &Request::RemoveWatches { path: "/p", kind: 3 }), -121);
}

/// All or nothing, one zxid, later operations see earlier ones; a failure names its place and leaves the header clean.
#[test]
fn multi() {
    let mut world = World::new(3);
    let mut client = Client::open(&mut world);
    client.call(&mut world, &create("/p", b"", 0));
    let good = Request::Multi(vec![
        create("/p/s", b"", 2),
        set("/p", b"x", 0),
        Request::Check { path: "/p", version: 1 },
        Request::Delete { path: "/p/s0000000000", version: 0 },
    ]);
    let (header, frame) = client.call(&mut world, &good);
    let Body::Results(results) = Reply::decode(Opcode::Multi, &frame).unwrap().body else { panic!() };
    assert_eq!(header.error, 0);
    assert!(matches!(results[0], MultiResult::Created { path: "/p/s0000000000", stat: None }));
    assert!(matches!(&results[1], MultiResult::Set(stat) if stat.mzxid.0 == header.zxid && stat.version == 1));
    assert_eq!(results[2..], [MultiResult::Checked, MultiResult::Deleted]);
    let bad = Request::Multi(vec![create("/p/s", b"", 2), create("/p/t", b"", 9), set("/p", b"", -1)]);
    let (header, frame) = client.call(&mut world, &bad);
    let errors = [0, -8, -2].map(MultiResult::Error);
    assert_eq!(Reply::decode(Opcode::Multi, &frame).unwrap().body, Body::Results(errors.to_vec()));
    assert_eq!(header.error, 0);
    assert_eq!(made(&client.call(&mut world, &create("/p/s", b"", 2)).1), "/p/s0000000001");
    let (_, frame) = client.call(&mut world, &Request::Multi(vec![]));
    assert_eq!(Reply::decode(Opcode::Multi, &frame).unwrap().body, Body::Results(vec![]));
}

/// Reads sent between two writes see the tree between them, however many writes share a round.
#[test]
fn reads_between_writes() {
    let mut world = World::new(4);
    let mut client = Client::open(&mut world);
    client.call(&mut world, &create("/p", b"", 0));
    for version in 0..50 {
        client.send(&mut world, &set("/p", b"x", version));
        client.send(&mut world, &Request::Exists { path: "/p", watch: false });
    }
    world.settle();
    let replies = client.poll(&mut world);
    assert_eq!(replies.len(), 100);
    for (i, reply) in replies.iter().enumerate() {
        let Incoming::Reply(header, frame) = reply else { panic!("{reply:?}") };
        let opcode = if i % 2 == 0 { Opcode::SetData } else { Opcode::Exists };
        let Body::Stat(stat) = Reply::decode(opcode, frame).unwrap().body else { panic!("{reply:?}") };
        assert_eq!((stat.version, header.zxid), (i as i32 / 2 + 1, stat.mzxid.0));
    }
}

/// Watches of a lost connection are set again: what changed meanwhile is told before the reply, the rest is armed.
#[test]
fn watches_again() {
    let mut world = World::new(5);
    let mut client = Client::open(&mut world);
    let zxid = client.call(&mut world, &create("/changed", b"", 0)).0.zxid;
    client.call(&mut world, &create("/same", b"", 0));
    client.call(&mut world, &set("/changed", b"x", -1));
    let watches = SetWatches {
        relative_zxid: zxid + 1,
        data: vec!["/changed", "/same", "/gone"],
        exist: vec!["/same", "/later"],
        child: vec!["/same"],
        persistent: vec![],
        recursive: vec![],
    };
    client.send(&mut world, &Request::SetWatches(Opcode::SetWatches, watches));
    world.settle();
    let event = |kind, path: &str| Incoming::Event { kind, path: path.to_owned() };
    let incoming = client.poll(&mut world);
    assert_eq!(incoming[..3], [event(3, "/changed"), event(2, "/gone"), event(1, "/same")]);
    assert!(matches!(&incoming[3..], [Incoming::Reply(header, _)] if header.error == 0));
    client.send(&mut world, &create("/same/child", b"", 0));
    client.send(&mut world, &set("/same", b"y", -1));
    client.send(&mut world, &create("/later", b"", 0));
    world.settle();
    let events: Vec<Incoming> =
        client.poll(&mut world).into_iter().filter(|incoming| matches!(incoming, Incoming::Event { .. })).collect();
    assert_eq!(events, [event(4, "/same"), event(3, "/same"), event(1, "/later")]);
}

/// Rights are those of the credentials: a stranger is refused, hears no event, and sees no hash.
#[test]
fn rights() {
    let mut world = World::new(6);
    let (mut owner, mut stranger) = (Client::open(&mut world), Client::open(&mut world));
    let auth = Request::Auth { scheme: "digest", credentials: b"u:p" };
    assert_eq!(owner.code(&mut world, &auth), 0);
    let mine = AclEntry { perms: 31, scheme: "auth", id: "" };
    let create = Create { path: "/p", data: None, acl: vec![mine], flags: 0, ttl_ms: None };
    owner.call(&mut world, &Request::Create(Opcode::Create, create));
    for request in [
        Request::GetData { path: "/p", watch: false },
        Request::GetChildren2 { path: "/p", watch: false },
        set("/p", b"", -1),
        crate::client::create("/p/x", b"", 0),
        Request::SetAcl { path: "/p", acl: vec![OPEN], version: -1 },
        Request::GetAcl { path: "/p" },
    ] {
        assert_eq!(stranger.code(&mut world, &request), -102, "{request:?}");
    }
    assert_eq!(stranger.code(&mut world, &Request::Exists { path: "/p", watch: true }), 0);
    assert_eq!(owner.code(&mut world, &set("/p", b"secret", -1)), 0);
    assert_eq!(stranger.poll(&mut world), []);
    let read = AclEntry { perms: 1, scheme: "world", id: "anyone" };
    let own = AclEntry { perms: 31, scheme: "digest", id: "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=" };
    assert_eq!(owner.code(&mut world, &Request::SetAcl { path: "/p", acl: vec![read, own], version: 0 }), 0);
    let (_, frame) = stranger.call(&mut world, &Request::GetAcl { path: "/p" });
    let Body::Acl { acl, .. } = Reply::decode(Opcode::GetAcl, &frame).unwrap().body else { panic!() };
    assert_eq!(acl, [read, AclEntry { id: "u:x", ..own }]);
}

/// A session is taken up again with its password, on a new connection or by a new life of the node; its old connection
/// is closed, its ephemerals stay; a wrong password is "expired" and harms nobody.
#[test]
fn sessions() {
    let mut world = World::new(7);
    let mut client = Client::open(&mut world);
    client.call(&mut world, &create("/e", b"", 1));
    let hello = client.hello.clone().unwrap();
    let mut thief = Client::dial(&mut world, hello.session_id, &[7; PASSWORD_BYTES], 6000, 0);
    world.settle();
    thief.poll(&mut world);
    assert_eq!((thief.session(), world.is_closed(thief.conn), world.is_closed(client.conn)), (0, true, false));
    let mut again = Client::dial(&mut world, hello.session_id, &hello.password, 9000, 0);
    world.settle();
    again.poll(&mut world);
    assert_eq!(again.hello.as_ref().map(|hello| (hello.session_id, hello.timeout_ms)), Some((hello.session_id, 9000)));
    assert!(world.is_closed(client.conn) && !world.is_closed(again.conn));
    world.crash();
    let mut later = Client::dial(&mut world, hello.session_id, &hello.password, 6000, 0);
    world.settle();
    later.poll(&mut world);
    assert_eq!(later.session(), hello.session_id);
    assert_eq!(stat(&mut later, &mut world, "/e").ephemeral_owner.0, hello.session_id);
    let ahead = Client::dial(&mut world, hello.session_id, &hello.password, 6000, i64::MAX);
    world.settle();
    assert!(world.is_closed(ahead.conn) && world.socket(ahead.conn).received.is_empty());
    let header = later.call(&mut world, &Request::CloseSession).0;
    assert_eq!((header.error, world.is_closed(later.conn)), (0, true));
    assert!(world.node.engine().tree().get("/e").is_none());
}

/// A silent session ends between its timeout and a tick more, its connection with it; whoever pings stays.
#[test]
fn silence() {
    let mut world = World::new(8);
    let (mut silent, mut watcher) = (Client::open(&mut world), Client::open(&mut world));
    silent.call(&mut world, &create("/e", b"", 1));
    watcher.call(&mut world, &Request::Exists { path: "/e", watch: true });
    let from = world.now_ms();
    while !world.is_closed(silent.conn) {
        watcher.send(&mut world, &Request::Ping);
        world.pass_ms(500);
        world.settle();
        assert!(world.now_ms() - from < 10_000);
    }
    assert!(world.now_ms() - from >= 6000, "{}", world.now_ms() - from);
    let events = watcher.poll(&mut world).into_iter().filter(|incoming| matches!(incoming, Incoming::Event { .. }));
    assert_eq!(events.collect::<Vec<_>>(), [Incoming::Event { kind: 2, path: "/e".into() }]);
    assert!(!world.is_closed(watcher.conn));
}
