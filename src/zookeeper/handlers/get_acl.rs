//! `getACL`: needs the right to read or to administer; without the latter the hashes of digests stay hidden.

use super::{Fault, Reading};
use crate::engine::znodes::{acl, permits};
use crate::zookeeper::codec::{AclEntry, STAT_BYTES, put_acls, put_stat};
use crate::zookeeper::errors::Code;

pub(super) fn answer(cx: &mut Reading<'_>, path: &str) -> Result<(), Fault> {
    let znode = cx.engine.tree().get(path).ok_or(Code::NO_NODE)?;
    cx.check(&znode, acl::READ | acl::ADMIN)?;
    let is_admin = permits(znode.acl(), acl::ADMIN, cx.identities);
    let bytes: usize = znode.acl().iter().map(|acl| 12 + acl.id.scheme.len() + acl.id.id.len() + 2).sum();
    cx.reserve(4 + bytes + STAT_BYTES)?;
    let masked: Vec<String> = znode.acl().iter().map(|acl| masked(&acl.id.scheme, &acl.id.id, is_admin)).collect();
    let entries = znode.acl().iter().zip(&masked);
    put_acls(cx.out, entries.map(|(acl, id)| AclEntry { perms: i32::from(acl.perms), scheme: &acl.id.scheme, id }));
    put_stat(cx.out, &znode.stat());
    Ok(())
}

fn masked(scheme: &str, id: &str, is_admin: bool) -> String {
    match id.split_once(':') {
        Some((user, _)) if scheme == "digest" && !is_admin => format!("{user}:x"),
        _ => id.to_owned(),
    }
}
