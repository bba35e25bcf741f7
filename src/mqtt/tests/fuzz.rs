//! Hostile bytes at every state: no panic, no unbounded input, and other clients served.
//!
//! `TERN_FUZZ_ROUNDS` makes it longer.

use super::*;
use crate::limits::CONNECTION_INPUT_BYTES_MAX;

/// One packet of every type a client may send, and some that only a server sends.
fn corpus(version: u8) -> Vec<Vec<u8>> {
    let none: Option<&[u8]> = if version == 5 { Some(&[]) } else { None };
    let all =
        b"\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01j\x08\x00\x01r\x09\x00\x01\x05\x23\x00\x01\x26\x00\x01k\x00\x01v";
    let properties: Option<&[u8]> = if version == 5 { Some(all) } else { None };
    let mut packets = vec![
        if version == 5 { connect_v5("dev") } else { connect_v4("dev") },
        publish(0x30, "a/b", 0, none, b"zero"),
        publish(0x32, "a/b", 1, properties, b"one"),
        publish(0x34, "a/b", 2, none, b"two"),
        publish(0x3c, "a/b", 2, none, b"two"),
        publish(0x32, "", 3, Some(b"\x23\x00\x01"), b"alias"),
        publish(0x32, "large", 4, none, &[4; 9000]),
        subscribe(5, "a/#", 1, none),
        subscribe(6, "$SYS/#", 0, none),
        b"\x40\x02\x00\x01".to_vec(),
        b"\x50\x03\x00\x02\x00".to_vec(),
        b"\x62\x02\x00\x02".to_vec(),
        b"\x70\x02\x00\x02".to_vec(),
        b"\xc0\x00".to_vec(),
        b"\xe0\x00".to_vec(),
        b"\xe0\x07\x04\x05\x11\x00\x00\x00\x05".to_vec(),
        b"\x20\x02\x00\x00".to_vec(),
        b"\x90\x03\x00\x01\x00".to_vec(),
        b"\xb0\x02\x00\x01".to_vec(),
        b"\xd0\x00".to_vec(),
        b"\xf0\x02\x18\x00".to_vec(),
    ];
    let mut unsubscribe = vec![0, 7];
    unsubscribe.extend(none.map(|_| 0));
    unsubscribe.extend(b"\x00\x03a/#");
    packets.push(packet(0xa2, &unsubscribe));
    let mut full = b"\x00\x04MQTT".to_vec();
    full.extend([version, 0xc6, 0, 9]);
    if version == 5 {
        full.extend(b"\x10\x11\x00\x00\x00\x0a\x21\x00\x05\x26\x00\x01k\x00\x02vv");
    }
    full.extend(b"\x00\x02id");
    full.extend(none.map(|_| 0));
    full.extend(b"\x00\x01w\x00\x01p\x00\x01u\x00\x01p");
    packets.push(packet(0x10, &full));
    packets
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len().max(1) as u64) as usize;
        match rng.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, rng.next() as u8),
            4 if !bytes.is_empty() => _ = bytes.remove(at),
            _ if bytes.len() > 1 => {
                // The length agrees with what is there: the body is what is wrong.
                bytes[1] = (bytes.len() - 2).min(0x7f) as u8;
            }
            _ => {}
        }
    }
}

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut bench = Bench::new(&["a/+ -> a.{1}", "large -> large key="]);
    bench.log.add_topic("a.b", 2);
    let witness = bench.client("witness");
    let version = if rng.one_in(2) { 5 } else { 4 };
    let corpus = corpus(version);
    for _ in 0..40 {
        let conn = bench.accept();
        if !rng.one_in(4) {
            bench.send(conn, &corpus[0]);
        }
        bench.log.room = if rng.one_in(3) { Some(rng.below(3) as usize) } else { None };
        for _ in 0..rng.below(6) {
            let mut bytes = corpus[rng.below(corpus.len() as u64) as usize].clone();
            if rng.one_in(2) {
                mutate(&mut rng, &mut bytes);
            }
            bench.send(conn, &bytes);
            if let Some(connection) = bench.door.get(conn) {
                let granted = matches!(connection.input.large, super::super::connection::Large::Granted { .. });
                assert!(granted || connection.input.bytes.len() <= CONNECTION_INPUT_BYTES_MAX);
            }
            match rng.below(5) {
                0 => bench.sync(),
                1 => bench.created(1, None),
                2 => bench.tail("mqtt", &[(b"live", &[("mqtt.topic", b"a/x")])]),
                3 => bench.sleep(rng.below(3000)),
                _ => {}
            }
        }
        bench.sync();
        if bench.closed.contains(&conn) || rng.one_in(2) {
            bench.close(conn);
        }
    }
    bench.log.room = None;
    bench.send(witness, b"\xc0\x00");
    assert_eq!(bench.take_out(witness), b"\xd0\x00");
    bench.send(witness, &publish(0x32, "w", 77, None, b"x"));
    bench.sync();
    assert_eq!(bench.take_out(witness), b"\x40\x02\x00\x4d");
    let conns: Vec<_> = bench.door.connections.iter().flatten().map(|connection| connection.id).collect();
    for conn in conns {
        bench.close(conn);
    }
    assert_eq!(bench.door.settings.packets.used_bytes(), 0);
    assert_eq!(bench.door.settings.output.used_bytes(), 0);
    assert_eq!((bench.door.stats().clients, bench.door.stats().subscriptions), (0, 0));
}

/// Mutated, truncated and misplaced packets, seed by seed; everything is returned in the end.
#[test]
fn mutated_packets() {
    let rounds = std::env::var("TERN_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    for seed in 0..rounds {
        let result = std::panic::catch_unwind(|| round(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

/// Every packet cut at every byte, followed by silence, by another packet, or by the end.
#[test]
fn truncated_packets() {
    for version in [4, 5] {
        let corpus = corpus(version);
        for packet in corpus.iter().filter(|packet| packet.len() < 200) {
            for end in 0..packet.len() {
                let mut bench = Bench::default();
                let fresh = bench.accept();
                bench.send(fresh, &packet[..end]);
                bench.send(fresh, &corpus[13]);
                let open = bench.open(&corpus[0]);
                bench.send(open, &packet[..end]);
                bench.send(open, &corpus[2]);
                bench.sync();
                bench.close(open);
                bench.close(fresh);
                assert_eq!(bench.door.stats().clients, 0);
            }
        }
    }
}
