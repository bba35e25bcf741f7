//! Produce: hands each partition's batch to the engine, and answers when all of them are acknowledged.
//!
//! Several of them are in flight on one connection. They are appended in the order in which they came, and answered in
//! that order by the door. A batch is not copied when its frame has a buffer of its own: the buffer is cut.
//!
//! The request's timeout bounds nothing here: a replica that lags leaves the ISR, and a leader that is none any more
//! refuses what waits, so that every acknowledgement comes or fails by itself; who gives up earlier closes his connection.
//!
//! Invariants: nothing of a request is appended before all of it has been read; each batch is appended at most once; a
//! request with acks=0 leaves nothing behind and has no reply, an error of it closes the connection.

use super::metadata::INTERNAL_TOPICS;
use super::partitions::{TopicKey, append_code};
use super::{Answer, Context, Reply};
use crate::engine::{Acks, AppendError, AppendedAt};
use crate::kafka::admission::Purpose;
use crate::kafka::codec::{
    Array, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, Request,
    TopicProduceResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::kafka::inbox::{Cutter, Frame};
use crate::metrics::METRICS;
use crate::record::{BatchHeader, Codec};
use crate::types::{Offset, PartitionIndex, ReadError, Timestamp};

/// Older versions are advertised and refused: librdkafka compresses nothing unless it sees version 0.
const SERVED_FROM: i16 = 3;

/// The first version that may carry zstd.
const ZSTD_FROM: i16 = 7;

const INTERNAL: &str = "the brokers alone write to their own topics";

/// A request that has been appended and not been answered.
#[derive(Debug)]
pub struct InFlight {
    /// Which request of its connection.
    pub serial: u8,
    reply: Reply,
    parts: Vec<Part>,
    /// Appends that the engine has not answered yet.
    missing: usize,
    /// How long the client has to wait for its quota.
    throttle_ms: u64,
}

/// One partition of a request.
#[derive(Debug)]
struct Part {
    topic: TopicKey,
    index: PartitionIndex,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// A batch of so many records that lies so in its frame, not appended yet.
    Batch { start: usize, length: usize, records: u32 },
    /// So many records appended, not acknowledged.
    Waits { records: u32 },
    /// Acknowledged.
    Appended(AppendedAt),
    /// Refused, with a sentence for people.
    Refused(ErrorCode, Option<Box<str>>),
}

/// What has become of a request at once.
pub enum Begun<'f> {
    /// The answer comes when the engine has answered.
    InFlight(InFlight),
    /// Nothing more to do: acks=0.
    Done,
    /// Nothing was done: the connection stands in a queue for memory.
    Waits(Frame<'f>),
    /// An error of a request with acks=0.
    Close,
    /// The request needs so many bytes to be answered, more than there can ever be.
    TooLarge(usize),
}

/// Appends what `frame` brings, once there is memory to remember and, from a small frame, to copy it.
pub fn begin<'f>(cx: &mut Context<'_>, frame: Frame<'f>) -> Result<Begun<'f>, ReadError> {
    let Ok(request) = Request::parse(frame.bytes()) else { return Ok(Begun::Close) };
    let body: ProduceRequest<'_> = request.body()?;
    let (count, state_bytes) = size(&body);
    if state_bytes > cx.out.admission.limit_bytes(Purpose::State) {
        return Ok(Begun::TooLarge(state_bytes));
    }
    let Some(state) = cx.take(Purpose::State, state_bytes) else { return Ok(Begun::Waits(frame)) };
    let Some(copies) = cx.take(Purpose::Batches, frame.input_bytes()) else { return Ok(Begun::Waits(frame)) };
    let acks = body.acks;
    let reply = Reply::new(request.version, request.correlation_id, state);
    let parts = Vec::with_capacity(count);
    let mut in_flight = InFlight { serial: cx.serial, reply, parts, missing: 0, throttle_ms: 0 };
    let batches = in_flight.plan(cx, &request, &body, frame.bytes());
    cx.out.charge(cx.now, cx.out.limits.produce, frame.bytes().len());
    in_flight.throttle_ms = cx.out.throttle_ms;
    in_flight.append(cx, acks, Cutter::new(frame, copies), batches);
    Ok(match acks {
        0 if in_flight.parts.iter().any(|part| matches!(part.outcome, Outcome::Refused(..))) => Begun::Close,
        0 => Begun::Done,
        _ => Begun::InFlight(in_flight),
    })
}

/// How many partitions a request names, and the bytes that they need until it is answered, the reply included.
fn size(body: &ProduceRequest<'_>) -> (usize, usize) {
    const PART_BYTES: usize = size_of::<Part>() + 64;
    let (mut count, mut bytes) = (0, 64);
    for topic in body.topic_data {
        count += topic.partition_data.len();
        bytes += 2 * topic.name.len() + PART_BYTES * topic.partition_data.len();
    }
    (count, bytes)
}

impl InFlight {
    /// Lists the partitions, refusing what can be refused before anything is appended; returns how many batches are
    /// left to append.
    fn plan(&mut self, cx: &Context<'_>, request: &Request<'_>, body: &ProduceRequest<'_>, frame: &[u8]) -> usize {
        for topic in body.topic_data {
            let key = match request.version {
                ..=12 => TopicKey::named(cx.engine, topic.name),
                _ => TopicKey::Id(topic.topic_id),
            };
            let is_internal = is_internal(cx, &key);
            for data in topic.partition_data {
                let outcome = match is_internal {
                    true => Outcome::Refused(ErrorCode::INVALID_TOPIC_EXCEPTION, Some(INTERNAL.into())),
                    false => plan_one(request.version, body.acks, &data, frame),
                };
                self.parts.push(Part { topic: key.clone(), index: data.index, outcome });
            }
        }
        self.parts.iter().filter(|part| matches!(part.outcome, Outcome::Batch { .. })).count()
    }

    fn append(&mut self, cx: &mut Context<'_>, acks: i16, mut cutter: Cutter<'_>, mut batches: usize) {
        let wanted = if acks == 1 { Acks::Leader } else { Acks::All };
        for (item, part) in self.parts.iter_mut().enumerate() {
            let Outcome::Batch { start, length, records } = part.outcome else { continue };
            batches -= 1;
            let (batch, grant) = cutter.cut(start, length, batches == 0);
            let waiter = (acks != 0).then(|| cx.waiter(item as u32));
            let result = match part.topic.locate(cx.engine, part.index) {
                Ok(key) => cx.engine.append(cx.now, key, batch, grant, wanted, waiter, cx.out.fx).map_err(refused),
                Err(code) => Err(Outcome::Refused(code, None)),
            };
            part.outcome = match result {
                Ok(_) => {
                    self.missing += waiter.is_some() as usize;
                    METRICS.kafka.messages_in.add(records.into());
                    Outcome::Waits { records }
                }
                Err(outcome) => outcome,
            };
        }
    }

    /// The engine has answered for one partition.
    pub fn complete(&mut self, item: u32, result: Result<AppendedAt, AppendError>) {
        let Some(part) = self.parts.get_mut(item as usize) else { return };
        let Outcome::Waits { records } = part.outcome else { return };
        part.outcome = match result {
            Ok(at) => {
                METRICS.kafka.acknowledged.add(records.into());
                Outcome::Appended(at)
            }
            Err(error) => refused(error),
        };
        self.missing = self.missing.saturating_sub(1);
    }

    /// True when it can be answered.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Answers.
    pub fn answer(self, cx: &mut Context<'_>) -> Answer {
        let InFlight { reply, parts, throttle_ms, .. } = self;
        cx.out.throttle_ms = cx.out.throttle_ms.max(throttle_ms);
        reply.send(
            &mut cx.out,
            &ProduceResponse {
                responses: Array::each(&|topics| {
                    for group in parts.chunk_by(|a, b| a.topic == b.topic) {
                        let Some(Part { topic, .. }) = group.first() else { continue };
                        topics.put(TopicProduceResponse {
                            name: topic.name(),
                            topic_id: topic.id(),
                            partition_responses: Array::each(&|partitions| {
                                group.iter().for_each(|part| partitions.put(part.response()));
                            }),
                        });
                    }
                }),
                ..Default::default()
            },
        )
    }
}

impl Part {
    fn response(&self) -> PartitionProduceResponse<'_> {
        let none = PartitionProduceResponse { index: self.index, base_offset: Offset(-1), ..Default::default() };
        match &self.outcome {
            Outcome::Appended(at) => PartitionProduceResponse {
                base_offset: at.base_offset,
                log_append_time_ms: at.log_append_time,
                log_start_offset: at.log_start_offset,
                ..none
            },
            Outcome::Refused(error_code, sentence) => PartitionProduceResponse {
                error_code: *error_code,
                error_message: sentence.as_deref(),
                log_append_time_ms: Timestamp(-1),
                ..none
            },
            Outcome::Batch { .. } | Outcome::Waits { .. } => {
                PartitionProduceResponse { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..none }
            }
        }
    }
}

