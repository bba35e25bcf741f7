//! `multi`: several writes that succeed or fail together.

use super::operation;
use crate::engine::znodes::{Body, CreateMode, Op};
use crate::zookeeper::codec::Request;

/// The transaction. An operation whose flags mean nothing becomes one that the tree refuses for the same reason, in its
/// place, so that those before and behind it have their results.
pub(super) fn body(ops: &[Request<'_>]) -> Body {
    let nameless = || Op::Create { path: String::new(), data: None, acl: Vec::new(), mode: CreateMode::Persistent };
    Body::Multi(ops.iter().map(|op| operation(op).unwrap_or_else(|_| nameless())).collect())
}
