//! `addWatch`: one that stays, for a znode (0) or for everything below as well (1).

use super::{Fault, Reading};
use crate::types::Writer;
use crate::zookeeper::errors::Code;
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str, mode: i32) -> Result<(), Fault> {
    let kinds = match mode {
        0 => Kinds::PERSISTENT,
        1 => Kinds::RECURSIVE,
        _ => return Err(Code::MARSHALLING_ERROR.into()),
    };
    cx.watch(true, path, kinds)?;
    Writer::new(cx.out).i32(0);
    Ok(())
}
