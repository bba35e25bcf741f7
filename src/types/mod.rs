//! The words every room speaks: identifiers, marks, time, chance, bounded readers and writers, CRC-32C, SHA-1.
//!
//! Nothing here knows a protocol, a file or a socket, and nothing allocates beyond what its caller hands in.
//! Every room may import this one; it imports none.

pub mod crc32c;
mod ids;
mod key_map;
mod reader;
mod rng;
mod sha1;
mod time;
mod timers;
mod topic_id;
mod writer;

pub use ids::{
    ConnId, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Slot, Term, Ticket, Zxid,
};
pub use key_map::{KeyMap, KeyMapFull};
pub use reader::{ReadError, Reader};
pub use rng::Rng;
pub use sha1::{SHA1_BYTES, sha1};
pub use time::{Instant, Now, Timestamp};
pub use timers::Timers;
pub use topic_id::TopicId;
pub use writer::Writer;
