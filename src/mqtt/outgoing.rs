//! Messages on their way to one subscriber: a window of unacknowledged QoS 1 messages, a bounded queue behind it, and
//! the bytes that the socket has not taken yet.
//!
//! Invariants: a QoS 1 message is written once, in order; bytes are granted by the door's output account before they are
//! written or queued, and returned when they have left for the kernel. Bounds: `MQTT_OUTGOING_BYTES_MAX` unsent,
//! `MQTT_OUTGOING_WINDOW_MAX` unacknowledged, `MQTT_OUTGOING_QUEUE_MAX` queued, and never more than the account has left
//! (the dynamic threshold of shared buffers: one that is stuck stops at half, two at a third each, so that the others
//! always find room). Beyond them messages are dropped and counted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::codec::{Delivery, Qos, Version};
use crate::effect::Effects;
use crate::limits::{MQTT_OUTGOING_BYTES_MAX, MQTT_OUTGOING_QUEUE_MAX, MQTT_OUTGOING_WINDOW_MAX};
use crate::memory::{Account, Grant};
use crate::types::ConnId;

/// A message to be delivered, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// Encoded version 5 properties.
    pub properties: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// What a copy of it costs.
    fn stored_bytes(&self) -> usize {
        size_of::<Stored>() + self.topic.len() + self.properties.len() + self.payload.len()
    }
}

/// A message that waits in queues: one copy for all of them.
#[derive(Debug)]
pub struct Stored {
    topic: Box<str>,
    properties: Box<[u8]>,
    payload: Box<[u8]>,
    _grant: Grant,
}

impl Stored {
    /// A copy of `message`; `None` when the account has no room.
    pub fn new(message: &Message<'_>, account: &Account) -> Option<Arc<Stored>> {
        let grant = account.take(message.stored_bytes())?;
        Some(Arc::new(Stored {
            topic: message.topic.into(),
            properties: message.properties.into(),
            payload: message.payload.into(),
            _grant: grant,
        }))
    }

    fn message(&self) -> Message<'_> {
        Message { topic: &self.topic, properties: &self.properties, payload: &self.payload }
    }
}

/// How a subscriber gets a message.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// At most 1.
    pub qos: Qos,
    /// The retain flag it sees.
    pub retain: bool,
    /// Numbers of its subscriptions that match.
    pub subscription_ids: &'a [u32],
}

#[derive(Debug)]
struct Queued {
    stored: Arc<Stored>,
    retain: bool,
    subscription_ids: Box<[u32]>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Written, or in the queue.
    Yes,
    /// Beyond a bound.
    Dropped,
}

/// One subscriber's side of delivery.
#[derive(Debug)]
pub struct Outgoing {
    version: Version,
    packet_bytes_max: usize,
    window: usize,
    in_flight: heapless::Vec<u16, MQTT_OUTGOING_WINDOW_MAX>,
    packet_id: u16,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    /// Written in this turn.
    buffer: Vec<u8>,
    grant: Grant,
    /// Handed to the shell and not drained yet.
    unsent_bytes: usize,
}

impl Outgoing {
    /// For a client that takes `receive_maximum` unacknowledged messages and packets of `packet_bytes_max`.
    pub fn new(version: Version, receive_maximum: u16, packet_bytes_max: u32) -> Outgoing {
        Outgoing {
            version,
            packet_bytes_max: packet_bytes_max as usize,
            window: (receive_maximum as usize).min(MQTT_OUTGOING_WINDOW_MAX),
            in_flight: heapless::Vec::new(),
            packet_id: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            buffer: Vec::new(),
            grant: Grant::none(),
            unsent_bytes: 0,
        }
    }

    /// True when it reads properties.
    pub fn wants_properties(&self) -> bool {
        self.version == Version::V5
    }

