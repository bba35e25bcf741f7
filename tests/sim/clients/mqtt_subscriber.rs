//! Somebody who listens to all sensors at one board, and at another when that one is silent.

use super::mqtt_link::{MqttLink, SILENCE_MICROS_MAX};
use super::mqtt_wire::{self, Packet};
use super::{Client, ClientEvent, Io};

/// The listener.
#[derive(Default)]
pub struct Subscriber {
    link: MqttLink,
    heard: u64,
    is_subscribed: bool,
    done: u64,
}

impl Subscriber {
    fn lose(&mut self, io: &mut Io<'_>) {
        io.history.publishers.gone((io.client, self.link.number));
        self.link.give_up(io);
        self.is_subscribed = false;
    }

    fn work(&mut self, io: &mut Io<'_>) {
        let Some(dialed) = self.link.dialed else { return self.link.dial(io) };
        if io.now - self.heard.max(dialed) > SILENCE_MICROS_MAX {
            return self.lose(io);
        }
        if self.is_subscribed {
            io.send(self.link.number, mqtt_wire::pingreq());
        }
    }

    fn take(&mut self, packet: Packet, io: &mut Io<'_>) {
        self.heard = io.now;
        match packet {
            Packet::Connack(0) => io.send(self.link.number, mqtt_wire::subscribe(1, "sensor/#")),
            Packet::Connack(_) => self.lose(io),
            Packet::Suback(granted) => {
                self.is_subscribed = granted <= 1;
                io.history.publishers.subscribed((io.client, self.link.number));
            }
            Packet::Publish(quality, _, id, payload) => {
                io.history.publishers.delivered((io.client, self.link.number), &payload);
                if quality > 0 {
                    io.send(self.link.number, mqtt_wire::puback(id));
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
        if let ClientEvent::Wake = event {
            self.work(io);
            return io.wake_in_ms(500, 200);
        }
        match self.link.event("listener", event, io) {
            Some(packets) => packets.into_iter().for_each(|packet| self.take(packet, io)),
            None => self.lose(io),
        }
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn describe(&self) -> String {
        format!("listener: {:?}, heard at {}, subscribed {}", self.link, self.heard, self.is_subscribed)
    }
}
