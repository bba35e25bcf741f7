//! The load on a ZooKeeper door: just enough of the protocol to pipeline requests and to check every reply.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What every client does, over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Set,
    Read,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Create => "create",
            Kind::Set => "set",
            Kind::Read => "read",
        }
    }
}

const CREATE: i32 = 1;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const CLOSE: i32 = -11;
const EPHEMERAL: i32 = 1;
const NODE_EXISTS: i32 = -110;

/// Requests of one frame buffer.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    xid: i32,
}

impl Frames {
    fn frame(&mut self, opcode: i32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.xid += 1;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&self.xid.to_be_bytes());
        self.bytes.extend_from_slice(&opcode.to_be_bytes());
        body(&mut self.bytes);
        let length = (self.bytes.len() - start - 4) as i32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn create(&mut self, path: &str, data: &[u8], flags: i32) {
        self.frame(CREATE, |out| {
            buffer(out, path.as_bytes());
            buffer(out, data);
            out.extend_from_slice(&1i32.to_be_bytes());
            out.extend_from_slice(&31i32.to_be_bytes());
            buffer(out, b"world");
            buffer(out, b"anyone");
            out.extend_from_slice(&flags.to_be_bytes());
        });
    }

    fn set(&mut self, path: &str, data: &[u8]) {
        self.frame(SET_DATA, |out| {
            buffer(out, path.as_bytes());
            buffer(out, data);
            out.extend_from_slice(&(-1i32).to_be_bytes());
        });
    }

    fn read(&mut self, path: &str) {
        self.frame(GET_DATA, |out| {
            buffer(out, path.as_bytes());
            out.push(0);
        });
    }
}

fn buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn connect_frame() -> Vec<u8> {
    let mut frame = 44i32.to_be_bytes().to_vec();
    frame.extend_from_slice(&[0; 12]);
    frame.extend_from_slice(&30_000i32.to_be_bytes());
    frame.extend_from_slice(&[0; 8]);
    buffer(&mut frame, &[0; 16]);
    frame
}

/// The answer to a four-letter word; `None` while nobody listens.
pub fn word(address: &str, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Runs `clients` on one thread for so many seconds, after their znodes are there: how many operations, in how long.
pub fn run(
    kind: Kind,
    address: &str,
    round: usize,
    clients: usize,
    in_flight: usize,
    data_bytes: usize,
    seconds: f64,
) -> (u64, f64) {
    let parent = format!("/bench-{}-{round}", kind.name());
    let mut session = Session::open(address);
    let mut frames = Frames::default();
    frames.create(&parent, b"", 0);
    for client in 0..clients {
        frames.create(&format!("{parent}/{client}"), &vec![b'x'; data_bytes], 0);
    }
    session.exchange(frames, clients + 1, &[0, NODE_EXISTS]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counted = runtime.block_on(async {
        let started = Instant::now();
        let end = started + Duration::from_secs_f64(seconds);
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let address = address.to_owned();
                let path = format!("{parent}/{client}");
                tokio::spawn(async move { one_client(kind, &address, &path, in_flight, data_bytes, end).await })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        (total, started.elapsed().as_secs_f64())
    });
    session.close();
    counted
}

/// One connection that keeps `in_flight` requests under way: a reply makes room for the next request.
async fn one_client(kind: Kind, address: &str, path: &str, in_flight: usize, data_bytes: usize, end: Instant) -> u64 {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&connect_frame()).await.unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    let mut hello = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut hello).await.unwrap();
    let data = vec![b'd'; data_bytes];
    let mut frames = Frames::default();
    let (mut input, mut under_way, mut replied) = (Vec::with_capacity(64 * 1024), 0, 0u64);
    loop {
        if Instant::now() < end {
            while under_way < in_flight {
                match kind {
                    Kind::Create => frames.create(&format!("{path}/{}", frames.xid), &data, 0),
                    Kind::Set => frames.set(path, &data),
                    Kind::Read => frames.read(path),
                }
                under_way += 1;
            }
        }
        if under_way == 0 {
            return replied;
        }
        if !frames.bytes.is_empty() {
            stream.write_all(&frames.bytes).await.unwrap();
            frames.bytes.clear();
        }
        assert!(stream.read_buf(&mut input).await.unwrap() > 0, "the server has closed the connection");
        let (taken, used) = count_replies(&input, &[0]);
        input.drain(..used);
        under_way -= taken;
        replied += taken as u64;
    }
}

