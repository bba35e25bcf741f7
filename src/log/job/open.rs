//! Opens a log: creates it, or finds out where it ends.
//!
//! What lies below the recovery point was synced together with its indexes and is believed; from there on every batch is
//! compared with its checksum and the indexes are written anew. The scan starts at the last index entry below the
//! recovery point, which lies above no batch of an idempotent producer that the last snapshot does not tell of. After a
//! clean stop it covers the few kilobytes behind that entry.
//!
//! Whatever was scanned is synced before the log is open: a killed process leaves bytes in the page cache that look
//! durable and are not.

use super::files::{len_or_zero, read_small, remove_if_there, replace};
use super::index;
use super::producers::ProducerTail;
use super::scan::{Findings, ScanEnd, scan};
use super::window::Window;
use crate::effect::{DiskError, LogDir, OpenJob, OpenedLog, SegmentMeta};
use crate::log::checkpoint::{self, CHECKPOINT_BYTES_MAX, LEADER_EPOCHS};
use crate::log::leader_epochs::LeaderEpochs;
use crate::log::log_file::{LOG_FILE, LogFile};
use crate::log::segment::{INDEX_ENTRY_BYTES, TIME_INDEX_ENTRY_BYTES};
use crate::log::storage::{FileName, FilePath, Storage};
use crate::record::BatchHeader;
use crate::types::{Offset, Timestamp};

/// Carries the job out.
pub(super) fn open<S: Storage>(job: &OpenJob, storage: &mut S) -> Result<OpenedLog, DiskError> {
    let mut warnings = Vec::new();
    let bases = match list_segments(storage, &job.dir) {
        Ok(bases) => bases,
        Err(DiskError::NotFound) => return create(job, storage),
        Err(error) => return Err(error),
    };
    let known = read_log_file(job, storage, &mut warnings)?;
    match known {
        None if bases.is_empty() => create(job, storage),
        Some(LogFile { restart_at: Some(start), .. }) => {
            remove_segments(storage, &job.dir, &bases)?;
            // gone for good before the file that says so is replaced
            storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
            create(&OpenJob { start, marks: None, ..job.clone() }, storage)
        }
        known => {
            let ours = known.is_some();
            let file = known.map_or_else(|| adopt(job, &bases, storage), Ok)?;
            recover(job, storage, bases, file, ours, warnings)
        }
    }
}

/// A log that begins now.
fn create<S: Storage>(job: &OpenJob, storage: &mut S) -> Result<OpenedLog, DiskError> {
    let start = job.marks.map_or(job.start, |marks| marks.log_start.max(job.start));
    storage.create_dir(job.dir.root, &job.dir.name)?;
    let file = LogFile {
        journal_floor: job.journal_sequence,
        producer_snapshot: job.producers.then(|| (start, Vec::new())),
        noted_end: start,
        ..LogFile::default()
    };
    remove_if_there(storage, FilePath::in_log(&job.dir, FileName::Other(LEADER_EPOCHS)))?;
    create_segment(storage, &job.dir, start)?;
    replace(storage, FilePath::in_log(&job.dir, FileName::Other(LOG_FILE)), &file.render())?;
    storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
    storage.sync_dir(job.dir.root, None)?;
    Ok(OpenedLog {
        log_start: start,
        end: start,
        segments: vec![SegmentMeta::empty(start, job.now)],
        journal_floor: file.journal_floor,
        producer_snapshot: file.producer_snapshot.map(|(at, bytes)| (at, bytes.into())),
        ..OpenedLog::default()
    })
}

