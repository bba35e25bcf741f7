//! Whatever the network sends: no panic, no memory left behind, and other connections do not notice.

use tern::kafka::codec::Api;
use tern::types::Rng;

use crate::client::*;
use crate::generator;
use crate::world::{World, rounds, seed};

fn samples() -> Vec<Vec<u8>> {
    let small = batch(2, 20);
    let mut list = vec![api_versions(0, 1), api_versions(3, 2)];
    for version in 0..=13 {
        list.push(metadata(version, 3, &["t", "u"]));
    }
    for version in 0..=12 {
        list.push(produce(version, 4, -1, "t", &[(0, &small), (1, &small)]));
    }
    for version in 4..=17 {
        list.push(fetch(Ask { version, max_wait_ms: 0, session: (0, 0), ..Ask::default() }, 5, "t", &[(0, 0), (1, 0)]));
    }
    for version in 1..=10 {
        list.push(list_offsets(version, 6, "t", 0, 5));
    }
    list
}

/// A healthy client is answered, whatever the others do.
fn check_healthy(world: &mut World, healthy: tern::types::ConnId, id: i32, seed: u64) {
    world.send(healthy, &produce(7, id, -1, "h", &[(0, &batch(1, 10))]));
    assert_eq!(correlation_ids(&world.take(healthy)), [id], "seed {seed}");
}

fn begin() -> (World, tern::types::ConnId) {
    let mut world = World::new();
    let healthy = world.connect();
    world.send(healthy, &metadata(4, 0, &["h"]));
    world.take(healthy);
    (world, healthy)
}

/// Each request cut at every byte, its length telling the truth: an answer or a closed connection.
#[test]
fn cut_at_every_byte() {
    let (mut world, healthy) = begin();
    for sample in samples() {
        for end in 4..sample.len() {
            let conn = world.connect();
            let mut cut = sample[..end].to_vec();
            cut[..4].copy_from_slice(&((end - 4) as u32).to_be_bytes());
            world.send(conn, &cut);
            if !world.is_closed(conn) {
                world.disconnect(conn);
            }
        }
    }
    check_healthy(&mut world, healthy, 1, 0);
    assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0));
}

/// Counts and lengths of 2^31-1 at every place of every request.
#[test]
fn largest_counts_everywhere() {
    let (mut world, healthy) = begin();
    for sample in samples() {
        for at in 8..sample.len().saturating_sub(4) {
            for value in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0x80, 0, 0, 0]] {
                let conn = world.connect();
                let mut bent = sample.clone();
                bent[at..at + 4].copy_from_slice(&value);
                world.send(conn, &bent);
                if !world.is_closed(conn) {
                    world.disconnect(conn);
                }
            }
        }
    }
    check_healthy(&mut world, healthy, 1, 0);
    assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0));
}

/// Every API key with every version, with nothing behind the header.
#[test]
fn every_key_and_version() {
    let (mut world, healthy) = begin();
    for key in -2i16..100 {
        for version in -1i16..20 {
            let conn = world.connect();
            let mut frame = vec![0, 0, 0, 14];
            frame.extend(key.to_be_bytes());
            frame.extend(version.to_be_bytes());
            frame.extend([0, 0, 0, 7, 0, 2, b'i', b'd', 0, 0]);
            world.send(conn, &frame);
            let is_served = key == Api::ApiVersions.key();
            assert!(!is_served || !world.is_closed(conn), "ApiVersions is never a reason to close");
            if !world.is_closed(conn) {
                world.disconnect(conn);
            }
        }
    }
    check_healthy(&mut world, healthy, 1, 0);
}

/// Every API in every version, its fields filled by chance, each on a connection of its own: an answer, a closed
/// connection or patience, and nothing left behind.
#[test]
fn generated_requests() {
    let seed = seed(3);
    for round in 0..rounds(3) {
        let mut rng = Rng::new(seed + round);
        let (mut world, healthy) = begin();
        for &api in Api::ALL {
            for version in api.versions() {
                let conn = world.connect();
                let frame = generator::of(&mut rng, api, version);
                world.send(conn, &frame);
                if rng.one_in(4) {
                    world.pass_ms(rng.below(1000));
                }
                if !world.is_closed(conn) {
                    world.disconnect(conn);
                }
            }
            check_healthy(&mut world, healthy, 5, seed + round);
        }
        assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0), "seed {}", seed + round);
    }
}

/// Whole connections of valid requests, bent here and there, cut anywhere, in company, some of them deaf.
#[test]
fn mutated_connections() {
    let seed = seed(7);
    let samples = samples();
    for round in 0..rounds(40) {
        let seed = seed + round;
        let mut rng = Rng::new(seed);
        let (mut world, healthy) = begin();
        let mut conns = Vec::new();
        for step in 0..150 {
            if conns.len() < 20 && rng.one_in(3) {
                let conn = world.connect();
                world.socket(conn).is_deaf = rng.one_in(5);
                conns.push(conn);
            }
            conns.retain(|&conn| !world.is_closed(conn));
            if conns.is_empty() {
                continue;
            }
            let conn = conns[rng.below(conns.len() as u64) as usize];
            let bytes = mutate(&mut rng, &samples);
            world.read_bytes_max = 1 + rng.below(70_000) as usize;
            if rng.one_in(2) {
                world.push(conn, &bytes)
            } else {
                world.send(conn, &bytes)
            }
            if rng.one_in(20) {
                world.settle();
                if !world.is_closed(conn) {
                    world.disconnect(conn);
                }
            }
            if rng.one_in(30) {
                world.pass_ms(rng.below(2000));
            }
            if rng.one_in(10) {
                check_healthy(&mut world, healthy, step, seed);
            }
        }
        world.settle();
        for conn in conns {
            if !world.is_closed(conn) {
                world.disconnect(conn);
            }
        }
        check_healthy(&mut world, healthy, 1000, seed);
        assert_eq!((world.requests.used_bytes(), world.responses.used_bytes()), (0, 0), "seed {seed}");
    }
}

fn mutate(rng: &mut Rng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(3) {
        match rng.below(2) {
            0 => bytes.extend(&samples[rng.below(samples.len() as u64) as usize]),
            _ => bytes.extend(generator::request(rng)),
        }
    }
    for _ in 0..rng.below(4) {
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(4) {
            0 => bytes[at] = rng.next() as u8,
            1 => bytes[at] ^= 1 << rng.below(8),
            2 => drop(bytes.drain(at..)),
            _ => {
                let inserted = [rng.next() as u8; 3];
                bytes.splice(at..at, inserted);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}
