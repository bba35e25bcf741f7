//! `setWatches`, `setWatches2`: watches that a client had on another connection. What has happened since is told at
//! once, before the reply; the others are armed.

use super::{Fault, Reading, canonical};
use crate::zookeeper::codec::{EventType, SetWatches, WatchedEvent};
use crate::zookeeper::watches::Kinds;

pub(super) fn answer(cx: &mut Reading<'_>, watches: &SetWatches<'_>) -> Result<(), Fault> {
    let since = watches.relative_zxid;
    for path in &watches.data {
        match cx.engine.tree().get(path).map(|znode| znode.stat()) {
            None => tell(cx, EventType::Deleted, path),
            Some(stat) if stat.mzxid.0 > since => tell(cx, EventType::DataChanged, path),
            Some(_) => cx.watch(true, path, Kinds::DATA)?,
        }
    }
    for path in &watches.exist {
        match cx.engine.tree().get(path) {
            Some(_) => tell(cx, EventType::Created, path),
            None => cx.watch(true, path, Kinds::DATA)?,
        }
    }
    for path in &watches.child {
        match cx.engine.tree().get(path).map(|znode| znode.stat()) {
            None => tell(cx, EventType::Deleted, path),
            Some(stat) if stat.pzxid.0 > since => tell(cx, EventType::ChildrenChanged, path),
            Some(_) => cx.watch(true, path, Kinds::CHILD)?,
        }
    }
    for (paths, kinds) in [(&watches.persistent, Kinds::PERSISTENT), (&watches.recursive, Kinds::RECURSIVE)] {
        paths.iter().try_for_each(|path| cx.watch(true, path, kinds))?;
    }
    Ok(())
}

/// Whether the znode may be read was asked when the watch was set.
fn tell(cx: &mut Reading<'_>, kind: EventType, path: &str) {
    WatchedEvent::new(kind, canonical(path)).encode(cx.events);
}