fn recover<S: Storage>(
    job: &OpenJob,
    storage: &mut S,
    mut bases: Vec<Offset>,
    file: LogFile,
    ours: bool,
    warnings: Vec<String>,
) -> Result<OpenedLog, DiskError> {
    let log_start = job.marks.map_or(Offset(0), |marks| marks.log_start);
    let recovery_point = job.marks.map_or(Offset(0), |marks| marks.recovery_point);
    remove_below(storage, &job.dir, &mut bases, log_start)?;
    if bases.is_empty() {
        // retention removed everything; the next append would have created the segment
        create_segment(storage, &job.dir, log_start)?;
        storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
        bases.push(log_start);
    }
    let epochs = read_epochs(job, storage)?;
    let mut findings = Findings {
        interval_bytes: job.index_interval_bytes,
        recovery_point,
        journal_base: file.journal_base,
        noted_end: file.noted_end,
        epochs,
        producers: job
            .producers
            .then(|| ProducerTail::new(file.producer_snapshot.as_ref().map_or(Offset(0), |&(at, _)| at))),
        scanned_bytes: 0,
        damages: Vec::new(),
        warnings,
    };
    if job.marks.is_none() {
        // whoever created the log may have been killed before its names were durable
        storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
        storage.sync_dir(job.dir.root, None)?;
    }
    let (mut segments, mut end) = recover_segments(job, storage, &bases, recovery_point, ours, &mut findings)?;
    if end < log_start {
        remove_segments(storage, &job.dir, &bases)?;
        create_segment(storage, &job.dir, log_start)?;
        storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
        segments = vec![SegmentMeta::empty(log_start, job.now)];
        end = log_start;
    }
    Ok(finish(job, file, segments, end, log_start, findings))
}

/// From now on records of the journal may belong to a log that Kafka made, and may have compacted.
fn adopt<S: Storage>(job: &OpenJob, bases: &[Offset], storage: &mut S) -> Result<LogFile, DiskError> {
    let noted_end = Offset(i64::MAX); // its segments are as old as their records
    let journal_base = bases.last().copied().unwrap_or_default();
    let file = LogFile { journal_floor: job.journal_sequence, noted_end, journal_base, ..LogFile::default() };
    replace(storage, FilePath::in_log(&job.dir, FileName::Other(LOG_FILE)), &file.render())?;
    storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
    Ok(file)
}

/// The segments as they are, the last of them ending at the returned offset.
fn recover_segments<S: Storage>(
    job: &OpenJob,
    storage: &mut S,
    bases: &[Offset],
    scan_from: Offset,
    ours: bool,
    findings: &mut Findings,
) -> Result<(Vec<SegmentMeta>, Offset), DiskError> {
    let mut segments: Vec<SegmentMeta> = Vec::with_capacity(bases.len());
    let mut end = bases.first().copied().unwrap_or_default();
    let (mut lost, mut is_scanning) = (false, false);
    for (number, &base) in bases.iter().enumerate() {
        let after = bases.get(number + 1).copied();
        // one that ends there may have been closed after its indexes were synced
        if after.is_some_and(|after| after < scan_from) {
            segments.push(believe(storage, &job.dir, base)?);
            end = after.unwrap_or(end);
            continue;
        }
        let is_gap = ours && number > 0 && base > end && base > findings.journal_base;
        if lost || (is_gap && end >= findings.recovery_point) {
            // what came before was never synced, so neither was this
            lost = true;
            remove_segments(storage, &job.dir, &[base])?;
            findings.warnings.push(format!("{} was removed: it follows a torn tail", FileName::Log(base)));
            continue;
        }
        if is_gap {
            findings.damages.push((end, format!("offsets {end} to {} are missing", base.0 - 1)));
        }
        let followed_by = match after {
            Some(after) if ours && begins_intact(storage, &job.dir, after)? => Some(after),
            _ => None,
        };
        if let Some(previous) = segments.last_mut().filter(|_| is_scanning) {
            fit_indexes(storage, &job.dir, previous, true)?;
        }
        is_scanning = true;
        let mut segment = start_of_scan(storage, &job.dir, base, scan_from)?;
        let file_bytes = len_or_zero(storage, FilePath::in_log(&job.dir, FileName::Log(base)))?;
        let scanned = scan(storage, &job.dir, &mut segment, file_bytes, followed_by, findings)?;
        cut(storage, &job.dir, &segment, file_bytes, scanned, findings)?;
        lost |= scanned.torn && ours;
        end = scanned.next.max(base);
        segments.push(segment);
    }
    if lost {
        // one that came back after the next power cut would look like the continuation of other records
        storage.sync_dir(job.dir.root, Some(&job.dir.name))?;
    }
    if let Some(last) = segments.last_mut() {
        fit_indexes(storage, &job.dir, last, false)?;
    }
    let log_start = job.marks.map_or(Offset(0), |marks| marks.log_start);
    if end < findings.recovery_point && findings.recovery_point > log_start {
        let sentence = format!(
            "the log ends at offset {end} although it was synced up to {}: what lay between is lost",
            findings.recovery_point
        );
        findings.damages.push((end, sentence));
        end = findings.recovery_point;
    }
    Ok((segments, end))
}

