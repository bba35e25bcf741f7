//! Requests of one connection are answered once each, in their order, whatever they are and however they arrive.

use tern::kafka::codec::{ApiVersionsResponse, ListOffsetsResponse, MetadataResponse, read_response};
use tern::kafka::errors::ErrorCode;
use tern::types::Rng;

use crate::client::*;
use crate::world::{World, rounds, seed};

/// Every kind of request in one stream, cut anywhere: one reply each, in order.
#[test]
fn pipelined_and_cut() {
    let seed = seed(1);
    for round in 0..rounds(60) {
        let mut rng = Rng::new(seed + round);
        let mut world = World::new();
        let conn = world.connect();
        let (mut stream, mut expected) = (metadata(4, 0, &["t"]), vec![0]);
        for id in 1..80 {
            match rng.below(8) {
                0 => stream.extend(api_versions(3, id)),
                1 => stream.extend(metadata(9, id, &["t", "u"])),
                2 => stream.extend(list_offsets(5, id, "t", 0, -1)),
                3 => stream.extend(fetch(Ask { max_wait_ms: 0, ..Ask::default() }, id, "t", &[(0, 0), (1, 0)])),
                4 => stream.extend(produce(9, id, -1, "t", &[(0, &batch(1, 20_000))])),
                5 => {
                    stream.extend(produce(7, id, 0, "t", &[(1, &batch(1, 10))]));
                    continue;
                }
                _ => stream.extend(produce(7, id, -1, "t", &[(0, &batch(1, 100)), (1, &batch(2, 50))])),
            }
            expected.push(id);
        }
        world.read_bytes_max = 1 + rng.below(30_000) as usize;
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + rng.below(5000) as usize).min(rest.len()));
            if rng.one_in(2) {
                world.send(conn, now)
            } else {
                world.push(conn, now)
            }
            rest = later;
        }
        world.settle();
        assert!(!world.is_closed(conn), "seed {}", seed + round);
        assert_eq!(correlation_ids(&world.take(conn)), expected, "seed {}", seed + round);
        assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0));
    }
}

/// Produce requests of a connection are appended at once and in order; the seventeenth waits for the first.
#[test]
fn many_in_flight() {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.take(conn);
    let batch = batch(1, 10);
    for id in 1..=20 {
        world.push(conn, &produce(7, id, -1, "t", &[(0, &batch)]));
    }
    let key = world.engine.partition("t", tern::types::PartitionIndex(0)).unwrap();
    assert_eq!(world.engine.partition_view(key).unwrap().log_end_offset.0, 16);
    world.settle();
    let bytes = world.take(conn);
    assert_eq!(correlation_ids(&bytes), (1..=20).collect::<Vec<_>>());
    assert_eq!(produced(7, &bytes), (0..20).map(|offset| (ErrorCode::NONE, offset)).collect::<Vec<_>>());
}

/// acks=0 is silent; what cannot be appended then closes the connection, as there is no other way to say it.
#[test]
fn acks_zero() {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.take(conn);
    world.send(conn, &produce(7, 1, 0, "t", &[(0, &batch(3, 10))]));
    assert!(world.take(conn).is_empty() && !world.is_closed(conn));
    let key = world.engine.partition("t", tern::types::PartitionIndex(0)).unwrap();
    assert_eq!(world.engine.partition_view(key).unwrap().log_end_offset.0, 3);
    world.send(conn, &produce(7, 2, 0, "nowhere", &[(0, &batch(3, 10))]));
    assert!(world.is_closed(conn));
}

