//! A small Kafka client for the everyday commands: a connection a broker, one request at a time on each, our own codec.
//!
//! It speaks fixed versions that every Kafka since 2.3 has, so that the commands work against other brokers too.

pub mod assignment;
mod cluster;
mod failure;
mod reader;

pub use cluster::{Cluster, EARLIEST, LATEST, Partition, Topic};
pub use failure::{check, explain};
pub use reader::{Position, Reader};

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::connect::{KAFKA, connect};
use crate::kafka::codec::{
    Api, ApiVersionsRequest, ApiVersionsResponse, Array, Decode, FetchPartition, FetchRequest, FetchResponse,
    FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic, Message,
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData, read_response, write_request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex};

/// Responses above this are refused: nothing the commands ask for is larger.
const RESPONSE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Room for the header of a request beyond its body.
const HEADER_BYTES_MAX: usize = 256;

/// How long an answer may take beyond the time that the request itself allows, unless it is said otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of `Fetch`.
const FETCH_VERSION: i16 = 11;

/// How the commands introduce themselves.
const CLIENT_ID: &str = "tern";

/// A connection to one broker.
pub struct Client {
    stream: TcpStream,
    patience: Duration,
    correlation_id: i32,
    output: Vec<u8>,
    input: Vec<u8>,
    /// Key, lowest and highest version of each API, once they were asked for.
    apis: Vec<(i16, i16, i16)>,
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
        Client::connect_within(address, None)
    }

    /// The same with another patience, for the connection and for each answer.
    pub fn connect_within(address: &str, patience: Option<Duration>) -> io::Result<Client> {
        Client::new(connect(address, KAFKA, patience)?, patience.unwrap_or(PATIENCE))
    }

    /// A client over a connection, whose answers may take that long.
    pub fn new(stream: TcpStream, patience: Duration) -> io::Result<Client> {
        stream.set_read_timeout(Some(patience))?;
        Ok(Client { stream, patience, correlation_id: 0, output: Vec::new(), input: Vec::new(), apis: Vec::new() })
    }

    /// True when the broker has that version of an API; asks it once.
    pub fn has(&mut self, api: Api, version: i16) -> io::Result<bool> {
        if self.apis.is_empty() {
            let response: ApiVersionsResponse<'_> = self.call(0, &ApiVersionsRequest::default())?;
            check(response.error_code, "the broker's versions")?;
            self.apis = response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        }
        let has = |&(key, min, max): &(i16, i16, i16)| key == api.key() && (min..=max).contains(&version);
        Ok(self.apis.iter().any(has))
    }

    /// Sends `request` and reads its answer; an error when the broker does not have that version of the API.
    pub fn call<'a, Q: Message, R: Message + Decode<'a>>(&'a mut self, version: i16, request: &Q) -> io::Result<R> {
        if Q::API != Api::ApiVersions && !self.has(Q::API, version)? {
            let name = Q::API.name();
            let sentence =
                format!("this broker does not know {name} in version {version}: it is older than this command");
            return Err(io::Error::new(io::ErrorKind::Unsupported, sentence));
        }
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
        self.stream.read_exact(&mut length).map_err(silence)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > RESPONSE_BYTES_MAX {
            let sentence = "what answers does not speak Kafka's protocol; the node's key listeners names the port";
            return Err(io::Error::new(io::ErrorKind::InvalidData, sentence));
        }
        self.input.resize(length, 0);
        self.stream.read_exact(&mut self.input).map_err(silence)?;
        let (correlation_id, response) = read_response(version, &self.input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("the broker's answer: {error}")))?;
        if correlation_id != self.correlation_id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker answered another request"));
        }
        Ok(response)
    }

    /// Offsets by Kafka's convention for `timestamp`: [`EARLIEST`], [`LATEST`], else the first at or after that time,
    /// -1 when there is none.
    pub fn offsets_at(
        &mut self,
        topic: &str,
        partitions: &[PartitionIndex],
        timestamp: i64,
    ) -> io::Result<Vec<(PartitionIndex, Offset)>> {
        let partitions: Vec<ListOffsetsPartition> = partitions
            .iter()
            .map(|&partition_index| ListOffsetsPartition { partition_index, timestamp, ..Default::default() })
            .collect();
        let topics = [ListOffsetsTopic { name: topic, partitions: Array::of(&partitions) }];
        let request = ListOffsetsRequest { topics: Array::of(&topics), ..Default::default() };
        let response: ListOffsetsResponse<'_> = self.call(4, &request)?;
        let mut offsets = Vec::new();
        for answer in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            check(answer.error_code, &format!("{topic}-{}", answer.partition_index))?;
            offsets.push((answer.partition_index, answer.offset));
        }
        Ok(offsets)
    }

    /// Fetches from several partitions of one topic, waiting up to `wait` until there is something.
    pub fn fetch<'a>(
        &'a mut self,
        topic: &str,
        from: &[(PartitionIndex, Offset)],
        wait: Duration,
    ) -> io::Result<Vec<(PartitionIndex, Result<Fetched<'a>, ErrorCode>)>> {
        self.send_fetch(topic, from, wait)?;
        self.receive_fetch()
    }

    /// The first half of `fetch`.
    pub fn send_fetch(&mut self, topic: &str, from: &[(PartitionIndex, Offset)], wait: Duration) -> io::Result<()> {
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
        self.stream.set_read_timeout(Some(self.patience + wait))?;
        self.send(FETCH_VERSION, &request)
    }

    /// The second half of `fetch`.
    pub fn receive_fetch(&mut self) -> io::Result<Vec<(PartitionIndex, Result<Fetched<'_>, ErrorCode>)>> {
        let response: FetchResponse<'_> = self.receive(FETCH_VERSION)?;
        check(response.error_code, "the fetch")?;
        let fetched = response.responses.iter().flat_map(|topic| topic.partitions.iter()).map(|partition| {
            let (code, high_watermark) = (partition.error_code, partition.high_watermark);
            let fetched = Fetched { records: partition.records.here(), high_watermark };
            (partition.partition_index, if code.is_none() { Ok(fetched) } else { Err(code) })
        });
        Ok(fetched.collect())
    }

    /// Appends one batch and waits until it is durable; the offset of its first record.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        batch: &[u8],
    ) -> io::Result<Result<Offset, ErrorCode>> {
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
        Ok(if answer.error_code.is_none() { Ok(answer.base_offset) } else { Err(answer.error_code) })
    }
}

/// Why no answer came, as a sentence.
fn silence(error: io::Error) -> io::Error {
    let sentence = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "the broker did not answer in time: it is busy or hangs; journalctl -u tern says more there"
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the broker closed the connection: it stopped, or what answers there is no broker"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), sentence)
}
