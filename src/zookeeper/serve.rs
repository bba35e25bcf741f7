//! Requests: taken in the order in which they come, answered in the same.
//!
//! What cannot go on (no memory for a reply or a frame, too many proposals) stays where it is, and is tried again when
//! the turn ends or what was sent has left.

use bytes::Bytes;

use super::codec::{
    DecodeError, Jute, Opcode, ReplyHeader, Request, RequestHeader, begin_frame, end_frame, put_buffer, put_text,
    split_frame,
};
use super::connection::{Answer, Connection, Queued, Stage, Wait, Write};
use super::errors::Code;
use super::handlers::{self, Authenticated, Fault, Reading};
use super::handshake::close;
use super::{Shared, Stats};
use crate::effect::Effects;
use crate::engine::znodes::{Body, By};
use crate::engine::{Door, Engine, ProposeError, Txn, Waiter};
use crate::limits::{CONNECTION_INPUT_BYTES_MAX, ZOOKEEPER_REPLY_COPIED_BYTES_MAX};
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, Slot, Zxid};

/// What became of the front of a queue or of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Done: the next.
    Done,
    /// It must wait.
    Blocked,
}

impl Shared {
    /// Answers what can be answered and takes what has come. The connection whose session this one has taken up, if
    /// there is one, is to be closed.
    pub(super) fn serve(
        &mut self,
        now: Now,
        connection: &mut Connection,
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Option<ConnId> {
        connection.is_blocked = false;
        self.answer_queue(now, connection, engine, fx);
        let mut displaced = None;
        let input = std::mem::take(&mut connection.input);
        let mut rest = &input[..];
        while matches!(connection.stage, Stage::New | Stage::Open) && !connection.is_ending && connection.has_room() {
            let (frame, taken) = match split_frame(rest, self.settings.frame_bytes_max) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(_) => {
                    METRICS.zookeeper.frames_refused.inc();
                    close(connection, fx);
                    break;
                }
            };
            let step = if connection.stage == Stage::New {
                displaced = self.handshake(now, connection, frame, engine, fx);
                Step::Done
            } else {
                self.request(now, connection, frame, engine, fx)
            };
            if step == Step::Blocked {
                self.block(connection);
                break;
            }
            connection.stats.received += 1;
            self.stats.received += 1;
            rest = rest.get(taken..).unwrap_or_default();
        }
        if connection.stage == Stage::Open && !connection.is_read_only && !input.is_empty() {
            engine.touch_session(now, connection.session);
        }
        let left = rest.len();
        self.keep(connection, input, left);
        displaced
    }

    /// Keeps the last `left` bytes of `input`, and asks for memory when they begin a large frame.
    fn keep(&mut self, connection: &mut Connection, mut input: Vec<u8>, left: usize) {
        if connection.stage == Stage::Closing || connection.is_ending {
            connection.input_grant = Grant::none();
            return;
        }
        let used = input.len() - left;
        if used > 0 {
            input.drain(..used);
            if connection.input_grant.bytes() > 0 {
                connection.input_grant = Grant::none();
                input.shrink_to_fit();
            }
        }
        if left == 0 && input.capacity() > CONNECTION_INPUT_BYTES_MAX {
            input = Vec::new();
        }
        connection.input = input;
        let Some(head) = connection.input.first_chunk::<4>() else { return };
        let whole = 4 + i32::from_be_bytes(*head).max(0) as usize;
        if whole > CONNECTION_INPUT_BYTES_MAX && connection.input_grant.bytes() == 0 && connection.wanted_bytes == 0 {
            connection.wanted_bytes = whole;
            self.wanting.push(connection.id);
            self.list(connection);
        }
    }

    /// Gives memory to those who wait for it, in their order.
    pub(super) fn grant_wanted(&mut self, connections: &mut [Option<Box<Connection>>], fx: &mut Effects) {
        let requests = &self.requests;
        self.wanting.retain(|conn| {
            let place = connections.get_mut(conn.index as usize).and_then(|place| place.as_deref_mut());
            let Some(connection) = place.filter(|connection| connection.id == *conn) else { return false };
            if connection.stage == Stage::Closing {
                return false;
            }
            let Some(grant) = requests.take(connection.wanted_bytes) else { return true };
            connection
                .input
                .reserve_exact(connection.wanted_bytes - connection.input.len().min(connection.wanted_bytes));
            connection.input_grant = grant;
            connection.wanted_bytes = 0;
            fx.push(crate::effect::Effect::Resume { conn: *conn });
            false
        });
    }

