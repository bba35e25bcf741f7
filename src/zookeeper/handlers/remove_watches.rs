//! `removeWatches`: the connection's own, of some kind.

use super::{Fault, Reading, canonical, check_watches};
use crate::zookeeper::errors::Code;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, kind: i32) -> Result<(), Fault> {
    let kinds = check_watches::kinds(kind)?;
    if cx.watches.remove(cx.conn, canonical(path), kinds) { Ok(()) } else { Err(Code::NO_WATCHER.into()) }
}
