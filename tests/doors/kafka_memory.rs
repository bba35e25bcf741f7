//! Memory: who gets none waits and is not forgotten; who holds some without moving loses it.

use tern::kafka::errors::ErrorCode;

use crate::client::*;
use crate::world::World;

/// Half-sent large frames of newcomers take half of the memory at most: small requests pass, and large ones of clients
/// at work. Newcomers wait, and after ten seconds the stuck senders are closed and the others served in order.
#[test]
fn half_frames() {
    let mut world = World::with_memory(400_000, 400_000);
    let healthy = world.connect();
    world.send(healthy, &metadata(4, 0, &["t"]));
    world.take(healthy);
    let large = produce(7, 1, -1, "t", &[(0, &batch(1, 60_000))]);
    let stuck: Vec<_> = (0..10).map(|_| world.connect()).collect();
    for &conn in &stuck {
        world.send(conn, &large[..20_000]);
    }
    assert!(world.requests.used_bytes() <= 200_000, "half is for newcomers");
    world.send(healthy, &large);
    assert_eq!(produced(7, &world.take(healthy)), [(ErrorCode::NONE, 0)], "clients at work get on");
    let waiting = world.connect();
    world.send(waiting, &large);
    assert!(world.take(waiting).is_empty() && world.unread(waiting) > 0, "not read while it waits");
    world.send(healthy, &produce(7, 2, -1, "t", &[(0, &batch(1, 100))]));
    assert_eq!(produced(7, &world.take(healthy)), [(ErrorCode::NONE, 1)], "small requests pass");
    world.pass_ms(9_000);
    assert!(world.take(waiting).is_empty());
    world.pass_ms(30_000);
    assert_eq!(produced(7, &world.take(waiting)), [(ErrorCode::NONE, 2)]);
    assert!(stuck[..3].iter().all(|&conn| world.is_closed(conn)));
    assert!(!world.is_closed(healthy));
    let left = stuck.iter().filter(|&&conn| !world.is_closed(conn)).count();
    assert!(left <= 4, "those in whose place nobody waits may stay, {left} did");
}

/// A length alone, or less than the input buffer of a frame, holds no memory at all.
#[test]
fn lengths_cost_nothing() {
    let mut world = World::new();
    for _ in 0..500 {
        let conn = world.connect();
        world.send(conn, &(500_000i32).to_be_bytes());
        world.send(conn, &[0; 8000]);
        assert!(!world.is_closed(conn));
    }
    assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0));
}

/// Consumers that do not read what they asked for hold the memory of responses: others wait, the deaf are closed, and
/// every consumer that listens is served.
#[test]
fn deaf_consumers() {
    let mut world = World::with_memory(1 << 20, 400_000);
    let producer = world.connect();
    world.send(producer, &metadata(4, 0, &["t"]));
    let batch = batch(1, 50_000);
    for _ in 0..8 {
        world.send(producer, &produce(7, 1, -1, "t", &[(0, &batch)]));
    }
    let deaf: Vec<_> = (0..12).map(|_| world.connect()).collect();
    for &conn in &deaf {
        world.socket(conn).is_deaf = true;
        world.send(conn, &fetch(Ask::default(), 1, "t", &[(0, 0)]));
    }
    assert!(world.responses.used_bytes() <= 400_000);
    let listening: Vec<_> = (0..5).map(|_| world.connect()).collect();
    for &conn in &listening {
        world.send(conn, &fetch(Ask::default(), 1, "t", &[(0, 0)]));
    }
    world.send(producer, &api_versions(3, 2));
    assert!(!world.take(producer).is_empty(), "small requests pass");
    world.pass_ms(200_000);
    for &conn in &listening {
        let received = if world.is_closed(conn) { world.last_words(conn).to_vec() } else { world.take(conn) };
        assert!(fetched(11, &received).partitions[0].3 >= batch.len());
    }
    assert!(deaf.iter().filter(|&&conn| world.is_closed(conn)).count() >= 8);
}

/// A client that reads nothing gets no second response made, however many it asks for.
#[test]
fn one_response_at_a_time() {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.send(conn, &produce(7, 1, -1, "t", &[(0, &batch(1, 50_000))]));
    world.take(conn);
    world.socket(conn).is_deaf = true;
    for id in 0..100 {
        world.send(conn, &fetch(Ask::default(), id, "t", &[(0, 0)]));
    }
    assert!(world.responses.used_bytes() < 70_000);
    world.listen(conn);
    assert_eq!(correlation_ids(&world.take(conn)), (0..100).collect::<Vec<_>>());
    assert_eq!(world.responses.used_bytes(), 0);
}

/// Silence closes a connection, but not while it is we who keep it waiting.
#[test]
fn idle() {
    let mut world = World::new();
    let (silent, waiting) = (world.connect(), world.connect());
    world.send(waiting, &metadata(4, 0, &["t"]));
    world.take(waiting);
    world.send(waiting, &fetch(Ask { max_wait_ms: 90_000, ..Ask::default() }, 1, "t", &[(0, 0)]));
    world.pass_ms(59_999);
    assert!(!world.is_closed(silent));
    world.pass_ms(2);
    assert!(world.is_closed(silent) && !world.is_closed(waiting));
    world.pass_ms(30_000);
    assert_eq!(correlation_ids(&world.take(waiting)), [1]);
    world.pass_ms(59_000);
    assert!(!world.is_closed(waiting));
    world.pass_ms(3_000);
    assert!(world.is_closed(waiting));
}
