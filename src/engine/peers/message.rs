//! What engines of an ensemble say to each other. Wire form: one byte for the room it is for, then, for `engine`, one
//! version byte and postcard; the order of variants is the format: append only.

use serde::{Deserialize, Serialize};

use crate::types::SessionId;

/// For `quorum`, whose message follows.
pub(super) const ROOM_QUORUM: u8 = 1;
/// For the engine itself.
pub(super) const ROOM_ENGINE: u8 = 2;

const VERSION: u8 = 1;

/// Sessions named in one message; more wait for the next.
pub(super) const TOUCHED_MAX: usize = 4096;

/// One message between engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum EngineMessage {
    /// To the leader of that term: propose this for me. `life` is this life of the sender, `sequence` counts in it.
    Forward { term: u64, life: u64, sequence: u64, txn: Vec<u8> },
    /// It was not proposed.
    NotForwarded { life: u64, sequence: u64, why: Refusal },
    /// To the leader: this broker's session and these sessions of clients are alive.
    Touch { broker: SessionId, sent_micros: u64, clients: Vec<SessionId> },
    /// The leader has taken note of a `Touch`.
    Touched { sent_micros: u64 },
    /// `Forward` of a transaction on which the leader has to say something first (`features::RECONFIG`).
    Judge { term: u64, life: u64, sequence: u64, txn: Vec<u8> },
}

/// Why something was not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum Refusal {
    NotLeader,
    Busy,
    TooLarge,
}

impl EngineMessage {
    /// The wire form, the byte for the room included.
    pub fn encode(&self) -> Vec<u8> {
        // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
        postcard::to_extend(self, vec![ROOM_ENGINE, VERSION]).unwrap_or_default()
    }

    /// Reads what follows the byte for the room; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<EngineMessage> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        match postcard::take_from_bytes(rest) {
            Ok((message, [])) => Some(message),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member of the first level says and understands these, byte for byte.
    #[test]
    fn the_first_format() {
        let forward = EngineMessage::Forward { term: 3, life: 5, sequence: 1, txn: vec![1, 2] };
        assert_eq!(forward.encode(), [ROOM_ENGINE, 1, 0, 3, 5, 1, 2, 1, 2]);
        assert_eq!(EngineMessage::decode(&[1, 3, 7]), Some(EngineMessage::Touched { sent_micros: 7 }));
    }

    /// Messages survive the way through bytes; cut ones are refused.
    #[test]
    fn round_trip() {
        for message in [
            EngineMessage::Forward { term: 3, life: u64::MAX, sequence: 1, txn: vec![1, 2, 3] },
            EngineMessage::NotForwarded { life: 1, sequence: 2, why: Refusal::Busy },
            EngineMessage::Touch { broker: SessionId(-5), sent_micros: 7, clients: vec![SessionId(9)] },
            EngineMessage::Touched { sent_micros: 7 },
            EngineMessage::Judge { term: 3, life: 2, sequence: 1, txn: vec![1] },
        ] {
            let bytes = message.encode();
            assert_eq!(bytes[0], ROOM_ENGINE);
            assert_eq!(EngineMessage::decode(&bytes[1..]), Some(message));
            for end in 1..bytes.len() {
                assert_eq!(EngineMessage::decode(&bytes[1..end]), None);
            }
        }
    }
}
