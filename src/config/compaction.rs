//! The keys of compaction: `log.cleaner.*`.

use super::values::{Cap, Values};
use super::{CompactionDefaults, MemoryConfig, Shares};

/// Kafka's default, of which a small budget leaves a part.
const MAP_BYTES: i64 = 128 << 20;

/// How topics are compacted.
pub(super) fn read_compaction(values: &mut Values<'_>, memory: &MemoryConfig, shares: &Shares) -> CompactionDefaults {
    let budget = super::build::budget_name(memory.budget_bytes);
    let map = Cap { max: (shares.compaction_bytes + shares.response_bytes / 4) as i64, because: &budget };
    let ratio = fraction(values, "log.cleaner.min.cleanable.ratio", 1.0).unwrap_or(0.5);
    let rate = fraction(values, "log.cleaner.io.max.bytes.per.second", f64::MAX);
    CompactionDefaults {
        is_enabled: values.bool("log.cleaner.enable"),
        map_bytes: values.capped_int("log.cleaner.dedupe.buffer.size", MAP_BYTES.min(map.max), map) as usize,
        bytes_per_second: rate.filter(|&rate| rate < i64::MAX as f64).map(|rate| rate.max(1.0) as u64),
        backoff_ms: values.int("log.cleaner.backoff.ms") as u64,
        dirty_parts_per_million: (ratio * 1e6) as u32,
        min_lag_ms: values.int("log.cleaner.min.compaction.lag.ms") as u64,
        max_lag_ms: Some(values.int("log.cleaner.max.compaction.lag.ms") as u64).filter(|&ms| ms < i64::MAX as u64),
        tombstones_ms: values.int("log.cleaner.delete.retention.ms") as u64,
    }
}

/// A number with a fraction, from 0 to `most`; `None` when nothing was said, or nothing that can be used.
fn fraction(values: &mut Values<'_>, key: &str, most: f64) -> Option<f64> {
    let assigned = values.text(key)?;
    let number = assigned.value.trim().parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    if number.is_none() {
        let allowed = if most < f64::MAX { format!("a number from 0 to {most}") } else { "a number above 0".into() };
        values.error(&assigned.source, key, &assigned.value, "it is no such number", &allowed);
    }
    number
}
