//! A Kafka client's connection to whoever leads a partition or coordinates a group: finds it, asks, gives up on silence and
//! begins again elsewhere.

use std::collections::VecDeque;

use tern::kafka::codec::{
    Array, FindCoordinatorRequest, FindCoordinatorResponse, Message, MetadataRequest, MetadataRequestTopic,
    MetadataResponse, read_response, start_of_response, write_request,
};
use tern::node::Listener;
use tern::types::TopicId;

use super::{ClientEvent, Io};

const SILENCE_MICROS_MAX: u64 = 2_500_000;

/// Whom it looks for.
#[derive(Clone, Debug)]
pub enum Wanted {
    Leader(&'static str, i32),
    Coordinator(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting,
    /// Since when; true when the board is known to be the right one.
    Dialing(u64, bool),
    /// Which board is it?
    Asking,
    Ready,
}

/// What came of an event.
pub enum Outcome {
    /// The right board listens; nothing is under way.
    Ready,
    /// Correlation id and the frame of a reply.
    Reply(i32, Vec<u8>),
    /// The connection is gone, and with it the answers.
    Lost,
}

/// The connection.
#[derive(Debug)]
pub struct KafkaLink {
    wanted: Wanted,
    number: u32,
    board: usize,
    state: State,
    inbox: Vec<u8>,
    correlation: i32,
    waiting: VecDeque<(i32, u64)>,
}

impl KafkaLink {
    pub fn new(wanted: Wanted) -> KafkaLink {
        KafkaLink {
            wanted,
            number: 0,
            board: 0,
            state: State::Resting,
            inbox: Vec::new(),
            correlation: 0,
            waiting: VecDeque::new(),
        }
    }

    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a request; its correlation id.
    pub fn ask<M: Message>(&mut self, io: &mut Io<'_>, version: i16, message: &M) -> i32 {
        self.correlation += 1;
        let mut bytes = Vec::with_capacity(message.size(version) + 64);
        let client = format!("client-{}", io.client);
        write_request(&mut bytes, version, self.correlation, Some(&client), message).expect("there is room");
        io.send(self.number, bytes);
        self.waiting.push_back((self.correlation, io.now));
        self.correlation
    }

    /// Drops the connection; looks for the right board again at the next `tick`.
    pub fn give_up(&mut self, io: &mut Io<'_>) {
        if self.state != State::Resting {
            io.close(self.number);
        }
        self.state = State::Resting;
        self.waiting.clear();
        self.inbox.clear();
    }

    fn dial(&mut self, io: &mut Io<'_>, board: usize, is_known: bool) {
        self.give_up(io);
        self.number += 1;
        self.board = board;
        self.state = State::Dialing(io.now, is_known);
        io.dial(self.number, board, Listener::Kafka(0));
    }

    /// To be called now and then. True: the connection was lost by silence.
    pub fn tick(&mut self, io: &mut Io<'_>) -> bool {
        let since = match self.state {
            State::Resting => {
                let board = io.rng.below(io.boards as u64) as usize;
                self.dial(io, board, false);
                return false;
            }
            State::Dialing(since, _) => Some(since),
            State::Asking | State::Ready => self.waiting.front().map(|(_, since)| *since),
        };
        let is_silent = since.is_some_and(|since| io.now - since > SILENCE_MICROS_MAX);
        if is_silent {
            self.give_up(io);
        }
        is_silent
    }

    /// Takes an event in.
    pub fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) -> Vec<Outcome> {
        match event {
            ClientEvent::Opened(number) if number == self.number => {
                if let State::Dialing(_, is_known) = self.state {
                    if is_known {
                        self.state = State::Ready;
                        return vec![Outcome::Ready];
                    }
                    self.state = State::Asking;
                    self.look_for(io);
                }
                Vec::new()
            }
            ClientEvent::Bytes(number, bytes) if number == self.number && self.state != State::Resting => {
                self.inbox.extend(bytes);
                self.frames(io)
            }
            ClientEvent::Closed(number) if number == self.number && self.state != State::Resting => {
                self.give_up(io);
                vec![Outcome::Lost]
            }
            _ => Vec::new(),
        }
    }

    fn look_for(&mut self, io: &mut Io<'_>) {
        match self.wanted.clone() {
            Wanted::Leader(topic, _) => {
                let topics = [MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some(topic) }];
                self.ask(io, 9, &MetadataRequest { topics: Some(Array::of(&topics)), ..Default::default() });
            }
            Wanted::Coordinator(group) => {
                self.ask(io, 2, &FindCoordinatorRequest { key: &group, ..Default::default() });
            }
        }
    }

    fn frames(&mut self, io: &mut Io<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((head, rest)) = self.inbox.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            let Some(frame) = rest.get(..length).map(<[u8]>::to_vec) else { break };
            self.inbox.drain(..4 + length);
            let correlation = start_of_response(&frame).expect("a response");
            let asked = self.waiting.pop_front().map(|(asked, _)| asked);
            assert_eq!(asked, Some(correlation), "replies out of order");
            if self.state == State::Asking {
                match self.found(&frame) {
                    Some(board) if board == self.board => {
                        self.state = State::Ready;
                        outcomes.push(Outcome::Ready);
                    }
                    Some(board) => self.dial(io, board, true),
                    None => self.give_up(io),
                }
            } else {
                outcomes.push(Outcome::Reply(correlation, frame));
            }
        }
        outcomes
    }

    /// The right board, when somebody knows it.
    fn found(&self, frame: &[u8]) -> Option<usize> {
        let node = match &self.wanted {
            Wanted::Leader(topic, index) => {
                let response = read_response::<MetadataResponse<'_>>(9, frame).expect("metadata").1;
                let topic = response.topics.iter().find(|found| found.name == Some(*topic))?;
                let partition = topic.partitions.iter().find(|partition| partition.partition_index.0 == *index)?;
                partition.leader_id
            }
            Wanted::Coordinator(_) => {
                let response = read_response::<FindCoordinatorResponse<'_>>(2, frame).expect("a coordinator").1;
                response.error_code.is_none().then_some(response.node_id)?
            }
        };
        (node.0 > 0).then(|| node.0 as usize - 1)
    }
}
