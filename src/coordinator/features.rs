//! What all members of an ensemble understand: one number in the tree, `/feature`, under the name `tern.version`.
//!
//! What is written to the quorum's log is applied by every member, so nobody may write what one of them cannot read: the
//! trees would differ for ever. Each member registers the levels that it understands (`features` in `/brokers/ids/N`, as
//! Kafka's brokers do), and the level in the tree says which are in use.
//!
//! | level | brings |
//! |---|---|
//! | 1 | the first format; a tree that names no level has this one |
//! | 2 | `Body::RegisterBrokerIn`: which directory a broker's logs are in; `Body::Reconfig` |

/// The feature's name, for `/feature` and Kafka's own tools.
pub const NAME: &str = "tern.version";
/// The lowest level that this program speaks.
pub const FIRST: u16 = 1;
/// The highest level that this program understands; a new cluster begins with it.
pub const LEVEL: u16 = 2;

/// From this level on brokers say which directory their logs are in.
pub const DIRECTORIES: u16 = 2;
/// From this level on the members of the ensemble can be changed.
pub const RECONFIG: u16 = 2;
