//! Raft's messages as types of ours, so that no protobuf bytes ever come from a socket. Ids are raft's. A snapshot travels
//! beside its message, in parts that the receiver asks for.

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use serde::{Deserialize, Serialize};

use super::state_file::Membership;

/// One message between members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftMessage {
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
    /// What a message of kind `Snapshot` is about.
    pub(super) snapshot: Option<SnapshotOffer>,
}

/// A snapshot that a member has and another needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOffer {
    /// The last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The length of its file; 0 when the sender has lost it meanwhile.
    pub bytes: u64,
    /// The membership, which may be of a later entry.
    pub membership: Membership,
    /// That entry.
    pub membership_index: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PeerEntry {
    kind: EntryKind,
    term: u64,
    data: Vec<u8>,
}

/// The order is the wire format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum EntryKind {
    Normal,
    ConfChange,
    ConfChangeV2,
}

/// The order is the wire format: append only.
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
    Snapshot,
}

const KINDS: [(Kind, MessageType); 13] = [
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
    (Kind::Snapshot, MessageType::MsgSnapshot),
];

impl RaftMessage {
    /// The term that it is of.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// True for the answer that gives a vote: what must not leave before the vote is on the disk, and only once a term.
    pub fn grants_vote(&self) -> bool {
        self.kind == Kind::RequestVoteResponse && !self.reject
    }

    /// Entries that it carries.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// `None` for kinds that do not travel this way.
    pub(super) fn of(mut message: Message) -> Option<RaftMessage> {
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
        Some(RaftMessage {
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
            snapshot: Some(message.get_snapshot().get_metadata()).filter(|_| kind == Kind::Snapshot).map(|metadata| {
                SnapshotOffer {
                    index: metadata.index,
                    term: metadata.term,
                    bytes: 0,
                    membership: Membership::of(metadata.get_conf_state()),
                    membership_index: 0,
                }
            }),
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
        match (self.snapshot, kind) {
            (Some(offer), MessageType::MsgSnapshot) if offer.index <= i64::MAX as u64 => {
                let metadata = message.mut_snapshot().mut_metadata();
                metadata.index = offer.index;
                metadata.term = offer.term;
                *metadata.mut_conf_state() = offer.membership.to_conf_state();
            }
            (None, kind) if kind != MessageType::MsgSnapshot => {}
            _ => return None,
        }
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

    /// Every kind survives the way through bytes.
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
            if kind == MessageType::MsgSnapshot {
                message.mut_snapshot().mut_metadata().index = 30;
                message.mut_snapshot().mut_metadata().mut_conf_state().voters = vec![1, 2];
            }
            let sent = RaftMessage::of(message.clone()).unwrap();
            let bytes = postcard::to_extend(&sent, Vec::new()).unwrap();
            let received: RaftMessage = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(received.into_raft(), Some(message));
        }
    }
}
