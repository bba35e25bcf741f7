//! Somebody who listens to all sensors at one board, and at another when that one is silent.

use tern::node::Listener;

use super::mqtt_wire::{self, Packet};
use super::{Client, ClientEvent, Io};

const SILENCE_MICROS_MAX: u64 = 3_000_000;

/// The listener.
pub struct Subscriber {
    number: u32,
    heard: Option<u64>,
    is_subscribed: bool,
    inbox: Vec<u8>,
    done: u64,
}

impl Subscriber {
    pub fn new() -> Subscriber {
        Subscriber { number: 0, heard: None, is_subscribed: false, inbox: Vec::new(), done: 0 }
    }

    fn lose(&mut self, io: &mut Io<'_>) {
        if self.heard.take().is_some() {
            io.close(self.number);
        }
        self.is_subscribed = false;
        self.inbox.clear();
    }

    fn work(&mut self, io: &mut Io<'_>) {
        let Some(heard) = self.heard else {
            self.number += 1;
            self.heard = Some(io.now);
            let board = io.rng.below(io.boards as u64) as usize;
            return io.dial(self.number, board, Listener::Mqtt(0));
        };
        if io.now - heard > SILENCE_MICROS_MAX {
            return self.lose(io);
        }
        if self.is_subscribed {
            io.send(self.number, mqtt_wire::pingreq());
        }
    }

    fn take(&mut self, packet: Packet, io: &mut Io<'_>) {
        match packet {
            Packet::Connack(0) => io.send(self.number, mqtt_wire::subscribe(1, "sensor/#")),
            Packet::Connack(_) => self.lose(io),
            Packet::Suback(granted) => self.is_subscribed = granted <= 1,
            Packet::Publish(quality, _, id, payload) => {
                io.history.publishers.delivered((io.client, self.number), &payload);
                if quality > 0 {
                    io.send(self.number, mqtt_wire::puback(id));
                }
                io.history.operations += 1;
                self.done += 1;
            }
            Packet::Pingresp => {}
            other => panic!("{other:?}"),
        }
    }
}

impl Client for Subscriber {
    fn event(&mut self, event: ClientEvent, io: &mut Io<'_>) {
        match event {
            ClientEvent::Wake => {
                self.work(io);
                io.wake_in_ms(500, 200);
            }
            ClientEvent::Opened(number) if number == self.number && self.heard.is_some() => {
                io.send(number, mqtt_wire::connect(&format!("listener-{}", io.client)));
            }
            ClientEvent::Bytes(number, bytes) if number == self.number && self.heard.is_some() => {
                self.heard = Some(io.now);
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

    /// A listener hears what its board has replicas of.
    fn is_served_everywhere(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("listener: connection {}, heard at {:?}, subscribed {}", self.number, self.heard, self.is_subscribed)
    }
}
