//! A sensor: publishes numbers with QoS 1, several under way, and after a lost connection again from the first that was not
//! acknowledged, at any board.

use std::collections::VecDeque;

use tern::node::Listener;

use super::mqtt_wire::{self, Packet};
use super::{Client, ClientEvent, Io, Phase};

const SILENCE_MICROS_MAX: u64 = 3_000_000;
const IN_FLIGHT_MAX: usize = 8;

/// A message's number, its packet id and when it was sent if that was on this connection, and whether it ever was.
type Message = (u64, Option<(u16, u64)>, bool);

/// The sensor.
pub struct Publisher {
    number: u32,
    /// Since when; None: no connection.
    dialed: Option<u64>,
    is_greeted: bool,
    inbox: Vec<u8>,
    /// Published and not acknowledged.
    in_flight: VecDeque<Message>,
    next_id: u16,
    next: u64,
    done: u64,
}

impl Publisher {
    pub fn new() -> Publisher {
        Publisher {
            number: 0,
            dialed: None,
            is_greeted: false,
            inbox: Vec::new(),
            in_flight: VecDeque::new(),
            next_id: 0,
            next: 1,
            done: 0,
        }
    }

    fn lose(&mut self, io: &mut Io<'_>) {
        if self.dialed.take().is_some() {
            io.close(self.number);
        }
        self.is_greeted = false;
        self.inbox.clear();
        self.in_flight.iter_mut().for_each(|(_, sent, _)| *sent = None);
    }

    fn work(&mut self, io: &mut Io<'_>) {
        let Some(dialed) = self.dialed else {
            self.number += 1;
            self.dialed = Some(io.now);
            let board = io.rng.below(io.boards as u64) as usize;
            return io.dial(self.number, board, Listener::Mqtt(0));
        };
        let oldest = self.in_flight.front().and_then(|(_, sent, _)| *sent).map(|(_, at)| at);
        let since = if self.is_greeted { oldest } else { Some(dialed) };
        if since.is_some_and(|since| io.now - since > SILENCE_MICROS_MAX) {
            return self.lose(io);
        }
        if !self.is_greeted {
            return;
        }
        for _ in 0..1 + io.rng.below(3) {
            if self.in_flight.len() < IN_FLIGHT_MAX && io.phase != Phase::Silent {
                self.in_flight.push_back((self.next, None, false));
                self.next += 1;
            }
        }
        self.send(io);
    }

    fn send(&mut self, io: &mut Io<'_>) {
        let topic = format!("sensor/{}", io.client);
        let mut bytes = Vec::new();
        for (number, sent, was_sent) in self.in_flight.iter_mut().filter(|(_, sent, _)| sent.is_none()) {
            self.next_id = self.next_id % u16::MAX + 1;
            let payload = format!("{} {} {number}", io.client, self.number);
            bytes.extend(mqtt_wire::publish(&topic, self.next_id, *was_sent, payload.as_bytes()));
            *sent = Some((self.next_id, io.now));
            *was_sent = true;
        }
        if !bytes.is_empty() {
            io.send(self.number, bytes);
        }
    }

    fn take(&mut self, packet: Packet, io: &mut Io<'_>) {
        match packet {
            Packet::Connack(0) => {
                self.is_greeted = true;
                self.send(io);
            }
            Packet::Connack(_) => self.lose(io),
            Packet::Puback(id) => {
                let (number, sent, _) = self.in_flight.pop_front().expect("something was published");
                assert_eq!(
                    sent.map(|(sent, _)| sent),
                    Some(id),
                    "PUBACKs leave in another order than the publishes came"
                );
                io.history.publishers.acknowledged(io.client, number);
                io.history.operations += 1;
                self.done += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Client for Publisher {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        match event {
            ClientEvent::Wake => {
                self.work(io);
                io.wake_in_ms(60, 120);
            }
            ClientEvent::Opened(number) if number == self.number && self.dialed.is_some() => {
                io.send(number, mqtt_wire::connect(&format!("sensor-{}", io.client)));
            }
            ClientEvent::Bytes(number, bytes) if number == self.number && self.dialed.is_some() => {
                self.inbox.extend(bytes);
                for packet in mqtt_wire::take(&mut self.inbox) {
                    self.take(packet, io);
                }
            }
            ClientEvent::Closed(number) if number == self.number => self.lose(io),
            _ => {}
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!("sensor: connection {} since {:?}, under way {:?}", self.number, self.dialed, self.in_flight)
    }
}
