//! DeleteTopics: by name, or from version 6 on by id. The brokers' own topics are refused here.

use std::sync::Arc;

use super::create_topics::{Refused, Results, with_refused};
use super::metadata::INTERNAL_TOPICS;
use super::partitions::topic_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, TopicRef};
use crate::kafka::codec::{Array, DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse, Elements, Request};
use crate::kafka::errors::ErrorCode;
use crate::types::{ReadError, TopicId};

/// A topic in the answer, and while it is being deleted.
const TOPIC_BYTES: usize = 512;

/// A request whose topics are being deleted.
#[derive(Debug)]
struct DeleteTopics {
    reply: Reply,
    refused: Refused,
    /// The ids asked for, where the engine was given an id; in the engine's order.
    ids: Vec<TopicId>,
}

/// What the engine is given, and the reply.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DeleteTopicsRequest<'_> = request.body()?;
    Ok(4 * frame_bytes + TOPIC_BYTES * (body.topics.len() + body.topic_names.len()))
}

/// Asks the engine.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DeleteTopicsRequest<'_> = request.body()?;
    let by_name = body.topic_names.iter().map(|name| TopicRef::Name(name.into()));
    let by_either = body.topics.iter().map(|topic| match topic.name {
        Some(name) => TopicRef::Name(name.into()),
        None => TopicRef::Id(topic.topic_id),
    });
    let (internal, topics): (Vec<_>, Vec<_>) = by_name.chain(by_either).partition(|topic| is_internal(cx, topic));
    let refused = internal.iter().filter_map(|topic| name_of(cx, topic)).collect();
    let ids = topics.iter().map(|topic| if let TopicRef::Id(id) = topic { *id } else { TopicId::ZERO }).collect();
    let waiter = cx.waiter(0);
    cx.engine.delete_topics(cx.now, topics, waiter, cx.out.fx);
    Ok(Answer::Later(Box::new(DeleteTopics { reply, refused, ids })))
}

fn is_internal(cx: &Context<'_>, topic: &TopicRef) -> bool {
    name_of(cx, topic).is_some_and(|name| INTERNAL_TOPICS.contains(&&*name))
}

fn name_of(cx: &Context<'_>, topic: &TopicRef) -> Option<Arc<str>> {
    match topic {
        TopicRef::Name(name) => Some(name.clone()),
        TopicRef::Id(id) => cx.engine.view().topic_by_id(*id).map(|topic| topic.name.clone()),
    }
}

impl Pending for DeleteTopics {
    fn complete(self: Box<Self>, cx: &mut Context<'_>, _item: u32, completion: Completion) -> Answer {
        let Completion::Topics(results) = completion else { return Answer::Later(self) };
        let DeleteTopics { reply, refused, ids } = *self;
        let results = with_refused(results, refused);
        let each = |out: &mut Elements<'_, '_, _>| put_results(out, &results, &ids);
        let response = DeleteTopicsResponse { responses: Array::counted(results.len(), &each), ..Default::default() };
        reply.send(&mut cx.out, &response)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn put_results(out: &mut Elements<'_, '_, DeletableTopicResult<'static>>, results: &Results, ids: &[TopicId]) {
    for (index, (name, result)) in results.iter().enumerate() {
        let message = result.as_ref().err().map(ToString::to_string);
        out.put(DeletableTopicResult {
            // A topic that is known by an unknown id only has no name.
            name: Some(&**name).filter(|name| !name.is_empty()),
            topic_id: match result {
                Ok(done) => done.id,
                Err(_) => ids.get(index).copied().unwrap_or_default(),
            },
            error_code: result.as_ref().err().map_or(ErrorCode::NONE, topic_code),
            error_message: message.as_deref(),
        });
    }
}
