//! From bytes to requests in their turn, and from completions to replies in theirs.
//!
//! `serve` is the one loop: it goes on with a connection until there is no whole frame left, or the next one must wait,
//! for those before it, for memory, or for the last reply to leave. Everything that ends such a wait calls it again.

use super::Shared;
use super::admission::Purpose;
use super::codec::{Api, Request, RequestError};
use super::connection::Connection;
use super::handlers::produce::{self, Begun};
use super::handlers::{self, Answer, Context, Outlet, Reply};
use super::inbox::{Frame, Front, LENGTH_BYTES};
use crate::effect::Effects;
use crate::engine::{Completion, Engine};
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::types::{Instant, Now, ReadError, Slot};

/// What came of asking for memory.
enum Reserved {
    Granted(Grant),
    /// The connection stands in a queue.
    Waits,
    /// The connection is closing.
    Closed,
}

/// The world around one call.
struct World<'a> {
    now: Now,
    engine: &'a mut Engine,
    fx: &'a mut Effects,
}

impl Shared {
    /// Takes in `data` and serves what can be served.
    pub(super) fn serve(
        &mut self,
        now: Now,
        connection: &mut Connection,
        data: &[u8],
        engine: &mut Engine,
        fx: &mut Effects,
    ) {
        let mut world = World { now, engine, fx };
        let data = connection.inbox.fill(data);
        let mut held = connection.inbox.take_input();
        if !held.is_empty() {
            held.extend_from_slice(data);
        }
        let bytes = if held.is_empty() { data } else { &held };
        let used = self.serve_frames(&mut world, connection, bytes);
        connection.inbox.put_input(held, data, used);
    }

    /// The answer of the engine to one of the connection's requests.
    pub(super) fn complete(
        &mut self,
        now: Now,
        connection: &mut Connection,
        slot: Slot,
        completion: Completion,
        engine: &mut Engine,
        fx: &mut Effects,
    ) {
        if connection.is_closing {
            return;
        }
        let (serial, item) = handlers::parts_of(slot);
        let mut world = World { now, engine, fx };
        match completion {
            Completion::Appended(result) => {
                if let Some(in_flight) = connection.produce_mut(serial) {
                    in_flight.complete(item, result);
                    self.answer_produces(&mut world, connection);
                }
            }
            completion if serial == connection.serial => {
                let Some(pending) = connection.pending.take() else { return };
                self.go_on(&mut world, connection, |cx| pending.complete(cx, item, completion));
            }
            _ => return, // a watch of an earlier request
        }
        self.serve(now, connection, &[], engine, fx);
    }

    /// A wake-up of whatever kind.
    pub(super) fn wake(&mut self, now: Now, connection: &mut Connection, engine: &mut Engine, fx: &mut Effects) {
        if let Some(pending) = connection.pending.take() {
            let mut world = World { now, engine: &mut *engine, fx: &mut *fx };
            self.go_on(&mut world, connection, |cx| pending.wake(cx));
        }
        self.serve(now, connection, &[], engine, fx);
    }

