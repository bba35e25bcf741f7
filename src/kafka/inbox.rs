//! One socket's bytes on their way to being requests: a 4-byte length, then so many bytes.
//!
//! Invariants: at most `CONNECTION_INPUT_BYTES_MAX` bytes lie here outside a granted frame; a frame that does not fit
//! them is allocated at exactly its length, under a grant, and only after its sender has filled the input buffer, so
//! that a length alone costs nothing; a frame is handed out whole or not at all.

use bytes::{Buf, BytesMut};

use crate::limits::{CONNECTION_INPUT_BYTES_MAX, KAFKA_FRAME_PROGRESS_BYTES_MIN, KAFKA_FRAME_PROGRESS_MS};
use crate::memory::Grant;
use crate::types::Instant;

/// Bytes of the length in front of a frame.
pub const LENGTH_BYTES: usize = 4;

/// API key, version and correlation id: less is no request.
const FRAME_BYTES_MIN: usize = 8;

/// What stands at the front of unparsed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// Not enough to tell.
    Incomplete,
    /// A whole frame, without its length.
    Frame(&'a [u8]),
    /// The start of a frame of so many bytes, which needs a buffer of its own, and the input buffer is full.
    Large(usize),
    /// A length that no request has.
    Bad(i32),
}

impl<'a> Front<'a> {
    /// Looks at `bytes`, of which a frame may take at most `frame_bytes_max`.
    pub fn of(bytes: &'a [u8], frame_bytes_max: usize) -> Front<'a> {
        let Some((head, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Front::Incomplete };
        let said = i32::from_be_bytes(*head);
        let length = match usize::try_from(said) {
            Ok(length) if (FRAME_BYTES_MIN..=frame_bytes_max).contains(&length) => length,
            _ => return Front::Bad(said),
        };
        match rest.get(..length) {
            Some(frame) => Front::Frame(frame),
            None if length + LENGTH_BYTES > CONNECTION_INPUT_BYTES_MAX && bytes.len() >= CONNECTION_INPUT_BYTES_MAX => {
                Front::Large(length)
            }
            None => Front::Incomplete,
        }
    }
}

/// A whole frame, without its length.
#[derive(Debug)]
pub enum Frame<'a> {
    /// One that lies in the input buffer, or in what was just read.
    Small(&'a [u8]),
    /// One with a buffer of its own, and the grant for it.
    Large(BytesMut, Grant),
}

impl Frame<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Frame::Small(bytes) => bytes,
            Frame::Large(bytes, _) => bytes,
        }
    }

    /// How many of them lie in the input buffer: what is kept of them must be copied.
    pub fn input_bytes(&self) -> usize {
        match self {
            Frame::Small(bytes) => bytes.len(),
            Frame::Large(..) => 0,
        }
    }
}

/// A large frame, whole or not yet.
#[derive(Debug)]
struct Large {
    bytes: BytesMut,
    missing: usize,
    grant: Grant,
    /// When the sender's progress was last looked at, and how many bytes were missing then.
    seen: (Instant, usize),
}

/// Unparsed bytes of one connection.
#[derive(Debug, Default)]
pub struct Inbox {
    /// What was read and is no part of `large`.
    input: Vec<u8>,
    large: Option<Large>,
}

impl Inbox {
    /// How many bytes can be taken now.
    pub fn room(&self) -> usize {
        let input = CONNECTION_INPUT_BYTES_MAX.saturating_sub(self.input.len());
        input + self.large.as_ref().map_or(0, |large| large.missing)
    }

