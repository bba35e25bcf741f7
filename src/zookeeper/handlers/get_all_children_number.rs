//! `getAllChildrenNumber`: znodes below, at every depth.

use super::{Fault, Reading};
use crate::types::Writer;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str) -> Result<(), Fault> {
    let count = cx.readable(path)?.descendant_count();
    Writer::new(cx.out).i32(count.min(i32::MAX as usize) as i32);
    Ok(())
}
