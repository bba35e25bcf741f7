//! Publishers: records, acknowledgements and their order, QoS 2, aliases, topics that do not exist yet.

use super::*;
use crate::limits::{MQTT_RECEIVED_MAX, MQTT_ROUTE_SECONDS_MAX};

/// A message becomes a record with key, headers and the payload as it came, and PUBACK waits until it is durable.
#[test]
fn record_then_ack() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.send(conn, &publish(0x33, "a/b", 7, None, b"\x00payload\xff"));
    assert_eq!(bench.take_out(conn), b"");
    let record = bench.log.appended[0].clone();
    assert_eq!((record.value.as_slice(), record.record_key.as_deref()), (&b"\x00payload\xff"[..], Some(&b"a/b"[..])));
    let expected = [("mqtt.topic", "a/b"), ("mqtt.client_id", "dev"), ("mqtt.qos", "1"), ("mqtt.retain", "true")];
    let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    assert_eq!(headers, expected.map(|(name, value)| (name, value.as_bytes())));
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x07");
    bench.send(conn, &publish(0x30, "a/b", 0, None, b"x"));
    assert_eq!(bench.log.appended[1].waiter, None);
    assert_eq!(bench.log.appended[1].header("mqtt.qos"), Some("0"));
}

/// Version 5 properties become headers: ours first, user properties in their order under their own names.
#[test]
fn version_5_headers() {
    let mut bench = Bench::default();
    let conn = bench.client_v5("dev");
    let properties = b"\x26\x00\x01k\x00\x01v\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01j\x08\x00\x01r\x09\x00\x01\x05\x26\x00\x01k\x00\x01w";
    bench.send(conn, &publish(0x32, "t", 1, Some(properties), b""));
    let record = &bench.log.appended[0];
    let names: Vec<_> = record.headers.iter().skip(4).map(|(name, _)| name.as_str()).collect();
    let own = ["mqtt.payload_format", "mqtt.content_type", "mqtt.response_topic", "mqtt.correlation_data"];
    assert_eq!(names[..4], own);
    assert_eq!(names[4..], ["mqtt.message_expiry", "k", "k"]);
    assert_eq!(record.header("mqtt.message_expiry"), Some("60"));
    assert_eq!(record.headers.last().unwrap().1, b"w");
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x01");
}

/// Whatever partition is durable first, a client's acknowledgements leave in the order of its messages, and those of
/// one turn in one send.
#[test]
fn acks_in_order() {
    let mut rng = Rng::new(21);
    for _ in 0..50 {
        let mut bench = Bench::new(&["# -> p key={topic}"]);
        bench.log.add_topic("p", 4);
        let conn = bench.client("dev");
        let mut expected = Vec::new();
        for packet_id in 1..=8u16 {
            let qos_2 = rng.one_in(3);
            let first = if qos_2 { 0x34 } else { 0x32 };
            bench.send(conn, &publish(first, &format!("s/{}", rng.below(6)), packet_id, None, b"x"));
            expected.extend([if qos_2 { 0x50 } else { 0x40 }, 2, 0, packet_id as u8]);
        }
        let mut waiters: Vec<_> = bench.log.appended.iter().map(|appended| appended.waiter.unwrap()).collect();
        let mut got = Vec::new();
        while !waiters.is_empty() {
            for _ in 0..=rng.below(3) {
                if !waiters.is_empty() {
                    let waiter = waiters.swap_remove(rng.below(waiters.len() as u64) as usize);
                    bench.settle(waiter, Ok(()));
                }
            }
            bench.turn();
            got.extend(bench.take_out(conn));
            assert!(expected.starts_with(&got));
        }
        assert_eq!(got, expected);
    }
}

