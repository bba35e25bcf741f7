//! `checkWatches`: whether the connection has a watch there.

use super::{Fault, Reading, canonical};
use crate::zookeeper::errors::Code;
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, kind: i32) -> Result<(), Fault> {
    if cx.watches.contains(cx.conn, canonical(path), kinds(kind)?) { Ok(()) } else { Err(Code::NO_WATCHER.into()) }
}

/// The kinds that a number means: 1 children, 2 data, 3 any. A persistent watch counts as both, as in 3.8.
pub(super) fn kinds(kind: i32) -> Result<Kinds, Code> {
    let lasting = Kinds::PERSISTENT.and(Kinds::RECURSIVE);
    match kind {
        1 => Ok(Kinds::CHILD.and(lasting)),
        2 => Ok(Kinds::DATA.and(lasting)),
        3 => Ok(Kinds::ALL),
        _ => Err(Code::MARSHALLING_ERROR),
    }
}