/// Ends the indexes where the segment's entries end; a complete segment's time index with its highest timestamp. What was
/// right before is not touched: it may be below the recovery point, where nobody syncs it again.
fn fit_indexes<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &mut SegmentMeta,
    is_complete: bool,
) -> Result<(), DiskError> {
    let time_index = FilePath::in_log(dir, FileName::TimeIndex(segment.base));
    if is_complete {
        let at = segment.time_index_bytes as u64;
        let mut entries = Vec::new();
        segment.push_time(&mut entries);
        if !entries.is_empty() {
            storage.write_at(time_index, at, &[&entries])?;
        }
    }
    let index = FilePath::in_log(dir, FileName::OffsetIndex(segment.base));
    for (file, bytes) in [(index, segment.index_bytes as u64), (time_index, segment.time_index_bytes as u64)] {
        if storage.len(file)? != bytes {
            storage.set_len(file, bytes)?;
        }
    }
    Ok(())
}

/// Whether the segment's first batch arrived.
fn begins_intact<S: Storage>(storage: &mut S, dir: &LogDir, base: Offset) -> Result<bool, DiskError> {
    let file = FilePath::in_log(dir, FileName::Log(base));
    let bytes = len_or_zero(storage, file)?;
    let mut window = Window::new(storage, file, bytes);
    let Some(head) = window.header(0)? else { return Ok(false) };
    match BatchHeader::parse(&head) {
        Ok(batch) if batch.base_offset() >= base => window.is_intact(0, &batch),
        _ => Ok(false),
    }
}

/// A segment below the recovery point: its numbers from its files, nothing is scanned.
fn believe<S: Storage>(storage: &mut S, dir: &LogDir, base: Offset) -> Result<SegmentMeta, DiskError> {
    let whole = |bytes: u64, entry: u32| (bytes - bytes % entry as u64).min(u32::MAX as u64) as u32;
    let mut segment = SegmentMeta::empty(base, Timestamp(0));
    segment.bytes = len_or_zero(storage, FilePath::in_log(dir, FileName::Log(base)))?;
    let index_bytes = len_or_zero(storage, FilePath::in_log(dir, FileName::OffsetIndex(base)))?;
    let time_index_bytes = len_or_zero(storage, FilePath::in_log(dir, FileName::TimeIndex(base)))?;
    segment.index_bytes = whole(index_bytes, INDEX_ENTRY_BYTES);
    segment.time_index_bytes = whole(time_index_bytes, TIME_INDEX_ENTRY_BYTES);
    if let Some((_, last)) = index::last_time_at(storage, dir, &segment, Offset(i64::MAX))? {
        segment.max_timestamp = last.timestamp;
        segment.indexed_timestamp = last.timestamp;
        segment.max_timestamp_offset = base.plus(last.relative_offset as i64);
    }
    Ok(segment)
}