    /// Gives a large frame that is being received its part of `data`, and returns the rest.
    pub fn fill<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let Some(large) = &mut self.large else { return data };
        let (part, rest) = data.split_at(large.missing.min(data.len()));
        large.bytes.extend_from_slice(part);
        large.missing -= part.len();
        rest
    }

    /// The large frame, if it is whole.
    pub fn take_large(&mut self) -> Option<Frame<'static>> {
        let large = self.large.take_if(|large| large.missing == 0)?;
        Some(Frame::Large(large.bytes, large.grant))
    }

    /// Keeps a whole frame until its turn comes.
    pub fn put_back(&mut self, frame: Frame<'_>, now: Instant) {
        if let Frame::Large(bytes, grant) = frame {
            self.large = Some(Large { bytes, missing: 0, grant, seen: (now, 0) });
        }
    }

    /// True while a large frame is in the way of what follows it.
    pub fn has_large(&self) -> bool {
        self.large.is_some()
    }

    /// Begins a large frame of `length` bytes with its first ones; returns how many it took.
    pub fn begin_large(&mut self, now: Instant, length: usize, grant: Grant, first: &[u8]) -> usize {
        let first = &first[..first.len().min(length)]; // no longer than it is
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(first);
        let missing = length - first.len();
        self.large = Some(Large { bytes, missing, grant, seen: (now, missing) });
        first.len()
    }

    /// True when a large frame is being received from a sender who has hardly sent anything for a while. To be asked
    /// about once a second while others wait for the memory that it holds.
    pub fn is_stalled(&mut self, now: Instant) -> bool {
        let Some(large) = self.large.as_mut().filter(|large| large.missing > 0) else { return false };
        let (since, missing) = large.seen;
        if missing - large.missing >= KAFKA_FRAME_PROGRESS_BYTES_MIN {
            large.seen = (now, large.missing);
            return false;
        }
        now >= since.plus_millis(KAFKA_FRAME_PROGRESS_MS)
    }

    /// Takes the input buffer for parsing; `put_input` follows.
    pub fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Puts back the input buffer and what could not be served yet: `held` without its first `used` bytes, or, when
    /// it is empty, the rest of `data`.
    pub fn put_input(&mut self, mut held: Vec<u8>, data: &[u8], used: usize) {
        if held.is_empty() {
            held.extend_from_slice(data.get(used..).unwrap_or_default());
        } else {
            held.advance_front(used);
        }
        debug_assert!(held.len() <= CONNECTION_INPUT_BYTES_MAX);
        self.input = held;
    }
}

trait AdvanceFront {
    fn advance_front(&mut self, count: usize);
}

impl AdvanceFront for Vec<u8> {
    fn advance_front(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
        } else {
            self.drain(..count);
        }
    }
}

/// A batch cut out of a frame, with the grant that covers it.
#[derive(Debug)]
pub struct Cutter<'a> {
    source: Source<'a>,
    position: usize,
    grant: Grant,
}

#[derive(Debug)]
enum Source<'a> {
    Copied(&'a [u8]),
    Split(BytesMut),
}

