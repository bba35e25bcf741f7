//! The story of consumer groups, step by step: joining, sharing out, letting go, leaving, coming back, starting again.

use super::*;
use crate::broker::groups::fixture_test::{Fixture, PLACE, to_commit};
use crate::broker::groups::{GroupAnswer, MemberOf};
use crate::config::Config;
use crate::types::{PartitionIndex, TopicId};

impl Fixture {
    /// Groups whose members are in `group.consumer.*` as by default, five at most.
    pub fn consumers() -> Fixture {
        let mut config = Config::default().groups;
        (config.consumer_members_max, config.members_max) = (5, 5);
        Fixture::with(config, 1 << 20)
    }

    /// Sends a heartbeat; its slot.
    pub fn beat(&mut self, request: &ConsumerHeartbeat<'_>) -> u32 {
        let waiter = self.waiter();
        self.groups.consumer_heartbeat(self.now(), self.topics.view(), PLACE, request, waiter);
        self.collect();
        waiter.slot.0
    }

    /// Sends a heartbeat and makes everything durable; the answer.
    pub fn told(&mut self, request: &ConsumerHeartbeat<'_>) -> Result<ConsumerStanding, GroupError> {
        let slot = self.beat(request);
        self.store();
        self.standing(slot).expect("everything is durable")
    }

    pub fn standing(&mut self, slot: u32) -> Option<Result<ConsumerStanding, GroupError>> {
        match self.answers.remove(&slot)? {
            GroupAnswer::Reported(result) => Some(result),
            other => panic!("{other:?}"),
        }
    }

    pub fn consumer(&self) -> &Consumer {
        self.groups.get("g").unwrap().consumer().unwrap()
    }

    /// A member joins: where it stands.
    pub fn enter(&mut self, member: &str) -> ConsumerStanding {
        self.told(&joining(member)).unwrap()
    }

    /// A member says what it owns; what it owns after the answer.
    pub fn step(&mut self, member: &str, epoch: &mut i32, owned: &mut Vec<i32>) {
        let request = ConsumerHeartbeat { owned: Some(set(owned)), ..at(member, *epoch) };
        let standing = self.told(&request).unwrap();
        *epoch = standing.epoch;
        if let Some(assignment) = standing.assignment {
            *owned = indexes(&assignment);
        }
    }
}

pub fn joining(member: &str) -> ConsumerHeartbeat<'_> {
    ConsumerHeartbeat {
        rebalance_timeout_ms: Some(60_000),
        topics: Some(vec!["t"]),
        owned: Some(Partitions::default()),
        ..at(member, JOINING)
    }
}

pub fn at(member: &str, epoch: i32) -> ConsumerHeartbeat<'_> {
    ConsumerHeartbeat { group: "g", member, epoch, client_id: "c", client_host: "/127.0.0.1", ..Default::default() }
}

/// Partitions of `t`.
pub fn set(indexes: &[i32]) -> Partitions {
    indexes.iter().map(|index| (TopicId([1; 16]), PartitionIndex(*index))).collect()
}

pub fn indexes(partitions: &Partitions) -> Vec<i32> {
    partitions.iter().map(|one| one.1.0).collect()
}

/// One gets everything at once; of two, the first must let go before the second may take.
#[test]
fn letting_go_comes_first() {
    let mut f = Fixture::consumers();
    let one = f.enter("a");
    assert_eq!((one.epoch, indexes(&one.assignment.unwrap())), (1, vec![0, 1, 2, 3]));
    assert_eq!(f.state(), Some(State::Stable));
    let other = f.enter("b");
    assert_eq!((other.epoch, other.assignment.unwrap()), (2, Partitions::default()));
    assert_eq!(f.state(), Some(State::Reconciling));
    let shrinks = f.told(&at("a", 1)).unwrap();
    assert_eq!((shrinks.epoch, indexes(&shrinks.assignment.unwrap())), (1, vec![0, 1]));
    assert_eq!(f.told(&ConsumerHeartbeat { owned: Some(set(&[0, 1, 2])), ..at("a", 1) }).unwrap().epoch, 1);
    assert_eq!(f.told(&at("b", 2)).unwrap().assignment, None, "2 and 3 are not free");
    assert_eq!(f.told(&ConsumerHeartbeat { owned: Some(set(&[0, 1])), ..at("a", 1) }).unwrap().epoch, 2);
    assert_eq!(indexes(&f.told(&at("b", 2)).unwrap().assignment.unwrap()), [2, 3]);
    assert_eq!(f.state(), Some(State::Stable));
    assert_eq!(f.told(&at("a", 2)).unwrap().assignment, None, "nothing is new");
}

