//! Quotas: the answer leaves first and says how long, then nothing is read of the connection for that time.

use tern::kafka::codec::*;
use tern::kafka::errors::ErrorCode;

use crate::client::*;
use crate::world::World;

/// A request that sets one quota of one client id.
fn alter(client: Option<&str>, key: &str, value: Option<f64>) -> Vec<u8> {
    let entity = [QuotaEntity { entity_type: "client-id", entity_name: client }];
    let ops = [QuotaOperation { key, value: value.unwrap_or_default(), remove: value.is_none() }];
    let entries = [AlterQuotaEntry { entity: Array::of(&entity), ops: Array::of(&ops) }];
    request(1, 1, &AlterClientQuotasRequest { entries: Array::of(&entries), validate_only: false })
}

/// A world with a topic and one quota for everybody's clients.
fn world(key: &str, value: f64) -> World {
    let mut world = World::new();
    let admin = world.connect();
    world.send(admin, &metadata(4, 0, &["t"]));
    world.take(admin);
    world.send(admin, &alter(None, key, Some(value)));
    let bytes = world.take(admin);
    let response: AlterClientQuotasResponse<'_> = reply(1, &bytes);
    assert_eq!(response.entries.iter().next().unwrap().error_code, ErrorCode::NONE);
    world
}

fn throttle_of_produce(bytes: &[u8]) -> i32 {
    reply::<ProduceResponse<'_>>(7, bytes).throttle_time_ms
}

/// Who produces more than his quota gets his answer at once, and is read again when he has waited.
#[test]
fn produce_is_counted() {
    let mut world = world("producer_byte_rate", 10_000.0);
    let conn = world.connect();
    let (small, large) = (batch(1, 1000), batch(1, 30_000));
    world.send(conn, &produce(7, 1, -1, "t", &[(0, &small)]));
    assert_eq!(throttle_of_produce(&world.take(conn)), 0);
    world.send(conn, &produce(7, 2, -1, "t", &[(0, &large)]));
    let throttle_ms = throttle_of_produce(&world.take(conn));
    assert!((2000..2300).contains(&throttle_ms), "{throttle_ms}");
    world.send(conn, &produce(7, 3, -1, "t", &[(0, &small)]));
    assert!(world.unread(conn) > 0 && world.take(conn).is_empty(), "it is not read");
    world.pass_ms(throttle_ms as u64 - 10);
    assert!(world.unread(conn) > 0 && world.take(conn).is_empty());
    world.pass_ms(20);
    assert!(throttle_of_produce(&world.take(conn)) > 0, "the debt was just paid");
    assert_eq!(world.unread(conn), 0);
}

