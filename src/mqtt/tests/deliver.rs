//! Subscribers: what they get, at which quality of service, and what happens when they do not take it.

use super::*;
use crate::limits::{MQTT_OUTGOING_QUEUE_MAX, MQTT_OUTGOING_WINDOW_MAX, MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX};

const DEV: Headers = &[("mqtt.topic", b"a/b"), ("mqtt.client_id", b"dev"), ("mqtt.qos", b"1")];

/// Live messages reach the filters that match, by the MQTT topic in the header, or the Kafka topic without one.
#[test]
fn live() {
    let mut bench = Bench::default();
    bench.log.add_topic("kafka.topic", 1);
    let (all, some) = (bench.client("all"), bench.client("some"));
    bench.send(all, &subscribe(1, "#", 0, None));
    bench.send(some, &subscribe(1, "a/+", 1, None));
    assert_eq!(bench.take_out(all), b"\x90\x03\x00\x01\x00");
    assert_eq!(bench.take_out(some), b"\x90\x03\x00\x01\x01");
    assert!(bench.log.tails);
    bench.tail("mqtt", &[(b"x", DEV)]);
    bench.tail("kafka.topic", &[(b"y", &[])]);
    let expected = [publish(0x30, "a/b", 0, None, b"x"), publish(0x30, "kafka.topic", 0, None, b"y")].concat();
    assert_eq!(bench.take_out(all), expected);
    assert_eq!(bench.take_out(some), publish(0x32, "a/b", 1, None, b"x"));
    bench.send(some, b"\x40\x02\x00\x01");
    bench.send(all, &packet(0xa2, b"\x00\x02\x00\x01#\x00\x01y"));
    assert_eq!(bench.take_out(all), b"\xb0\x02\x00\x02");
    bench.close(some);
    assert!(!bench.log.tails);
    bench.tail("mqtt", &[(b"x", DEV)]);
    assert_eq!(bench.take_out(all), b"");
}

/// SUBACK waits until nothing that comes next is missed; what comes meanwhile is delivered, and pings are answered.
#[test]
fn suback_waits() {
    let mut bench = Bench::default();
    let conn = bench.client("sub");
    bench.log.awaits_tails = true;
    bench.send(conn, &subscribe(1, "a/#", 0, None));
    bench.send(conn, b"\xc0\x00");
    assert_eq!(bench.take_out(conn), b"\xd0\x00");
    bench.tail("mqtt", &[(b"x", DEV)]);
    assert_eq!(bench.take_out(conn), publish(0x30, "a/b", 0, None, b"x"));
    bench.sleep(100);
    assert_eq!(bench.take_out(conn), b"");
    bench.log.awaits_tails = false;
    bench.sleep(100);
    assert_eq!(bench.take_out(conn), b"\x90\x03\x00\x01\x00");
    bench.tail("mqtt", &[(b"y", DEV)]);
    assert_eq!(bench.take_out(conn), publish(0x30, "a/b", 0, None, b"y"));
}

/// The lower quality of service counts; overlapping subscriptions give one message with all identifiers.
#[test]
fn qos_and_identifiers() {
    let mut bench = Bench::default();
    let conn = bench.client_v5("sub");
    bench.send(conn, &subscribe(1, "a/#", 0, Some(b"\x0b\x03")));
    bench.send(conn, &subscribe(2, "a/b", 2, Some(b"\x0b\x04")));
    bench.send(conn, &subscribe(3, "+/b", 0, Some(&[])));
    assert_eq!(bench.take_out(conn), b"\x90\x04\x00\x01\x00\x00\x90\x04\x00\x02\x00\x01\x90\x04\x00\x03\x00\x00");
    bench.tail("mqtt", &[(b"x", DEV), (b"y", &[("mqtt.topic", b"a/b"), ("mqtt.qos", b"0")])]);
    let ids = b"\x0b\x03\x0b\x04";
    let expected = [publish(0x32, "a/b", 1, Some(ids), b"x"), publish(0x30, "a/b", 0, Some(ids), b"y")].concat();
    assert_eq!(bench.take_out(conn), expected);
}

