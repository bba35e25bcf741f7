//! `/status`: the node and what it knows of the cluster, as JSON. `tern status` prints it.
//!
//! Names from outside are topic names and host names, whose letters need no escape; other text goes through `quoted`.

use std::fmt::{Result, Write};

use super::super::view::{View, partitions};
use crate::memory::allocator;
use crate::metrics::{METRICS, POWER_CAPPED, POWER_LOW, POWER_SEEN_SHIFT};

/// Writes one object.
pub(super) fn render(view: &View<'_>, out: &mut dyn Write) -> Result {
    let controller = view.cluster.controller.map_or(-1, |controller| controller.broker.0);
    let id = view.node_id;
    write!(out, "{{\n  \"id\": {id},\n  \"role\": \"{}\",\n  \"controller\": {controller},\n", view.role())?;
    write!(out, "  \"ready\": {},\n  \"cluster_id\": ", view.is_ready)?;
    quoted(out, view.cluster_id)?;
    let (up_seconds, version) = (view.now.mono.0 / 1_000_000, env!("CARGO_PKG_VERSION"));
    writeln!(out, ",\n  \"version\": \"{version}\",\n  \"up_seconds\": {up_seconds},")?;
    let sane = METRICS.runtime.clock_sane.get() == 1;
    out.write_str("  \"board\": ")?;
    quoted(out, view.board)?;
    out.write_str(",\n")?;
    power(METRICS.runtime.power_told.get(), METRICS.runtime.power_bits.get() as u32, out)?;
    writeln!(out, "  \"clock\": {{\"sane\": {sane}, \"wall_ms\": {}}},", view.now.wall.0)?;
    counts(view, out)?;
    connections(out)?;
    disk(up_seconds, out)?;
    brokers(view, out)?;
    topics(view, out)?;
    memory(view, out)?;
    out.write_str("}\n")
}

/// Text in quotes, with JSON's escapes.
fn quoted(out: &mut dyn Write, text: &str) -> Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            letter if letter < ' ' => write!(out, "\\u{:04x}", letter as u32)?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

/// Between two elements of a list.
fn comma(out: &mut dyn Write, first: &mut bool) -> Result {
    if std::mem::replace(first, false) { Ok(()) } else { out.write_str(",") }
}

fn counts(view: &View<'_>, out: &mut dyn Write) -> Result {
    let (mut all, mut led, mut under) = (0, 0, 0);
    for (_, _, state) in partitions(view) {
        all += 1;
        led += i32::from(state.leader == Some(view.node_id));
        under += i32::from(state.isr.len() < state.replicas.len());
    }
    writeln!(out, "  \"partitions\": {{\"all\": {all}, \"led\": {led}, \"under_replicated\": {under}}},")
}

fn connections(out: &mut dyn Write) -> Result {
    out.write_str("  \"doors\": {")?;
    let doors = [
        ("kafka", &METRICS.kafka),
        ("zookeeper", &METRICS.zookeeper),
        ("mqtt", &METRICS.mqtt),
        ("http", &METRICS.http),
    ];
    let mut first = true;
    for (name, door) in doors {
        comma(out, &mut first)?;
        write!(
            out,
            "\n    \"{name}\": {{\"connections\": {}, \"messages_in\": {}, \"messages_out\": {}, \"acknowledged\": {}}}",
            door.connections.get(),
            door.messages_in.get(),
            door.messages_out.get(),
            door.acknowledged.get()
        )?;
    }
    out.write_str("\n  },\n")
}

/// What the board says of its supply and its heat, `null` for what it does not tell: anything when `told` is 0, its heat
/// when it is 2.
fn power(told: i64, bits: u32, out: &mut dyn Write) -> Result {
    if told == 0 {
        return out.write_str("  \"power\": null,\n");
    }
    let word = |bits: u32, mask: u32| match bits & mask {
        _ if told == 2 && mask == POWER_CAPPED => "null",
        0 => "false",
        _ => "true",
    };
    let seen = bits >> POWER_SEEN_SHIFT;
    let (low, capped) = (word(bits, POWER_LOW), word(bits, POWER_CAPPED));
    let (low_seen, capped_seen) = (word(seen, POWER_LOW), word(seen, POWER_CAPPED));
    writeln!(
        out,
        "  \"power\": {{\"under_voltage\": {low}, \"throttled\": {capped}, \"under_voltage_seen\": {low_seen}, \
         \"throttled_seen\": {capped_seen}}},"
    )
}

/// How often each block of a usual card can be erased.
const CARD_ERASURES: u64 = 1000;

/// What a card programs at least for a sync, however few bytes were written before it.
const CARD_SYNC_BYTES: u64 = 16 * 1024;

/// No estimate is made of less time than this.
const CARD_SECONDS_MIN: u64 = 600;

/// How many years a card of `size_bytes` lasts at the rate of writing since the start: a rough guide, for a card that
/// wears evenly. At most 100; `None` when there is too little to go by.
fn card_years(size_bytes: u64, written_bytes: u64, syncs: u64, up_seconds: u64) -> Option<u64> {
    const YEAR_SECONDS: u128 = 365 * 86_400;
    if up_seconds < CARD_SECONDS_MIN || size_bytes == 0 {
        return None;
    }
    let worn = u128::from(written_bytes) + u128::from(syncs) * u128::from(CARD_SYNC_BYTES);
    let whole = u128::from(size_bytes) * u128::from(CARD_ERASURES);
    let lasting = whole.saturating_mul(u128::from(up_seconds)).checked_div(worn);
    let years = lasting.map_or(100, |seconds| seconds / YEAR_SECONDS);
    Some(years.min(100) as u64)
}