/// Who comes with another epoch than its own is fenced; only a lost answer is forgiven, and a new beginning.
#[test]
fn epochs() {
    let mut f = Fixture::consumers();
    f.enter("a");
    f.enter("b");
    assert_eq!(f.told(&at("a", 7)), Err(GroupError::FencedEpoch));
    assert_eq!(f.told(&at("x", 1)), Err(GroupError::UnknownMember));
    f.told(&at("a", 1)).unwrap();
    f.told(&ConsumerHeartbeat { owned: Some(set(&[0, 1])), ..at("a", 1) }).unwrap();
    assert_eq!(f.told(&ConsumerHeartbeat { owned: Some(set(&[0, 1])), ..at("a", 1) }).unwrap().epoch, 2, "was lost");
    assert_eq!(f.told(&ConsumerHeartbeat { owned: Some(set(&[0, 3])), ..at("a", 1) }), Err(GroupError::FencedEpoch));
    assert_eq!(f.told(&at("a", 1)), Err(GroupError::FencedEpoch));
    let again = f.enter("a");
    assert_eq!((again.epoch, indexes(&again.assignment.unwrap())), (2, vec![0, 1]));
    assert_eq!(f.told(&ConsumerHeartbeat { group: "none", ..at("a", 1) }), Err(GroupError::GroupNotFound));
}

/// Silence, and not letting go in time, cost the membership; the others take over.
#[test]
fn deadlines() {
    let mut f = Fixture::consumers();
    f.enter("a");
    f.enter("b");
    f.told(&at("a", 1)).unwrap();
    f.pass(40_000);
    f.told(&at("a", 1)).unwrap();
    f.told(&at("b", 2)).unwrap();
    f.pass(25_000);
    f.store();
    assert_eq!(f.told(&at("a", 1)), Err(GroupError::UnknownMember), "a minute was too long for letting go");
    let takes = f.told(&at("b", 2)).unwrap();
    assert_eq!((takes.epoch, indexes(&takes.assignment.unwrap())), (3, vec![0, 1, 2, 3]));
    f.pass(45_001);
    f.store();
    assert_eq!(f.state(), Some(State::Empty));
}

/// What is not copied in time is answered, and told again by the coordinator that hears the others, or hears them again.
#[test]
fn answers_in_time() {
    let mut f = Fixture::consumers();
    let slot = f.beat(&joining("a"));
    let timeout_ms = f.groups.cx.config.offsets_commit_timeout_ms;
    f.pass(timeout_ms - 1);
    let again = f.beat(&at("a", 1));
    assert_eq!((f.standing(slot), f.standing(again)), (None, None));
    f.pass(1);
    for slot in [slot, again] {
        assert_eq!(f.standing(slot), Some(Err(GroupError::Unavailable)));
    }
    let later = f.beat(&at("a", 1));
    f.pass(timeout_ms - 1);
    assert_eq!(f.standing(later), None);
    f.store();
    let told = f.standing(later).unwrap().unwrap();
    assert_eq!((told.epoch, indexes(&told.assignment.unwrap())), (1, vec![0, 1, 2, 3]));
}