    /// Writes or queues a message. `stored` is its copy, made by the first subscriber that has to queue it.
    pub fn send(
        &mut self,
        message: &Message<'_>,
        how: How<'_>,
        account: &Account,
        stored: &mut Option<Arc<Stored>>,
    ) -> Sent {
        // A packet that the client does not take counts as delivered (MQTT 5, section 3.1.2.11.4).
        if self.delivery(message, how, 0).total_bytes() > self.packet_bytes_max {
            return Sent::Dropped;
        }
        if how.qos == Qos::AtMostOnce {
            return if self.write(message, how, 0, account) { Sent::Yes } else { Sent::Dropped };
        }
        if self.queue.is_empty() && self.write_in_flight(message, how, account) {
            return Sent::Yes;
        }
        let bytes = message.stored_bytes();
        if self.queue.len() >= MQTT_OUTGOING_QUEUE_MAX || !self.may_hold(self.queue_bytes + bytes, account) {
            return Sent::Dropped;
        }
        if stored.is_none() {
            *stored = Stored::new(message, account);
        }
        let Some(stored) = stored.clone() else { return Sent::Dropped };
        let subscription_ids = how.subscription_ids.into();
        self.queue_bytes += bytes;
        self.queue.push_back(Queued { stored, retain: how.retain, subscription_ids });
        Sent::Yes
    }

    /// The subscriber acknowledged a message.
    pub fn acknowledged(&mut self, packet_id: u16, account: &Account) {
        if let Some(index) = self.in_flight.iter().position(|&other| other == packet_id) {
            self.in_flight.swap_remove(index);
            self.pump(account);
        }
    }

    /// Everything handed to the shell has left for the kernel.
    pub fn drained(&mut self, account: &Account) {
        self.unsent_bytes = 0;
        self.pump(account);
    }