impl<'a> Cutter<'a> {
    /// Cuts `frame`. `copies` covers what must be copied out of a small frame.
    pub fn new(frame: Frame<'a>, copies: Grant) -> Cutter<'a> {
        match frame {
            Frame::Small(bytes) => Cutter { source: Source::Copied(bytes), position: 0, grant: copies },
            Frame::Large(bytes, grant) => Cutter { source: Source::Split(bytes), position: 0, grant },
        }
    }

    /// The bytes from `start` on, `length` of them. Cuts come in the order of the frame. The last one takes what is
    /// left of the grant, because the frame's memory lives as long as its last part.
    pub fn cut(&mut self, start: usize, length: usize, is_last: bool) -> (BytesMut, Grant) {
        let batch = match &mut self.source {
            Source::Copied(bytes) => BytesMut::from(bytes.get(start..start + length).unwrap_or_default()),
            Source::Split(bytes) => {
                bytes.advance(start.saturating_sub(self.position).min(bytes.len()));
                self.position = start + length;
                let length = length.min(bytes.len());
                if is_last {
                    bytes.truncate(length);
                    std::mem::take(bytes)
                } else {
                    bytes.split_to(length)
                }
            }
        };
        let held = if is_last { self.grant.bytes() } else { length };
        (batch, self.grant.split(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Account;
    use crate::types::Rng;

    const MAX: usize = 1 << 20;

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = (length as i32).to_be_bytes().to_vec();
        bytes.extend((0..length).map(|i| i as u8));
        bytes
    }

    /// Lengths below a header, negative and beyond the limit are refused before anything is kept.
    #[test]
    fn impossible_lengths() {
        for said in [i32::MIN, -1, 0, 7, MAX as i32 + 1, i32::MAX] {
            assert_eq!(Front::of(&said.to_be_bytes(), MAX), Front::Bad(said));
        }
        assert_eq!(Front::of(&[0, 0, 0], MAX), Front::Incomplete);
        assert_eq!(Front::of(&(MAX as i32).to_be_bytes(), MAX), Front::Incomplete, "a length alone costs nothing");
    }

    /// However the socket cuts them, frames of all sizes come out whole and in order, within the room promised.
    #[test]
    fn any_cut() {
        let mut rng = Rng::new(11);
        let sizes = [8, 100, 8187, 8188, 8189, 70_000, 9, 9000, 8184, 20_000, 8, 8];
        for _ in 0..50 {
            let stream: Vec<u8> = sizes.iter().flat_map(|&size| frame(size)).collect();
            let (mut inbox, mut seen, mut at) = (Inbox::default(), Vec::new(), 0);
            let account = Account::new(MAX);
            while at < stream.len() {
                let limit = inbox.room().min(64 * 1024);
                assert!(limit > 0);
                let count = (1 + rng.below(limit as u64) as usize).min(stream.len() - at);
                receive(&mut inbox, &stream[at..at + count], &account, &mut seen);
                at += count;
            }
            assert_eq!(seen, sizes);
            assert_eq!(account.used_bytes(), 0);
        }
    }

    fn receive(inbox: &mut Inbox, data: &[u8], account: &Account, seen: &mut Vec<usize>) {
        let data = inbox.fill(data);
        let mut held = inbox.take_input();
        if !held.is_empty() {
            held.extend_from_slice(data);
        }
        let bytes = if held.is_empty() { data } else { &held };
        let mut at = 0;
        loop {
            if let Some(frame) = inbox.take_large() {
                seen.push(frame.bytes().len());
            }
            if inbox.has_large() {
                break;
            }
            match Front::of(&bytes[at..], MAX) {
                Front::Frame(frame) => {
                    seen.push(frame.len());
                    at += LENGTH_BYTES + frame.len();
                }
                Front::Large(length) => {
                    let grant = account.take(length).unwrap();
                    at += LENGTH_BYTES;
                    at += inbox.begin_large(Instant(0), length, grant, &bytes[at..]);
                }
                Front::Incomplete => break,
                Front::Bad(said) => panic!("{said}"),
            }
        }
        inbox.put_input(held, data, at);
    }

    /// A sender who drips is stalled after ten seconds, one who sends 4 KiB is not.
    #[test]
    fn stalled_sender() {
        let mut inbox = Inbox::default();
        inbox.begin_large(Instant(0), 100_000, Grant::none(), &[0; 8188]);
        assert!(!inbox.is_stalled(Instant(9_999_999)));
        inbox.fill(&[0; 10]);
        assert!(inbox.is_stalled(Instant(10_000_000)));
        inbox.fill(&[0; 4096]);
        assert!(!inbox.is_stalled(Instant(10_000_000)));
        assert!(!inbox.is_stalled(Instant(19_999_999)));
        assert!(inbox.is_stalled(Instant(20_000_000)));
        inbox.fill(&[0; 100_000]);
        assert!(!inbox.is_stalled(Instant(90_000_000)), "whole frames wait for us, not for the sender");
    }

    /// Parts of a frame are cut in order, and their grants add up to the frame's.
    #[test]
    fn cut() {
        let account = Account::new(1000);
        let bytes: Vec<u8> = (0..100).collect();
        for large in [false, true] {
            let grant = account.take(100).unwrap();
            let mut cutter = if large {
                Cutter::new(Frame::Large(BytesMut::from(&bytes[..]), grant), Grant::none())
            } else {
                Cutter::new(Frame::Small(&bytes), grant)
            };
            let (a, a_grant) = cutter.cut(10, 20, false);
            let (b, b_grant) = cutter.cut(35, 5, true);
            drop(cutter);
            assert_eq!((&a[..], &b[..]), (&bytes[10..30], &bytes[35..40]));
            assert_eq!((a_grant.bytes(), b_grant.bytes(), account.used_bytes()), (20, 80, 100));
        }
        assert_eq!(account.used_bytes(), 0);
    }
}
