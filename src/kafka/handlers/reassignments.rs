//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).
//!
//! The moves of one topic are one transaction, those of several topics are several: one may be refused while another
//! begins. The answer comes when the tree says that the moves have begun; where they stand is what the tree says.

use std::sync::Arc;

use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, Move, MoveError, TreeError};
use crate::kafka::codec::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, Array, Elements,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment, ReassignablePartitionResponse, ReassignableTopicResponse, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::REPLICAS_MAX;
use crate::types::{PartitionIndex, ReadError};

/// A partition in the answer, with a sentence, and while its move is being begun.
const PARTITION_BYTES: usize = 512;

/// How often a topic is tried again that something else changed meanwhile.
const CONFLICTS_MAX: u32 = 10;

/// A request whose moves are being begun.
#[derive(Debug)]
struct Reassign {
    reply: Reply,
    allow_replication_factor_change: bool,
    topics: Vec<Topic>,
    /// Topics that the engine has not answered.
    missing: usize,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    wishes: Vec<Move>,
    /// Of each wish, once it is known.
    fates: Vec<Option<Fate>>,
    tries: u32,
}

/// The code and a sentence.
type Fate = (ErrorCode, Option<Box<str>>);

const DONE: Fate = (ErrorCode::NONE, None);

/// What is kept, and the reply.
pub fn estimate_alter(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: AlterPartitionReassignmentsRequest<'_> = request.body()?;
    let partitions: usize = body.topics.iter().map(|topic| topic.partitions.len()).sum();
    Ok(1024 + 8 * frame_bytes + PARTITION_BYTES * partitions)
}

/// Begins the moves.
pub fn alter(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: AlterPartitionReassignmentsRequest<'_> = request.body()?;
    let wish = |asked: crate::kafka::codec::ReassignablePartition<'_>| Move {
        index: asked.partition_index,
        // One more than there may be is enough to be refused.
        target: asked.replicas.map(|ids| ids.iter().take(REPLICAS_MAX + 1).collect()),
    };
    let topics = body.topics.iter().map(|topic| {
        let wishes: Vec<Move> = topic.partitions.iter().map(wish).collect();
        Topic { name: topic.name.into(), fates: vec![None; wishes.len()], wishes, tries: 0 }
    });
    let allow_replication_factor_change = body.allow_replication_factor_change;
    let mut pending = Reassign { reply, allow_replication_factor_change, topics: topics.collect(), missing: 0 };
    for item in 0..pending.topics.len() {
        pending.missing += pending.begin(cx, item) as usize;
    }
    Ok(if pending.missing > 0 { Answer::Later(Box::new(pending)) } else { pending.answer(cx) })
}

impl Reassign {
    /// Begins the moves of one topic; false when everything is known at once.
    fn begin(&mut self, cx: &mut Context<'_>, item: usize) -> bool {
        let keeps_count = !self.allow_replication_factor_change;
        let Some(topic) = self.topics.get_mut(item) else { return false };
        topic.tries += 1;
        for (at, wish) in topic.wishes.iter().enumerate() {
            let is_twice = topic.wishes.iter().take(at).any(|before| before.index == wish.index);
            let fate = match cx.engine.check_move(&topic.name, wish, keeps_count) {
                _ if is_twice => Some((ErrorCode::INVALID_REQUEST, Some("the partition is named twice".into()))),
                Ok(()) => None,
                Err(error) => Some(refused(error)),
            };
            if let Some(kept) = topic.fates.get_mut(at) {
                *kept = fate;
            }
        }
        let fine = topic.wishes.iter().zip(&topic.fates).filter(|(_, fate)| fate.is_none());
        let wishes: Vec<Move> = fine.map(|(wish, _)| wish.clone()).collect();
        let waiter = cx.waiter(item as u32);
        let is_begun = !wishes.is_empty() && cx.engine.move_replicas(cx.now, &topic.name, &wishes, waiter);
        if !is_begun {
            topic.settle(&DONE);
        }
        is_begun
    }

    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let Reassign { reply, allow_replication_factor_change, topics, .. } = self;
        let each = |out: &mut Elements<'_, '_, ReassignableTopicResponse<'static>>| {
            for topic in &topics {
                let each = |out: &mut Elements<'_, '_, ReassignablePartitionResponse<'static>>| {
                    for (wish, fate) in topic.wishes.iter().zip(&topic.fates) {
                        let (error_code, sentence) = fate.as_ref().unwrap_or(&DONE);
                        let (error_code, error_message) = (*error_code, sentence.as_deref());
                        let partition_index = wish.index;
                        out.put(ReassignablePartitionResponse { partition_index, error_code, error_message });
                    }
                };
                let partitions = Array::counted(topic.wishes.len(), &each);
                out.put(ReassignableTopicResponse { name: &topic.name, partitions });
            }
        };
        let responses = Array::counted(topics.len(), &each);
        let response =
            AlterPartitionReassignmentsResponse { allow_replication_factor_change, responses, ..Default::default() };
        reply.send(&mut cx.out, &response)
    }
}

