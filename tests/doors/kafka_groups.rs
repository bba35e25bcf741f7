//! Groups and idempotent producers through the Kafka door: what is refused in which words, and that it disturbs nobody.

use tern::kafka::codec::{
    Array, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest, InitProducerIdResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use tern::kafka::errors::ErrorCode;
use tern::types::{ConnId, Offset, PartitionIndex, crc32c};

use crate::client::*;
use crate::world::World;

const INVALID_REQUEST: ErrorCode = ErrorCode::INVALID_REQUEST;

/// A world with topic `t` of two partitions and a client whose group has a coordinator.
fn begin() -> (World, ConnId) {
    let mut world = World::new();
    let conn = world.connect();
    world.send(conn, &metadata(4, 0, &["t"]));
    world.take(conn);
    world.send(conn, &request(2, 0, &FindCoordinatorRequest { key: "g", ..Default::default() }));
    world.take(conn);
    (world, conn)
}

fn joining(member_id: &str) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest {
        group_id: "g",
        member_id,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(Array::of(&["t"])),
        topic_partitions: Some(Array::of(&[])),
        ..Default::default()
    }
}

/// The code, the epoch and the number of partitions that a heartbeat is answered with.
fn beat(world: &mut World, conn: ConnId, message: &ConsumerGroupHeartbeatRequest<'_>) -> (ErrorCode, i32, usize) {
    world.send(conn, &request(1, 7, message));
    let bytes = world.take(conn);
    let response: ConsumerGroupHeartbeatResponse<'_> = reply(1, &bytes);
    assert_eq!(response.error_message.is_some(), !response.error_code.is_none());
    let topics = response.assignment.into_iter().flat_map(|assignment| assignment.topic_partitions);
    (response.error_code, response.member_epoch, topics.map(|topic| topic.partitions.len()).sum())
}

fn commit(world: &mut World, conn: ConnId, member_id: &str, epoch: i32, note: &str) -> ErrorCode {
    world.send(conn, &commit_of(0, member_id, epoch, note));
    committed(&world.take(conn))
}

/// A commit of one partition.
fn commit_of(index: i32, member_id: &str, epoch: i32, note: &str) -> Vec<u8> {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionIndex(index),
        committed_offset: Offset(5),
        committed_metadata: Some(note),
        ..Default::default()
    };
    let (partitions, epoch) = ([partition], epoch);
    let topics = [OffsetCommitRequestTopic { name: "t", partitions: Array::of(&partitions) }];
    let topics = Array::of(&topics);
    let commit = OffsetCommitRequest {
        group_id: "g",
        generation_id_or_member_epoch: epoch,
        member_id,
        topics,
        ..Default::default()
    };
    request(9, 8, &commit)
}

fn committed(bytes: &[u8]) -> ErrorCode {
    let response: OffsetCommitResponse<'_> = reply(9, bytes);
    response.topics.iter().next().unwrap().partitions.iter().next().unwrap().error_code
}

