//! What a message costs in this door, without sockets and disk: `cargo test --release --lib mqtt_speed -- --ignored
//! --nocapture`.

use super::*;

/// A log that writes records into a batch, throws it away, and knows who waits.
#[derive(Default)]
struct NullLog {
    builder: Option<BatchBuilder>,
    waiters: Vec<Waiter>,
}

impl Backend for NullLog {
    fn partition_count(&self, _topic: &str) -> Option<u32> {
        Some(1)
    }

    fn partition(&mut self, _topic: &str, _index: PartitionIndex) -> Option<PartitionKey> {
        Some(PartitionKey(0))
    }

    fn append_record(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        let builder = self.builder.get_or_insert_with(|| BatchBuilder::new(1 << 20));
        if builder.push(&record).is_err() {
            builder.seal(Offset(0), LeaderEpoch(0));
            builder.push(&record).unwrap();
        }
        self.waiters.extend(waiter);
        Ok(Offset(0))
    }

    fn auto_create_topic(
        &mut self,
        _now: Now,
        _name: &str,
        _waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<bool, TopicError> {
        Ok(false)
    }

    fn set_tails(&mut self, _on: bool) {}

    fn awaits_tails(&mut self, _now: Now) -> bool {
        false
    }
}

/// 50 publishers, 20 messages of 200 bytes in flight each, at QoS 1.
#[test]
#[ignore = "a measurement"]
fn mqtt_speed() {
    let mut bench = Bench::default();
    let clients: Vec<_> = (0..50).map(|index| bench.client(&format!("sensor-{index}"))).collect();
    bench.door.settings.receive_maximum = 64;
    let bursts: Vec<Vec<u8>> = (0..50)
        .map(|index| {
            let topic = format!("sensors/{index}/temperature");
            (1..=20).flat_map(|packet_id| publish(0x32, &topic, packet_id, None, &[7; 200])).collect()
        })
        .collect();
    let mut log = NullLog::default();
    let at = AppendedAt { base_offset: Offset(0), log_append_time: Timestamp(-1), log_start_offset: Offset(0) };
    let rounds = 2000;
    let started = std::time::Instant::now();
    for _ in 0..rounds {
        for (&conn, burst) in clients.iter().zip(&bursts) {
            bench.door.on_bytes(bench.now, conn, burst, &mut log, &mut bench.fx);
        }
        for waiter in std::mem::take(&mut log.waiters) {
            let completion = Completion::Appended(Ok(at));
            bench.door.on_completion(bench.now, waiter, completion);
        }
        bench.door.on_turn_end(bench.now, &mut log, &mut bench.fx);
        let list = bench.fx.take();
        assert_eq!(list.len(), 50);
        bench.fx.clear(list);
    }
    let per_message = started.elapsed() / (rounds * 50 * 20);
    println!("{per_message:?} a message, {:?}", bench.door.stats());
}
