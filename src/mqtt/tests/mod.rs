//! The whole door against a log that only this file knows: what is appended, when it becomes durable, what leaves.

mod deliver;
mod fuzz;
mod ingest;
mod pressure;
mod session;
mod speed;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::backend::Backend;
use super::mapping::Mapping;
use super::{MqttDoor, Settings};
use crate::config::MapLine;
use crate::effect::{Effect, Effects};
use crate::engine::{
    AppendError, AppendedAt, Completion, Door, NewRecord, PartitionKey, TopicDone, TopicError, Waiter,
};
use crate::memory::Account;
use crate::record::{BatchBuilder, NewRecord as BatchRecord, partition_of};
use crate::types::{ConnId, Instant, LeaderEpoch, NodeId, Now, Offset, PartitionIndex, Rng, Slot, Timestamp, TopicId};

/// Names and values of a record's headers.
pub type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// A record as the door handed it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub key: PartitionKey,
    pub record_key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub waiter: Option<Waiter>,
}

impl Appended {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| std::str::from_utf8(value).unwrap())
    }
}

/// A log in memory. Nothing is durable until the test says so.
#[derive(Debug, Default)]
pub struct FakeLog {
    /// Topics with the keys of their partitions.
    pub topics: BTreeMap<String, Vec<PartitionKey>>,
    pub appended: Vec<Appended>,
    /// Appends until `Busy`; `None`: no end.
    pub room: Option<usize>,
    /// What every append answers, if anything.
    pub error: Option<AppendError>,
    /// What creating a topic answers, if anything but success.
    pub topic_error: Option<TopicError>,
    /// Creations that wait for the test.
    pub creating: Vec<(String, Waiter)>,
    pub tails: bool,
    /// A subscriber would miss something now.
    pub awaits_tails: bool,
    next_key: u32,
}

impl FakeLog {
    pub fn add_topic(&mut self, name: &str, partitions: u32) {
        let keys = (0..partitions).map(|index| PartitionKey(self.next_key + index)).collect();
        self.next_key += partitions;
        self.topics.insert(name.to_owned(), keys);
    }
}

impl Backend for FakeLog {
    fn partition_count(&self, topic: &str) -> Option<u32> {
        self.topics.get(topic).map(|keys| keys.len() as u32)
    }

    fn partition(&mut self, topic: &str, index: PartitionIndex) -> Option<PartitionKey> {
        self.topics.get(topic)?.get(index.0 as usize).copied()
    }

    fn append_record(
        &mut self,
        _now: Now,
        key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        if !self.topics.values().any(|keys| keys.contains(&key)) {
            return Err(AppendError::UnknownPartition);
        }
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match &mut self.room {
            Some(0) => return Err(AppendError::Busy),
            Some(room) => *room -= 1,
            None => {}
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.appended.push(Appended {
            key,
            record_key: record.key.map(<[u8]>::to_vec),
            value: record.value.unwrap().to_vec(),
            headers: record.headers.iter().map(|(name, value)| (text(name), value.to_vec())).collect(),
            waiter,
        });
        Ok(Offset(self.appended.len() as i64))
    }

    fn auto_create_topic(
        &mut self,
        _now: Now,
        name: &str,
        waiter: Option<Waiter>,
        _fx: &mut Effects,
    ) -> Result<bool, TopicError> {
        if let Some(error) = &self.topic_error {
            return Err(error.clone());
        }
        self.creating.push((name.to_owned(), waiter.unwrap()));
        Ok(true)
    }

    fn set_tails(&mut self, on: bool) {
        self.tails = on;
    }

    fn awaits_tails(&mut self, _now: Now) -> bool {
        self.awaits_tails
    }
}

/// A door with its log, its sockets and its clock.
pub struct Bench {
    pub door: MqttDoor,
    pub log: FakeLog,
    pub fx: Effects,
    pub now: Now,
    /// What each socket has got and the test has not looked at.
    pub out: BTreeMap<ConnId, Vec<u8>>,
    pub closed: BTreeSet<ConnId>,
    pub resumed: BTreeSet<ConnId>,
    /// Sockets that take nothing.
    pub stuck: BTreeSet<ConnId>,
    /// Grants of what the stuck sockets have not taken.
    held: Vec<(ConnId, crate::memory::Grant)>,
    next_conn: u32,
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new(&[])
    }
}

