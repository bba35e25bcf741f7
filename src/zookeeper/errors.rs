//! ZooKeeper's error codes (`KeeperException.Code`): what a door answers and what a client reads.

use crate::engine::znodes::ErrorCode;

/// A code as it stands in a reply's header; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub i32);

#[allow(missing_docs)] // the names are the protocol's
impl Code {
    pub const OK: Code = Code(0);
    pub const SYSTEM_ERROR: Code = Code(-1);
    pub const RUNTIME_INCONSISTENCY: Code = Code(-2);
    pub const MARSHALLING_ERROR: Code = Code(-5);
    pub const UNIMPLEMENTED: Code = Code(-6);
    pub const BAD_ARGUMENTS: Code = Code(-8);
    pub const NEW_CONFIG_NO_QUORUM: Code = Code(-13);
    pub const RECONFIG_IN_PROGRESS: Code = Code(-14);
    pub const NO_NODE: Code = Code(-101);
    pub const NO_AUTH: Code = Code(-102);
    pub const BAD_VERSION: Code = Code(-103);
    pub const NO_CHILDREN_FOR_EPHEMERALS: Code = Code(-108);
    pub const NODE_EXISTS: Code = Code(-110);
    pub const NOT_EMPTY: Code = Code(-111);
    pub const SESSION_EXPIRED: Code = Code(-112);
    pub const INVALID_ACL: Code = Code(-114);
    pub const AUTH_FAILED: Code = Code(-115);
    pub const SESSION_MOVED: Code = Code(-118);
    pub const NOT_READ_ONLY: Code = Code(-119);
    pub const NO_WATCHER: Code = Code(-121);
    pub const RECONFIG_DISABLED: Code = Code(-123);
    pub const QUOTA_EXCEEDED: Code = Code(-125);
}

impl From<ErrorCode> for Code {
    fn from(error: ErrorCode) -> Code {
        Code(error.code())
    }
}

impl std::fmt::Display for Code {
    /// A sentence for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            0 => "no error",
            -1 => "the server has no memory for this, or failed",
            -2 => "not tried, because an earlier operation of the same transaction failed",
            -5 => "the server cannot read the request",
            -6 => "the server does not know this operation",
            -8 => "an argument is not valid",
            -13 => "too few of the members that would vote are there and in step",
            -14 => "the members are being changed already",
            -101 => "the node does not exist",
            -102 => "permission denied",
            -103 => "the version has changed",
            -108 => "an ephemeral node has no children",
            -110 => "the node exists",
            -111 => "the node has children",
            -112 => "the session has expired",
            -114 => "the ACL is not valid",
            -115 => "the credentials are refused",
            -118 => "the session has moved to another connection",
            -119 => "the server has no quorum and serves reads only",
            -121 => "there is no such watch",
            -123 => "the members cannot be changed by clients, because of reconfigEnabled=false",
            -125 => "the quota is used up",
            code => return write!(f, "error {code}"),
        })
    }
}

impl std::error::Error for Code {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the tree answers has a sentence of its own.
    #[test]
    fn every_code_of_the_tree_is_known() {
        for error in [
            ErrorCode::RuntimeInconsistency,
            ErrorCode::Marshalling,
            ErrorCode::Unimplemented,
            ErrorCode::BadArguments,
            ErrorCode::NoNode,
            ErrorCode::NoAuth,
            ErrorCode::BadVersion,
            ErrorCode::NoChildrenForEphemerals,
            ErrorCode::NodeExists,
            ErrorCode::NotEmpty,
            ErrorCode::SessionExpired,
            ErrorCode::InvalidAcl,
            ErrorCode::TreeFull,
            ErrorCode::NewConfigNoQuorum,
            ErrorCode::ReconfigInProgress,
        ] {
            assert!(!Code::from(error).to_string().starts_with("error "), "{error:?}");
        }
    }
}
