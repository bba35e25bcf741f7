//! Access control: who may do what to a znode, as in ZooKeeper.

use serde::{Deserialize, Serialize};

/// The right to read data and children.
pub const READ: u8 = 1;
/// The right to set data.
pub const WRITE: u8 = 2;
/// The right to create children.
pub const CREATE: u8 = 4;
/// The right to delete children.
pub const DELETE: u8 = 8;
/// The right to set the ACL.
pub const ADMIN: u8 = 16;
/// Every right.
pub const ALL: u8 = 31;

/// An identity: `world:anyone`, `digest:user:hash`, `ip:address`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// `world`, `ip`, `digest`, `auth`, `sasl`, `x509` or `super`.
    pub scheme: String,
    /// What it means is the scheme's business.
    pub id: String,
}

/// Some rights for one identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acl {
    /// Any of `READ` to `ADMIN`.
    pub perms: u8,
    /// Who has them.
    pub id: Id,
}

impl Acl {
    /// `world:anyone` with every right: what brokers give their znodes.
    pub fn open() -> Vec<Acl> {
        vec![Acl { perms: ALL, id: Id { scheme: "world".to_string(), id: "anyone".to_string() } }]
    }
}
