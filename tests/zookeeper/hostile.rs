//! Bad input: whatever a client sends, its own connection suffers at most, and nobody else notices.

use tern::types::Rng;
use tern::zookeeper::codec::{Request, RequestHeader};

use crate::client::{Client, Incoming, create, framed, request};
use crate::frames::every_request;
use crate::world::World;

/// Lengths that are none, headers that are cut, and operations that nobody knows end the connection, the last with a
/// code; the session lives on.
#[test]
fn ends_of_connections() {
    let mut world = World::new(1);
    let mut witness = Client::open(&mut world);
    for bytes in [&[0xff; 4][..], &[0x00, 0x10, 0x00, 0x00], &[0, 0, 0, 0], &[0, 0, 0, 4, 0, 0, 0, 1]] {
        let client = Client::open(&mut world);
        world.send(client.conn, bytes);
        assert!(world.is_closed(client.conn), "{bytes:?}");
        assert!(world.node.engine().sessions().get(tern::types::SessionId(client.session())).is_some());
    }
    let mut client = Client::open(&mut world);
    world.send(client.conn, &framed(|out| RequestHeader { xid: 9, opcode: 77 }.encode(out)));
    match &client.poll(&mut world)[..] {
        [Incoming::Reply(header, _)] => assert_eq!((header.xid, header.zxid, header.error), (9, -1, -6)),
        other => panic!("{other:?}"),
    }
    assert!(world.is_closed(client.conn));
    for hello in [&[0, 0, 0, 3, 1, 2, 3][..], &[0x7f, 0xff, 0xff, 0xff], b"GET / HTTP/1.1\r\n\r\n"] {
        let conn = world.connect();
        world.send(conn, hello);
        assert!(world.is_closed(conn) && world.socket(conn).received.is_empty(), "{hello:?}");
    }
    assert_eq!(witness.code(&mut world, &Request::Ping), 0);
}

/// A body that cannot be read is answered as such and the connection goes on; after the end of a session nothing is.
#[test]
fn what_is_not_understood() {
    let mut world = World::new(2);
    let mut client = Client::open(&mut world);
    let bad = framed(|out| {
        RequestHeader { xid: 3, opcode: 1 }.encode(out);
        out.extend([0, 0, 0, 2, b'/', b'a', 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    });
    world.send(client.conn, &bad);
    world.settle();
    assert!(matches!(&client.poll(&mut world)[..], [Incoming::Reply(header, _)] if header.error == -5));
    let last = [request(4, &Request::CloseSession), request(5, &Request::Ping), bad].concat();
    world.send(client.conn, &last);
    world.settle();
    assert!(
        matches!(&client.poll(&mut world)[..], [Incoming::Reply(header, _)] if (header.xid, header.error) == (4, 0))
    );
    assert!(world.is_closed(client.conn));
}

/// A client that connects and says nothing is closed after a while; one that has a session is not.
#[test]
fn silence_before_the_first_word() {
    let mut world = World::new(3);
    let mut client = Client::open(&mut world);
    let (mute, slow) = (world.connect(), world.connect());
    world.send(slow, &[0, 0]);
    for _ in 0..11 {
        client.send(&mut world, &Request::Ping);
        world.pass_ms(1000);
    }
    assert!(world.is_closed(mute) && world.is_closed(slow) && !world.is_closed(client.conn));
}

/// One address has so many connections and no more; another one has its own.
#[test]
fn connections_of_an_address() {
    let mut world = World::with(4, |config| config.zookeeper.connections_per_address_max = Some(2));
    let first = world.connect();
    let (second, third) = (world.connect(), world.connect());
    assert!(!world.is_closed(first) && !world.is_closed(second) && world.is_closed(third));
    let elsewhere = world.connect_from("10.0.0.8:1".parse().unwrap());
    assert!(!world.is_closed(elsewhere));
    world.disconnect(first);
    let fourth = world.connect();
    assert!(!world.is_closed(fourth));
}

/// Bent frames of every operation, many in a packet, in pieces of any size: the node goes on, a witness is served, and
/// nothing is left of the connections in the accounts.
#[test]
fn bent_frames() {
    for seed in 0..crate::seeds(4) {
        println!("seed {seed}");
        let mut world = World::new(100 + seed);
        let mut witness = Client::open(&mut world);
        let mut rng = Rng::new(seed);
        let requests = every_request();
        for round in 0..150 {
            let client = Client::open(&mut world);
            let mut bytes = Vec::new();
            for _ in 0..rng.below(12) {
                let known = &requests[rng.below(requests.len() as u64) as usize];
                if known.opcode() == tern::zookeeper::codec::Opcode::CloseSession && !rng.one_in(8) {
                    continue;
                }
                bytes.extend(request(1 + rng.below(3) as i32, known));
            }
            for _ in 0..rng.below(4) {
                if !bytes.is_empty() {
                    let at = rng.below(bytes.len() as u64) as usize;
                    bytes[at] = rng.next() as u8;
                }
            }
            while !bytes.is_empty() && !world.is_closed(client.conn) {
                let count = 1 + rng.below(bytes.len() as u64) as usize;
                let piece: Vec<u8> = bytes.drain(..count).collect();
                world.send(client.conn, &piece);
                if rng.one_in(3) {
                    world.settle();
                }
            }
            world.disconnect(client.conn);
            let path = format!("/w{round}");
            assert_eq!(witness.code(&mut world, &create(&path, b"", 0)), 0);
            witness.poll(&mut world);
        }
    }
}