    /// Closes a connection because of what its client did.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        what: &dyn std::fmt::Display,
        fx: &mut Effects,
    ) {
        if !connection.is_closing {
            METRICS.kafka.frames_refused.inc();
            if let Some(suppressed) = self.diagnostics.allow(now) {
                tracing::warn!(conn = %connection.id, suppressed, "kafka connection closed: {what}");
            }
            self.close(connection, fx);
        }
    }

    fn close(&mut self, connection: &mut Connection, fx: &mut Effects) {
        connection.is_closing = true;
        connection.pending = None;
        connection.produces.clear();
        self.admission.forget(connection.id);
        self.schedule.forget(connection.id);
        fx.close(connection.id);
    }

    /// Serves whole frames from the front of `bytes`; returns how many bytes are done with.
    fn serve_frames(&mut self, world: &mut World<'_>, connection: &mut Connection, bytes: &[u8]) -> usize {
        let mut used = 0;
        if connection.muted_until.is_some_and(|until| world.now.mono >= until) {
            connection.muted_until = None;
        }
        while !connection.is_closing {
            if connection.muted_until.is_some() {
                return used;
            }
            if let Some(frame) = connection.inbox.take_large() {
                if let Err(frame) = self.serve_frame(world, connection, frame) {
                    connection.inbox.put_back(frame, world.now.mono);
                    return used;
                }
                continue;
            }
            if connection.inbox.has_large() {
                return used;
            }
            let rest = bytes.get(used..).unwrap_or_default();
            match Front::of(rest, self.settings.request_bytes_max) {
                Front::Incomplete => return used,
                Front::Frame(frame) => {
                    if self.serve_frame(world, connection, Frame::Small(frame)).is_err() {
                        return used;
                    }
                    used += LENGTH_BYTES + frame.len();
                }
                Front::Large(length) => {
                    let purpose = if connection.is_proven { Purpose::Frame } else { Purpose::FirstFrame };
                    let Some(grant) = self.admission.take(connection.id, purpose, length) else { return used };
                    let first = rest.get(LENGTH_BYTES..).unwrap_or_default();
                    used += LENGTH_BYTES + connection.inbox.begin_large(world.now.mono, length, grant, first);
                }
                Front::Bad(length) => {
                    let what = format_args!("a frame of {length} bytes");
                    self.refuse(world.now.mono, connection, &what, world.fx);
                }
            }
        }
        bytes.len()
    }

    /// Serves one frame, or gives it back because its turn has not come.
    fn serve_frame<'f>(
        &mut self,
        world: &mut World<'_>,
        connection: &mut Connection,
        frame: Frame<'f>,
    ) -> Result<(), Frame<'f>> {
        if connection.pending.is_some() || self.admission.waits(connection.id) {
            return Err(frame);
        }
        let request = match Request::parse(frame.bytes()) {
            Ok(request) => request,
            Err(_) if !connection.produces.is_empty() => return Err(frame), // acknowledgements first
            Err(error) => {
                self.refuse_request(world, connection, error);
                return Ok(());
            }
        };
        let client_id = request.client_id;
        if request.api == Api::Produce {
            connection.limits = self.quotas.limits(world.now, &world.engine.view().quotas, client_id);
            return self.produce(world, connection, frame);
        }
        if !connection.produces.is_empty() || connection.unsent_since.is_some() {
            return Err(frame);
        }
        let Some(row) = handlers::row(request.api) else {
            let what = format_args!("{} is not served here", request.api.name());
            self.refuse(world.now.mono, connection, &what, world.fx);
            return Ok(());
        };
        let frame_bytes = frame.bytes().len();
        let estimate = (row.estimate)(&self.context(world, connection), &request, frame_bytes);
        match self.reserve(world, connection, estimate) {
            Reserved::Closed => {}
            Reserved::Waits => return Err(frame),
            Reserved::Granted(state) => {
                METRICS.kafka.requests.inc();
                connection.serial = connection.serial.wrapping_add(1);
                connection.limits = self.quotas.limits(world.now, &world.engine.view().quotas, client_id);
                let reply = Reply::new(request.version, request.correlation_id, state);
                self.go_on(world, connection, |cx| (row.handle)(cx, request, reply).unwrap_or(Answer::Close));
            }
        }
        Ok(())
    }

    /// Appends what a Produce request brings, unless too many are in flight.
    fn produce<'f>(
        &mut self,
        world: &mut World<'_>,
        connection: &mut Connection,
        frame: Frame<'f>,
    ) -> Result<(), Frame<'f>> {
        if connection.produces.is_full() || connection.unsent_since.is_some() {
            return Err(frame);
        }
        let serial = connection.serial.wrapping_add(1);
        let mut cx = self.context(world, connection);
        cx.serial = serial;
        let begun = produce::begin(&mut cx, frame);
        let throttle_ms = cx.out.throttle_ms;
        match begun {
            Ok(Begun::Waits(frame)) => return Err(frame),
            Ok(Begun::Done) => {
                connection.is_proven = true;
                self.mute(world.now.mono, connection, throttle_ms);
            }
            Ok(Begun::InFlight(in_flight)) => {
                connection.serial = serial;
                let _ = connection.produces.push_back(in_flight); // not full: checked above
                self.answer_produces(world, connection);
            }
            Ok(Begun::Close) => self.refuse(world.now.mono, connection, &"an unacknowledged produce failed", world.fx),
            Ok(Begun::TooLarge(bytes)) => self.refuse_size(world, connection, bytes),
            Err(error) => self.refuse(world.now.mono, connection, &error, world.fx),
        }
        METRICS.kafka.requests.inc();
        Ok(())
    }

    /// Answers the produce requests that are complete, up to the first that is not.
    fn answer_produces(&mut self, world: &mut World<'_>, connection: &mut Connection) {
        while connection.produces.front().is_some_and(produce::InFlight::is_complete) {
            if let Some(in_flight) = connection.produces.pop_front() {
                self.go_on(world, connection, |cx| in_flight.answer(cx));
            }
        }
    }

    /// Takes one step of a request and does what it says.
    fn go_on(
        &mut self,
        world: &mut World<'_>,
        connection: &mut Connection,
        step: impl FnOnce(&mut Context<'_>) -> Answer,
    ) {
        let mut cx = self.context(world, connection);
        cx.out.charge(cx.now, cx.out.limits.request, 0); // what earlier requests have cost
        let answer = step(&mut cx);
        let throttle_ms = cx.out.throttle_ms;
        if cx.out.sent_apart {
            connection.unsent_since.get_or_insert(world.now.mono);
        }
        match answer {
            Answer::Later(pending) => connection.pending = Some(pending),
            Answer::Sent => {
                connection.is_proven = true;
                connection.active_at = world.now.mono;
                self.schedule.forget(connection.id);
                self.mute(world.now.mono, connection, throttle_ms);
            }
            Answer::Close => self.refuse(world.now.mono, connection, &"a request that cannot be read", world.fx),
        }
    }

    /// Reads nothing more of a connection for so long; what it has in flight is answered.
    fn mute(&mut self, now: Instant, connection: &mut Connection, throttle_ms: u64) {
        if throttle_ms > 0 {
            METRICS.kafka.throttled.inc();
            let until = now.plus_millis(throttle_ms);
            connection.muted_until = connection.muted_until.max(Some(until));
        }
        if let Some(until) = connection.muted_until {
            self.schedule.wakes.set(connection.id, until);
        }
    }

    /// Memory for a request, or the end of its connection when there can never be enough.
    fn reserve(
        &mut self,
        world: &mut World<'_>,
        connection: &mut Connection,
        bytes: Result<usize, ReadError>,
    ) -> Reserved {
        match bytes {
            Ok(bytes) if bytes <= self.admission.limit_bytes(Purpose::State) => {
                match self.admission.take(connection.id, Purpose::State, bytes) {
                    Some(grant) => return Reserved::Granted(grant),
                    None => return Reserved::Waits,
                }
            }
            Ok(bytes) => self.refuse_size(world, connection, bytes),
            Err(error) => self.refuse(world.now.mono, connection, &error, world.fx),
        }
        Reserved::Closed
    }

    fn refuse_size(&mut self, world: &mut World<'_>, connection: &mut Connection, bytes: usize) {
        let what = format_args!("a request that takes {bytes} bytes to answer");
        self.refuse(world.now.mono, connection, &what, world.fx);
    }

    /// A frame whose header cannot be served: a newer ApiVersions gets an answer, others have none.
    fn refuse_request(&mut self, world: &mut World<'_>, connection: &mut Connection, error: RequestError) {
        match error {
            RequestError::UnsupportedVersion { api: Api::ApiVersions, correlation_id, .. } => {
                let reply = Reply::new(0, correlation_id, Grant::none());
                self.go_on(world, connection, |cx| handlers::refuse_api_versions(cx, reply));
            }
            error => self.refuse(world.now.mono, connection, &error, world.fx),
        }
    }

    fn context<'a>(&'a mut self, world: &'a mut World<'_>, connection: &Connection) -> Context<'a> {
        world.engine.at(world.now);
        Context {
            now: world.now,
            engine: &mut *world.engine,
            settings: &self.settings,
            sessions: &mut self.sessions,
            rng: &mut self.rng,
            schedule: &mut self.schedule,
            out: Outlet {
                conn: connection.id,
                fx: &mut *world.fx,
                admission: &mut self.admission,
                scratch: &mut self.scratch,
                limits: connection.limits,
                quotas: &mut self.quotas,
                throttle_ms: 0,
                sent_apart: false,
            },
            listener: connection.listener,
            peer: connection.peer,
            serial: connection.serial,
        }
    }
}
