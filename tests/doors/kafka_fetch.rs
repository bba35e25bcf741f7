//! Fetch: waiting, limits, sessions, errors.

use tern::kafka::errors::ErrorCode;
use tern::types::ConnId;

use crate::client::*;
use crate::world::World;

const NONE: ErrorCode = ErrorCode::NONE;

/// A world with topic `t` of two partitions, a producer and a consumer.
fn begin() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let (producer, consumer) = (world.connect(), world.connect());
    world.send(producer, &metadata(4, 0, &["t"]));
    world.take(producer);
    (world, producer, consumer)
}

fn append(world: &mut World, producer: ConnId, index: i32, batch: &[u8]) {
    world.send(producer, &produce(7, 1, -1, "t", &[(index, batch)]));
    assert_eq!(produced(7, &world.take(producer))[0].0, NONE);
}

/// Nothing there: the reply comes when data does, or empty when the client's patience ends, never before.
#[test]
fn long_poll() {
    let (mut world, producer, consumer) = begin();
    world.send(consumer, &fetch(Ask::default(), 1, "t", &[(0, 0), (1, 0)]));
    world.pass_ms(499);
    assert!(world.take(consumer).is_empty());
    world.pass_ms(1);
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 0, 0), (1, NONE, 0, 0)]);
    world.send(consumer, &fetch(Ask::default(), 2, "t", &[(0, 0), (1, 0)]));
    let batch = batch(2, 10);
    append(&mut world, producer, 1, &batch);
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 0, 0), (1, NONE, 2, batch.len())]);
    world.send(consumer, &fetch(Ask { max_wait_ms: 0, ..Ask::default() }, 3, "t", &[(0, 0)]));
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 0, 0)]);
    world.send(consumer, &fetch(Ask { min_bytes: 0, ..Ask::default() }, 3, "t", &[(0, 0)]));
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 0, 0)]);
}

/// `min_bytes` gathers; patience ends gathering.
#[test]
fn min_bytes() {
    let (mut world, producer, consumer) = begin();
    let batch = batch(1, 100);
    let ask = Ask { min_bytes: 2 * batch.len() as i32, ..Ask::default() };
    world.send(consumer, &fetch(ask, 1, "t", &[(0, 0)]));
    append(&mut world, producer, 0, &batch);
    world.pass_ms(100);
    assert!(world.take(consumer).is_empty());
    append(&mut world, producer, 0, &batch);
    world.pass_ms(100);
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 2, 2 * batch.len())]);
    world.send(consumer, &fetch(ask, 2, "t", &[(0, 1)]));
    world.pass_ms(499);
    assert!(world.take(consumer).is_empty());
    world.pass_ms(1);
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 2, batch.len())]);
    assert_eq!(world.responses.used_bytes(), 0);
}

/// The first batch comes whole however little was asked for, so that a consumer always gets on.
#[test]
fn first_batch_whole() {
    let (mut world, producer, consumer) = begin();
    let batch = batch(1, 50_000);
    for _ in 0..3 {
        append(&mut world, producer, 0, &batch);
    }
    for (max_bytes, partition_max_bytes) in [(1, 1), (0, 0), (-5, -5), (1, 1 << 20), (1 << 20, 1)] {
        let ask = Ask { max_bytes, partition_max_bytes, ..Ask::default() };
        world.send(consumer, &fetch(ask, 1, "t", &[(0, 0)]));
        assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 3, batch.len())]);
    }
    world.send(consumer, &fetch(Ask::default(), 1, "t", &[(0, 0)]));
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 3, 3 * batch.len())]);
}

/// What several partitions have comes in one answer when it is little, and never more than was asked for.
#[test]
fn little_of_many() {
    let (mut world, producer, consumer) = begin();
    let (small, large) = (batch(1, 10), batch(1, 50_000));
    append(&mut world, producer, 0, &small);
    append(&mut world, producer, 1, &small);
    world.send(consumer, &fetch(Ask::default(), 1, "t", &[(0, 0), (1, 0)]));
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(0, NONE, 1, small.len()), (1, NONE, 1, small.len())]);
    for _ in 0..3 {
        append(&mut world, producer, 0, &large);
        append(&mut world, producer, 1, &large);
    }
    for batches in 1..6 {
        let ask = Ask { max_bytes: batches * large.len() as i32, ..Ask::default() };
        world.send(consumer, &fetch(ask, 1, "t", &[(0, 1), (1, 1)]));
        let brought: usize = fetched(11, &world.take(consumer)).partitions.iter().map(|partition| partition.3).sum();
        assert!(brought > 0 && brought <= batches as usize * large.len(), "{brought} of {batches} batches");
    }
}