/// A member of a consumer group joins, commits where it stands and is described; requests of the classic protocol about
/// its group get Kafka's own answers.
#[test]
fn consumer_group() {
    let (mut world, conn) = begin();
    assert_eq!(beat(&mut world, conn, &joining("m")), (ErrorCode::NONE, 1, 2));
    assert_eq!(commit(&mut world, conn, "m", 1, ""), ErrorCode::NONE);
    assert_eq!(commit(&mut world, conn, "m", 0, ""), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(commit(&mut world, conn, "x", 1, ""), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(commit(&mut world, conn, "m", 1, &"x".repeat(1 << 20)), ErrorCode::OFFSET_METADATA_TOO_LARGE);
    for (member_epoch, code) in [(1, ErrorCode::NONE), (0, ErrorCode::STALE_MEMBER_EPOCH)] {
        let groups = [OffsetFetchRequestGroup { group_id: "g", member_id: Some("m"), member_epoch, topics: None }];
        world.send(conn, &request(9, 1, &OffsetFetchRequest { groups: Array::of(&groups), ..Default::default() }));
        let bytes = world.take(conn);
        let response: OffsetFetchResponse<'_> = reply(9, &bytes);
        let group = response.groups.iter().next().unwrap();
        assert_eq!((group.error_code, group.topics.len()), (code, code.is_none() as usize));
    }
    let names = ["g", "none"];
    let describe = ConsumerGroupDescribeRequest { group_ids: Array::of(&names), ..Default::default() };
    world.send(conn, &request(1, 1, &describe));
    let bytes = world.take(conn);
    let response: ConsumerGroupDescribeResponse<'_> = reply(1, &bytes);
    let groups: Vec<_> = response.groups.iter().collect();
    assert_eq!((groups[0].group_state, groups[0].group_epoch, groups[0].assignor_name), ("Stable", 1, "uniform"));
    let member = groups[0].members.iter().next().unwrap();
    assert_eq!(member.assignment.topic_partitions.iter().next().unwrap().topic_name, "t");
    assert_eq!(groups[1].error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    world.send(conn, &request(6, 1, &DescribeGroupsRequest { groups: Array::of(&["g"]), ..Default::default() }));
    let bytes = world.take(conn);
    let response: DescribeGroupsResponse<'_> = reply(6, &bytes);
    assert_eq!(response.groups.iter().next().unwrap().error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    world.send(
        conn,
        &request(5, 1, &ListGroupsRequest { types_filter: Array::of(&["Consumer"]), ..Default::default() }),
    );
    let bytes = world.take(conn);
    let response: ListGroupsResponse<'_> = reply(5, &bytes);
    assert_eq!(response.groups.iter().next().unwrap().group_type, "consumer");
    let heartbeat = HeartbeatRequest { group_id: "g", generation_id: 1, member_id: "m", group_instance_id: None };
    world.send(conn, &request(4, 1, &heartbeat));
    let bytes = world.take(conn);
    assert_eq!(reply::<HeartbeatResponse>(4, &bytes).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(beat(&mut world, conn, &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..joining("m") }).1, -1);
}

/// The leader epoch rises, with the same leader, while the groups' log is being read: what was read for the epoch before is
/// not taken for the beginning, and nothing that was committed is missing.
#[test]
fn epoch_rises_while_loading() {
    let (mut world, conn) = begin();
    assert_eq!(commit(&mut world, conn, "", -1, ""), ErrorCode::NONE);
    for _ in 0..60 {
        world.send(conn, &commit_of(1, "", -1, &"x".repeat(4000)));
        assert_eq!(committed(&world.take(conn)), ErrorCode::NONE);
    }
    let place = place_of_g(&world);
    for pieces in 0..4 {
        world.is_reading_slow = true;
        world.raise_epoch("__consumer_offsets", place, conn, &[]);
        for _ in 0..pieces {
            assert!(world.answer_slow_read());
        }
        world.raise_epoch("__consumer_offsets", place, conn, &[]);
        while world.answer_slow_read() {}
        world.is_reading_slow = false;
        assert_eq!(partitions_of_g(&mut world, conn), 2, "after {pieces} pieces");
    }
}

/// A commit in the turn in which the leader epoch rises: what the groups say after it is what the log says, whatever the
/// client was told.
#[test]
fn commit_while_epoch_rises() {
    let (mut world, conn) = begin();
    assert_eq!(commit(&mut world, conn, "", -1, ""), ErrorCode::NONE);
    let place = place_of_g(&world);
    world.raise_epoch("__consumer_offsets", place, conn, &commit_of(1, "", -1, ""));
    assert_eq!(committed(&world.take(conn)), ErrorCode::NOT_COORDINATOR);
    let before = partitions_of_g(&mut world, conn);
    world.raise_epoch("__consumer_offsets", place, conn, &[]);
    assert_eq!(partitions_of_g(&mut world, conn), before);
}

/// Where the records of group `g` are.
fn place_of_g(world: &World) -> PartitionIndex {
    let count = world.engine.view().topic("__consumer_offsets").unwrap().partitions.len();
    PartitionIndex(i32::from(b'g') % count as i32) // the hash of a name of one letter
}

/// Of how many partitions of topic `t` group `g` has committed offsets.
fn partitions_of_g(world: &mut World, conn: ConnId) -> usize {
    let groups = [OffsetFetchRequestGroup { group_id: "g", ..Default::default() }];
    world.send(conn, &request(8, 1, &OffsetFetchRequest { groups: Array::of(&groups), ..Default::default() }));
    let bytes = world.take(conn);
    let response: OffsetFetchResponse<'_> = reply(8, &bytes);
    let group = response.groups.iter().next().unwrap();
    assert_eq!(group.error_code, ErrorCode::NONE);
    group.topics.iter().next().unwrap().partitions.len()
}

/// Requests that no member should send are refused with a sentence, and the group does not notice.
#[test]
fn nonsense() {
    let (mut world, conn) = begin();
    beat(&mut world, conn, &joining("m"));
    let ok = joining("n");
    let owned = [tern::kafka::codec::ConsumerGroupHeartbeatTopicPartitions::default()];
    let refused = [
        ConsumerGroupHeartbeatRequest { group_id: "", ..ok },
        ConsumerGroupHeartbeatRequest { member_id: "", ..ok },
        ConsumerGroupHeartbeatRequest { member_epoch: -3, ..ok },
        ConsumerGroupHeartbeatRequest { member_epoch: -2, ..ok },
        ConsumerGroupHeartbeatRequest { instance_id: Some(""), ..ok },
        ConsumerGroupHeartbeatRequest { rack_id: Some(""), ..ok },
        ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..ok },
        ConsumerGroupHeartbeatRequest { topic_partitions: None, ..ok },
        ConsumerGroupHeartbeatRequest { topic_partitions: Some(Array::of(&owned)), ..ok },
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(Array::of(&[])), ..ok },
    ];
    for message in &refused {
        assert_eq!(beat(&mut world, conn, message).0, INVALID_REQUEST, "{message:?}");
    }
    let regex = ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("("), ..ok };
    assert_eq!(beat(&mut world, conn, &regex).0, ErrorCode::INVALID_REGULAR_EXPRESSION);
    let assignor = ConsumerGroupHeartbeatRequest { server_assignor: Some("best"), ..ok };
    assert_eq!(beat(&mut world, conn, &assignor).0, ErrorCode::UNSUPPORTED_ASSIGNOR);
    let stale = ConsumerGroupHeartbeatRequest { member_epoch: 9, ..joining("m") };
    assert_eq!(beat(&mut world, conn, &stale).0, ErrorCode::FENCED_MEMBER_EPOCH);
    let unknown = ConsumerGroupHeartbeatRequest { member_epoch: 1, ..ok };
    assert_eq!(beat(&mut world, conn, &unknown).0, ErrorCode::UNKNOWN_MEMBER_ID);
    let elsewhere = ConsumerGroupHeartbeatRequest { group_id: "h", member_epoch: 1, ..ok };
    assert_eq!(beat(&mut world, conn, &elsewhere).0, ErrorCode::GROUP_ID_NOT_FOUND);
    let alive = ConsumerGroupHeartbeatRequest { member_epoch: 1, ..joining("m") };
    assert_eq!(beat(&mut world, conn, &alive), (ErrorCode::NONE, 1, 2), "nothing has changed for it");
}

/// A batch of one record of an idempotent producer.
fn sequenced(producer: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    let mut bytes = batch(1, 10);
    bytes[43..51].copy_from_slice(&producer.to_be_bytes());
    bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn write(world: &mut World, conn: ConnId, batch: &[u8]) -> (ErrorCode, i64) {
    world.send(conn, &produce(7, 1, -1, "t", &[(0, batch)]));
    produced(7, &world.take(conn))[0]
}

/// Ten thousand producer ids: each is served, the table forgets who was silent longest, and whoever is remembered still
/// has its duplicates known and its gaps refused.
#[test]
fn ten_thousand_producers() {
    let (mut world, conn) = begin();
    for producer in 0..10_000 {
        assert_eq!(write(&mut world, conn, &sequenced(producer, 0, 0)), (ErrorCode::NONE, producer));
    }
    assert_eq!(write(&mut world, conn, &sequenced(9_999, 0, 0)), (ErrorCode::NONE, 9_999), "a duplicate");
    assert_eq!(write(&mut world, conn, &sequenced(9_999, 0, 2)).0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut world, conn, &sequenced(9_999, 1, 0)), (ErrorCode::NONE, 10_000), "its epoch is raised");
    assert_eq!(write(&mut world, conn, &sequenced(9_999, 0, 1)).0, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(write(&mut world, conn, &sequenced(0, 0, 7)), (ErrorCode::NONE, 10_001), "forgotten: any sequence");
}

/// Ids are fresh, also for who has one already, as Kafka gives them without a transaction; transactions are refused for
/// good.
#[test]
fn producer_ids() {
    let (mut world, conn) = begin();
    let mut ask = |message: &InitProducerIdRequest<'_>| {
        world.send(conn, &request(4, 1, message));
        let bytes = world.take(conn);
        let response: InitProducerIdResponse = reply(4, &bytes);
        (response.error_code, response.producer_id, response.producer_epoch)
    };
    let (code, first, epoch) = ask(&InitProducerIdRequest::default());
    assert!(code.is_none() && epoch.0 == 0);
    let again = InitProducerIdRequest { producer_id: first, producer_epoch: epoch, ..Default::default() };
    let (code, second, epoch) = ask(&again);
    assert!(code.is_none() && epoch.0 == 0 && second != first);
    let transactional = InitProducerIdRequest { transactional_id: Some("x"), ..Default::default() };
    assert_eq!(ask(&transactional).0, ErrorCode::UNSUPPORTED_VERSION);
}
