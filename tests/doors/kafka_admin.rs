//! Administration through the Kafka door: what configurations and deletions do, and what nonsense gets.

use tern::kafka::codec::*;
use tern::kafka::errors::ErrorCode;
use tern::types::{Offset, PartitionIndex};

use crate::client::*;
use crate::world::World;

/// One change of an IncrementalAlterConfigs: key, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

/// Alters resources, each (type, name), all by the same changes; the codes of the answer.
fn alter(world: &mut World, resources: &[(i8, &str)], changes: &[Change<'_>]) -> Vec<ErrorCode> {
    let conn = world.connect();
    let operations: Vec<ConfigOperation<'_>> = changes
        .iter()
        .map(|&(name, config_operation, value)| ConfigOperation { name, config_operation, value })
        .collect();
    let resources: Vec<_> = resources
        .iter()
        .map(|&(resource_type, resource_name)| IncrementalAlterConfigsResource {
            resource_type,
            resource_name,
            configs: Array::of(&operations),
        })
        .collect();
    let body = IncrementalAlterConfigsRequest { resources: Array::of(&resources), validate_only: false };
    world.send(conn, &request(1, 1, &body));
    let bytes = world.take(conn);
    let response: IncrementalAlterConfigsResponse<'_> = reply(1, &bytes);
    let codes = response.responses.iter().map(|one| one.error_code).collect();
    world.disconnect(conn);
    assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0));
    codes
}

fn world() -> World {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t", "u"]));
    world.disconnect(conn);
    world
}

const TOPIC: (i8, &str) = (2, "t");
const SET: i8 = 0;

