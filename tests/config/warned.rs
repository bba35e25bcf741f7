//! What does not stop a node, each in one line.

use super::text;

/// Keys of no use, unknown keys, keys that do not count, values that are lowered: the exact sentences.
#[test]
fn sentences() {
    for (lines, expected) in [
        (
            "num.network.threads=3",
            "t.properties line 1: num.network.threads is not used: one thread serves all connections, and the disk has threads of its own",
        ),
        ("num.partition=3", "t.properties line 1: nobody knows the key num.partition; did you mean num.partitions?"),
        ("hello=3", "t.properties line 1: nobody knows the key hello"),
        (
            "log.retention.ms=1\nlog.retention.hours=1",
            "t.properties line 2: log.retention.hours does not count, because log.retention.ms is given as well",
        ),
        ("log.dirs=/a,/b", "t.properties line 1: log.dirs names several directories; only /a is used"),
        ("broker.id=1\nbroker.id=2", "t.properties line 2: broker.id is set on line 1 already; the later line counts"),
        (
            "memory.partitions.max=16\nnum.partitions=17",
            "t.properties line 2: num.partitions=17 is more than memory.partitions.max allows; lowered to 16",
        ),
    ] {
        let outcome = text(lines);
        assert_eq!((outcome.warnings, outcome.errors), (vec![expected.to_owned()], vec![]), "{lines}");
    }
}

/// Every value that the budget bounds is lowered with a warning that names both, and never below what serves.
#[test]
fn lowered() {
    for key in [
        "socket.request.max.bytes",
        "fetch.max.bytes",
        "message.max.bytes",
        "mqtt.packet.max.bytes",
        "jute.maxbuffer",
        "memory.tree.bytes",
        "max.connections",
        "memory.partitions.max",
        "memory.producers.max",
    ] {
        for budget in ["16MiB", "24MiB", "64MiB"] {
            let value = if key.ends_with("bytes") || key == "jute.maxbuffer" { 500 << 20 } else { 65_536 };
            let outcome = text(&format!("memory.budget={budget}\n{key}={value}"));
            assert_eq!(outcome.errors, Vec::<String>::new());
            let budget = budget.replace("MiB", " MiB");
            let expected =
                format!("t.properties line 2: {key}={value} is more than memory.budget={budget} allows; lowered to ");
            assert_eq!(outcome.warnings.len(), 1, "{key} {:?}", outcome.warnings);
            let lowered = outcome.warnings[0].strip_prefix(&expected);
            assert!(lowered.is_some_and(|value| value.parse::<u32>().unwrap() > 100), "{:?}", outcome.warnings);
        }
    }
}
