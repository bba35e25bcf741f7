//! `reconfig`: who belongs to the ensemble. The tree decides whether the wish makes sense, the leader whether it can be done.

use crate::engine::znodes::{Body, Id, Verdict, acl, permits};
use crate::engine::{CONFIG_PATH, Engine, features};
use crate::zookeeper::Settings;
use crate::zookeeper::errors::Code;

/// The transaction.
pub(super) fn body(joining: Option<&str>, leaving: Option<&str>, members: Option<&str>, from: i64) -> Body {
    // Clients send empty lists for none.
    let list = |list: Option<&str>| list.filter(|list| !list.trim().is_empty()).map(str::to_owned);
    let (joining, leaving, members) = (list(joining), list(leaving), members.map(str::to_owned));
    Body::Reconfig { joining, leaving, members, from, verdict: Verdict::Open }
}

/// Why a connection may not change the members at all. Whoever may write `/zookeeper/config` may; its ACL lets nobody but
/// the superuser do so, as ZooKeeper's does, so that where no superuser is configured everybody who is connected may: he
/// could delete all topics as well.
pub fn refusal(engine: &Engine, settings: &Settings, identities: &[Id]) -> Option<Code> {
    if !settings.can_reconfig {
        return Some(Code::RECONFIG_DISABLED);
    }
    if engine.view().feature_level < features::RECONFIG {
        return Some(Code::UNIMPLEMENTED);
    }
    let znode = engine.tree().get(CONFIG_PATH)?;
    let is_permitted = settings.super_digest.is_none() || permits(znode.acl(), acl::WRITE, identities);
    (!is_permitted).then_some(Code::NO_AUTH)
}
