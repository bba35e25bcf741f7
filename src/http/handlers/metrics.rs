//! `/metrics`: Prometheus' text format. Names of kafka_exporter and of Kafka's JMX exporter are kept where the meaning
//! is the same, so that existing dashboards work; our own begin with `tern_`.

use std::fmt::{Result, Write};

use super::super::view::{View, partitions};
use super::groups;
use crate::engine::{PartitionState, PartitionView};
use crate::memory::allocator;
use crate::metrics::{Histogram, METRICS, Sample, SampleValue};
use crate::types::PartitionIndex;

/// Writes all numbers.
pub(super) fn render(view: &View<'_>, out: &mut dyn Write) -> Result {
    own(out)?;
    memory(view, out)?;
    brokers(view, out)?;
    topics(view, out)?;
    groups::render(view, out)
}

pub(super) fn head(out: &mut dyn Write, name: &str, kind: &str, help: &str) -> Result {
    write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// What any room counts.
fn own(out: &mut dyn Write) -> Result {
    let mut last = "";
    let mut result = Ok(());
    METRICS.visit(&mut |sample| {
        if result.is_ok() {
            result = one(out, &sample, sample.name != last);
            last = sample.name;
        }
    });
    result
}

fn one(out: &mut dyn Write, sample: &Sample<'_>, is_new: bool) -> Result {
    let name = sample.name;
    let (kind, label) = match sample.value {
        SampleValue::Counter(_) => ("counter", sample.door),
        SampleValue::Gauge(_) | SampleValue::Longest(_) => ("gauge", sample.door),
        SampleValue::Durations(_) | SampleValue::Sizes(_) => ("histogram", ""),
    };
    if is_new {
        head(out, name, kind, sample.help)?;
    }
    match sample.value {
        SampleValue::Counter(value) if label.is_empty() => writeln!(out, "{name} {value}"),
        SampleValue::Counter(value) => writeln!(out, "{name}{{door=\"{label}\"}} {value}"),
        SampleValue::Gauge(value) if label.is_empty() => writeln!(out, "{name} {value}"),
        SampleValue::Gauge(value) => writeln!(out, "{name}{{door=\"{label}\"}} {value}"),
        SampleValue::Longest(histogram) => writeln!(out, "{name} {}", histogram.max() as f64 / 1e6),
        SampleValue::Durations(histogram) => buckets(out, name, histogram, 1e6),
        SampleValue::Sizes(histogram) => buckets(out, name, histogram, 1.0),
    }
}

fn buckets(out: &mut dyn Write, name: &str, histogram: &Histogram, per_unit: f64) -> Result {
    let mut total = 0;
    for (bound, count) in histogram.cumulative() {
        total = count;
        match bound {
            Some(bound) => writeln!(out, "{name}_bucket{{le=\"{}\"}} {count}", bound as f64 / per_unit)?,
            None => writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?,
        }
    }
    write!(out, "{name}_sum {}\n{name}_count {total}\n", histogram.sum() as f64 / per_unit)
}

/// The budget, what the allocator says, and each account.
fn memory(view: &View<'_>, out: &mut dyn Write) -> Result {
    for (name, help, bytes) in [
        ("tern_memory_budget_bytes", "memory.budget.", view.table.budget_bytes),
        ("tern_memory_allocated_bytes", "Bytes allocated now.", allocator::current_bytes()),
        ("tern_memory_allocated_peak_bytes", "The most bytes allocated at once.", allocator::peak_bytes()),
    ] {
        head(out, name, "gauge", help)?;
        writeln!(out, "{name} {bytes}")?;
    }
    let accounts = || view.table.lines.iter().filter_map(|line| Some((line.name, line.account.as_ref()?)));
    for (name, help, pick) in [
        (
            "tern_memory_account_used_bytes",
            "Bytes granted now.",
            crate::memory::Account::used_bytes as fn(&crate::memory::Account) -> usize,
        ),
        ("tern_memory_account_peak_bytes", "The most bytes granted at once.", crate::memory::Account::peak_bytes),
        (
            "tern_memory_account_limit_bytes",
            "The account's line of the memory table.",
            crate::memory::Account::limit_bytes,
        ),
    ] {
        head(out, name, "gauge", help)?;
        for (account, numbers) in accounts() {
            writeln!(out, "{name}{{account=\"{account}\"}} {}", pick(numbers))?;
        }
    }
    Ok(())
}

fn brokers(view: &View<'_>, out: &mut dyn Write) -> Result {
    head(out, "kafka_brokers", "gauge", "Number of Brokers in the Kafka Cluster.")?;
    writeln!(out, "kafka_brokers {}", view.cluster.brokers.len())?;
    head(out, "kafka_broker_info", "gauge", "Information about the Kafka Broker.")?;
    for (id, broker) in &view.cluster.brokers {
        if let Some(endpoint) = broker.endpoints.first() {
            let (host, port) = (&endpoint.host, endpoint.port);
            writeln!(out, "kafka_broker_info{{address=\"{host}:{port}\",id=\"{id}\"}} 1")?;
        }
    }
    let doors = [&METRICS.kafka, &METRICS.mqtt];
    for (name, help, value) in [
        (
            "kafka_server_brokertopicmetrics_messagesin_total",
            "Records that came in over all doors.",
            doors.iter().map(|door| door.messages_in.get()).sum::<u64>(),
        ),
        (
            "kafka_server_brokertopicmetrics_bytesin_total",
            "Bytes that came in over all doors.",
            doors.iter().map(|door| door.bytes_in.get()).sum(),
        ),
        (
            "kafka_server_brokertopicmetrics_bytesout_total",
            "Bytes that went out over all doors.",
            doors.iter().map(|door| door.bytes_out.get()).sum(),
        ),
    ] {
        head(out, name, "counter", help)?;
        writeln!(out, "{name} {value}")?;
    }
    Ok(())
}

/// What one line about a partition tells; `None` leaves the line out.
type Pick = fn(&PartitionState, Option<&PartitionView>) -> Option<i64>;

const PARTITION_NUMBERS: [(&str, &str, Pick); 8] = [
    ("current_offset", "Current Offset of a Broker at Topic/Partition", |_, marks| Some(marks?.high_watermark.0)),
    ("oldest_offset", "Oldest Offset of a Broker at Topic/Partition", |_, marks| Some(marks?.log_start_offset.0)),
    ("in_sync_replica", "Number of In-Sync Replicas for this Topic/Partition", |state, _| Some(state.isr.len() as i64)),
    ("leader", "Leader Broker ID of this Topic/Partition", |state, _| Some(state.leader.map_or(-1, |id| id.0.into()))),
    ("leader_is_preferred", "1 if Topic/Partition is using the Preferred Broker", |state, _| {
        Some((state.leader.is_some() && state.leader == state.replicas.first().copied()).into())
    }),
    ("replicas", "Number of Replicas for this Topic/Partition", |state, _| Some(state.replicas.len() as i64)),
    ("under_replicated_partition", "1 if Topic/Partition is under Replicated", |state, _| {
        Some((state.isr.len() < state.replicas.len()).into())
    }),
    ("size_bytes", "Bytes of the segments of this Topic/Partition", |_, marks| Some(marks?.size_bytes as i64)),
];

fn topics(view: &View<'_>, out: &mut dyn Write) -> Result {
    head(out, "kafka_topic_partitions", "gauge", "Number of partitions for this Topic")?;
    for (name, topic) in &view.cluster.topics {
        writeln!(out, "kafka_topic_partitions{{topic=\"{name}\"}} {}", topic.partitions.len())?;
    }
    for (suffix, help, pick) in PARTITION_NUMBERS {
        write!(out, "# HELP kafka_topic_partition_{suffix} {help}\n# TYPE kafka_topic_partition_{suffix} gauge\n")?;
        for (topic, PartitionIndex(index), state) in partitions(view) {
            let marks = (view.partition)(topic, PartitionIndex(index));
            if let Some(value) = pick(state, marks.as_ref()) {
                writeln!(out, "kafka_topic_partition_{suffix}{{partition=\"{index}\",topic=\"{topic}\"}} {value}")?;
            }
        }
    }
    Ok(())
}
