//! What members of a quorum say to each other. Wire form: one version byte, then postcard; the order of variants is the
//! format: append only.

use serde::{Deserialize, Serialize};

use super::raft_message::RaftMessage;
use super::state_file::Membership;
use crate::effect::Channel;

const VERSION: u8 = 1;

/// More members than any ensemble has are no honest list.
const MEMBERS_SAID_MAX: usize = 256;

/// The longest sentence and the longest cluster id that are taken from a peer.
const TEXT_BYTES_MAX: usize = 1024;

/// One message between members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// Who I am: the first on each connection, and again whenever it changes.
    Hello(Hello),
    /// Raft's own.
    Raft(RaftMessage),
    /// You cannot belong to us; the sentence says what to do.
    Refused(String),
    /// Send me the part of a snapshot's file that begins here.
    Pull(Part),
    /// That part; empty when the file is no longer there.
    Chunk(Part, Vec<u8>),
}

/// A member's word about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its raft id: number and incarnation.
    pub raft_id: u64,
    /// Its cluster; empty before the first formation, and for data directories of an earlier format.
    pub cluster_id: String,
    /// False: its disk is empty.
    pub is_formed: bool,
    /// What it knows of the membership, and as of which entry. Empty when it is not formed.
    pub membership: Membership,
    /// See `membership`.
    pub membership_index: u64,
    /// A checksum of the `server.N` lines in its files.
    pub lines_crc: u32,
    /// Please say hello as well.
    pub is_asking: bool,
}

/// A part of a snapshot's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The last entry in the snapshot.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// Where in the file.
    pub position: u64,
}

impl PeerMessage {
    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// Reads the wire form; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<PeerMessage> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let (message, rest) = postcard::take_from_bytes::<PeerMessage>(rest).ok()?;
        let is_honest = match &message {
            PeerMessage::Hello(hello) => {
                hello.cluster_id.len() <= TEXT_BYTES_MAX && hello.membership.len() <= MEMBERS_SAID_MAX
            }
            PeerMessage::Refused(sentence) => sentence.len() <= TEXT_BYTES_MAX,
            _ => true,
        };
        (rest.is_empty() && is_honest).then_some(message)
    }

    /// On which connection it travels: a snapshot must not hold up heartbeats.
    pub fn channel(&self) -> Channel {
        match self {
            PeerMessage::Pull(_) | PeerMessage::Chunk(..) => Channel::Data,
            PeerMessage::Hello(_) | PeerMessage::Raft(_) | PeerMessage::Refused(_) => Channel::Quorum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages survive the way through bytes; cut ones, longer ones and those of another version are refused.
    #[test]
    fn round_trip() {
        let hello = Hello {
            raft_id: 5 << 32 | 2,
            cluster_id: "id".into(),
            is_formed: true,
            membership: Membership { voters: vec![1, 2, 3], ..Membership::default() },
            membership_index: 9,
            lines_crc: 77,
            is_asking: false,
        };
        let part = Part { index: 1, term: 2, position: 3 };
        for message in [
            PeerMessage::Hello(hello),
            PeerMessage::Refused("no".into()),
            PeerMessage::Pull(part),
            PeerMessage::Chunk(part, vec![1, 2, 3]),
        ] {
            let mut bytes = message.encode();
            assert_eq!(PeerMessage::decode(&bytes), Some(message));
            for end in 0..bytes.len() {
                assert_eq!(PeerMessage::decode(&bytes[..end]), None);
            }
            bytes.push(0);
            assert_eq!(PeerMessage::decode(&bytes), None);
            bytes.pop();
            bytes[0] = 2;
            assert_eq!(PeerMessage::decode(&bytes), None);
        }
    }
}
