//! Appending: one batch as a client sent it, or one record of a publisher.
//!
//! Invariants: nothing reaches the log that `record` has not checked; a batch that repeats one of the producer's last
//! five is answered with the place of the original once that is acknowledged, and is not appended; when the log refuses,
//! nobody waits and no producer is remembered.

use bytes::BytesMut;

use super::acknowledgements::Acknowledgement;
use super::forward::SERVING;
use super::open_batch::{NotTaken, OpenBatch};
use super::producers::{ProducedBatch, Verdict, WrittenBatch};
use super::settings::TopicSettings;
use super::{Acks, Answer, AppendError, AppendedAt, BatchFault, Broker, PartitionKey, Waiter};
use crate::config::TimestampType;
use crate::log;
use crate::memory::Grant;
use crate::record::{BatchInfo, NewRecord, RecordError, all_have_keys, set_max_timestamp, validate_produced};
use crate::types::{Now, Offset, Timestamp};

/// Compressed batches of compacted topics are opened so far, to see whether their records have keys: this is the
/// runtime's thread. What slips through is removed by compaction.
const KEYS_BYTES_MAX: usize = 64 * 1024;

const NO_TIME: Timestamp = Timestamp(-1);

impl Broker {
    /// It is this time, for the questions that follow.
    pub fn at(&mut self, now: Now) {
        self.replication.at(now);
    }

    /// True when another may lead a partition of this node's by now, because this node's session may have ended.
    pub fn is_cut_off(&self, key: PartitionKey) -> bool {
        let is_replicated = self.partitions.get(key).is_some_and(|partition| partition.replicated.is_some());
        is_replicated && !self.replication.may_acknowledge()
    }

    /// Appends one v2 batch as received. See `Engine::append`.
    pub fn append(
        &mut self,
        now: Now,
        key: PartitionKey,
        mut batch: BytesMut,
        grant: Grant,
        acks: Acks,
        waiter: Option<Waiter>,
    ) -> Result<AppendedAt, AppendError> {
        self.at(now);
        let partition = self.partitions.get(key).ok_or(AppendError::UnknownPartition)?;
        let log = partition.appendable(acks)?;
        if acks == Acks::All && self.is_cut_off(key) {
            return Err(AppendError::NotEnoughReplicas); // it could not be acknowledged, and another may lead by now
        }
        self.check_room(waiter)?;
        let settings = partition.settings.clone();
        let info = validate_produced(&batch, settings.message_bytes_max)
            .map_err(|error| fault(error, settings.message_bytes_max))?;
        if info.transactional {
            return Err(BatchFault::Forbidden.into());
        }
        if settings.is_compacted {
            let mut scratch = Vec::new();
            if !all_have_keys(&batch, &mut scratch, KEYS_BYTES_MAX) {
                return Err(BatchFault::NoKey.into());
            }
        }
        let (timestamp, log_append_time) = self.stamp(now, &settings, &info, &mut batch)?;
        let produced = produced(&info);
        if let Some(produced) = &produced
            && let Verdict::Duplicate(written) = self.producers.check(key, produced)?
        {
            return self.repeat(key, &written, log_append_time, acks, waiter);
        }
        self.seal(now, key);
        let partition = self.partitions.get_mut(key).ok_or(AppendError::UnknownPartition)?;
        let appended = self.logs.append(now, log, batch, partition.leader_epoch, grant).map_err(refusal)?;
        let end = appended.last_offset.plus(1);
        if let Some(waiter) = waiter {
            let base_offset = appended.base_offset;
            partition.wait(acks, Acknowledgement { end, base_offset, log_append_time, waiter });
            self.waiting += 1;
        }
        let at =
            AppendedAt { base_offset: appended.base_offset, log_append_time, log_start_offset: partition.log_start };
        if let Some(ProducedBatch { producer, epoch, base_sequence, last_offset_delta }) = produced {
            let written =
                WrittenBatch { base_offset: appended.base_offset, base_sequence, last_offset_delta, timestamp };
            self.producers.record(now.mono, key, epoch, producer, written);
        }
        self.grew(key);
        Ok(at)
    }