/// Errors of a partition are told at once, and do not hide what others have.
#[test]
fn errors() {
    let (mut world, producer, consumer) = begin();
    let batch = batch(1, 10);
    append(&mut world, producer, 0, &batch);
    world.send(consumer, &fetch(Ask::default(), 1, "t", &[(0, 0), (1, 5), (7, 0)]));
    assert_eq!(
        fetched(11, &world.take(consumer)).partitions,
        [
            (0, NONE, 1, batch.len()),
            (1, ErrorCode::OFFSET_OUT_OF_RANGE, -1, 0),
            (7, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, 0)
        ]
    );
    world.send(consumer, &fetch(Ask { version: 13, ..Ask::default() }, 1, "t", &[(0, 0)]));
    assert_eq!(fetched(13, &world.take(consumer)).partitions, [(0, ErrorCode::UNKNOWN_TOPIC_ID, -1, 0)]);
}

/// A session: the first answer is whole, later ones tell news only; epochs and ids are checked.
#[test]
fn sessions() {
    let (mut world, producer, consumer) = begin();
    let mut ask = Ask { max_wait_ms: 0, session: (0, 0), ..Ask::default() };
    world.send(consumer, &fetch(ask, 1, "t", &[(0, 0), (1, 0)]));
    let first = fetched(11, &world.take(consumer));
    assert!(first.session > 0);
    assert_eq!(first.partitions.len(), 2);
    ask.session = (first.session, 1);
    world.send(consumer, &fetch(ask, 2, "t", &[]));
    let nothing = Fetched { error: NONE, session: first.session, partitions: vec![] };
    assert_eq!(fetched(11, &world.take(consumer)), nothing);
    let batch = batch(1, 10);
    append(&mut world, producer, 1, &batch);
    ask.session.1 = 2;
    world.send(consumer, &fetch(ask, 3, "t", &[]));
    assert_eq!(fetched(11, &world.take(consumer)).partitions, [(1, NONE, 1, batch.len())]);
    world.send(consumer, &fetch(ask, 4, "t", &[]));
    assert_eq!(fetched(11, &world.take(consumer)).error, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    ask.session.1 = 3;
    world.send(consumer, &fetch(ask, 5, "t", &[(1, 1)]));
    assert_eq!(fetched(11, &world.take(consumer)), nothing);
    ask.session = (first.session ^ 1, 1);
    world.send(consumer, &fetch(ask, 6, "t", &[]));
    assert_eq!(fetched(11, &world.take(consumer)).error, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    ask.session = (first.session, -1);
    world.send(consumer, &fetch(ask, 7, "t", &[(0, 0)]));
    assert_eq!(fetched(11, &world.take(consumer)).session, 0);
    ask.session = (first.session, 4);
    world.send(consumer, &fetch(ask, 8, "t", &[]));
    assert_eq!(fetched(11, &world.take(consumer)).error, ErrorCode::FETCH_SESSION_ID_NOT_FOUND, "it has ended");
}

/// A consumer that goes away while it waits leaves nothing behind.
#[test]
fn gone_while_waiting() {
    let (mut world, producer, consumer) = begin();
    world.send(consumer, &fetch(Ask { max_wait_ms: 60_000, ..Ask::default() }, 1, "t", &[(0, 0)]));
    assert!(world.responses.used_bytes() > 0);
    world.disconnect(consumer);
    assert_eq!(world.responses.used_bytes(), 0);
    append(&mut world, producer, 0, &batch(1, 10));
    world.pass_ms(70_000);
    assert!(world.is_closed(producer), "silent for a minute");
}

/// What lies behind a waiting fetch waits too, as in Kafka.
#[test]
fn order_behind_a_fetch() {
    let (mut world, _producer, consumer) = begin();
    world.send(consumer, &fetch(Ask::default(), 1, "t", &[(0, 0)]));
    world.send(consumer, &api_versions(3, 2));
    world.send(consumer, &produce(7, 3, -1, "t", &[(0, &batch(1, 1))]));
    assert!(world.take(consumer).is_empty());
    world.pass_ms(500);
    assert_eq!(correlation_ids(&world.take(consumer)), [1, 2, 3]);
}
