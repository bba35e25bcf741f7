//! An idempotent Kafka producer of one partition: up to five batches under way, sent again in order until acknowledged.

use std::collections::VecDeque;

use tern::kafka::codec::{
    Array, InitProducerIdRequest, InitProducerIdResponse, PartitionProduceData, ProduceRequest, ProduceResponse,
    TopicProduceData, read_response,
};
use tern::kafka::errors::ErrorCode;
use tern::record::{BatchBuilder, NewRecord, Producer as Identity};
use tern::types::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId};

use super::kafka_link::{KafkaLink, Outcome, Wanted};
use super::{Client, ClientEvent, Io, Phase};
use crate::board::WALL_MS;

const IN_FLIGHT_MAX: usize = 5;

#[derive(Debug)]
struct Batch {
    base_sequence: i32,
    values: Vec<Vec<u8>>,
    correlation: Option<i32>,
}

/// The producer.
pub struct Producer {
    topic: &'static str,
    partition: i32,
    link: KafkaLink,
    identity: Option<(ProducerId, ProducerEpoch)>,
    asks_identity: Option<i32>,
    batches: VecDeque<Batch>,
    next_sequence: i32,
    next_value: u64,
    done: u64,
    last_error: ErrorCode,
}

impl Producer {
    pub fn new(topic: &'static str, partition: i32) -> Producer {
        Producer {
            topic,
            partition,
            link: KafkaLink::new(Wanted::Leader(topic, partition)),
            identity: None,
            asks_identity: None,
            batches: VecDeque::new(),
            next_sequence: 0,
            next_value: 0,
            done: 0,
            last_error: ErrorCode::NONE,
        }
    }

    fn lost(&mut self) {
        self.asks_identity = None;
        self.batches.iter_mut().for_each(|batch| batch.correlation = None);
    }

    fn work(&mut self, io: &mut Io<'_>) {
        if !self.link.is_ready() {
            return;
        }
        if self.identity.is_none() {
            if self.asks_identity.is_none() {
                let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() };
                self.asks_identity = Some(self.link.ask(io, 1, &request));
            }
            return;
        }
        for place in 0..self.batches.len() {
            if self.batches[place].correlation.is_none() {
                self.send(io, place);
            }
        }
    }

    fn gather(&mut self, io: &mut Io<'_>) {
        if io.phase == Phase::Silent || self.batches.len() >= IN_FLIGHT_MAX || self.identity.is_none() {
            return;
        }
        let count = 1 + io.rng.below(3);
        let values: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                self.next_value += 1;
                let length = io.rng.below(60) as usize;
                format!("{} {} {}", io.client, self.next_value, "x".repeat(length)).into_bytes()
            })
            .collect();
        let base_sequence = self.next_sequence;
        self.next_sequence += values.len() as i32;
        self.batches.push_back(Batch { base_sequence, values, correlation: None });
    }

    fn send(&mut self, io: &mut Io<'_>, place: usize) {
        let Some((id, epoch)) = self.identity else { return };
        let batch = &self.batches[place];
        let mut builder = BatchBuilder::new(1 << 16);
        builder.set_producer(Identity { id, epoch, base_sequence: batch.base_sequence });
        for value in &batch.values {
            let timestamp = Timestamp(WALL_MS + io.now as i64 / 1000);
            let record = NewRecord { timestamp, key: None, value: Some(value), headers: &[] };
            builder.push(&record).expect("it fits");
        }
        let bytes = builder.seal(Offset(0), LeaderEpoch(-1));
        let data = [PartitionProduceData { index: PartitionIndex(self.partition), records: Some(&bytes) }];
        let topics = [TopicProduceData { name: self.topic, topic_id: TopicId::ZERO, partition_data: Array::of(&data) }];
        let message =
            ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 3000, topic_data: Array::of(&topics) };
        self.batches[place].correlation = Some(self.link.ask(io, 7, &message));
    }

    fn replied(&mut self, correlation: i32, frame: &[u8], io: &mut Io<'_>) {
        if self.asks_identity == Some(correlation) {
            self.asks_identity = None;
            let response = read_response::<InitProducerIdResponse>(1, frame).expect("a producer id").1;
            if response.error_code.is_none() {
                self.identity = Some((response.producer_id, response.producer_epoch));
            }
            return;
        }
        let response = read_response::<ProduceResponse<'_>>(7, frame).expect("a produce response").1;
        let topic = response.responses.iter().next().expect("one topic");
        let data = topic.partition_responses.iter().next().expect("one partition");
        let Some(batch) = self.batches.front().filter(|batch| batch.correlation == Some(correlation)) else {
            return; // of one before it that failed
        };
        if data.error_code.is_none() {
            let place = (self.topic, self.partition);
            io.history.records.acknowledged(place, data.base_offset, &batch.values);
            self.done += 1;
            io.history.operations += 1;
            self.batches.pop_front();
            return;
        }
        self.last_error = data.error_code;
        io.history.refused(data.error_code);
        self.lost();
        self.link.give_up(io);
    }
}

impl Client for Producer {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        if let ClientEvent::Wake = event {
            if self.link.tick(io) {
                self.lost();
            }
            self.gather(io);
            io.wake_in_ms(60, 120);
        } else {
            for outcome in self.link.event(event, io) {
                match outcome {
                    Outcome::Ready => {}
                    Outcome::Reply(correlation, frame) => self.replied(correlation, &frame, io),
                    Outcome::Lost => self.lost(),
                }
            }
        }
        self.work(io);
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!(
            "producer of {} {}: {:?} {:?} last error {}",
            self.topic, self.partition, self.link, self.batches, self.last_error
        )
    }
}
