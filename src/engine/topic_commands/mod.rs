//! Creating, extending and deleting topics: from a door's words to transactions, and from their results to the one
//! answer that each request gets.
//!
//! Each topic of a request is a transaction of its own, as in Kafka: one may fail while another succeeds. A topic that
//! was created is not answered for before the logs of this node's partitions are open, so that whoever asked can use it.
//!
//! Invariants: a request is answered once, with one result for each topic in the order asked; requests under way are
//! bounded by `COMMANDS_MAX` topics. Called by the engine only.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Completion, NewPartitions, NewTopic, TopicDone, TopicError, TopicRef, Waiter};
use crate::config::Config;
use crate::coordinator::builders;
use crate::coordinator::{Cluster, ErrorCode, Tree, Txn, TxnResult};
use crate::types::{Rng, TopicId};
use plan::{defaulted_replication, plan};

/// Topics that may be under way at once, over all requests.
const COMMANDS_MAX: usize = 4096;

/// Waiters that may share the creation of one topic; who comes later looks again.
const SHARED_WAITERS_MAX: usize = 1024;

/// One topic of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    request: u64,
    index: usize,
}

/// What is to happen to one topic: a transaction to propose, whose result goes to `proposed`.
#[derive(Debug)]
pub(super) struct Step {
    pub place: Place,
    pub txn: Txn,
}

/// A topic's result, `None` while it is under way.
type Fate = Option<Result<TopicDone, TopicError>>;

#[derive(Debug)]
struct Request {
    waiters: Vec<Waiter>,
    /// In the order asked.
    results: Vec<(Arc<str>, Fate)>,
    /// A deleted topic's identity is not in the view any more when its deletion is answered.
    before: Vec<Option<TopicDone>>,
    missing: usize,
}

/// Requests under way.
#[derive(Debug, Default)]
pub(super) struct TopicCommands {
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    /// Requests with all their results.
    complete: VecDeque<u64>,
    /// Topics under way, over all requests.
    count: usize,
    /// Created, but logs of this node are still opening.
    opening: BTreeSet<Place>,
    /// Requests that create a topic for whoever asks for it next.
    shared: BTreeMap<Arc<str>, u64>,
    /// Partitions of topics that are proposed and not in the view yet.
    planned: BTreeMap<Place, usize>,
}

/// What a command may know.
pub(super) struct Around<'a> {
    pub config: &'a Config,
    pub cluster: &'a Cluster,
    pub tree: &'a Tree,
    pub rng: &'a mut Rng,
}

