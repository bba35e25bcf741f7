//! ZooKeeper's wire protocol in both directions, as in 3.8: the door decodes requests and encodes replies, `tern zk`
//! does the opposite.
//!
//! Everything is big-endian (Jute): a buffer or text is a length and bytes, a vector a count and items, -1 stands for
//! null. Invariants: nothing is allocated for a length or count that the remaining bytes cannot hold; bytes behind a
//! well-formed body are ignored, as the reference does; null and empty data differ.

mod connect;
mod frame;
mod jute;
mod multi;
pub mod opcode;
mod records;
mod reply;
mod request;

pub use connect::{ConnectRequest, ConnectResponse, PASSWORD_BYTES};
pub use frame::{begin_frame, end_frame, split_frame};
pub use jute::{Jute, put_buffer, put_text, put_texts};
pub use multi::{MultiResult, decode_results, encode_reads, encode_results, put_error_result, put_result_end};
pub use opcode::Opcode;
pub use records::{
    AclEntry, EventType, ReplyHeader, RequestHeader, STAT_BYTES, WatchedEvent, acls, put_acls, put_stat, stat,
};
pub use reply::{Body, Reply};
pub use request::{Create, Request, SetWatches};

/// The xid of a watch event.
pub const XID_EVENT: i32 = -1;
/// The xid of a ping.
pub const XID_PING: i32 = -2;
/// The xid of credentials.
pub const XID_AUTH: i32 = -4;
/// The xid of re-armed watches.
pub const XID_SET_WATCHES: i32 = -8;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They end early, or a length, count or text in them is impossible: -5 on the wire.
    Malformed,
    /// No such operation: -6 on the wire.
    UnknownOpcode(i32),
}

impl From<crate::types::ReadError> for DecodeError {
    fn from(_: crate::types::ReadError) -> DecodeError {
        DecodeError::Malformed
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Malformed => f.write_str("the message cannot be read"),
            DecodeError::UnknownOpcode(code) => write!(f, "there is no operation {code}"),
        }
    }
}

impl std::error::Error for DecodeError {}
