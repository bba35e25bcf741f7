//! The table of messages, a file a family. Names are the protocol's own, in snake case; units stand in the names.
//!
//! One struct serves both directions. Fields of an older or newer version than the one at hand hold their defaults.

mod acls;
mod api_versions;
mod cluster;
mod configs;
mod consumer_groups;
mod features;
mod fetch;
mod find_coordinator;
mod group_admin;
mod groups;
mod list_offsets;
mod logs;
mod metadata;
mod offsets;
mod produce;
mod producer;
mod quorum;
mod quotas;
mod replicas;
mod scram;
mod topic_partitions;
mod topics;
mod transactions;

pub use acls::*;
pub use api_versions::*;
pub use cluster::*;
pub use configs::*;
pub use consumer_groups::*;
pub use features::*;
pub use fetch::*;
pub use find_coordinator::*;
pub use group_admin::*;
pub use groups::*;
pub use list_offsets::*;
pub use logs::*;
pub use metadata::*;
pub use offsets::*;
pub use produce::*;
pub use producer::*;
pub use quorum::*;
pub use quotas::*;
pub use replicas::*;
pub use scram::*;
pub use topic_partitions::*;
pub use topics::*;
pub use transactions::*;
