//! A sensor: publishes numbers with QoS 1, several under way, and after a lost connection again from the first that was not
//! acknowledged, at any board.

use std::collections::VecDeque;

use super::mqtt_link::{MqttLink, SILENCE_MICROS_MAX};
use super::mqtt_wire::{self, Packet};
use super::{Client, ClientEvent, Io, Phase};

const IN_FLIGHT_MAX: usize = 8;

/// A message's number, its packet id and when it was sent if that was on this connection, and whether it ever was.
type Message = (u64, Option<(u16, u64)>, bool);

/// The sensor.
#[derive(Default)]
pub struct Publisher {
    link: MqttLink,
    is_greeted: bool,
    /// Published and not acknowledged.
    in_flight: VecDeque<Message>,
    next_id: u16,
    last: u64,
    done: u64,
}

impl Publisher {
    fn lose(&mut self, io: &mut Io<'_>) {
        self.link.give_up(io);
        self.is_greeted = false;
        self.in_flight.iter_mut().for_each(|(_, sent, _)| *sent = None);
    }

    fn work(&mut self, io: &mut Io<'_>) {
        let Some(dialed) = self.link.dialed else { return self.link.dial(io) };
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
                self.last += 1;
                self.in_flight.push_back((self.last, None, false));
            }
        }
        self.send(io);
    }

    fn send(&mut self, io: &mut Io<'_>) {
        let topic = format!("sensor/{}", io.client);
        let mut bytes = Vec::new();
        for (number, sent, was_sent) in self.in_flight.iter_mut().filter(|(_, sent, _)| sent.is_none()) {
            self.next_id = self.next_id % u16::MAX + 1;
            let payload = format!("{} {} {number}", io.client, self.link.number);
            bytes.extend(mqtt_wire::publish(&topic, self.next_id, *was_sent, payload.as_bytes()));
            *sent = Some((self.next_id, io.now));
            if !*was_sent {
                io.history.publishers.sent(io.client, *number);
            }
            *was_sent = true;
        }
        if !bytes.is_empty() {
            io.send(self.link.number, bytes);
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
        if let ClientEvent::Wake = event {
            self.work(io);
            return io.wake_in_ms(60, 120);
        }
        match self.link.event("sensor", event, io) {
            Some(packets) => packets.into_iter().for_each(|packet| self.take(packet, io)),
            None => self.lose(io),
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!("sensor: {:?}, under way {:?}", self.link, self.in_flight)
    }
}
