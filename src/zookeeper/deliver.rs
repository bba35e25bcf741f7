//! What the engine says: results of writes, and events, which stand before everything that shows their change.

use super::codec::{EventType, WatchedEvent};
use super::connection::{Answer, Stage};
use super::{Fired, ZooKeeperDoor};
use crate::effect::Effects;
use crate::engine::znodes::{Acl, NodeChange, NodeChangeKind, ZnodeEvent, acl, permits};
use crate::engine::{Completion, Engine, Waiter};
use crate::limits::ZOOKEEPER_UNSENT_BYTES_MAX;
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::types::{Now, Zxid};

impl ZooKeeperDoor {
    /// An answer of the engine. It leaves behind the events of everything that it shows: a write's reply those up to its
    /// zxid, any other those of all that is applied. Reads behind it follow at once, because the engine applies nothing more
    /// before they have.
    pub(super) fn completed(
        &mut self,
        now: Now,
        waiter: Waiter,
        completion: Completion,
        engine: &mut Engine,
        fx: &mut Effects,
    ) {
        let shown = match &completion {
            Completion::Proposed(Ok(result)) => result.zxid,
            _ => engine.last_zxid(),
        };
        self.deliver_events(shown, engine, fx);
        let answer = match completion {
            Completion::Proposed(Ok(result)) => Answer::Applied(result),
            Completion::Proposed(Err(error)) | Completion::ZnodesSynced(Err(error)) => Answer::Unknown(error),
            Completion::ZnodesSynced(Ok(())) => Answer::Fresh,
            Completion::ZnodesReplaced => return self.close_all(fx),
            _ => return, // ZnodesChanged: the events were all
        };
        let Some(mut connection) = self.take(waiter.conn) else { return };
        let mut displaced = None;
        match (&connection.stage, answer) {
            (Stage::Opening { slot, .. }, answer) if *slot == waiter.slot => {
                let result = match answer {
                    Answer::Applied(result) => Ok(result),
                    Answer::Unknown(error) => Err(error),
                    Answer::Fresh => return self.put(now, connection, fx),
                };
                displaced = self.shared.session_opened(now, &mut connection, result, engine, fx);
                self.shared.serve(now, &mut connection, engine, fx);
            }
            (_, answer) => {
                if let Some(write) = connection.write_mut(waiter.slot) {
                    write.answer = Some(answer);
                    self.shared.serve(now, &mut connection, engine, fx);
                }
            }
        }
        self.put(now, connection, fx);
        if let Some(displaced) = displaced {
            self.close(displaced, fx);
        }
    }

    /// Sends the events of all transactions up to `zxid`.
    pub(super) fn deliver_events(&mut self, zxid: Zxid, engine: &mut Engine, fx: &mut Effects) {
        while let Some(event) = engine.next_znode_event(zxid) {
            match event {
                ZnodeEvent::Changed(change) if !self.shared.watches.is_empty() => self.changed(&change, engine, fx),
                ZnodeEvent::Changed(_) => {}
                ZnodeEvent::SessionMoved { session, to, .. } => {
                    let conn = self.shared.attached.get(&session).copied();
                    if let Some(conn) = conn.filter(|_| to != engine.node_id()) {
                        self.close(conn, fx);
                    }
                }
                ZnodeEvent::SessionEnded { session, .. } => {
                    let conn = self.shared.attached.get(&session).copied();
                    // Who has asked for the end is answered first.
                    let is_asked = |conn| self.get(conn).is_some_and(|connection| connection.is_ending);
                    if let Some(conn) = conn.filter(|&conn| !is_asked(conn)) {
                        self.close(conn, fx);
                    }
                }
            }
        }
    }

    fn changed(&mut self, change: &NodeChange, engine: &Engine, fx: &mut Effects) {
        let path = &change.path;
        let mut fired = std::mem::take(&mut self.shared.fired);
        match change.kind {
            NodeChangeKind::Created => self.shared.watches.created(path, &mut fired),
            NodeChangeKind::Deleted => self.shared.watches.deleted(path, &mut fired),
            NodeChangeKind::DataChanged => self.shared.watches.data_changed(path, &mut fired),
        }
        self.tell(&mut fired, path, &change.acl, fx);
        if change.kind != NodeChangeKind::DataChanged
            && let Some((parent, _)) = path.rsplit_once('/')
        {
            let parent = if parent.is_empty() { "/" } else { parent };
            self.shared.watches.children_changed(parent, &mut fired);
            if !fired.is_empty() {
                let znode = engine.tree().get(parent);
                self.tell(&mut fired, parent, znode.map_or(&[], |znode| znode.acl()), fx);
            }
        }
        self.shared.fired = fired;
    }

    /// Tells everybody in `fired`, which is empty afterwards. Who may not read the znode hears nothing of it.
    fn tell(&mut self, fired: &mut Vec<Fired>, path: &str, list: &[Acl], fx: &mut Effects) {
        let mut encoded: Option<EventType> = None;
        for Fired { conn, kind } in fired.drain(..) {
            if encoded != Some(kind) {
                self.shared.events.clear();
                WatchedEvent::new(kind, path).encode(&mut self.shared.events);
                encoded = Some(kind);
            }
            let bytes = self.shared.events.len();
            let Some(connection) = self.get_mut(conn).filter(|connection| connection.stage == Stage::Open) else {
                continue;
            };
            if !permits(list, acl::READ, &connection.identities) {
                continue;
            }
            connection.stats.sent += 1;
            connection.unsent_bytes += bytes;
            let is_slow = connection.unsent_bytes > ZOOKEEPER_UNSENT_BYTES_MAX;
            self.shared.stats.sent += 1;
            METRICS.zookeeper.bytes_out.add(bytes as u64);
            let grant = if is_slow { self.shared.responses.take(bytes) } else { Some(Grant::none()) };
            match grant {
                Some(grant) if is_slow => fx.send(conn, self.shared.events.clone().into(), grant),
                Some(_) => fx.send_copy(conn, &self.shared.events),
                // It has not read for long, and there is no memory to wait for it: it must come again and ask.
                None => self.close(conn, fx),
            }
        }
    }
}
