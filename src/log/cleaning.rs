//! What compaction knows of one log, and whether it is worth a run. Pure arithmetic on broker time and sizes.
//!
//! Ages count from the last append to a segment by broker time, as retention's do, never from the timestamps of records.
//! Invariant: only complete segments are ever compacted; `journal_base` never falls while segments below it are as
//! compaction left them.

use super::config::CompactionConfig;
use super::lookup::Held;
use super::state::{Log, Phase};
use crate::effect::SegmentMeta;
use crate::types::{Instant, Offset, Timestamp};

/// A swap under way.
#[derive(Debug)]
pub(super) struct Swap {
    /// Bases of the segments that go.
    pub sources: Vec<Offset>,
    pub output: SegmentMeta,
    /// It is decided and cannot be finished at present: readers of these segments are told so.
    pub is_stuck: bool,
}

/// What compaction knows of a log.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    /// Below it every key stands once.
    pub first_dirty: Offset,
    /// See `LogFile`.
    pub journal_base: Offset,
    /// Nothing at or above this is compacted: it could still be cut. None: what is durable is never cut.
    pub stable: Option<Offset>,
    /// A run is under way.
    pub is_busy: bool,
    pub swap: Option<Swap>,
    /// Swaps begun in this life: answers of reads that were asked for before the last one are void.
    pub swaps: u64,
    /// Readers that wait for the swap.
    pub held: Vec<Held>,
    /// The start moved meanwhile.
    pub trim_waits: bool,
    /// Damage or a lack of memory: not tried again in this life, or before the configuration changes.
    pub is_unfit: bool,
    /// The latest delete horizon of what is in the log, as the last run found it.
    pub latest_horizon: Option<Timestamp>,
    /// Between two runs.
    pub rests_until: Instant,
}

/// Whether a log should be compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Worth {
    /// Yes; the share of it that is new, above 1 when it must not wait.
    Now(f64),
    /// Not before then.
    At(Timestamp),
    /// Not before something is appended.
    No,
}

/// What of a log can be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Segments from the first on.
    pub count: usize,
    /// Offset after the last of them.
    pub end: Offset,
}

impl Cleaning {
    /// The log is as recovery found it.
    pub fn opened(&mut self, journal_base: Offset, end: Offset) {
        self.journal_base = journal_base;
        if self.first_dirty > end {
            self.first_dirty = Offset(0); // it speaks of another log
        }
    }

    /// The log will be cut at `to`, in the segment `base`.
    pub fn cut(&mut self, to: Offset, base: Offset) {
        self.first_dirty = self.first_dirty.min(to);
        self.journal_base = self.journal_base.min(base);
    }

    /// True from the moment a swap is asked for until it is done.
    pub fn is_swapping(&self) -> bool {
        self.swap.is_some()
    }

    /// Keeps a reader until the swap is done; `Err` when that does not get on.
    pub fn hold(&mut self, held: Held) -> Result<(), ()> {
        if self.swap.as_ref().is_some_and(|swap| swap.is_stuck) {
            return Err(());
        }
        self.held.push(held);
        Ok(())
    }

    /// Whether a swap under way replaces the segment that starts at `base`.
    pub fn replaces(&self, base: Offset) -> bool {
        self.swap.as_ref().is_some_and(|swap| swap.sources.contains(&base))
    }
}

impl Log {
    /// Whether a run is worth its while; `time` is none while the clock cannot be believed.
    pub fn worth(&self, time: Option<Timestamp>) -> Worth {
        let Some(config) = &self.config.compaction else { return Worth::No };
        if self.phase != Phase::Open || self.wish.is_some() || self.cleaning.is_busy || self.cleaning.is_unfit {
            return Worth::No;
        }
        let segments: Vec<SegmentMeta> = self.written_segments().collect();
        let cleaning = &self.cleaning;
        let segments = up_to(segments, cleaning.stable);
        worth(&segments, cleaning.first_dirty, cleaning.latest_horizon, config, time)
    }

    /// What a run may take now.
    pub fn reach(&self, time: Option<Timestamp>) -> Reach {
        let segments: Vec<SegmentMeta> = self.written_segments().collect();
        let lag_ms = self.config.compaction.as_ref().map_or(0, |config| config.min_lag_ms);
        let segments = up_to(segments, self.cleaning.stable);
        reach(&segments, self.cleaning.first_dirty, lag_ms, time)
    }
}

/// The segments that end below `stable`, and the one after them, which is taken for the one that is being written.
fn up_to(mut segments: Vec<SegmentMeta>, stable: Option<Offset>) -> Vec<SegmentMeta> {
    if let Some(stable) = stable {
        let below = segments.partition_point(|segment| segment.base <= stable);
        segments.truncate(below);
    }
    segments
}

/// The complete segments up to the first one that is new and too young.
fn reach(segments: &[SegmentMeta], first_dirty: Offset, min_lag_ms: u64, time: Option<Timestamp>) -> Reach {
    let mut reach = Reach { count: 0, end: segments.first().map_or(Offset(0), |first| first.base) };
    for pair in segments.windows(2) {
        let [segment, next] = pair else { break };
        let is_old = || time.is_some_and(|time| time >= after(segment.appended_at, min_lag_ms));
        if next.base > first_dirty && min_lag_ms > 0 && !is_old() {
            break;
        }
        reach = Reach { count: reach.count + 1, end: next.base };
    }
    reach
}

