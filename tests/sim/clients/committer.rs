//! A consumer that only notes how far it has come: one offset after the other, and now and then it asks what is noted.

use tern::kafka::codec::{
    Array, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse, read_response,
};
use tern::kafka::errors::ErrorCode;
use tern::types::{LeaderEpoch, Offset, PartitionIndex};

use super::kafka_link::{KafkaLink, Outcome, Wanted};
use super::{Client, ClientEvent, Io, Phase};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Commit(i64),
    Fetch,
}

/// The committer.
pub struct Committer {
    group: String,
    link: KafkaLink,
    asked: Asked,
    next: i64,
    done: u64,
    last_error: ErrorCode,
}

impl Committer {
    pub fn new(number: usize) -> Committer {
        let group = format!("group-{number}");
        let link = KafkaLink::new(Wanted::Coordinator(group.clone()));
        Committer { group, link, asked: Asked::Nothing, next: 1, done: 0, last_error: ErrorCode::NONE }
    }

    fn work(&mut self, io: &mut Io<'_>) {
        if io.phase == Phase::Silent || !self.link.is_ready() || self.asked != Asked::Nothing {
            return;
        }
        if io.rng.one_in(3) {
            let indexes = [PartitionIndex(0)];
            let topics = [OffsetFetchRequestTopic { name: "records", partition_indexes: Array::of(&indexes) }];
            let topics = Some(Array::of(&topics));
            self.link.ask(io, 5, &OffsetFetchRequest { group_id: &self.group, topics, ..Default::default() });
            self.asked = Asked::Fetch;
            return;
        }
        let offset = self.next;
        self.next += 1;
        io.history.commits.attempted(&self.group, offset);
        let partitions = [OffsetCommitRequestPartition {
            partition_index: PartitionIndex(0),
            committed_offset: Offset(offset),
            committed_leader_epoch: LeaderEpoch::NONE,
            committed_metadata: None,
        }];
        let topics = [OffsetCommitRequestTopic { name: "records", partitions: Array::of(&partitions) }];
        let message = OffsetCommitRequest { group_id: &self.group, topics: Array::of(&topics), ..Default::default() };
        self.link.ask(io, 7, &message);
        self.asked = Asked::Commit(offset);
    }

    fn replied(&mut self, frame: &[u8], io: &mut Io<'_>) {
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        let error = match asked {
            Asked::Nothing => return,
            Asked::Commit(offset) => {
                let response = read_response::<OffsetCommitResponse<'_>>(7, frame).expect("a commit's response").1;
                let topic = response.topics.iter().next().expect("one topic");
                let error = topic.partitions.iter().next().expect("one partition").error_code;
                if error.is_none() {
                    io.history.commits.acknowledged(&self.group, offset);
                }
                error
            }
            Asked::Fetch => {
                let response = read_response::<OffsetFetchResponse<'_>>(5, frame).expect("a fetch's response").1;
                let partition = response.topics.iter().next().and_then(|topic| topic.partitions.iter().next());
                let error = partition.as_ref().map_or(response.error_code, |partition| partition.error_code);
                if response.error_code.is_none() && error.is_none() {
                    let found = partition.expect("one partition").committed_offset.0;
                    io.history.commits.fetched(&self.group, found);
                }
                if error.is_none() { response.error_code } else { error }
            }
        };
        if error.is_none() {
            self.done += 1;
            io.history.operations += 1;
        } else {
            self.last_error = error;
            io.history.refused(error);
            self.link.give_up(io);
        }
    }
}

impl Client for Committer {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        if let ClientEvent::Wake = event {
            if self.link.tick(io) {
                self.asked = Asked::Nothing;
            }
            self.work(io);
            return io.wake_in_ms(60, 140);
        }
        for outcome in self.link.event(event, io) {
            match outcome {
                Outcome::Ready => {}
                Outcome::Reply(_, frame) => self.replied(&frame, io),
                Outcome::Lost => self.asked = Asked::Nothing,
            }
        }
        if !self.link.is_ready() {
            self.asked = Asked::Nothing;
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!("{}: {:?} {:?} last error {}", self.group, self.link, self.asked, self.last_error)
    }
}