/// Headers come back as the properties they were; a Kafka client's become user properties where they are text.
#[test]
fn properties() {
    let mut bench = Bench::default();
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    bench.send(v5, &subscribe(1, "a/b", 0, Some(&[])));
    bench.send(v4, &subscribe(1, "a/b", 0, None));
    bench.take_out(v4);
    bench.take_out(v5);
    let headers: [(&str, &[u8]); 9] = [
        ("mqtt.topic", b"a/b"),
        ("mqtt.content_type", b"json"),
        ("mqtt.message_expiry", b"60"),
        ("mqtt.correlation_data", b"\xff"),
        ("mqtt.response_topic", b"no/#"),
        ("mqtt.payload_format", b"1"),
        ("mqtt.content_type", b"second"),
        ("k", b"v"),
        ("binary", b"\xff"),
    ];
    bench.tail("mqtt", &[(b"x", &headers)]);
    let expected = b"\x03\x00\x04json\x02\x00\x00\x00\x3c\x09\x00\x01\xff\x01\x01\x26\x00\x01k\x00\x01v";
    assert_eq!(bench.take_out(v5), publish(0x30, "a/b", 0, Some(expected), b"x"));
    assert_eq!(bench.take_out(v4), publish(0x30, "a/b", 0, None, b"x"));
}

/// No-local, retain as published, and the rule that wildcards do not reach `$` topics.
#[test]
fn options() {
    let mut bench = Bench::default();
    let conn = bench.client_v5("dev");
    bench.send(conn, &subscribe(1, "a/b", 0x04, Some(&[])));
    bench.send(conn, &subscribe(2, "r", 0x08, Some(&[])));
    bench.send(conn, &subscribe(3, "+/s", 0x00, Some(&[])));
    bench.take_out(conn);
    bench.tail("mqtt", &[(b"x", DEV)]);
    assert_eq!(bench.take_out(conn), b"");
    bench.tail("mqtt", &[(b"x", &[("mqtt.topic", b"r"), ("mqtt.retain", b"true")])]);
    assert_eq!(bench.take_out(conn), publish(0x31, "r", 0, Some(&[]), b"x"));
    bench.tail("mqtt", &[(b"x", &[("mqtt.topic", b"$x/s")]), (b"x", &[("mqtt.topic", b"bad/#")])]);
    assert_eq!(bench.take_out(conn), b"");
}

/// A bridge of mosquitto never gets its own messages back, and sees retain flags as published.
#[test]
fn bridge() {
    let mut bench = Bench::default();
    let conn = bench.open(&packet(0x10, b"\x00\x04MQTT\x84\x02\x00\x3c\x00\x03dev"));
    bench.send(conn, &subscribe(1, "#", 1, None));
    bench.take_out(conn);
    bench.tail("mqtt", &[(b"x", DEV), (b"y", &[("mqtt.topic", b"r"), ("mqtt.qos", b"0"), ("mqtt.retain", b"true")])]);
    assert_eq!(bench.take_out(conn), publish(0x31, "r", 0, None, b"y"));
}

/// Shared subscriptions, wrong filters and too many are refused one by one, in the words of the version.
#[test]
fn refused() {
    let mut bench = Bench::default();
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    for (filter, reason) in [("$share/g/t", 0x9e), ("a#", 0x8f), ("a/#/b", 0x8f), ("", 0x8f)] {
        bench.send(v4, &subscribe(1, filter, 0, None));
        assert_eq!(bench.take_out(v4), b"\x90\x03\x00\x01\x80");
        bench.send(v5, &subscribe(1, filter, 0, Some(&[])));
        assert_eq!(bench.take_out(v5), [0x90, 4, 0, 1, 0, reason]);
    }
    for index in 0..MQTT_SUBSCRIPTIONS_PER_CLIENT_MAX {
        bench.send(v5, &subscribe(1, &format!("f/{index}"), 0, Some(&[])));
        assert_eq!(bench.take_out(v5), [0x90, 4, 0, 1, 0, 0]);
    }
    bench.send(v5, &subscribe(1, "f/1", 1, Some(&[])));
    assert_eq!(bench.take_out(v5), [0x90, 4, 0, 1, 0, 1]);
    bench.send(v5, &subscribe(1, "g", 1, Some(&[])));
    assert_eq!(bench.take_out(v5), [0x90, 4, 0, 1, 0, 0x97]);
    bench.send(v5, &packet(0xa2, b"\x00\x02\x00\x00\x03f/1\x00\x03f/x"));
    assert_eq!(bench.take_out(v5), b"\xb0\x05\x00\x02\x00\x00\x11");
}