fn worth(
    segments: &[SegmentMeta],
    first_dirty: Offset,
    latest_horizon: Option<Timestamp>,
    config: &CompactionConfig,
    time: Option<Timestamp>,
) -> Worth {
    let reach = reach(segments, first_dirty, config.min_lag_ms, time);
    let within = segments.get(..reach.count).unwrap_or_default();
    let ends = within.iter().skip(1).map(|segment| segment.base).chain([reach.end]);
    let (mut clean, mut dirty, mut oldest) = (0, 0, None);
    for (segment, end) in within.iter().zip(ends) {
        if end <= first_dirty {
            clean += segment.bytes;
        } else {
            dirty += segment.bytes;
            oldest = oldest.or(Some(segment.created_at));
        }
    }
    let mut later = segments
        .get(reach.count)
        .filter(|_| reach.count + 1 < segments.len())
        .map(|young| after(young.appended_at, config.min_lag_ms));
    let mut wait = |at: Timestamp| later = Some(later.map_or(at, |known| known.min(at)));
    if dirty > 0 {
        let share = dirty as f64 / (clean + dirty) as f64;
        if share * 1e6 > config.dirty_parts_per_million as f64 {
            return Worth::Now(share);
        }
        if let Some((oldest, max_lag_ms)) = oldest.zip(config.max_lag_ms) {
            let due = after(oldest, max_lag_ms);
            if time.is_some_and(|time| time >= due) {
                return Worth::Now(1.0 + share);
            }
            wait(due);
        }
    }
    if let Some(horizon) = latest_horizon.filter(|_| clean + dirty > 0) {
        if time.is_some_and(|time| time >= horizon) {
            return Worth::Now(0.0);
        }
        wait(horizon);
    }
    later.map_or(Worth::No, Worth::At)
}

fn after(time: Timestamp, millis: u64) -> Timestamp {
    Timestamp(time.0.saturating_add(millis.min(i64::MAX as u64) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten offsets with these bytes and times of their last append; the last one is being written.
    fn segments(list: &[(u64, i64)]) -> Vec<SegmentMeta> {
        let segment = |(number, &(bytes, at)): (usize, &(u64, i64))| SegmentMeta {
            bytes,
            ..SegmentMeta::empty(Offset(10 * number as i64), Timestamp(at))
        };
        list.iter().enumerate().map(segment).collect()
    }

    const CONFIG: CompactionConfig = CompactionConfig {
        min_lag_ms: 0,
        max_lag_ms: None,
        dirty_parts_per_million: 500_000,
        tombstones_ms: 1000,
        producers_ms: 1000,
    };

    fn look(list: &[(u64, i64)], first_dirty: i64, config: &CompactionConfig, time: i64) -> Worth {
        worth(&segments(list), Offset(first_dirty), None, config, Some(Timestamp(time)))
    }

    /// The share of new bytes decides, the segment that is being written apart.
    #[test]
    fn by_share() {
        assert_eq!(look(&[(10, 0)], 0, &CONFIG, 0), Worth::No);
        assert_eq!(look(&[(10, 0), (90, 0)], 0, &CONFIG, 0), Worth::Now(1.0));
        assert_eq!(look(&[(50, 0), (50, 0), (90, 0)], 10, &CONFIG, 0), Worth::No);
        assert_eq!(look(&[(50, 0), (51, 0), (90, 0)], 10, &CONFIG, 0), Worth::Now(51.0 / 101.0));
        assert_eq!(look(&[(50, 0), (50, 0), (90, 0)], 9, &CONFIG, 0), Worth::Now(1.0), "a part of it is new");
        assert_eq!(look(&[(50, 0), (50, 0), (90, 0)], 20, &CONFIG, 0), Worth::No);
    }

    /// Young segments wait, old ones must not.
    #[test]
    fn by_age() {
        let lag = CompactionConfig { min_lag_ms: 100, ..CONFIG };
        assert_eq!(look(&[(10, 50), (10, 80), (1, 90)], 0, &lag, 149), Worth::At(Timestamp(150)));
        assert_eq!(look(&[(10, 50), (10, 80), (1, 90)], 0, &lag, 150), Worth::Now(1.0));
        let list = segments(&[(10, 50), (10, 80), (1, 90)]);
        assert_eq!(reach(&list, Offset(0), 100, Some(Timestamp(150))), Reach { count: 1, end: Offset(10) });
        assert_eq!(reach(&list, Offset(0), 100, None), Reach { count: 0, end: Offset(0) });
        assert_eq!(reach(&list, Offset(10), 100, None), Reach { count: 1, end: Offset(10) });
        assert_eq!(reach(&list, Offset(0), 0, None), Reach { count: 2, end: Offset(20) });
        let must = CompactionConfig { max_lag_ms: Some(1000), ..CONFIG };
        assert_eq!(look(&[(90, 0), (10, 50), (1, 90)], 10, &must, 1049), Worth::At(Timestamp(1050)));
        assert_eq!(look(&[(90, 0), (10, 50), (1, 90)], 10, &must, 1050), Worth::Now(1.1));
    }

    /// Tombstones that may go are worth a run of their own.
    #[test]
    fn by_horizon() {
        let list = segments(&[(10, 0), (10, 0)]);
        let look = |time| worth(&list, Offset(10), Some(Timestamp(500)), &CONFIG, time);
        assert_eq!(look(Some(Timestamp(499))), Worth::At(Timestamp(500)));
        assert_eq!(look(Some(Timestamp(500))), Worth::Now(0.0));
        assert_eq!(look(None), Worth::At(Timestamp(500)));
    }
}
