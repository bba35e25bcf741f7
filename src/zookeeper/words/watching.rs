//! `wchs`, `wchc`, `wchp` and `dump`: who watches what, and whose ephemerals are there.
//!
//! Watches for children alone are not told, as in ZooKeeper, whose words know only its table of data watches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Result, Write};

use super::json::Json;
use super::{Around, date};
use crate::types::{ConnId, Instant, SessionId};

impl Around<'_> {
    fn session_of(&self, conn: ConnId) -> SessionId {
        self.door.get(conn).map_or(SessionId(0), |connection| connection.session)
    }

    /// Connections, paths and watches that the words tell of.
    fn counts(&self) -> (usize, usize, usize) {
        let (mut connections, mut paths, mut all) = (BTreeSet::new(), 0, 0);
        for (_, watchers) in self.door.shared.watches.data_paths() {
            let before = all;
            watchers.for_each(|conn| {
                connections.insert(conn);
                all += 1;
            });
            paths += (all > before) as usize;
        }
        (connections.len(), paths, all)
    }

    pub(super) fn wchs(&self, out: &mut dyn Write) -> Result {
        let (connections, paths, all) = self.counts();
        write!(out, "{connections} connections watching {paths} paths\nTotal watches:{all}\n")
    }

    pub(super) fn wchc(&self, out: &mut dyn Write) -> Result {
        for (conn, mut paths) in self.door.shared.watches.data_connections() {
            if let Some(first) = paths.next() {
                writeln!(out, "0x{:x}\n\t{first}", self.session_of(conn).0)?;
                paths.try_for_each(|path| writeln!(out, "\t{path}"))?;
            }
        }
        writeln!(out)
    }

    pub(super) fn wchp(&self, out: &mut dyn Write) -> Result {
        for (path, watchers) in self.door.shared.watches.data_paths() {
            let mut watchers = watchers.peekable();
            if watchers.peek().is_some() {
                writeln!(out, "{path}")?;
                watchers.try_for_each(|conn| writeln!(out, "\t0x{:x}", self.session_of(conn).0))?;
            }
        }
        writeln!(out)
    }

    pub(super) fn watch_summary(&self, object: &mut Json<'_>) -> Result {
        let (connections, paths, all) = self.counts();
        object.plain("num_connections", connections)?;
        object.plain("num_paths", paths)?;
        object.plain("num_total_watches", all)
    }

    pub(super) fn watches(&self, object: &mut Json<'_>) -> Result {
        let mut sessions = object.inner("session_id_to_watched_paths")?;
        for (conn, mut paths) in self.door.shared.watches.data_connections() {
            if let Some(first) = paths.next() {
                let mut list = sessions.list(&self.session_of(conn).0.to_string())?;
                list.text_item(first)?;
                paths.try_for_each(|path| list.text_item(path))?;
                list.end()?;
            }
        }
        sessions.end()
    }

    pub(super) fn watches_by_path(&self, object: &mut Json<'_>) -> Result {
        let mut paths = object.inner("path_to_session_ids")?;
        for (path, watchers) in self.door.shared.watches.data_paths() {
            let mut watchers = watchers.peekable();
            if watchers.peek().is_some() {
                let mut list = paths.list(path)?;
                watchers.try_for_each(|conn| list.item(self.session_of(conn).0))?;
                list.end()?;
            }
        }
        paths.end()
    }

    /// Sessions by the moment at which they expire unless they are heard of.
    fn expiring(&self) -> BTreeMap<Instant, Vec<SessionId>> {
        let mut sets: BTreeMap<Instant, Vec<SessionId>> = BTreeMap::new();
        for (session, at) in self.engine.session_deadlines() {
            sets.entry(at).or_default().push(session);
        }
        sets
    }

    /// Sessions that own ephemerals.
    fn owners(&self) -> impl Iterator<Item = SessionId> + '_ {
        let has_ephemerals = |id: &SessionId| self.engine.tree().ephemerals(*id).next().is_some();
        self.engine.sessions().iter().map(|(id, _)| id).filter(has_ephemerals)
    }

    pub(super) fn dump(&self, out: &mut dyn Write) -> Result {
        let sets = self.expiring();
        writeln!(out, "SessionTracker dump:\nSession Sets ({})/({}):", sets.len(), sets.len())?;
        for (at, sessions) in &sets {
            writeln!(out, "{} expire at {}:", sessions.len(), date::java(self.wall(*at)))?;
            sessions.iter().try_for_each(|id| writeln!(out, "\t0x{:x}", id.0))?;
        }
        writeln!(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", self.owners().count())?;
        for owner in self.owners() {
            writeln!(out, "0x{:x}:", owner.0)?;
            self.engine.tree().ephemerals(owner).try_for_each(|znode| writeln!(out, "\t{}", znode.path()))?;
        }
        writeln!(out, "Connections dump:\nConnections Sets (1)/({}):", self.door.connections().count())?;
        for connection in self.door.connections() {
            writeln!(out, "\tip: /{} sessionId: 0x{:x}", connection.peer, connection.session.0)?;
        }
        Ok(())
    }

    pub(super) fn dump_command(&self, object: &mut Json<'_>) -> Result {
        let mut sets = object.inner("expiry_time_to_session_ids")?;
        for (at, sessions) in self.expiring() {
            let mut list = sets.list(&(at.0 / 1000).to_string())?;
            sessions.iter().try_for_each(|id| list.item(id.0))?;
            list.end()?;
        }
        sets.end()?;
        let mut owners = object.inner("session_id_to_ephemeral_paths")?;
        for owner in self.owners() {
            let mut list = owners.list(&owner.0.to_string())?;
            self.engine.tree().ephemerals(owner).try_for_each(|znode| list.text_item(&znode.path()))?;
            list.end()?;
        }
        owners.end()
    }
}
