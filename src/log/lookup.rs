//! Reads and look-ups by time: which segment to ask, and what to make of the answer.

use super::logs::Job;
use super::state::{Log, Phase, Wish};
use super::{LogEvent, LogKey, LogReadError, Logs};
use crate::effect::{DiskError, Effects, FindTimestampJob, LogDone, LogJob, ReadJob, ReadOutcome, SegmentMeta};
use crate::types::{Offset, Timestamp};

/// A read under way.
#[derive(Debug)]
pub(super) struct Read {
    log: LogKey,
    token: u64,
    base: Offset,
    from: Offset,
    below: Offset,
    max_bytes: usize,
    segment_bytes: u64,
    /// `Cleaning::swaps` when it was sent.
    swaps: u64,
}

/// What waits for a swap of segments.
#[derive(Debug)]
pub(super) enum Held {
    Read(Read),
    Find(Find),
}

/// A look-up by time under way.
#[derive(Debug)]
pub(super) struct Find {
    log: LogKey,
    token: u64,
    base: Offset,
    /// `None`: the highest.
    at: Option<Timestamp>,
    below: Offset,
    best: Option<(Timestamp, Offset)>,
    /// The highest timestamp of the segment that was asked last, when the highest is wanted.
    ceiling: Timestamp,
    /// `Cleaning::swaps` when it was sent.
    swaps: u64,
}

impl Find {
    fn new(log: LogKey, token: u64, at: Option<Timestamp>, below: Offset) -> Find {
        Find { log, token, base: Offset(-1), at, below, best: None, ceiling: Timestamp(i64::MAX), swaps: 0 }
    }
}

impl Logs {
    /// Asks for whole batches from the one that holds `from`, none that reaches `below`, at most `max_bytes` but at
    /// least one; `ReadDone` with `token` follows. Only what is written can be read, `marks().end` may be ahead of it:
    /// there the answer is empty.
    pub fn read(
        &mut self,
        log: LogKey,
        from: Offset,
        below: Offset,
        max_bytes: usize,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        let known = self.readable(log)?;
        if from < known.start || from > known.end {
            return Err(LogReadError::OutOfRange(known.marks()));
        }
        let (_, segment) = known.written_segment(from).ok_or(LogReadError::OutOfRange(known.marks()))?;
        let swaps = known.cleaning.swaps;
        let read = Read { log, token, base: segment.base, from, below, max_bytes, segment_bytes: 0, swaps };
        self.send_read(read, segment, fx).map_err(|()| stuck())
    }

    /// Asks for the first record below `below` whose timestamp is at least `at`; `TimestampFound` follows.
    pub fn find_timestamp(
        &mut self,
        log: LogKey,
        at: Timestamp,
        below: Offset,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        self.find(Find::new(log, token, Some(at), below), fx)
    }

    /// Asks for the record with the highest timestamp below `below`; `TimestampFound` follows.
    pub fn find_max_timestamp(
        &mut self,
        log: LogKey,
        below: Offset,
        token: u64,
        fx: &mut Effects,
    ) -> Result<(), LogReadError> {
        self.find(Find::new(log, token, None, below), fx)
    }