    /// True when `flush` has something to do.
    pub fn has_output(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// True when messages wait and no acknowledgement or drained socket will call for them: the account was empty.
    pub fn is_starved(&self) -> bool {
        !self.queue.is_empty() && self.in_flight.is_empty() && self.buffer.is_empty() && self.unsent_bytes == 0
    }

    /// Hands what this turn has written to the shell: how many bytes.
    pub fn flush(&mut self, conn: ConnId, fx: &mut Effects) -> usize {
        let bytes = self.buffer.len();
        if bytes > 0 {
            self.unsent_bytes += bytes;
            fx.send(conn, std::mem::take(&mut self.buffer).into(), std::mem::take(&mut self.grant));
        }
        bytes
    }

    /// Writes queued messages as far as window, bytes and account allow.
    pub fn pump(&mut self, account: &Account) {
        while let Some(queued) = self.queue.pop_front() {
            let how = How { qos: Qos::AtLeastOnce, retain: queued.retain, subscription_ids: &queued.subscription_ids };
            if !self.write_in_flight(&queued.stored.message(), how, account) {
                self.queue.push_front(queued);
                return;
            }
            self.queue_bytes -= queued.stored.message().stored_bytes();
        }
    }

    fn write_in_flight(&mut self, message: &Message<'_>, how: How<'_>, account: &Account) -> bool {
        if self.in_flight.len() >= self.window {
            return false;
        }
        let packet_id = self.next_packet_id();
        // Room: the window is at most the capacity.
        self.write(message, how, packet_id, account) && self.in_flight.push(packet_id).is_ok()
    }

    /// The next identifier that is not in flight; never 0.
    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.packet_id = self.packet_id.wrapping_add(1).max(1);
            if !self.in_flight.contains(&self.packet_id) {
                return self.packet_id;
            }
        }
    }

    fn write(&mut self, message: &Message<'_>, how: How<'_>, packet_id: u16, account: &Account) -> bool {
        let delivery = self.delivery(message, how, packet_id);
        let bytes = delivery.total_bytes();
        let waiting = self.buffer.len() + self.unsent_bytes;
        if waiting > 0 && waiting + bytes > MQTT_OUTGOING_BYTES_MAX || !self.may_hold(bytes, account) {
            return false;
        }
        let Some(grant) = account.take(bytes) else { return false };
        self.grant.join(grant);
        delivery.write(&mut self.buffer);
        true
    }

    /// True when that many bytes beside those written would not be more than is left for others.
    fn may_hold(&self, bytes: usize, account: &Account) -> bool {
        let held = self.buffer.len() + self.unsent_bytes;
        held + bytes <= account.limit_bytes() - account.used_bytes().min(account.limit_bytes())
    }

    fn delivery<'a>(&self, message: &Message<'a>, how: How<'a>, packet_id: u16) -> Delivery<'a> {
        Delivery {
            version: self.version,
            qos: how.qos,
            retain: how.retain,
            topic: message.topic,
            packet_id,
            properties: message.properties,
            subscription_ids: how.subscription_ids,
            payload: message.payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;

    const CONN: ConnId = ConnId { index: 0, generation: 1 };

    fn message(payload: &[u8]) -> Message<'_> {
        Message { topic: "t", properties: &[], payload }
    }

    fn how(qos: Qos) -> How<'static> {
        How { qos, retain: false, subscription_ids: &[] }
    }

    /// The window holds QoS 1 messages back, acknowledgements let them through in order, and every byte comes back.
    #[test]
    fn window_and_queue() {
        let account = Account::new(1 << 20);
        let mut outgoing = Outgoing::new(Version::V4, 2, u32::MAX);
        for payload in 0..5u8 {
            let sent = outgoing.send(&message(&[payload]), how(Qos::AtLeastOnce), &account, &mut None);
            assert_eq!(sent, Sent::Yes);
        }
        assert_eq!((outgoing.in_flight.len(), outgoing.queue.len()), (2, 3));
        for packet_id in 1..=5 {
            outgoing.acknowledged(packet_id, &account);
        }
        outgoing.acknowledged(9, &account);
        assert_eq!((outgoing.in_flight.len(), outgoing.queue.len()), (0, 0));
        let payloads: Vec<u8> = outgoing.buffer.chunks(8).map(|packet| packet[7]).collect();
        assert_eq!(payloads, [0, 1, 2, 3, 4]);
        let mut fx = Effects::default();
        assert_eq!(outgoing.flush(CONN, &mut fx), 40);
        assert!(matches!(fx.take().as_slice(), [Effect::Send { .. }]));
        assert_eq!((outgoing.unsent_bytes, account.used_bytes()), (40, 0));
    }

    /// A socket that takes nothing costs a bounded number of bytes; a large message goes alone.
    #[test]
    fn bounds() {
        let account = Account::new(1 << 24);
        let mut outgoing = Outgoing::new(Version::V4, 2, u32::MAX);
        let large = vec![0; MQTT_OUTGOING_BYTES_MAX];
        assert_eq!(outgoing.send(&message(&large), how(Qos::AtMostOnce), &account, &mut None), Sent::Yes);
        assert_eq!(outgoing.send(&message(b"x"), how(Qos::AtMostOnce), &account, &mut None), Sent::Dropped);
        for _ in 0..MQTT_OUTGOING_QUEUE_MAX {
            let sent = outgoing.send(&message(b"x"), how(Qos::AtLeastOnce), &account, &mut None);
            assert_eq!(sent, Sent::Yes);
        }
        let sent = outgoing.send(&message(b"x"), how(Qos::AtLeastOnce), &account, &mut None);
        assert_eq!(sent, Sent::Dropped);
        outgoing.flush(CONN, &mut Effects::default());
        outgoing.drained(&account);
        assert_eq!((outgoing.in_flight.len(), outgoing.queue.len()), (2, MQTT_OUTGOING_QUEUE_MAX - 2));
        drop(outgoing);
        assert_eq!(account.used_bytes(), 0);
    }

    /// Who has much waiting gets no more than is left for others; a packet too large for the client is skipped.
    #[test]
    fn account_and_packet_size() {
        let account = Account::new(200);
        let (mut one, mut two) = (Outgoing::new(Version::V4, 2, 50), Outgoing::new(Version::V4, 2, 50));
        let send = |outgoing: &mut Outgoing, bytes| {
            outgoing.send(&message(&vec![0; bytes]), how(Qos::AtMostOnce), &account, &mut None)
        };
        assert_eq!(send(&mut one, 60), Sent::Dropped);
        assert_eq!(send(&mut one, 40), Sent::Yes);
        assert_eq!(send(&mut one, 40), Sent::Yes);
        assert_eq!(send(&mut one, 40), Sent::Dropped);
        assert_eq!(send(&mut two, 40), Sent::Yes);
        assert_eq!(account.used_bytes(), 3 * 45);
        let sent = two.send(&message(&[0; 40]), how(Qos::AtLeastOnce), &account, &mut None);
        assert_eq!(sent, Sent::Dropped);
    }
}