/// Who leaves gives everything back; a static member that leaves for a while keeps it until its session ends.
#[test]
fn leaving() {
    let mut f = Fixture::consumers();
    let instance = |member, epoch| ConsumerHeartbeat { instance: Some("i"), ..at(member, epoch) };
    let first = f.told(&ConsumerHeartbeat { instance: Some("i"), ..joining("a") }).unwrap();
    f.enter("b");
    assert_eq!(f.told(&at("b", LEAVING)).unwrap().epoch, LEAVING);
    assert_eq!(f.told(&at("b", LEAVING)), Err(GroupError::UnknownMember));
    let second = ConsumerHeartbeat { instance: Some("i"), ..joining("a2") };
    assert_eq!(f.told(&second), Err(GroupError::UnreleasedInstance));
    assert_eq!(f.told(&instance("a", LEAVING_FOR_A_WHILE)).unwrap().epoch, LEAVING_FOR_A_WHILE);
    let back = f.told(&second).unwrap();
    assert_eq!((back.epoch, back.assignment), (3, first.assignment), "what it had, at the group's epoch");
    assert_eq!(f.told(&instance("a", 1)), Err(GroupError::FencedInstance));
    assert_eq!(f.told(&instance("x", LEAVING)), Err(GroupError::FencedInstance));
    f.told(&instance("a2", LEAVING_FOR_A_WHILE)).unwrap();
    f.pass(45_001);
    f.store();
    assert_eq!(f.state(), Some(State::Empty));
}

/// Topics that come, grow and go, and regular expressions, change what is read; internal topics never match.
#[test]
fn topics_change() {
    let mut f = Fixture::consumers();
    let mut request = joining("a");
    (request.topics, request.regex) = (None, Some("t.*|__.*"));
    let first = f.told(&request).unwrap();
    assert_eq!(indexes(&first.assignment.unwrap()), [0, 1, 2, 3]);
    f.topics.put("__consumer_offsets", 9, 3);
    assert_eq!(f.told(&at("a", 1)).unwrap().epoch, 1);
    f.topics.put("t", 1, 5);
    let more = f.told(&at("a", 1)).unwrap();
    assert_eq!((more.epoch, indexes(&more.assignment.unwrap())), (2, vec![0, 1, 2, 3, 4]));
    f.topics.put("t2", 2, 1);
    assert_eq!(f.told(&at("a", 2)).unwrap().assignment.unwrap().len(), 6);
    f.topics.delete("t");
    f.topics.put("t", 3, 1);
    let revoked = f.told(&at("a", 3)).unwrap();
    assert_eq!((revoked.epoch, revoked.assignment.unwrap().len()), (3, 1), "another topic of the same name");
    let left: Partitions = [(TopicId([2; 16]), PartitionIndex(0))].into_iter().collect();
    assert_eq!(f.told(&ConsumerHeartbeat { owned: Some(left), ..at("a", 3) }).unwrap().assignment.unwrap().len(), 2);
    assert!(f.groups.get("g").unwrap().subscribes("t2") && !f.groups.get("g").unwrap().subscribes("x"));
    let bad = ConsumerHeartbeat { regex: Some("("), ..at("a", 4) };
    assert_eq!(f.told(&bad), Err(GroupError::InvalidRegex));
    assert_eq!(f.told(&at("a", 4)).unwrap().epoch, 4, "nothing else is disturbed");
}

/// Impossible wishes are refused one by one.
#[test]
fn refusals() {
    let mut f = Fixture::consumers();
    let assignor = ConsumerHeartbeat { assignor: Some("best"), ..joining("a") };
    assert_eq!(f.told(&assignor), Err(GroupError::UnsupportedAssignor));
    let long = "x".repeat(300_000);
    assert_eq!(f.told(&ConsumerHeartbeat { topics: Some(vec![&long]), ..joining("a") }), Err(GroupError::GroupFull));
    assert_eq!(f.told(&ConsumerHeartbeat { group: "", ..joining("a") }), Err(GroupError::InvalidGroupId));
    assert!(f.groups.get("g").is_none(), "a refused member leaves no group behind");
    for number in 0..5 {
        f.enter(&format!("m{number}"));
    }
    assert_eq!(f.told(&joining("more")), Err(GroupError::GroupFull));
    f.enter("m0");
    let patterns: Vec<String> = (0..17).map(|number| format!("x{number}")).collect();
    for (number, pattern) in patterns.iter().enumerate() {
        let epoch = f.consumer().members["m0"].epoch;
        let result = f.told(&ConsumerHeartbeat { regex: Some(pattern), ..at("m0", epoch) });
        assert!(result.is_ok(), "{number}: a member has one pattern at a time: {result:?}");
    }
    let mut small = Fixture::with(Config::default().groups, 4_000);
    let results: Vec<_> = (0..5).map(|number| small.told(&joining(&format!("m{number}")))).collect();
    assert!(results.contains(&Err(GroupError::GroupFull)), "{results:?}");
    assert!(results[0].is_ok());
    small.groups.unload(PLACE);
    assert_eq!(small.account.used_bytes(), 0);
}

