//! `exists`: needs no right, as in ZooKeeper, and may watch a znode that is not there.

use super::{Fault, Reading};
use crate::zookeeper::codec::put_stat;
use crate::zookeeper::errors::Code;
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, watch: bool) -> Result<(), Fault> {
    if path.contains('\0') {
        return Err(Code::BAD_ARGUMENTS.into());
    }
    let znode = cx.engine.tree().get(path);
    cx.watch(watch, path, Kinds::DATA)?;
    let stat = znode.ok_or(Code::NO_NODE)?.stat();
    put_stat(cx.out, &stat);
    Ok(())
}
