//! Latencies in fixed memory: sixteen buckets for every doubling, so a percentile is right to about 6 %.

use std::time::Duration;

const STEPS: usize = 16;
const DOUBLINGS: usize = 40;

/// Counts of microseconds.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; STEPS * DOUBLINGS], total: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn add(&mut self, latency: Duration) {
        self.counts[bucket(latency.as_micros() as u64)] += 1;
        self.total += 1;
        self.max = self.max.max(latency);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The latency below which `share` (0 to 1) of all lie.
    pub fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper_bound(index)).min(self.max);
            }
        }
        self.max
    }

    /// `p50 1.2 ms, p99 ...` for people.
    pub fn summary(&self) -> String {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        format!(
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            ms(self.percentile(0.5)),
            ms(self.percentile(0.9)),
            ms(self.percentile(0.99)),
            ms(self.percentile(0.999)),
            ms(self.max)
        )
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let doubling = micros.ilog2() as usize - 3;
    let step = (micros >> (doubling - 1)) as usize - STEPS;
    (doubling * STEPS + step).min(STEPS * DOUBLINGS - 1)
}

fn upper_bound(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let (doubling, step) = (index / STEPS, index % STEPS);
    ((STEPS + step + 1) as u64) << (doubling - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A percentile lies at most one bucket above the truth.
    #[test]
    fn percentiles_are_close() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000 {
            histogram.add(Duration::from_micros(micros));
        }
        for share in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let truth = 100_000.0 * share;
            let said = histogram.percentile(share).as_micros() as f64;
            assert!(said >= truth && said <= truth * 1.07 + 1.0, "{share}: {said} for {truth}");
        }
    }
}