/// A member for which there was no memory to go on is one all the same: it expires, or goes on when there is some.
#[test]
fn short_of_memory() {
    let mut f = Fixture::with(Config::default().groups, 3_000);
    f.topics.put("t", 1, 1000);
    assert_eq!(f.told(&joining("a")), Err(GroupError::Unavailable));
    assert_eq!(f.told(&joining("a")), Err(GroupError::Unavailable), "it is known, and there is no room yet");
    assert_eq!(f.consumer().members.len(), 1);
    f.topics.put("t", 1, 4);
    assert_eq!(indexes(&f.told(&joining("a")).unwrap().assignment.unwrap()), [0, 1, 2, 3]);
    f.pass(45_001);
    f.store();
    assert_eq!(f.state(), Some(State::Empty));
    f.groups.unload(PLACE);
    assert_eq!(f.account.used_bytes(), 0);
}

/// A pattern of another broker's log that is none here holds nobody up.
#[test]
fn foreign_pattern() {
    let mut f = Fixture::consumers();
    f.told(&ConsumerHeartbeat { regex: Some("x.*"), ..joining("a") }).unwrap();
    for record in &mut f.log {
        let replace = |bytes: &mut Vec<u8>| {
            if let Some(at) = bytes.windows(3).position(|window| window == b"x.*") {
                bytes[at..at + 3].copy_from_slice(b"(((");
            }
        };
        replace(&mut record.key);
        record.value.iter_mut().for_each(replace);
    }
    f.restart();
    f.topics.put("u", 2, 1);
    assert_eq!(f.told(&at("a", 1)).unwrap().epoch, 1);
}

/// The assignor that most members wish for is taken.
#[test]
fn assignors() {
    let mut f = Fixture::consumers();
    f.topics.put("t", 1, 5);
    let ranged = |member| ConsumerHeartbeat { assignor: Some("range"), ..joining(member) };
    f.told(&joining("a")).unwrap();
    assert_eq!(f.consumer().assignor(), Assignor::Uniform);
    f.told(&ranged("b")).unwrap();
    assert_eq!(f.consumer().assignor(), Assignor::Range);
    assert_eq!(indexes(&f.consumer().members["b"].target), [3, 4]);
}

/// Commits and looks are for members where they stand, and for anybody while there is no member.
#[test]
fn commits() {
    let mut f = Fixture::consumers();
    f.enter("a");
    assert_eq!(f.commit("g", "a", 1, 5), Ok(()));
    assert_eq!(f.commit("g", "a", 0, 5), Err(GroupError::StaleEpoch));
    assert_eq!(f.commit("g", "x", 1, 5), Err(GroupError::UnknownMember));
    assert_eq!(f.commit("g", "", -1, 5), Err(GroupError::UnknownMember));
    let group = f.groups.get("g").unwrap();
    assert_eq!(group.check_look(Some("a"), 1), Ok(()));
    assert_eq!(group.check_look(Some("a"), 0), Err(GroupError::StaleEpoch));
    assert_eq!(group.check_look(None, -1), Ok(()), "an administrator");
    f.told(&at("a", LEAVING)).unwrap();
    assert_eq!(f.commit("g", "", -1, 7), Ok(()));
    let waiter = f.waiter();
    f.groups.delete_group(f.now(), "g", waiter).unwrap();
    f.collect();
    f.store();
    f.restart();
    assert!(f.groups.get("g").is_none());
}

/// Nothing is told that a crash could take back, and what the log refuses is written later.
#[test]
fn durable_first() {
    let mut f = Fixture::consumers();
    let slot = f.beat(&joining("a"));
    assert!(f.standing(slot).is_none());
    let second = f.beat(&at("a", 1));
    assert!(f.standing(second).is_none(), "it would tell what is not durable");
    f.store();
    assert!(f.standing(slot).unwrap().is_ok() && f.standing(second).unwrap().is_ok());
    let slot = f.beat(&joining("b"));
    f.fail();
    assert_eq!(f.standing(slot), Some(Err(GroupError::Unavailable)));
    f.told(&at("a", 1)).unwrap();
    f.restart();
    let consumer = f.consumer();
    assert_eq!((consumer.members.len(), consumer.epoch, consumer.assignment_epoch), (2, 2, 2));
}

