//! Short memory, full disks, large packets: who waits, who is told, and who is not disturbed.

use super::*;
use crate::limits::CONNECTION_INPUT_BYTES_MAX;

/// Without memory for appends QoS 0 is dropped and counted, QoS 1 waits unread, and goes on in order when there is room.
#[test]
fn busy() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.log.room = Some(1);
    bench.send(conn, &publish(0x32, "t", 1, None, b"one"));
    bench.send(conn, &publish(0x30, "t", 0, None, b"dropped"));
    assert_eq!(bench.door.stats().dropped, 1);
    let two = publish(0x32, "t", 2, None, &[2; 1000]);
    let mut unread = 0;
    for _ in 0..20 {
        unread += bench.send(conn, &two);
    }
    assert!(unread > 0);
    assert!(bench.read_limit(conn) < two.len());
    bench.sync();
    assert_eq!(bench.log.appended.len(), 1);
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x01");
    bench.log.room = Some(3);
    bench.resumed.clear();
    bench.turn();
    assert_eq!(bench.log.appended.len(), 4);
    bench.log.room = None;
    bench.turn();
    assert!(bench.resumed.contains(&conn));
    assert!(bench.log.appended[1..].iter().all(|appended| appended.value == [2; 1000]));
}

/// Keep-alive is answered behind a packet that waits, and stands still meanwhile.
#[test]
fn keep_alive_while_busy() {
    let mut bench = Bench::default();
    let conn = bench.open(&packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a"));
    bench.log.room = Some(0);
    bench.send(conn, &publish(0x32, "t", 1, None, b"one"));
    bench.send(conn, &publish(0x32, "t", 2, None, b"two"));
    bench.send(conn, b"\xc0\x00");
    assert_eq!(bench.take_out(conn), b"\xd0\x00");
    bench.sleep(120_000);
    assert!(bench.closed.is_empty());
    bench.log.room = None;
    bench.turn();
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x01\x40\x02\x00\x02");
    bench.sleep(20_000);
    assert!(bench.closed.contains(&conn));
}

/// Those who wait for memory get it in the order in which they came.
#[test]
fn busy_is_fair() {
    let mut bench = Bench::default();
    bench.log.room = Some(0);
    let clients: Vec<_> = (0..5).map(|index| bench.client(&format!("dev{index}"))).collect();
    for round in 0..3u16 {
        for &conn in &clients {
            bench.send(conn, &publish(0x32, "t", round + 1, None, b"x"));
        }
    }
    for turn in 0..5 {
        bench.log.room = Some(3);
        bench.turn();
        assert_eq!(bench.log.appended.len(), 3 * (turn + 1));
    }
    let order: Vec<_> = bench.log.appended.iter().map(|appended| appended.waiter.unwrap().conn).collect();
    let expected: Vec<_> = clients.iter().flat_map(|&conn| [conn; 3]).collect();
    assert_eq!(order, expected);
}

/// A full disk: version 5 is told 0x97 in order, 3.1.1 is closed, QoS 0 is dropped, and all is well afterwards.
#[test]
fn disk_full() {
    let mut bench = Bench::default();
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    bench.send(v5, &publish(0x32, "t", 1, Some(&[]), b"x"));
    bench.log.error = Some(AppendError::DiskFull);
    bench.send(v5, &publish(0x32, "t", 2, Some(&[]), b"x"));
    bench.send(v5, &publish(0x34, "t", 3, Some(&[]), b"x"));
    bench.send(v5, &publish(0x30, "t", 0, Some(&[]), b"x"));
    assert_eq!(bench.take_out(v5), b"");
    bench.sync();
    assert_eq!(bench.take_out(v5), b"\x40\x02\x00\x01\x40\x03\x00\x02\x97\x50\x03\x00\x03\x97");
    bench.send(v4, &publish(0x32, "t", 1, None, b"x"));
    assert!(bench.closed.contains(&v4));
    assert_eq!(bench.take_out(v4), b"");
    bench.log.error = None;
    bench.send(v5, &publish(0x34, "t", 3, Some(&[]), b"x"));
    bench.sync();
    assert_eq!(bench.take_out(v5), b"\x50\x02\x00\x03");
    assert_eq!((bench.door.stats().dropped, bench.door.stats().refused), (1, 3));
}

/// A record that fails after it was queued is never acknowledged with success.
#[test]
fn append_fails_later() {
    let mut bench = Bench::default();
    let (v4, v5) = (bench.client("four"), bench.client_v5("five"));
    for packet_id in 1..=3 {
        bench.send(v4, &publish(0x32, "t", packet_id, None, b"x"));
        bench.send(v5, &publish(0x34, "t", packet_id, Some(&[]), b"x"));
    }
    let waiters: Vec<_> = bench.log.appended.iter().map(|appended| appended.waiter.unwrap()).collect();
    for (index, waiter) in waiters.into_iter().enumerate() {
        bench.settle(waiter, if index / 2 == 1 { Err(AppendError::Storage("gone".to_owned())) } else { Ok(()) });
    }
    bench.turn();
    assert_eq!(bench.take_out(v4), b"\x40\x02\x00\x01");
    assert!(bench.closed.contains(&v4));
    assert_eq!(bench.take_out(v5), b"\x50\x02\x00\x01\x50\x03\x00\x02\x83\x50\x02\x00\x03");
    bench.send(v5, b"\x62\x02\x00\x02\x62\x02\x00\x03");
    assert_eq!(bench.take_out(v5), b"\x70\x03\x00\x02\x92\x70\x02\x00\x03");
}

/// A partition that is not led here yet holds QoS 1 back and is tried again by the clock.
#[test]
fn not_leader() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.log.error = Some(AppendError::NotLeader);
    bench.send(conn, &publish(0x32, "t", 1, None, b"x"));
    bench.log.error = None;
    bench.turn();
    assert!(bench.log.appended.is_empty());
    assert!(bench.door.retry_at.is_some());
    bench.sleep(100);
    assert_eq!(bench.log.appended.len(), 1);
}