    /// Appends one record to the partition's open batch, or to the lane of a `publish_key`. See `Engine::append_record`.
    #[inline]
    pub fn append_record(
        &mut self,
        now: Now,
        key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        self.check_room(waiter)?;
        if key.is_published() {
            return self.publish(key, &record, waiter).map(|()| Offset(-1));
        }
        let offset = match self.push(key, &record) {
            Err(Pushed::Full) => {
                self.seal(now, key);
                self.push(key, &record)
            }
            other => other,
        };
        let offset = match offset {
            Ok(offset) => offset,
            Err(Pushed::Refused(error)) => return Err(error),
            Err(Pushed::Full) => return Err(AppendError::Busy), // a fresh batch is never full
        };
        if let Some(waiter) = waiter
            && let Some(partition) = self.partitions.get_mut(key)
        {
            let log_append_time = match partition.settings.timestamp_type {
                TimestampType::CreateTime => NO_TIME,
                TimestampType::LogAppendTime => self.logs.broker_time(now),
            };
            let end = offset.plus(1);
            partition.all.push(Acknowledgement { end, base_offset: offset, log_append_time, waiter });
            self.waiting += 1;
        }
        Ok(offset)
    }

    /// Hands the partition's open batch, if there is one, to the log. When the log refuses it, its waiters are told.
    pub fn seal(&mut self, now: Now, key: PartitionKey) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let Some(open) = partition.open_batch.take() else { return };
        let (epoch, from) = (partition.leader_epoch, open.base_offset());
        if open.is_empty() {
            return;
        }
        let (mut batch, grant) = open.seal(epoch);
        if partition.settings.timestamp_type == TimestampType::LogAppendTime {
            set_max_timestamp(&mut batch, self.logs.broker_time(now), true);
        }
        let appended = match partition.appendable(Acks::All) {
            Ok(log) => self.logs.append(now, log, batch, epoch, grant).map_err(refusal),
            Err(error) => Err(error),
        };
        match appended {
            Ok(appended) if appended.base_offset == from => self.grew(key),
            // The log's end cannot have moved under an open batch: every way to move it seals or drops the batch.
            Ok(appended) => {
                debug_assert_eq!(appended.base_offset, from);
                self.fail_waiters(key, from, &AppendError::Storage("offsets moved under an open batch".into()));
            }
            Err(error) => self.fail_waiters(key, from, &error),
        }
    }

    /// Seals every open batch.
    pub(super) fn seal_all(&mut self, now: Now) {
        let mut open = std::mem::take(&mut self.open);
        for &key in &open {
            self.seal(now, key);
        }
        open.clear();
        self.open = open;
    }

    /// Answers all that wait for anything at or above `from` with `error`.
    pub(super) fn fail_waiters(&mut self, key: PartitionKey, from: Offset, error: &AppendError) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        for failed in partition.all.fail_from(from).chain(partition.leader.fail_from(from)) {
            self.waiting -= 1;
            self.answers.push_back((failed.waiter, Answer::Appended(Err(error.clone()))));
        }
    }

    /// Answers those that wait for all replicas with `error`.
    pub(super) fn fail_waiters_for_all(&mut self, key: PartitionKey, error: &AppendError) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        for failed in partition.all.fail_from(partition.high_watermark.get()) {
            self.waiting -= 1;
            self.answers.push_back((failed.waiter, Answer::Appended(Err(error.clone()))));
        }
    }

    fn check_room(&self, waiter: Option<Waiter>) -> Result<(), AppendError> {
        let max = self.limits.acknowledgements_max;
        match waiter {
            _ if self.is_stopping => Err(AppendError::Stopping),
            None => Ok(()),
            // What publishers wait for is appended by such a waiter: clients leave room for some.
            Some(waiter) if waiter.conn == SERVING && self.waiting < max => Ok(()),
            Some(_) if self.waiting < max - max / 8 => Ok(()),
            Some(_) => Err(AppendError::Busy),
        }
    }

    #[inline]
    fn push(&mut self, key: PartitionKey, record: &NewRecord<'_>) -> Result<Offset, Pushed> {
        let partition = self.partitions.get_mut(key).ok_or(AppendError::UnknownPartition)?;
        let log = partition.appendable(Acks::All)?;
        if partition.settings.is_compacted && record.key.is_none() {
            return Err(AppendError::from(BatchFault::NoKey).into());
        }
        let message_bytes_max = partition.settings.message_bytes_max;
        if partition.open_batch.is_none() {
            self.open.push(key);
        }
        let logs = &self.logs;
        let open = partition.open_batch.get_or_insert_with(|| OpenBatch::new(logs.marks(log).end, message_bytes_max));
        open.push(record, &self.ingest, 0).map_err(|not_taken| match not_taken {
            NotTaken::Full => Pushed::Full,
            NotTaken::TooLarge => AppendError::TooLarge { limit_bytes: message_bytes_max }.into(),
            NotTaken::NoMemory => AppendError::Busy.into(),
        })
    }

    /// Applies the topic's rules on time: the batch's highest timestamp, and the time to answer with.
    fn stamp(
        &self,
        now: Now,
        settings: &TopicSettings,
        info: &BatchInfo,
        batch: &mut BytesMut,
    ) -> Result<(Timestamp, Timestamp), AppendError> {
        if settings.timestamp_type == TimestampType::LogAppendTime {
            let time = self.logs.broker_time(now);
            set_max_timestamp(batch, time, true);
            return Ok((time, time));
        }
        let clock = self.logs.broker_time(now).0;
        let age = clock.saturating_sub(info.max_timestamp.0);
        let too_old = settings.timestamp_before_ms_max.is_some_and(|most| age > most);
        let too_new = settings.timestamp_after_ms_max.is_some_and(|most| age.saturating_neg() > most);
        if info.max_timestamp != NO_TIME && (too_old || too_new) {
            return Err(BatchFault::TimestampOutOfBounds.into());
        }
        if info.max_timestamp_differs {
            set_max_timestamp(batch, info.max_timestamp, false);
        }
        Ok((info.max_timestamp, NO_TIME))
    }

    /// Answers a repeated batch with the place of the original, now or when that is acknowledged.
    fn repeat(
        &mut self,
        key: PartitionKey,
        written: &WrittenBatch,
        log_append_time: Timestamp,
        acks: Acks,
        waiter: Option<Waiter>,
    ) -> Result<AppendedAt, AppendError> {
        let partition = self.partitions.get_mut(key).ok_or(AppendError::UnknownPartition)?;
        let (base_offset, end) = (written.base_offset, written.next_offset());
        let log_append_time = if log_append_time == NO_TIME { NO_TIME } else { written.timestamp };
        let at = AppendedAt { base_offset, log_append_time, log_start_offset: partition.log_start };
        match waiter {
            Some(waiter) if end <= partition.acknowledged(acks) => {
                self.answers.push_back((waiter, Answer::Appended(Ok(at))));
            }
            Some(waiter) => {
                partition.wait(acks, Acknowledgement { end, base_offset, log_append_time, waiter });
                self.waiting += 1;
            }
            None => {}
        }
        Ok(at)
    }
}

