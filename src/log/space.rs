//! A disk that refuses: full, or read-only.
//!
//! When an append finds the disk full, the reserve is given up, so that checkpoints, deletion and the quorum go on, and
//! appends are refused until there is room for the reserve and more. A read-only disk refuses appends for a while, then
//! the next one tries.

use std::time::Duration;

use super::logs::{Due, Job};
use super::{LogEvent, Logs};
use crate::effect::{DiskError, Effects, LogDone, LogJob, SpaceJob};
use crate::metrics::METRICS;
use crate::types::{Instant, Now};

/// How long until a disk that refused is asked again.
const RETRY_MS: u64 = 250;

/// How often a read-only disk is told of.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Free bytes beyond the reserve before appends are taken again.
const MARGIN_BYTES: u64 = 4 << 20;

/// What is known of the disk's room.
#[derive(Debug, Default)]
pub(super) struct Space {
    refused: Option<DiskError>,
    is_asking: bool,
    /// When somebody was told that the disk is read-only.
    read_only_told: Option<Instant>,
}

impl Space {
    /// Why appends are refused at present.
    pub fn refusal(&self) -> Option<DiskError> {
        self.refused.clone()
    }
}

impl Logs {
    /// Gives the reserve up, because somebody else on this disk found it full; as often as he does, because a start that was
    /// still under way the first time has set it aside again.
    pub fn release_reserve(&mut self, now: Now, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        if self.space.refused == Some(DiskError::Full) {
            self.ask_space(true, fx);
        }
        self.found_full(now, fx, events);
    }

    /// A write failed with `error`.
    pub(super) fn disk_refused(&mut self, now: Now, error: DiskError, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        match error {
            DiskError::Full => self.found_full(now, fx, events),
            DiskError::ReadOnly => {
                self.space.refused.get_or_insert(DiskError::ReadOnly);
                let is_news = self.space.read_only_told.is_none_or(|at| now.mono.since(at) >= TELL_AGAIN);
                if is_news {
                    self.space.read_only_told = Some(now.mono);
                    events.push(LogEvent::ReadOnly);
                }
                self.arm_retry(now);
            }
            _ => {}
        }
    }

    pub(super) fn found_full(&mut self, now: Now, fx: &mut Effects, events: &mut Vec<LogEvent>) {
        if self.space.refused != Some(DiskError::Full) {
            self.space.refused = Some(DiskError::Full);
            METRICS.disk.full.set(1);
            events.push(LogEvent::SpaceLow);
            self.ask_space(true, fx);
        }
        self.arm_retry(now);
    }

    /// Time to try again what failed.
    pub(super) fn retry(&mut self, now: Now, fx: &mut Effects) {
        self.janitor.is_resting = false;
        match self.space.refused {
            Some(DiskError::Full) => {
                self.ask_space(false, fx);
                self.arm_retry(now);
            }
            _ => self.space.refused = None,
        }
    }

    pub(super) fn space_done(&mut self, now: Now, result: Result<LogDone, DiskError>, events: &mut Vec<LogEvent>) {
        self.space.is_asking = false;
        let has_room = matches!(result, Ok(LogDone::Space { reserve_held: true, .. }));
        if has_room && self.space.refused == Some(DiskError::Full) {
            self.space.refused = None;
            METRICS.disk.full.set(0);
            events.push(LogEvent::SpaceBack);
            return;
        }
        self.arm_retry(now);
    }

    pub(super) fn arm_retry(&mut self, now: Now) {
        self.timers.set(Due::Retry, now.mono.plus_millis(RETRY_MS));
    }

    fn ask_space(&mut self, release: bool, fx: &mut Effects) {
        if std::mem::replace(&mut self.space.is_asking, true) && !release {
            return;
        }
        let wanted_bytes = self.config.reserve_bytes + MARGIN_BYTES.min(self.config.reserve_bytes.max(1));
        let job = SpaceJob { files: self.files.clone(), release, wanted_bytes };
        self.send(self.config.lanes.janitor, Job::Space, LogJob::Space(job), fx);
    }
}
