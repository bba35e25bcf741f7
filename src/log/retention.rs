//! Which segments have outlived their retention. Pure arithmetic on broker time and sizes.
//!
//! A segment's age counts from its last append by broker time, never from the timestamps of its records: those come
//! from clocks that lie, and one record of the year 2100 must neither keep a segment for ever nor delete its neighbours.

use super::LogConfig;
use crate::effect::SegmentMeta;
use crate::types::Timestamp;

/// How many of the oldest segments should go. The last one goes only by age, and only when `last_may_go`.
pub(super) fn expired(
    segments: &[SegmentMeta],
    config: &LogConfig,
    now: Option<Timestamp>,
    last_may_go: bool,
) -> usize {
    let all_but_last = segments.len().saturating_sub(1);
    let by_time = segments.iter().take_while(|segment| now.is_some_and(|now| is_expired(segment, config, now))).count();
    let by_time = if last_may_go && segments.last().is_some_and(|last| last.bytes > 0) {
        by_time
    } else {
        by_time.min(all_but_last)
    };
    by_time.max(expired_by_size(segments, config).min(all_but_last))
}

/// When the oldest segment will have outlived its retention.
pub(super) fn next_expiry(segments: &[SegmentMeta], config: &LogConfig) -> Option<Timestamp> {
    let oldest = segments.iter().find(|segment| segment.bytes > 0)?;
    Some(expiry(oldest, config.retention_ms?))
}

fn is_expired(segment: &SegmentMeta, config: &LogConfig, now: Timestamp) -> bool {
    config.retention_ms.is_some_and(|retention_ms| now > expiry(segment, retention_ms))
}

fn expiry(segment: &SegmentMeta, retention_ms: u64) -> Timestamp {
    Timestamp(segment.appended_at.0.saturating_add(retention_ms.min(i64::MAX as u64) as i64))
}

fn expired_by_size(segments: &[SegmentMeta], config: &LogConfig) -> usize {
    let Some(retention_bytes) = config.retention_bytes else { return 0 };
    let mut excess = segments.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(retention_bytes);
    let goes = |segment: &&SegmentMeta| {
        let fits = segment.bytes <= excess && excess > 0;
        excess = excess.saturating_sub(segment.bytes);
        fits
    };
    segments.iter().take_while(goes).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Offset;

    fn segments(list: &[(u64, i64)]) -> Vec<SegmentMeta> {
        let segment = |&(bytes, at): &(u64, i64)| SegmentMeta { bytes, ..SegmentMeta::empty(Offset(0), Timestamp(at)) };
        list.iter().map(segment).collect()
    }

    /// By size, what remains holds at least the configured bytes, and the last segment never goes.
    #[test]
    fn by_size() {
        let config = |bytes| LogConfig { retention_bytes: Some(bytes), ..LogConfig::default() };
        let segments = segments(&[(10, 0), (10, 0), (10, 0), (5, 0)]);
        assert_eq!(expired(&segments, &config(35), None, true), 0);
        assert_eq!(expired(&segments, &config(26), None, true), 0);
        assert_eq!(expired(&segments, &config(25), None, true), 1);
        assert_eq!(expired(&segments, &config(14), None, true), 2);
        assert_eq!(expired(&segments, &config(0), None, true), 3);
    }

    /// By time, oldest first and without gaps; nothing while the clock is not to be believed.
    #[test]
    fn by_time() {
        let config = LogConfig { retention_ms: Some(100), ..LogConfig::default() };
        let list = segments(&[(1, 0), (1, 50), (1, 300), (1, 60)]);
        assert_eq!(expired(&list, &config, Some(Timestamp(100)), true), 0);
        assert_eq!(expired(&list, &config, Some(Timestamp(101)), true), 1);
        assert_eq!(expired(&list, &config, Some(Timestamp(300)), true), 2);
        assert_eq!(expired(&list, &config, Some(Timestamp(401)), true), 4);
        assert_eq!(expired(&list, &config, Some(Timestamp(401)), false), 3);
        assert_eq!(expired(&list, &config, None, true), 0);
        assert_eq!(next_expiry(&list, &config), Some(Timestamp(100)));
        assert_eq!(expired(&segments(&[(0, 0)]), &config, Some(Timestamp(999)), true), 0);
    }
}