/// Whole replies at the front: how many, in how many bytes; each error must be one of `allowed`.
fn count_replies(bytes: &[u8], allowed: &[i32]) -> (usize, usize) {
    let (mut count, mut at) = (0, 0);
    while let Some(length) = bytes.get(at..at + 4) {
        let next = at + 4 + i32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(reply) = bytes.get(at + 4..next) else { break };
        let error = i32::from_be_bytes(reply[12..16].try_into().unwrap());
        assert!(allowed.contains(&error), "a request failed with {error}");
        count += 1;
        at = next;
    }
    (count, at)
}

/// One blocking session.
pub struct Session {
    stream: TcpStream,
}

impl Session {
    pub fn open(address: &str) -> Session {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&connect_frame()).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut hello = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut hello).unwrap();
        Session { stream }
    }

    /// Sends all and waits for so many replies.
    fn exchange(&mut self, frames: Frames, replies: usize, allowed: &[i32]) {
        self.stream.write_all(&frames.bytes).unwrap();
        let (mut input, mut count, mut part) = (Vec::new(), 0, vec![0; 64 * 1024]);
        while count < replies {
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "the server has closed the connection");
            input.extend_from_slice(&part[..read]);
            let (taken, used) = count_replies(&input, allowed);
            input.drain(..used);
            count += taken;
        }
    }

    /// Creates `count` znodes below `parent`; the bytes of their names and data.
    pub fn fill(&mut self, parent: &str, count: usize, data_bytes: usize, is_ephemeral: bool) -> usize {
        let mut frames = Frames::default();
        frames.create(parent, b"", 0);
        self.exchange(frames, 1, &[0]);
        let data = vec![b'x'; data_bytes];
        let mut content = 0;
        for first in (0..count).step_by(500) {
            let mut frames = Frames::default();
            for number in first..count.min(first + 500) {
                let path = format!("{parent}/{number:08}");
                content += 8 + data_bytes;
                frames.create(&path, &data, if is_ephemeral { EPHEMERAL } else { 0 });
            }
            self.exchange(frames, count.min(first + 500) - first, &[0]);
        }
        content
    }

    /// Sets the data of all that `fill` has made.
    pub fn rewrite(&mut self, parent: &str, count: usize, data_bytes: usize, round: usize) {
        let data = vec![b'a' + (round % 26) as u8; data_bytes];
        for first in (0..count).step_by(500) {
            let mut frames = Frames::default();
            for number in first..count.min(first + 500) {
                frames.set(&format!("{parent}/{number:08}"), &data);
            }
            self.exchange(frames, count.min(first + 500) - first, &[0]);
        }
    }

    /// Writes one after the other for so many seconds; what 99 of 100 do not exceed.
    pub fn p99_micros(mut self, round: usize, data_bytes: usize, seconds: f64) -> f64 {
        let path = format!("/latency-{round}");
        let mut frames = Frames::default();
        frames.create(&path, b"", 0);
        self.exchange(frames, 1, &[0, NODE_EXISTS]);
        let data = vec![b'l'; data_bytes];
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut times = Vec::new();
        while Instant::now() < end {
            let mut frames = Frames::default();
            frames.set(&path, &data);
            let began = Instant::now();
            self.exchange(frames, 1, &[0]);
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        self.close();
        times.sort_by(f64::total_cmp);
        times[times.len() * 99 / 100]
    }

    /// Ends the session and waits for the answer.
    pub fn close(&mut self) {
        let mut frames = Frames::default();
        frames.frame(CLOSE, |_| {});
        self.exchange(frames, 1, &[0]);
    }
}
