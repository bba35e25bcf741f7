//! Bounds: outstanding requests, unread replies, large frames, watches, the tree's account. What is full says so, and
//! everything else goes on.

use tern::zookeeper::codec::{Body, Opcode, Reply, Request};

use crate::client::{Client, Incoming, create, request, set};
use crate::world::World;

/// A client that sends and never waits is not read beyond its outstanding requests, and gets every reply in the end.
#[test]
fn outstanding_requests() {
    let mut world = World::new(1);
    let mut client = Client::open(&mut world);
    client.call(&mut world, &create("/p", b"", 0));
    let all: Vec<u8> = (0..5000).flat_map(|i| request(i, &set("/p", &[1; 100], -1))).collect();
    world.send(client.conn, &all);
    assert!(world.unread(client.conn) > all.len() / 2);
    let mut next = 0;
    while next < 5000 {
        world.settle();
        for incoming in client.poll(&mut world) {
            let Incoming::Reply(header, _) = incoming else { panic!("{incoming:?}") };
            assert_eq!((header.xid, header.error), (next, 0));
            next += 1;
        }
    }
    assert_eq!(world.unread(client.conn), 0);
}

/// A client that asks and does not read what it gets is answered no further, until it reads.
#[test]
fn unread_replies() {
    let mut world = World::new(2);
    let (mut client, mut other) = (Client::open(&mut world), Client::open(&mut world));
    client.call(&mut world, &create("/p", &[7; 3000], 0));
    world.socket(client.conn).is_deaf = true;
    let all: Vec<u8> = (0..500).flat_map(|i| request(i, &Request::GetData { path: "/p", watch: false })).collect();
    world.send(client.conn, &all);
    world.settle();
    assert_eq!(other.code(&mut world, &Request::Ping), 0);
    let mut count = 0;
    for _ in 0..100 {
        world.listen(client.conn);
        world.settle();
        count += client.poll(&mut world).len();
    }
    assert_eq!(count, 500);
}

/// The largest frame passes, however it is cut, and so does its data on the way back; one byte more ends the connection.
#[test]
fn large_frames() {
    let mut world = World::new(3);
    let mut client = Client::open(&mut world);
    let most = world.config.zookeeper.request_bytes_max;
    assert_eq!(most, 1_048_575);
    let overhead = request(1, &create("/p", b"", 0)).len() - 4;
    let data = vec![5; most - overhead];
    for piece in request(1, &create("/p", &data, 0)).chunks(100_000) {
        world.send(client.conn, piece);
        world.settle();
    }
    assert!(matches!(&client.poll(&mut world)[..], [Incoming::Reply(header, _)] if header.error == 0));
    let (_, frame) = client.call(&mut world, &Request::GetData { path: "/p", watch: false });
    let reply = Reply::decode(Opcode::GetData, &frame).unwrap();
    assert!(matches!(reply.body, Body::Data { data: Some(found), .. } if found == data));
    let longer = vec![5; most - overhead + 1];
    world.send(client.conn, &request(2, &create("/q", &longer, 0)));
    world.settle();
    assert!(world.is_closed(client.conn));
}

/// Many begin large frames and none ends them: who comes later waits, the silent ones are closed, and it is served.
#[test]
fn stalled_frames() {
    let mut world = World::new(4);
    let stalled: Vec<Client> = (0..12).map(|_| Client::open(&mut world)).collect();
    for client in &stalled {
        world.send(client.conn, &request(1, &create("/p", &vec![1; 1_000_000], 0))[..20_000]);
        world.settle();
    }
    let mut late = Client::open(&mut world);
    world.send(late.conn, &request(1, &create("/late", &vec![1; 500_000], 0)));
    world.settle();
    let mut is_served = false;
    for _ in 0..60 {
        world.pass_ms(500);
        world.settle();
        if world.is_closed(late.conn) {
            break;
        }
        is_served |= late
            .poll(&mut world)
            .iter()
            .any(|incoming| matches!(incoming, Incoming::Reply(h, _) if h.xid == 1 && h.error == 0));
        late.send(&mut world, &Request::Ping);
    }
    assert!(is_served && stalled.iter().filter(|client| world.is_closed(client.conn)).count() >= 6);
}

/// A full tree refuses what would grow it, in words that clients know; reads, deletions and smaller data go on.
#[test]
fn full_tree() {
    let mut world = World::with(5, |config| config.memory.tree_bytes = 1 << 20);
    let mut client = Client::open(&mut world);
    let mut count = 0;
    while client.code(&mut world, &create(&format!("/n{count}"), &[1; 20_000], 0)) == 0 {
        count += 1;
        assert!(count < 100);
    }
    assert!(count > 30, "{count}");
    assert_eq!(client.code(&mut world, &create("/more", &[1; 20_000], 0)), -1);
    assert_eq!(client.code(&mut world, &Request::GetData { path: "/n0", watch: false }), 0);
    assert_eq!(client.code(&mut world, &set("/n0", b"less", -1)), 0);
    assert_eq!(client.code(&mut world, &Request::Delete { path: "/n1", version: -1 }), 0);
    assert_eq!(client.code(&mut world, &create("/more", &[1; 20_000], 0)), 0);
}

/// Watches end with their account: the read that would set one more is refused, one without a watch is not.
#[test]
fn full_of_watches() {
    let mut world = World::with(6, |config| {
        config.memory = tern::config::MemoryConfig::for_budget(16 << 20);
        config.zookeeper.request_bytes_max = 100_000;
    });
    let mut client = Client::open(&mut world);
    let exists = |path: &str, watch| request(1, &Request::Exists { path, watch });
    let mut refused = 0;
    for i in 0..2000 {
        world.send(client.conn, &exists(&format!("/w{i}"), true));
        world.settle();
        for incoming in client.poll(&mut world) {
            let Incoming::Reply(header, _) = incoming else { panic!("{incoming:?}") };
            refused += (header.error == -1) as usize;
        }
    }
    assert!(refused > 0 && refused < 1900, "{refused}");
    assert_eq!(client.code(&mut world, &Request::Exists { path: "/w1999", watch: false }), -101);
    world.disconnect(client.conn);
    let mut client = Client::open(&mut world);
    assert_eq!(client.code(&mut world, &Request::Exists { path: "/w1999", watch: true }), -101);
}
