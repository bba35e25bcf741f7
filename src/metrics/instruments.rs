//! What numbers are kept in: counters, gauges, histograms. Atomic, without an allocation, from any thread.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Counts up.
#[derive(Debug)]
pub struct Counter(AtomicU64);

/// Goes up and down.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

/// The bounds of a histogram of durations, in microseconds; one more bucket takes what is longer.
pub const DURATION_BOUNDS_MICROS: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// The bounds of a histogram of sizes.
pub const SIZE_BOUNDS: [u64; 18] =
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/// How often a value fell where, with sum and largest.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; 18],
    buckets: [AtomicU64; 19],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Counter {
    pub(super) const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// One more.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// `count` more.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    pub(super) const fn new() -> Gauge {
        Gauge(AtomicI64::new(0))
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Moves it by `delta`.
    #[inline]
    pub fn add(&self, delta: i64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    pub(super) const fn new(bounds: &'static [u64; 18]) -> Histogram {
        let buckets = [const { AtomicU64::new(0) }; 19];
        Histogram { bounds, buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    /// Counts `value`.
    #[inline]
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Counts `duration` in microseconds.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_micros().min(u64::MAX as u128) as u64);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The largest of them.
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// How many values were above `bound`, which must be one of the bounds.
    pub fn above(&self, bound: u64) -> u64 {
        let from = self.bounds.partition_point(|&other| other <= bound);
        self.buckets.iter().skip(from).map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Each bound with the count of values up to it; the last one, without a bound, is the count of all.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let mut sum = 0;
        self.buckets.iter().enumerate().map(move |(i, bucket)| {
            sum += bucket.load(Ordering::Relaxed);
            (self.bounds.get(i).copied(), sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values fall into the bucket whose bound they do not exceed, and nothing is lost at the ends.
    #[test]
    fn buckets() {
        let histogram = Histogram::new(&DURATION_BOUNDS_MICROS);
        for value in [0, 10, 11, 10_000, 10_001, u64::MAX >> 1] {
            histogram.observe(value);
        }
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.max(), u64::MAX >> 1);
        assert_eq!(histogram.above(10_000), 2);
        let up_to = |bound| histogram.cumulative().find(|(other, _)| *other == bound).map(|(_, count)| count);
        assert_eq!(
            (up_to(Some(10)), up_to(Some(25)), up_to(Some(10_000)), up_to(None)),
            (Some(2), Some(3), Some(4), Some(6))
        );
    }
}
