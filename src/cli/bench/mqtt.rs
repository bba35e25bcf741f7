//! `tern bench mqtt`: publishers that keep a window of unacknowledged messages full, against any MQTT 3.1.1 broker.
//!
//! One thread serves all publishers, so that the load generator costs little beside what it measures.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;
use super::histogram::Histogram;

/// What to send.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port` of the broker.
    pub address: String,
    /// Connections, each with a client id of its own.
    pub publishers: usize,
    /// Unacknowledged messages a publisher keeps; with QoS 0, messages written at once.
    pub in_flight: usize,
    /// Size of each payload.
    pub payload_bytes: usize,
    /// 0 or 1.
    pub qos: u8,
    /// How long.
    pub duration: Duration,
    /// Topic; `{n}` is the publisher's number.
    pub topic: String,
}

/// Runs the load to its end.
pub async fn run(load: Load) -> io::Result<Outcome> {
    let started = Instant::now();
    let deadline = started + load.duration;
    let publishers =
        (0..load.publishers).map(|number| tokio::task::spawn_local(publish(load.clone(), number, deadline)));
    let publishers: Vec<_> = publishers.collect();
    let mut outcome = Outcome::default();
    for publisher in publishers {
        let (acknowledged, latency) = publisher.await.map_err(io::Error::other)??;
        outcome.acknowledged += acknowledged;
        outcome.bytes += acknowledged * load.payload_bytes as u64;
        outcome.latency.merge(&latency);
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

async fn publish(load: Load, number: usize, deadline: Instant) -> io::Result<(u64, Histogram)> {
    let mut stream = TcpStream::connect(&load.address).await?;
    stream.set_nodelay(true)?;
    connect(&mut stream, &format!("tern-bench-{}-{number}", std::process::id())).await?;
    let topic = load.topic.replace("{n}", &number.to_string());
    let payload = vec![b'x'; load.payload_bytes];
    let mut window = Window::new(load.in_flight.clamp(1, 10_000));
    let (mut output, mut input, mut kept) = (Vec::new(), vec![0; 16 * 1024], 0);
    loop {
        output.clear();
        if Instant::now() < deadline {
            while let Some(packet_id) = window.open(load.qos) {
                push_publish(&mut output, &topic, load.qos, packet_id, &payload);
            }
        } else if window.waiting == 0 {
            return Ok((window.acknowledged, window.latency));
        }
        stream.write_all(&output).await?;
        if load.qos == 0 {
            window.acknowledge_all();
            continue;
        }
        let count = stream.read(&mut input[kept..]).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
        }
        kept = window.take_acknowledgements(&mut input, kept + count)?;
    }
}

/// When each packet id was sent, and what came back.
struct Window {
    sent: Vec<Option<Instant>>,
    next: usize,
    waiting: usize,
    acknowledged: u64,
    latency: Histogram,
}

impl Window {
    fn new(size: usize) -> Window {
        Window { sent: vec![None; size], next: 0, waiting: 0, acknowledged: 0, latency: Histogram::default() }
    }

    /// A packet id that is free, now taken.
    fn open(&mut self, _qos: u8) -> Option<u16> {
        let slot = self.next;
        if self.sent[slot].is_some() {
            return None;
        }
        self.sent[slot] = Some(Instant::now());
        self.next = (slot + 1) % self.sent.len();
        self.waiting += 1;
        Some(slot as u16 + 1)
    }

    fn acknowledge(&mut self, packet_id: u16) {
        let slot = (packet_id as usize).wrapping_sub(1);
        if let Some(at) = self.sent.get_mut(slot).and_then(Option::take) {
            self.latency.add(at.elapsed());
            self.waiting -= 1;
            self.acknowledged += 1;
        }
    }

    fn acknowledge_all(&mut self) {
        for packet_id in 1..=self.sent.len() as u16 {
            self.acknowledge(packet_id);
        }
    }

    /// Takes the PUBACKs among the first `filled` bytes; says how many bytes of an unfinished one are kept.
    fn take_acknowledgements(&mut self, input: &mut [u8], filled: usize) -> io::Result<usize> {
        let mut at = 0;
        while filled - at >= 4 {
            if input[at] != 0x40 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker sent something else than PUBACK"));
            }
            self.acknowledge(u16::from_be_bytes([input[at + 2], input[at + 3]]));
            at += 4;
        }
        input.copy_within(at..filled, 0);
        Ok(filled - at)
    }
}

async fn connect(stream: &mut TcpStream, client_id: &str) -> io::Result<()> {
    let mut packet = vec![0x10, (12 + client_id.len()) as u8];
    packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x3c");
    packet.extend_from_slice(&(client_id.len() as u16).to_be_bytes());
    packet.extend_from_slice(client_id.as_bytes());
    stream.write_all(&packet).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer[0] == 0x20 && answer[3] == 0 {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("CONNACK says {}", answer[3])))
    }
}

fn push_publish(out: &mut Vec<u8>, topic: &str, qos: u8, packet_id: u16, payload: &[u8]) {
    let mut length = 2 + topic.len() + payload.len() + if qos > 0 { 2 } else { 0 };
    out.push(0x30 | qos << 1);
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        out.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if more == 0 {
            break;
        }
    }
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    if qos > 0 {
        out.extend_from_slice(&packet_id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}