/// After a restart members go on where they were; the log says nothing of who has gone.
#[test]
fn restart() {
    let mut f = Fixture::consumers();
    f.told(&ConsumerHeartbeat { instance: Some("i"), rack: Some("r"), ..joining("a") }).unwrap();
    f.enter("b");
    let (mut one, mut owned_one, mut other, mut owned_other) = (1, vec![0, 1, 2, 3], 2, vec![]);
    f.step("a", &mut one, &mut owned_one);
    let seen = |f: &Fixture| {
        let of = |(id, member): (&str, &ConsumerMember)| {
            let sets = (member.assigned.clone(), member.revoking.clone(), member.target.clone());
            (id.to_string(), member.instance.clone(), member.rack.clone(), member.epoch, member.state, sets)
        };
        (f.state(), f.consumer().epoch, f.consumer().hash, f.consumer().members().map(of).collect::<Vec<_>>())
    };
    let before = seen(&f);
    f.restart();
    assert_eq!(seen(&f), before);
    f.step("a", &mut one, &mut owned_one);
    f.step("b", &mut other, &mut owned_other);
    assert_eq!((owned_one, owned_other), (vec![0, 1], vec![2, 3]));
    f.restart();
    f.pass(45_001);
    f.store();
    assert_eq!(f.state(), Some(State::Empty), "who does not come back is removed");
    f.pass(10 * 60_000);
    f.store();
    assert!(f.groups.get("g").is_none(), "an empty group without offsets is forgotten");
    f.restart();
    assert!(f.groups.get("g").is_none());
    let waiter = f.waiter();
    let from = MemberOf { group: "g", member: "a", instance: None, generation: 0 };
    let result = f.groups.commit(f.now(), PLACE, &from, &[to_commit(1)], waiter);
    assert_eq!(result, Err(GroupError::IllegalGeneration));
}

/// A log that compaction has cleaned says the same, whatever the order that it left.
#[test]
fn compacted() {
    let mut f = Fixture::consumers();
    f.enter("a");
    f.enter("b");
    let (mut epoch, mut owned) = (1, vec![0, 1, 2, 3]);
    f.step("a", &mut epoch, &mut owned);
    f.step("a", &mut epoch, &mut owned);
    f.told(&ConsumerHeartbeat { topics: Some(vec!["t", "u"]), ..at("a", epoch) }).unwrap();
    let mut last = std::collections::BTreeMap::new();
    for (place, record) in f.log.iter().enumerate() {
        last.insert(record.key.clone(), place);
    }
    let log: Vec<_> = f.log.iter().enumerate().filter(|(at, record)| last[&record.key] == *at).collect();
    f.log = log.into_iter().map(|(_, record)| record.clone()).filter(|record| record.value.is_some()).collect();
    let targets = |f: &Fixture| f.consumer().members().map(|(_, member)| member.target.clone()).collect::<Vec<_>>();
    let (before, epoch) = (targets(&f), f.consumer().epoch);
    f.restart();
    assert_eq!((targets(&f), f.consumer().epoch), (before, epoch));
}

/// A thousand members share out a thousand partitions, and each of them is there in the end.
#[test]
fn thousand_members() {
    let mut f = Fixture::with(Config::default().groups, 8 << 20);
    f.topics.put("t", 1, 1000);
    let names: Vec<String> = (0..1000).map(|number| format!("m{number}")).collect();
    let mut members: Vec<(i32, Vec<i32>)> = names
        .iter()
        .map(|name| {
            let standing = f.enter(name);
            (standing.epoch, indexes(&standing.assignment.unwrap()))
        })
        .collect();
    for _ in 0..4 {
        for (name, (epoch, owned)) in names.iter().zip(&mut members) {
            f.step(name, epoch, owned);
        }
    }
    assert_eq!(f.state(), Some(State::Stable));
    assert!(members.iter().all(|(epoch, owned)| *epoch == 1000 && owned.len() == 1));
}