/// Others do not pay: each client id has a debt of its own, and what is no produce is not counted.
#[test]
fn others_are_free() {
    let mut world = world("producer_byte_rate", 10_000.0);
    let (debtor, other) = (world.connect(), world.connect());
    world.send(debtor, &produce(7, 1, -1, "t", &[(0, &batch(1, 50_000))]));
    assert!(throttle_of_produce(&world.take(debtor)) > 0);
    let mut frame = Vec::with_capacity(1 << 20);
    let whole = produce(7, 2, -1, "t", &[(0, &batch(1, 100))]);
    let body = &whole[4..];
    // The same request under another client id of the same length.
    frame.extend_from_slice(&whole[..4]);
    frame.extend(body.iter().copied());
    let at = frame.windows(6).position(|window| window == b"tester").unwrap();
    frame[at..at + 6].copy_from_slice(b"friend");
    world.send(other, &frame);
    assert_eq!(throttle_of_produce(&world.take(other)), 0);
    // A connection of the debtor that only asks is answered and read.
    let asking = world.connect();
    for id in 0..3 {
        world.send(asking, &metadata(4, id, &["t"]));
        assert_eq!(reply::<MetadataResponse<'_>>(4, &world.take(asking)).throttle_time_ms, 0);
    }
}

/// acks=0 has no answer to say it in; the connection waits all the same.
#[test]
fn produce_without_answer() {
    let mut world = world("producer_byte_rate", 10_000.0);
    let conn = world.connect();
    world.send(conn, &produce(7, 1, 0, "t", &[(0, &batch(1, 30_000))]));
    world.send(conn, &metadata(4, 2, &["t"]));
    assert!(world.unread(conn) > 0 && world.take(conn).is_empty());
    world.pass_ms(2500);
    assert_eq!(correlation_ids(&world.take(conn)), [2]);
}

/// What a fetch brings is paid for to the byte, and an answer does not run far ahead of the quota.
#[test]
fn fetch_is_counted() {
    let mut world = world("consumer_byte_rate", 100_000.0);
    let conn = world.connect();
    for id in 0..80 {
        world.send(conn, &produce(7, id, -1, "t", &[(0, &batch(1, 5000))]));
    }
    world.take(conn);
    world.send(conn, &fetch(Ask::default(), 50, "t", &[(0, 0)]));
    let bytes = world.take(conn);
    let size = fetched(11, &bytes).partitions[0].3;
    assert!((50_000..=100_000).contains(&size), "{size} of 400,000");
    assert_eq!(reply::<FetchResponse<'_>>(11, &bytes).throttle_time_ms, 0);
    world.send(conn, &fetch(Ask::default(), 51, "t", &[(0, 0)]));
    let bytes = world.take(conn);
    let throttle_ms = reply::<FetchResponse<'_>>(11, &bytes).throttle_time_ms;
    let owed = (2 * size - 100_000) / 100;
    assert!((owed as i32 - throttle_ms).abs() <= 1, "{throttle_ms} for {size} twice");
    world.send(conn, &fetch(Ask::default(), 52, "t", &[(0, 0)]));
    assert!(world.take(conn).is_empty());
    world.pass_ms(throttle_ms as u64);
    assert_eq!(correlation_ids(&world.take(conn)), [52]);
}

/// The time that a client's requests take counts against its share of the thread, for every kind of request.
#[test]
fn requests_are_counted() {
    let mut world = world("request_percentage", 10.0);
    let conn = world.connect();
    world.send(conn, &metadata(4, 1, &["t"]));
    assert_eq!(reply::<MetadataResponse<'_>>(4, &world.take(conn)).throttle_time_ms, 0);
    world.door.spent(world.now, conn, std::time::Duration::from_millis(300));
    world.send(conn, &metadata(4, 2, &["t"]));
    let throttle_ms = reply::<MetadataResponse<'_>>(4, &world.take(conn)).throttle_time_ms;
    assert!((1900..=2000).contains(&throttle_ms), "a tenth of a second is free: {throttle_ms}");
    world.send(conn, &metadata(4, 3, &["t"]));
    assert!(world.take(conn).is_empty());
    world.pass_ms(2000);
    assert_eq!(correlation_ids(&world.take(conn)), [3]);
}

/// A quota that is taken away holds nobody any more, once what he owes is paid.
#[test]
fn removed() {
    let mut world = world("producer_byte_rate", 10_000.0);
    let (admin, conn) = (world.connect(), world.connect());
    world.send(admin, &alter(None, "producer_byte_rate", None));
    world.take(admin);
    for id in 0..10 {
        world.send(conn, &produce(7, id, -1, "t", &[(0, &batch(1, 30_000))]));
        assert_eq!(throttle_of_produce(&world.take(conn)), 0);
    }
}

/// What is set is described, by exact names, defaults and any; a strict filter wants no other parts.
#[test]
fn described() {
    let mut world = world("producer_byte_rate", 10_000.0);
    let conn = world.connect();
    world.send(conn, &alter(Some("a/b"), "consumer_byte_rate", Some(7.0)));
    world.take(conn);
    let mut ask = |components: &[QuotaFilterComponent<'_>]| {
        let body = DescribeClientQuotasRequest { components: Array::of(components), strict: true };
        world.send(conn, &request(1, 9, &body));
        let bytes = world.take(conn);
        let response: DescribeClientQuotasResponse<'_> = reply(1, &bytes);
        let entries = response.entries.into_iter().flatten().map(|entry| {
            let name = entry.entity.iter().next().unwrap().entity_name.map(str::to_owned);
            let value = entry.values.iter().next().unwrap();
            (name, value.key.to_owned(), value.value)
        });
        (response.error_code, entries.collect::<Vec<_>>())
    };
    let component = |match_type, _match| QuotaFilterComponent { entity_type: "client-id", match_type, _match };
    let named = (Some("a/b".to_owned()), "consumer_byte_rate".to_owned(), 7.0);
    let all = (None, "producer_byte_rate".to_owned(), 10_000.0);
    assert_eq!(ask(&[component(0, Some("a/b"))]), (ErrorCode::NONE, vec![named.clone()]));
    assert_eq!(ask(&[component(1, None)]), (ErrorCode::NONE, vec![all.clone()]));
    assert_eq!(ask(&[component(2, None)]).1.len(), 2);
    assert_eq!(ask(&[QuotaFilterComponent { entity_type: "user", match_type: 2, _match: None }]).1, []);
    assert_eq!(ask(&[QuotaFilterComponent { entity_type: "ip", match_type: 2, _match: None }]).1, []);
    assert_eq!(ask(&[component(7, None)]).0, ErrorCode::INVALID_REQUEST);
    assert_eq!(ask(&[component(2, None), component(2, None)]).0, ErrorCode::INVALID_REQUEST);
    let unknown = QuotaFilterComponent { entity_type: "colour", match_type: 2, _match: None };
    assert_eq!(ask(&[unknown]).0, ErrorCode::UNSUPPORTED_VERSION);
}