/// True for a topic of the brokers themselves, whose records they rely on.
fn is_internal(cx: &Context<'_>, key: &TopicKey) -> bool {
    let name = match key {
        TopicKey::Name(name) => Some(name),
        TopicKey::Id(id) => cx.engine.view().topic_by_id(*id).map(|topic| &topic.name),
    };
    name.is_some_and(|name| INTERNAL_TOPICS.contains(&&**name))
}

/// Where the batch of one partition lies, or why it is not even looked at.
fn plan_one(version: i16, acks: i16, data: &PartitionProduceData<'_>, frame: &[u8]) -> Outcome {
    if version < SERVED_FROM {
        return Outcome::Refused(ErrorCode::UNSUPPORTED_VERSION, None);
    }
    if !matches!(acks, -1..=1) {
        return Outcome::Refused(ErrorCode::INVALID_REQUIRED_ACKS, None);
    }
    let Some(records) = data.records.filter(|records| !records.is_empty()) else {
        return Outcome::Refused(ErrorCode::INVALID_RECORD, Some("there is no record batch".into()));
    };
    let header = BatchHeader::parse(records).ok();
    let is_zstd = header.is_some_and(|header| header.codec() == Ok(Codec::Zstd));
    if is_zstd && version < ZSTD_FROM {
        return Outcome::Refused(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, None);
    }
    // `records` is a slice of `frame`: the codec borrows.
    let start = (records.as_ptr() as usize).saturating_sub(frame.as_ptr() as usize);
    let count = header.map_or(0, |header| header.record_count());
    Outcome::Batch { start, length: records.len(), records: count }
}

fn refused(error: AppendError) -> Outcome {
    Outcome::Refused(append_code(&error), Some(error.to_string().into()))
}
