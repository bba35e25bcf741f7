//! What two brokers say to each other about a partition, over the data link (2888).
//!
//! ```text
//! either                                     other
//!    Hello ---------------------------------->        first on a new link: forget what I asked before, ask me again
//! follower                                   leader
//!    Fetch(from, last epoch, durable) ------->        parked while there is nothing at `from`
//!            <------- Records | Diverged | OutOfRange | NotHere      exactly one for each Fetch
//!    Durable(durable) ----------------------->        whenever more of it is on the follower's disk
//!            <------- Mark                            the high watermark has moved and nobody fetched since
//! any board
//!    Append ------------------------------->        a batch of its clients (`broker::forward`)
//!            <------- Appended                        when it is acknowledged, or why not
//! board with subscribers and no copy
//!    TailFetch(from) ----------------------->        parked while nothing at `from` is acknowledged
//!            <------- TailRecords | TailNotHere       exactly one for each TailFetch (`features::TAILS`)
//! ```
//!
//! Each message names the partition and the leader epoch it was meant in; in another epoch it means nothing and is
//! dropped. A link leads one way, keeps the order of messages and loses them only by ending (`Broker::link_down`).
//! Answers carry the number of the fetch that they answer: one to an older fetch is dropped.
//!
//! A message that is not understood ends the frame that it came in: whatever is appended here is said only to members that
//! understand it, by the level in the tree.
//!
//! Invariant: postcard does not evolve by itself: variants and fields are only appended, under a new feature level.

use serde::{Deserialize, Serialize};

use crate::broker::forward::Taken;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

/// A partition in one leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The topic's identity.
    pub topic: TopicId,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// Which leadership.
    pub epoch: LeaderEpoch,
}

