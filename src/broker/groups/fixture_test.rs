//! Groups with a log that does what the test says: what is asked of it lies still until `store`.

use std::collections::BTreeMap;

use super::*;
use crate::broker::Door;
use crate::config::Config;
use crate::types::{ConnId, Slot, Timestamp, TopicId};

/// The partition in which every group of a test lives.
pub const PLACE: PartitionIndex = PartitionIndex(0);

/// The topics that there are.
pub struct TestTopics {
    by_name: BTreeMap<Arc<str>, (TopicId, i32)>,
    names: BTreeMap<TopicId, Arc<str>>,
    version: u64,
}

impl Default for TestTopics {
    fn default() -> TestTopics {
        let mut topics = TestTopics { by_name: BTreeMap::new(), names: BTreeMap::new(), version: 0 };
        topics.put("t", 1, 4);
        topics
    }
}

impl TestTopics {
    /// Creates a topic, or gives it another size.
    pub fn put(&mut self, name: &str, id: u8, partitions: i32) {
        self.by_name.insert(name.into(), (TopicId([id; 16]), partitions));
        self.names.insert(TopicId([id; 16]), name.into());
        self.version += 1;
    }

    pub fn delete(&mut self, name: &str) {
        if let Some((id, _)) = self.by_name.remove(name) {
            self.names.remove(&id);
        }
        self.version += 1;
    }

    pub fn view(&self) -> TopicView<'_> {
        TopicView { topics: self, version: self.version }
    }
}

impl consumer::Topics for TestTopics {
    fn find(&self, name: &str) -> Option<(TopicId, i32)> {
        self.by_name.get(name).copied()
    }

    fn name(&self, id: TopicId) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    fn each(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.by_name.keys().for_each(visit);
    }
}

/// Groups, a clock, and what came of everything.
pub struct Fixture {
    pub groups: Groups,
    pub account: Account,
    pub now_ms: u64,
    /// By slot.
    pub answers: BTreeMap<u32, GroupAnswer>,
    /// Records that wait for the disk.
    pub waiting: Vec<(u32, Vec<GroupRecord>)>,
    /// Records that are durable, in order.
    pub log: Vec<GroupRecord>,
    /// Topic `t` at first, with four partitions.
    pub topics: TestTopics,
    next_slot: u32,
    /// How often the coordinator has started; no two of its lives draw the same ids.
    lives: u64,
}

impl Fixture {
    pub fn new() -> Fixture {
        let mut config = Config::default().groups;
        config.members_max = 5;
        Fixture::with(config, 1 << 20)
    }

    pub fn with(config: GroupConfig, account_bytes: usize) -> Fixture {
        let account = Account::new(account_bytes);
        Fixture {
            groups: Groups::new(config, account.clone(), Rng::new(7)),
            account,
            now_ms: 1_000_000,
            answers: BTreeMap::new(),
            waiting: Vec::new(),
            log: Vec::new(),
            topics: TestTopics::default(),
            next_slot: 0,
            lives: 7,
        }
    }

    pub fn now(&self) -> Now {
        Now { mono: Instant(self.now_ms * 1000), wall: Timestamp(self.now_ms as i64) }
    }