/// The segment as it was before the last batch that has an index entry below `scan_from`.
fn start_of_scan<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    base: Offset,
    scan_from: Offset,
) -> Result<SegmentMeta, DiskError> {
    let files = believe(storage, dir, base)?;
    for name in [FileName::OffsetIndex(base), FileName::TimeIndex(base)] {
        match storage.len(FilePath::in_log(dir, name)) {
            Err(DiskError::NotFound) => storage.create(FilePath::in_log(dir, name))?,
            other => other.map(|_| ())?,
        }
    }
    let mut segment = SegmentMeta::empty(base, Timestamp(0));
    let Some((number, entry)) = index::last_below(storage, dir, &files, scan_from, false)? else { return Ok(segment) };
    if entry.position as u64 >= files.bytes {
        return Ok(segment); // the index is none of this segment's
    }
    segment.bytes = entry.position as u64;
    segment.index_bytes = number as u32 * INDEX_ENTRY_BYTES;
    segment.unindexed_bytes = u32::MAX; // so that the batch gets its entry again
    let at = base.plus(entry.relative_offset as i64);
    if let Some((number, last)) = index::last_time_at(storage, dir, &files, at)? {
        segment.time_index_bytes = (number as u32 + 1) * TIME_INDEX_ENTRY_BYTES;
        segment.max_timestamp = last.timestamp;
        segment.indexed_timestamp = last.timestamp;
        segment.max_timestamp_offset = base.plus(last.relative_offset as i64);
    }
    Ok(segment)
}

/// Cuts what a scan did not keep, and syncs what it did.
fn cut<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    segment: &SegmentMeta,
    file_bytes: u64,
    scanned: ScanEnd,
    findings: &mut Findings,
) -> Result<(), DiskError> {
    let bytes = scanned.bytes;
    let log = FilePath::in_log(dir, FileName::Log(segment.base));
    if bytes < file_bytes {
        storage.set_len(log, bytes)?;
        findings
            .warnings
            .push(format!("{} was cut from {file_bytes} to {bytes} bytes: the rest was never synced", log.name));
    }
    // even a shorter file than was noted may be so in the page cache alone
    let is_as_noted = scanned.next == findings.recovery_point && scanned.next == findings.noted_end;
    if bytes == file_bytes && is_as_noted { Ok(()) } else { storage.sync(log) }
}

fn finish(
    job: &OpenJob,
    file: LogFile,
    mut segments: Vec<SegmentMeta>,
    end: Offset,
    log_start: Offset,
    mut findings: Findings,
) -> OpenedLog {
    let first = segments.first().map_or(end, |segment| segment.base);
    let log_start = log_start.max(first).min(end);
    findings.epochs.truncate_end(end.plus(1)); // an empty log remembers its last epoch
    findings.epochs.truncate_start(log_start);
    date(&mut segments, &file, end, job.now);
    OpenedLog {
        log_start,
        end,
        segments,
        epochs: findings.epochs.entries().to_vec(),
        journal_floor: file.journal_floor,
        journal_base: file.journal_base,
        producer_snapshot: file.producer_snapshot.filter(|&(at, _)| at <= end).map(|(at, bytes)| (at, bytes.into())),
        producer_batches: findings.producers.map(ProducerTail::into_batches).unwrap_or_default(),
        scanned_bytes: findings.scanned_bytes,
        warnings: findings.warnings,
        damages: findings.damages,
    }
}

/// When each segment was last appended to: as noted, when nothing was appended since; else, for what was complete by
/// then, by its records, whose producers' clocks may lie; else now, which errs on the side of keeping.
fn date(segments: &mut [SegmentMeta], file: &LogFile, end: Offset, now: Timestamp) {
    let last = segments.len().saturating_sub(1);
    for (number, segment) in segments.iter_mut().enumerate() {
        let is_old = number < last && segment.base < file.noted_end;
        let guess = if is_old { segment.max_timestamp.max(Timestamp(0)) } else { now };
        let (created, appended) = file.times(segment.base).unwrap_or((guess, guess));
        let is_noted = number < last || file.noted_end == end;
        segment.created_at = created.min(now);
        segment.appended_at = if is_noted { appended.min(now) } else { now };
    }
}

