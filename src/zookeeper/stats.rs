//! What `stat`, `cons` and `mntr` tell: packets, latencies, the last operation, of one connection and of all.

use super::codec::Opcode;
use crate::types::{Instant, Zxid};

/// How long requests took, from their last byte to their reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// In ms; 0 when there was none.
    pub min_ms: u64,
    /// In ms.
    pub max_ms: u64,
    /// In ms, of all together.
    pub total_ms: u64,
    /// How many.
    pub count: u64,
}

/// What is counted of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// When it was accepted.
    pub established: Instant,
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out, events included.
    pub sent: u64,
    /// Of requests that were answered.
    pub latency: Latency,
    /// Of the last one, in ms.
    pub last_latency_ms: u64,
    /// The last operation that was answered, in four letters.
    pub last_op: &'static str,
    /// Its xid.
    pub last_xid: i32,
    /// The zxid of its reply.
    pub last_zxid: Zxid,
    /// When it was answered.
    pub last_response: Instant,
}

/// What is counted of all connections since the start, or since `srst`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out, events included.
    pub sent: u64,
    /// Of requests that were answered.
    pub latency: Latency,
    /// Credentials that were not accepted.
    pub auth_failed: u64,
}

impl Latency {
    /// One more request.
    pub fn observe(&mut self, ms: u64) {
        self.min_ms = if self.count == 0 { ms } else { self.min_ms.min(ms) };
        self.max_ms = self.max_ms.max(ms);
        self.total_ms = self.total_ms.saturating_add(ms);
        self.count += 1;
    }

    /// The mean, in ms.
    pub fn average_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.total_ms as f64 / self.count as f64 }
    }
}

impl Stats {
    /// Of a connection that was accepted at `now`.
    pub fn new(now: Instant) -> Stats {
        Stats {
            established: now,
            received: 0,
            sent: 0,
            latency: Latency::default(),
            last_latency_ms: 0,
            last_op: "NA",
            last_xid: 0,
            last_zxid: Zxid(-1),
            last_response: now,
        }
    }

    /// Forgets everything but when the connection began: `crst`.
    pub fn reset(&mut self) {
        *self = Stats { established: self.established, ..Stats::new(self.last_response) };
    }

    /// A request that came at `since` is answered at `now`; its latency in ms.
    pub fn answered(&mut self, now: Instant, since: Instant, opcode: Opcode, xid: i32, zxid: Zxid) -> u64 {
        let ms = now.since(since).as_millis() as u64;
        self.sent += 1;
        self.latency.observe(ms);
        self.last_latency_ms = ms;
        self.last_op = opcode.letters();
        self.last_xid = xid;
        self.last_zxid = zxid;
        self.last_response = now;
        ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least, mean and most of what was observed, and nothing of it after a reset.
    #[test]
    fn latencies() {
        let mut stats = Stats::new(Instant(5));
        for (from, to) in [(0, 3000), (0, 1000), (1000, 6000)] {
            stats.answered(Instant(to), Instant(from), Opcode::Ping, -2, Zxid(1));
        }
        assert_eq!((stats.latency.min_ms, stats.latency.max_ms, stats.latency.average_ms()), (1, 5, 3.0));
        assert_eq!((stats.last_op, stats.sent, stats.last_latency_ms), ("PING", 3, 5));
        stats.reset();
        assert_eq!((stats.established, stats.sent, stats.latency), (Instant(5), 0, Latency::default()));
    }
}