/// The key chooses the partition as Kafka's clients do; without a key a client stays in one.
#[test]
fn partitions() {
    let mut bench = Bench::new(&["k/+ -> keyed key={1}", "n/# -> unkeyed key="]);
    bench.log.add_topic("keyed", 5);
    bench.log.add_topic("unkeyed", 5);
    let conn = bench.client("dev");
    for name in ["21", "foobar", "abc"] {
        bench.send(conn, &publish(0x30, &format!("k/{name}"), 0, None, b"x"));
        let last = bench.log.appended.last().unwrap().clone();
        assert_eq!(last.record_key.as_deref(), Some(name.as_bytes()));
        assert_eq!(last.key, key_of(&bench.log, "keyed", name.as_bytes()));
    }
    for name in ["a", "b", "c"] {
        bench.send(conn, &publish(0x30, &format!("n/{name}"), 0, None, b"x"));
    }
    let unkeyed = &bench.log.appended[3..];
    assert!(unkeyed.iter().all(|appended| appended.record_key.is_none() && appended.key == unkeyed[0].key));
}

/// QoS 2: one record however often the client repeats, PUBREC after it is durable, PUBCOMP for PUBREL.
#[test]
fn exactly_once() {
    let mut bench = Bench::default();
    let conn = bench.client_v5("dev");
    bench.send(conn, &publish(0x34, "t", 9, Some(&[]), b"x"));
    bench.send(conn, &publish(0x3c, "t", 9, Some(&[]), b"x"));
    assert_eq!(bench.take_out(conn), b"");
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x50\x02\x00\x09");
    bench.send(conn, &publish(0x3c, "t", 9, Some(&[]), b"x"));
    assert_eq!(bench.take_out(conn), b"\x50\x02\x00\x09");
    bench.send(conn, b"\x62\x02\x00\x09");
    assert_eq!(bench.take_out(conn), b"\x70\x02\x00\x09");
    bench.send(conn, b"\x62\x02\x00\x09");
    assert_eq!(bench.take_out(conn), b"\x70\x03\x00\x09\x92");
    assert_eq!(bench.log.appended.len(), 1);
    assert_eq!(bench.log.appended[0].header("mqtt.packet_id"), Some("9"));
    bench.send(conn, &publish(0x34, "t", 9, Some(&[]), b"y"));
    assert_eq!(bench.log.appended.len(), 2);
}

/// A retry on the next connection is no second record, whether the first attempt was durable before the connection was
/// lost or only afterwards.
#[test]
fn exactly_once_over_connections() {
    for late in [false, true] {
        let mut bench = Bench::default();
        let conn = bench.client("dev");
        bench.send(conn, &publish(0x34, "t", 9, None, b"x"));
        if !late {
            bench.sync();
        }
        bench.close(conn);
        let conn = bench.client("dev");
        bench.send(conn, &publish(0x3c, "t", 9, None, b"x"));
        if late {
            assert_eq!(bench.take_out(conn), b"");
            bench.sync();
        }
        assert_eq!(bench.take_out(conn), b"\x50\x02\x00\x09");
        assert_eq!(bench.log.appended.len(), 1);
        bench.send(conn, b"\x62\x02\x00\x09");
        bench.send(conn, &publish(0x34, "t", 9, None, b"x"));
        assert_eq!(bench.log.appended.len(), 2);
    }
}

/// A retry whose first attempt failed is appended; so is a packet id that another message uses.
#[test]
fn exactly_once_is_not_lost() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.send(conn, &publish(0x34, "t", 9, None, b"x"));
    let waiter = bench.log.appended[0].waiter.unwrap();
    bench.close(conn);
    bench.settle(waiter, Err(AppendError::DiskFull));
    let conn = bench.client("dev");
    bench.send(conn, &publish(0x3c, "t", 9, None, b"x"));
    assert_eq!(bench.log.appended.len(), 2);
    bench.close(conn);
    bench.sync();
    let conn = bench.client("dev");
    bench.send(conn, &publish(0x3c, "t", 9, None, b"other"));
    assert_eq!(bench.log.appended.len(), 3);
}