/// A packet above the input buffer gets one of its own under a grant; without one its socket is not read; the grants
/// come back.
#[test]
fn large_packets() {
    let mut bench = Bench::default();
    let large = publish(0x32, "t", 1, None, &vec![7; 600_000]);
    let (one, two, small) = (bench.client("one"), bench.client("two"), bench.client("small"));
    bench.send(one, &large[..100_000]);
    assert_eq!(bench.door.settings.packets.used_bytes(), large.len());
    let unread = bench.send(two, &large);
    assert!(unread > large.len() - 2 * CONNECTION_INPUT_BYTES_MAX);
    assert_eq!(bench.read_limit(two), 0);
    bench.send(small, &publish(0x32, "t", 1, None, b"x"));
    bench.sync();
    assert_eq!(bench.take_out(small), b"\x40\x02\x00\x01");
    assert_eq!(bench.send(one, &large[100_000..]), 0);
    assert!(bench.resumed.contains(&two));
    assert_eq!(bench.send(two, &large[large.len() - unread..]), 0);
    assert_eq!(bench.door.settings.packets.used_bytes(), 0);
    bench.sync();
    assert_eq!(bench.log.appended.iter().filter(|appended| appended.value.len() == 600_000).count(), 2);
}

/// Who holds a large buffer and does not fill it while others wait is ended after a while, and only then.
#[test]
fn stalled_packets() {
    let mut bench = Bench::default();
    let large = publish(0x32, "t", 1, None, &vec![7; 600_000]);
    let holder = bench.client_v5("holder");
    bench.send(holder, &large[..20_000]);
    bench.sleep(30_000);
    assert!(bench.closed.is_empty());
    let other = bench.client("other");
    bench.send(other, &large[..20_000]);
    bench.sleep(2000);
    assert!(bench.closed.contains(&holder) && !bench.closed.contains(&other));
    assert!(bench.read_limit(other) > CONNECTION_INPUT_BYTES_MAX);
    bench.close(other);
    assert_eq!(bench.door.settings.packets.used_bytes(), 0);
}

/// Nobody holds more input than its bound, whatever it sends while it is blocked.
#[test]
fn input_is_bounded() {
    let mut bench = Bench::default();
    bench.log.room = Some(0);
    let conn = bench.client("dev");
    let flood: Vec<u8> = publish(0x32, "t", 1, None, &[1; 100]).repeat(1000);
    assert!(bench.send(conn, &flood) > 0);
    let connection = bench.door.get(conn).unwrap();
    assert_eq!(connection.read_limit(), 0);
    assert!(connection.input.bytes.capacity() <= CONNECTION_INPUT_BYTES_MAX);
}

/// A completion after the turn's end is answered by another turn at once, whatever else happens or does not.
#[test]
fn late_completion() {
    use crate::engine::Protocol;

    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.send(conn, &publish(0x32, "t", 1, None, b"x"));
    assert!(bench.door.next_deadline() > Some(bench.now.mono));
    let waiter = bench.log.appended[0].waiter.unwrap();
    bench.settle(waiter, Ok(()));
    assert!(bench.door.next_deadline() < Some(bench.now.mono));
    bench.turn();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x01");
    assert!(bench.door.next_deadline() > Some(bench.now.mono));
}

/// Completions for sockets that are gone, or that nobody asked for, change nothing.
#[test]
fn stray_completions() {
    let mut bench = Bench::default();
    let conn = bench.client("dev");
    bench.settle(stray(conn), Ok(()));
    bench.settle(stray(ConnId { index: 900, generation: 1 }), Err(AppendError::DiskFull));
    let results = vec![("x".into(), Err(TopicError::UnknownTopic))];
    bench.complete(stray(conn), Completion::Topics(results));
    bench.complete(stray(conn), Completion::Topics(Vec::new()));
    bench.send(conn, &publish(0x32, "t", 1, None, b"x"));
    bench.sync();
    assert_eq!(bench.take_out(conn), b"\x40\x02\x00\x01");
}
