//! `whoAmI`: the connection's identities, without what is secret in them.

use super::{Fault, Reading};
use crate::types::Writer;
use crate::zookeeper::codec::put_text;

pub(super) fn answer(cx: &mut Reading<'_>) -> Result<(), Fault> {
    let bytes: usize = cx.identities.iter().map(|id| 8 + id.scheme.len() + id.id.len()).sum();
    cx.reserve(4 + bytes)?;
    Writer::new(cx.out).i32(cx.identities.len() as i32);
    for id in cx.identities {
        put_text(cx.out, &id.scheme);
        put_text(cx.out, if id.scheme == "digest" { id.id.split(':').next().unwrap_or_default() } else { &id.id });
    }
    Ok(())
}