/// An alias stands for its topic until it is moved; wrong ones end the connection with the standard's reason.
#[test]
fn aliases() {
    let mut bench = Bench::default();
    let conn = bench.client_v5("dev");
    let alias = |number: u8| [0x23, 0, number];
    bench.send(conn, &publish(0x30, "first", 0, Some(&alias(1)), b"x"));
    bench.send(conn, &publish(0x30, "second", 0, Some(&alias(2)), b"x"));
    bench.send(conn, &publish(0x30, "", 0, Some(&alias(1)), b"x"));
    bench.send(conn, &publish(0x30, "", 0, Some(&alias(2)), b"x"));
    bench.send(conn, &publish(0x30, "second", 0, Some(&alias(1)), b"x"));
    bench.send(conn, &publish(0x30, "", 0, Some(&alias(1)), b"x"));
    let topics: Vec<_> = bench.log.appended.iter().map(|appended| appended.header("mqtt.topic").unwrap()).collect();
    assert_eq!(topics, ["first", "second", "first", "second", "second", "second"]);
    for (packet, reason) in [
        (publish(0x30, "", 0, Some(&alias(3)), b"x"), 0x94),
        (publish(0x30, "t", 0, Some(&alias(99)), b"x"), 0x94),
        (publish(0x30, "t", 0, Some(&alias(0)), b"x"), 0x94),
        (publish(0x30, "", 0, Some(&[]), b"x"), 0x82),
        (publish(0x30, "a/#", 0, Some(&[]), b"x"), 0x90),
        (publish(0x31, "t", 0, Some(&[]), b"x"), 0x9a),
    ] {
        let conn = bench.client_v5("dev");
        bench.take_out(conn);
        bench.send(conn, &packet);
        assert_eq!(bench.take_out(conn), [0xe0, 2, reason, 0]);
        assert!(bench.closed.contains(&conn));
    }
}

/// More than the receive maximum ends a version 5 client; a 3.1.1 client, which was told nothing, is held back.
#[test]
fn window() {
    let mut bench = Bench::default();
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    for packet_id in 1..=20 {
        bench.send(v4, &publish(0x32, "t", packet_id, None, b"x"));
    }
    assert_eq!(bench.log.appended.len(), 8);
    for _ in 0..3 {
        bench.sync();
    }
    assert_eq!(bench.log.appended.len(), 20);
    assert_eq!(bench.take_out(v4).len(), 20 * 4);
    assert!(bench.resumed.contains(&v4));
    for packet_id in 1..=8 {
        bench.send(v5, &publish(0x34, "t", packet_id, Some(&[]), b"x"));
    }
    bench.sync();
    bench.take_out(v5);
    assert!(!bench.closed.contains(&v5));
    bench.send(v5, &publish(0x34, "t", 9, Some(&[]), b"x"));
    assert_eq!(bench.take_out(v5), [0xe0, 2, 0x93, 0]);
}

/// Exchanges of a 3.1.1 client that are never released are bounded.
#[test]
fn unreleased_are_bounded() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    for packet_id in 1..=MQTT_RECEIVED_MAX as u16 {
        bench.send(conn, &publish(0x34, "t", packet_id, None, b"x"));
        bench.sync();
    }
    assert!(!bench.closed.contains(&conn));
    bench.send(conn, &publish(0x34, "t", 999, None, b"x"));
    assert!(bench.closed.contains(&conn));
}

/// A topic that does not exist is created once for all who wait; order and quality of service hold meanwhile.
#[test]
fn topic_is_created() {
    let mut bench = Bench::new(&["d/+/# -> dev.{1} key={2}"]);
    let (one, two) = (bench.client("one"), bench.client_v5("two"));
    bench.send(one, &publish(0x30, "d/7/a", 0, None, b"first"));
    let second = publish(0x32, "d/7/a", 1, None, b"second");
    assert_eq!(bench.send(one, &second), second.len());
    bench.send(two, &publish(0x32, "d/7/b", 1, Some(&[]), b"third"));
    assert_eq!(bench.log.creating.len(), 2);
    assert!(bench.log.appended.is_empty());
    bench.created(1, None);
    assert!(bench.resumed.contains(&one) && bench.resumed.contains(&two));
    bench.send(one, &second);
    let values: Vec<_> = bench.log.appended.iter().map(|appended| appended.value.as_slice()).collect();
    assert_eq!(values, [&b"first"[..], b"third", b"second"]);
    bench.sync();
    assert_eq!(bench.take_out(one), b"\x40\x02\x00\x01");
    assert_eq!(bench.take_out(two), b"\x40\x02\x00\x01");
}

