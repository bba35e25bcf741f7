//! The part of `/metrics` about consumer groups, under kafka_exporter's names.
//!
//! Each node tells of the groups that it coordinates, so that a group stands on one page of an ensemble. Lag is known where
//! this node has a copy of the partition, and left out elsewhere. A series has `GROUP_SERIES_BYTES_MAX`, for the first
//! groups by name, so that the page finds memory however many there are; `tern_group_rows_left_out` counts the other rows.

use std::fmt::{Arguments, Result, Write};

use super::super::view::{GroupView, View};
use super::metrics::head;
use crate::limits::GROUP_SERIES_BYTES_MAX;
use crate::types::{Offset, PartitionIndex};

/// What a line tells of a committed offset, given how much of the partition is committed here; `None` leaves it out.
type Pick = fn(Offset, Option<Offset>) -> Option<i64>;

const NUMBERS: [(&str, &str, Pick); 2] = [
    ("kafka_consumergroup_current_offset", "Current Offset of a ConsumerGroup at Topic/Partition", |committed, _| {
        Some(committed.0)
    }),
    ("kafka_consumergroup_lag", "Current Approximate Lag of a ConsumerGroup at Topic/Partition", |committed, end| {
        Some(end?.0.saturating_sub(committed.0).max(0))
    }),
];

/// Writes all of it.
pub(super) fn render(view: &View<'_>, out: &mut dyn Write) -> Result {
    head(out, "kafka_consumergroup_members", "gauge", "Amount of members in a consumer group")?;
    let mut rows = Rows::new(out);
    each(view, &mut |group| {
        rows.add(format_args!(
            "kafka_consumergroup_members{{consumergroup=\"{}\"}} {}",
            Label(group.name),
            group.members
        ))
    })?;
    let mut left_out = rows.left_out;
    for (name, help, pick) in NUMBERS {
        write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n")?;
        let mut rows = Rows::new(out);
        each(view, &mut |group| {
            per_partition(view, group, pick, &mut |topic, PartitionIndex(index), number| {
                let labels =
                    format_args!("consumergroup=\"{}\",partition=\"{index}\",topic=\"{topic}\"", Label(group.name));
                rows.add(format_args!("{name}{{{labels}}} {number}"))
            })
        })?;
        left_out += rows.left_out;
        write!(out, "# HELP {name}_sum {help}, all partitions\n# TYPE {name}_sum gauge\n")?;
        let mut rows = Rows::new(out);
        each(view, &mut |group| {
            per_topic(view, group, pick, &mut |topic, sum| {
                let labels = format_args!("consumergroup=\"{}\",topic=\"{topic}\"", Label(group.name));
                rows.add(format_args!("{name}_sum{{{labels}}} {sum}"))
            })
        })?;
        left_out += rows.left_out;
    }
    head(out, "tern_group_rows_left_out", "gauge", "Rows about consumer groups for which this page has no room")?;
    writeln!(out, "tern_group_rows_left_out {left_out}")
}

/// The rows of one series.
struct Rows<'a> {
    out: &'a mut dyn Write,
    bytes: usize,
    left_out: usize,
}

impl<'a> Rows<'a> {
    fn new(out: &'a mut dyn Write) -> Rows<'a> {
        Rows { out, bytes: 0, left_out: 0 }
    }

    fn add(&mut self, row: Arguments<'_>) -> Result {
        if self.bytes > GROUP_SERIES_BYTES_MAX {
            self.left_out += 1;
            return Ok(());
        }
        writeln!(self, "{row}")
    }
}

impl Write for Rows<'_> {
    fn write_str(&mut self, text: &str) -> Result {
        self.bytes += text.len();
        self.out.write_str(text)
    }
}

/// Does something for each group until it fails.
fn each(view: &View<'_>, then: &mut dyn FnMut(&GroupView<'_>) -> Result) -> Result {
    let mut result = Ok(());
    (view.groups)(&mut |group| {
        if result.is_ok() {
            result = then(group);
        }
    });
    result
}

/// The number of each partition that has one. Topics that were deleted since have none.
fn per_partition(
    view: &View<'_>,
    group: &GroupView<'_>,
    pick: Pick,
    then: &mut dyn FnMut(&str, PartitionIndex, i64) -> Result,
) -> Result {
    let mut result = Ok(());
    (group.committed)(&mut |topic, index, offset| {
        if result.is_err() || !view.cluster.topics.contains_key(topic) {
            return;
        }
        let end = (view.partition)(topic, index).map(|marks| marks.high_watermark);
        if let Some(number) = pick(offset, end) {
            result = then(topic, index, number);
        }
    });
    result
}

/// The sum of each topic's numbers; the offsets of one topic come one after the other.
fn per_topic(view: &View<'_>, group: &GroupView<'_>, pick: Pick, then: &mut dyn FnMut(&str, i64) -> Result) -> Result {
    let mut last = String::new();
    let mut sum = None;
    per_partition(view, group, pick, &mut |topic, _, number| {
        if last != topic {
            if let Some(sum) = sum.take() {
                then(&last, sum)?;
            }
            topic.clone_into(&mut last);
        }
        sum = Some(sum.unwrap_or(0_i64).saturating_add(number));
        Ok(())
    })?;
    match sum {
        Some(sum) => then(&last, sum),
        None => Ok(()),
    }
}

/// Text in a label, with Prometheus' escapes.
struct Label<'a>(&'a str);

impl std::fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> Result {
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\n' => f.write_str("\\n")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}
