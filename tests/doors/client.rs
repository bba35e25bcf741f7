//! A Kafka client of few words: requests as bytes, replies as what they say.

use tern::kafka::codec::{
    ApiVersionsRequest, Array, Decode, FetchPartition, FetchRequest, FetchResponse, FetchTopic, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic, Message, MetadataRequest, MetadataRequestTopic, PartitionProduceData,
    ProduceRequest, ProduceResponse, TopicProduceData, read_response, start_of_response, write_request,
};
use tern::kafka::errors::ErrorCode;
use tern::record::{BatchBuilder, NewRecord};
use tern::types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId};

/// A whole request frame.
pub fn request<M: Message>(version: i16, correlation_id: i32, message: &M) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    write_request(&mut out, version, correlation_id, Some("tester"), message).unwrap();
    out
}

/// The frames of a byte run, without their lengths. Panics when the last one is not whole.
pub fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
        let (frame, after) = rest.split_at(u32::from_be_bytes(*head) as usize);
        frames.push(frame);
        bytes = after;
    }
    assert!(bytes.is_empty());
    frames
}

/// The correlation ids of the replies in a byte run.
pub fn correlation_ids(bytes: &[u8]) -> Vec<i32> {
    frames(bytes).into_iter().map(|frame| start_of_response(frame).unwrap()).collect()
}

/// The body of the one reply in a byte run.
pub fn reply<'a, M: Message + Decode<'a>>(version: i16, bytes: &'a [u8]) -> M {
    let frames = frames(bytes);
    assert_eq!(frames.len(), 1);
    read_response::<M>(version, frames[0]).unwrap().1
}

/// One batch of `count` records of `bytes` bytes.
pub fn batch(count: usize, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(4 << 20);
    let value = vec![b'x'; bytes];
    for at in 0..count {
        let record = NewRecord { timestamp: Timestamp(1000 + at as i64), key: None, value: Some(&value), headers: &[] };
        builder.push(&record).unwrap();
    }
    builder.seal(Offset(0), LeaderEpoch(-1)).to_vec()
}

/// A Produce request for partitions of one topic.
pub fn produce(version: i16, correlation_id: i32, acks: i16, topic: &str, batches: &[(i32, &[u8])]) -> Vec<u8> {
    let partitions: Vec<_> = batches
        .iter()
        .map(|(index, batch)| PartitionProduceData { index: PartitionIndex(*index), records: Some(batch) })
        .collect();
    let topics = [TopicProduceData { name: topic, topic_id: TopicId::ZERO, partition_data: Array::of(&partitions) }];
    let message = ProduceRequest { transactional_id: None, acks, timeout_ms: 1000, topic_data: Array::of(&topics) };
    request(version, correlation_id, &message)
}

/// Error code and base offset of each partition of a Produce reply.
pub fn produced(version: i16, bytes: &[u8]) -> Vec<(ErrorCode, i64)> {
    let frames = frames(bytes);
    let all = frames.iter().flat_map(|frame| {
        let (_, response) = read_response::<ProduceResponse<'_>>(version, frame).unwrap();
        response
            .responses
            .iter()
            .flat_map(|topic| topic.partition_responses.iter().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    });
    all.map(|partition| (partition.error_code, partition.base_offset.0)).collect()
}

/// What a fetch asks, but for its partitions.
#[derive(Clone, Copy)]
pub struct Ask {
    pub version: i16,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    pub session: (i32, i32),
}

impl Default for Ask {
    fn default() -> Ask {
        Ask {
            version: 11,
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: i32::MAX,
            partition_max_bytes: 1 << 20,
            session: (0, -1),
        }
    }
}

/// A Fetch request for partitions of one topic, each with the offset to read from.
pub fn fetch(ask: Ask, correlation_id: i32, topic: &str, from: &[(i32, i64)]) -> Vec<u8> {
    let partitions: Vec<_> = from
        .iter()
        .map(|(index, offset)| FetchPartition {
            partition: PartitionIndex(*index),
            current_leader_epoch: LeaderEpoch::NONE,
            fetch_offset: Offset(*offset),
            partition_max_bytes: ask.partition_max_bytes,
            ..Default::default()
        })
        .collect();
    let topics = [FetchTopic { topic, topic_id: TopicId::ZERO, partitions: Array::of(&partitions) }];
    let message = FetchRequest {
        max_wait_ms: ask.max_wait_ms,
        min_bytes: ask.min_bytes,
        max_bytes: ask.max_bytes,
        session_id: ask.session.0,
        session_epoch: ask.session.1,
        topics: if from.is_empty() { Array::default() } else { Array::of(&topics) },
        ..Default::default()
    };
    request(ask.version, correlation_id, &message)
}

/// A Fetch reply: error, session id, and for each partition index, error, high watermark and bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    pub error: ErrorCode,
    pub session: i32,
    pub partitions: Vec<(i32, ErrorCode, i64, usize)>,
}

pub fn fetched(version: i16, bytes: &[u8]) -> Fetched {
    let response: FetchResponse<'_> = reply(version, bytes);
    let partitions = response.responses.iter().flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>());
    Fetched {
        error: response.error_code,
        session: response.session_id,
        partitions: partitions
            .map(|data| (data.partition_index.0, data.error_code, data.high_watermark.0, data.records.here().len()))
            .collect(),
    }
}

/// A Metadata request for topics by name; creates them where that is allowed.
pub fn metadata(version: i16, correlation_id: i32, topics: &[&str]) -> Vec<u8> {
    let topics: Vec<_> =
        topics.iter().map(|name| MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some(name) }).collect();
    request(version, correlation_id, &MetadataRequest { topics: Some(Array::of(&topics)), ..Default::default() })
}

/// An ApiVersions request.
pub fn api_versions(version: i16, correlation_id: i32) -> Vec<u8> {
    let message = ApiVersionsRequest { client_software_name: "tester", client_software_version: "1.0" };
    request(version, correlation_id, &message)
}

/// A ListOffsets request for one partition.
pub fn list_offsets(version: i16, correlation_id: i32, topic: &str, index: i32, timestamp: i64) -> Vec<u8> {
    let partitions = [ListOffsetsPartition { partition_index: PartitionIndex(index), timestamp, ..Default::default() }];
    let topics = [ListOffsetsTopic { name: topic, partitions: Array::of(&partitions) }];
    request(version, correlation_id, &ListOffsetsRequest { topics: Array::of(&topics), ..Default::default() })
}
