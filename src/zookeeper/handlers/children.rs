//! `getChildren` and `getChildren2`: names in no order, as in ZooKeeper.

use super::{Fault, Reading};
use crate::types::Writer;
use crate::zookeeper::codec::{STAT_BYTES, put_stat, put_text};
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, watch: bool, with_stat: bool) -> Result<(), Fault> {
    let znode = cx.readable(path)?;
    put_names(cx, znode.child_count(), znode.children().map(|child| child.name()))?;
    cx.reserve(STAT_BYTES)?;
    cx.watch(watch, path, Kinds::CHILD)?;
    if with_stat {
        put_stat(cx.out, &znode.stat());
    }
    Ok(())
}

/// Appends a vector of `count` names.
pub(super) fn put_names<'n>(
    cx: &mut Reading<'_>,
    count: usize,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), Fault> {
    cx.reserve(4)?;
    Writer::new(cx.out).i32(count.min(i32::MAX as usize) as i32);
    for name in names {
        cx.reserve(4 + name.len())?;
        put_text(cx.out, name);
    }
    Ok(())
}
