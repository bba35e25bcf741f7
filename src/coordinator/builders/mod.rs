//! From what somebody wants to the transaction that does it: pure functions of the view, one file for each subject.
//!
//! A transaction carries its own conditions (what must not exist, which version must be current), so that a view which
//! is out of date when it is applied makes it fail instead of doing harm.

mod broker;
mod config;
mod controller;
mod initial;
mod partition;
mod producer_ids;
mod reassign;
mod requested;
mod topic;
mod topic_error;

pub use broker::register_broker;
pub use config::alter_config;
pub use controller::{ElectionError, balance_leaders, claim_controller, elect_leaders, elect_preferred, elect_unclean};
pub use initial::{FIRST_NAMES, format_cluster, is_formatted};
pub use partition::{NewState, alter_partition};
pub use producer_ids::{PRODUCER_ID_BLOCK, next_producer_ids};
pub use reassign::{Move, MoveError, check_move, complete_moves, is_moving, move_replicas, origin_of, target_of};
pub use requested::{ELECTION_PATH, MOVES_PATH, forget_requested, requested};
pub use topic::{TopicPlan, complete_topic, create_partitions, create_topic, delete_topic, request_deletion};
pub use topic_error::TopicError;

use super::acl::Acl;
use super::txn::{CreateMode, Op};

fn create(path: String, data: Option<Vec<u8>>) -> Op {
    Op::Create { path, data, acl: Acl::open(), mode: CreateMode::Persistent }
}

fn create_ephemeral(path: String, data: Vec<u8>) -> Op {
    Op::Create { path, data: Some(data), acl: Acl::open(), mode: CreateMode::Ephemeral }
}

fn set_data(path: String, data: Vec<u8>, version: i32) -> Op {
    Op::SetData { path, data: Some(data), version }
}

fn delete(path: String) -> Op {
    Op::Delete { path, version: -1 }
}
