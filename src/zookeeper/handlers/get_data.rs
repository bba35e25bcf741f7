//! `getData`, for `/zookeeper/config` as for any other znode.

use super::{Fault, Reading};
use crate::zookeeper::codec::{STAT_BYTES, put_buffer, put_stat};
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, watch: bool) -> Result<(), Fault> {
    let znode = cx.readable(path)?;
    let data = znode.data();
    cx.reserve(4 + data.map_or(0, <[u8]>::len) + STAT_BYTES)?;
    cx.watch(watch, path, Kinds::DATA)?;
    put_buffer(cx.out, data);
    put_stat(cx.out, &znode.stat());
    Ok(())
}