/// Each refusal has its code, for its partition alone.
#[test]
fn produce_refusals() {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.take(conn);
    let good = batch(1, 10);
    let mut bad = good.clone();
    bad[65] ^= 1;
    let mut check = |version, acks, topic: &str, index, batch: &[u8], code| {
        world.send(conn, &produce(version, 5, acks, topic, &[(index, batch)]));
        assert_eq!(produced(version, &world.take(conn))[0].0, code, "{topic} {index}");
    };
    check(7, -1, "t", 0, &good, ErrorCode::NONE);
    check(7, -1, "t", 9, &good, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    check(7, -1, "u", 0, &good, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    check(7, 2, "t", 0, &good, ErrorCode::INVALID_REQUIRED_ACKS);
    check(9, -1, "t", 0, &bad, ErrorCode::CORRUPT_MESSAGE);
    check(9, -1, "t", 0, &[], ErrorCode::INVALID_RECORD);
    world.send(conn, &produce(2, 5, -1, "t", &[(0, &good)]));
    assert_eq!(produced(2, &world.take(conn)), [(ErrorCode::UNSUPPORTED_VERSION, -1)]);
    world.send(conn, &produce(13, 5, -1, "t", &[(0, &good)]));
    assert_eq!(produced(13, &world.take(conn)), [(ErrorCode::UNKNOWN_TOPIC_ID, -1)]);
}

/// The first request of a client from the future gets an answer it can read; other such requests close.
#[test]
fn versions_from_the_future() {
    let mut world = World::new();
    let conn = world.connect();
    let mut newer = api_versions(4, 7);
    newer[7] = 99;
    world.send(conn, &newer);
    let bytes = world.take(conn);
    let response: ApiVersionsResponse<'_> = reply(0, &bytes);
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(response.api_keys.iter().map(|range| range.api_key).collect::<Vec<_>>(), [18]);
    for version in 0..=4 {
        world.send(conn, &api_versions(version, 8));
        let bytes = world.take(conn);
        let response: ApiVersionsResponse<'_> = reply(version, &bytes);
        assert!(
            response.api_keys.iter().any(|range| (range.api_key, range.min_version, range.max_version) == (0, 0, 13))
        );
    }
    let mut newer = metadata(4, 9, &["t"]);
    newer[7] = 99;
    world.send(conn, &newer);
    assert!(world.is_closed(conn));
}

/// Metadata creates what it may, refuses what it must, and answers with the address of the listener that was asked.
#[test]
fn metadata_answers() {
    let mut world = World::new();
    for (listener, port) in [(0, 9092), (1, 9093)] {
        let conn = world.connect_to(listener);
        world.send(conn, &metadata(12, 1, &["t", "no!", "__consumer_offsets", "t"]));
        let bytes = world.take(conn);
        let response: MetadataResponse<'_> = reply(12, &bytes);
        let broker = response.brokers.iter().next().unwrap();
        assert_eq!((broker.node_id.0, broker.host, broker.port), (1, "board", port));
        assert_eq!(response.controller_id.0, 1);
        let topics: Vec<_> = response.topics.iter().collect();
        let codes: Vec<_> = topics.iter().map(|topic| topic.error_code).collect();
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(codes, [ErrorCode::NONE, ErrorCode::INVALID_TOPIC_EXCEPTION, unknown, ErrorCode::NONE]);
        assert_eq!(topics[0].partitions.len(), 2);
        assert_ne!(topics[0].topic_id, tern::types::TopicId::ZERO);
    }
    let conn = world.connect();
    world.send(conn, &metadata(12, 1, &["t"]));
    let bytes = world.take(conn);
    let id = reply::<MetadataResponse<'_>>(12, &bytes).topics.iter().next().unwrap().topic_id;
    // Java's client sends an empty name beside an id.
    for (topic_id, name, expected) in [
        (id, Some(""), (ErrorCode::NONE, Some("t"))),
        (id, None, (ErrorCode::NONE, Some("t"))),
        (tern::types::TopicId([1; 16]), Some(""), (ErrorCode::UNKNOWN_TOPIC_ID, None)),
    ] {
        let topics = [tern::kafka::codec::MetadataRequestTopic { topic_id, name }];
        let topics = Some(tern::kafka::codec::Array::of(&topics));
        let asked =
            tern::kafka::codec::MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
        world.send(conn, &request(12, 1, &asked));
        let bytes = world.take(conn);
        let topic = reply::<MetadataResponse<'_>>(12, &bytes).topics.iter().next().unwrap();
        assert_eq!((topic.error_code, topic.name), expected);
    }
    let all = tern::kafka::codec::MetadataRequest { topics: None, ..Default::default() };
    for (version, expected) in [(1, 1), (13, 1)] {
        world.send(conn, &request(version, 1, &all));
        let bytes = world.take(conn);
        assert_eq!(reply::<MetadataResponse<'_>>(version, &bytes).topics.len(), expected);
    }
    world.send(conn, &metadata(1, 1, &[]));
    let bytes = world.take(conn);
    assert_eq!(reply::<MetadataResponse<'_>>(1, &bytes).topics.len(), 0, "an empty list is nothing");
    world.send(conn, &metadata(0, 1, &[]));
    let bytes = world.take(conn);
    assert_eq!(reply::<MetadataResponse<'_>>(0, &bytes).topics.len(), 1, "in version 0 it is everything");
}

/// librdkafka leaves three bytes behind the body of its requests.
#[test]
fn trailing_bytes() {
    let mut world = World::new();
    let conn = world.connect();
    let mut frame = metadata(9, 1, &["t"]);
    frame.extend([1, 2, 3]);
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    world.send(conn, &frame);
    assert_eq!(correlation_ids(&world.take(conn)), [1]);
}

/// ListOffsets: the ends, and what nobody knows.
#[test]
fn offsets() {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.send(conn, &produce(7, 1, -1, "t", &[(0, &batch(5, 10))]));
    world.take(conn);
    for (timestamp, index, code, offset) in [
        (-1, 0, ErrorCode::NONE, 5),
        (-2, 0, ErrorCode::NONE, 0),
        (-4, 0, ErrorCode::NONE, 0),
        (-5, 0, ErrorCode::NONE, -1),
        (-9, 0, ErrorCode::UNSUPPORTED_VERSION, -1),
        (-1, 7, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1),
    ] {
        world.send(conn, &list_offsets(9, 2, "t", index, timestamp));
        let bytes = world.take(conn);
        let frame = frames(&bytes)[0];
        let (_, response) = read_response::<ListOffsetsResponse<'_>>(9, frame).unwrap();
        let partition = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        assert_eq!((partition.error_code, partition.offset.0), (code, offset), "{timestamp} {index}");
    }
}