/// A subscriber that does not acknowledge is held to its window and queue, then loses messages, and those are counted.
#[test]
fn window_and_queue() {
    let mut bench = Bench::default();
    let (slow, other) = (bench.client("slow"), bench.client("other"));
    bench.send(slow, &subscribe(1, "#", 1, None));
    bench.send(other, &subscribe(1, "#", 0, None));
    bench.take_out(slow);
    bench.take_out(other);
    let total = MQTT_OUTGOING_WINDOW_MAX + MQTT_OUTGOING_QUEUE_MAX + 7;
    for _ in 0..total {
        bench.tail("mqtt", &[(b"x", DEV)]);
    }
    let one = publish(0x32, "a/b", 1, None, b"x").len();
    assert_eq!(bench.take_out(slow).len(), MQTT_OUTGOING_WINDOW_MAX * one);
    assert_eq!(bench.take_out(other).len(), total * (one - 2));
    assert_eq!(bench.door.stats().delivery_dropped, 7);
    for packet_id in 1..=(MQTT_OUTGOING_WINDOW_MAX + MQTT_OUTGOING_QUEUE_MAX) as u16 {
        bench.send(slow, &packet(0x40, &packet_id.to_be_bytes()));
    }
    assert_eq!(bench.take_out(slow).len(), MQTT_OUTGOING_QUEUE_MAX * one);
    bench.close(slow);
    bench.close(other);
    assert_eq!(bench.door.settings.output.used_bytes(), 0);
}

/// A socket that takes nothing costs a bounded number of bytes, others nothing, and it goes on when it takes again.
#[test]
fn stuck_socket() {
    let mut bench = Bench::default();
    let (stuck, other) = (bench.client("stuck"), bench.client("other"));
    bench.send(stuck, &subscribe(1, "#", 1, None));
    bench.send(other, &subscribe(1, "#", 0, None));
    bench.take_out(stuck);
    bench.take_out(other);
    bench.stuck.insert(stuck);
    for _ in 0..100 {
        bench.tail("mqtt", &[(&[7; 20_000], DEV)]);
    }
    assert!(bench.door.settings.output.used_bytes() <= bench.door.settings.output.limit_bytes());
    assert!(bench.door.stats().delivery_dropped > 0);
    assert_eq!(bench.take_out(other).len(), 100 * publish(0x30, "a/b", 0, None, &[7; 20_000]).len());
    let before = bench.take_out(stuck).len();
    assert!(before > 100_000 && before < 600_000, "{before}");
    bench.unstick(stuck);
    bench.tail("mqtt", &[(b"x", DEV)]);
    assert!(bench.take_out(stuck).ends_with(b"x"));
    bench.close(stuck);
    bench.close(other);
    assert_eq!(bench.door.settings.output.used_bytes(), 0);
}

/// What Kafka producers compress is opened; what is damaged or too large is skipped, and nothing falls over.
#[test]
fn compressed_and_damaged() {
    let mut bench = Bench::default();
    let conn = bench.client("sub");
    bench.send(conn, &subscribe(1, "#", 0, None));
    bench.take_out(conn);
    let mut builder = BatchBuilder::new(1 << 20);
    let record = BatchRecord { timestamp: Timestamp(1), key: None, value: Some(b"x"), headers: &[] };
    builder.push(&record).unwrap();
    let plain = builder.seal(Offset(0), LeaderEpoch(0)).freeze();
    let mut snappy = plain[..61].to_vec();
    snappy.extend(snap::raw::Encoder::new().compress_vec(&plain[61..]).unwrap());
    snappy[22] = 2;
    let length = (snappy.len() - 12) as i32;
    snappy[8..12].copy_from_slice(&length.to_be_bytes());
    bench.tail_batch("mqtt", snappy.clone().into());
    assert_eq!(bench.take_out(conn), publish(0x30, "mqtt", 0, None, b"x"));
    for end in 0..snappy.len() {
        bench.tail_batch("mqtt", Bytes::copy_from_slice(&snappy[..end]));
    }
    assert_eq!(bench.take_out(conn), b"");
}

/// `$SYS` is answered at once and again every ten seconds, and needs no tails.
#[test]
fn sys() {
    let mut bench = Bench::default();
    let conn = bench.client("monitor");
    bench.send(conn, &subscribe(1, "$SYS/broker/clients/+", 0, None));
    let expected = [
        b"\x90\x03\x00\x01\x00".to_vec(),
        publish(0x31, "$SYS/broker/clients/connected", 0, None, b"1"),
        publish(0x31, "$SYS/broker/clients/total", 0, None, b"1"),
    ];
    assert_eq!(bench.take_out(conn), expected.concat());
    assert!(!bench.log.tails);
    bench.sleep(10_000);
    assert!(bench.take_out(conn).starts_with(&publish(0x30, "$SYS/broker/clients/connected", 0, None, b"1")));
    bench.close(conn);
    bench.sleep(20_000);
    assert_eq!(bench.door.sys.publish_at, None);
}
