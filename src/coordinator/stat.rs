//! What ZooKeeper tells about a znode besides its data.

use serde::{Deserialize, Serialize};

use crate::types::{SessionId, Timestamp, Zxid};

/// The 68 bytes of ZooKeeper's `Stat`, with the meanings that it has on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// The transaction that created the znode.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// When it was created, by the proposer's clock.
    pub ctime: Timestamp,
    /// When its data was last set, by the proposer's clock.
    pub mtime: Timestamp,
    /// How often its data was set.
    pub version: i32,
    /// Creations and deletions of children.
    pub cversion: i32,
    /// How often its ACL was set.
    pub aversion: i32,
    /// The session it lives with; 0 for every other kind, containers and TTL nodes included.
    pub ephemeral_owner: SessionId,
    /// Bytes of data; 0 for null data too.
    pub data_length: i32,
    /// Children now.
    pub num_children: i32,
    /// The transaction that last created or deleted a child; at birth `czxid`.
    pub pzxid: Zxid,
}