/// A change holds for the next request: a batch that was too large fits, and the broker's word counts where the topic
/// has none.
#[test]
fn in_force_at_once() {
    let mut world = world();
    let conn = world.connect();
    let produce_to = |world: &mut World, topic: &str| {
        world.send(conn, &produce(7, 1, -1, topic, &[(0, &batch(1, 5000))]));
        produced(7, &world.take(conn))[0].0
    };
    assert_eq!(produce_to(&mut world, "t"), ErrorCode::NONE);
    assert_eq!(alter(&mut world, &[TOPIC], &[("max.message.bytes", SET, Some("1000"))]), [ErrorCode::NONE]);
    assert_eq!(produce_to(&mut world, "t"), ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(produce_to(&mut world, "u"), ErrorCode::NONE);
    assert_eq!(alter(&mut world, &[(4, "")], &[("message.max.bytes", SET, Some("2000"))]), [ErrorCode::NONE]);
    assert_eq!(produce_to(&mut world, "u"), ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(alter(&mut world, &[(4, "1")], &[("message.max.bytes", SET, Some("60000"))]), [ErrorCode::NONE]);
    assert_eq!(produce_to(&mut world, "u"), ErrorCode::NONE);
    assert_eq!(alter(&mut world, &[TOPIC], &[("max.message.bytes", 1, None)]), [ErrorCode::NONE]);
    assert_eq!(produce_to(&mut world, "t"), ErrorCode::NONE);
}

/// Two clients that alter one topic at the same moment both get their way.
#[test]
fn at_the_same_time() {
    let mut world = world();
    let conns: Vec<_> = (0..8).map(|_| world.connect()).collect();
    let keys = ["retention.ms", "retention.bytes", "segment.ms", "flush.ms"];
    for (at, conn) in conns.iter().enumerate() {
        let operations = [ConfigOperation { name: keys[at % 4], config_operation: SET, value: Some("77777") }];
        let resource =
            IncrementalAlterConfigsResource { resource_type: 2, resource_name: "t", configs: Array::of(&operations) };
        let resources = [resource];
        let body = IncrementalAlterConfigsRequest { resources: Array::of(&resources), validate_only: false };
        world.push(*conn, &request(1, at as i32, &body));
    }
    world.settle();
    for conn in conns {
        let bytes = world.take(conn);
        let response: IncrementalAlterConfigsResponse<'_> = reply(1, &bytes);
        assert_eq!(response.responses.iter().next().unwrap().error_code, ErrorCode::NONE);
    }
    let set = &world.engine.view().topic("t").unwrap().config;
    assert_eq!(set.keys().collect::<Vec<_>>(), ["flush.ms", "retention.bytes", "retention.ms", "segment.ms"]);
}

/// Unknown and doubled resources, unknown types, operations and keys, endless values: a code each, and the others of
/// the request are not disturbed.
#[test]
fn nonsense() {
    let mut world = world();
    let change = [("retention.ms", SET, Some("5"))];
    let resources = [TOPIC, (2, "nowhere"), (2, ""), (4, "x"), (4, "7"), (8, "1"), (16, "m"), (32, "g"), (99, "?")];
    let codes = alter(&mut world, &resources, &change);
    let (unknown, invalid) = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::INVALID_REQUEST);
    assert_eq!(codes, [ErrorCode::NONE, unknown, invalid, invalid, invalid, invalid, invalid, invalid, invalid]);
    assert_eq!(alter(&mut world, &[TOPIC, TOPIC, (2, "u")], &change), [invalid, invalid, ErrorCode::NONE]);
    let long = "9".repeat(1 << 19);
    let many: Vec<String> = (0..10_000).map(|number| format!("key-{number}")).collect();
    let many: Vec<Change<'_>> = many.iter().map(|name| (name.as_str(), SET, Some("1"))).collect();
    for (changes, code) in [
        (&[("retention.ms", 9, Some("5"))][..], invalid),
        (&[("retention.ms", SET, None)], invalid),
        (&[("retention.ms", SET, Some("5")), ("retention.ms", SET, Some("6"))], invalid),
        (&[("retention.ms", SET, Some(&long))], ErrorCode::INVALID_CONFIG),
        (&[(&long[..30_000], SET, Some("5"))], ErrorCode::INVALID_CONFIG),
        (&many, ErrorCode::INVALID_CONFIG),
    ] {
        assert_eq!(alter(&mut world, &[TOPIC], changes), [code]);
    }
    assert_eq!(world.engine.view().topic("t").unwrap().config.len(), 1);
    let many: Vec<String> = (0..3000).map(|number| format!("topic-{number}")).collect();
    let many: Vec<(i8, &str)> = many.iter().map(|name| (2, name.as_str())).collect();
    let conn = world.connect();
    world.send(conn, &metadata(4, 9, &["t"]));
    // More than memory has room to answer: the connection ends, nobody else notices.
    let asking = world.connect();
    let resources: Vec<_> = many
        .iter()
        .map(|&(resource_type, resource_name)| IncrementalAlterConfigsResource {
            resource_type,
            resource_name,
            configs: Array::default(),
        })
        .collect();
    let body = IncrementalAlterConfigsRequest { resources: Array::of(&resources), validate_only: false };
    world.send(asking, &request(1, 1, &body));
    assert!(world.is_closed(asking) && !world.is_closed(conn));
}

/// Records go up to an offset and are gone at once; offsets that are not there are refused.
#[test]
fn delete_records() {
    let mut world = world();
    let conn = world.connect();
    world.send(conn, &produce(7, 1, -1, "t", &[(0, &batch(10, 100))]));
    world.take(conn);
    let mut delete = |topic: &str, index: i32, offset: i64| {
        let partitions = [DeleteRecordsPartition { partition_index: PartitionIndex(index), offset: Offset(offset) }];
        let topics = [DeleteRecordsTopic { name: topic, partitions: Array::of(&partitions) }];
        let body = DeleteRecordsRequest { topics: Array::of(&topics), timeout_ms: 1000 };
        world.send(conn, &request(2, 2, &body));
        let bytes = world.take(conn);
        let response: DeleteRecordsResponse<'_> = reply(2, &bytes);
        let result = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        (result.error_code, result.low_watermark.0)
    };
    assert_eq!(delete("t", 0, 4), (ErrorCode::NONE, 4));
    assert_eq!(delete("t", 0, 2), (ErrorCode::NONE, 4));
    assert_eq!(delete("t", 0, 11), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(delete("t", 0, -2), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(delete("t", 0, -1), (ErrorCode::NONE, 10));
    assert_eq!(delete("t", 5, 0), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1));
    assert_eq!(delete("__consumer_offsets", 0, 0), (ErrorCode::INVALID_TOPIC_EXCEPTION, -1));
    world.send(conn, &list_offsets(5, 3, "t", 0, -2));
    let bytes = world.take(conn);
    let earliest: ListOffsetsResponse<'_> = reply(5, &bytes);
    assert_eq!(earliest.topics.iter().next().unwrap().partitions.iter().next().unwrap().offset, Offset(10));
}

/// The directory of logs with the sizes of the partitions asked for, and the disk's room.
#[test]
fn log_dirs() {
    let mut world = world();
    let conn = world.connect();
    let sent = batch(10, 100);
    world.send(conn, &produce(7, 1, -1, "t", &[(0, &sent)]));
    world.take(conn);
    let partitions = [PartitionIndex(0), PartitionIndex(9)];
    let topics = [
        DescribableLogDirTopic { topic: "t", partitions: Array::of(&partitions) },
        DescribableLogDirTopic { topic: "nowhere", partitions: Array::of(&partitions) },
    ];
    for (topics, count) in [(Some(Array::of(&topics)), 1), (None, 4)] {
        world.send(conn, &request(4, 2, &DescribeLogDirsRequest { topics }));
        let bytes = world.take(conn);
        let response: DescribeLogDirsResponse<'_> = reply(4, &bytes);
        let result = response.results.iter().next().unwrap();
        assert_eq!((result.total_bytes, result.usable_bytes), (1 << 41, 1 << 40));
        let all: Vec<_> = result.topics.iter().flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>()).collect();
        assert_eq!((all.len(), all[0].partition_size), (count, sent.len() as i64));
    }
}