    /// Lets time pass in steps, so that every deadline is met at its moment.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now_ms + milliseconds;
        while let Some(at) = self.groups.next_deadline().filter(|at| at.0 <= end * 1000) {
            self.now_ms = self.now_ms.max(at.0.div_ceil(1000));
            self.groups.on_time(self.now(), self.topics.view());
            self.collect();
        }
        self.now_ms = end;
    }

    /// Takes what the groups have said.
    pub fn collect(&mut self) {
        while let Some(output) = self.groups.next_output() {
            match output {
                Output::Answer(waiter, answer) => {
                    let before = self.answers.insert(waiter.slot.0, answer);
                    assert!(before.is_none(), "slot {} was answered twice: {before:?}", waiter.slot.0);
                }
                Output::Append { records, token, .. } => self.waiting.push((token, records)),
            }
        }
    }

    /// Makes everything durable that waits.
    pub fn store(&mut self) {
        while !self.waiting.is_empty() {
            let (token, records) = self.waiting.remove(0);
            self.log.extend(records);
            self.groups.stored(self.now(), token, Ok(()));
            self.collect();
        }
    }

    /// Refuses everything that waits.
    pub fn fail(&mut self) {
        for (token, _) in std::mem::take(&mut self.waiting) {
            self.groups.stored(self.now(), token, Err(GroupError::Unavailable));
        }
        self.collect();
    }

    /// The same groups after a crash: what is in the log.
    pub fn restart(&mut self) {
        let config = self.groups.cx.config.clone();
        self.lives += 1;
        self.groups = Groups::new(config, self.account.clone(), Rng::new(self.lives));
        self.waiting.clear();
        assert_eq!(self.account.used_bytes(), 0, "everything held is given back");
        let now = self.now();
        for record in &self.log {
            self.groups.replay(now, PLACE, &record.key, record.value.as_deref()).unwrap();
        }
        self.groups.loaded(now, PLACE);
    }

    pub fn waiter(&mut self) -> Waiter {
        self.next_slot += 1;
        let conn = ConnId { index: 1, generation: 1 };
        Waiter { door: Door::Kafka, conn, slot: Slot(self.next_slot) }
    }

    /// Sends a JoinGroup; its slot.
    pub fn join(&mut self, request: &JoinRequest<'_>) -> u32 {
        let waiter = self.waiter();
        self.groups.join(self.now(), self.topics.view(), PLACE, request, waiter);
        self.collect();
        waiter.slot.0
    }

    /// Sends a SyncGroup; its slot.
    pub fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &[u8])]) -> u32 {
        let waiter = self.waiter();
        let from = MemberOf { group: "g", member, instance: None, generation };
        let request = SyncRequest { from, protocol_type: None, protocol: None, assignments: assignments.to_vec() };
        self.groups.sync(self.now(), self.topics.view(), &request, waiter);
        self.collect();
        waiter.slot.0
    }

    pub fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        let from = MemberOf { group: "g", member, instance: None, generation };
        let result = self.groups.heartbeat(self.now(), &from);
        self.collect();
        result
    }

    pub fn leave(&mut self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let results =
            self.groups.leave(self.now(), self.topics.view(), "g", std::iter::once(Leaving { member, instance }));
        self.collect();
        results[0]
    }

    /// Commits an offset of `t-0`; what came of it once everything is durable.
    pub fn commit(&mut self, group: &str, member: &str, generation: i32, offset: i64) -> Result<(), GroupError> {
        let waiter = self.waiter();
        let from = MemberOf { group, member, instance: None, generation };
        self.groups.commit(self.now(), PLACE, &from, &[to_commit(offset)], waiter)?;
        self.collect();
        self.store();
        match self.answers.remove(&waiter.slot.0) {
            Some(GroupAnswer::Stored(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// The offset of `t-0`.
    pub fn committed(&self, group: &str) -> Option<i64> {
        let committed = self.groups.get(group)?.offsets().get("t", PartitionIndex(0))?;
        Some(committed.offset.0)
    }

    pub fn joined(&mut self, slot: u32) -> Joined {
        match self.answers.remove(&slot) {
            Some(GroupAnswer::Joined(Ok(joined))) => joined,
            other => panic!("slot {slot}: {other:?}"),
        }
    }

    pub fn refused(&mut self, slot: u32) -> GroupError {
        match self.answers.remove(&slot) {
            Some(GroupAnswer::Joined(Err(refusal))) => refusal.error,
            Some(GroupAnswer::Synced(Err(error))) => error,
            other => panic!("slot {slot}: {other:?}"),
        }
    }

    pub fn synced(&mut self, slot: u32) -> Vec<u8> {
        match self.answers.remove(&slot) {
            Some(GroupAnswer::Synced(Ok(synced))) => synced.assignment.to_vec(),
            other => panic!("slot {slot}: {other:?}"),
        }
    }

    pub fn state(&self) -> Option<State> {
        self.groups.get("g").map(Group::state)
    }

    /// A new member without a static id joins, in two steps; its id and the slot of the second.
    pub fn newcomer(&mut self) -> (String, u32) {
        let slot = self.join(&request(""));
        let Some(GroupAnswer::Joined(Err(refusal))) = self.answers.remove(&slot) else { panic!() };
        assert_eq!(refusal.error, GroupError::MemberIdRequired);
        let slot = self.join(&request(&refusal.member));
        (refusal.member.to_string(), slot)
    }

    /// A stable group of so many members: their ids, the leader first, and the generation.
    pub fn stable(&mut self, count: usize) -> (Vec<String>, i32) {
        let (ids, generation) = self.completing(count);
        self.settle(&ids, generation);
        (ids, generation)
    }

    /// The same before they are assigned anything.
    pub fn completing(&mut self, count: usize) -> (Vec<String>, i32) {
        let joining: Vec<(String, u32)> = (0..count).map(|_| self.newcomer()).collect();
        self.pass(6_001);
        let generations: Vec<Joined> = joining.iter().map(|(_, slot)| self.joined(*slot)).collect();
        let (leader, generation) = (generations[0].leader.to_string(), generations[0].generation);
        let mut ids: Vec<String> = joining.into_iter().map(|(id, _)| id).collect();
        ids.sort_by_key(|id| *id != leader);
        (ids, generation)
    }

    /// Everybody syncs, the leader first: each is assigned its own id.
    pub fn settle(&mut self, ids: &[String], generation: i32) {
        let assignments: Vec<(&str, &[u8])> = ids.iter().map(|id| (&**id, id.as_bytes())).collect();
        let slots: Vec<u32> = ids
            .iter()
            .enumerate()
            .map(|(place, id)| self.sync(id, generation, if place == 0 { &assignments } else { &[] }))
            .collect();
        self.store();
        for (id, slot) in ids.iter().zip(slots) {
            assert_eq!(self.synced(slot), id.as_bytes());
        }
        assert_eq!(self.state(), Some(State::Stable));
    }
}

/// Members subscribe to topic `t` for assignor `range`.
pub const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

pub fn request(member: &str) -> JoinRequest<'_> {
    JoinRequest {
        group: "g",
        member,
        instance: None,
        client_id: "c",
        client_host: "/127.0.0.1",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer",
        protocols: vec![("range", SUBSCRIPTION)],
        takes_member_id: true,
        may_skip_assignment: false,
    }
}

pub fn to_commit(offset: i64) -> OffsetToCommit<'static> {
    OffsetToCommit {
        topic: "t",
        partition: PartitionIndex(0),
        offset: crate::types::Offset(offset),
        leader_epoch: crate::types::LeaderEpoch(0),
        metadata: "",
        retention_ms: None,
    }
}
