//! An MQTT client's connection to some board: dialed, introduced, and what arrives on it cut into packets.

use tern::node::Listener;

use super::mqtt_wire::{self, Packet};
use super::{ClientEvent, Io};

pub const SILENCE_MICROS_MAX: u64 = 3_000_000;

/// The connection.
#[derive(Debug, Default)]
pub struct MqttLink {
    pub number: u32,
    /// When it was dialed; None: there is none.
    pub dialed: Option<u64>,
    inbox: Vec<u8>,
}

impl MqttLink {
    /// Any board will do.
    pub fn dial(&mut self, io: &mut Io<'_>) {
        self.number += 1;
        self.dialed = Some(io.now);
        let board = io.rng.below(io.boards as u64) as usize;
        io.dial(self.number, board, Listener::Mqtt(0));
    }

    pub fn give_up(&mut self, io: &mut Io<'_>) {
        if self.dialed.take().is_some() {
            io.close(self.number);
        }
        self.inbox.clear();
    }

    /// Takes an event in: the packets that are whole by now, or nothing when the connection is gone.
    pub fn event(&mut self, name: &str, event: ClientEvent, io: &mut Io<'_>) -> Option<Vec<Packet>> {
        match event {
            ClientEvent::Opened(number) if number == self.number && self.dialed.is_some() => {
                io.send(number, mqtt_wire::connect(&format!("{name}-{}", io.client)));
            }
            ClientEvent::Bytes(number, bytes) if number == self.number && self.dialed.is_some() => {
                self.inbox.extend(bytes);
                return Some(mqtt_wire::take(&mut self.inbox));
            }
            ClientEvent::Closed(number) if number == self.number => return None,
            _ => {}
        }
        Some(Vec::new())
    }
}
