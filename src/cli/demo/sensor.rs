//! A simulated sensor: publishes a numbered reading at QoS 1 in its rhythm; when a node does not answer, it goes on at the
//! next one and sends again what was not acknowledged.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a sensor has done so far, read by the table while it runs.
#[derive(Default)]
pub struct Readings {
    /// Numbers below this were sent at least once.
    pub sent: AtomicU64,
    /// Numbers below this were acknowledged: acknowledgements come in the order sent.
    pub acknowledged: AtomicU64,
    /// Connections made after the first.
    pub reconnects: AtomicU64,
    /// The longest time between sending a reading first and its acknowledgement.
    pub longest_wait_micros: AtomicU64,
    /// First and last number of those that were sent again, a pair a connection.
    pub sent_again: Mutex<Vec<(u64, u64)>>,
}

/// One sensor's life.
pub struct Sensor {
    /// Its number and the last level of its topic.
    pub number: usize,
    /// The nodes' MQTT doors.
    pub addresses: Arc<[String]>,
    /// Which of them it begins with.
    pub home: usize,
    /// Silence after which it goes on elsewhere.
    pub silence_max: Duration,
    /// Time between two readings.
    pub rhythm: Duration,
    /// Cleared when no new reading shall be made.
    pub sensing: Arc<AtomicBool>,
    /// Shared with the table.
    pub readings: Arc<Readings>,
}

/// Unacknowledged readings a sensor keeps; it then waits, as a sensor with little memory must.
const WINDOW_MAX: usize = 100;

/// A sensor that still waits when the demonstration is over gives up after this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Readings that wait for their acknowledgement, and since when.
type Waiting = VecDeque<(u64, Instant)>;

impl Sensor {
    /// Runs until told to stop and everything sent is acknowledged, over as many connections as it takes.
    pub fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut stopped_at = None;
        loop {
            if !self.sensing.load(Ordering::Relaxed) {
                let stopped_at = *stopped_at.get_or_insert_with(Instant::now);
                if waiting.is_empty() || stopped_at.elapsed() > PATIENCE {
                    return;
                }
            }
            if self.session(&mut waiting).is_err() {
                self.readings.reconnects.fetch_add(1, Ordering::Relaxed);
                self.home += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// One connection: first what was not acknowledged on the last one, then new readings.
    fn session(&self, waiting: &mut Waiting) -> io::Result<()> {
        let mut stream = TcpStream::connect(&self.addresses[self.home % self.addresses.len()])?; // at least one
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.silence_max))?;
        self.connect(&mut stream)?;
        if let (Some(&(first, _)), Some(&(last, _))) = (waiting.front(), waiting.back()) {
            self.readings.sent_again.lock().expect("nobody panics while holding it").push((first, last));
        }
        for &(number, _) in waiting.iter() {
            stream.write_all(&self.publish(number, true))?;
        }
        let mut next_at = Instant::now();
        let mut answered_at = Instant::now();
        while self.sensing.load(Ordering::Relaxed) || !waiting.is_empty() {
            let pause = next_at.saturating_duration_since(Instant::now());
            if !self.sensing.load(Ordering::Relaxed) || waiting.len() >= WINDOW_MAX {
                stream.set_read_timeout(Some(self.silence_max))?;
                self.take_acknowledgement(&mut stream, waiting)?;
                answered_at = Instant::now();
            } else if pause.is_zero() {
                let number = self.readings.sent.fetch_add(1, Ordering::Relaxed);
                if waiting.is_empty() {
                    answered_at = Instant::now();
                }
                waiting.push_back((number, Instant::now()));
                stream.write_all(&self.publish(number, false))?;
                next_at = (next_at + self.rhythm).max(Instant::now() - self.rhythm);
            } else if waiting.is_empty() {
                std::thread::sleep(pause);
            } else {
                stream.set_read_timeout(Some(pause))?;
                match self.take_acknowledgement(&mut stream, waiting) {
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
                            && answered_at.elapsed() < self.silence_max => {}
                    other => {
                        other?;
                        answered_at = Instant::now();
                    }
                }
            }
        }
        Ok(())
    }

    fn connect(&self, stream: &mut TcpStream) -> io::Result<()> {
        let name = format!("sensor-{}", self.number);
        let mut packet = vec![0x10, (12 + name.len()) as u8];
        packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x3c\x00");
        packet.push(name.len() as u8);
        packet.extend_from_slice(name.as_bytes());
        stream.write_all(&packet)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        if answer[3] == 0 { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    fn publish(&self, number: u64, again: bool) -> Vec<u8> {
        let topic = format!("sensors/{}/temperature", self.number);
        let value = 20.0 + ((number as f64 / 40.0).sin() * 50.0).round() / 10.0;
        let payload = format!("{{\"sensor\":{},\"reading\":{number},\"celsius\":{value}}}", self.number);
        let length = 4 + topic.len() + payload.len();
        let mut packet = vec![if again { 0x3a } else { 0x32 }];
        if length > 127 {
            packet.push((length & 0x7f) as u8 | 0x80);
            packet.push((length >> 7) as u8);
        } else {
            packet.push(length as u8);
        }
        packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(&packet_id(number).to_be_bytes());
        packet.extend_from_slice(payload.as_bytes());
        packet
    }

    fn take_acknowledgement(&self, stream: &mut TcpStream, waiting: &mut Waiting) -> io::Result<()> {
        let mut answer = [0; 4];
        stream.peek(&mut answer[..1])?; // a time-out here leaves the stream between two packets
        stream.read_exact(&mut answer)?;
        let id = u16::from_be_bytes([answer[2], answer[3]]);
        match waiting.front() {
            Some(&(number, since)) if answer[0] == 0x40 && packet_id(number) == id => {
                waiting.pop_front();
                let waited = since.elapsed().as_micros() as u64;
                self.readings.longest_wait_micros.fetch_max(waited, Ordering::Relaxed);
                self.readings.acknowledged.store(number + 1, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an acknowledgement out of order")),
        }
    }
}

fn packet_id(number: u64) -> u16 {
    (number % 60_000) as u16 + 1
}