    pub(super) fn read_done(
        &mut self,
        mut read: Read,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let token = read.token;
        let Some(log) = self.log_mut(read.log) else {
            events.push(LogEvent::ReadDone { token, result: Err(LogReadError::NotOpen) });
            return;
        };
        log.reads -= 1;
        if read.swaps != log.cleaning.swaps {
            return self.read_again(read, fx, events); // segments were swapped meanwhile, perhaps those that were read
        }
        let number = log.number_of(read.base);
        let following = number.and_then(|number| log.written_at(number + 1)).map(|(_, segment)| segment);
        // what came to the segment since it was asked, else what follows it
        let grown = number.and_then(|number| log.written_at(number)).map(|(_, segment)| segment);
        let more = grown.filter(|segment| segment.bytes > read.segment_bytes).or(following);
        let more = more.filter(|_| read.from < read.below.min(log.written.end));
        let result = match result {
            Ok(LogDone::Read(ReadOutcome::Batches { bytes, next_position, .. }))
                if bytes.is_empty() && next_position >= read.segment_bytes && more.is_some() =>
            {
                if let Some(segment) = more {
                    read.base = segment.base;
                    self.go_on(read, segment, fx, events);
                }
                return;
            }
            Ok(LogDone::Read(ReadOutcome::Batches { bytes, next, next_position })) => {
                if !bytes.is_empty() {
                    log.remember(read.from, next, read.base, next_position);
                }
                Ok(bytes)
            }
            Ok(LogDone::Read(ReadOutcome::Damaged { sentence, whole, resume })) => {
                let resume = resume.or(following.map(|segment| segment.base));
                Err(LogReadError::Damaged { sentence, whole, resume })
            }
            Ok(_) => Err(LogReadError::Disk(DiskError::Io("an answer of the wrong kind".into()))),
            Err(DiskError::NotFound) if read.from < log.start => Err(LogReadError::OutOfRange(log.marks())),
            Err(DiskError::NotFound) if number.is_none() && log.written_segment(read.from).is_some() => {
                // the segment that was the last went meanwhile, and others followed
                return self.read_again(read, fx, events);
            }
            Err(error) => Err(LogReadError::Disk(error)),
        };
        events.push(LogEvent::ReadDone { token, result });
    }

    pub(super) fn find_done(
        &mut self,
        mut find: Find,
        result: Result<LogDone, DiskError>,
        fx: &mut Effects,
        events: &mut Vec<LogEvent>,
    ) {
        let token = find.token;
        let Some(log) = self.log_mut(find.log) else {
            events.push(LogEvent::TimestampFound { token, result: Err(LogReadError::NotOpen) });
            return;
        };
        log.reads -= 1;
        if find.swaps != log.cleaning.swaps {
            return self.find_again(find, fx, events);
        }
        match result {
            Ok(LogDone::Found(found)) => {
                let is_better = |(at, _): &(Timestamp, Offset)| find.best.is_none_or(|(best, _)| *at > best);
                find.best = found.filter(is_better).or(find.best);
                let is_done = find.at.is_some() && find.best.is_some();
                match next_candidate(log, &find).filter(|_| !is_done) {
                    Some(segment) => {
                        if self.send_find(find, segment, fx).is_err() {
                            events.push(LogEvent::TimestampFound { token, result: Err(stuck()) });
                        }
                    }
                    None => events.push(LogEvent::TimestampFound { token, result: Ok(find.best) }),
                }
            }
            Ok(_) => {
                let error = LogReadError::Disk(DiskError::Io("an answer of the wrong kind".into()));
                events.push(LogEvent::TimestampFound { token, result: Err(error) });
            }
            Err(error) => {
                events.push(LogEvent::TimestampFound { token, result: Err(LogReadError::Disk(error)) });
            }
        }
    }

    /// The log, when it is open and not about to be cut.
    fn readable(&self, log: LogKey) -> Result<&Log, LogReadError> {
        let log = self.log(log).filter(|log| log.phase == Phase::Open);
        let log = log.filter(|log| matches!(log.wish, None | Some(Wish::Repair)));
        log.ok_or(LogReadError::NotOpen)
    }

    /// Reads on in another segment.
    fn go_on(&mut self, read: Read, segment: SegmentMeta, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        let token = read.token;
        if self.send_read(read, segment, fx).is_err() {
            events.push(LogEvent::ReadDone { token, result: Err(stuck()) });
        }
    }

