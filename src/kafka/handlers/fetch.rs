//! Fetch: whole batches of several partitions, now, or when enough of them have arrived, or when the client's patience
//! ends.
//!
//! ```text
//! begun ──> nothing to read ──> watching ──(high watermark moved)──┐
//!   │                              │ patience ends                 │
//!   ├──> something to read <───────┼───────────────────────────────┘
//!   │        │ memory for records, else waits for it
//!   │        v
//!   │     reading ──(all reads are in)──> enough? no: records dropped, watching again, read anew a little later
//!   │                                      │ yes
//!   └──> error, no patience ──> answered <─┘
//! ```
//!
//! Invariants: records are read only under a grant, which the response keeps until they have left; the first batch of a
//! response is whole even if it is larger than what was asked for; a fetch that cannot read because memory is short
//! waits, it does not answer empty.

use std::cell::Cell;

use bytes::Bytes;

use super::partitions::{TopicKey, read_code};
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, PartitionKey, ReadData, ReadError as EngineError};
use crate::kafka::admission::Purpose;
use crate::kafka::codec::{
    Array, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData, Records, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::kafka::fetch_session::{PartitionName, SessionUse, Told, Wanted};
use crate::limits::{KAFKA_FETCH_READS_MAX, KAFKA_FETCH_WAIT_MS_MAX};
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::record::{Batches, Codec};
use crate::types::{Instant, Offset, ReadError, TopicId};

/// From this version on topics have ids.
const TOPIC_IDS_FROM: i16 = 13;

/// From this version on batches may be compressed with zstd.
const ZSTD_FROM: i16 = 10;

/// The item of all watches of a request; reads use the index of their partition.
const WATCH: u32 = super::ITEMS_MAX as u32 - 1;

/// What one partition takes in the response besides its name.
const PARTITION_BYTES: usize = 128;

/// Less is not asked of a log, however little it seems to have.
const PIECE_BYTES_MIN: usize = 16 * 1024;

/// A log that has more gives so much at least, and others wait for the next fetch: a piece smaller than a batch costs
/// the whole batch, and what comes of many such pieces finds no room in the response.
const PIECE_BYTES: usize = 256 * 1024;

/// How often a fetch whose watches were refused looks for itself.
const POLL_MS: u64 = 100;

/// A fetch that has not been answered.
#[derive(Debug)]
struct Fetch {
    reply: Reply,
    session: SessionUse,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Instant,
    /// Only records of committed transactions are wanted, and a list of those to be skipped.
    committed_only: bool,
    /// When a fetch that has found too little may read again.
    not_before: Instant,
    /// Between two readings of a fetch that has found too little.
    pause_ms: u64,
    parts: Vec<Part>,
    /// Reads that the engine has not answered yet.
    reading: usize,
    /// What the reads may bring.
    data: Grant,
    /// What they have brought.
    data_bytes: usize,
}

/// One partition of it.
#[derive(Debug)]
struct Part {
    name: PartitionName,
    wanted: Wanted,
    found: Result<PartitionKey, ErrorCode>,
    error: ErrorCode,
    high_watermark: Offset,
    log_start_offset: Offset,
    records: Bytes,
    /// Where the records belong in the response.
    position: Cell<usize>,
    is_watched: bool,
    /// Its answer is left out of an incremental response.
    is_old_news: bool,
}

/// Partitions of the request and of its session, and the response without records.
pub fn estimate(cx: &Context<'_>, request: &Request<'_>, _frame_bytes: usize) -> Result<usize, ReadError> {
    let body: FetchRequest<'_> = request.body()?;
    let part_bytes = size_of::<Part>() + PARTITION_BYTES;
    let named = body.topics.iter().map(|topic| 2 * topic.topic.len() + 64 + part_bytes * topic.partitions.len());
    let in_session = cx.sessions.len_of(body.session_id) * (part_bytes + 64);
    Ok(size_of::<Fetch>() + 64 + named.sum::<usize>() + in_session)
}

/// Begins.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: FetchRequest<'_> = request.body()?;
    let (session, parts) = match resolve(cx, request.version, &body) {
        Ok(resolved) => resolved,
        Err(error_code) => {
            let response = FetchResponse { error_code, ..Default::default() };
            return Ok(reply.send(&mut cx.out, &response));
        }
    };
    let wait_ms = u64::try_from(body.max_wait_ms).unwrap_or(0).min(KAFKA_FETCH_WAIT_MS_MAX);
    let quota_bytes = cx.out.limits.fetch.map_or(usize::MAX, |limit| limit.burst().max(1.0) as usize);
    let most = cx.settings.fetch_bytes_max.min(quota_bytes).max(1);
    let max_bytes = usize::try_from(body.max_bytes).unwrap_or(0).clamp(1, most);
    let fetch = Fetch {
        reply,
        session,
        min_bytes: usize::try_from(body.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
        deadline: cx.now.mono.plus_millis(wait_ms),
        committed_only: body.isolation_level == 1,
        not_before: cx.now.mono,
        pause_ms: (wait_ms / 8).clamp(5, 100),
        parts,
        reading: 0,
        data: Grant::none(),
        data_bytes: 0,
    };
    Ok(Box::new(fetch).go_on(cx))
}

/// The session, and the partitions to read: those of the request, or of its session.
fn resolve(cx: &mut Context<'_>, version: i16, body: &FetchRequest<'_>) -> Result<(SessionUse, Vec<Part>), ErrorCode> {
    let (id, epoch) = (body.session_id, body.session_epoch);
    let by_id = version >= TOPIC_IDS_FROM;
    if epoch > 0 {
        let forgotten = forgotten(cx, by_id, body);
        let wanted = wanted(cx, by_id, body);
        let session = cx.sessions.continue_with(cx.now.mono, (id, epoch), wanted.into_iter(), forgotten.into_iter())?;
        let names: Vec<_> = cx.sessions.partitions(id).map(|(name, wanted)| (name.clone(), wanted)).collect();
        if names.iter().any(|(name, _)| matches!(name.topic, TopicKey::Id(_)) != by_id) {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        if names.is_empty() {
            cx.sessions.end(id);
            return Ok((SessionUse::None, Vec::new()));
        }
        return Ok((session, names.into_iter().map(|(name, wanted)| Part::new(cx, name, wanted)).collect()));
    }
    cx.sessions.end(id);
    let wanted = wanted(cx, by_id, body);
    let session = match epoch {
        0 => cx.sessions.begin(cx.now.mono, cx.rng, wanted.iter().cloned()),
        _ => SessionUse::None,
    };
    Ok((session, wanted.into_iter().map(|(name, wanted)| Part::new(cx, name, wanted)).collect()))
}

fn wanted(cx: &Context<'_>, by_id: bool, body: &FetchRequest<'_>) -> Vec<(PartitionName, Wanted)> {
    let mut list = Vec::with_capacity(body.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in body.topics {
        let key = topic_key(cx, by_id, topic.topic, topic.topic_id);
        list.extend(topic.partitions.iter().map(|partition| {
            let wanted = Wanted {
                from: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                leader_epoch: partition.current_leader_epoch,
            };
            (PartitionName { topic: key.clone(), index: partition.partition }, wanted)
        }));
    }
    list
}

fn forgotten(cx: &Context<'_>, by_id: bool, body: &FetchRequest<'_>) -> Vec<PartitionName> {
    let mut list = Vec::new();
    for topic in body.forgotten_topics_data {
        let key = topic_key(cx, by_id, topic.topic, topic.topic_id);
        list.extend(topic.partitions.iter().map(|index| PartitionName { topic: key.clone(), index }));
    }
    list
}

fn topic_key(cx: &Context<'_>, by_id: bool, name: &str, id: TopicId) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::named(cx.engine, name) }
}

impl Fetch {
    /// Looks at all partitions and does what can be done now.
    fn go_on(mut self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        let (mut behind, mut has_error) = (0, false);
        for part in &mut self.parts {
            part.look(cx);
            behind += part.is_behind() as usize;
            has_error |= !part.error.is_none();
        }
        let is_last = has_error || self.parts.is_empty() || self.is_due(cx);
        if behind > 0 && (is_last || cx.now.mono >= self.not_before) {
            self.read(cx, behind)
        } else if is_last {
            self.answer(cx)
        } else {
            self.watch(cx, behind > 0)
        }
    }

    /// True when the answer does not wait for more.
    fn is_due(&self, cx: &Context<'_>) -> bool {
        self.min_bytes == 0 || cx.now.mono >= self.deadline
    }

    /// Waits for a high watermark to move, or for the client's patience to end.
    fn watch(mut self: Box<Self>, cx: &mut Context<'_>, found_too_little: bool) -> Answer {
        let mut at = self.deadline;
        let waiter = cx.waiter(WATCH);
        for part in self.parts.iter_mut().filter(|part| !part.is_watched) {
            if let Ok(key) = part.found {
                part.is_watched = cx.engine.watch(key, waiter);
                if !part.is_watched {
                    at = at.min(cx.now.mono.plus_millis(POLL_MS));
                }
            }
        }
        if found_too_little {
            at = at.min(self.not_before);
        }
        cx.wake_at(at);
        Answer::Later(self)
    }

    /// Reads the partitions that have something, each its share of what memory allows.
    fn read(mut self: Box<Self>, cx: &mut Context<'_>, behind: usize) -> Answer {
        let fair = cx.out.admission.free_bytes(Purpose::Data) / 4;
        let (enough, one_batch) = self.largest_answer(cx);
        let most = cx.out.admission.limit_bytes(Purpose::Data);
        let budget = enough.min(fair.max(one_batch)).min(most);
        let Some(grant) = cx.take(Purpose::Data, budget) else { return Answer::Later(self) };
        self.data = grant;
        self.data_bytes = 0;
        let reads = behind.min(KAFKA_FETCH_READS_MAX);
        let share = (budget.min(self.max_bytes) / reads).max(PIECE_BYTES);
        let mut is_busy = false;
        let mut left = budget;
        for (item, part) in self.parts.iter_mut().enumerate() {
            if !part.is_behind() {
                continue;
            }
            let expected = part.expected_bytes(cx).min(share).min(part.max_bytes());
            if self.reading >= KAFKA_FETCH_READS_MAX || left == 0 || (self.reading > 0 && left < expected / 2) {
                break;
            }
            let bytes = expected.max(PIECE_BYTES_MIN).min(left).min(part.max_bytes());
            match part.read(cx, item as u32, bytes) {
                Ok(()) => self.reading += 1,
                Err(EngineError::Busy) => is_busy = true,
                Err(error) => part.error = read_code(&error),
            }
            left = left.saturating_sub(expected);
        }
        if self.reading > 0 {
            return Answer::Later(self);
        }
        self.data = Grant::none();
        if is_busy {
            cx.wake_at_turn_end();
            return Answer::Later(self);
        }
        self.answer(cx)
    }

    /// What the answer can come to, one batch at least included, and how large that can be.
    fn largest_answer(&self, cx: &Context<'_>) -> (usize, usize) {
        let mut total = 0usize;
        let (mut largest_log, mut largest_batch) = (0, cx.settings.message_bytes_max);
        for part in self.parts.iter().filter(|part| part.is_behind()) {
            let Some(view) = part.found.ok().and_then(|key| cx.engine.partition_view(key)) else { continue };
            let log_bytes = usize::try_from(view.size_bytes).unwrap_or(usize::MAX);
            largest_log = largest_log.max(log_bytes);
            largest_batch = largest_batch.max(view.message_bytes_max);
            total = total.saturating_add(log_bytes.min(part.max_bytes()));
        }
        (total.min(self.max_bytes).max(largest_log.min(largest_batch)), largest_batch)
    }

    fn read_done(&mut self, cx: &mut Context<'_>, item: u32, result: Result<ReadData, EngineError>) {
        self.reading = self.reading.saturating_sub(1);
        let (version, is_first) = (self.reply.version(), self.data_bytes == 0);
        let Some(part) = self.parts.get_mut(item as usize) else { return };
        match result {
            Ok(data) => {
                let after = self.data_bytes + data.bytes.len();
                part.high_watermark = data.high_watermark;
                part.log_start_offset = data.log_start_offset;
                if version < ZSTD_FROM && has_zstd(&data.bytes) {
                    part.error = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
                } else if is_first || after <= self.data.bytes() {
                    part.records = data.bytes;
                    self.data_bytes = after;
                }
            }
            Err(EngineError::Busy) => {}
            Err(error) => part.error = read_code(&error),
        }
        if self.data_bytes > self.data.bytes()
            && let Some(grant) = cx.out.admission.take_now(Purpose::Data, self.data_bytes)
        {
            self.data = grant; // a first batch larger than anything that was expected
        }
    }

    /// All reads are in: answers, or drops what is too little and waits for more.
    fn have_all(mut self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        let has_error = self.parts.iter().any(|part| !part.error.is_none());
        if self.data_bytes >= self.min_bytes || has_error || self.is_due(cx) {
            return self.answer(cx);
        }
        self.parts.iter_mut().for_each(|part| part.records = Bytes::new());
        self.data = Grant::none();
        self.not_before = cx.now.mono.plus_millis(self.pause_ms);
        self.watch(cx, true)
    }

    fn answer(mut self, cx: &mut Context<'_>) -> Answer {
        if self.parts.iter().any(|part| part.is_watched) {
            let slot = cx.slot(WATCH);
            cx.engine.unwatch(cx.out.conn, slot);
        }
        if self.session != SessionUse::None {
            let is_incremental = matches!(self.session, SessionUse::Continued(_));
            for part in &mut self.parts {
                let is_news = cx.sessions.tell(self.session.id(), &part.name, part.told(), !part.records.is_empty());
                part.is_old_news = is_incremental && !is_news;
            }
        }
        self.data.split(self.data.bytes().saturating_sub(self.data_bytes));
        cx.out.charge(cx.now, cx.out.limits.fetch, self.data_bytes);
        let Fetch { reply, session, parts, data, committed_only, .. } = self;
        METRICS.kafka.messages_out.add(parts.iter().map(|part| records_in(&part.records)).sum());
        let with_records = parts.iter().filter(|part| !part.records.is_empty());
        let records = with_records.map(|part| (part.position.get(), part.records.clone()));
        reply.send_with_records(
            &mut cx.out,
            &FetchResponse {
                session_id: session.id(),
                responses: Array::each(&|topics| {
                    for group in parts.chunk_by(|a, b| a.name.topic == b.name.topic) {
                        let Some(topic) = group.iter().find(|part| !part.is_old_news) else { continue };
                        topics.put(FetchableTopicResponse {
                            topic: topic.name.topic.name(),
                            topic_id: topic.name.topic.id(),
                            partitions: Array::each(&|partitions| {
                                let news = group.iter().filter(|part| !part.is_old_news);
                                news.for_each(|part| partitions.put(part.response(committed_only)));
                            }),
                        });
                    }
                }),
                ..Default::default()
            },
            records,
            data,
        )
    }
}

impl Pending for Fetch {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::Read { result, .. } => {
                self.read_done(cx, item, result);
                if self.reading == 0 { self.have_all(cx) } else { Answer::Later(self) }
            }
            Completion::DataArrived { partition } => {
                let fired = self.parts.iter_mut().filter(|part| part.found == Ok(partition));
                fired.for_each(|part| part.is_watched = false);
                self.wake(cx)
            }
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        if self.reading > 0 || cx.out.admission.waits(cx.out.conn) { Answer::Later(self) } else { self.go_on(cx) }
    }
}

impl Part {
    fn new(cx: &Context<'_>, name: PartitionName, wanted: Wanted) -> Part {
        let found = name.topic.locate(cx.engine, name.index);
        Part {
            name,
            wanted,
            found,
            error: ErrorCode::NONE,
            high_watermark: Offset(-1),
            log_start_offset: Offset(-1),
            records: Bytes::new(),
            position: Cell::new(0),
            is_watched: false,
            is_old_news: false,
        }
    }

    /// Notes marks and errors as they are now.
    fn look(&mut self, cx: &Context<'_>) {
        self.error = self.look_for_error(cx).err().unwrap_or(ErrorCode::NONE);
    }

    fn look_for_error(&mut self, cx: &Context<'_>) -> Result<(), ErrorCode> {
        let key = self.found?;
        let view = cx.engine.partition_view(key).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if !view.is_served {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        cx.engine.check_leader_epoch(key, self.wanted.leader_epoch).map_err(|error| read_code(&error))?;
        self.high_watermark = view.high_watermark;
        self.log_start_offset = view.log_start_offset;
        if self.wanted.from < view.log_start_offset || self.wanted.from > view.log_end_offset {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        Ok(())
    }

    fn is_behind(&self) -> bool {
        self.error.is_none() && self.wanted.from < self.high_watermark
    }

    fn max_bytes(&self) -> usize {
        usize::try_from(self.wanted.max_bytes).unwrap_or(0).max(1)
    }

    /// About how many bytes there are for it, by what a record of its log takes on average, and a quarter more.
    fn expected_bytes(&self, cx: &Context<'_>) -> usize {
        let Some(view) = self.found.ok().and_then(|key| cx.engine.partition_view(key)) else { return 0 };
        let count = |from: Offset, to: Offset| u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0).max(1);
        let each = view.size_bytes.div_ceil(count(view.log_start_offset, view.log_end_offset));
        let all = each.saturating_mul(count(self.wanted.from, self.high_watermark));
        usize::try_from(all.saturating_add(all / 4)).unwrap_or(usize::MAX)
    }

    fn read(&self, cx: &mut Context<'_>, item: u32, bytes: usize) -> Result<(), EngineError> {
        let key = self.found.map_err(|_| EngineError::UnknownPartition)?;
        let waiter = cx.waiter(item);
        cx.engine.read(cx.now, key, self.wanted.from, bytes, waiter, cx.out.fx)
    }

    fn told(&self) -> Option<Told> {
        let told = Told { high_watermark: self.high_watermark, log_start_offset: self.log_start_offset };
        self.error.is_none().then_some(told)
    }

    fn response(&self, committed_only: bool) -> PartitionData<'_> {
        let none = PartitionData {
            partition_index: self.name.index,
            error_code: self.error,
            high_watermark: Offset(-1),
            aborted_transactions: committed_only.then(Array::default),
            records: Records::Here(&[]),
            ..Default::default()
        };
        if !self.error.is_none() {
            return none;
        }
        PartitionData {
            high_watermark: self.high_watermark,
            last_stable_offset: self.high_watermark,
            log_start_offset: self.log_start_offset,
            records: match self.records.len() {
                0 => Records::Here(&[]),
                length => Records::Apart { length, position: &self.position },
            },
            ..none
        }
    }
}

/// Records, as far as headers tell.
fn records_in(batches: &[u8]) -> u64 {
    Batches::new(batches).flatten().map(|batch| u64::from(batch.record_count())).sum()
}

fn has_zstd(records: &[u8]) -> bool {
    Batches::new(records).any(|batch| batch.is_ok_and(|batch| batch.codec() == Ok(Codec::Zstd)))
}
