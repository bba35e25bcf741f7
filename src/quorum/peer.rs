//! What members say to each other: raft's messages as types of ours, so that no protobuf bytes ever come from a socket.
//!
//! Stored form: one version byte, then postcard. Ids are raft's, server id + 1.

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// One message between members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMessage {
    /// The receiver.
    pub to: u64,
    /// The sender.
    pub from: u64,
    kind: Kind,
    term: u64,
    log_term: u64,
    index: u64,
    entries: Vec<PeerEntry>,
    commit: u64,
    commit_term: u64,
    request_snapshot: u64,
    reject: bool,
    reject_hint: u64,
    context: Vec<u8>,
    priority: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PeerEntry {
    kind: EntryKind,
    term: u64,
    data: Vec<u8>,
}

/// The order is the stored format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum EntryKind {
    Normal,
    ConfChange,
    ConfChangeV2,
}

/// The order is the stored format: append only. Snapshots travel beside these messages, not in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Append,
    AppendResponse,
    RequestVote,
    RequestVoteResponse,
    Heartbeat,
    HeartbeatResponse,
    TransferLeader,
    TimeoutNow,
    ReadIndex,
    ReadIndexResponse,
    RequestPreVote,
    RequestPreVoteResponse,
}

const KINDS: [(Kind, MessageType); 12] = [
    (Kind::Append, MessageType::MsgAppend),
    (Kind::AppendResponse, MessageType::MsgAppendResponse),
    (Kind::RequestVote, MessageType::MsgRequestVote),
    (Kind::RequestVoteResponse, MessageType::MsgRequestVoteResponse),
    (Kind::Heartbeat, MessageType::MsgHeartbeat),
    (Kind::HeartbeatResponse, MessageType::MsgHeartbeatResponse),
    (Kind::TransferLeader, MessageType::MsgTransferLeader),
    (Kind::TimeoutNow, MessageType::MsgTimeoutNow),
    (Kind::ReadIndex, MessageType::MsgReadIndex),
    (Kind::ReadIndexResponse, MessageType::MsgReadIndexResp),
    (Kind::RequestPreVote, MessageType::MsgRequestPreVote),
    (Kind::RequestPreVoteResponse, MessageType::MsgRequestPreVoteResponse),
];

impl PeerMessage {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// Reads the stored form; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<PeerMessage> {
        match bytes.split_first()? {
            (&VERSION, rest) => {
                postcard::take_from_bytes(rest).ok().filter(|(_, rest)| rest.is_empty()).map(|(m, _)| m)
            }
            _ => None,
        }
    }

    /// `None` for kinds that do not travel this way.
    pub(super) fn of(mut message: Message) -> Option<PeerMessage> {
        let (kind, _) = *KINDS.iter().find(|(_, kind)| *kind == message.get_msg_type())?;
        let entries = message.take_entries().into_iter().map(|entry| PeerEntry {
            kind: match entry.get_entry_type() {
                EntryType::EntryNormal => EntryKind::Normal,
                EntryType::EntryConfChange => EntryKind::ConfChange,
                EntryType::EntryConfChangeV2 => EntryKind::ConfChangeV2,
            },
            term: entry.term,
            data: entry.data.to_vec(),
        });
        Some(PeerMessage {
            to: message.to,
            from: message.from,
            kind,
            term: message.term,
            log_term: message.log_term,
            index: message.index,
            entries: entries.collect(),
            commit: message.commit,
            commit_term: message.commit_term,
            request_snapshot: message.request_snapshot,
            reject: message.reject,
            reject_hint: message.reject_hint,
            context: message.context.to_vec(),
            priority: message.priority,
        })
    }

    /// Entries get the indices after `index`. `None` when they do not fit into 63 bits.
    pub(super) fn into_raft(self) -> Option<Message> {
        let (_, kind) = *KINDS.iter().find(|(kind, _)| *kind == self.kind)?;
        let last = self.index.checked_add(self.entries.len() as u64)?;
        if last > i64::MAX as u64 || self.commit > i64::MAX as u64 || self.term > i32::MAX as u64 {
            return None;
        }
        let mut message = Message::default();
        message.set_msg_type(kind);
        message.to = self.to;
        message.from = self.from;
        message.term = self.term;
        message.log_term = self.log_term;
        message.index = self.index;
        message.commit = self.commit;
        message.commit_term = self.commit_term;
        message.request_snapshot = self.request_snapshot;
        message.reject = self.reject;
        message.reject_hint = self.reject_hint;
        message.context = Bytes::from(self.context);
        message.priority = self.priority;
        for (place, peer) in self.entries.into_iter().enumerate() {
            let mut entry = Entry::default();
            entry.set_entry_type(match peer.kind {
                EntryKind::Normal => EntryType::EntryNormal,
                EntryKind::ConfChange => EntryType::EntryConfChange,
                EntryKind::ConfChangeV2 => EntryType::EntryConfChangeV2,
            });
            entry.term = peer.term;
            entry.index = self.index + 1 + place as u64;
            entry.data = peer.data.into();
            message.entries.push(entry);
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind survives the way through bytes; bytes that were cut are refused.
    #[test]
    fn round_trip() {
        for (_, kind) in KINDS {
            let mut message = Message::default();
            message.set_msg_type(kind);
            message.to = 2;
            message.from = 1;
            message.term = 9;
            message.index = 40;
            message.commit = 39;
            message.reject = true;
            message.context = Bytes::from_static(b"why");
            message.entries.push(Entry { index: 41, term: 9, data: Bytes::from_static(b"x"), ..Entry::default() });
            let bytes = PeerMessage::of(message.clone()).unwrap().encode();
            assert_eq!(PeerMessage::decode(&bytes).unwrap().into_raft(), Some(message));
            for end in 0..bytes.len() {
                assert_eq!(PeerMessage::decode(&bytes[..end]), None);
            }
        }
    }
}
