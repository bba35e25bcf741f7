//! A small Kafka client for the everyday commands: one connection, one request at a time, our own codec.
//!
//! It speaks fixed versions that every Kafka since 2.3 has, so that the commands work against other brokers too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::kafka::codec::{
    Array, Decode, FetchPartition, FetchRequest, FetchResponse, FetchTopic, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsResponse, ListOffsetsTopic, Message, MetadataRequest, MetadataRequestTopic, MetadataResponse,
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData, read_response, write_request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex};

/// Responses above this are refused: nothing the commands ask for is larger.
const RESPONSE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Room for the header of a request beyond its body.
const HEADER_BYTES_MAX: usize = 256;

/// How long an answer may take beyond the time that the request itself allows.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the commands introduce themselves.
const CLIENT_ID: &str = "tern";

/// A connection to one broker.
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
    output: Vec<u8>,
    input: Vec<u8>,
}

/// What a fetch brought of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// Whole batches, and perhaps a part of one.
    pub records: &'a [u8],
    /// Offsets below this are committed.
    pub high_watermark: Offset,
}

impl Client {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot reach a broker at {address}: {error}")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, correlation_id: 0, output: Vec::new(), input: Vec::new() })
    }

    /// Sends `request` and reads its answer.
    pub fn call<'a, Q: Message, R: Message + Decode<'a>>(&'a mut self, version: i16, request: &Q) -> io::Result<R> {
        self.send(version, request)?;
        self.receive(version)
    }

    /// Sends `request` without waiting for the answer.
    pub fn send<Q: Message>(&mut self, version: i16, request: &Q) -> io::Result<()> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        self.output.clear();
        self.output.reserve(request.size(version) + HEADER_BYTES_MAX);
        write_request(&mut self.output, version, self.correlation_id, Some(CLIENT_ID), request)
            .map_err(|_| io::Error::other("the request is too large"))?;
        self.stream.write_all(&self.output)
    }

    /// Reads the answer to the request sent last.
    pub fn receive<'a, R: Message + Decode<'a>>(&'a mut self, version: i16) -> io::Result<R> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > RESPONSE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker's answer is impossibly large"));
        }
        self.input.resize(length, 0);
        self.stream.read_exact(&mut self.input)?;
        let (correlation_id, response) = read_response(version, &self.input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("the broker's answer: {error}")))?;
        if correlation_id != self.correlation_id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker answered another request"));
        }
        Ok(response)
    }

    /// The partitions of a topic, in order; `create` lets the broker create it.
    pub fn partitions(&mut self, topic: &str, create: bool) -> io::Result<Vec<PartitionIndex>> {
        let topics = [MetadataRequestTopic { name: Some(topic), ..Default::default() }];
        let request = MetadataRequest {
            topics: Some(Array::of(&topics)),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let response: MetadataResponse<'_> = self.call(8, &request)?;
        let Some(found) = response.topics.iter().next() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker's answer names no topic"));
        };
        check(found.error_code, &format!("topic {topic}"))?;
        let mut partitions: Vec<_> = found.partitions.iter().map(|partition| partition.partition_index).collect();
        partitions.sort();
        Ok(partitions)
    }

    /// An offset by Kafka's convention for `timestamp`: -2 the start, -1 the end, else the first at or after that time
    /// (the end when there is none).
    pub fn offset_at(&mut self, topic: &str, partition: PartitionIndex, timestamp: i64) -> io::Result<Offset> {
        let partitions = [ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }];
        let topics = [ListOffsetsTopic { name: topic, partitions: Array::of(&partitions) }];
        let request = ListOffsetsRequest { topics: Array::of(&topics), ..Default::default() };
        let response: ListOffsetsResponse<'_> = self.call(4, &request)?;
        let answer = response.topics.iter().flat_map(|topic| topic.partitions.iter()).next();
        let answer = answer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer for the partition"))?;
        check(answer.error_code, &format!("{topic}-{partition}"))?;
        if answer.offset.0 < 0 && timestamp >= 0 {
            return self.offset_at(topic, partition, -1);
        }
        Ok(answer.offset)
    }

    /// Fetches from several partitions of one topic, waiting up to `wait` until there is something.
    pub fn fetch<'a>(
        &'a mut self,
        topic: &str,
        from: &[(PartitionIndex, Offset)],
        wait: Duration,
    ) -> io::Result<Vec<(PartitionIndex, Result<Fetched<'a>, ErrorCode>)>> {
        let partitions: Vec<_> = from
            .iter()
            .map(|&(partition, fetch_offset)| FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            })
            .collect();
        let topics = [FetchTopic { topic, partitions: Array::of(&partitions), ..Default::default() }];
        let request = FetchRequest {
            max_wait_ms: wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: 8 << 20,
            topics: Array::of(&topics),
            ..Default::default()
        };
        self.stream.set_read_timeout(Some(PATIENCE + wait))?;
        let response: FetchResponse<'a> = self.call(11, &request)?;
        check(response.error_code, "the fetch")?;
        let fetched = response.responses.iter().flat_map(|topic| topic.partitions.iter()).map(|partition| {
            let (code, high_watermark) = (partition.error_code, partition.high_watermark);
            let fetched = Fetched { records: partition.records.here(), high_watermark };
            (partition.partition_index, if code.is_none() { Ok(fetched) } else { Err(code) })
        });
        Ok(fetched.collect())
    }

    /// Appends one batch and waits until it is durable.
    pub fn produce(&mut self, topic: &str, partition: PartitionIndex, batch: &[u8]) -> io::Result<Offset> {
        let partitions = [PartitionProduceData { index: partition, records: Some(batch) }];
        let topics = [TopicProduceData { name: topic, partition_data: Array::of(&partitions), ..Default::default() }];
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: PATIENCE.as_millis() as i32,
            topic_data: Array::of(&topics),
            ..Default::default()
        };
        let response: ProduceResponse<'_> = self.call(7, &request)?;
        let answer = response.responses.iter().flat_map(|topic| topic.partition_responses.iter()).next();
        let answer = answer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer for the batch"))?;
        check(answer.error_code, &format!("{topic}-{partition}"))?;
        Ok(answer.base_offset)
    }
}

/// An error code as an error that names what was asked for.
pub fn check(code: ErrorCode, what: &str) -> io::Result<()> {
    if code.is_none() { Ok(()) } else { Err(io::Error::other(format!("{what}: {code}"))) }
}
