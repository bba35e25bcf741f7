//! A Kafka consumer of one partition without a group: reads from the beginning, now and then again from some earlier spot.

use tern::kafka::codec::{Array, FetchPartition, FetchRequest, FetchResponse, FetchTopic, read_response};
use tern::kafka::errors::ErrorCode;
use tern::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::kafka_link::{KafkaLink, Outcome, Wanted};
use super::{Client, ClientEvent, Io, Phase};
use crate::invariants::records::open_batches;

/// The consumer.
pub struct Consumer {
    topic: &'static str,
    partition: i32,
    link: KafkaLink,
    offset: i64,
    done: u64,
    last_error: ErrorCode,
}

impl Consumer {
    pub fn new(topic: &'static str, partition: i32) -> Consumer {
        let link = KafkaLink::new(Wanted::Leader(topic, partition));
        Consumer { topic, partition, link, offset: 0, done: 0, last_error: ErrorCode::NONE }
    }

    fn work(&mut self, io: &mut Io<'_>) {
        if io.phase == Phase::Silent || !self.link.is_ready() || self.link.in_flight() > 0 {
            return;
        }
        let partitions = [FetchPartition {
            partition: PartitionIndex(self.partition),
            current_leader_epoch: LeaderEpoch::NONE,
            fetch_offset: Offset(self.offset),
            partition_max_bytes: 8 << 10,
            ..Default::default()
        }];
        let topics = [FetchTopic { topic: self.topic, topic_id: TopicId::ZERO, partitions: Array::of(&partitions) }];
        let message = FetchRequest {
            max_wait_ms: 400,
            min_bytes: 1,
            max_bytes: 32 << 10,
            topics: Array::of(&topics),
            ..Default::default()
        };
        self.link.ask(io, 11, &message);
    }

    fn replied(&mut self, frame: &[u8], io: &mut Io<'_>) {
        let response = read_response::<FetchResponse<'_>>(11, frame).expect("a fetch response").1;
        let data = response.responses.iter().next().and_then(|topic| topic.partitions.iter().next());
        let Some(data) = data else { return self.link.give_up(io) };
        if !data.error_code.is_none() {
            self.last_error = data.error_code;
            io.history.refused(data.error_code);
            return self.link.give_up(io);
        }
        let place = (self.topic, self.partition);
        for (offset, value) in open_batches(data.records.here()) {
            assert!(offset < data.high_watermark.0, "{place:?} {offset} is served at or above the high watermark");
            if offset >= self.offset {
                io.history.records.read(place, offset, value);
                self.offset = offset + 1;
            }
        }
        self.done += 1;
        io.history.operations += 1;
        if io.rng.one_in(50) {
            self.offset = io.rng.below(self.offset as u64 + 1) as i64;
        }
    }
}

impl Client for Consumer {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        if let ClientEvent::Wake = event {
            self.link.tick(io);
            self.work(io);
            return io.wake_in_ms(100, 100);
        }
        for outcome in self.link.event(event, io) {
            if let Outcome::Reply(_, frame) = outcome {
                self.replied(&frame, io);
            }
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!(
            "consumer of {} {}: {:?} at {} last error {}",
            self.topic, self.partition, self.link, self.offset, self.last_error
        )
    }
}
