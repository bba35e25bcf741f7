//! The first frame: a new session, or one that is taken up again.
//!
//! A new session is a transaction: it is answered when the quorum has it. One that exists is taken up again when its
//! password is right and this node has applied all that its client has seen: at once by a node alone, in an ensemble by a
//! transaction that has the other nodes let it go. Its older connection here is closed. The
//! answer to an unknown session is "expired", which every client understands, and which only the quorum may give: a node
//! that was paused or cut off does not know the youngest.

use super::Shared;
use super::codec::{ConnectRequest, ConnectResponse, begin_frame, end_frame};
use super::connection::{Connection, Stage};
use crate::effect::Effects;
use crate::engine::znodes::{ErrorCode, Outcome, TxnError};
use crate::engine::{Door, Engine, ProposeError, TxnResult, Waiter};
use crate::types::{ConnId, Now, SessionId};

impl Shared {
    /// Takes the first frame. The connection whose session it was, if there is one, is to be closed.
    pub(super) fn handshake(
        &mut self,
        now: Now,
        connection: &mut Connection,
        frame: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Option<ConnId> {
        let Ok(request) = ConnectRequest::decode(frame) else {
            close(connection, fx);
            return None;
        };
        let is_read_only = !engine.has_quorum();
        let is_content = request.read_only == Some(true) && self.settings.has_read_only;
        if is_read_only && !is_content || request.last_zxid_seen > engine.last_zxid().0 {
            close(connection, fx);
            return None;
        }
        connection.timeout_ms = self.settings.session_timeout_ms(request.timeout_ms);
        connection.is_read_only = is_read_only;
        match request.session_id {
            0 if is_read_only => {
                // Known to this connection alone; nothing can be written under it.
                let session =
                    SessionId((i64::from(connection.id.generation) << 32) | (i64::from(connection.id.index) + 1));
                self.attach(now, connection, session, request.read_only, engine, fx)
            }
            0 => {
                let slot = connection.next_slot();
                let waiter = Waiter { door: Door::ZooKeeper, conn: connection.id, slot };
                connection.session = engine.open_session(now, connection.timeout_ms, waiter);
                let (timeout_ms, read_only) = (connection.timeout_ms, request.read_only);
                connection.stage = Stage::Opening { slot, timeout_ms, read_only };
                None
            }
            id => {
                let session = SessionId(id);
                let known = engine.sessions().get(session);
                let is_brokers = known.is_some_and(|session| session.broker.is_some());
                if known.is_none() && is_read_only {
                    close(connection, fx); // others may know it, and cannot be asked
                    return None;
                }
                if is_brokers || request.password != engine.session_password(session) {
                    self.respond(connection, &ConnectResponse::expired(request.read_only), fx);
                    close(connection, fx);
                    return None;
                }
                connection.session = session;
                let (timeout_ms, read_only) = (connection.timeout_ms, request.read_only);
                let slot = connection.next_slot();
                let waiter = Waiter { door: Door::ZooKeeper, conn: connection.id, slot };
                if is_read_only || !engine.take_up_session(now, session, timeout_ms, waiter) {
                    return self.attach(now, connection, session, read_only, engine, fx);
                }
                connection.stage = Stage::Opening { slot, timeout_ms, read_only };
                None
            }
        }
    }

    /// The quorum's word on a session, new or taken up again. The connection that had it is to be closed.
    pub(super) fn session_opened(
        &mut self,
        now: Now,
        connection: &mut Connection,
        result: Result<TxnResult, ProposeError>,
        engine: &Engine,
        fx: &mut Effects,
    ) -> Option<ConnId> {
        let Stage::Opening { read_only, .. } = connection.stage else { return None };
        match result.map(|result| result.outcome) {
            Ok(Ok(Outcome::SessionCreated | Outcome::SessionMoved)) => {
                let session = connection.session;
                return self.attach(now, connection, session, read_only, engine, fx);
            }
            Ok(Err(TxnError { code: ErrorCode::SessionExpired, .. })) => {
                self.respond(connection, &ConnectResponse::expired(read_only), fx);
                close(connection, fx);
            }
            _ => close(connection, fx),
        }
        None
    }

    fn attach(
        &mut self,
        now: Now,
        connection: &mut Connection,
        session: SessionId,
        read_only: Option<bool>,
        engine: &Engine,
        fx: &mut Effects,
    ) -> Option<ConnId> {
        connection.session = session;
        connection.stage = Stage::Open;
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms: connection.timeout_ms.min(i32::MAX as u32) as i32,
            session_id: session.0,
            password: engine.session_password(session),
            read_only: read_only.map(|_| connection.is_read_only),
        };
        self.respond(connection, &response, fx);
        connection.stats.last_response = now.mono;
        self.attached.insert(session, connection.id).filter(|other| *other != connection.id)
    }

    fn respond(&mut self, connection: &mut Connection, response: &ConnectResponse, fx: &mut Effects) {
        self.out.clear();
        let start = begin_frame(&mut self.out);
        response.encode(&mut self.out);
        end_frame(&mut self.out, start);
        connection.stats.sent += 1;
        self.stats.sent += 1;
        self.send_small(connection, fx);
    }
}

/// Ends a connection without a further word.
pub(super) fn close(connection: &mut Connection, fx: &mut Effects) {
    if connection.stage != Stage::Closing {
        connection.stage = Stage::Closing;
        fx.close(connection.id);
    }
}
