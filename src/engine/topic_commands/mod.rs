//! Creating, extending and deleting topics: from a door's words to transactions, and from their results to the one
//! answer that each request gets.
//!
//! Each topic of a request is a transaction of its own, as in Kafka: one may fail while another succeeds. A topic that
//! was created is not answered for before the logs of this node's partitions are open, so that whoever asked can use it.
//!
//! Invariants: a request is answered once, with one result for each topic in the order asked; requests under way are
//! bounded by `COMMANDS_MAX` topics. Called by the engine only.

mod plan;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Door;
    use crate::coordinator::{Changes, Coordinator, TreeLimits};
    use crate::engine::lifecycle::endpoints;
    use crate::types::{PartitionIndex, SessionId, Slot, Term, Timestamp};

    /// A tree with one broker, and the commands on it.
    struct Fixture {
        config: Config,
        coordinator: Coordinator,
        commands: TopicCommands,
        rng: Rng,
    }

    impl Fixture {
        fn new() -> Fixture {
            let limits = TreeLimits { bytes: 4 << 20, sessions: 100 };
            let mut fixture = Fixture {
                config: Config::default(),
                coordinator: Coordinator::new(limits, 1),
                commands: TopicCommands::default(),
                rng: Rng::new(1),
            };
            let format = builders::format_cluster(fixture.coordinator.tree(), "AAAAAAAAAAAAAAAAAAAAAA");
            assert!(fixture.apply(&format).outcome.is_ok());
            let node = fixture.config.node_id;
            let register = builders::register_broker(
                node,
                SessionId(5),
                4000,
                &endpoints(&fixture.config),
                None,
                None,
                Timestamp(0),
            );
            assert!(fixture.apply(&register).outcome.is_ok());
            fixture
        }

        fn apply(&mut self, txn: &Txn) -> TxnResult {
            let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
            self.coordinator.apply(zxid, Timestamp(0), &txn.encode(), &mut Changes::default())
        }

        fn with<T>(&mut self, act: impl FnOnce(&mut TopicCommands, &mut Around<'_>) -> T) -> T {
            let mut around = Around {
                config: &self.config,
                cluster: self.coordinator.cluster(),
                tree: self.coordinator.tree(),
                rng: &mut self.rng,
            };
            act(&mut self.commands, &mut around)
        }

        /// Applies all steps, opens all logs, and takes the only answer.
        fn finish(&mut self, steps: Vec<Step>) -> Vec<(String, Result<i32, TopicError>)> {
            for step in steps {
                let result = self.apply(&step.txn);
                self.commands.proposed(step.place, Some(&result), self.coordinator.cluster());
            }
            self.commands.opened(self.coordinator.cluster(), |_| true);
            let (waiters, Completion::Topics(results)) = self.commands.take_complete().unwrap() else { panic!() };
            assert_eq!(waiters, [waiter(1)]);
            assert!(self.commands.take_complete().is_none() && self.commands.count == 0);
            let partitions = |result: Result<TopicDone, TopicError>| result.map(|done| done.partitions);
            results.into_iter().map(|(name, result)| (name.to_string(), partitions(result))).collect()
        }
    }

    fn waiter(slot: u32) -> Waiter {
        Waiter { slot: Slot(slot), ..Waiter::door(Door::Kafka) }
    }

    fn topic(name: &str, partitions: i32) -> NewTopic {
        NewTopic { name: name.into(), partitions, replication: -1, assignment: Vec::new(), configs: Vec::new() }
    }

    /// One request, several fates: each topic has its own result, in the order asked.
    #[test]
    fn create() {
        let mut fixture = Fixture::new();
        let mut wrong = topic("wrong", 1);
        wrong.configs.push(("retention.ms".into(), Some("x".into())));
        let mut assigned = topic("assigned", -1);
        let node = fixture.config.node_id;
        assigned.replication = -1;
        assigned.assignment = vec![(PartitionIndex(1), vec![node]), (PartitionIndex(0), vec![node])];
        let asked = vec![topic("a", 3), topic("a/b", 1), wrong, topic("b", -1), assigned, topic("huge", 900)];
        let steps = fixture.with(|commands, around| commands.create(asked, false, Some(waiter(1)), around));
        let results = fixture.finish(steps);
        assert_eq!(results[0], ("a".to_string(), Ok(3)));
        assert!(matches!(results[1].1, Err(TopicError::InvalidName(_))));
        assert!(matches!(results[2].1, Err(TopicError::InvalidConfig(_))));
        assert_eq!((&results[3].1, &results[4].1), (&Ok(1), &Ok(2)));
        assert!(matches!(results[5].1, Err(TopicError::TooMany(_))));
    }

    /// Two topics that fit alone do not fit together: the second is refused before it is proposed.
    #[test]
    fn planned_partitions_count() {
        let mut fixture = Fixture::new();
        let most = fixture.config.memory.partitions_max as i32;
        let asked = vec![topic("a", most - 10), topic("b", 11), topic("c", 10)];
        let steps = fixture.with(|commands, around| commands.create(asked, false, Some(waiter(1)), around));
        let results = fixture.finish(steps);
        assert!(matches!(results[1].1, Err(TopicError::TooMany(_))));
        assert_eq!(results[2].1, Ok(10));
    }

    /// A name given twice is refused both times; what exists is said to exist, also when it came in between.
    #[test]
    fn duplicates() {
        let mut fixture = Fixture::new();
        let twice = vec![topic("a", 1), topic("a", 2)];
        let steps = fixture.with(|commands, around| commands.create(twice, false, Some(waiter(1)), around));
        assert!(fixture.finish(steps).iter().all(|(_, result)| matches!(result, Err(TopicError::InvalidRequest(_)))));
        let first = fixture.with(|commands, around| commands.create(vec![topic("a", 1)], false, None, around));
        let steps =
            fixture.with(|commands, around| commands.create(vec![topic("a", 1)], false, Some(waiter(1)), around));
        for step in first {
            assert!(fixture.apply(&step.txn).outcome.is_ok());
        }
        let results: Vec<_> = steps.iter().map(|step| fixture.apply(&step.txn)).collect();
        fixture.commands.proposed(steps[0].place, Some(&results[0]), fixture.coordinator.cluster());
        let (_, completion) = fixture.commands.take_complete().unwrap();
        assert_eq!(completion, Completion::Topics(vec![("a".into(), Err(TopicError::AlreadyExists))]));
    }

    /// Who asks for a topic that is being created shares its creation; a bad name is refused at once.
    #[test]
    fn shared() {
        let mut fixture = Fixture::new();
        let steps = fixture.with(|commands, around| commands.create_shared("t", Some(waiter(1)), around)).unwrap();
        let none = fixture.with(|commands, around| commands.create_shared("t", Some(waiter(2)), around)).unwrap();
        assert!(none.is_empty() && steps.len() == 1);
        let result = fixture.apply(&steps[0].txn);
        fixture.commands.proposed(steps[0].place, Some(&result), fixture.coordinator.cluster());
        fixture.commands.opened(fixture.coordinator.cluster(), |_| false);
        assert!(fixture.commands.take_complete().is_none(), "its log is not open yet");
        fixture.commands.opened(fixture.coordinator.cluster(), |_| true);
        let (waiters, _) = fixture.commands.take_complete().unwrap();
        assert_eq!(waiters, [waiter(1), waiter(2)]);
        let none = fixture.with(|commands, around| commands.create_shared("t", Some(waiter(3)), around)).unwrap();
        assert!(none.is_empty() && fixture.commands.take_complete().is_none());
        fixture.commands.opened(fixture.coordinator.cluster(), |_| true);
        assert!(matches!(fixture.commands.take_complete(), Some((waiters, _)) if waiters == [waiter(3)]));
        let refused = fixture.with(|commands, around| commands.create_shared("t t", Some(waiter(1)), around));
        assert!(matches!(refused, Err(TopicError::InvalidName(_))));
        assert!(fixture.commands.shared.is_empty() && fixture.commands.planned.is_empty());
    }

    /// Partitions are added but never taken away; a deletion answers with what there was; validation changes nothing.
    #[test]
    fn extend_and_delete() {
        let mut fixture = Fixture::new();
        let steps =
            fixture.with(|commands, around| commands.create(vec![topic("a", 2)], true, Some(waiter(1)), around));
        assert!(steps.is_empty());
        assert_eq!(fixture.finish(steps), [("a".to_string(), Ok(2))]);
        let steps =
            fixture.with(|commands, around| commands.create(vec![topic("a", 2)], false, Some(waiter(1)), around));
        fixture.finish(steps);
        let more = |count| NewPartitions { name: "a".into(), count, assignment: Vec::new() };
        let steps = fixture.with(|commands, around| commands.extend(vec![more(5)], false, waiter(1), around));
        assert_eq!(fixture.finish(steps), [("a".to_string(), Ok(5))]);
        let steps = fixture.with(|commands, around| commands.extend(vec![more(5)], false, waiter(1), around));
        assert!(matches!(fixture.finish(steps)[0].1, Err(TopicError::InvalidPartitions(_))));
        let id = fixture.coordinator.cluster().topic("a").unwrap().id;
        let asked = vec![TopicRef::Id(id), TopicRef::Id(TopicId([7; 16])), TopicRef::Name("b".into())];
        let steps = fixture.with(|commands, around| commands.delete(asked, waiter(1), around));
        let results = fixture.finish(steps);
        assert_eq!(results[0], ("a".to_string(), Ok(5)));
        assert_eq!((&results[1].1, &results[2].1), (&Err(TopicError::UnknownTopicId), &Err(TopicError::UnknownTopic)));
        assert!(fixture.coordinator.cluster().topic("a").is_none());
    }

    /// What the quorum does not answer is unavailable, and leaves nothing behind.
    #[test]
    fn no_quorum() {
        let mut fixture = Fixture::new();
        let steps =
            fixture.with(|commands, around| commands.create(vec![topic("a", 2)], false, Some(waiter(1)), around));
        fixture.commands.proposed(steps[0].place, None, fixture.coordinator.cluster());
        let results = fixture.finish(Vec::new());
        assert!(matches!(results[0].1, Err(TopicError::Unavailable(_))));
        assert!(fixture.commands.planned.is_empty() && fixture.commands.requests.is_empty());
    }
}