/// Base offsets of the segments, ascending; leftovers of interrupted work are removed.
pub(super) fn list_segments<S: Storage>(storage: &mut S, dir: &LogDir) -> Result<Vec<Offset>, DiskError> {
    let mut bases = Vec::new();
    let mut entries = storage.list(dir.root, Some(&dir.name))?;
    if super::swap::recover(dir, &entries, storage)? {
        entries = storage.list(dir.root, Some(&dir.name))?;
    }
    for entry in &entries {
        match entry.name.split_once('.') {
            Some((digits, "log")) => bases.extend(base_offset(digits)),
            Some((_, "tmp")) => remove_if_there(storage, FilePath::in_log(dir, FileName::Other(&entry.name)))?,
            _ => {}
        }
    }
    bases.sort();
    for entry in &entries {
        if let Some((digits, "index" | "timeindex")) = entry.name.split_once('.')
            && base_offset(digits).is_some_and(|base| bases.binary_search(&base).is_err())
        {
            remove_if_there(storage, FilePath::in_log(dir, FileName::Other(&entry.name)))?;
        }
    }
    Ok(bases)
}

pub(super) fn base_offset(digits: &str) -> Option<Offset> {
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok().map(Offset)).flatten()
}

fn create_segment<S: Storage>(storage: &mut S, dir: &LogDir, base: Offset) -> Result<(), DiskError> {
    for name in [FileName::Log(base), FileName::OffsetIndex(base), FileName::TimeIndex(base)] {
        storage.create(FilePath::in_log(dir, name))?;
    }
    Ok(())
}

/// Removes segments that lie below the log start as a whole.
fn remove_below<S: Storage>(
    storage: &mut S,
    dir: &LogDir,
    bases: &mut Vec<Offset>,
    log_start: Offset,
) -> Result<(), DiskError> {
    let below = bases.windows(2).take_while(|pair| matches!(pair, [_, after] if *after <= log_start)).count();
    remove_segments(storage, dir, bases.get(..below).unwrap_or_default())?;
    bases.drain(..below);
    Ok(())
}

/// Removes segments, indexes last, so that a crash leaves no index alone for long.
pub(super) fn remove_segments<S: Storage>(storage: &mut S, dir: &LogDir, bases: &[Offset]) -> Result<(), DiskError> {
    for &base in bases {
        for name in [FileName::Log(base), FileName::OffsetIndex(base), FileName::TimeIndex(base)] {
            remove_if_there(storage, FilePath::in_log(dir, name))?;
        }
    }
    Ok(())
}

/// `None` when this program never opened the log: it was created half, or it is Kafka's.
fn read_log_file<S: Storage>(
    job: &OpenJob,
    storage: &mut S,
    warnings: &mut Vec<String>,
) -> Result<Option<LogFile>, DiskError> {
    let path = FilePath::in_log(&job.dir, FileName::Other(LOG_FILE));
    let Some(bytes) = read_small(storage, path, CHECKPOINT_BYTES_MAX)? else { return Ok(None) };
    let file = LogFile::parse(&bytes);
    if file.is_none() {
        warnings
            .push(format!("{LOG_FILE} is damaged and was ignored: what producers wrote before is not known any more"));
    }
    Ok(Some(file.unwrap_or_default()))
}

fn read_epochs<S: Storage>(job: &OpenJob, storage: &mut S) -> Result<LeaderEpochs, DiskError> {
    let path = FilePath::in_log(&job.dir, FileName::Other(LEADER_EPOCHS));
    let bytes = read_small(storage, path, CHECKPOINT_BYTES_MAX)?;
    let entries = bytes.as_deref().and_then(checkpoint::parse_epochs).unwrap_or_default();
    Ok(LeaderEpochs::from_entries(entries))
}
