//! Who has asked for too much lately, and how long he has to wait (KIP-13, KIP-219).
//!
//! Each entity with a quota has a bucket that fills at its rate and holds what one second brings. What a request takes
//! may leave it in debt; then the answer leaves at once with the time until the debt is paid, and until then the
//! connection is not read. So over any time a client gets its rate and a second's worth more.
//!
//! Invariants: at most `KAFKA_QUOTA_CLIENTS_MAX` buckets. One that is full again is as good as none and makes room; when
//! all are in use, those that find no place share one bucket, so that nobody escapes by changing names. A handle of a
//! bucket that is gone charges nobody.
//! Memory: the runtime's account, through the bounds above. Called by the door, before and after each request.

use std::collections::BTreeMap;

use crate::engine::cluster::ClientQuotas;
use crate::engine::cluster::quotas::{QuotaKind, QuotaScope};
use crate::limits::{KAFKA_CLIENT_ID_BYTES_COUNTED, KAFKA_QUOTA_CLIENTS_MAX, KAFKA_THROTTLE_MS_MAX};
use crate::types::{Instant, Now};

/// A bucket holds what so many seconds bring.
const BURST_SECONDS: f64 = 1.0;

/// Whose bucket: of one client id, or (none) of the one user that there is.
type Whose = (QuotaKind, Option<Box<str>>);

/// All buckets.
#[derive(Debug, Default)]
pub struct Quotas {
    index: BTreeMap<Whose, u32>,
    buckets: Vec<Bucket>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Bucket {
    generation: u32,
    /// What is left; negative: a debt.
    level: f64,
    /// When `level` was right.
    at: Instant,
    /// By which it fills, as of the last request.
    rate: f64,
}

/// A limit that holds for a connection's request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    bucket: u32,
    generation: u32,
    rate: f64,
}

impl Limit {
    /// What the bucket holds at most: more than that at once costs waiting.
    pub fn burst(&self) -> f64 {
        self.rate * BURST_SECONDS
    }
}

/// The limits of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes produced.
    pub produce: Option<Limit>,
    /// Bytes fetched.
    pub fetch: Option<Limit>,
    /// Seconds of the broker's thread.
    pub request: Option<Limit>,
}

impl Quotas {
    /// The limits that hold for a client's request.
    pub fn limits(&mut self, now: Now, quotas: &ClientQuotas, client_id: Option<&str>) -> Limits {
        if quotas.is_empty() {
            return Limits::default();
        }
        let client_id = client_id.unwrap_or_default();
        let mut limit = |kind: QuotaKind, unit: f64| {
            let (scope, rate) = quotas.find(kind, client_id)?;
            Some(self.limit(now.mono, kind, scope, client_id, rate * unit))
        };
        Limits {
            produce: limit(QuotaKind::Produce, 1.0),
            fetch: limit(QuotaKind::Fetch, 1.0),
            request: limit(QuotaKind::Request, 0.01),
        }
    }

    fn limit(&mut self, now: Instant, kind: QuotaKind, scope: QuotaScope, client_id: &str, rate: f64) -> Limit {
        let mut end = client_id.len().min(KAFKA_CLIENT_ID_BYTES_COUNTED);
        while !client_id.is_char_boundary(end) {
            end -= 1;
        }
        let client = client_id.get(..end).filter(|_| scope == QuotaScope::Client).map(Box::from);
        let at = match self.index.get(&(kind, client.clone())) {
            Some(at) => *at,
            None => self.insert(now, (kind, client), rate),
        };
        let generation = match self.buckets.get_mut(at as usize) {
            Some(bucket) => {
                bucket.fill(now);
                bucket.rate = rate;
                bucket.generation
            }
            None => 0,
        };
        Limit { bucket: at, generation, rate }
    }