/// What became of a record that was offered to the open batch.
enum Pushed {
    Full,
    Refused(AppendError),
}

impl From<AppendError> for Pushed {
    fn from(error: AppendError) -> Pushed {
        Pushed::Refused(error)
    }
}

fn produced(info: &BatchInfo) -> Option<ProducedBatch> {
    (info.producer_id.0 >= 0).then_some(ProducedBatch {
        producer: info.producer_id,
        epoch: info.producer_epoch,
        base_sequence: info.base_sequence,
        last_offset_delta: info.record_count.saturating_sub(1) as i32,
    })
}

/// A batch that `record` refused, by the client's fault.
fn fault(error: RecordError, limit_bytes: usize) -> AppendError {
    AppendError::BadBatch(match error {
        RecordError::TooLarge => return AppendError::TooLarge { limit_bytes },
        RecordError::Truncated | RecordError::BadHeader | RecordError::BadCrc | RecordError::BadCompression => {
            BatchFault::Corrupt
        }
        RecordError::BadMagic(_) => BatchFault::OldFormat,
        RecordError::UnknownCodec => BatchFault::UnknownCodec,
        RecordError::MoreThanOne
        | RecordError::BadCount
        | RecordError::BadAttributes
        | RecordError::BadSequence
        | RecordError::BadRecord => BatchFault::Forbidden,
    })
}

/// Why the log took nothing, in the broker's words.
pub(super) fn refusal(error: log::AppendError) -> AppendError {
    match error {
        log::AppendError::NotOpen => AppendError::NotLeader,
        log::AppendError::BadBatch => BatchFault::Corrupt.into(),
        log::AppendError::OffsetsExhausted => AppendError::Storage(error.to_string()),
        log::AppendError::Disk(error) => error.into(),
    }
}