/// One message. `Fetch`, `Durable`, `Append` and `TailFetch` go to the leader, the others come from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// I have a new link to you: what you asked of me over the last one is forgotten.
    Hello,
    /// Give me what lies at `from`, the end of my log, whose last batch is of `last_epoch`.
    Fetch { at: At, number: u32, from: Offset, last_epoch: LeaderEpoch, durable: Offset },
    /// Everything below is on my disk.
    Durable { at: At, durable: Offset },
    /// Whole batches from the asked offset on.
    Records { at: At, number: u32, marks: Told, batches: &'a [u8] },
    /// Our logs differ: of your `last_epoch` or before, mine has `last_epoch` up to `end`. Cut yours, ask again.
    Diverged { at: At, number: u32, last_epoch: LeaderEpoch, end: Offset },
    /// What you want is deleted here: begin anew at `start`.
    OutOfRange { at: At, number: u32, start: Offset },
    /// I do not lead that, or not yet, or cannot read it now: ask again later.
    NotHere { at: At, number: u32 },
    /// The marks have moved.
    Mark { at: At, marks: Told },
    /// To the leader: a batch of clients of mine, with a producer id and sequence number.
    Append { at: At, number: u32, batch: &'a [u8] },
    /// What became of it.
    Appended { at: At, number: u32, taken: Taken },
    /// To the leader: what is acknowledged at `from` and above, for live subscribers of mine; `None`: where do I begin, to
    /// hear what becomes acknowledged from now on?
    TailFetch { at: At, number: u32, from: Option<Offset> },
    /// Whole acknowledged batches from the asked offset on; none: there are none below `next`, go on there.
    TailRecords { at: At, number: u32, next: Offset, batches: &'a [u8] },
    /// I do not lead that, or not yet, or have no room: ask again later.
    TailNotHere { at: At, number: u32 },
}

/// What a leader tells of its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Everything below is acknowledged.
    pub high_watermark: Offset,
    /// Nothing below is served any more.
    pub log_start: Offset,
}

impl Message<'_> {
    /// Appends the message to `out`, its length (u32, big endian) first.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut framed = std::mem::take(out);
        framed.extend_from_slice(&[0; 4]);
        // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
        *out = postcard::to_extend(self, framed).unwrap_or_default();
        let length = out.len().saturating_sub(start + 4) as u32;
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// The first message of `bytes` and what follows it; `None` when it is not whole or makes no sense.
    pub fn read(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        match postcard::take_from_bytes(body) {
            Ok((message, [])) => Some((message, rest)),
            Ok(_) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What members of earlier levels say and understand, byte for byte, and what the third brings.
    #[test]
    fn formats_stay() {
        let at = At { topic: TopicId([7; 16]), index: PartitionIndex(3), epoch: LeaderEpoch(9) };
        let marks = Told { high_watermark: Offset(5), log_start: Offset(1) };
        let place = [&[7; 16][..], &[6, 18]].concat();
        let (offset, epoch) = (Offset(4), LeaderEpoch(8));
        let pinned: [(Message<'_>, u8, &[u8]); 14] = [
            (Message::Fetch { at, number: 8, from: Offset(6), last_epoch: epoch, durable: offset }, 1, &[8, 12, 16, 8]),
            (Message::Durable { at, durable: offset }, 2, &[8]),
            (Message::Records { at, number: 1, marks, batches: b"b" }, 3, &[1, 10, 2, 1, b'b']),
            (Message::Diverged { at, number: 1, last_epoch: epoch, end: offset }, 4, &[1, 16, 8]),
            (Message::OutOfRange { at, number: 1, start: offset }, 5, &[1, 8]),
            (Message::NotHere { at, number: 1 }, 6, &[1]),
            (Message::Mark { at, marks }, 7, &[10, 2]),
            (Message::Append { at, number: 1, batch: b"b" }, 8, &[1, 1, b'b']),
            (Message::Appended { at, number: 1, taken: Taken::Done }, 9, &[1, 0]),
            (Message::Appended { at, number: 1, taken: Taken::Never }, 9, &[1, 3]),
            (Message::TailFetch { at, number: 1, from: None }, 10, &[1, 0]),
            (Message::TailFetch { at, number: 1, from: Some(offset) }, 10, &[1, 1, 8]),
            (Message::TailRecords { at, number: 1, next: offset, batches: b"b" }, 11, &[1, 8, 1, b'b']),
            (Message::TailNotHere { at, number: 1 }, 12, &[1]),
        ];
        for (message, variant, rest) in pinned {
            let body = [&[variant][..], &place, rest].concat();
            let mut written = Vec::new();
            message.write(&mut written);
            assert_eq!(written, [&(body.len() as u32).to_be_bytes()[..], &body].concat(), "{message:?}");
        }
        let mut hello = Vec::new();
        Message::Hello.write(&mut hello);
        assert_eq!(hello, [0, 0, 0, 1, 0]);
        assert!(Message::read(&[0, 0, 0, 1, 13]).is_none(), "a variant of a later level is none");
    }

    /// Every message survives the way over the wire; a cut one is none.
    #[test]
    fn round_trip() {
        let at = At { topic: TopicId([7; 16]), index: PartitionIndex(3), epoch: LeaderEpoch(9) };
        let marks = Told { high_watermark: Offset(5), log_start: Offset(1) };
        let messages = [
            Message::Hello,
            Message::Fetch { at, number: 8, from: Offset(1 << 40), last_epoch: LeaderEpoch(8), durable: Offset(4) },
            Message::Durable { at, durable: Offset(6) },
            Message::Records { at, number: 1, marks, batches: b"batches" },
            Message::Diverged { at, number: u32::MAX, last_epoch: LeaderEpoch::NONE, end: Offset(0) },
            Message::OutOfRange { at, number: 0, start: Offset(77) },
            Message::NotHere { at, number: 2 },
            Message::Mark { at, marks },
            Message::Append { at, number: 3, batch: b"batch" },
            Message::Appended { at, number: 3, taken: Taken::Gap },
            Message::TailFetch { at, number: 4, from: Some(Offset(1 << 40)) },
            Message::TailRecords { at, number: 4, next: Offset(9), batches: b"batches" },
            Message::TailNotHere { at, number: 5 },
        ];
        let mut wire = Vec::new();
        for message in &messages {
            message.write(&mut wire);
        }
        let mut rest = &wire[..];
        for message in &messages {
            for cut in 0..4 {
                assert!(Message::read(&rest[..cut]).is_none());
            }
            let (read, after) = Message::read(rest).unwrap();
            assert_eq!(read, *message);
            rest = after;
        }
        assert!(rest.is_empty());
    }
}