    /// A full bucket for somebody new; the shared one of its kind when there is no room.
    fn insert(&mut self, now: Instant, whose: Whose, rate: f64) -> u32 {
        if self.index.len() >= KAFKA_QUOTA_CLIENTS_MAX {
            self.forget_idle(now);
        }
        let mut whose = whose;
        if self.index.len() >= KAFKA_QUOTA_CLIENTS_MAX {
            whose.1 = Some(SHARED.into());
            if let Some(at) = self.index.get(&whose) {
                return *at;
            }
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.buckets.push(Bucket { generation: 0, level: 0.0, at: now, rate });
            self.buckets.len() as u32 - 1 // at most KAFKA_QUOTA_CLIENTS_MAX and the shared ones
        });
        if let Some(bucket) = self.buckets.get_mut(at as usize) {
            *bucket = Bucket { generation: bucket.generation, level: rate * BURST_SECONDS, at: now, rate };
        }
        self.index.insert(whose, at);
        at
    }

    /// Takes out the buckets that are full.
    fn forget_idle(&mut self, now: Instant) {
        let (buckets, free) = (&mut self.buckets, &mut self.free);
        self.index.retain(|_, at| {
            let Some(bucket) = buckets.get_mut(*at as usize) else { return false };
            bucket.fill(now);
            let is_used = bucket.level < bucket.rate * BURST_SECONDS;
            if !is_used {
                bucket.generation = bucket.generation.wrapping_add(1);
                free.push(*at);
            }
            is_used
        });
    }

    /// Takes `amount` out of a limit's bucket; returns the milliseconds until its debt is paid.
    pub fn charge(&mut self, now: Now, limit: Option<Limit>, amount: f64) -> u64 {
        let Some(Limit { bucket, generation, rate }) = limit else { return 0 };
        let bucket = self.buckets.get_mut(bucket as usize).filter(|bucket| bucket.generation == generation);
        let Some(bucket) = bucket else { return 0 };
        bucket.fill(now.mono);
        bucket.level -= amount;
        let wait_ms = (-bucket.level / rate * 1000.0).max(0.0).ceil();
        (wait_ms as u64).min(KAFKA_THROTTLE_MS_MAX) // a float that is too large becomes the largest integer
    }
}

/// No client's own: control characters do not come so in a client id that anybody configures.
const SHARED: &str = "\u{0}everybody else";

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let seconds = now.since(self.at).as_secs_f64();
        self.level = (self.level + seconds * self.rate).min(self.rate * BURST_SECONDS);
        self.at = now.max(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Timestamp;

    fn at(ms: u64) -> Now {
        Now { mono: Instant(ms * 1000), wall: Timestamp(0) }
    }

    impl Quotas {
        fn of_rate(&mut self, now: Now, client: &str, rate: f64) -> Option<Limit> {
            Some(self.limit(now.mono, QuotaKind::Produce, QuotaScope::Client, client, rate))
        }
    }

    /// A second's worth is free; more than that is waited for, exactly as long as the rate says, and no longer than the
    /// most.
    #[test]
    fn rate_is_kept() {
        let mut quotas = Quotas::default();
        let limit = quotas.of_rate(at(0), "c", 1000.0);
        assert_eq!(quotas.charge(at(0), limit, 1000.0), 0);
        assert_eq!(quotas.charge(at(0), limit, 500.0), 500);
        assert_eq!(quotas.charge(at(400), limit, 0.0), 100);
        assert_eq!(quotas.charge(at(500), limit, 0.0), 0);
        assert_eq!(quotas.charge(at(9000), limit, 3000.0), 2000, "idle time is not saved up");
        assert_eq!(quotas.charge(at(9000), limit, 1e300), KAFKA_THROTTLE_MS_MAX);
        assert_eq!(quotas.charge(at(9000), None, 1e300), 0);
    }

    /// Clients do not pay for each other, and a changed rate holds at once.
    #[test]
    fn buckets_are_apart() {
        let mut quotas = Quotas::default();
        let (one, other) = (quotas.of_rate(at(0), "one", 10.0), quotas.of_rate(at(0), "other", 10.0));
        assert_eq!((quotas.charge(at(0), one, 20.0), quotas.charge(at(0), other, 10.0)), (1000, 0));
        let faster = quotas.of_rate(at(0), "one", 100.0);
        assert_eq!(quotas.charge(at(0), faster, 0.0), 100);
    }

    /// However many clients come, the table is bounded: who has no debt makes room, and when everybody has some, the
    /// others share a bucket.
    #[test]
    fn bounded() {
        let mut quotas = Quotas::default();
        for number in 0..10 * KAFKA_QUOTA_CLIENTS_MAX {
            let limit = quotas.of_rate(at(0), &format!("client {number}"), 1.0);
            assert!(limit.is_some() && quotas.index.len() <= KAFKA_QUOTA_CLIENTS_MAX);
        }
        for number in 0..2 * KAFKA_QUOTA_CLIENTS_MAX {
            let limit = quotas.of_rate(at(0), &format!("in debt {number}"), 1.0);
            quotas.charge(at(0), limit, 10.0);
        }
        let stranger = quotas.of_rate(at(0), "stranger", 1.0);
        assert_eq!(quotas.charge(at(0), stranger, 0.0), KAFKA_THROTTLE_MS_MAX, "the debt of all who share");
        assert!(quotas.index.len() <= KAFKA_QUOTA_CLIENTS_MAX + QuotaKind::ALL.len());
        let stale = quotas.of_rate(at(0), "in debt 0", 1.0);
        let later = at(100_000_000);
        for number in 0..=KAFKA_QUOTA_CLIENTS_MAX {
            quotas.of_rate(later, &format!("later {number}"), 1.0);
        }
        assert_eq!(quotas.charge(later, stale, 1e9), 0, "a handle of a bucket that is gone charges nobody");
        assert!(quotas.of_rate(later, &"x".repeat(100_000), 1.0).is_some());
    }
}