impl Bench {
    pub fn new(rules: &[&str]) -> Bench {
        let line = |(index, text): (usize, &&str)| MapLine {
            number: index as u32,
            text: (*text).to_owned(),
            source: "test".to_owned(),
        };
        let settings = Settings {
            node_id: NodeId(1),
            mapping: Mapping::compile(&rules.iter().enumerate().map(line).collect::<Vec<_>>()).unwrap(),
            packet_bytes_max: 1 << 20,
            receive_maximum: 8,
            topics_created_max: 2,
            packets: Account::new(1 << 20),
            output: Account::new(1 << 20),
        };
        let mut log = FakeLog::default();
        log.add_topic("mqtt", 1);
        Bench {
            door: MqttDoor::new(settings, Rng::new(1)),
            log,
            fx: Effects::default(),
            now: Now { mono: Instant(1_000_000), wall: Timestamp(1_700_000_000_000) },
            out: BTreeMap::new(),
            closed: BTreeSet::new(),
            resumed: BTreeSet::new(),
            stuck: BTreeSet::new(),
            held: Vec::new(),
            next_conn: 0,
        }
    }

    pub fn accept(&mut self) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId { index: self.next_conn % 1000, generation: self.next_conn };
        self.door.on_accepted(self.now, conn);
        conn
    }

    /// A 3.1.1 client with an open session.
    pub fn client(&mut self, id: &str) -> ConnId {
        self.open(&connect_v4(id))
    }

    /// A version 5 client with an open session.
    pub fn client_v5(&mut self, id: &str) -> ConnId {
        self.open(&connect_v5(id))
    }

    pub fn open(&mut self, connect: &[u8]) -> ConnId {
        let conn = self.accept();
        self.send(conn, connect);
        let answer = self.take_out(conn);
        assert_eq!(answer[0], 0x20);
        assert_eq!(answer[3], 0, "{answer:x?}");
        conn
    }

    /// Bytes arrive, as many at a time as the door reads, while it reads; then the turn ends. Returns what was not read.
    pub fn send(&mut self, conn: ConnId, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            let limit = self.read_limit(conn).min(bytes.len());
            if limit == 0 {
                break;
            }
            let (now, rest) = bytes.split_at(limit);
            self.door.on_bytes(self.now, conn, now, &mut self.log, &mut self.fx);
            bytes = rest;
            self.carry_out();
        }
        self.turn();
        bytes.len()
    }

    pub fn read_limit(&self, conn: ConnId) -> usize {
        self.door.get(conn).map_or(0, |connection| connection.read_limit())
    }

    pub fn turn(&mut self) {
        self.door.on_turn_end(self.now, &mut self.log, &mut self.fx);
        self.carry_out();
    }

    /// Time passes, a second at most at a time, and deadlines are kept.
    pub fn sleep(&mut self, millis: u64) {
        let mut left = millis;
        while left > 0 {
            let step = left.min(1000);
            self.now.mono = self.now.mono.plus_millis(step);
            self.now.wall.0 += step as i64;
            left -= step;
            self.door.on_deadline(self.now, &mut self.log, &mut self.fx);
            self.carry_out();
            self.turn();
        }
    }

    /// Everything appended is durable, in an order of the test's choosing.
    pub fn durable(&mut self, mut order: impl FnMut(&mut Vec<Waiter>)) {
        let mut waiters = self.log.appended.iter_mut().filter_map(|appended| appended.waiter.take()).collect();
        order(&mut waiters);
        for waiter in waiters {
            self.settle(waiter, Ok(()));
        }
        self.turn();
    }

    /// Everything appended is durable.
    pub fn sync(&mut self) {
        self.durable(|_| {});
    }

    pub fn settle(&mut self, waiter: Waiter, result: Result<(), AppendError>) {
        let at = AppendedAt { base_offset: Offset(0), log_append_time: Timestamp(-1), log_start_offset: Offset(0) };
        let completion = Completion::Appended(result.map(|()| at));
        self.complete(waiter, completion);
    }

    pub fn complete(&mut self, waiter: Waiter, completion: Completion) {
        self.door.on_completion(self.now, waiter, completion);
        self.carry_out();
    }

    /// The topics that wait to be created are, or are not.
    pub fn created(&mut self, partitions: u32, error: Option<TopicError>) {
        for (name, waiter) in std::mem::take(&mut self.log.creating) {
            if error.is_none() {
                self.log.add_topic(&name, partitions);
            }
            let done = TopicDone { id: TopicId::ZERO, partitions: partitions as i32, replication: 1 };
            let result = error.clone().map_or(Ok(done), Err);
            self.complete(waiter, Completion::Topics(vec![(name.as_str().into(), result)]));
        }
        self.turn();
    }

    /// A Kafka client has written to `topic`.
    pub fn tail(&mut self, topic: &str, records: &[(&[u8], Headers<'_>)]) {
        let mut builder = BatchBuilder::new(1 << 20);
        for (value, headers) in records {
            let headers: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
            let record = BatchRecord { timestamp: Timestamp(1), key: None, value: Some(value), headers: &headers };
            builder.push(&record).unwrap();
        }
        self.tail_batch(topic, builder.seal(Offset(0), LeaderEpoch(0)).freeze());
    }

    pub fn tail_batch(&mut self, topic: &str, batch: Bytes) {
        let (topic, partition) = (topic.into(), PartitionIndex(0));
        self.complete(Waiter::door(Door::Mqtt), Completion::Tail { topic, partition, batches: vec![batch] });
        self.turn();
    }

    /// What the socket has got since the last look.
    pub fn take_out(&mut self, conn: ConnId) -> Vec<u8> {
        self.out.remove(&conn).unwrap_or_default()
    }

    /// The socket is gone.
    pub fn close(&mut self, conn: ConnId) {
        self.held.retain(|(other, _)| *other != conn);
        self.door.on_closed(conn, &mut self.log);
        self.turn();
    }

    fn carry_out(&mut self) {
        let mut drained = BTreeSet::new();
        let mut list = self.fx.take();
        for effect in list.drain(..) {
            match effect {
                Effect::Send { conn, bytes, grant } => {
                    self.out.entry(conn).or_default().extend_from_slice(&bytes);
                    if self.stuck.contains(&conn) {
                        self.held.push((conn, grant));
                    } else {
                        drained.insert(conn);
                    }
                }
                Effect::SendCopied { conn, range } => {
                    let bytes = self.fx.copied(range).to_vec();
                    self.out.entry(conn).or_default().extend_from_slice(&bytes);
                }
                Effect::Close { conn } => {
                    self.closed.insert(conn);
                }
                Effect::Resume { conn } => {
                    self.resumed.insert(conn);
                }
                other => panic!("the door asks for {other:?}"),
            }
        }
        self.fx.clear(list);
        for conn in drained {
            self.door.on_drained(conn);
        }
    }

    /// The socket takes everything again.
    pub fn unstick(&mut self, conn: ConnId) {
        self.stuck.remove(&conn);
        self.held.retain(|(other, _)| *other != conn);
        self.door.on_drained(conn);
        self.turn();
    }
}

pub fn connect_v4(id: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x02\x00\x3c".to_vec();
    body.extend((id.len() as u16).to_be_bytes());
    body.extend(id.as_bytes());
    packet(0x10, &body)
}

pub fn connect_v5(id: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
    body.extend((id.len() as u16).to_be_bytes());
    body.extend(id.as_bytes());
    packet(0x10, &body)
}

/// A PUBLISH; `properties` are the encoded ones of version 5.
pub fn publish(first: u8, topic: &str, packet_id: u16, properties: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    if first & 6 != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    if let Some(properties) = properties {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend(payload);
    packet(first, &body)
}

/// SUBSCRIBE of one filter.
pub fn subscribe(packet_id: u16, filter: &str, options: u8, properties: Option<&[u8]>) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if let Some(properties) = properties {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend((filter.len() as u16).to_be_bytes());
    body.extend(filter.as_bytes());
    body.push(options);
    packet(0x82, &body)
}

pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(body);
    out
}

/// The slot of a waiter that is nobody's: for completions out of the blue.
pub fn stray(conn: ConnId) -> Waiter {
    Waiter { door: Door::Mqtt, conn, slot: Slot(7) }
}

/// The partition that a key of `topic` belongs to.
pub fn key_of(log: &FakeLog, topic: &str, key: &[u8]) -> PartitionKey {
    let keys = &log.topics[topic];
    keys[partition_of(key, keys.len() as u32).0 as usize]
}
