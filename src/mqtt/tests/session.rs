//! Connections: who may come in, takeover, timers, and what a wrong packet costs.

use super::*;

fn connect(level: u8, flags: u8, keep_alive: u16, properties: Option<&[u8]>, rest: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([level, flags]);
    body.extend(keep_alive.to_be_bytes());
    if let Some(properties) = properties {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend(rest);
    packet(0x10, &body)
}

/// A version 5 client is told what this server does and does not.
#[test]
fn welcome() {
    let mut bench = Bench::default();
    let conn = bench.accept();
    bench.send(conn, &connect(5, 2, 60, Some(b"\x11\x00\x00\x00\x3c"), b"\x00\x00"));
    let answer = bench.take_out(conn);
    assert_eq!(answer[..5], [0x20, answer.len() as u8 - 2, 0, 0, answer.len() as u8 - 5]);
    let expected: [&[u8]; 6] =
        [b"\x11\0\0\0\0", b"\x21\x00\x08", b"\x25\x00", b"\x27\x00\x10\x00\x00", b"\x22\x00\x08", b"\x2a\x00"];
    for property in expected {
        assert!(answer.windows(property.len()).any(|window| window == property), "{property:x?}");
    }
    assert!(answer.windows(7).any(|window| window == b"tern-1-"));
    let (conn, other) = (bench.accept(), bench.accept());
    bench.send(conn, &connect(4, 2, 0, None, b"\x00\x00"));
    bench.send(other, &connect(4, 2, 0, None, b"\x00\x00"));
    assert_eq!(bench.take_out(conn), b"\x20\x02\x00\x00");
    assert_eq!(bench.door.stats().clients, 3);
}

/// Refusals speak the client's version and end the connection.
#[test]
fn refused() {
    let long_id = [&[1, 1][..], &[b'a'; 257]].concat();
    let cases: [(Vec<u8>, &[u8]); 9] = [
        (connect(4, 0, 0, None, b"\x00\x00"), b"\x20\x02\x00\x02"),
        (connect(4, 2, 0, None, &long_id), b"\x20\x02\x00\x02"),
        (connect(5, 2, 0, Some(b""), &long_id), b"\x20\x03\x00\x85\x00"),
        (connect(3, 2, 0, None, b"\x00\x01a"), b"\x20\x02\x00\x01"),
        (connect(6, 2, 0, None, b"\x00\x01a"), b"\x20\x03\x00\x84\x00"),
        (connect(5, 3, 0, Some(b""), b"\x00\x01a"), b"\x20\x03\x00\x81\x00"),
        (connect(5, 0x26, 0, Some(b""), b"\x00\x01a\x00\x00\x01w\x00\x00"), b"\x20\x03\x00\x9a\x00"),
        (packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a"), b"\x20\x02\x00\x01"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), b""),
    ];
    for (packet, answer) in cases {
        let mut bench = Bench::default();
        let conn = bench.accept();
        bench.send(conn, &packet);
        assert_eq!(bench.take_out(conn), answer, "{packet:x?}");
        assert!(bench.closed.contains(&conn));
        assert_eq!(bench.read_limit(conn), 0);
        assert_eq!(bench.door.stats().clients, 0);
    }
}

/// User name, password and a will without retain are accepted and ignored.
#[test]
fn credentials_and_will() {
    let mut bench = Bench::default();
    let conn = bench.accept();
    let rest = b"\x00\x01a\x00\x01w\x00\x01p\x00\x01u\x00\x02\xff\xfe";
    bench.send(conn, &connect(4, 0xce, 60, None, rest));
    assert_eq!(bench.take_out(conn), b"\x20\x02\x00\x00");
}

/// The same client id again ends the earlier connection, with a reason in version 5, and the later one stays.
#[test]
fn takeover() {
    let mut bench = Bench::default();
    let first = bench.client_v5("dev");
    bench.send(first, &subscribe(1, "t", 0, Some(&[])));
    bench.take_out(first);
    let second = bench.client("dev");
    assert_eq!(bench.take_out(first), b"\xe0\x02\x8e\x00");
    assert!(bench.closed.contains(&first));
    assert_eq!(bench.door.stats().subscriptions, 0);
    bench.close(first);
    assert_eq!(bench.door.stats().clients, 1);
    let third = bench.client("dev");
    assert_eq!(bench.take_out(second), b"");
    assert!(bench.closed.contains(&second));
    bench.send(third, b"\xc0\x00");
    assert_eq!(bench.take_out(third), b"\xd0\x00");
    bench.close(second);
    bench.close(third);
    assert_eq!(bench.door.stats().clients, 0);
    assert!(bench.door.clients.is_empty() && bench.door.connections.iter().all(Option::is_none));
}

/// A connection that says nothing is ended after ten seconds, one that is silent in session after one and a half
/// intervals, one without keep-alive never.
#[test]
fn silence() {
    let mut bench = Bench::default();
    let mute = bench.accept();
    let slow = bench.accept();
    bench.send(slow, b"\x10");
    bench.sleep(9000);
    assert!(bench.closed.is_empty());
    bench.sleep(1000);
    assert!(bench.closed.contains(&mute) && bench.closed.contains(&slow));
    let four = bench.open(&connect(4, 2, 10, None, b"\x00\x01a"));
    let five = bench.open(&connect(5, 2, 10, Some(b""), b"\x00\x01b"));
    let none = bench.open(&connect(4, 2, 0, None, b"\x00\x01c"));
    bench.sleep(14_000);
    bench.send(four, b"\xc0\x00");
    assert_eq!(bench.take_out(four), b"\xd0\x00");
    bench.sleep(1000);
    assert_eq!(bench.take_out(five), b"\xe0\x02\x8d\x00");
    assert!(!bench.closed.contains(&four));
    bench.sleep(14_000);
    assert!(bench.closed.contains(&four));
    bench.sleep(3_600_000);
    assert!(!bench.closed.contains(&none));
}

/// A wrong packet ends its connection with the standard's reason.
#[test]
fn faults() {
    let oversized = [0x30, 0xff, 0xff, 0xff, 0x7f];
    let cases: [(&[u8], u8); 11] = [
        (&connect_v5("x"), 0x82),
        (b"\x20\x02\x00\x00", 0x82),
        (b"\xf0\x00", 0x82),
        (b"\x00\x00", 0x81),
        (b"\x36\x00", 0x81),
        (b"\xc1\x00", 0x81),
        (b"\x82\x03\x00\x01\x00", 0x82),
        (b"\x80\x00", 0x81),
        (&oversized, 0x95),
        (b"\xc0\xff\xff\xff\xff", 0x81),
        (b"\x62\x00", 0x81),
    ];
    for (packet, reason) in cases {
        let mut bench = Bench::default();
        let conn = bench.client_v5("dev");
        bench.send(conn, packet);
        assert_eq!(bench.take_out(conn), [0xe0, 2, reason, 0], "{packet:x?}");
        assert!(bench.closed.contains(&conn));
    }
}

/// DISCONNECT ends without an answer; what follows it is not read.
#[test]
fn disconnect() {
    for packet in [&b"\xe0\x00"[..], b"\xe0\x01\x04", b"\xe0\x02\x00\x00"] {
        let mut bench = Bench::default();
        let conn = bench.client_v5("dev");
        let bytes = [packet, b"\xc0\x00"].concat();
        bench.send(conn, &bytes);
        assert_eq!(bench.take_out(conn), b"");
        assert!(bench.closed.contains(&conn));
    }
}

/// Senders of one byte at a time get the same answers as those of whole packets, and no other client notices.
#[test]
fn byte_by_byte() {
    let flow = [
        connect_v5("dev"),
        publish(0x32, "a/b", 1, Some(b"\x26\x00\x01k\x00\x01v"), b"payload"),
        subscribe(2, "x/#", 1, Some(b"\x0b\x05")),
        publish(0x34, "a/c", 3, Some(&[]), &[7; 300]),
        b"\xc0\x00".to_vec(),
        b"\x62\x02\x00\x03".to_vec(),
        packet(0xa2, b"\x00\x04\x00\x00\x03x/#"),
        b"\xe0\x00".to_vec(),
    ];
    let run = |chunk: usize| {
        let mut bench = Bench::default();
        let conn = bench.accept();
        for packet in &flow {
            for part in packet.chunks(chunk) {
                bench.send(conn, part);
            }
            bench.sync();
        }
        assert!(bench.closed.contains(&conn));
        (bench.take_out(conn), bench.log.appended)
    };
    let (whole, appended) = run(usize::MAX);
    assert_eq!(appended.len(), 2);
    assert!(whole.ends_with(b"\xd0\x00\x70\x02\x00\x03\xb0\x04\x00\x04\x00\x00"), "{whole:x?}");
    for chunk in 1..20 {
        assert_eq!(run(chunk), (whole.clone(), appended.clone()));
    }
}
