//! `Body::CreateSession` and `Body::CloseSession`.

use super::Apply;
use crate::coordinator::ErrorCode;
use crate::coordinator::sessions::Session;
use crate::coordinator::txn::Outcome;
use crate::types::SessionId;

impl Apply<'_> {
    pub(super) fn create_session(&mut self, session: SessionId, timeout_ms: u32) -> Result<Outcome, ErrorCode> {
        self.begin_session(session, Session { timeout_ms, broker: None })?;
        Ok(Outcome::SessionCreated)
    }

    pub(super) fn close_session(&mut self, session: SessionId) -> Result<Outcome, ErrorCode> {
        let ephemerals = self.end_session(session).ok_or(ErrorCode::SessionExpired)?;
        Ok(Outcome::SessionClosed { ephemerals })
    }

    /// Everything that lived with the session goes, in the same zxid.
    pub(super) fn bury_ephemerals(&mut self, session: SessionId) -> usize {
        let mut count = 0;
        loop {
            let first = self.tree.owned_by(session.0).next();
            let Some(index) = first else { return count };
            let Some(path) = self.tree.znode(index).map(|znode| znode.path()) else { return count };
            self.bury(path, index);
            count += 1;
        }
    }
}
