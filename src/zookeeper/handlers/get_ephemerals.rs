//! `getEphemerals`: those of the session itself, whose paths begin with a prefix.

use super::children::put_names;
use super::{Fault, Reading};

pub(super) fn answer(cx: &mut Reading<'_>, prefix: &str) -> Result<(), Fault> {
    let is_all = matches!(prefix.trim(), "" | "/");
    let own = cx.engine.tree().ephemerals(cx.session).map(|znode| znode.path());
    let paths: Vec<String> = own.filter(|path| is_all || path.starts_with(prefix)).collect();
    put_names(cx, paths.len(), paths.iter().map(String::as_str))
}