fn disk(up_seconds: u64, out: &mut dyn Write) -> Result {
    let disk = &METRICS.disk;
    let size_bytes = u64::try_from(disk.total_bytes.get()).unwrap_or(0);
    let years = card_years(size_bytes, disk.bytes_written.get(), disk.sync_micros.count(), up_seconds);
    match years {
        Some(years) => writeln!(out, "  \"card_years\": {years},")?,
        None => out.write_str("  \"card_years\": null,\n")?,
    }
    writeln!(
        out,
        "  \"disk\": {{\"size_bytes\": {}, \"free_bytes\": {}, \"full\": {}, \"syncs\": {}, \"longest_sync_micros\": {}, \
         \"written_bytes\": {}}},",
        disk.total_bytes.get(),
        disk.free_bytes.get(),
        disk.full.get() != 0,
        disk.sync_micros.count(),
        disk.sync_micros.max(),
        disk.bytes_written.get()
    )
}

fn brokers(view: &View<'_>, out: &mut dyn Write) -> Result {
    out.write_str("  \"brokers\": [")?;
    let mut first = true;
    for (id, broker) in &view.cluster.brokers {
        comma(out, &mut first)?;
        write!(out, "\n    {{\"id\": {id}, \"listeners\": [")?;
        let mut first = true;
        for endpoint in &broker.endpoints {
            comma(out, &mut first)?;
            quoted(out, &format!("{}://{}:{}", endpoint.listener, endpoint.host, endpoint.port))?;
        }
        out.write_str("]}")?;
    }
    out.write_str("\n  ],\n")
}

fn topics(view: &View<'_>, out: &mut dyn Write) -> Result {
    out.write_str("  \"topics\": [")?;
    let mut first = true;
    for (name, topic) in &view.cluster.topics {
        comma(out, &mut first)?;
        let (mut bytes, mut records) = (0, 0);
        for index in 0..topic.partitions.len() {
            if let Some(marks) = (view.partition)(name, crate::types::PartitionIndex(index as i32)) {
                bytes += marks.size_bytes;
                records += marks.high_watermark.0 - marks.log_start_offset.0;
            }
        }
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        write!(
            out,
            "\n    {{\"name\": \"{name}\", \"id\": \"{}\", \"partitions\": {}, \"replicas\": {replicas}, \
             \"size_bytes\": {bytes}, \"records\": {records}}}",
            topic.id,
            topic.partitions.len()
        )?;
    }
    out.write_str("\n  ],\n")
}

fn memory(view: &View<'_>, out: &mut dyn Write) -> Result {
    write!(
        out,
        "  \"memory\": {{\n    \"budget_bytes\": {},\n    \"table_bytes\": {},\n    \"allocated_bytes\": {},\n    \
         \"allocated_peak_bytes\": {},\n    \"table\": [",
        view.table.budget_bytes,
        view.table.sum_bytes(),
        allocator::current_bytes(),
        allocator::peak_bytes()
    )?;
    let mut first = true;
    for line in &view.table.lines {
        comma(out, &mut first)?;
        let (name, count, each) = (line.name, line.count, line.each_bytes);
        write!(out, "\n      {{\"account\": \"{name}\", \"count\": {count}, \"each_bytes\": {each}")?;
        if let Some(account) = &line.account {
            let (used, peak) = (account.used_bytes(), account.peak_bytes());
            write!(out, ", \"used_bytes\": {used}, \"peak_bytes\": {peak}")?;
        }
        out.write_str("}")?;
    }
    out.write_str("\n    ]\n  }\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a board does not tell is no "false".
    #[test]
    fn supply() {
        let page = |told, bits| {
            let mut page = String::new();
            power(told, bits, &mut page).unwrap();
            page
        };
        assert_eq!(page(0, 0), "  \"power\": null,\n");
        let all = page(1, 0x50004);
        assert!(all.contains("\"under_voltage\": false, \"throttled\": true, \"under_voltage_seen\": true"), "{all}");
        let supply = page(2, 0x10001);
        assert!(supply.contains("\"under_voltage\": true, \"throttled\": null"), "{supply}");
        assert!(supply.contains("\"under_voltage_seen\": true, \"throttled_seen\": null"), "{supply}");
    }

    /// A 32 GB card under a megabyte a second lasts a year, one that is left alone for as long as anybody asks; syncs of
    /// nothing wear it too.
    #[test]
    fn card_life() {
        let day = 86_400;
        assert_eq!(card_years(32_000_000_000, 1_000_000 * day, 0, day), Some(1));
        assert_eq!(card_years(32_000_000_000, 0, 0, day), Some(100));
        assert_eq!(card_years(32_000_000_000, 0, 100 * day, day), Some(0));
        assert_eq!(card_years(u64::MAX, u64::MAX, u64::MAX, u64::MAX), Some(100));
        assert_eq!((card_years(1, 1, 1, 60), card_years(0, 1, 1, day)), (None, None));
    }
}