/// Topics made of captures are capped; the publisher is told, or its connection ends, and others go on.
#[test]
fn created_topics_are_capped() {
    let mut bench = Bench::new(&["d/+ -> dev.{1}"]);
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    for name in ["a", "b"] {
        bench.send(v5, &publish(0x32, &format!("d/{name}"), 1, Some(&[]), b"x"));
        bench.created(1, None);
        bench.sync();
    }
    bench.take_out(v5);
    bench.send(v5, &publish(0x32, "d/c", 2, Some(&[]), b"x"));
    assert_eq!(bench.take_out(v5), b"\x40\x03\x00\x02\x97");
    bench.send(v5, &publish(0x32, "d/a", 3, Some(&[]), b"x"));
    bench.sync();
    assert_eq!(bench.take_out(v5), b"\x40\x02\x00\x03");
    bench.send(v4, &publish(0x30, "d/c", 0, None, b"x"));
    assert!(!bench.closed.contains(&v4));
    bench.send(v4, &publish(0x32, "d/c", 1, None, b"x"));
    assert!(bench.closed.contains(&v4));
    assert_eq!(bench.door.stats().dropped, 1);
}

/// A creation that fails answers who waited for it; one that cannot be decided is tried again.
#[test]
fn topic_is_not_created() {
    let mut bench = Bench::new(&["d/+ -> dev.{1}"]);
    let conn = bench.client_v5("five");
    bench.send(conn, &publish(0x32, "d/a", 1, Some(&[]), b"x"));
    bench.created(1, Some(TopicError::TooMany("enough".to_owned())));
    assert_eq!(bench.take_out(conn), b"\x40\x03\x00\x01\x97");
    bench.send(conn, &publish(0x32, "d/a", 2, Some(&[]), b"x"));
    bench.created(1, Some(TopicError::Unavailable("later".to_owned())));
    assert_eq!(bench.take_out(conn), b"");
    bench.sleep(100);
    bench.created(1, None);
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x02");
    bench.log.topic_error = Some(TopicError::InvalidName("no".to_owned()));
    bench.send(conn, &publish(0x32, "d/b", 3, Some(&[]), b"x"));
    assert_eq!(bench.take_out(conn), b"\x40\x03\x00\x03\x90");
}

/// What maps to no legal Kafka topic is refused without ending a version 5 connection; `$SYS` is the server's own.
#[test]
fn unmappable_topics() {
    let mut bench = Bench::new(&["d/+ -> {1}"]);
    let conn = bench.client_v5("five");
    for (packet_id, topic) in [(1, "d/a b"), (2, "$SYS/broker/uptime"), (3, "d/..")] {
        bench.send(conn, &publish(0x32, topic, packet_id, Some(&[]), b"x"));
        assert_eq!(bench.take_out(conn), [0x40, 3, 0, packet_id as u8, 0x90]);
    }
    assert!(bench.log.appended.is_empty());
    let bridge = bench.client("bridge");
    bench.send(bridge, &publish(0x33, "$SYS/broker/connection/bridge/state", 1, None, b"1"));
    assert_eq!(bench.take_out(bridge), b"\x40\x02\x00\x01");
    bench.send(bridge, &publish(0x34, "$SYS/broker/connection/bridge/state", 2, None, b"1"));
    assert_eq!(bench.take_out(bridge), b"\x50\x02\x00\x02");
    assert!(bench.log.appended.is_empty());
}

/// A topic that was deleted and created again is found again; one whose partitions grew, after a while.
#[test]
fn routes_age() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    let packet = publish(0x32, "foobar", 1, None, b"x");
    bench.send(conn, &packet);
    let old = bench.log.appended[0].key;
    bench.log.topics.clear();
    bench.log.add_topic("mqtt", 1);
    bench.send(conn, &packet);
    assert_ne!(bench.log.appended[1].key, old);
    bench.log.add_topic("mqtt", 5);
    bench.log.next_key += 5;
    let grown = key_of(&bench.log, "mqtt", b"foobar");
    for _ in 0..MQTT_ROUTE_SECONDS_MAX / 30 + 1 {
        bench.sleep(30_000);
        bench.send(conn, b"\xc0\x00");
    }
    bench.send(conn, &packet);
    assert_eq!(bench.log.appended[2].key, grown);
}
