//! `Body::CreateSession`, `Body::MoveSession` and `Body::CloseSession`.

use super::Apply;
use crate::coordinator::sessions::Session;
use crate::coordinator::txn::Outcome;
use crate::coordinator::{ErrorCode, SessionChange};
use crate::types::{NodeId, SessionId};

impl Apply<'_> {
    pub(super) fn create_session(&mut self, session: SessionId, timeout_ms: u32) -> Result<Outcome, ErrorCode> {
        self.begin_session(session, Session { timeout_ms, broker: None })?;
        Ok(Outcome::SessionCreated)
    }

    /// A broker's session has no client.
    pub(super) fn move_session(&mut self, id: SessionId, timeout_ms: u32, node: NodeId) -> Result<Outcome, ErrorCode> {
        if self.sessions.get(id).is_none_or(|session| session.broker.is_some()) {
            return Err(ErrorCode::SessionExpired);
        }
        let session = Session { timeout_ms, broker: None };
        self.sessions.open(id, session)?;
        let change = SessionChange { session: id, now: Some(session), moved_to: Some(node), zxid: self.zxid };
        self.sessions_changed.push(change);
        Ok(Outcome::SessionMoved)
    }

    pub(super) fn close_session(&mut self, session: SessionId) -> Result<Outcome, ErrorCode> {
        self.sessions.close(session).ok_or(ErrorCode::SessionExpired)?;
        // Its ephemerals go in slices: see `Coordinator::continue_burial`.
        Ok(Outcome::SessionClosed { ephemerals: 0 })
    }

    /// What lived with the session goes, at most `count_max` znodes, all in the same zxid.
    pub(in crate::coordinator) fn bury_ephemerals(&mut self, session: SessionId, count_max: usize) -> usize {
        for count in 0..count_max {
            let first = self.tree.owned_by(session.0).next();
            let Some(index) = first else { return count };
            let Some(path) = self.tree.znode(index).map(|znode| znode.path()) else { return count };
            self.bury(path, index);
        }
        count_max
    }

    /// The session and all that lived with it are gone.
    pub(in crate::coordinator) fn note_end(&mut self, session: SessionId) {
        self.sessions_changed.push(SessionChange { session, now: None, moved_to: None, zxid: self.zxid });
    }
}