impl Topic {
    /// What has no fate yet has this one.
    fn settle(&mut self, fate: &Fate) {
        for kept in self.fates.iter_mut().filter(|kept| kept.is_none()) {
            *kept = Some(fate.clone());
        }
    }
}

impl Pending for Reassign {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Proposed(result) = completion else { return Answer::Later(self) };
        let item = item as usize;
        let Some(topic) = self.topics.get_mut(item) else { return Answer::Later(self) };
        let late: Fate = (ErrorCode::REQUEST_TIMED_OUT, Some("the move met another change: try again".into()));
        match result.map(|result| result.outcome) {
            Ok(Ok(_)) => topic.settle(&DONE),
            Ok(Err(error)) if error.code == TreeError::BadVersion && topic.tries < CONFLICTS_MAX => {
                if self.begin(cx, item) {
                    return Answer::Later(self);
                }
            }
            Ok(Err(_)) | Err(_) => topic.settle(&late),
        }
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

fn refused(error: MoveError) -> Fate {
    match error {
        MoveError::UnknownPartition => {
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some("the partition does not exist".into()))
        }
        MoveError::NotMoving => {
            let sentence = "no reassignment of this partition is under way";
            (ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, Some(sentence.into()))
        }
        MoveError::InvalidAssignment(sentence) => (ErrorCode::INVALID_REPLICA_ASSIGNMENT, Some(sentence.into())),
        MoveError::CountChanges(sentence) => (ErrorCode::INVALID_REPLICATION_FACTOR, Some(sentence.into())),
    }
}

/// The reply to ListPartitionReassignments.
pub fn estimate_list(cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let moving = cx.engine.view().topics.values().flat_map(|topic| {
        let moving = topic.partitions.iter().filter(|state| !state.adding.is_empty() || !state.removing.is_empty());
        moving.map(|_| PARTITION_BYTES + topic.name.len())
    });
    Ok(1024 + 2 * frame_bytes + moving.sum::<usize>())
}

/// ListPartitionReassignments, answered at once from the tree.
pub fn list(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListPartitionReassignmentsRequest<'_> = request.body()?;
    let cluster = cx.engine.view();
    let is_asked = |topic: &str, index: PartitionIndex| {
        body.topics.is_none_or(|topics| {
            topics.iter().any(|asked| asked.name == topic && asked.partition_indexes.iter().any(|one| one == index))
        })
    };
    let each = |out: &mut Elements<'_, '_, OngoingTopicReassignment<'static>>| {
        for topic in cluster.topics.values() {
            let all = topic.partitions.iter().enumerate().map(|(index, state)| (PartitionIndex(index as i32), state));
            let moving = || {
                let moving = all.clone().filter(|(_, state)| !state.adding.is_empty() || !state.removing.is_empty());
                moving.filter(|(index, _)| is_asked(&topic.name, *index))
            };
            if moving().next().is_none() {
                continue;
            }
            let each = |out: &mut Elements<'_, '_, OngoingPartitionReassignment<'static>>| {
                for (partition_index, state) in moving() {
                    out.put(OngoingPartitionReassignment {
                        partition_index,
                        replicas: Array::of(&state.replicas),
                        adding_replicas: Array::of(&state.adding),
                        removing_replicas: Array::of(&state.removing),
                    });
                }
            };
            out.put(OngoingTopicReassignment { name: &topic.name, partitions: Array::each(&each) });
        }
    };
    let response = ListPartitionReassignmentsResponse { topics: Array::each(&each), ..Default::default() };
    Ok(reply.send(&mut cx.out, &response))
}