impl TopicCommands {
    /// Begins to create topics. With `validate_only` nothing is proposed.
    pub fn create(
        &mut self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        waiter: Option<Waiter>,
        around: &mut Around<'_>,
    ) -> Vec<Step> {
        let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.name.clone()).collect();
        let twice = twice(&names);
        let request = self.begin(names, waiter);
        let mut steps = Vec::new();
        for (index, topic) in topics.into_iter().enumerate() {
            let place = Place { request, index };
            let planned = match twice.contains(&topic.name) {
                true => Err(TopicError::InvalidRequest("the request names the topic twice".into())),
                false => plan(&topic, self.planned.values().sum(), around),
            };
            match planned {
                Ok((_, partitions)) if validate_only => {
                    let replication = topic.assignment.first().map_or(topic.replication, |(_, ids)| ids.len() as i16);
                    let replication = defaulted_replication(replication, around);
                    self.finish(place, Ok(TopicDone { id: TopicId::ZERO, partitions, replication }));
                }
                Ok((txn, partitions)) => {
                    self.planned.insert(place, partitions as usize);
                    steps.push(Step { place, txn });
                }
                Err(error) => self.finish(place, Err(error)),
            }
        }
        steps
    }

    /// Begins to create one topic with the defaults, or joins a creation that is under way. Of one that exists, the
    /// answer comes when its logs are open.
    pub fn create_shared(
        &mut self,
        name: &str,
        waiter: Option<Waiter>,
        around: &mut Around<'_>,
    ) -> Result<Vec<Step>, TopicError> {
        if let Some(request) = self.shared.get(name).and_then(|id| self.requests.get_mut(id)) {
            if request.waiters.len() >= SHARED_WAITERS_MAX {
                return Err(TopicError::Unavailable("too many wait for this topic".into()));
            }
            request.waiters.extend(waiter);
            return Ok(Vec::new());
        }
        let name: Arc<str> = name.into();
        if around.cluster.topic(&name).is_some() {
            // Somebody else has created it: wait for its logs.
            let request = self.begin(vec![name], waiter);
            self.opening.insert(Place { request, index: 0 });
            return Ok(Vec::new());
        }
        let topic = NewTopic {
            name: name.clone(),
            partitions: -1,
            replication: -1,
            assignment: Vec::new(),
            configs: Vec::new(),
        };
        // Refused before anything is remembered, because the name may be anything.
        plan(&topic, self.planned.values().sum(), around)?;
        self.shared.insert(name, self.next_request + 1);
        Ok(self.create(vec![topic], false, waiter, around))
    }

    /// Begins to add partitions.
    pub fn extend(
        &mut self,
        topics: Vec<NewPartitions>,
        validate_only: bool,
        waiter: Waiter,
        around: &mut Around<'_>,
    ) -> Vec<Step> {
        let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.name.clone()).collect();
        let twice = twice(&names);
        let request = self.begin(names, Some(waiter));
        let mut steps = Vec::new();
        for (index, topic) in topics.into_iter().enumerate() {
            let place = Place { request, index };
            let room = self.room(around);
            let built = match twice.contains(&topic.name) {
                true => Err(TopicError::InvalidRequest("the request names the topic twice".into())),
                false => builders::create_partitions(around.cluster, &topic.name, topic.count, &topic.assignment, room),
            };
            match built {
                Ok(_) if validate_only => {
                    let result = done(around.cluster, &topic.name);
                    self.finish(place, result.map(|done| TopicDone { partitions: topic.count, ..done }));
                }
                Ok(txn) => {
                    self.planned.insert(place, topic.count.max(0) as usize);
                    steps.push(Step { place, txn });
                }
                Err(error) => self.finish(place, Err(error)),
            }
        }
        steps
    }

    /// Begins to delete topics.
    pub fn delete(&mut self, topics: Vec<TopicRef>, waiter: Waiter, around: &mut Around<'_>) -> Vec<Step> {
        let found: Vec<(Arc<str>, Option<TopicError>)> = topics
            .into_iter()
            .map(|topic| match topic {
                TopicRef::Name(name) => (name, None),
                TopicRef::Id(id) => match around.cluster.topic_names.get(&id) {
                    Some(name) => (name.clone(), None),
                    None => ("".into(), Some(TopicError::UnknownTopicId)),
                },
            })
            .collect();
        let request = self.begin(found.iter().map(|(name, _)| name.clone()).collect(), Some(waiter));
        let mut steps = Vec::new();
        for (index, (name, error)) in found.into_iter().enumerate() {
            let place = Place { request, index };
            let built = match error {
                Some(error) => Err(error),
                None if !around.config.kafka.delete_topics => Err(TopicError::DeletionDisabled),
                None => builders::delete_topic(around.cluster, around.tree, &name),
            };
            match built {
                Ok(txn) => {
                    let before = done(around.cluster, &name).ok();
                    if let Some(request) = self.requests.get_mut(&request)
                        && let Some(kept) = request.before.get_mut(index)
                    {
                        *kept = before;
                    }
                    steps.push(Step { place, txn });
                }
                Err(error) => self.finish(place, Err(error)),
            }
        }
        steps
    }

    /// What became of a step: its transaction was applied, or nobody knows (`None`).
    pub fn proposed(&mut self, place: Place, result: Option<&TxnResult>, cluster: &Cluster) {
        self.planned.remove(&place);
        let Some(request) = self.requests.get(&place.request) else { return };
        let before = request.before.get(place.index).cloned().flatten();
        let name = request.results.get(place.index).map(|(name, _)| name.clone()).unwrap_or_default();
        match result.map(|result| &result.outcome) {
            Some(Ok(_)) => match before {
                Some(deleted) => self.finish(place, Ok(deleted)),
                None => {
                    self.opening.insert(place);
                }
            },
            Some(Err(error)) => {
                let error = match error.code {
                    ErrorCode::NodeExists => TopicError::AlreadyExists,
                    ErrorCode::NoNode if before.is_some() || cluster.topic(&name).is_none() => TopicError::UnknownTopic,
                    ErrorCode::TreeFull => TopicError::TooMany("the tree's memory is used up".into()),
                    code => TopicError::Unavailable(format!("the change met another one: {code}")),
                };
                self.finish(place, Err(error));
            }
            None => self.finish(place, Err(TopicError::Unavailable("the quorum did not answer".into()))),
        }
    }

    /// Answers for created topics whose logs are open by now.
    pub fn opened(&mut self, cluster: &Cluster, is_open: impl Fn(&str) -> bool) {
        if self.opening.is_empty() {
            return;
        }
        for place in self.opening.clone() {
            let Some(request) = self.requests.get(&place.request) else { continue };
            let Some((name, _)) = request.results.get(place.index) else { continue };
            if is_open(name) {
                let result = done(cluster, name);
                self.opening.remove(&place);
                self.finish(place, result);
            }
        }
    }

    /// Takes the answer of a request that is complete.
    pub fn take_complete(&mut self) -> Option<(Vec<Waiter>, Completion)> {
        let id = self.complete.pop_front()?;
        let request = self.requests.remove(&id)?;
        self.count -= request.results.len();
        self.shared.retain(|_, shared| *shared != id);
        let unknown = || Err(TopicError::Unavailable("no result".into()));
        let results =
            request.results.into_iter().map(|(name, result)| (name, result.unwrap_or_else(unknown))).collect();
        Some((request.waiters, Completion::Topics(results)))
    }

    fn begin(&mut self, names: Vec<Arc<str>>, waiter: Option<Waiter>) -> u64 {
        self.next_request += 1;
        let is_too_many = self.count + names.len() > COMMANDS_MAX;
        self.count += names.len();
        let request = Request {
            waiters: waiter.into_iter().collect(),
            before: vec![None; names.len()],
            missing: names.len(),
            results: names.into_iter().map(|name| (name, None)).collect(),
        };
        let indexes = 0..request.missing;
        if request.missing == 0 {
            self.complete.push_back(self.next_request); // nothing was asked for
        }
        self.requests.insert(self.next_request, request);
        if is_too_many {
            for index in indexes {
                let place = Place { request: self.next_request, index };
                self.finish(place, Err(TopicError::Unavailable("too many topics are being changed".into())));
            }
        }
        self.next_request
    }

    /// Notes the first result of a topic; later ones are ignored.
    fn finish(&mut self, place: Place, result: Result<TopicDone, TopicError>) {
        let Some(request) = self.requests.get_mut(&place.request) else { return };
        if let Some((_, kept @ None)) = request.results.get_mut(place.index) {
            *kept = Some(result);
            request.missing -= 1;
            if request.missing == 0 {
                self.complete.push_back(place.request);
            }
        }
    }

    /// Partitions that may still be planned, as a bound for the whole cluster.
    fn room(&self, around: &Around<'_>) -> usize {
        around.config.memory.partitions_max.saturating_sub(self.planned.values().sum())
    }
}

fn done(cluster: &Cluster, name: &str) -> Result<TopicDone, TopicError> {
    let topic = cluster.topic(name).ok_or(TopicError::UnknownTopic)?;
    Ok(TopicDone {
        id: topic.id,
        partitions: topic.partitions.len() as i32,
        replication: topic.partitions.first().map_or(0, |partition| partition.replicas.len() as i16),
    })
}

/// The names that stand more than once.
fn twice(names: &[Arc<str>]) -> BTreeSet<Arc<str>> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| !seen.insert(*name)).cloned().collect()
}
