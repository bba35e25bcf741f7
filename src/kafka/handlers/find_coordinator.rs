//! FindCoordinator: the leader of a group's partition of `__consumer_offsets`, which is created when it is first asked
//! about. There is none for transactions yet.
//!
//! A transactional producer can do nothing without one, therefore it is refused for good, instead of being left to ask
//! until its time runs out.

use super::brokers::reachable;
use super::groups::group_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, Engine, GroupError};
use crate::kafka::codec::{Array, Coordinator, Elements, FindCoordinatorRequest, FindCoordinatorResponse, Request};
use crate::kafka::errors::ErrorCode;
use crate::kafka::settings::ListenerSettings;
use crate::types::{NodeId, ReadError};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The version from which several keys are asked for at once.
const KEYS_FROM_VERSION: i16 = 4;

/// A key in the answer and while it waits, but its text: a host's name is most of it.
const KEY_BYTES: usize = 384;

/// A request that waits for the topic.
#[derive(Debug)]
struct FindCoordinator {
    reply: Reply,
    keys: Vec<Box<str>>,
}

/// The keys while they wait, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: FindCoordinatorRequest<'_> = request.body()?;
    Ok(1024 + 2 * frame_bytes + KEY_BYTES * body.coordinator_keys.len())
}

/// Answers at once, unless the topic must be created first.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: FindCoordinatorRequest<'_> = request.body()?;
    let keys = match request.version {
        KEYS_FROM_VERSION.. => body.coordinator_keys.iter().map(Box::from).collect(),
        _ => vec![Box::from(body.key)],
    };
    let asked = FindCoordinator { reply, keys };
    if let Some((error_code, sentence)) = refusal(body.key_type) {
        return Ok(asked.answer(cx, |_, key| nowhere(key, error_code, sentence)));
    }
    let waiter = cx.waiter(0);
    Ok(match cx.engine.prepare_coordinator(cx.now, waiter) {
        true => Answer::Later(Box::new(asked)),
        false => asked.answer(cx, coordinator),
    })
}

impl Pending for FindCoordinator {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        match completion {
            Completion::Topics(_) => self.answer(cx, coordinator),
            _ => Answer::Later(self),
        }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

/// What the answer is written from.
struct View<'a> {
    engine: &'a Engine,
    listener: Option<&'a ListenerSettings>,
}

impl FindCoordinator {
    fn answer(self, cx: &mut Context<'_>, find: impl for<'a> Fn(&View<'a>, &'a str) -> Coordinator<'a>) -> Answer {
        let FindCoordinator { reply, keys } = self;
        let view = View { engine: &*cx.engine, listener: cx.settings.listeners.get(cx.listener as usize) };
        if reply.version() >= KEYS_FROM_VERSION {
            let each = |out: &mut Elements<'_, '_, _>| keys.iter().for_each(|key| out.put(find(&view, key)));
            let coordinators = Array::counted(keys.len(), &each);
            return reply.send(&mut cx.out, &FindCoordinatorResponse { coordinators, ..Default::default() });
        }
        let one = keys.first().map(|key| find(&view, key)).unwrap_or_default();
        let response = FindCoordinatorResponse {
            error_code: one.error_code,
            error_message: one.error_message,
            node_id: one.node_id,
            host: one.host,
            port: one.port,
            ..Default::default()
        };
        reply.send(&mut cx.out, &response)
    }
}

fn coordinator<'a>(view: &View<'a>, key: &'a str) -> Coordinator<'a> {
    let found = view.engine.coordinator(key).and_then(|node| {
        let mut brokers = reachable(view.engine.view(), view.engine.node_id(), view.listener);
        brokers.find(|broker| broker.node_id == node).ok_or(GroupError::Unavailable)
    });
    match found {
        Ok(broker) => Coordinator {
            key,
            node_id: broker.node_id,
            host: broker.host,
            port: broker.port.into(),
            ..Default::default()
        },
        Err(error) => nowhere(key, group_code(error), "the group's coordinator is not available"),
    }
}

fn nowhere<'a>(key: &'a str, error_code: ErrorCode, sentence: &'a str) -> Coordinator<'a> {
    Coordinator { key, node_id: NodeId(-1), port: -1, error_code, error_message: Some(sentence), ..Default::default() }
}

fn refusal(key_type: i8) -> Option<(ErrorCode, &'static str)> {
    match key_type {
        GROUP => None,
        TRANSACTION => Some((ErrorCode::UNSUPPORTED_VERSION, "transactions are not served yet")),
        _ => Some((ErrorCode::INVALID_REQUEST, "a group is 0, a transactional id is 1")),
    }
}
