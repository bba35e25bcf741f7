//! The keys of consumer groups: `group.*`, `offsets.*`.

use super::build::partitions;
use super::values::Values;
use super::{Assignor, GroupConfig, MemoryConfig};

/// Consumer groups and their offsets.
pub(super) fn read_groups(values: &mut Values<'_>, memory: &MemoryConfig) -> GroupConfig {
    let policy = values.word("group.consumer.migration.policy");
    GroupConfig {
        offsets_partitions: partitions(values, "offsets.topic.num.partitions", memory),
        offsets_replication_factor: values.int("offsets.topic.replication.factor") as u16,
        offsets_segment_bytes: values.int("offsets.topic.segment.bytes") as u64,
        offsets_commit_timeout_ms: values.int("offsets.commit.timeout.ms") as u64,
        offsets_retention_ms: values.int("offsets.retention.minutes").saturating_mul(super::build::MINUTE_MS) as u64,
        offset_metadata_bytes_max: values.int("offset.metadata.max.bytes") as usize,
        initial_rebalance_delay_ms: values.int("group.initial.rebalance.delay.ms") as u64,
        session_timeout_ms_min: values.int("group.min.session.timeout.ms") as u64,
        session_timeout_ms_max: values.int("group.max.session.timeout.ms") as u64,
        members_max: values.int("group.max.size") as u32,
        offsets_retention_check_ms: values.int("offsets.retention.check.interval.ms") as u64,
        serves_consumer: reads_consumer(values),
        consumer_session_timeout_ms: values.int("group.consumer.session.timeout.ms") as u64,
        consumer_heartbeat_interval_ms: values.int("group.consumer.heartbeat.interval.ms") as i32,
        consumer_members_max: values.int("group.consumer.max.size") as u32,
        assignors: read_assignors(values),
        may_upgrade: matches!(policy, "bidirectional" | "upgrade"),
        may_downgrade: matches!(policy, "bidirectional" | "downgrade"),
    }
}

/// `group.coordinator.rebalance.protocols`: whether consumer groups are served. Classic ones always are.
fn reads_consumer(values: &mut Values<'_>) -> bool {
    let key = "group.coordinator.rebalance.protocols";
    let Some(assigned) = values.text(key) else { return true };
    let words: Vec<&str> = assigned.value.split(',').map(str::trim).collect();
    if words.iter().any(|word| !matches!(*word, "classic" | "consumer")) || !words.contains(&"classic") {
        let problem = "it is no list of protocols, or has none for classic groups";
        values.error(&assigned.source, key, &assigned.value, problem, "classic, or classic,consumer");
    }
    words.contains(&"consumer")
}

/// `group.consumer.assignors`, in order.
fn read_assignors(values: &mut Values<'_>) -> Vec<Assignor> {
    let key = "group.consumer.assignors";
    let Some(assigned) = values.text(key) else { return Assignor::ALL.to_vec() };
    let parsed: Vec<Option<Assignor>> = assigned.value.split(',').map(|word| Assignor::parse(word.trim())).collect();
    if parsed.contains(&None) {
        values.error(&assigned.source, key, &assigned.value, "it names another assignor", "uniform, range, or both");
    }
    parsed.into_iter().flatten().collect()
}
