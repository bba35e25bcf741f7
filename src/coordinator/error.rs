//! Why a transaction changed nothing: ZooKeeper's error codes, those that a tree can answer.
//!
//! The ZooKeeper door sends `code()` as it is; the other doors translate the meaning.

use serde::{Deserialize, Serialize};

/// ZooKeeper's `KeeperException.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// An operation of a multi that was not tried because an earlier one failed.
    RuntimeInconsistency,
    /// The bytes of the transaction are not a transaction.
    Marshalling,
    /// The transaction is of a version or kind that this node does not know.
    Unimplemented,
    /// Flags, path or time to live out of range, or a node that may not be removed.
    BadArguments,
    /// The znode, or the parent of the one to be created, does not exist.
    NoNode,
    /// The requester's credentials do not grant the permission.
    NoAuth,
    /// The expected version is not the znode's.
    BadVersion,
    /// An ephemeral znode has no children.
    NoChildrenForEphemerals,
    /// The znode exists already.
    NodeExists,
    /// The znode has children.
    NotEmpty,
    /// The session is closed, expired or was never there.
    SessionExpired,
    /// An empty list, an unknown scheme or a malformed id.
    InvalidAcl,
    /// The tree's account has no room. ZooKeeper's quota error (-125) would say more, but kazoo does not know it and
    /// drops its connection; a system error every client understands.
    TreeFull,
    /// A hard limit below `/zookeeper/quota` is against it.
    QuotaExceeded,
    /// Too few of the members that would vote are there and in step.
    NewConfigNoQuorum,
    /// The members are being changed already.
    ReconfigInProgress,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            ErrorCode::RuntimeInconsistency => -2,
            ErrorCode::Marshalling => -5,
            ErrorCode::Unimplemented => -6,
            ErrorCode::BadArguments => -8,
            ErrorCode::NoNode => -101,
            ErrorCode::NoAuth => -102,
            ErrorCode::BadVersion => -103,
            ErrorCode::NoChildrenForEphemerals => -108,
            ErrorCode::NodeExists => -110,
            ErrorCode::NotEmpty => -111,
            ErrorCode::SessionExpired => -112,
            ErrorCode::InvalidAcl => -114,
            ErrorCode::TreeFull => -1,
            ErrorCode::QuotaExceeded => -125,
            ErrorCode::NewConfigNoQuorum => -13,
            ErrorCode::ReconfigInProgress => -14,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ErrorCode::RuntimeInconsistency => "not tried, because an earlier operation of the same transaction failed",
            ErrorCode::Marshalling => "the transaction cannot be read",
            ErrorCode::Unimplemented => "the transaction is of a newer version",
            ErrorCode::BadArguments => "an argument is out of range",
            ErrorCode::NoNode => "the node does not exist",
            ErrorCode::NoAuth => "permission denied",
            ErrorCode::BadVersion => "the version has changed",
            ErrorCode::NoChildrenForEphemerals => "an ephemeral node has no children",
            ErrorCode::NodeExists => "the node exists",
            ErrorCode::NotEmpty => "the node has children",
            ErrorCode::SessionExpired => "the session has expired",
            ErrorCode::InvalidAcl => "the ACL is not valid",
            ErrorCode::TreeFull => "no room in the tree",
            ErrorCode::QuotaExceeded => "the quota is exceeded",
            ErrorCode::NewConfigNoQuorum => "too few of the new voters are there and in step",
            ErrorCode::ReconfigInProgress => "the members are being changed already",
        })
    }
}

impl std::error::Error for ErrorCode {}