    /// Has the connection looked at when the turn ends.
    pub(super) fn list(&mut self, connection: &mut Connection) {
        if !std::mem::replace(&mut connection.is_listed, true) {
            self.listed.push(connection.id);
        }
    }

    fn block(&mut self, connection: &mut Connection) {
        if !std::mem::replace(&mut connection.is_blocked, true) {
            METRICS.zookeeper.pauses.inc();
        }
    }

    /// Takes one request.
    fn request(
        &mut self,
        now: Now,
        connection: &mut Connection,
        frame: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Step {
        let mut jute = Jute::new(frame);
        let Ok(header) = RequestHeader::decode(&mut jute) else {
            close(connection, fx);
            return Step::Done;
        };
        let Some(opcode) = Opcode::from_code(header.opcode) else {
            self.reply_code(connection, header.xid, Zxid(-1), Code::UNIMPLEMENTED, fx);
            close(connection, fx);
            return Step::Done;
        };
        METRICS.zookeeper.requests.inc();
        match opcode {
            Opcode::Auth => self.authenticate(connection, header.xid, jute.rest(), fx),
            Opcode::Sasl => self.refuse_sasl(connection, header.xid, fx),
            Opcode::CloseSession if !connection.is_read_only => {
                let slot = connection.next_slot();
                engine.close_session(now, connection.session, waiter(connection, slot));
                connection.is_ending = true;
                self.wait_for(now, connection, header.xid, opcode, Write::new(slot));
            }
            Opcode::Sync if !connection.is_read_only => {
                return self.sync(now, connection, header.xid, jute.rest(), engine);
            }
            _ if handlers::is_write(opcode) && !connection.is_read_only => {
                return self.write(now, connection, header.xid, opcode, jute.rest(), engine, fx);
            }
            _ => return self.read(now, connection, header.xid, opcode, jute.rest(), engine, fx),
        }
        Step::Done
    }

    #[allow(clippy::too_many_arguments)] // what a request is, and what it needs
    fn write(
        &mut self,
        now: Now,
        connection: &mut Connection,
        xid: i32,
        opcode: Opcode,
        body: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Step {
        if connection.is_syncing() {
            // It would be applied before the sync is answered, and reads between the two would see it.
            self.list(connection);
            return Step::Blocked;
        }
        let request = Request::decode(opcode, body);
        if opcode == Opcode::Reconfig && request.is_err() {
            // The only malformed write that takes no zxid.
            return self.read(now, connection, xid, opcode, body, engine, fx);
        }
        let planned = match &request {
            Ok(Request::Create(Opcode::CreateTtl, _)) if !self.settings.has_ttl => Err(Code::UNIMPLEMENTED),
            Ok(request @ Request::Reconfig { .. }) => {
                match handlers::refusal(engine, &self.settings, &connection.identities) {
                    Some(code) => Err(code),
                    None => handlers::transaction(request),
                }
            }
            Ok(request) => handlers::transaction(request),
            Err(DecodeError::Malformed | DecodeError::UnknownOpcode(_)) => Err(Code::MARSHALLING_ERROR),
        };
        let refused = planned.as_ref().err().copied();
        let opcodes = match &request {
            Ok(Request::Multi(ops)) => ops.iter().map(Request::opcode).collect(),
            _ => Box::default(),
        };
        // What is refused here takes its zxid like any other write.
        let body = planned.unwrap_or_else(|_| Body::Multi(Vec::new()));
        let by = By::Client { session: connection.session, ids: connection.identities.clone() };
        let slot = connection.next_slot();
        match engine.propose_write(now, &Txn { by, body }, waiter(connection, slot)) {
            Ok(()) => {}
            Err(ProposeError::Busy) => {
                self.list(connection);
                return Step::Blocked;
            }
            Err(ProposeError::TooLarge) => {
                let write = Write { answer: Some(Answer::Unknown(ProposeError::TooLarge)), ..Write::new(slot) };
                self.wait_for(now, connection, xid, opcode, write);
                self.list(connection);
                return Step::Done;
            }
            Err(ProposeError::Unavailable) => {
                close(connection, fx);
                return Step::Done;
            }
        }
        self.wait_for(now, connection, xid, opcode, Write { opcodes, refused, ..Write::new(slot) });
        Step::Done
    }

    fn sync(&mut self, now: Now, connection: &mut Connection, xid: i32, body: &[u8], engine: &mut Engine) -> Step {
        let path = Jute::new(body).text().unwrap_or_default();
        let Some(grant) = self.requests.take(path.len()) else {
            self.list(connection);
            return Step::Blocked;
        };
        let slot = connection.next_slot();
        engine.sync_znodes(now, waiter(connection, slot));
        self.wait_for(now, connection, xid, Opcode::Sync, Write::new(slot));
        // The reply repeats the path.
        let wait = Wait::Turn { body: body.into(), _grant: grant };
        connection.queue.push_back(Queued { xid, opcode: Opcode::Sync, since: now.mono, wait });
        Step::Done
    }

    fn wait_for(&mut self, now: Now, connection: &mut Connection, xid: i32, opcode: Opcode, write: Write) {
        connection.queue.push_back(Queued { xid, opcode, since: now.mono, wait: Wait::Write(write) });
    }

    #[allow(clippy::too_many_arguments)] // as for `write`
    fn read(
        &mut self,
        now: Now,
        connection: &mut Connection,
        xid: i32,
        opcode: Opcode,
        body: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Step {
        if connection.queue.is_empty() {
            return self.answer_read(now, connection, (xid, opcode, now.mono), body, engine, fx);
        }
        let Some(grant) = self.requests.take(body.len()) else {
            self.list(connection);
            return Step::Blocked;
        };
        let wait = Wait::Turn { body: body.into(), _grant: grant };
        connection.queue.push_back(Queued { xid, opcode, since: now.mono, wait });
        Step::Done
    }

    /// Answers from the front of the queue on, as far as it is decided.
    pub(super) fn answer_queue(
        &mut self,
        now: Now,
        connection: &mut Connection,
        engine: &mut Engine,
        fx: &mut Effects,
    ) {
        while connection.stage == Stage::Open
            && let Some(front) = connection.queue.pop_front()
        {
            let step = match &front.wait {
                Wait::Write(Write { answer: None, .. }) => Step::Blocked,
                Wait::Write(write) => self.answer_write(now, connection, &front, write, fx),
                Wait::Turn { body, .. } => {
                    let about = (front.xid, front.opcode, front.since);
                    self.answer_read(now, connection, about, body, engine, fx)
                }
            };
            if step == Step::Blocked {
                connection.queue.push_front(front);
                return;
            }
        }
    }

    fn answer_write(
        &mut self,
        now: Now,
        connection: &mut Connection,
        queued: &Queued,
        write: &Write,
        fx: &mut Effects,
    ) -> Step {
        let (zxid, outcome) = match &write.answer {
            Some(Answer::Applied(result)) => (result.zxid, &result.outcome),
            Some(Answer::Fresh) => return Step::Done, // the turn behind it is the reply
            Some(Answer::Unknown(ProposeError::TooLarge)) => {
                let zxid = connection.stats.last_zxid.max(Zxid(0));
                self.reply_code(connection, queued.xid, zxid, Code::SYSTEM_ERROR, fx);
                return Step::Done;
            }
            Some(Answer::Unknown(_)) | None => {
                // Its client must find out elsewhere, or here when there is a quorum again.
                close(connection, fx);
                return Step::Done;
            }
        };
        let mut grant = Grant::none();
        self.out.clear();
        let start = begin_frame(&mut self.out);
        let header = ReplyHeader { xid: queued.xid, zxid: zxid.0, error: 0 };
        header.encode(&mut self.out);
        let code = match write.refused {
            Some(code) => code,
            None => handlers::write_reply(&mut self.out, queued.opcode, &write.opcodes, outcome),
        };
        if code != Code::OK {
            self.out.truncate(start + 4);
            ReplyHeader { error: code.0, ..header }.encode(&mut self.out);
        }
        end_frame(&mut self.out, start);
        if self.out.len() > ZOOKEEPER_REPLY_COPIED_BYTES_MAX {
            match self.responses.take(self.out.len()) {
                Some(taken) => grant = taken,
                None => {
                    self.list(connection);
                    return Step::Blocked;
                }
            }
        }
        self.answered(now, connection, queued.opcode, (queued.xid, zxid, queued.since));
        self.send(connection, grant, fx);
        if queued.opcode == Opcode::CloseSession {
            close(connection, fx);
        }
        Step::Done
    }

    fn answer_read(
        &mut self,
        now: Now,
        connection: &mut Connection,
        (xid, opcode, since): (i32, Opcode, Instant),
        body: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) -> Step {
        let zxid = engine.last_zxid();
        self.out.clear();
        self.events.clear();
        let mut grant = Grant::none();
        let start = begin_frame(&mut self.out);
        let header = ReplyHeader { xid, zxid: zxid.0, error: 0 };
        header.encode(&mut self.out);
        let mut cx = Reading {
            engine,
            conn: connection.id,
            session: connection.session,
            identities: &connection.identities,
            watches: &mut self.watches,
            events: &mut self.events,
            out: &mut self.out,
            grant: &mut grant,
            responses: &self.responses,
        };
        match answer_body(&mut cx, opcode, body, connection.is_read_only) {
            Ok(()) => {}
            Err(Fault::Code(code)) => {
                self.out.truncate(start + 4);
                ReplyHeader { error: code.0, ..header }.encode(&mut self.out);
            }
            Err(Fault::Memory) => {
                self.list(connection);
                return Step::Blocked;
            }
        }
        end_frame(&mut self.out, start);
        if !self.events.is_empty() {
            connection.unsent_bytes += self.events.len();
            fx.send_copy(connection.id, &self.events);
        }
        self.answered(now, connection, opcode, (xid, zxid, since));
        self.send(connection, grant, fx);
        if opcode == Opcode::CloseSession {
            close(connection, fx); // of a connection that may only read
        }
        Step::Done
    }

    fn authenticate(&mut self, connection: &mut Connection, xid: i32, body: &[u8], fx: &mut Effects) {
        let Ok(Request::Auth { scheme, credentials }) = Request::decode(Opcode::Auth, body) else {
            return close(connection, fx);
        };
        let super_digest = self.settings.super_digest.as_deref();
        match handlers::authenticate(&mut connection.identities, scheme, credentials, super_digest) {
            Authenticated::Accepted => self.reply_code(connection, xid, Zxid(0), Code::OK, fx),
            Authenticated::Refused => {
                self.stats.auth_failed += 1;
                self.reply_code(connection, xid, Zxid(0), Code::AUTH_FAILED, fx);
                close(connection, fx);
            }
        }
    }

    /// What ZooKeeper answers without a SASL configuration: no token.
    fn refuse_sasl(&mut self, connection: &mut Connection, xid: i32, fx: &mut Effects) {
        self.out.clear();
        let start = begin_frame(&mut self.out);
        ReplyHeader { xid, zxid: 0, error: 0 }.encode(&mut self.out);
        put_buffer(&mut self.out, None);
        end_frame(&mut self.out, start);
        connection.stats.sent += 1;
        self.stats.sent += 1;
        self.send_small(connection, fx);
    }

    fn reply_code(&mut self, connection: &mut Connection, xid: i32, zxid: Zxid, code: Code, fx: &mut Effects) {
        self.out.clear();
        let start = begin_frame(&mut self.out);
        ReplyHeader { xid, zxid: zxid.0, error: code.0 }.encode(&mut self.out);
        end_frame(&mut self.out, start);
        connection.stats.sent += 1;
        self.stats.sent += 1;
        self.send_small(connection, fx);
    }

    fn answered(
        &mut self,
        now: Now,
        connection: &mut Connection,
        opcode: Opcode,
        (xid, zxid, since): (i32, Zxid, Instant),
    ) {
        let ms = Stats::answered(&mut connection.stats, now.mono, since, opcode, xid, zxid);
        self.stats.sent += 1;
        self.stats.latency.observe(ms);
    }

    /// Sends what is in `out`: a copy, or the buffer itself when it is large.
    fn send(&mut self, connection: &mut Connection, grant: Grant, fx: &mut Effects) {
        if self.out.len() <= ZOOKEEPER_REPLY_COPIED_BYTES_MAX {
            return self.send_small(connection, fx);
        }
        METRICS.zookeeper.bytes_out.add(self.out.len() as u64);
        connection.unsent_bytes += self.out.len();
        fx.send(connection.id, Bytes::from(std::mem::take(&mut self.out)), grant);
    }

    pub(super) fn send_small(&mut self, connection: &mut Connection, fx: &mut Effects) {
        METRICS.zookeeper.bytes_out.add(self.out.len() as u64);
        connection.unsent_bytes += self.out.len();
        fx.send_copy(connection.id, &self.out);
    }
}

/// Appends a read's body, or says why there is none.
fn answer_body(cx: &mut Reading<'_>, opcode: Opcode, body: &[u8], is_read_only: bool) -> Result<(), Fault> {
    if is_read_only && handlers::is_write(opcode) {
        return Err(Code::NOT_READ_ONLY.into());
    }
    match Request::decode(opcode, body).map_err(|_| Code::MARSHALLING_ERROR)? {
        Request::Sync { path } => {
            put_text(cx.out, path);
            Ok(())
        }
        Request::CloseSession => Ok(()),
        request => handlers::read(cx, &request),
    }
}

impl Write {
    fn new(slot: Slot) -> Write {
        Write { slot, opcodes: Box::default(), refused: None, answer: None }
    }
}

fn waiter(connection: &Connection, slot: Slot) -> Waiter {
    Waiter { door: Door::ZooKeeper, conn: connection.id, slot }
}