    /// Reads from the start, in the segment that holds the offset now.
    pub(super) fn read_again(&mut self, mut read: Read, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        let token = read.token;
        let found = self.readable(read.log).and_then(|log| {
            let is_below = read.from < log.start;
            let segment = log.written_segment(read.from).filter(|_| !is_below);
            segment.ok_or(LogReadError::OutOfRange(log.marks()))
        });
        match found {
            Ok((_, segment)) => {
                read.base = segment.base;
                self.go_on(read, segment, fx, events);
            }
            Err(error) => events.push(LogEvent::ReadDone { token, result: Err(error) }),
        }
    }

    /// Looks from the start.
    pub(super) fn find_again(&mut self, find: Find, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        let token = find.token;
        let anew = Find::new(find.log, token, find.at, find.below);
        if let Err(error) = self.find(anew, fx) {
            events.push(LogEvent::TimestampFound { token, result: Err(error) });
        }
    }

    /// Sends it, or holds it while the segment is being swapped; `Err` when that does not get on.
    fn send_read(&mut self, mut read: Read, segment: SegmentMeta, fx: &mut Effects) -> Result<(), ()> {
        let Some(log) = self.log_mut(read.log) else { return Err(()) };
        if log.cleaning.replaces(segment.base) {
            return log.cleaning.hold(Held::Read(read));
        }
        read.swaps = log.cleaning.swaps;
        log.reads += 1;
        read.segment_bytes = segment.bytes;
        let job = ReadJob {
            dir: log.dir.clone(),
            segment,
            from: read.from,
            below: read.below.min(log.written.end),
            max_bytes: read.max_bytes,
            hint: log.hint(read.from, segment.base),
        };
        self.send(self.config.lanes.read, Job::Read(read), LogJob::Read(job), fx);
        Ok(())
    }

    fn find(&mut self, find: Find, fx: &mut Effects) -> Result<(), LogReadError> {
        let log = self.readable(find.log)?;
        // a segment that has nothing answers as well
        let segment = next_candidate(log, &find).or(log.written_segment(log.start).map(|(_, segment)| segment));
        let segment = segment.ok_or(LogReadError::OutOfRange(log.marks()))?;
        self.send_find(find, segment, fx).map_err(|()| stuck())
    }

    /// As `send_read`.
    fn send_find(&mut self, mut find: Find, segment: SegmentMeta, fx: &mut Effects) -> Result<(), ()> {
        let Some(log) = self.log_mut(find.log) else { return Err(()) };
        if log.cleaning.replaces(segment.base) {
            return log.cleaning.hold(Held::Find(find));
        }
        find.swaps = log.cleaning.swaps;
        log.reads += 1;
        find.base = segment.base;
        find.ceiling = segment.max_timestamp;
        let job = FindTimestampJob {
            dir: log.dir.clone(),
            segment,
            at: find.at,
            from: log.start,
            below: find.below.min(log.written.end),
            decompressed_bytes_max: log.config.decompressed_bytes_max,
        };
        self.send(self.config.lanes.read, Job::Find(find), LogJob::FindTimestamp(job), fx);
        Ok(())
    }
}

/// Why segments cannot be read whose swap does not get on.
fn stuck() -> LogReadError {
    LogReadError::Disk(DiskError::Io("the compacted segment cannot be put in its place at present".into()))
}

/// The next segment to ask: for a time, the next one in order that reaches it; for the highest, the one with the next
/// lower maximum, as long as that beats what was found: the last segment's may lie in batches that are not wanted yet.
fn next_candidate(log: &Log, find: &Find) -> Option<SegmentMeta> {
    let mut segments = log.written_segments().filter(|segment| segment.base < find.below && segment.bytes > 0);
    match find.at {
        Some(at) => segments.find(|segment| segment.base > find.base && segment.max_timestamp >= at),
        None => {
            let floor = find.best.map_or(Timestamp(i64::MIN), |(best, _)| best);
            let beats = |segment: &SegmentMeta| segment.max_timestamp < find.ceiling && segment.max_timestamp > floor;
            segments
                .filter(beats)
                .reduce(|best, other| if other.max_timestamp > best.max_timestamp { other } else { best })
        }
    }
}
