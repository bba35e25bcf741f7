//! `mntr` and `monitor`: every number once, under the names that exporters read.

use std::fmt::{self, Display, Write};

use super::json::Json;
use super::{Around, decimal, version};
use crate::metrics::METRICS;

/// A number, or the two facts that are texts.
enum Value {
    Text(String),
    Number(i64),
    Decimal(f64),
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => number.fmt(f),
            Value::Decimal(number) => f.write_str(&decimal(*number)),
        }
    }
}

impl Around<'_> {
    pub(super) fn mntr(&self, out: &mut dyn Write) -> fmt::Result {
        self.numbers(&mut |key, value| writeln!(out, "zk_{key}\t{value}"))
    }

    pub(super) fn monitor(&self, object: &mut Json<'_>) -> fmt::Result {
        self.numbers(&mut |key, value| match &value {
            Value::Text(text) => object.text(key, text),
            _ => object.plain(key, &value),
        })
    }

    fn numbers(&self, tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result) -> fmt::Result {
        let (engine, door, latency) = (self.engine, &METRICS.zookeeper, self.latency());
        let stats = &self.door.shared.stats;
        let (watchers, _, watches) = self.door.shared.watches.counts();
        tell("version", Value::Text(version()))?;
        tell("server_state", Value::Text(self.mode().to_owned()))?;
        tell("avg_latency", Value::Decimal(latency.average_ms()))?;
        let count = |number: usize| number.min(i64::MAX as usize) as i64;
        let total = |number: u64| number.min(i64::MAX as u64) as i64;
        for (key, number) in [
            ("min_latency", total(latency.min_ms)),
            ("max_latency", total(latency.max_ms)),
            ("cnt_latency", total(latency.count)),
            ("sum_latency", total(latency.total_ms)),
            ("packets_received", total(stats.received)),
            ("packets_sent", total(stats.sent)),
            ("num_alive_connections", count(self.door.connections().count())),
            ("outstanding_requests", count(self.outstanding())),
            ("znode_count", count(engine.tree().node_count())),
            ("watch_count", count(watches)),
            ("watching_connections", count(watchers)),
            ("ephemerals_count", count(engine.tree().ephemeral_count())),
            ("approximate_data_size", count(engine.tree().content_bytes())),
            ("open_file_descriptor_count", METRICS.runtime.open_files.get()),
            ("max_file_descriptor_count", METRICS.runtime.open_files_max.get()),
            ("uptime", total(self.now.mono.0 / 1000)),
            (
                "global_sessions",
                count(engine.sessions().iter().filter(|(_, session)| session.broker.is_none()).count()),
            ),
            ("local_sessions", 0),
            ("connection_request_count", total(door.connections_accepted.get())),
            ("connection_rejected", total(door.connections_refused.get())),
            ("bytes_received_count", total(door.bytes_in.get())),
            ("response_bytes", total(door.bytes_out.get())),
            ("large_requests_rejected", total(door.frames_refused.get())),
            ("request_throttle_wait_count", total(door.pauses.get())),
            ("auth_failed_count", total(stats.auth_failed)),
            ("commit_count", total(METRICS.tree.transactions.get())),
            ("snap_count", total(METRICS.tree.snapshots.get())),
            ("stale_sessions_expired", total(METRICS.tree.sessions_expired.get())),
            ("cnt_fsynctime", total(METRICS.disk.sync_micros.count())),
            ("max_fsynctime", total(METRICS.disk.sync_micros.max() / 1000)),
            ("sum_fsynctime", total(METRICS.disk.sync_micros.sum() / 1000)),
        ] {
            tell(key, Value::Number(number))?;
        }
        if self.mode() == "leader" {
            let (voters, listeners, present) = engine.quorum_members(self.now);
            for (key, number) in [
                ("quorum_size", voters),
                ("learners", present.saturating_sub(1)),
                ("synced_followers", present.saturating_sub(1).min(voters.saturating_sub(1))),
                ("synced_observers", present.saturating_sub(voters).min(listeners)),
                ("synced_non_voting_followers", 0),
                ("pending_syncs", 0),
            ] {
                tell(key, Value::Number(count(number)))?;
            }
        }
        Ok(())
    }
}
