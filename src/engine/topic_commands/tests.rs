//! The commands over a real tree: fates, duplicates, shared creations, growth, deletion, a quorum that does not answer.

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
        let register =
            builders::register_broker(node, SessionId(5), 4000, &endpoints(&fixture.config), None, None, Timestamp(0));
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
    let steps = fixture.with(|commands, around| commands.create(vec![topic("a", 1)], false, Some(waiter(1)), around));
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
    let steps = fixture.with(|commands, around| commands.create(vec![topic("a", 2)], true, Some(waiter(1)), around));
    assert!(steps.is_empty());
    assert_eq!(fixture.finish(steps), [("a".to_string(), Ok(2))]);
    let steps = fixture.with(|commands, around| commands.create(vec![topic("a", 2)], false, Some(waiter(1)), around));
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
    let steps = fixture.with(|commands, around| commands.create(vec![topic("a", 2)], false, Some(waiter(1)), around));
    fixture.commands.proposed(steps[0].place, None, fixture.coordinator.cluster());
    let results = fixture.finish(Vec::new());
    assert!(matches!(results[0].1, Err(TopicError::Unavailable(_))));
    assert!(fixture.commands.planned.is_empty() && fixture.commands.requests.is_empty());
}
